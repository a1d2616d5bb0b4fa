"""Answers of a vision-language model as readings of a page: what counts as read, and what does not.

A page is not read where its answer loops, ran out of tokens, or is no JSON of the promised form: nobody should find an invented
or half a page by searching, so it fails, and its answer is kept as evidence. An empty answer is no error where a page holds a
picture, and no text where it holds some: it is kept, with a doubt.
"""

import re
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from ocrray.engines.base import Recognition
from ocrray.engines.server.answers import EMPTY, Answer
from ocrray.errors import RecordError
from ocrray.prompts.fields import FieldSchema
from ocrray.records import Line, Word
from ocrray.text.edits import char_probabilities
from ocrray.text.loops import find_loop
from ocrray.text.normalise import sanitise
from ocrray.text.strict_json import close_json

if TYPE_CHECKING:
    from ocrray.engines.reader import ReaderConfig

_FENCED = re.compile(r"\s*```[ \t]*\w*[ \t]*\n(?P<inner>.*?)(?:\n[ \t]*```\s*)?", re.DOTALL)
_WORD = re.compile(r"\S+")
_SHOWN_CHARS = 40
_LATE = "timeout"


def read_answer(answer: Answer, config: "ReaderConfig") -> Recognition | RecordError:
    """Return the reading that an answer is, with the problem or doubt that it has; an error where there is no answer."""
    if answer.reason == EMPTY:
        return Recognition("", [], doubt=EMPTY)
    if answer.text is None and answer.reason != "unfinished":
        return _unanswered(answer)
    written = sanitise(answer.text or answer.partial)
    text = _unfenced(written)
    if problem := _problem(text, answer, config):
        return Recognition(written, None, problem=problem)
    if not text.strip():
        return Recognition("", [], doubt=EMPTY)
    if config.fields:
        return _fields(written, text, config.fields, may_close=config.close_json)
    return _lines(text, answer, keep_blank=config.output == "markdown", is_fenced=text != written)


def _unanswered(answer: Answer) -> RecordError:
    # A server that is late may be early next time; a Tesseract whose time is over is not, and has that word.
    kind = "connection_lost" if answer.reason == _LATE else answer.reason
    return RecordError(answer.sentence or f"the model gave no answer ({answer.reason})", kind=kind)


def _problem(text: str, answer: Answer, config: "ReaderConfig") -> RecordError | None:
    finished = answer.text is not None
    if loop := find_loop(text, finished=finished):
        shown = loop.unit if len(loop.unit) <= _SHOWN_CHARS else f"{loop.unit[:_SHOWN_CHARS]}..."
        return RecordError(f"the answer repeats {shown!r} {loop.repeats:,} times to its end; the page is not read", kind="loop")
    if finished or (config.close_json and close_json(text.strip())):
        return None
    limit = f"max_new_tokens ({config.max_new_tokens:,}, or what the model's context leaves)"
    return RecordError(f"the answer did not end within {limit}; the page is not read", kind="unfinished")


def _fields(written: str, text: str, schema: FieldSchema, *, may_close: bool) -> Recognition:
    try:
        return Recognition(written, None, fields=schema.parse(text.strip()))
    except RecordError as error:
        closed = close_json(text.strip()) if may_close else None
        problem = error
    if closed is not None:
        try:
            return Recognition(written, None, fields=schema.parse(closed), warnings=["json_closed"])
        except RecordError as error:
            problem = error
    return Recognition(written, None, problem=problem)


def _lines(text: str, answer: Answer, *, keep_blank: bool, is_fenced: bool) -> Recognition:
    shares = char_probabilities(text, answer.pieces, answer.probabilities) if answer.pieces else None
    lines: list[Line] = []
    start = 0
    for line in text.split("\n"):
        if line.strip() or (keep_blank and lines):
            lines.append(_line(line, shares and shares[start : start + len(line)]))
        start += len(line) + 1
    while lines and not lines[-1].text:
        lines.pop()
    warnings = ["wrapping_removed"] if is_fenced else []
    return Recognition("\n".join(line.text for line in lines), lines, warnings=warnings)


def _line(text: str, shares: Sequence[float] | None) -> Line:
    """Return a line with its words, without boxes; a word is as sure as its least sure token, a line as its words on average."""
    if shares is None:
        return Line(text.strip(), words=[Word(word) for word in text.split()])
    words = [Word(found[0], confidence=min(shares[found.start() : found.end()])) for found in _WORD.finditer(text)]
    confidence = fmean(word.confidence or 0.0 for word in words) if words else None
    return Line(text.strip(), confidence=confidence, words=words)


def _unfenced(text: str) -> str:
    """Return the text without a Markdown code fence around all of it, which may lack its end."""
    found = _FENCED.fullmatch(text)
    return found["inner"] if found else text
