"""Words of a text: separated by white space, or single characters in scripts that are written without spaces."""

import re

import regex

_UNSPACED = (
    "\u0e00-\u0fff\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f\u1780-\u17ff"  # Thai, Lao, Tibetan; Burmese; Khmer
    "\u2e80-\u2fff\u3001-\ua4cf\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff"  # Han, kana, bopomofo, Yi
    "\ufe10-\ufe1f\ufe30-\ufe4f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff9f"  # full-width marks, half-width kana
)
"""Characters of scripts without spaces, and the punctuation that stands among them."""
_ANY_UNSPACED = re.compile(f"[{_UNSPACED}]")  # the built-in module searches ten times as fast as `regex`
_WORD = regex.compile(rf"(?=[{_UNSPACED}])\X|(?:(?![{_UNSPACED}])\S)+")
_KANA_OR_SOUTHERN = regex.compile(r"[\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}\p{Yi}]")
_LETTER = regex.compile(r"\p{L}")
_JAPANESE = frozenset({"ja", "jpn", "japanese"})


def words(text: str) -> list[str]:
    """Return the words of `text`; of Chinese, Japanese, Thai and other scripts without spaces every character, with its marks.

    Otherwise a line of such a script would be one word, and one wrong character in it a word error rate of 100 %.
    """
    if text.isascii() or not _ANY_UNSPACED.search(text):
        return text.split()
    return _WORD.findall(text)


def is_unspaced(text: str) -> bool:
    """Return whether most letters of `text` belong to scripts that are written without spaces between words."""
    if text.isascii():
        return False
    return 2 * len(_ANY_UNSPACED.findall(text)) > max(1, len(_LETTER.findall(text)))


def is_chinese(text: str, language: str | None) -> bool:
    """Return whether a text of a script without spaces is Chinese: Han characters alone, and not said to be Japanese."""
    name = (language or "").lower().replace("_", "-").split("-")[0]
    return name not in _JAPANESE and not _KANA_OR_SOUTHERN.search(text)
