"""Files of one scanned document: one ALTO, PAGE or hOCR file a page, one PDF a document.

METS names a file a page, and PAGE has one page a file by its schema; hOCR follows them. Readers open a PDF as a whole.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from types import ModuleType
from typing import Literal, NamedTuple

import ocrray
from ocrray.corpus.export.documents import Document, DocumentPage
from ocrray.corpus.export.projection import collapsed, corrected_lines
from ocrray.corpus.export.scans import alto, hocr, page_xml
from ocrray.corpus.export.scans.page import ScanPage, Step, blocks_of
from ocrray.corpus.export.scans.words import placed_line
from ocrray.errors import RecordError
from ocrray.records import Line, Word
from ocrray.sources.kinds import KINDS, image_format_of
from ocrray.sources.ocr_files import markup
from ocrray.storage import Location

ScanFormat = Literal["alto", "page", "hocr", "pdf"]
_PAGE_WRITERS: dict[str, ModuleType] = {"alto": alto, "page": page_xml, "hocr": hocr}

WriteFile = Callable[[str, bytes], None]


class WrittenFiles(NamedTuple):
    """Files written for one document in one format."""

    name: str | None
    """Of the file, or of the folder that holds a file for each page; None where nothing is written."""
    files: int
    changed_lines: int


@dataclass(frozen=True, slots=True)
class Scan:
    """A scanned document with the content of its file, and the limits within which it was read."""

    document: Document
    data: bytes
    finished: datetime
    max_pixels: int
    jpeg_quality: int | None = None

    def page(self, number: int) -> tuple[ScanPage, int]:
        """Return a page (0-based) with its corrections, and the number of corrected lines.

        Raises: RecordError: `other_text` when the corrections are not of its text, and as `measure_page`.
        """
        row = self.document.pages[number]
        size = image_format_of(self.data).measure_page(self.data, number, self.document.uri, self.max_pixels)
        lines = _lines(row)
        try:
            texts = corrected_lines([line.text for line in lines], self.document.edits.get(number, []))
        except ValueError as err:
            raise RecordError(f"page {number + 1}: {err}: restore it again", kind="other_text") from None
        placed = [placed_line(line, text) for line, text in zip(lines, texts, strict=True)]
        changed = sum(collapsed(line.text) != new.text for line, new in zip(lines, placed, strict=True))
        page = ScanPage(
            file_name=Location.at(self.document.uri).name,
            content_hash=self.document.content_hash or "",
            number=number,
            width=size.width,
            height=size.height,
            dpi=size.dpi,
            blocks=blocks_of(placed),
            steps=list(_steps(row)),
            finished=self.finished,
        )
        return page, changed


def write_scan(scan: Scan, kind: ScanFormat, name: str, write: WriteFile) -> WrittenFiles:
    """Write the files of one format, `name` being the scan's relative path; `write` gets their paths and contents.

    Each ALTO, PAGE and hOCR file is read again to verify it. Pages that have no text because they failed get no such file, and no
    text layer.

    Raises: RecordError: the first page's error, after the other pages are written; `not_written` for a file that reads otherwise.
    """
    return _write_pdf(scan, name, write) if kind == "pdf" else _write_pages(scan, kind, name, write)


def _write_pages(scan: Scan, kind: str, name: str, write: WriteFile) -> WrittenFiles:
    writer = _PAGE_WRITERS[kind]
    several = scan.document.records > 1
    files = changed_lines = 0
    problem: RecordError | None = None
    for number in sorted(number for number, row in scan.document.pages.items() if row.has_text):
        try:
            page, changed = scan.page(number)
            data: bytes = writer.write(page)
            _check(kind, data, page)
        except RecordError as err:
            problem = problem or err
            continue
        path = f"{name}/{number + 1:04}" if several else name
        write(f"{kind}/{path}.{writer.EXTENSION}", data)
        files += 1
        changed_lines += changed
    if problem:
        raise problem
    return WrittenFiles(f"{kind}/{name}" if several else f"{kind}/{name}.{writer.EXTENSION}", files, changed_lines)


def _check(kind: str, data: bytes, page: ScanPage) -> None:
    read = [line.text.split() for line in markup.read_page(kind, data, 0).lines]
    if read != [line.text.split() for line in page.lines if line.text.split()]:
        raise RecordError(f"page {page.number + 1}: it does not read as corrected once written as {kind}", kind="not_written")


def _write_pdf(scan: Scan, name: str, write: WriteFile) -> WrittenFiles:
    from ocrray.corpus.export.scans import pdf  # late, because pypdf takes 0.2 s to import and a config needs none of it

    source = pdf.PdfSource(scan.data, scan.document.uri, scan.max_pixels, scan.jpeg_quality)
    is_pdf = KINDS[scan.document.kind].has_text_layer
    pages: dict[int, ScanPage | None] = {}
    changed_lines = 0
    for number, row in scan.document.pages.items():
        pages[number] = None
        if row.has_text and not (is_pdf and not row.recognizer):  # a page read from its own text layer keeps that
            pages[number], changed = scan.page(number)
            changed_lines += changed
    data = pdf.update_pdf(source, pages) if is_pdf else pdf.write_images(source, pages)
    path = f"pdf/{name if is_pdf and name.lower().endswith('.pdf') else f'{name}.pdf'}"
    write(path, data)
    return WrittenFiles(path, 1, changed_lines)


def _lines(row: DocumentPage) -> list[Line]:
    """Return the lines of a page; those of its raw text, without boxes, where the engine gave no lines."""
    lines, raw_text = row.lines(), row.raw_text() or ""
    if not lines or "\n".join(line["text"] for line in lines) != raw_text:
        return [Line(text) for text in raw_text.split("\n")]
    return [Line(**{**line, "words": [Word(**word) for word in line["words"] or ()]}) for line in lines]


def _steps(row: DocumentPage) -> Iterator[Step]:
    engine, _, model = (row.recognizer or "").partition(" ")
    if engine == "tesseract":  # engine, languages, version
        languages, _, version = model.rpartition(" ")
        yield Step("recognition", engine, version, languages)
    elif engine:
        yield Step("recognition", "ocrray", ocrray.__version__, f"{engine} {model}".strip())
    else:
        yield Step("recognition", "text layer of the file", "", "")
    if row.corrector:
        yield Step("correction", "ocrray", ocrray.__version__, row.corrector)
