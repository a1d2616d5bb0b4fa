"""Wrappings of a model's answer (code fences, preambles, thoughts, quotes, JSON, end tokens), told from the text by its source.

A wrapping is text that the model added around its answer. So taking it off must bring the answer nearer to the source by about as
many characters as it has; where the source has such marks itself, taking them off would lead away from it, and they stay.
"""

import ast
import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from rapidfuzz.distance import Levenshtein

_MIN_GAIN = 0.7  # share of a wrapping's characters by which the distance to the source must fall; chance alignments cost some
_COMPARED_CHARS = 10_000  # of longer texts only both ends are compared
_WINDOW_CHARS = 1_500
_MAX_LAYERS = 8
_MAX_LABELS = 20
_MAX_UNLIKE = 0.6  # of the characters: beyond it the rest is no correction of the source at all

_THOUGHT = r"think(?:ing)?|thoughts?|reason(?:ing)?|reflection|analysis|scratchpad|seed:think"
_THOUGHT_END = re.compile(rf"</(?:{_THOUGHT})>|\[/THINK\]|◁/think▷|<\|channel\|>final<\|message\|>", re.IGNORECASE)
_THOUGHT_BEGIN = re.compile(rf"\s*(?:<(?:{_THOUGHT})>|\[THINK\]|◁think▷|<\|channel\|>analysis)", re.IGNORECASE)

_TOKEN = (
    r"<[|｜][^|｜<>\n]{1,40}[|｜]>|</?s>|<(?:bos|eos|pad|unk|end_of_turn|start_of_turn|END|endoftext)>"
    r"|\[/?INST\]|\[(?:EOS|BOS|END)\]"
)
_TOKENS_BEFORE = re.compile(rf"(?:\s*(?:{_TOKEN})(?:(?:assistant|model|user|system)\b)?)+\s*")
_END_TOKEN = re.compile(
    r"<[|｜](?:im_end|im_start|eot_id|eom_id|endoftext|end_of_text|end▁of▁sentence|end|return|eot|start_header_id|EOT)[|｜]>"
    r"|</s>|<(?:eos|end_of_turn|END|endoftext)>|\[(?:EOS|END)\]"
)
_FENCE = re.compile(r"(?:`{3,}|~{3,})[^\n`]*(?:\n|$)")
_FENCED = re.compile(r"(`{3,}|~{3,})[ \t]*[\w+.-]*[ \t]*\n(.*?)\n?[ \t]*\1\s*", re.DOTALL)
_UNCLOSED = re.compile(r"(?:`{3,}|~{3,})[ \t]*[\w+.-]*[ \t]*\n(?!.*(?:`{3,}|~{3,}))", re.DOTALL)
_FENCE_AFTER = re.compile(r"\n?(?:`{3,}|~{3,})\s*$")
_TAGGED = re.compile(r"<([A-Za-z][\w:-]{0,40})>(.*)</\1>", re.DOTALL)
_BOXED = re.compile(r"(?:\$*\s*)\\boxed\{(?:\\text\{)?(.*?)\}?\}(?:\s*\$*)", re.DOTALL)

