"""Pairs by a language model: an excerpt of clean text, and the model's answer, unless that is no corruption of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein

from ocrray.engines.server.answers import Answer
from ocrray.engines.writers import Writer, WritingTask
from ocrray.synth.clean import excerpt
from ocrray.synth.corrupt_config import CorruptHfConfig, CorruptHttpConfig
from ocrray.synth.corrupt_prompt import Example, make_prompt
from ocrray.text.normalise import for_scoring, sanitise
from ocrray.text.wrapping import unwrap

_ATTEMPTS = 8  # excerpts of a passage that are tried
_MIN_FRAC = 0.9  # of the least number of characters: an excerpt is cut at a space
_GAP_CHARS = 40  # that an answer may have, or lack, in one place
_AGREEMENT_CHARS = 8  # shorter agreements are chance
_MARKUP = re.compile(
    r"<[A-Za-z/!][^<>\n]{0,200}>|&(?:[A-Za-z]{2,8}|#\d+);|\{\{|\}\}|\[\[|\]\]|\]\(|```|~~~|^#{1,6} ", re.MULTILINE
)
_LINK = re.compile(r"https?:|ftp:|\bwww\.|\S@\w+\.\w|\b[\w-]+\.(?:com|org|net|co\.uk)\b", re.IGNORECASE)
_LABEL = re.compile(r"\A\s*\**(?:corrupted|ocr)(?: (?:text|version|output))?:\**\s*", re.IGNORECASE)
_CHATTER = re.compile(
    r"\A\W*(?:sure|certainly|of course|here(?:['’]s| is| are)|as an ai|i(?: a|['’])m (?:sorry|unable|afraid)|i can(?:not|['’]t)"
    r"|unfortunately|the (?:corrupted|ocr) (?:text|version))\b"
    r"|(?:let me know|i hope this|hope this helps|feel free to)[^\n]*\Z",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Dropped:
    """Reason why there is no pair, in a word, and the same in a sentence."""

    reason: str
    message: str


def corrupt(
    passages: Sequence[str],
    seeds: Sequence[int],
    config: CorruptHttpConfig | CorruptHfConfig,
    examples: Sequence[Example],
    writer: Writer,
) -> list[dict[str, Any]]:
    """Return the values of one row a passage: `ocr` and `gt`, or why there is no pair, and the tokens read and written.

    The text, its examples and, where the model is loaded here, its answer depend on the passage and its seed alone.

    Raises:
        EngineError: when the model cannot be asked.
    """
    texts: list[str | Dropped] = []
    tasks: list[WritingTask] = []
    for passage, seed in zip(passages, seeds, strict=True):
        rng = np.random.default_rng(seed)
        text = choose_text(passage, config.chars, rng)
        texts.append(text)
        if not isinstance(text, Dropped):
            tasks.append(WritingTask(make_prompt(text, config, examples, rng), text, seed))
    answers = iter(writer.write(tasks))
    return [_dropped(text) if isinstance(text, Dropped) else _row(text, next(answers), config) for text in texts]


def _row(text: str, answer: Answer, config: CorruptHttpConfig | CorruptHfConfig) -> dict[str, Any]:
    tokens = {"input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens}
    corrupted = read_answer(text, answer, config)
    return tokens | (_dropped(corrupted) if isinstance(corrupted, Dropped) else {"ocr": corrupted, "gt": text})


def _dropped(why: Dropped) -> dict[str, Any]:
    return {"drop_reason": why.reason, "drop_message": why.message}


def choose_text(passage: str, chars: tuple[int, int], rng: np.random.Generator) -> str | Dropped:
    """Return an excerpt without mark-up and links, of `chars` (least, most) characters."""
    text = ""
    for _ in range(_ATTEMPTS):
        text = excerpt(passage, chars, rng)
        if len(text) >= _MIN_FRAC * chars[0] and not (_MARKUP.search(text) or _LINK.search(text)):
            return text
    if len(text) < _MIN_FRAC * chars[0]:
        return Dropped("too_short", f"the text has no {chars[0]} characters: {_shown(passage)}")
    return Dropped("markup", f"the text holds mark-up or links: {_shown(text)}")


def read_answer(text: str, answer: Answer, config: CorruptHttpConfig | CorruptHfConfig) -> str | Dropped:
    """Return the corrupted text that an answer holds, or why it is no corruption of `text`.

    Reasons: `equal`, `too_far` (above `max_cer`), `chatter` (the model talks, or adds a sentence), `left_out` (it leaves one out,
    or stops early), `wrapping` (in marks that cannot be taken off), and those of `Answer`.
    """
    if answer.text is None:
        return Dropped(answer.reason, answer.sentence or f"no answer ({answer.reason}) to: {_shown(text)}")
    inner = unwrap(text, sanitise(answer.text)).text
    corrupted, _, is_doubtful = unwrap(text, inner if _LABEL.match(text) else _LABEL.sub("", inner))
    example = f"{_shown(text)} was answered with {_shown(corrupted)}"
    if _CHATTER.search(corrupted) and not _CHATTER.search(text):
        return Dropped("chatter", example)
    if is_doubtful:
        return Dropped("wrapping", example)
    true, read = for_scoring(text), for_scoring(corrupted)
    distance = Levenshtein.distance(true, read)
    if not distance or distance < config.min_cer * len(true):
        return Dropped("equal", example)
    if distance > config.max_cer * len(true):
        return Dropped("too_far", example)
    gaps = _gaps(true, read)
    if max(gaps) > _GAP_CHARS:
        return Dropped("chatter", f"{example}, which ends with {_shown(corrupted[-80:])}")
    if min(gaps) < -_GAP_CHARS:
        return Dropped("left_out", f"{example}, which ends with {_shown(corrupted[-80:])}")
    return corrupted


def _gaps(true: str, read: str) -> list[int]:
    """Return the characters that `read` has more, or fewer (negative), between passages on which both agree."""
    same = [op for op in Levenshtein.opcodes(true, read) if op.tag == "equal" and op.src_end - op.src_start >= _AGREEMENT_CHARS]
    starts = [(0, 0), *((op.src_end, op.dest_end) for op in same)]
    ends = [*((op.src_start, op.dest_start) for op in same), (len(true), len(read))]
    return [(stop[1] - start[1]) - (stop[0] - start[0]) for start, stop in zip(starts, ends, strict=True)]


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= 80 else f"{line[:79]}…")
