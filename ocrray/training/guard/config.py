"""Config sections that say which corrections the guard's scorer is fitted on."""

from pydantic import Field, NonNegativeInt, PositiveInt

from ocrray.config import LocalPath, StrictModel


class SyntheticConfig(StrictModel):
    """Corrections made from clean text: a noise model makes the errors, simulated and the shipped correctors correct them."""

    texts: tuple[LocalPath, ...] = Field(min_length=1)
    """Clean texts: plain text, or tables (JSON, CSV, TSV, Parquet) with a column `text`. Not those of `language`, or the
    language model would know every correct word."""
    noise: LocalPath | None = None
    """Noise model (`noise.json`) that `ocrray synthesize` fitted. null: a general one for old print."""
    pages: tuple[LocalPath, ...] = ()
    """Output folders of `ocrray synthesize` with rendered and recognized pages, which add the recognizer's confidences."""
    records: PositiveInt = 15_000
    """Excerpts to make for the simulated correctors; the shipped ones get 45 % as many more."""


class LabelledConfig(StrictModel):
    """Your own corrections with their ground truth, in tables."""

    paths: tuple[LocalPath, ...] = Field(min_length=1)
    """Tables (JSON, CSV, TSV, Parquet), a correction a row."""
    ocr_column: str = "ocr"
    """Column of the text before the correction."""
    corrected_column: str = "corrected"
    """Column of the text after the correction."""
    gt_column: str = "gt"
    """Column of the ground truth."""


class CorrectionsConfig(StrictModel):
    """Corrections to fit on."""

    language: tuple[LocalPath, ...] = ()
    """Clean texts to count n-grams and words in, in the formats of `synthetic.texts`. Empty: the language model of the default
    scorer, English print of the 19th century."""
    synthetic: SyntheticConfig | None = None
    """Corrections to make from clean text. null: none."""
    labelled: LabelledConfig | None = None
    """Corrections of your own to read. null: none."""
    seed: NonNegativeInt = 1
    """Seed of everything random in `synthetic`; the same seed gives the same files, byte for byte."""
