"""The verb `evaluate`: a finished run, or pairs, in; what was gained and what was made worse, out."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self

import yaml
from pydantic import Field, model_validator

import ocrray
from ocrray.config import StrictModel
from ocrray.errors import ConfigError, Problems
from ocrray.evaluation import sheet
from ocrray.evaluation.field_scoring import FieldsConfig, FieldScoring
from ocrray.evaluation.figures import FIGURES
from ocrray.evaluation.inputs import System, SystemConfig
from ocrray.evaluation.normalisation import Normalisation
from ocrray.evaluation.report import NAME as REPORT_NAME
from ocrray.evaluation.report import Evaluation, write_report
from ocrray.evaluation.results import BootstrapConfig, as_json, compare, estimate_of, results_of
from ocrray.evaluation.scoring import Counting, in_process, score
from ocrray.evaluation.sheet_page import write_sheet_page
from ocrray.evaluation.translation import translation_scores
from ocrray.folder import Folder
from ocrray.runtime import evaluate_terminal as told
from ocrray.runtime import output as output_folder
from ocrray.runtime import terminal

NAME = "evaluation.json"


class EvaluationOutputConfig(StrictModel):
    """Where `evaluation.json` and `report.html` go."""

    path: str
    title: str = "Evaluation"
    report_records: int = Field(5_000, ge=0, le=50_000)
    """So many records are in the report, with their texts: those made worst, refused ones, and others at random."""


class EvaluateConfig(StrictModel):
    """One complete run of `ocrray evaluate`."""

    input: SystemConfig
    baseline: SystemConfig | None = None
    """A second system, compared record by record; with neither run nor paths it is other columns of the input."""
    sample: int | None = Field(None, ge=10, le=100_000)
    """For records without ground truth: draw so many onto a sheet, `sample.csv`; once it is checked, read it back."""
    normalise: Normalisation = Normalisation()
    fields: FieldsConfig | None = None
    """Answers hold fields, which are scored one by one: JSON objects, lines of `name: value`, or what `extract:` made."""
    bootstrap: BootstrapConfig = BootstrapConfig()
    bleu_ter_words: int = Field(20_000, ge=0)
    """BLEU and TER are computed on records drawn at random, of so many words in all: TER takes seconds for each 10,000."""
    workers: int = Field(1, ge=1)
    """Processes that compare texts, on Ray, here or in the cluster; 1 is this one alone: some thousands of lines a second."""
    output: EvaluationOutputConfig

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.sample and self.fields:
            raise ValueError("sample: fields cannot be estimated from a sheet; they need ground truth")
        if self.sample and self.baseline:
            raise ValueError("sample: an estimate has no baseline; evaluate the other system by itself")
        for key, system in (("input", self.input), ("baseline", self.second_system)):
            if system:
                try:
                    system.require_complete(raw=not self.fields, truth=not self.sample)
                except ValueError as error:
                    raise ValueError(f"{key}: {error}") from None
        return self

    @property
    def second_system(self) -> SystemConfig | None:
        """The baseline with all that it does not say itself taken from the input."""
        if not self.baseline:
            return None
        said = {name: getattr(self.baseline, name) for name in self.baseline.model_fields_set}
        if self.baseline.run or self.baseline.paths:
            return self.baseline
        return self.input.model_copy(update={"name": None} | said)


@dataclass(frozen=True, slots=True)
class Plan:
    """An evaluation that was found to be possible: the tables that will be read."""

    config: EvaluateConfig
    system: System
    baseline: System | None


def make_plan(config: EvaluateConfig, limit: int | None) -> Plan:  # noqa: ARG001 - every verb is planned alike
    """Find the tables and check their columns; raises ConfigError with a line for every problem found."""
    problems = Problems()
    problems.checked(lambda: _require_ours(Folder.at(config.output.path)))
    system = problems.checked(lambda: System(config.input, "input"))
    second = config.second_system
    baseline = problems.checked(lambda: System(second, "baseline")) if second else None
    problems.raise_if_any()
    return Plan(config, system, baseline)


def evaluate(config: EvaluateConfig, limit: int | None) -> int:
    """Evaluate, write `evaluation.json` and `report.html`, and print the table; returns the exit code 0."""
    plan = make_plan(config, limit)
    folder = Folder.at(config.output.path)
    folder.filesystem.create_dir(folder.path)
    sheet_text = _sheet(folder) if config.sample else None
    if config.sample and sheet_text is None:
        _write_sheet(plan, folder, limit)
        return 0
    with terminal.working("Comparing the texts"):
        evaluation = _evaluated(plan, limit) if sheet_text is None else _estimated(plan, sheet_text, limit)
    folder.write_text(NAME, json.dumps(_document(config, evaluation), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    with terminal.working("Writing the report"):
        resolved = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        write_report(folder, evaluation, config_yaml=resolved, title=config.output.title)
    told.print_result(evaluation, config.output.path)
    return 0


def print_plan(plan: Plan) -> None:
    """Print what an evaluation of this plan would read."""
    told.print_plan(plan.config, {"input": plan.system, "baseline": plan.baseline})


def _evaluated(plan: Plan, limit: int | None) -> Evaluation:
    config = plan.config
    shown, seed = config.output.report_records, config.bootstrap.seed
    with _counting(config.workers) as counting:
        measure = partial(score, normalise=config.normalise, seed=seed, counting=counting)
        fields = config.fields and FieldScoring(config.fields, config.normalise)
        scores = measure(plan.system.batches(limit), shown=shown, sample_words=config.bleu_ter_words, fields=fields)
        baseline = measure(plan.baseline.batches(limit), shown=0, sample_words=0) if plan.baseline else None
    if not len(scores):
        raise ConfigError(f"input: nothing can be measured: {_why_nothing(scores.tally, scores.first_problem)}")
    texts = [tuple(config.normalise(text) for text in entry) for entry in scores.sample]
    return Evaluation(
        name=config.input.called,
        results=results_of(scores, config.bootstrap),
        shown=scores.shown,
        normalise=config.normalise,
        confidence=config.bootstrap.confidence,
        unit=scores.unit,
        tally=scores.tally,
        first_problem=scores.first_problem,
        refused=scores.refused,
        refusals=scores.refusals if scores.refusals.refused else None,
        translation=translation_scores(texts),
        fields=scores.fields,
        from_nothing=not config.input.column("raw_column"),
        baseline_name=plan.baseline and plan.baseline.config.called,
        comparison=compare(scores, baseline, config.bootstrap) if baseline is not None else None,
    )


@contextmanager
def _counting(workers: int) -> Iterator[Counting]:
    if workers == 1:
        yield in_process
        return
    # Late, because Ray takes a second to import and few evaluations need it.
    from ocrray.runtime import cluster, count

    with cluster.connected(count.local_cpus(workers)):
        yield count.on_ray(workers)


def _sheet(folder: Folder) -> str | None:
    """The sheet of an earlier call, None where there is none yet; raises ConfigError."""
    try:
        return folder.read_text(sheet.NAME)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"{folder.path}/{sheet.NAME}: cannot be read ({err}); save it as CSV in UTF-8") from None


def _write_sheet(plan: Plan, folder: Folder, limit: int | None) -> None:
    config = plan.config
    with terminal.working("Drawing the sample"):
        drawn = sheet.draw(plan.system.batches(limit), config.sample, config.bootstrap.seed)
    write_sheet_page(folder, drawn, title=config.output.title)
    folder.write_text(sheet.NAME, sheet.sheet_of(drawn))
    told.print_sheet(len(drawn), config.output.path)


def _estimated(plan: Plan, sheet_text: str, limit: int | None) -> Evaluation:
    config = plan.config
    truths = sheet.read_sheet(sheet_text, f"{config.output.path}/{sheet.NAME}")
    checked = sheet.checked_records(plan.system.batches(limit), truths, config.normalise)
    return Evaluation(
        name=config.input.called,
        results=estimate_of(checked, config.bootstrap),
        shown=checked.shown,
        normalise=config.normalise,
        confidence=config.bootstrap.confidence,
        unit="checked records",
        parts=checked.parts,
    )


def _why_nothing(tally: dict[str, int], problem: str | None) -> str:
    reasons = {
        "without_truth": "have no ground truth",
        "without_text": "have no raw text",
        "unreadable": f"cannot be read ({problem})",
    }
    told_reasons = [f"{tally[name]:,} records {words}" for name, words in reasons.items() if tally[name]]
    return ", ".join(told_reasons) or "there are no records"


def _document(config: EvaluateConfig, evaluation: Evaluation) -> dict[str, Any]:
    results = evaluation.results
    return {
        "ocrray_version": ocrray.__version__,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "title": config.output.title,
        "system": evaluation.name,
        "records": dict(evaluation.tally),
        "first_problem": evaluation.first_problem,
        "estimated_from": [asdict(part) for part in evaluation.parts],
        "normalisation": evaluation.normalise.described(),
        "resampled": {"units": results.units, "of": evaluation.unit, "in_lots": results.in_lots},
        "meanings": {name: figure.meaning for name, figure in FIGURES.items()},
        "overall": as_json(results.overall),
        "refused_spans": evaluation.refusals and evaluation.refusals.as_json(),
        "fields": evaluation.fields and evaluation.fields.as_json(),
        "bleu_ter": evaluation.translation and asdict(evaluation.translation),
        "by_raw_cer": _groups(results.by_raw_cer),
        "by_language": _groups(results.by_language),
        "by_source": _groups(results.by_source),
        "baseline": evaluation.baseline_name,
        "comparison": evaluation.comparison and as_json(evaluation.comparison),
        "config": config.model_dump(mode="json"),
    }


def _groups(groups: Sequence[Any]) -> list[dict[str, Any]]:
    return [as_json(group) for group in groups]


def _require_ours(folder: Folder) -> None:
    """Raise ConfigError unless the folder can be written and holds no report of something else, a run's for instance."""
    output_folder.require_writable(folder)
    names = {info.base_name for info in folder.files("")}
    if REPORT_NAME in names and NAME not in names:
        raise ConfigError(f"output.path: {folder.path} holds the report of something else; choose another folder")
