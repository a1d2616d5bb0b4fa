"""Figures in a span: digits, fractions, sums of money, ordinals, number words, Roman numerals, months and days."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence

from rapidfuzz.distance import Levenshtein

from ocrray.text.numbers import is_ambiguous, is_surely_number, number_words, roman_value

_LOOK_ALIKE = str.maketrans("lI|OoSB", "1110058")  # `301.` may become `30l.`, thirty pounds
_SUFFIXES = ("s", "d", "l", "st", "nd", "rd", "th", "ds", "lb", "lbs", "oz", "cwt", "qr", "er", "º", "ª", "ber", "bre")
_ORDINAL_SUFFIXES = frozenset({"st", "nd", "rd", "th", "er", "º", "ª"})
_PIECE = re.compile(r"[^\W_]+")
_FIGURE = re.compile(rf"(\d+)({'|'.join(sorted(_SUFFIXES, key=len, reverse=True))})?", re.IGNORECASE)
_BETWEEN = re.compile(r"(?<=\d)([^\w\s]+)(?=(\d+))")  # marks between two digits
_CURRENCY = "£$€¥₤ƒ¢%‰°"
_SUM = re.compile(rf"([{_CURRENCY}])\s?\d|\d\s?([{_CURRENCY}])")
_NOTE_MARKS = "†‡"
_QUOTATION_MARKS = frozenset("\"'“”‘’«»„`´")
_ROMAN_ORDINAL = re.compile(r"([IVXLC]{2,})(?:st|nd|rd|th|e|er|ème|o|a)")
_SINGLE_ROMAN = frozenset("IVX")
_SMALL_ROMAN = re.compile(r"[ivx]{2,}")
_LETTERS = re.compile(r"[^\W\d_]+")
_LONE_FIGURE = re.compile(r"[\W_]{0,2}\d[^\W\d_]{0,2}[\W_]{0,2}")
_MANY_DIRTY_WORDS = 3  # of marks alone: what stands among them is no figure
_DIRT = re.compile(r"[\W_]{3}")
_PLAIN_WORD = re.compile(r"[\W_]{0,2}(?:[^\W\d_]{2,}(?:['’.-][^\W\d_]+)*|[aIO])[\W_]{0,2}")
_HAN_NUMERALS = frozenset("〇零一二三四五六七八九十百千万萬億兩两廿卅壹贰叁肆伍陸柒捌玖")
_WITHOUT_FIGURES = re.compile(r"[a-z\s.,;:'\"!?()-]*")  # but for number words and small Roman numerals
_MIN_SIMILARITY = 0.5  # of a number word and the word that takes its place: below, the number is lost


def changes_figures(raw: str, corrected: str, preceding: str = "") -> bool:
    """Return True when a figure of a span is changed, lost or invented; letters misread for digits are no figures.

    `preceding` is the word before the span.

    `l85O` may become `1850`, `9treet` `street`, `301.` thirty pounds, `30l.`, and a lone `1` `I`.
    """
    before, after = _Text(raw), _Text(corrected)
    if _WITHOUT_FIGURES.fullmatch(raw) and _WITHOUT_FIGURES.fullmatch(corrected) and not any(map(_may_be_number, before.words)):
        return False  # true of most spans; the guard is 1.4 times as fast for it and for runs of letters in `conform`
    return (
        _reorders(before, after)
        or _loses_digits(before, after)
        or _invents_digits(raw, corrected)
        or _changes_notation(before, after)
        or _changes_symbols(raw, corrected)
        or _changes_roman(before, after, numbered=preceding[:1].isupper() or preceding.endswith("."))
        or _changes_words(before, after)
    )


def _may_be_number(word: str) -> bool:
    return word in number_words() or _SMALL_ROMAN.fullmatch(word) is not None


class _Text:
    """A text with its runs of letters and digits (pieces), those of them that are figures, and its words."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.pieces = _PIECE.findall(text)
        self.figures = [match.groups() for match in map(_FIGURE.fullmatch, self.pieces) if match]
        self.digits = "".join(digits for digits, _ in self.figures)
        self.words = [word.lower() for word in _LETTERS.findall(text)]


