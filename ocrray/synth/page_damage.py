"""Damage to whole words, as on bad pages, which a noise model of single characters does not make.

Newspapers have fragments of the next column between the words, specks that are read as punctuation, passages that a fold or blot
made unreadable, and words lost at the edge; an engine set to another language adds accents. A guard fitted without
such text would refuse its repair as invented.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ocrray.synth.noise import NoiseModel

_SPECKS = (".", ",", "'", "-", "_", "|", "^", "*", ";", ":", "i", "l", "I", "t", "1", ". .", "- -", "; .")
_BLOT_CER = (0.3, 0.9)
_VOWEL = re.compile(r"[aeiou]")
_ACCENTED = {"a": "àâäá", "e": "éèêë", "i": "îïí", "o": "ôöó", "u": "ùûü"}
_ACCENTED_PAGES_FRAC = 0.1


@dataclass(frozen=True, slots=True)
class PageDamage:
    """Rates of each kind of damage on one page, as fractions (0..1) of the words, or of the vowels for `accent_frac`."""

    fragment_frac: float
    """Words followed by a fragment of another word."""
    speck_frac: float
    """Words with punctuation beside or inside them that was not printed."""
    blot_frac: float
    """Words at which a passage of one to six words begins that is hardly readable."""
    loss_frac: float
    """Words at which one to four words are lost."""
    accent_frac: float
    """Vowels with an accent that was not printed."""

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "PageDamage":
        """Sample the rates of one page: each kind is absent from half of the pages, accents from nine tenths."""

        def rate(present_frac: float, min_exponent: float, max_exponent: float) -> float:
            return 10 ** rng.uniform(min_exponent, max_exponent) if rng.random() < present_frac else 0.0

        return cls(
            fragment_frac=rate(0.5, -2.7, -1.0),
            speck_frac=rate(0.5, -2.7, -1.2),
            blot_frac=rate(0.5, -2.7, -1.5),
            loss_frac=rate(0.5, -2.7, -2.0),
            accent_frac=rate(_ACCENTED_PAGES_FRAC, -2.0, -0.7),
        )


def read_damaged(
    printed: str, cer: float, noise: NoiseModel, other_words: Sequence[str], damage: PageDamage, rng: np.random.Generator
) -> str:
    """Return `printed` as read from a damaged page: errors of `noise` at about `cer` (0..1), and fragments of `other_words`."""
    words = printed.split(" ")
    read: list[str] = []
    place = 0
    while place < len(words):
        chance = rng.random(4)
        if chance[0] < damage.loss_frac:
            place += int(rng.integers(1, 5))
            continue
        length = int(rng.integers(1, 7)) if chance[1] < damage.blot_frac else 0
        if length:
            read.append(_blot(" ".join(words[place : place + length]), noise, rng))
            place += length
            continue
        read.append(words[place])
        if chance[2] < damage.fragment_frac:
            read.append(_fragment(other_words, rng))
        if chance[3] < damage.speck_frac:
            read[-1] = _with_speck(read[-1], rng)
        place += 1
    noisy = noise.corrupt(" ".join(read), cer, rng)
    return _with_accents(noisy, damage.accent_frac, rng) if damage.accent_frac else noisy


def _blot(passage: str, noise: NoiseModel, rng: np.random.Generator) -> str:
    return noise.corrupt(passage, float(rng.uniform(*_BLOT_CER)), rng)


def _fragment(words: Sequence[str], rng: np.random.Generator) -> str:
    """Return the first or the last one to four letters of a random word."""
    word = words[int(rng.integers(len(words)))]
    length = int(rng.integers(1, 5))
    return word[:length] if rng.random() < 0.5 else word[-length:]


def _with_accents(text: str, frac: float, rng: np.random.Generator) -> str:
    def accented(match: re.Match[str]) -> str:
        accents = _ACCENTED[match[0]]
        return accents[int(rng.integers(len(accents)))] if rng.random() < frac else match[0]

    return _VOWEL.sub(accented, text)


def _with_speck(word: str, rng: np.random.Generator) -> str:
    speck = _SPECKS[int(rng.integers(len(_SPECKS)))]
    place = int(rng.integers(len(word) + 1))
    choice = rng.random()
    if choice < 0.5:
        return f"{word} {speck}"
    if choice < 0.7:
        return f"{speck} {word}"
    return word[:place] + speck + word[place:]
