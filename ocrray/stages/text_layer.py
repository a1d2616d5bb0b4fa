"""Judgement of a PDF page's text layer without its truth: unmapped characters, ink without text, and language."""

import unicodedata
from functools import lru_cache

import numpy as np

from ocrray.engines.blank import ink_outside, is_suspicious_without_text
from ocrray.guard.judge import DEFAULT_FOLDER, LANGUAGE_FILE
from ocrray.guard.language import WORD, Language
from ocrray.sources.scans.pdf_text import TextLayer

_MAX_UNMAPPED_FRAC = 0.05
_SCAN_IMAGE_FRAC = 0.5
_MAX_INK_OUTSIDE = {True: 0.5, False: 0.9}  # of a scan; of other pages, whose figures are no text
_MIN_LETTERS = 30  # fewer say nothing about a language
_MIN_LATIN_FRAC = 0.8
_MIN_DISTINCT_LETTERS = 8
# Bits a character of the guard's model of English: Latin, German, Finnish or Turkish text reads 5.0 to 7.1, letters that are
# shifted or shuffled by a wrong map 8.7 and more, clean English below 2.5, and English of bad OCR 6.8.
_MAX_BITS, _MAX_ENGLISH_BITS, _MIN_ENGLISH_KNOWN_FRAC = 7.8, 4.0, 0.6
_MAX_NOISY_WORD_FRAC = 0.25
_DOTLESS = str.maketrans("ıŁłØøĐđ", "iLlOoDd")


def is_unread(layer: TextLayer) -> bool:
    """Return whether a page without a text layer shows something that a recognizer could read."""
    return is_suspicious_without_text(layer.preview)


def doubt(layer: TextLayer, *, reads_english: bool) -> str:
    """Return why the layer should not be trusted, in a few words; empty where it seems sound.

    `reads_english`: the page is known to be in English. Only a scan is judged by that: its layer is OCR of some time.
    """
    if layer.unmapped_frac > _MAX_UNMAPPED_FRAC:
        return "characters without Unicode"
    is_scan = layer.image_frac >= _SCAN_IMAGE_FRAC
    if ink_outside(layer.preview, layer.preview_boxes) > _MAX_INK_OUTSIDE[is_scan]:
        return "ink without text"
    return _doubt_of_text(layer.text, is_scan=is_scan, reads_english=reads_english)


def _doubt_of_text(text: str, *, is_scan: bool, reads_english: bool) -> str:
    letters = [char for char in text if char.isalpha()]
    if len(letters) < _MIN_LETTERS:
        return ""
    if len(set(map(str.lower, letters))) < _MIN_DISTINCT_LETTERS:
        return "a few letters for all"
    if sum(unicodedata.name(char, "").startswith("LATIN") for char in letters) < _MIN_LATIN_FRAC * len(letters):
        return ""
    language = _language()
    bits = float(np.mean(language.bits(_without_accents(text))))
    if bits > _MAX_BITS:
        return "letters of no language"
    if not is_scan:
        return ""
    words = WORD.findall(text.lower())
    known = sum(word in language.words for word in words) / max(1, len(words))
    if reads_english and bits > _MAX_ENGLISH_BITS and known < _MIN_ENGLISH_KNOWN_FRAC:
        return "unlike English"
    return "noise within words" if _noisy_frac(text) > _MAX_NOISY_WORD_FRAC else ""


def _noisy_frac(text: str) -> float:
    """Return the share of words with a digit or sign between letters; an apostrophe, a hyphen or a full stop is none."""
    cores = [word.strip("".join(char for char in word if not char.isalpha())) for word in text.split()]
    cores = [core for core in cores if len(core) > 2]
    noisy = sum(any(not (char.isalpha() or char in "'’-–.¬" or unicodedata.combining(char)) for char in core) for core in cores)
    return noisy / len(cores) if cores else 0.0


def _without_accents(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text.translate(_DOTLESS))
    return "".join(char for char in decomposed if not unicodedata.combining(char))


@lru_cache(maxsize=1)
def _language() -> Language:
    return Language.load(DEFAULT_FOLDER / LANGUAGE_FILE)