_NOUNS = (
    r"text|version|transcri\w+|passage|output|result|answer|response|correction|sentence|paragraph|page|document|reading"
    r"|korrigiert\w*|berichtigt\w*|texte?|testo|texto|tekst|corrig\w+|corrett\w+|gecorrigeerd\w*"
)
_ADJECTIVES = r"corrected|correct|fixed|cleaned(?:[- ]up)?|clean|restored|revised|final|transcribed|improved|edited|ocr|original"
_OPENINGS = (
    r"sure|certainly|of course|okay|ok|absolutely|yes|great|here(?:'s|’s| is| are| you go)|below is|the following is|this is"
    r"|i have|i've|hier ist|hier sind|nachfolgend|voici|aqu[ií]|ecco|here|please find|natürlich|gerne|bien sûr|certo|claro"
)
_COLON = r"[ ]?[:：][*_`]*[ \t]*"
_LABEL = re.compile(
    rf"[ \t]*(?:#+[ \t]*|>[ \t]*)?[*_`]*(?:the[ ]|der[ ]|le[ ]|la[ ]|el[ ])?(?:(?:{_ADJECTIVES})[ ])*"
    rf"(?:{_NOUNS}|assistant|ai|model|corrected|input|fixed)(?:[ ](?:{_NOUNS}|{_ADJECTIVES}|corrigé|corregido|corretto))*"
    rf"(?:[ ](?:is|reads|would be|should be|ist|est|es))?(?:[ ]?\([^()\n]{{1,40}}\))?[*_`]*{_COLON}\n*",
    re.IGNORECASE,
)
_SENTENCE = re.compile(
    rf"[ \t]*[*_`]*(?:{_OPENINGS})\b[^\n]{{0,200}}?{_COLON}(?:\n+|$|(?=\S))"
    rf"|[ \t]*(?:{_OPENINGS})\b[^\n:：]{{0,200}}[.!]?[ \t]*\n+",
    re.IGNORECASE,
)
_HEADING = re.compile(rf"[ \t]*#{{1,6}}[ \t]*(?:(?:{_ADJECTIVES})[ ])*(?:{_NOUNS})[ \t]*[:：]?[ \t]*\n+", re.IGNORECASE)
_PREFIX = re.compile(r"[*_`#> ]*\w[^\n:：\"{}\[\]]{0,80}[:：][*_`]*(?:[ \t]+|[ \t]*\n+)")
_LINE_WITH_MARK = re.compile(r"\n(?=[^\n:：#]{0,80}[:：#])")
_ROLE = re.compile(r"[ \t]*(?:assistant|model)[ \t]*\n+")
_RULE = re.compile(r"\s*(?:-{3,}|\*{3,}|_{3,}|={3,})[ \t]*(?:\n+|$)")
_RULE_AFTER = re.compile(r"\n[ \t]*(?:-{3,}|\*{3,}|_{3,}|={3,})\s*$")
_QUOTES = {
    '"': '"',
    "'": "'",
    "“": "”",
    "‘": "’",
    "«": "»",
    "»": "«",
    "„": "“”",
    "‚": "‘’",
    "`": "`",
    "「": "」",
    "『": "』",
    "*": "*",
}
_LONG_QUOTES = ('"""', "'''", "``", "**", "__")
_JSON_NAMES = re.compile(r"(?i)correct|fixed|output|answer|result|response|transcri|clean|restored|revised|^text$")
_LEFT_OVER = re.compile(
    rf"`{{3,}}|</?(?:{_THOUGHT})>|\[/?THINK\]|<[|｜][^|｜<>\n]{{1,40}}[|｜]>|</s>|<(?:eos|end_of_turn)>", re.IGNORECASE
)


class Unwrapped(NamedTuple):
    """An answer without its wrappings: whether there were any, and whether some may be left."""

    text: str
    is_changed: bool = False
    is_doubtful: bool = False


def unwrap(source: str, answer: str) -> Unwrapped:
    """Take off what surely is a wrapping of the answer, which corrects `source`.

    `is_doubtful`: the answer holds marks of a wrapping that the source lacks, and that cannot be taken off with certainty.
    """
    core = source.strip()
    text = answer.strip()
    for _ in range(_MAX_LAYERS):
        inner = next((inner for inner in _layers(text, core) if _is_nearer(core, text, inner)), None)
        if inner is None:
            break
        text = inner.strip()
    doubtful = _is_doubtful(core, text)
    if text == answer.strip():
        return Unwrapped(answer, False, doubtful)
    lead = source[: len(source) - len(source.lstrip())]
    trail = source[len(source.rstrip()) :] if core else ""
    return Unwrapped(f"{lead}{text}{trail}", True, doubtful)


def _layers(text: str, source: str) -> Iterator[str]:
    """Yield what is left of the text without one wrapping, for each that it may have."""
    yield from _without_thoughts(text)
    yield from _without_tokens(text)
    yield from _unfenced(text)
    yield from _of_json(text)
    yield from _unpaired(text)
    yield from _without_preamble(text)
    yield from _without_paragraphs(text, source)


def _without_thoughts(text: str) -> Iterator[str]:
    ends = list(_THOUGHT_END.finditer(text))
    if ends:
        yield text[ends[-1].end() :]


def _without_tokens(text: str) -> Iterator[str]:
    if found := _TOKENS_BEFORE.match(text):
        yield text[found.end() :]
    for found in _END_TOKEN.finditer(text):
        yield text[: found.start()]
        break


def _unfenced(text: str) -> Iterator[str]:
    blocks = list(_FENCED.finditer(text))
    if len(blocks) == 1:
        yield blocks[0][2]
    if found := _UNCLOSED.match(text):
        yield text[found.end() :]
    if len(_FENCE.findall(text)) == 1 and (found := _FENCE_AFTER.search(text)):
        yield text[: found.start()]


