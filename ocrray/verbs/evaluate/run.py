"""Running `evaluate`: score the texts, or draw or read back a sheet, and write the results and the report."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import ocrray
from ocrray.errors import ConfigError
from ocrray.evaluation import sheet
from ocrray.evaluation.comparison import compare
from ocrray.evaluation.documents import DOCUMENT_METRICS
from ocrray.evaluation.evaluation import Evaluation
from ocrray.evaluation.field_scoring import FieldScoring
from ocrray.evaluation.hipe import hipe_scores
from ocrray.evaluation.panels import PANELS
from ocrray.evaluation.published_format import published_scores
from ocrray.evaluation.report import write_report
from ocrray.evaluation.results import compute_results, estimate_results, metrics_with_intervals
from ocrray.evaluation.sampling import check_sample, draw_sample
from ocrray.evaluation.scoring import CountBatches, count_in_process, score
from ocrray.evaluation.sheet_page import write_sheet_page
from ocrray.evaluation.translation import translation_scores
from ocrray.storage import Location
from ocrray.verbs import console
from ocrray.verbs.base import Result
from ocrray.verbs.evaluate.plan import NAME, EvaluateConfig, EvaluatePlan
from ocrray.verbs.evaluate.tables import result_tables, sheet_instructions


def run(plan: EvaluatePlan, folder: Location) -> Result:
    """Evaluate and write `evaluation.json` and `report.html`; with `sample`, first draw the sheet and return instructions."""
    config = plan.config
    sheet_text = _sheet(folder) if config.sample else None
    if config.sample and sheet_text is None:
        return _write_sheet(plan, folder, config.sample)
    with console.working("Comparing the texts"):
        evaluation = _evaluated(plan) if sheet_text is None else _estimated(plan, sheet_text)
    folder.write_text(NAME, json.dumps(_document(config, evaluation), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    with console.working("Writing the report"):
        write_report(folder, evaluation, config_yaml=console.as_yaml(plan.resolved()), title=config.output.title)
    return Result(result_tables(evaluation, config.output.path))


def _evaluated(plan: EvaluatePlan) -> Evaluation:
    config = plan.config
    shown, seed = config.output.report_records, config.bootstrap.seed
    has_raw_text = plan.system.raw_column is not None
    with _counting(config.workers) as counting:
        measure = partial(score, normalise=config.normalise, seed=seed, count_batches=counting, answers_only=not has_raw_text)
        scores = measure(
            plan.system.batches(plan.limit),
            report_records=shown,
            sample_words=config.bleu_ter_words,
            fields=_field_scoring(config),
        )
        baseline = None
        if plan.baseline:
            batches, fields = plan.baseline.batches(plan.limit), _field_scoring(config)
            baseline = measure(batches, report_records=0, sample_words=0, fields=fields)
    if not len(scores):
        raise ConfigError(f"input: nothing can be measured: {_why_nothing(scores.tally, scores.first_problem)}")
    documents = scores.document_scores
    sampled = scores.text_sample
    return Evaluation(
        name=config.input.label,
        results=compute_results(scores, config.bootstrap),
        normalise=config.normalise,
        confidence=config.bootstrap.confidence,
        scores=scores,
        has_raw_text=has_raw_text,
        documents=metrics_with_intervals(documents.summands(), scores.units, config.bootstrap, DOCUMENT_METRICS)
        if documents
        else None,
        translation=translation_scores([texts.normalised(config.normalise) for texts in sampled]),
        published=published_scores([texts.corrected for texts in sampled], [texts.truth for texts in sampled]),
        hipe=hipe_scores(scores, config.bootstrap) if has_raw_text else None,
        baseline_name=plan.baseline.config.label if plan.baseline else None,
        comparison=compare(scores, baseline, config.bootstrap) if baseline is not None else None,
    )


def _field_scoring(config: EvaluateConfig) -> FieldScoring | None:
    return FieldScoring(config.fields, config.normalise) if config.fields else None


@contextmanager
def _counting(workers: int) -> Iterator[CountBatches]:
    if workers == 1:
        yield count_in_process
        return
    # Late, because Ray takes a second to import and few evaluations need it.
    from ocrray.runtime import cluster, count

    with cluster.connected(count.local_cpus(workers)):
        yield count.count_on_ray(workers)


def _sheet(folder: Location) -> str | None:
    """Return the sheet of an earlier call, None where there is none yet.

    Raises: ConfigError: when it cannot be read.
    """
    try:
        return folder.read_text(sheet.NAME)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"{folder.path}/{sheet.NAME}: cannot be read ({err}); save it as CSV in UTF-8") from None


def _write_sheet(plan: EvaluatePlan, folder: Location, size: int) -> Result:
    config = plan.config
    with console.working("Drawing the sample"):
        drawn = draw_sample(plan.system.batches(plan.limit), size, config.bootstrap.seed)
    write_sheet_page(folder, drawn, title=config.output.title)
    folder.write_text(sheet.NAME, sheet.write_sheet(drawn))
    return Result([sheet_instructions(len(drawn), config.output.path)])


def _estimated(plan: EvaluatePlan, sheet_text: str) -> Evaluation:
    config = plan.config
    truths = sheet.read_sheet(sheet_text, f"{config.output.path}/{sheet.NAME}")
    checked = check_sample(plan.system.batches(plan.limit), truths, config.normalise)
    return Evaluation(
        name=config.input.label,
        results=estimate_results(checked, config.bootstrap),
        normalise=config.normalise,
        confidence=config.bootstrap.confidence,
        sample=checked,
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
    document: dict[str, Any] = {
        "ocrray_version": ocrray.__version__,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "title": config.output.title,
        "system": evaluation.name,
        "records": evaluation.tally,
        "notes": evaluation.notes,
        "normalisation": evaluation.normalise.description(),
        "resampled": {"units": results.units, "of": evaluation.unit, "in_blocks": results.in_blocks},
    }
    for panel in PANELS:
        document |= panel.as_json(evaluation)
    return document | {"config": config.model_dump(mode="json")}
