"""Write the corrections of its pages into one file, and read it again to verify them."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from types import ModuleType
from typing import Any, NamedTuple

from ocrray.corpus.export import alto, hocr, page_xml
from ocrray.corpus.export.history import ProcessingStep
from ocrray.corpus.export.projection import collapsed, corrected_lines
from ocrray.corpus.export.source import Source
from ocrray.errors import RecordError
from ocrray.records import Edit
from ocrray.sources.compression import compression_of, unpacked
from ocrray.sources.kinds import KINDS
from ocrray.sources.ocr_files import markup
from ocrray.sources.ocr_files.xml_parse import MAX_BYTES

WRITERS: dict[str, ModuleType] = {"alto": alto, "page": page_xml, "hocr": hocr}
"""Writer of each kind that `sources.kinds` calls exported."""


class Written(NamedTuple):
    """Bytes of the corrected file and the number of changed lines."""

    data: bytes
    changed_lines: int


def write_document(kind: str, data: bytes, edits: Mapping[int, Sequence[Edit]], step: ProcessingStep) -> Written:
    """Apply `edits` (by 0-based page index) to the file `data`; return `data` itself when no line changes.

    Edits refer to a page's text, its lines joined by line feeds. A compressed file stays compressed.

    Raises: RecordError: as `markup.pages`; `missing_page`; `other_text` when the edits do not belong to the file's text;
        `not_traceable` when its elements cannot be located in its bytes; `not_written` when the result reads otherwise.
    """
    stored, compression = data, compression_of(data)
    data = unpacked(data, MAX_BYTES)
    pages = markup.pages(kind, data)
    writer = WRITERS[kind]
    changes: list[tuple[Any, str, str]] = []  # each writer has its own type of place
    expected: dict[int, list[str]] = {}
    for number, page_edits in sorted(edits.items()):
        if not 0 <= number < len(pages):
            raise RecordError(f"there is no page {number + 1}: the file has {len(pages)}", kind="missing_page")
        lines = writer.read_lines(pages[number])
        try:
            corrected = corrected_lines([text for _, text in lines], page_edits)
        except ValueError as err:
            changed = "the file has changed since it was read, or was read by another version of ocrray: restore it again"
            raise RecordError(f"page {number + 1}: {err}: {changed}", kind="other_text") from None
        here = [(place, old, new) for (place, old), new in zip(lines, corrected, strict=True) if collapsed(old) != collapsed(new)]
        changes += here
        if here:
            expected[number] = corrected
    if not changes:
        return Written(stored, 0)
    root = pages[0].getroottree().getroot()
    source = Source.of(data, root, is_html=KINDS[kind].is_html)
    writer.write(source, root, changes, step)
    written = source.written()
    for number, lines in expected.items():
        _check(kind, written, number, lines)
    return Written(compression.compress(written) if compression else written, len(changes))


def _check(kind: str, data: bytes, page: int, expected: Sequence[str]) -> None:
    try:
        read = [collapsed(line.text) for line in markup.read_page(kind, data, page).lines]
    except RecordError as err:
        raise RecordError(f"what was written cannot be read: {err}", kind="not_written") from None
    wanted = [collapsed(line) for line in expected if line]
    if read != wanted:
        line = [got != want for got, want in zip_longest(read, wanted)].index(True) + 1
        raise RecordError(f"page {page + 1}: line {line} does not read as corrected once written", kind="not_written")