def _of_json(text: str) -> Iterator[str]:
    if text[:1] not in '{["' or text[-1:] not in '}]"':
        return
    value = _parsed(text)
    leaves = [(name, leaf) for name, leaf in _string_leaves(value) if leaf.strip()]
    named = [leaf for name, leaf in leaves if _JSON_NAMES.search(name)]
    if len(leaves) == 1 or len(named) == 1:
        yield named[0] if len(named) == 1 else leaves[0][1]


def _parsed(text: str) -> Any:
    """Return the value of JSON, with line feeds in its strings if need be, or of a Python literal; None where it is neither."""
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _string_leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from _string_leaves(child, str(key))
    elif isinstance(value, list | tuple):
        for child in value:
            yield from _string_leaves(child, name)


def _unpaired(text: str) -> Iterator[str]:
    for quote in _LONG_QUOTES:
        if text.startswith(quote) and text.endswith(quote) and len(text) > 2 * len(quote):
            yield text[len(quote) : -len(quote)]
    if len(text) > 2 and text[-1] in _QUOTES.get(text[0], ""):
        yield text[1:-1]
    if found := _TAGGED.fullmatch(text) or _BOXED.fullmatch(text):
        yield found[found.lastindex or 0]
    lines = text.split("\n")
    if all(line.startswith(">") for line in lines if line.strip()):
        yield "\n".join(line.removeprefix(">").removeprefix(" ") for line in lines)


def _without_preamble(text: str) -> Iterator[str]:
    for pattern in (_RULE, _ROLE, _HEADING, _LABEL, _SENTENCE, _PREFIX):
        if found := pattern.match(text):
            yield text[found.end() :]
    if found := _RULE_AFTER.search(text):
        yield text[: found.start()]
    # An echo of the source or of the prompt may stand before a label.
    starts = (line.start() + 1 for line in _LINE_WITH_MARK.finditer(text))
    labels = (found for start in starts if (found := _LABEL.match(text, start) or _HEADING.match(text, start)))
    for found in islice(labels, _MAX_LABELS):
        yield text[found.end() :]


def _without_paragraphs(text: str, source: str) -> Iterator[str]:
    """Yield the text without its first or last paragraph, where these share hardly a word with the source."""
    parts = re.split(r"\n[ \t]*\n\s*", text)
    if len(parts) < 2:
        return
    words = set(re.findall(r"\w+", source.lower()))
    for part, rest in ((parts[0], text[len(parts[0]) :]), (parts[-1], text[: len(text) - len(parts[-1])])):
        own = re.findall(r"\w+", part.lower())
        if not own or sum(word in words for word in own) < len(own) / 2:
            yield rest


def _is_nearer(source: str, text: str, inner: str) -> bool:
    """Return whether the text without a wrapping is nearer to the source by about the length of the wrapping."""
    inner = inner.strip()
    removed = len(text) - len(inner)
    if not inner or removed <= 0 or (len(inner) > _COMPARED_CHARS and len(text) - len(source) < _MIN_GAIN * removed):
        return False
    before, after = 0, 0
    for one, other, third in _windows(source, text, inner):
        before += Levenshtein.distance(one, other)
        after += Levenshtein.distance(one, third)
        if after > _MAX_UNLIKE * max(len(one), len(third)):
            return False
    return before - after >= _MIN_GAIN * removed


def _windows(source: str, text: str, inner: str) -> list[tuple[str, str, str]]:
    """Return the parts to compare: all, or, of long texts, both ends, with what was removed there."""
    start = text.find(inner)
    if start < 0 or len(inner) <= _COMPARED_CHARS:
        return [(source, text, inner)]
    end, width = len(text) - start - len(inner), _WINDOW_CHARS
    return [
        (source[:width], text[: start + width], inner[:width]),
        (source[-width:], text[-end - width :], inner[-width:]),
    ]


def _is_doubtful(source: str, text: str) -> bool:
    if any(found[0] not in source for found in _LEFT_OVER.finditer(text)):
        return True
    if re.match(r"\{\s*[\"'][^\"'\n]{1,60}[\"']\s*:", text) and "{" not in source:
        return True
    if _THOUGHT_BEGIN.match(text) and not _THOUGHT_BEGIN.match(source):
        return True
    preamble = _SENTENCE.match(text)
    return bool(
        preamble and ":" in preamble[0] and _SENTENCE.match(source) is None and re.search(r"(?i)correct|text", preamble[0])
    )
