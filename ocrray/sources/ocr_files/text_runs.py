"""Text of an XML page in the order of the file, cut where an element begins or ends that is more than a part of a line."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from lxml import etree

from ocrray.sources.ocr_files.page_scope import PageScope, Piece


@dataclass(slots=True)
class TextRun:
    """Consecutive text of one element: its own text, and elements in it that are parts of a line."""

    element: etree._Element
    pieces: list[str | etree._Element] = field(default_factory=list)


def runs_with_scope(
    page: etree._Element,
    scope: PageScope,
    is_part: Callable[[etree._Element], bool],
    is_skipped: Callable[[etree._Element], bool] = lambda _: False,
) -> Iterator[TextRun]:
    """Yield the text of a page, and of what is read with it, as `text_runs`."""
    for piece in (*scope.before, Piece(page, "element"), *scope.behind):
        if piece.part != "element":
            text = (piece.element.text if piece.part == "text" else piece.element.tail) or ""
            if text.strip():
                yield TextRun(piece.element, [text])
        elif is_part(piece.element):
            yield TextRun(piece.element, [piece.element])
        elif not is_skipped(piece.element):
            yield from text_runs(piece.element, is_part, is_skipped)


def text_runs(
    page: etree._Element,
    is_part: Callable[[etree._Element], bool],
    is_skipped: Callable[[etree._Element], bool] = lambda _: False,
) -> Iterator[TextRun]:
    """Yield the text of a page; an element that `is_part` is one piece with all that is in it, one that is skipped has no text.

    A run has at least one piece. A skipped element does not cut.
    """
    run = TextRun(page)
    if (page.text or "").strip():
        run.pieces.append(page.text or "")
    for child in page:
        if is_part(child):
            run.pieces.append(child)
        elif not is_skipped(child):
            if run.pieces:
                yield run
                run = TextRun(page)
            yield from text_runs(child, is_part, is_skipped)
        if (child.tail or "").strip():
            run.pieces.append(child.tail or "")
    if run.pieces:
        yield run
