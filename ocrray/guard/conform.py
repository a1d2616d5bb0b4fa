"""Undo what is no correction before an answer is judged: composition, kinds of space, line breaks, and restyling of a whole text.

Both texts are folded, so that characters which differ only in style are equal (`é` composed or not, a no-break space, `—` for
`--`, curly quotation marks), and aligned. Where they are equal the source's own characters are kept, elsewhere the answer's.
"""

import unicodedata
from collections.abc import Collection, Iterator, Sequence
from typing import Literal, NamedTuple

import regex
from rapidfuzz.distance import Levenshtein

from ocrray.records import Edit
from ocrray.text.edits import apply_edits, edits_between, with_probabilities

_INVISIBLE = r"\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff"
_DASHES, _DOUBLES, _SINGLES = r"\-‐‑‒–—―−¬⸗", '"“”„‟«»″〝〞', "'‘’‚‛‹›`´′ʼ"
_FOLDED_MARKS = {"dash": "-", "double": '"', "single": "'", "dots": "…"}
_FOLDED_SPELLING = {"ſ": "s", "ﬅ": "st", "æ": "ae", "œ": "oe", "Æ": "Ae", "Œ": "Oe"}
_BREAK = regex.compile(r"[\n\r\v\f\x85\u2028\u2029]")
_HYPHEN = regex.compile(rf"[{_DASHES}=]\u00ad?|\u00ad")
_INVISIBLES = regex.compile(f"[{_INVISIBLE}]")
# A unit is a run of white space, a dash of any length, a quotation mark, an ellipsis, or a character with its combining marks;
# ASCII letters and digits come in runs, for speed (folding in a third of the time, BLN600).
_UNIT = regex.compile(
    rf"(?P<double>«[^\S\n]*|[^\S\n]*»|[{_DOUBLES}]|[{_SINGLES}]{{2}})|(?P<single>[{_SINGLES}])|(?P<space>\s+)|(?P<dash>[{_DASHES}]+)"
    rf"|(?P<dots>\.\.\.|…)|(?P<plain>[A-Za-z0-9]+(?![\p{{M}}{_INVISIBLE}]))|(?P<other>.\p{{M}}*[{_INVISIBLE}]*)",
    regex.DOTALL,
)
_STYLED = regex.compile(rf"[\s.{_DASHES}{_DOUBLES}{_SINGLES}]|[^\x00-\x7f]")
_WORD = regex.compile(r"\p{L}[\p{L}\p{M}]+")
_ROMAN = regex.compile(r"[IVXLCDM]+")
_SURE_LETTERS = 5  # of a misread word in capitals that has no neighbour in capitals
_MIN_SIMILARITY = 0.5


class _Folded(NamedTuple):
    """Folded text, one piece of the text for each of its characters."""

    text: str
    pieces: list[str]
    """Piece of the text behind each folded character."""
    groups: list[tuple[int, int]]
    """The folded characters (first, end) that stand for one unit together, such as those of a ligature; (n, n + 1) for others."""


def conformed_edits(source: str, edits: Sequence[Edit], keep: Collection[str]) -> Sequence[Edit]:
    """Return the edits without those parts that `conform` undoes; they keep their probabilities."""
    if not any(_STYLED.search(edit.raw) or _STYLED.search(edit.corrected) or _changes_case(edit) for edit in edits):
        return edits
    answer = apply_edits(source, edits)
    conformed = conform(source, answer, keep)
    if conformed == answer:
        return edits
    places = range(0)
    shares: dict[int, float] = {}
    for edit in edits:
        if edit.probability is not None:
            places = range(edit.start, max(edit.end, edit.start + 1))
            shares.update(dict.fromkeys(places, edit.probability))
    return with_probabilities(edits_between(source, conformed), shares)