def _lacking(pieces: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return the pieces that `others` has fewer of."""
    return list((Counter(pieces) - Counter(others)).elements())


def _reorders(before: _Text, after: _Text) -> bool:
    """Return True when the same pieces, a figure among them, stand in another order: a date written otherwise."""
    moved = before.pieces != after.pieces and Counter(before.pieces) == Counter(after.pieces)
    return moved and (bool(before.figures) or any(word in number_words() for word in before.words))


def _loses_digits(before: _Text, after: _Text) -> bool:
    """Return True when a number's digits do not occur, in order, among the corrected digits and new letters like them."""
    new = Counter(_lacking(after.pieces, before.pieces))
    seen: list[str] = []
    for piece in re.findall(r"[^\W_]+|\|", after.text):
        alike = new[piece] > 0 or piece == "|"
        new[piece] -= 1
        seen += re.findall(r"\d", piece.translate(_LOOK_ALIKE) if alike else piece)
    has_digits = any(map(str.isdecimal, after.text))
    if not has_digits and sum(not any(map(str.isalnum, word)) for word in before.text.split()) >= _MANY_DIRTY_WORDS:
        return False
    noisy = _is_noisy(before, after)
    for word in before.text.split():
        pieces = _PIECE.findall(word)
        figure = any(map(str.isdecimal, word)) and not _DIRT.match(word) and all(map(_FIGURE.fullmatch, pieces))
        kept = pieces if has_digits or figure else [piece for piece in pieces if piece.isdecimal() and len(piece) > 1]
        digits = re.findall(r"\d", "".join(kept))
        if len(digits) == 1 and not has_digits and noisy:
            continue
        remaining = iter(seen)
        if not all(digit in remaining for digit in digits):
            return True
    return False


def _is_noisy(before: _Text, after: _Text) -> bool:
    """Return True when a lone digit goes with other dirt, out of the middle of a word, or with a change of its neighbour."""
    old, new = before.text.split(), after.text.split()
    gone = [word for word in _lacking(old, new) if not _LONE_FIGURE.fullmatch(word)]
    rewritten = len(new) < len(old) and "".join(before.words) != "".join(after.words)
    joined = len(old) - len(new) > 1 and (len(new) == 1 or not rewritten)
    return joined or rewritten or any(not _PLAIN_WORD.fullmatch(word) for word in gone)


def _invents_digits(raw: str, corrected: str) -> bool:
    """Return True when digits stand, in a number, where nothing stood, or another Chinese numeral for one."""
    seen = iter(re.findall(r"\d", raw.translate(_LOOK_ALIKE)))
    explained = all(digit in seen for digit in re.findall(r"\d", corrected))
    numbers = [match.span() for match in _PIECE.finditer(corrected) if _FIGURE.fullmatch(match.group())]
    for op in Levenshtein.opcodes(raw, corrected):
        new, places = corrected[op.dest_start : op.dest_end], range(op.dest_start, op.dest_end)
        if (
            op.tag == "insert"
            and not explained
            and any(corrected[place].isdecimal() and any(start <= place < end for start, end in numbers) for place in places)
        ):
            return True
        if op.tag == "replace" and any(
            {one, other} <= _HAN_NUMERALS for one, other in zip(raw[op.src_start : op.src_end], new, strict=True)
        ):
            return True
    return False


def _changes_notation(before: _Text, after: _Text) -> bool:
    """Return True when the digits are the same, but not what they count (`6s.`, `6d.`), their order (`3d`) or value (`3/4`)."""
    if not before.figures:
        return False
    if before.digits != after.digits:
        lost = [(digits, suffix.lower()) for digits, suffix in before.figures if suffix]
        kept = {(digits, suffix.lower()) for digits, suffix in after.figures if suffix}
        return any(
            (suffix in "sd" or (suffix == "l" and len(digits) < 3)) and (digits, suffix) not in kept and digits in after.digits
            for digits, suffix in lost
        )
    suffixes = [[(suffix or "").lower() for _, suffix in text.figures] for text in (before, after)]
    if len(before.figures) == len(after.figures):
        pairs = [(old, new) for old, new in zip(*suffixes, strict=True) if old != new]
        if any(old or new in _ORDINAL_SUFFIXES for old, new in pairs):  # a lost `l` or `s` may be put back
            return True
    marks, new_marks = (Counter(_notation(text.text)) for text in (before, after))
    return marks != new_marks


def _notation(text: str) -> list[str]:
    """Return the marks between digits that say what they mean: not a point or comma before three digits."""
    found = []
    for match in _BETWEEN.finditer(text):
        mark, following = match.groups()
        if mark in {"-", "–", "—"}:
            found.append("-")
        elif set(mark) & set("/:⁄") or (mark in {".", ",", "·"} and len(following) < 3):
            found.append(mark)
    return found


def _changes_symbols(raw: str, corrected: str) -> bool:
    """Return True when a sign of a sum, a fraction, a raised figure or a dagger is lost or put where nothing stood."""
    signs = Counter(first or second for first, second in _SUM.findall(raw))
    new_signs = Counter(first or second for first, second in _SUM.findall(corrected))
    if any(signs[sign] > corrected.count(sign) for sign in signs):
        return True
    numerals = Counter(char for char in raw if _is_numeral(char))
    new_numerals = Counter(char for char in corrected if _is_numeral(char))
    if numerals - new_numerals:
        return True
    invented = [*(new_signs - signs), *(new_numerals - numerals)]
    if not invented:
        return False
    inserted = "".join(corrected[op.dest_start : op.dest_end] for op in Levenshtein.opcodes(raw, corrected) if op.tag == "insert")
    return any(sign in inserted for sign in invented)


def _is_numeral(char: str) -> bool:
    return char in _NOTE_MARKS or unicodedata.category(char) in {"No", "Nl"}


def _changes_roman(before: _Text, after: _Text, *, numbered: bool) -> bool:
    """Return True when a Roman numeral of two letters or more is changed, written otherwise or lost, or made of one letter.

    `numbered`: the word before it is a name or an abbreviation. Otherwise `II` may be the pronoun.
    """
    gone, new = _lacking(before.pieces, after.pieces), _lacking(after.pieces, before.pieces)
    new_values = {_roman(piece): piece for piece in new if _roman(piece) is not None or piece == "I"}
    lost = not new and not (set(after.text) - set(before.text)) & _QUOTATION_MARKS  # `II All` may become `"All`
    for piece in gone:
        value = _roman(piece)
        if value is None:
            grown = len(piece) == 1 and piece in _SINGLE_ROMAN and any(len(text) > 1 for text in new_values.values())
            if grown and (numbered or piece != "I"):
                return True
            continue
        if new_values and (numbered or set(new_values.values()) != {"I"}):
            return True
        if (lost and piece.isupper() and (numbered or len(piece) > 2)) or _says(new, {str(value), f"{value}."}):
            return True
    return False


def _roman(piece: str) -> int | None:
    """Return the value of a numeral of two letters or more; None for what is rather misread, such as `DI`, `CL`."""
    if _SMALL_ROMAN.fullmatch(piece):
        return roman_value(piece.upper())
    ordinal = _ROMAN_ORDINAL.fullmatch(piece)
    numeral = ordinal.group(1) if ordinal else piece
    sure = len(numeral) > 2 or (len(numeral) == 2 and (numeral == "II" or bool(set(numeral) & set("VX"))))
    return roman_value(numeral) if sure else None


def _says(pieces: Collection[str], values: Collection[str]) -> bool:
    """Return True when one of the pieces is one of these values in digits or in words."""
    digits = {match.group(1) for match in map(_FIGURE.fullmatch, pieces) if match}
    return bool(digits & set(values)) or any(
        value in values for piece in pieces for _, value in number_words().get(piece.lower(), ())
    )


def _changes_words(before: _Text, after: _Text) -> bool:
    """Return True when a number, month or day in words becomes another, is written in digits, or is lost."""
    table = number_words()
    if "".join(before.words) == "".join(after.words) and len(before.words) != len(after.words):
        return False
    gone, new = _lacking(before.words, after.words), _lacking(after.words, before.words)
    new_figures = _lacking(after.pieces, before.pieces)
    for word in gone:
        meanings = table.get(word)
        if not meanings or (is_ambiguous(word) and word.capitalize() not in before.text and not new):
            continue
        others = [(kind, value) for other in new for kind, value in table.get(other, ())]
        if any(
            kind == other_kind and (kind, other_value) not in meanings
            for kind, _ in meanings
            for other_kind, other_value in others
        ):
            return True
        values = {value.rstrip(".") for _, value in meanings}
        if any(match.group(1) in values for match in map(_FIGURE.fullmatch, new_figures) if match):
            return True
        if is_surely_number(word) and not _survives(word, new, after):
            return True
    return False


def _survives(word: str, new: Sequence[str], after: _Text) -> bool:
    """Return True when a word much like a number word has taken its place, or it was joined with its neighbour."""
    return any(Levenshtein.normalized_similarity(word, other) >= _MIN_SIMILARITY for other in new) or any(
        word in other for other in after.words
    )
