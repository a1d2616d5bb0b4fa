"""CSV sheet of sampled records, for a person to check in a spreadsheet or on the page beside it."""

import csv
import io
import re
from collections.abc import Sequence

from ocrray.errors import ConfigError, RecordError
from ocrray.evaluation.sampling import STRATA, SampledRecord
from ocrray.sources.streams import TextEncoding
from ocrray.sources.tables.columns import Columns, Table
from ocrray.sources.tables.forms import columns_problem, open_table

NAME = "sample.csv"
COLUMNS = ("id", "source", "stratum", "raw", "corrected", "truth", "checked")
_FORMULA = re.compile(r"'*[=+\-@]")
_ESCAPED_FORMULA = re.compile(r"'+[=+\-@]")


def write_sheet(records: Sequence[SampledRecord]) -> str:
    """Return the sheet as CSV: `truth` starts as the corrected text, for someone to correct; `checked` is empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for record in records:
        cells = (record.id, record.source, STRATA[record.stratum], record.raw, record.corrected, record.corrected, "")
        writer.writerow([_escape(cell) for cell in cells])
    return "\ufeff" + text.getvalue()  # without a byte order mark Excel does not read it as UTF-8


def read_sheet(text: str, name: str) -> dict[str, str]:
    """Return the truths of the checked rows by record id.

    Raises: ConfigError: when the table cannot be read, lacks a column, or has no checked row.
    """
    try:
        truths = _checked_rows(open_table(io.BytesIO(text.encode()), NAME, TextEncoding()), name)
    except RecordError as err:
        raise ConfigError(f"{name}: {err}") from None
    if not truths:
        raise ConfigError(f"{name}: no row is checked yet: compare each with its source, correct `truth`, fill in `checked`")
    return truths


def _checked_rows(table: Table, name: str) -> dict[str, str]:
    if problem := columns_problem(table, ("id", "truth", "checked")):
        raise ConfigError(f"{name}: {problem}")
    truths: dict[str, str] = {}
    for texts in table.batches(Columns("truth", passthrough=("id", "checked"))):
        if texts.problems:
            raise ConfigError(f"{name}: {next(iter(texts.problems.values()))[1]}")
        ids, marks = (column.to_pylist() for column in texts.passthrough)
        rows = zip(ids, texts.texts.to_pylist(), marks, strict=True)
        truths |= {_unescape(record): _unescape(truth) for record, truth, mark in rows if (mark or "").strip()}
    return truths


def _escape(cell: str) -> str:
    """Put an apostrophe before a cell that a spreadsheet would run as a formula, because the texts are untrusted."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _unescape(cell: str | None) -> str:
    cell = cell or ""
    return cell[1:] if _ESCAPED_FORMULA.match(cell) else cell
