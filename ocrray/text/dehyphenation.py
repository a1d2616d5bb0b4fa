"""Words divided at line ends, made whole by what a file says of them, and otherwise by a rule that leaves doubtful ones alone."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from ocrray.records import Edit

_SOFT = "\u00ad¬⸗"  # U+00AD SOFT HYPHEN, ¬ (FineReader, Transkribus) and the double hyphen of Fraktur say that a word is divided
_HARD = "-‐‑=﹣－⹀"
_HARD_CLASS = re.escape(_HARD)
_LINE_END = re.compile(rf"(?P<head>[^\W_]+(?:[{_HARD_CLASS}'’][^\W_]+)*)(?P<mark>[{_HARD_CLASS}{_SOFT}]{{1,2}})?\s*\Z")
_LINE_START = re.compile(rf"\s*(?P<repeated>[{_HARD_CLASS}]?)(?P<word>[^\W_]+)(?P<rest>\S*)\s*")
_WORD = re.compile(rf"[^\W\d_]+(?:[{_HARD_CLASS}'’][^\W\d_]+)*")
_INNER_SOFT_HYPHEN = re.compile(r"(?<=\w)\u00ad+(?=\w)")

# Haupt- / und Nebensachen: the word that the hyphen stands for comes later in the sentence.
_CONJUNCTIONS = {*("and", "or", "und", "oder", "bzw", "bis", "sowie", "et", "ou", "og", "och", "eller"), *"yeouia"}
# mother-in- / law: what stands between two hyphens is a word of its own, and so is what follows.
_LINKS = {
    *("in", "of", "to", "the", "at", "by", "on", "up", "and"),
    *("de", "du", "des", "la", "le", "les", "sur", "sous", "en", "à", "a"),
    *("auf", "an", "zu", "und"),
}
_PLAIN_HYPHEN = str.maketrans(dict.fromkeys(_HARD, "-"))

_END_CHARS = 200
_MAX_LINE_CHARS = 10_000  # what is longer is no printed line


class Division(NamedTuple):
    """End of a line, as the offset of its line feed, at which a file says that a word is divided.

    `word` is the whole word, empty where the file does not give it: then the rule decides, even if a corrector took the hyphen
    away. None: the second half is not on the next line.
    """

    at: int
    word: str | None


def dehyphenated(text: str, divisions: Iterable[Division] = ()) -> str:
    """Return `text` with each word that is divided at a line end whole, on the line where it begins; other line ends stay.

    A line of which nothing is left is removed. Without word of the file, a hyphen behind a letter goes where the next line begins
    with a small letter, unless the text has the word with its hyphen elsewhere; it stays in the middle of 1914-18, Anglo-Saxon,
    mother-in-law and 20-year; and everything stays as printed in front of `and` or `und`, of a figure, or of a new sentence.
    """
    if "\n" not in text:
        return _INNER_SOFT_HYPHEN.sub("", text)
    known = dict(divisions)
    words = {_key(match[0]) for match in _WORD.finditer(text)}
    whole: list[str] = []
    at = -1
    for line in text.split("\n"):
        before, of_file = (whole[-1], known.get(at, "?")) if whole else ("", None)
        joined = _joined(before, line, of_file, words) if whole and of_file is not None else None
        if joined is None:
            whole.append(line)
        else:
            whole[-1], rest = joined
            if rest:
                whole.append(rest)
        at += 1 + len(line)
    return _INNER_SOFT_HYPHEN.sub("", "\n".join(whole))


def moved(divisions: Iterable[Division], edits: Iterable[Edit]) -> list[Division]:
    """Return the divisions of a text after `edits`, which are in order; without those whose line end was edited."""
    found, grown, pending = [], 0, list(edits)[::-1]
    for division in sorted(divisions, key=lambda division: division.at):
        while pending and pending[-1].end <= division.at:
            edit = pending.pop()
            grown += len(edit.corrected) - len(edit.raw)
        if not pending or pending[-1].start > division.at:
            found.append(division._replace(at=division.at + grown))
    return found


def _joined(before: str, line: str, of_file: str, words: set[str]) -> tuple[str, str] | None:
    """Return the line before with the whole word at its end, and what is left of this one; None where they stay as they are.

    `of_file` is the whole word by the file, empty where it only says that there is one, `?` where it says nothing.
    """
    first = max(0, len(before) - _END_CHARS)
    end, start = _LINE_END.search(before[first:]), _LINE_START.match(line)
    if end is None or start is None or len(before) > _MAX_LINE_CHARS:
        return None
    head, mark, tail = end["head"], end["mark"] or "", start["word"]
    word: str | None
    if of_file not in ("", "?") and _fits(of_file, head, tail):
        word = of_file
    elif any(char in _SOFT for char in mark):
        word = head + tail
    elif len(mark) > 1 or (not mark and of_file):
        return None
    elif start["repeated"]:
        word = f"{head}{mark}{tail}" if head[-1].isalpha() and tail[0].isalpha() else None
    else:
        word = _by_rule(head, mark or "-", tail, words)
    if word is None:
        return None
    return before[: first + end.start("head")] + word + start["rest"], line[start.end() :]


def _fits(word: str, head: str, tail: str) -> bool:
    """Return whether `word` is `head` and `tail` but for the seam: Zuk- / ker is Zucker. Any other was corrected since."""
    is_long_enough = len(word) + 2 >= len(head) + len(tail)
    return is_long_enough and word.startswith(head[:-1]) and word.endswith(tail[1:])


def _by_rule(head: str, mark: str, tail: str, words: set[str]) -> str | None:
    kept = f"{head}{mark}{tail}"
    is_known_with_hyphen = mark != "=" and _key(kept) in words
    last = re.split(f"[{_HARD_CLASS}]", head)[-1]
    if head[-1].isdigit() or tail[0].isdigit():
        return kept if head[-1].isdigit() and mark != "=" and not tail[0].isupper() else None
    if tail[0].isupper() and not (last.isupper() and tail.isupper()):
        is_name = head[0].isupper() and mark != "="
        return kept if is_name or is_known_with_hyphen else None
    if _key(last + tail) in words:
        return head + tail
    if tail.casefold() in _CONJUNCTIONS:
        return None
    if is_known_with_hyphen or (last != head and last.casefold() in _LINKS):
        return kept
    return head + tail


def _key(word: str) -> str:
    return word.casefold().translate(_PLAIN_HYPHEN)
