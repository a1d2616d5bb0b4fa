"""Read what the guard's scorer is fitted on: clean texts, synthesized pages, and corrections with their ground truth."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow.dataset

from ocrray.errors import ConfigError, RecordError
from ocrray.guard.evidence import NO_EVIDENCE, ExternalEvidence
from ocrray.guard.labels import LabelledCorrection
from ocrray.sources.streams import BROKEN_STREAM, TextEncoding, text_stream
from ocrray.sources.tables import forms as tables
from ocrray.sources.tables.columns import Columns
from ocrray.sources.text_files import decode
from ocrray.synth.noise import NoiseModel
from ocrray.text.confidences import spread_to_chars
from ocrray.training.guard.config import LabelledConfig

_BLOCK_BYTES = 1 << 20


class RecognizedText(NamedTuple):
    """A printed text, the text read from it, and the recognizer's confidences where there are any."""

    printed: str
    read: str
    evidence: ExternalEvidence = NO_EVIDENCE


def read_texts(paths: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Yield (file name, text) for each plain text file and each row's `text` of a table, compressed or not.

    Raises: ConfigError: when a file cannot be read, or a row has no text.
    """
    for path in paths:
        if path.name.lower().endswith(tables.EXTENSIONS):
            yield from ((path.name, text) for (text,) in _table_rows(path, ("text",), None))
        else:
            yield path.name, _whole_text(path)


def _whole_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            stream = text_stream(file, path.name, TextEncoding())
            data = b"".join(iter(lambda: stream.file.read(_BLOCK_BYTES), b""))
            text = decode(data, stream.encoding, "the file")
    except (RecordError, *BROKEN_STREAM) as error:
        raise ConfigError(f"{path}: not a clean text: {' '.join(str(error).split())}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


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
    """Yield the corrections in the tables, at most `limit` of each.

    Raises: ConfigError: when a file cannot be read or a row lacks one of the three texts.
    """
    columns = (config.ocr_column, config.corrected_column, config.gt_column)
    for path in config.paths:
        yield from (LabelledCorrection(raw, new, truth) for raw, new, truth in _table_rows(path, columns, limit))


def _table_rows(path: Path, columns: tuple[str, ...], limit: int | None) -> Iterator[tuple[str, ...]]:
    """Yield the texts of these columns of the first rows of a table; each must be there."""
    wanted = Columns(None, passthrough=columns, strings=frozenset(columns), optional=frozenset(columns))
    left = limit
    try:
        with path.open("rb") as file:
            table = tables.open_table(file, path.name, TextEncoding())
            if problem := tables.columns_problem(table, columns):
                raise ConfigError(f"{path}: {problem}")
            for batch in table.batches(wanted):
                rows = zip(*(column.to_pylist() for column in batch.passthrough), strict=True)
                for position, (number, row) in enumerate(zip(batch.numbers.tolist(), islice(rows, left), strict=False)):
                    if position in batch.problems:
                        raise ConfigError(f"{path}: row {number + 1}: {batch.problems[position][1]}")
                    if missing := [name for name, text in zip(columns, row, strict=True) if text is None]:
                        raise ConfigError(f"{path}: row {number + 1} has no {', '.join(missing)}")
                    yield row
                left = None if left is None else max(0, left - len(batch.texts))
                if left == 0:
                    return
    except (RecordError, *BROKEN_STREAM) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
