"""Read what the guard's scorer is fitted on: clean texts, synthesized pages, and corrections with their ground truth."""

import gzip
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow.dataset

from ocrray.errors import ConfigError
from ocrray.guard.evidence import NO_EVIDENCE, ExternalEvidence
from ocrray.guard.labels import LabelledCorrection
from ocrray.synth.noise import NoiseModel
from ocrray.text.confidences import spread_to_chars
from ocrray.training.guard.config import LabelledConfig


class RecognizedText(NamedTuple):
    """A printed text, the text read from it, and the recognizer's confidences where there are any."""

    printed: str
    read: str
    evidence: ExternalEvidence = NO_EVIDENCE


def read_texts(paths: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Yield (file name, text) for each plain text file and each line's `text` of a JSONL file, gzipped or not.

    Raises: ConfigError: when a file cannot be read.
    """
    for path in paths:
        try:
            with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
                if ".jsonl" in path.name:
                    yield from ((path.name, json.loads(line)["text"]) for line in file)
                else:
                    yield path.name, file.read()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}: not a clean text: {_reason(error)}") from None


def read_noise(path: Path | None) -> NoiseModel:
    """Load a fitted noise model, or return the general one for None."""
    return NoiseModel.load(path) if path else NoiseModel.fit(())


def read_pages(folders: Sequence[Path]) -> Iterator[RecognizedText]:
    """Yield the pages in the output folders of `ocrray synthesize`.

    Raises: ConfigError: when a folder holds no such pages.
    """
    for folder in folders:
        try:
            pages = pyarrow.dataset.dataset(folder / "data").to_table(filter=pyarrow.dataset.field("kind") == "page")
            rows = pages.select(["gt", "ocr", "word_confidences"]).to_pylist()
        except (OSError, pyarrow.ArrowException, KeyError) as error:
            raise ConfigError(f"{folder}: not an output folder of `ocrray synthesize`: {_reason(error)}") from None
        for row in rows:
            evidence = ExternalEvidence(spread_to_chars(row["ocr"], row["word_confidences"]))
            yield RecognizedText(row["gt"], row["ocr"], evidence)


def read_labelled(config: LabelledConfig, limit: int | None = None) -> Iterator[LabelledCorrection]:
    """Yield the corrections in the JSONL files, at most `limit` of each.

    Raises: ConfigError: when a file cannot be read or a line lacks one of the three texts.
    """
    columns = (config.ocr_column, config.corrected_column, config.gt_column)
    for path in config.paths:
        try:
            with path.open(encoding="utf-8") as file:
                for number, line in enumerate(islice(file, limit), 1):
                    texts = [json.loads(line)[column] for column in columns]
                    if not all(isinstance(text, str) for text in texts):
                        raise TypeError(f"line {number}: {', '.join(columns)} are not all texts")
                    yield LabelledCorrection(*texts)
        except KeyError as error:
            raise ConfigError(f"{path}: line {number} has no {error}") from None
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(f"{path}: not a JSONL file of corrections: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
