"""Which parts of an OCR file belong to which page, and in which order elements with an index are read.

Text outside every page belongs to the page before it, or to the first one: some producers write a page as an empty element and
its blocks behind it. Of a page inside another page, the outer one holds what the inner one does not.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf
from typing import Any, Literal, NamedTuple, TypeVar

from lxml import etree

from ocrray.sources.ocr_files.document import number

T = TypeVar("T")


class Piece(NamedTuple):
    """A whole `element`, or only its `text` or `tail`."""

    element: etree._Element
    part: Literal["element", "text", "tail"]


@dataclass(frozen=True, slots=True)
class PageScope:
    """Pieces of the file outside every page that are read with one page."""

    before: list[Piece] = field(default_factory=list)
    behind: list[Piece] = field(default_factory=list)


def scope_of(page: etree._Element, find_pages: Callable[[etree._Element], list[etree._Element]]) -> PageScope:
    """Return what is read with `page`, one of the pages that `find_pages` finds."""
    return _scopes(page.getroottree().getroot(), find_pages).get(page) or PageScope()


def elements_of(page: etree._Element, scope: PageScope) -> list[etree._Element]:
    """Return the page with the whole elements that are read with it, in document order."""
    before, behind = ([piece.element for piece in side if piece.part == "element"] for side in (scope.before, scope.behind))
    return [*before, page, *behind]


# The pages of one file are read one after the other.
@lru_cache(maxsize=1)
def _scopes(
    root: etree._Element, find_pages: Callable[[etree._Element], list[etree._Element]]
) -> dict[etree._Element, PageScope]:
    pages = find_pages(root)
    found = {page: PageScope() for page in pages}
    if root in found:
        return found
    above = {ancestor for page in pages for ancestor in page.iterancestors()}
    pieces = found[pages[0]].before
    for piece in _outside(root, found.keys(), above):
        if piece.part == "element" and piece.element in found:
            pieces = found[piece.element].behind
        else:
            pieces.append(piece)
    return found


def _outside(element: etree._Element, pages: Iterable[etree._Element], above: set[etree._Element]) -> Iterator[Piece]:
    yield Piece(element, "text")
    for child in element:
        if child in above and child not in pages:
            yield from _outside(child, pages, above)
        else:
            yield Piece(child, "element")
        yield Piece(child, "tail")


def by_index(items: Iterable[T], index: Callable[[T], Any | None]) -> list[T]:
    """Sort `items` by their index, stably; one that has none (None) stays behind the item before it."""
    groups: list[tuple[Any, list[T]]] = []
    first: list[T] = []
    for item in items:
        key = index(item)
        if key is not None:
            groups.append((key, [item]))
        else:
            (groups[-1][1] if groups else first).append(item)
    groups.sort(key=lambda group: group[0])
    return first + [item for _, group in groups for item in group]


def index_from(text: str | None) -> float | None:
    """Parse an index from an attribute; None if it is missing or no finite number."""
    value = number(text)
    return value if abs(value) < inf else None
