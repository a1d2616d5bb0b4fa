"""Config sections `pages` and `noise` of `synthesize`."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ocrray.config import LocalPath, StrictModel
from ocrray.engines.registry import RecognizeConfig
from ocrray.engines.tesseract import TesseractConfig


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"{bounds[0]} to {bounds[1]}: the minimum comes first")
    return bounds


CharsRange = Annotated[tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(le=100_000)]], AfterValidator(_ascending)]
SeverityRange = Annotated[tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(le=1)]], AfterValidator(_ascending)]


PAGE_SEGMENTATION: dict[str, Literal[6, 7]] = {"page": 6, "line": 7}
"""Tesseract's `--psm` for each unit: one block of text, one line."""


class PagesConfig(StrictModel):
    """Text rendered in a period font, degraded like an old scan, and recognized by an OCR engine."""

    count: int = Field(ge=1)
    """Number of pairs to make; dropped pages count too."""
    script: Literal["latin", "devanagari"] = "latin"
    """Script of the installed fonts to use; `ocrray/synth/render.py` lists the fonts and their Debian packages."""
    fonts: tuple[LocalPath, ...] = ()
    """Font files to use instead of those of `script`: your own, or of another script that runs from left to right. They must
    exist under the same path on every machine."""
    languages: list[Annotated[str, Field(pattern=r"^[A-Za-z]\w*(/\w+)?$")]] = Field(default=["eng"], min_length=1)
    """Languages to recognize, by their Tesseract names."""
    recognize: RecognizeConfig | None = None
    """Engine to recognize with, as in `restore`; null: Tesseract with `languages`, for one block of text or one line."""
    unit: Literal["page", "line"] = "page"
    """Extent of a pair: a page (or newspaper column), or one line."""
    chars: CharsRange | None = None
    """Minimum and maximum characters of a pair; null: 400 to 1,200 for a page, 25 to 80 for a line."""
    severity: SeverityRange = (0.0, 1.0)
    """Minimum and maximum damage, 0..1."""
    max_cer: float = Field(0.3, gt=0)
    """Maximum character error rate of a pair; pages above it (mostly errors of layout analysis) are dropped and counted."""
    keep_images: bool = False
    """Keep the scans, as `images/**/*.png` with their texts in `lines.csv`."""

    @model_validator(mode="after")
    def _languages_once(self) -> Self:
        if self.recognize and "languages" in self.model_fields_set:
            raise ValueError("set the languages in pages.recognize and leave out pages.languages")
        return self

    @property
    def recognizer(self) -> tuple[str, RecognizeConfig]:
        """Config section and config of the recognizer."""
        if self.recognize:
            return "pages.recognize", self.recognize
        return "pages", TesseractConfig(languages=self.languages, page_segmentation=PAGE_SEGMENTATION[self.unit])

    @property
    def char_range(self) -> tuple[int, int]:
        """`chars`, or the default range of the unit."""
        return self.chars or ((400, 1200) if self.unit == "page" else (25, 80))


class FitConfig(StrictModel):
    """Your own aligned pairs to fit the noise model on: tables with two text columns."""

    paths: list[str] = Field(min_length=1)
    """Files, folders or globs of tables."""
    ocr_column: str = "ocr"
    """Column of the OCR text."""
    gt_column: str = "gt"
    """Column of the ground truth."""


class NoiseConfig(StrictModel):
    """Text with errors of a noise model, which is fitted on `fit`, loaded from `model`, or fitted on the `pages` of this run."""

    count: int = Field(ge=1)
    """Number of pairs to make."""
    fit: FitConfig | None = None
    """Pairs to fit the noise model on; null: `model`, or the `pages` of this run."""
    model: LocalPath | None = None
    """`noise.json` of another run; null: fit a model."""
    chars: CharsRange = (300, 1500)
    """Minimum and maximum characters of a pair."""
    median_cer: float = Field(0.05, gt=0, lt=1)
    """Median of the log-normal distribution from which the character error rate of each pair is drawn."""
    cer_spread: float = Field(0.7, ge=0)
    """Standard deviation of the logarithm of that character error rate."""
    max_cer: float = Field(0.3, gt=0, lt=1)
    """Upper limit of that character error rate."""
    clean_frac: float = Field(0.2, ge=0, le=1)
    """Fraction of pairs without errors (0..1), from which a corrector learns to leave good text unchanged."""
    vary: bool = True
    """Vary the typesetting at random: quotation marks, line breaks, and (English) figures and capitals."""

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if self.fit and self.model:
            raise ValueError("the noise model is either fitted (fit) or loaded (model)")
        return self
