"""Config sections `pages` and `noise` of `synthesize`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ocrray.config import StrictModel
from ocrray.engines.registry import RecognizeConfig
from ocrray.engines.tesseract import TesseractConfig


def _rising(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"{bounds[0]} to {bounds[1]}: the least comes first")
    return bounds


CharsRange = Annotated[tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(le=100_000)]], AfterValidator(_rising)]
SeverityRange = Annotated[tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(le=1)]], AfterValidator(_rising)]


PAGE_SEGMENTATION: dict[str, Literal[6, 7]] = {"page": 6, "line": 7}
"""Tesseract's `--psm` for each unit: one block of text, one line."""


class PagesConfig(StrictModel):
    """Text set in period type, damaged like old print and old scans, and recognized again by Tesseract."""

    count: int = Field(ge=1)
    script: Literal["latin", "devanagari"] = "latin"
    """Which type it is set in; `ocrray/synth/render.py` lists the fonts and their Debian packages."""
    fonts: tuple[Path, ...] = ()
    """Font files, in the place of those that `script` stands for: for type of your own, or another script that runs from left to
    right. They must lie at the same place on every machine."""
    languages: list[Annotated[str, Field(pattern=r"^[A-Za-z]\w*(/\w+)?$")]] = Field(default=["eng"], min_length=1)
    """Tesseract's names of the languages to recognize with."""
    recognize: RecognizeConfig | None = None
    """Engine to recognize with, as in `restore`; null: Tesseract with `languages`, for one block of text or one line."""
    unit: Literal["page", "line"] = "page"
    """Whether a pair is a page (or newspaper column), or one line."""
    chars: CharsRange | None = None
    """Least and most characters of a pair; null: 400 to 1,200 of a page, 25 to 80 of a line."""
    severity: SeverityRange = (0.0, 1.0)
    """Least and most damage, of 0..1."""
    max_cer: float = Field(0.3, gt=0)
    """A page that is read worse than this (the layout, as a rule, and not its letters) is dropped, and counted."""
    keep_images: bool = False
    """Whether the scans stay, as `images/**/*.png` with their texts in `lines.csv`."""

    @model_validator(mode="after")
    def _languages_once(self) -> Self:
        if self.recognize and "languages" in self.model_fields_set:
            raise ValueError("languages are those of recognize: leave out pages.languages")
        return self

    @property
    def recognizer(self) -> tuple[str, RecognizeConfig]:
        """Config section and config of the recognizer."""
        if self.recognize:
            return "pages.recognize", self.recognize
        return "pages", TesseractConfig(languages=self.languages, page_segmentation=PAGE_SEGMENTATION[self.unit])

    @property
    def char_range(self) -> tuple[int, int]:
        """`chars`, or what suits the unit."""
        return self.chars or ((400, 1200) if self.unit == "page" else (25, 80))


class FitConfig(StrictModel):
    """Aligned pairs of your own, from which the noise model learns what is misread as what: tables with two text columns."""

    paths: list[str] = Field(min_length=1)
    ocr_column: str = "ocr"
    gt_column: str = "gt"


class NoiseConfig(StrictModel):
    """Text with the errors of a noise model: fitted on `fit`, or loaded from `model`, or else fitted on this run's own pages."""

    count: int = Field(ge=1)
    fit: FitConfig | None = None
    model: Path | None = None
    """The `noise.json` of another run."""
    chars: CharsRange = (300, 1500)
    """Least and most characters of a pair."""
    median_cer: float = Field(0.05, gt=0, lt=1)
    """The share of wrong characters is drawn anew for every pair, from a log-normal distribution with this median ..."""
    cer_spread: float = Field(0.7, ge=0)
    """... and this standard deviation of its logarithm."""
    max_cer: float = Field(0.3, gt=0, lt=1)
    """No pair is asked to have a larger share than this."""
    clean_frac: float = Field(0.2, ge=0, le=1)
    """So many pairs have no errors at all, so that a corrector learns to leave good text alone."""
    vary: bool = True
    """Set the text as other printers and transcribers might: quotation marks, line ends, and (English) figures and capitals."""

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if self.fit and self.model:
            raise ValueError("the noise model is either fitted (fit) or loaded (model)")
        return self
