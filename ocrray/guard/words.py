"""Words that a user wants to keep: a file of them, and the spans that change one."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from ocrray.errors import ConfigError
from ocrray.guard.spans import Span


@lru_cache(maxsize=4)
def load_words(path: Path) -> re.Pattern[str] | None:
    """Return what finds the words of a file (one word or phrase a line, in any capitals), None where it has none.

    Raises: ConfigError: when the file cannot be read as UTF-8.
    """
    try:
        lines = unicodedata.normalize("NFC", path.read_text(encoding="utf-8-sig")).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a UTF-8 list of words: {error}") from None
    words = sorted({" ".join(line.split()) for line in lines if line.strip() and not line.startswith("#")}, key=len, reverse=True)
    parts = (r"\s+".join(map(re.escape, word.split())) for word in words)
    return re.compile(rf"(?<!\w)(?:{'|'.join(parts)})(?!\w)", re.IGNORECASE) if words else None


def changes_kept_word(source: str, spans: Sequence[Span], words: re.Pattern[str]) -> list[bool]:
    """Return, for each span, whether a kept word of `source` that it touches is not there afterwards, as it was written."""
    kept = list(words.finditer(source))
    found = []
    for number, span in enumerate(spans):
        touched = [match for match in kept if match.start() < span.end and span.start < match.end()]
        if not touched:
            found.append(False)
            continue
        start, end = min(span.start, touched[0].start()), max(span.end, touched[-1].end())
        before, after = (
            spans[number - 1].end if number else 0,
            spans[number + 1].start if number + 1 < len(spans) else len(source),
        )
        start, end = max(start, before), min(end, after)
        text = source[start : span.start] + span.corrected + source[span.end : end]
        left = Counter(_plain(match.group()) for match in touched)
        found.append(bool(left - Counter(_plain(match.group()) for match in words.finditer(text))))
    return found


def _plain(word: str) -> str:
    return " ".join(unicodedata.normalize("NFC", word).split())