def conform(source: str, answer: str, keep: Collection[str]) -> str:
    """Return `answer` with the composition, white space and style of `source`, as far as both have the same characters.

    `keep` may hold `marks` (dashes, quotation marks, ellipses, ligatures and width of characters, words in capitals), `spelling`
    (long s, joined vowels) and `line_breaks`. Composition, invisible characters and kinds of space never count as changes.
    """
    if source == answer:
        return answer
    keep_breaks = "line_breaks" in keep
    before, after = _fold(source, keep), _fold(_in_form_of(source, answer), keep)
    in_style = _style_of(source) if "marks" in keep else {}
    parts: list[str] = []
    for op in Levenshtein.opcodes(before.text, after.text):
        old, new = before.pieces[op.src_start : op.src_end], after.pieces[op.dest_start : op.dest_end]
        at_edge = op.src_start == op.src_end and op.src_start in (0, len(before.pieces))
        if op.tag == "equal":
            parts += _equal_pieces(before, op.src_start, op.src_end, after.text[op.dest_start : op.dest_end])
        elif op.tag == "delete":
            parts += _kept_white_space(old, op.src_start == 0, op.src_end == len(before.pieces), keep_breaks=keep_breaks)
        elif op.tag == "insert":
            new = _without_breaks(new, parts[-1] if parts else "", at_edge=at_edge, keep_breaks=keep_breaks)
            parts += [in_style.get(piece, piece) for piece in new]
        else:
            for one, other in zip(old, new, strict=True):
                broken = keep_breaks and _BREAK.search(one)
                parts += [" " if _is_space(other, keep_breaks) else in_style.get(other, other), one if broken else ""]
    conformed = "".join(parts)
    return _with_source_capitals(source, conformed) if "marks" in keep else conformed


def _in_form_of(source: str, answer: str) -> str:
    """Return `answer` in the normal form of `source`, NFC where it has both; unchanged where it has neither."""
    forms: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
    form = next((form for form in forms if unicodedata.is_normalized(form, source)), None)
    return unicodedata.normalize(form, answer) if form else answer


def _style_of(source: str) -> dict[str, str]:
    """Return what to write for marks that a text with straight quotation marks, or dashes of two hyphens, does not use."""
    style: dict[str, str] = {}
    for marks, plain in (("“”„‟", '"'), ("‘’‚‛", "'"), ("—–", "--")):
        if plain in source and not any(mark in source for mark in marks):
            style |= dict.fromkeys(marks, plain)
    return style


def _is_space(piece: str, keep_breaks: bool) -> bool:
    return piece.isspace() and (keep_breaks or not _BREAK.search(piece))


def _changes_case(edit: Edit) -> bool:
    return edit.raw != edit.raw.lower() or edit.corrected != edit.corrected.lower()


def _fold(text: str, keep: Collection[str]) -> _Folded:
    chars: list[str] = []
    pieces: list[str] = []
    groups: list[tuple[int, int]] = []
    for match in _UNIT.finditer(text):
        piece, kind, first = match.group(), match.lastgroup or "", len(chars)
        folded = piece if kind == "plain" else _folded(piece, kind, keep)
        chars += folded
        if folded == piece:
            pieces += piece
            groups += [(place, place + 1) for place in range(first, len(chars))]
        else:
            pieces += [piece, *[""] * (len(folded) - 1)]
            groups += [(first, len(chars))] * len(folded)
    return _Folded("".join(chars), pieces, groups)


def _folded(piece: str, kind: str, keep: Collection[str]) -> str:
    if kind == "space":
        return " " if "line_breaks" in keep or not _BREAK.search(piece) else "\n"
    if kind != "other":
        return _FOLDED_MARKS[kind] if "marks" in keep else piece
    if piece.isascii():
        return piece
    if "spelling" in keep and piece in _FOLDED_SPELLING:
        return _FOLDED_SPELLING[piece]
    plain = unicodedata.normalize("NFC", _INVISIBLES.sub("", piece) or piece)
    return unicodedata.normalize("NFKC", plain).replace("\u2044", "/") if "marks" in keep else plain


