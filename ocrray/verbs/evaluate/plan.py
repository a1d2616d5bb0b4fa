"""Planning `evaluate`: its config, and the checks of the tables that it reads."""

from dataclasses import dataclass
from typing import Self

from pydantic import Field, model_validator

from ocrray.config import StrictModel
from ocrray.errors import ConfigError, Problems
from ocrray.evaluation.bootstrap import BootstrapConfig
from ocrray.evaluation.field_scoring import FieldsConfig
from ocrray.evaluation.inputs import System, SystemConfig
from ocrray.evaluation.normalisation import Normalisation
from ocrray.evaluation.report import NAME as REPORT_NAME
from ocrray.storage import Location, LocationPath
from ocrray.verbs import output
from ocrray.verbs.base import Plan
from ocrray.verbs.console import Rows
from ocrray.verbs.evaluate.tables import system_rows

NAME = "evaluation.json"


class EvaluationOutputConfig(StrictModel):
    """Location of `evaluation.json` and `report.html`."""

    path: LocationPath
    """A local folder or a URI (`s3://`, `gs://`)."""
    title: str = "Evaluation"
    """Title of the report."""
    report_records: int = Field(5_000, ge=0, le=50_000)
    """Number of records in the report, with their texts: those made worst, refused ones, and others at random."""


class EvaluateConfig(StrictModel):
    """One complete run of `ocrray evaluate`."""

    input: SystemConfig
    """The system to measure: a finished run, or tables."""
    baseline: SystemConfig | None = None
    """Second system to compare with, record by record; without run and paths: other columns of the input. Null: no comparison."""
    sample: int | None = Field(None, ge=10, le=100_000)
    """For records without ground truth: number of records to draw onto a sheet, `sample.csv`; once checked, it is read back."""
    normalise: Normalisation = Normalisation()
    """Normalisation of texts before they are compared."""
    fields: FieldsConfig | None = None
    """Score fields one by one, in answers (JSON objects, or lines of `name: value`) or in a run with `extract`; null: texts."""
    bootstrap: BootstrapConfig = BootstrapConfig()
    """Estimation of confidence intervals."""
    bleu_ter_words: int = Field(20_000, ge=0)
    """Total number of words of the random records that BLEU and TER are computed on; TER takes seconds per 10,000 words."""
    workers: int = Field(1, ge=1)
    """Processes that compare texts, on Ray, here or in the cluster; 1: this process alone, some thousands of lines a second."""
    output: EvaluationOutputConfig
    """Location of the results."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.sample and self.fields:
            raise ValueError("sample: fields cannot be estimated from a sheet; they need ground truth")
        if self.sample and self.baseline:
            raise ValueError("sample: an estimate has no baseline; evaluate the other system by itself")
        for key, system in (("input", self.input), ("baseline", self.second_system)):
            if system:
                try:
                    system.require_complete(raw=bool(self.sample), truth=not self.sample)
                except ValueError as error:
                    raise ValueError(f"{key}: {error}") from None
        return self

    @property
    def second_system(self) -> SystemConfig | None:
        """Return the baseline, with every key that it does not set taken from `input`."""
        if not self.baseline:
            return None
        given = {name: getattr(self.baseline, name) for name in self.baseline.model_fields_set}
        if self.baseline.run or self.baseline.paths:
            return self.baseline
        return self.input.model_copy(update={"name": None} | given)


Config = EvaluateConfig


@dataclass(frozen=True, kw_only=True)
class EvaluatePlan(Plan):
    """Tables that will be read."""

    config: EvaluateConfig
    limit: int | None
    system: System
    baseline: System | None

    def rows(self) -> Rows:
        return system_rows({"input": self.system, "baseline": self.baseline})


def make_plan(config: EvaluateConfig, limit: int | None, problems: Problems, *, dry_run: bool) -> EvaluatePlan:  # noqa: ARG001 - it writes nothing
    """Find the tables and check their columns.

    Raises: ConfigError: with one line for each problem.
    """
    problems.checked(_require_own_report, Location.at(config.output.path))
    documents = config.fields is not None
    system = problems.checked(System, config.input, "input", documents=documents)
    second = config.second_system
    baseline = problems.checked(System, second, "baseline", documents=documents) if second else None
    problems.raise_if_any()
    assert system is not None
    return EvaluatePlan(config=config, limit=limit, system=system, baseline=baseline, settings={})


def _require_own_report(folder: Location) -> None:
    """Check that the folder can be written and holds no report of something else, for instance of a `restore` run.

    Raises: ConfigError: when it does not.
    """
    output.require_writable(folder)
    names = {info.base_name for info in folder.files("")}
    if REPORT_NAME in names and NAME not in names:
        raise ConfigError(f"output.path: {folder.path} holds the report of something else; choose another folder")
