"""Text of an ALTO line: where the spaces between its Strings are, and hyphens that are written twice."""

from collections.abc import Sequence
from typing import NamedTuple

from lxml import etree

from ocrray.sources.ocr_files.document import HYPHENS, clean, number
from ocrray.sources.ocr_files.xml_parse import local_name

_SPACE_PER_CHARACTER = 0.3
"""Narrowest gap between two words, in mean widths of a character; tight print has half a width, separate marks 0.1 to 0.2."""
_SPACE_PER_SPACE = 1.0
"""The same in widths of the narrowest space that the line writes as SP."""
_SPACE_PER_MARK = 1.5
"""Narrowest gap before a closing or behind an opening mark, in mean widths of a character."""
_OPENING = set("([{«„‘“")
_CLOSING = set(",.;:!?)]}»”’›%")


class Token(NamedTuple):
    """String, SP or HYP of a line (its `kind`): its text, empty for SP, and its box (left, top, right, bottom) if it has one."""

    kind: str
    text: str
    box: tuple[float, float, float, float] | None = None
    space_before: bool = False  # white space at the ends of the CONTENT of a String
    space_behind: bool = False


def token_of(element: etree._Element, *, with_box: bool = True) -> Token:
    """Return the token of a String, SP or HYP element, without its box where that is not needed."""
    kind = local_name(element)
    if kind == "String":
        place = box_from(*(element.get(name) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT"))) if with_box else None
        return string_token(element.get("CONTENT") or "", string_text(element), place)
    return Token(kind, element.get("CONTENT") or "-" if kind == "HYP" else "")


def string_token(content: str, text: str, place: tuple[float, float, float, float] | None) -> Token:
    """Return the token of a String with this CONTENT, whose text is `text`; one of white space only stands for an SP."""
    if content and not text:
        return Token("SP", "")
    return Token("String", text, place, content[:1].isspace(), content[-1:].isspace())


def string_text(string: etree._Element) -> str:
    """Return the text of a String: its CONTENT, else that of its glyphs, else its own text, which no version allows."""
    if text := clean(string.get("CONTENT") or ""):
        return text
    glyphs = "".join(glyph.get("CONTENT") or "" for glyph in string.iterchildren("{*}Glyph"))
    return clean(glyphs) or clean(string.text or "")


def box_from(
    left: str | None, top: str | None, width: str | None, height: str | None
) -> tuple[float, float, float, float] | None:
    """Return the box of these attributes; None where one is missing or no number, or the box is empty."""
    x, y, wide, high = (number(value) for value in (left, top, width, height))
    return (x, y, x + wide, y + high) if wide > 0 and high > 0 and abs(x + y + wide + high) < 1e9 else None


def join_tokens(tokens: Sequence[Token], *, file_has_spaces: bool) -> list[tuple[int | None, str]]:
    """Return the text of a line in pieces: each token's index with its text, and None with each space that no SP stands for.

    Joined and stripped, the pieces are the text of the line. A space is read once, and a hyphen that both the String and a HYP
    behind it hold too: the second one's piece is empty. Between two Strings without SP a space is read

    - always in a file without any SP;
    - where their boxes leave room for one;
    - where boxes are missing or overlap, in a line without SP, unless the second begins with a closing punctuation mark.
    """
    narrowest = _narrowest_space(tokens) if file_has_spaces else 0.0
    line_has_spaces = _has_inner_space(tokens)
    pieces: list[tuple[int | None, str]] = []
    before: Token | None = None  # String right before, without SP between
    text = ""
    for index, token in enumerate(tokens):
        piece = token.text
        if token.kind == "SP":
            piece, before = ("" if not text or text[-1].isspace() else " "), None
        elif token.kind == "HYP":
            piece = "" if _ends_with_hyphen(text, token.text) else token.text
        elif token.text:
            if before is not None and (
                not file_has_spaces
                or before.space_behind
                or token.space_before
                or _are_apart(before, token, narrowest, line_has_spaces)
            ):
                pieces.append((None, " "))
            before = token
        pieces.append((index, piece))
        text += piece
    return pieces


def _ends_with_hyphen(text: str, hyphen: str) -> bool:
    text = text.rstrip()
    return text.endswith(hyphen) or (text[-1:] in HYPHENS and bool(text) and hyphen in HYPHENS)


def _are_apart(one: Token, other: Token, narrowest: float, line_has_spaces: bool) -> bool:
    gap = _gap(one, other)
    if gap is None:
        return not line_has_spaces and other.text[0] not in _CLOSING
    if one.text[-1].isalnum() and other.text[0].isalnum():
        return gap >= narrowest
    if line_has_spaces:
        return False
    # Such marks stand off the word in typescript and old print, where the file still means no space.
    is_mark = other.text[0] in _CLOSING or one.text[-1] in _OPENING
    return gap >= (_SPACE_PER_MARK / _SPACE_PER_CHARACTER if is_mark else 1) * narrowest


def _gap(one: Token, other: Token) -> float | None:
    """Return the room between two boxes in the direction in which they are apart; None where they are unknown or overlap."""
    if one.box is None or other.box is None:
        return None
    across, down = _distance(one.box, other.box, 0), _distance(one.box, other.box, 1)
    axis = 0 if across >= down else 1
    smaller = min(box[axis + 2] - box[axis] for box in (one.box, other.box))
    gap = max(across, down)
    return gap if gap > -smaller / 2 else None


def _distance(one: tuple[float, ...], other: tuple[float, ...], axis: int) -> float:
    return max(other[axis] - one[axis + 2], one[axis] - other[axis + 2])


def _narrowest_space(tokens: Sequence[Token]) -> float:
    """Return the least gap that is a space, from the width of the line's characters and of its spaces."""
    strings = [token for token in tokens if token.kind == "String" and token.text and token.box]
    upright = _is_upright(strings)
    extents = [token.box[2 + upright] - token.box[upright] for token in strings if token.box]
    width = sum(extents) / max(1, sum(len(token.text) for token in strings))
    spaces = [
        gap
        for one, space, other in zip(tokens, tokens[1:], tokens[2:], strict=False)
        if space.kind == "SP" and one.kind == other.kind == "String" and (gap := _gap(one, other)) is not None
    ]
    return max(_SPACE_PER_CHARACTER * width, _SPACE_PER_SPACE * min(spaces, default=0.0))


def _is_upright(strings: Sequence[Token]) -> bool:
    """Return whether the line runs down the page."""
    if len(strings) < 2 or (first := strings[0].box) is None or (last := strings[-1].box) is None:
        return False
    return _distance(first, last, 1) > _distance(first, last, 0)


def _has_inner_space(tokens: Sequence[Token]) -> bool:
    places = [index for index, token in enumerate(tokens) if token.kind == "String" and token.text]
    return bool(places) and any(token.kind == "SP" for token in tokens[places[0] : places[-1]])