def _equal_pieces(folded: _Folded, start: int, end: int, chars: str) -> Iterator[str]:
    """Yield the pieces of the source; the folded characters themselves where only a part of a unit is equal."""
    for place, char in zip(range(start, end), chars, strict=True):
        first, last = folded.groups[place]
        yield folded.pieces[place] if start <= first and last <= end else char


def _kept_white_space(deleted: Sequence[str], at_start: bool, at_end: bool, *, keep_breaks: bool) -> list[str]:
    """Return what must stay of deleted pieces: line breaks, each with the hyphen before it, and white space around the text."""
    kept = []
    for number, piece in enumerate(deleted):
        outside = (at_start and number == 0) or (at_end and number == len(deleted) - 1)
        if piece.isspace() and (outside or (keep_breaks and _BREAK.search(piece))):
            hyphenated = number == 1 and _HYPHEN.fullmatch(deleted[0])
            kept += [deleted[0], piece] if hyphenated else [piece]
    return kept


def _without_breaks(inserted: Sequence[str], before: str, *, at_edge: bool, keep_breaks: bool) -> list[str]:
    """Return inserted pieces without white space around the text, and with a space, or nothing, for each line break."""
    pieces = list(inserted)
    if at_edge:
        while pieces and pieces[-1].isspace():
            pieces.pop()
        while pieces and pieces[0].isspace() and not before:
            pieces.pop(0)
    if keep_breaks and len(pieces) == 2 and _HYPHEN.fullmatch(pieces[0]) and _BREAK.search(pieces[1]):
        return []
    return [" " if _is_space(piece, keep_breaks) else piece for piece in pieces]


def _with_source_capitals(source: str, answer: str) -> str:
    """Return `answer` with the words that `source` has in capitals in capitals, and those it has in small letters in these."""
    words = [word.span() for word in _WORD.finditer(answer)]
    if not any(answer[start:end] != source[start:end] for start, end in words):
        return answer
    places = _source_places(source, answer)
    parts, copied = [], 0
    for start, end in words:
        first, last = places[start], places[end]
        while first < last and not source[first].isalpha():
            first += 1
        while last > first and not source[last - 1].isalpha():
            last -= 1
        parts += [answer[copied:start], _in_case_of(answer[start:end], source, first, last)]
        copied = end
    return "".join([*parts, answer[copied:]])


def _in_case_of(word: str, source: str, first: int, last: int) -> str:
    seen = source[first:last]
    if len(seen) < 2 or seen == word or not _WORD.fullmatch(seen):
        return word
    same = _lower(seen) == _lower(word)
    similar = Levenshtein.normalized_similarity(_lower(seen), _lower(word)) >= _MIN_SIMILARITY
    if seen.islower() and word.isupper():  # unless small letters were misread for a Roman numeral
        return _lower(word) if same or (similar and not _ROMAN.fullmatch(word)) else word
    if not seen.isupper() or word.isupper():
        return word
    sure = same or len(seen) >= _SURE_LETTERS or _beside_capitals(source, first, last)
    return "".join(char.upper() if len(char.upper()) == 1 else char for char in word) if sure and similar else word


def _beside_capitals(source: str, first: int, last: int) -> bool:
    neighbours = [*source[:first].split()[-1:], *source[last:].split()[:1]]
    return any(len(word) > 1 and word.isupper() for word in neighbours)


def _source_places(source: str, answer: str) -> list[int]:
    """Return, for each offset in `answer` and its end, the offset in `source` that it is aligned with, case aside."""
    places: list[int] = []
    for op in Levenshtein.opcodes(_lower(source), _lower(answer)):
        shared = min(op.src_end - op.src_start, op.dest_end - op.dest_start)
        places += range(op.src_start, op.src_start + shared)
        places += [op.src_end] * (op.dest_end - op.dest_start - shared)
    return [*places, len(source)]


def _lower(text: str) -> str:
    """Return lower case of the same length."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(char.lower() if len(char.lower()) == 1 else char for char in text)
