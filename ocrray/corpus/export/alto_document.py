"""An ALTO document being corrected: its strings, the order of a line's children, hyphenated words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lxml import etree

from ocrray.corpus.export.source import Source, empty_element
from ocrray.sources.ocr_files import alto
from ocrray.sources.ocr_files.alto_text import Token, box_from, join_tokens, string_token, token_of
from ocrray.sources.ocr_files.document import HYPHENS, clean
from ocrray.sources.ocr_files.xml_parse import local_name

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
        """Its text once written."""
        return self.token.text

    @property
    def token(self) -> Token:
        """Token that is read from it once written."""
        if not self.attributes and not self.is_new:
            return token_of(self.like)
        content, *place = (
            self.attributes.get(name, self.like.get(name)) for name in ("CONTENT", "HPOS", "VPOS", "WIDTH", "HEIGHT")
        )
        if self.kind == "String":
            return string_token(content or "", clean(content or ""), box_from(*place))
        return Token(self.kind, content or "-" if self.kind == "HYP" else "")


class AltoDocument:
    """Changes to the strings of a document."""

    def __init__(self, source: Source, root: etree._Element) -> None:
        self.source, self.has_spaces = source, not alto.string_gap(root)
        self._root = root
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
        if self.has_spaces:
            self._keep_a_space()
        for before, after in self.lines:
            self._write_line(before, after)
        for slot in self._slots.values():
            if slot.attributes:
                self.source.set_attributes(slot.like, slot.attributes)
                for child in slot.like:
                    if local_name(child) in _INVALIDATED and _INVALIDATED[local_name(child)] in slot.attributes:
                        self.source.remove(child)

    def _keep_a_space(self) -> None:
        """Put an SP at the end of a line where the file would lose its last one and other lines would read otherwise for it."""
        changed = {slot.like for before, _ in self.lines for slot in before}
        is_left = any(space not in changed for space in self._root.iter("{*}SP"))
        if is_left or any(slot.kind == "SP" for _, after in self.lines for slot in after):
            return
        unchanged = (alto.line_parts(line) for line in self._root.iter("{*}TextLine"))
        lines = [[token_of(part) for part in parts] for parts in unchanged if changed.isdisjoint(parts)]
        lines += [[slot.token for slot in after] for _, after in self.lines]
        if all(join_tokens(line, file_has_spaces=False) == join_tokens(line, file_has_spaces=True) for line in lines):
            return
        candidates = sorted(
            range(len(self.lines)), key=lambda index: [slot.kind for slot in self.lines[index][1]][-1:] != ["String"]
        )
        for index in candidates:
            before, after = self.lines[index]
            if string := next((slot for slot in after if slot.kind == "String"), None):
                self.lines[index] = (before, [*after, Slot(string.like, "SP", is_new=True)])
                return

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
