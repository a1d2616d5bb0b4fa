"""An ALTO document being corrected: its strings, the order of a line's children, hyphenated words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lxml import etree

from ocrray.corpus.export.projection import HYPHENS
from ocrray.corpus.export.source import Source, empty_element
from ocrray.sources import alto
from ocrray.sources.xml_parse import local_name

NO_CONFIDENCE: dict[str, str | None] = {"WC": None, "CC": None}
NO_HYPHENATION: dict[str, str | None] = {"SUBS_TYPE": None, "SUBS_CONTENT": None}
_INVALIDATED = {"Glyph": "CONTENT", "Shape": "HPOS"}
"""Children of a String that no longer hold when that attribute changes."""


@dataclass(slots=True, eq=False)
class Slot:
    """A String, SP or HYP in the corrected line: the element `like` with these attributes, or a new element modelled on it."""

    like: etree._Element
    kind: str
    attributes: dict[str, str | None] = field(default_factory=dict)
    is_new: bool = False

    @property
    def text(self) -> str:
        """Its CONTENT."""
        return self.attributes.get("CONTENT", self.like.get("CONTENT")) or ""


class AltoDocument:
    """Changes to the strings of a document."""

    def __init__(self, source: Source, root: etree._Element) -> None:
        self.source, self.gap = source, alto.string_gap(root)
        references = (reference.get("REF") or "" for reference in root.iter("{*}ElementRef"))
        self._referred = {identifier for reference in references for identifier in reference.split()}
        self._slots: dict[etree._Element, Slot] = {}
        self.lines: list[tuple[Sequence[Slot], Sequence[Slot]]] = []  # before and after
        self.heads: dict[etree._Element, Slot | None] = {}  # the slot that now holds the start of a changed string
        self.tails: dict[etree._Element, Slot | None] = {}  # the slot that now holds its end
        self.unhyphenated: set[etree._Element] = set()  # strings that lost the hyphen behind them

    def slot(self, element: etree._Element) -> Slot:
        """Return the slot of an element, always the same one."""
        if element not in self._slots:
            self._slots[element] = Slot(element, local_name(element))
        return self._slots[element]

    def update_hyphenation(self, root: etree._Element) -> None:
        """Update SUBS_TYPE and SUBS_CONTENT of hyphenated words whose halves changed."""
        for first, second in _hyphenated(root):
            if first not in self.tails and second not in self.heads and first not in self.unhyphenated:
                continue
            half, other = self.tails.get(first, self.slot(first)), self.heads.get(second, self.slot(second))
            if half is None or other is None or not half.text or not other.text or first in self.unhyphenated:
                for slot in filter(None, (half, other)):
                    slot.attributes |= NO_HYPHENATION
                continue
            whole = _rejoined(first, second, half.text, other.text)
            half.attributes |= {"SUBS_TYPE": "HypPart1", "SUBS_CONTENT": whole}
            other.attributes |= {"SUBS_TYPE": "HypPart2", "SUBS_CONTENT": whole}

    def write(self) -> None:
        """Apply all changes to the source."""
        for before, after in self.lines:
            self._write_line(before, after)
        for slot in self._slots.values():
            if slot.attributes:
                self.source.set_attributes(slot.like, slot.attributes)
                for child in slot.like:
                    if local_name(child) in _INVALIDATED and _INVALIDATED[local_name(child)] in slot.attributes:
                        self.source.remove(child)

    def _write_line(self, before: Sequence[Slot], after: Sequence[Slot]) -> None:
        for slot in before:
            if slot in after:
                continue
            if slot.like.get("ID") in self._referred:  # it is referred to by a reading order
                slot.attributes = {"CONTENT": "", **NO_CONFIDENCE, **NO_HYPHENATION}
            else:
                slot.attributes.clear()
                self.source.remove(slot.like)
        if not after:
            return
        stays = next(slot for slot in after if not slot.is_new)
        start = self.source.tag(stays.like).start
        indent = self.source.indent(start)
        leading = True
        for slot in after:
            if not slot.is_new:
                place, leading = self.source.end(slot.like), False
            elif leading:
                self.source.splice(start, start, self._start_tag(slot) + indent)
            else:
                self.source.splice(place, place, indent + self._start_tag(slot))

    def _start_tag(self, slot: Slot) -> str:
        tag = self.source.start_tag(slot.like, slot.attributes)
        if slot.kind == "SP":
            name = self.source.tag(slot.like).name
            tag = empty_element(name.removesuffix("String") + "SP", slot.attributes)
        return tag if tag.endswith("/>") else f"{tag[:-1]}/>"


def _hyphenated(root: etree._Element) -> Iterator[tuple[etree._Element, etree._Element]]:
    """Yield the two halves of each word that is marked as hyphenated."""
    first = None
    for string in root.iter("{*}String"):
        part = string.get("SUBS_TYPE")
        if part == "HypPart1":
            first = string
        elif part == "HypPart2" and first is not None:
            yield first, string
            first = None


def _rejoined(first: etree._Element, second: etree._Element, half: str, other: str) -> str:
    """Return the whole word of two new halves, with the characters that the file put between the old ones."""
    whole = first.get("SUBS_CONTENT") or ""
    old_half, old_other = (first.get("CONTENT") or "").rstrip(HYPHENS), second.get("CONTENT") or ""
    middle = whole[len(old_half) : len(whole) - len(old_other)]
    if whole != old_half + middle + old_other:
        middle = ""
    return half.rstrip(HYPHENS) + middle + other
