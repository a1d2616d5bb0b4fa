"""Config of `restore`: one complete run."""

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from ocrray.config import StrictModel
from ocrray.corpus.export.corpus import ExportConfig
from ocrray.corpus.replay import Selection
from ocrray.engines.extract import ExtractConfig
from ocrray.engines.registry import CorrectConfig, RecognizeConfig
from ocrray.engines.tagger import RouteConfig, TaggerConfig
from ocrray.engines.tesseract import TesseractConfig
from ocrray.guard import GuardConfig
from ocrray.prompts.fields import FieldSchema
from ocrray.runtime.resources import WorkersConfig
from ocrray.sources.input import InputConfig
from ocrray.verbs.output import OutputConfig


class RestoreConfig(StrictModel):
    """One complete run of `ocrray restore`."""

    input: InputConfig
    """Input of the run."""
    recognize: RecognizeConfig | None = TesseractConfig()
    """Engine that recognizes the text of scans; null for input that is text."""
    route: RouteConfig | None = None
    """Tagger that reads every record first and sends only the doubtful ones to the language model of `correct`; null: none."""
    correct: CorrectConfig | None = TaggerConfig(engine="tagger")
    """Engine that corrects the text; null: no correction."""
    extract: ExtractConfig | None = None
    """Extract fields from the text instead of correcting it, without the guard; null: no extraction."""
    guard: GuardConfig | None = GuardConfig()
    """Check that accepts or refuses each correction; null: all are accepted."""
    dehyphenate: bool = False
    """Write the column `dehyphenated_text` too: the corrected text with words that are divided at line ends made whole, by what
    the file says of them and otherwise by a careful rule. All other columns keep the lines as printed."""
    output: OutputConfig
    """Location of the corpus."""
    export: ExportConfig | None = None
    """Corrected copies of the ALTO, PAGE and hOCR files that the text came from, and new files of scans; a finished run can be
    exported later."""
    replay: list[str] = Field(default_factory=list)
    """Records of the earlier run in `output.path` to process again, in place, by their outcome: a status (`failed`, `kept_raw`),
    a kind of error, or `COLUMN=VALUE` with `status`, `error_kind`, `failed_stage`, `guard_reason`, `warnings`; one term or more.
    Engines, models and other settings may differ from the first run's; the rows replaced are kept in `<output>/history`."""
    update: bool = False
    """Take in what has changed in the input since the earlier run in `output.path`: new records are added, changed ones processed
    again in place, and those that are gone marked (column `gone`). Where engines, models or other settings have changed too, all
    records are processed again. Rows replaced are kept in `<output>/history`."""
    workers: WorkersConfig = WorkersConfig()
    """Processes and their CPUs and GPUs."""
    max_failed_frac: float = Field(0.01, ge=0, le=1)
    """Maximum fraction of failed records (0..1); above it the exit code is 1."""

    @field_validator("replay", mode="before")
    @classmethod
    def _one_term_or_more(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("replay")
    @classmethod
    def _known_terms(cls, terms: list[str]) -> list[str]:
        Selection.parse(terms)
        return terms

    @model_validator(mode="after")
    def _one_pass(self) -> Self:
        if self.replay and self.update:
            raise ValueError("replay and update are passes of their own: set one of them, then the other")
        return self

    @model_validator(mode="after")
    def _one_rewrites(self) -> Self:
        if self.extract and self.correct:
            raise ValueError("extract reads uncorrected text: set correct: null as well")
        return self

    @model_validator(mode="after")
    def _fields_are_read_once(self) -> Self:
        if self.recognize and self.recognize.page_fields and (self.correct or self.extract or self.export):
            raise ValueError(
                "recognize.output: json makes fields of pages, and no text to correct, extract from or export: "
                "set correct: null, and leave out extract and export"
            )
        return self

    @property
    def page_fields(self) -> FieldSchema | None:
        """Schema of the fields that records get, from their text or their page; None without fields."""
        if self.extract:
            return self.extract.fields
        return self.recognize.page_fields if self.recognize else None

    @model_validator(mode="after")
    def _route_leads_somewhere(self) -> Self:
        if self.route and not self.correct:
            raise ValueError("route sends records to the engine of correct: set correct, or leave out route")
        if self.route and isinstance(self.correct, TaggerConfig) and self.correct.model == self.route.model:
            raise ValueError("route and correct use the same tagger: set a language model in correct")
        return self

    @model_validator(mode="after")
    def _export_is_of_corrections(self) -> Self:
        if self.extract and self.export:
            raise ValueError("export writes corrections back into files, and extract makes none: leave one of them out")
        return self

    @model_validator(mode="after")
    def _back_is_the_text(self) -> Self:
        back = self.extract and self.extract.columns.back
        if back and (self.input.image_column or self.input.text_column not in (None, back)):
            raise ValueError("extract.columns.back is the text of a record: leave out input.text_column and input.image_column")
        return self
