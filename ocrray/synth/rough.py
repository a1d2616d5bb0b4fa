"""The damage that a model of single misread characters does not know: what a bad page does to whole words.

Newspapers bring scraps of the next column between the words, specks that are read as marks, stretches that a fold or a
blot left unreadable, and words that are lost at the edge; an engine set to another language puts accents on letters. A guard that
never saw such text takes its repair for invention.
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
_ACCENTS_FRAC = 0.1  # of the pages


@dataclass(frozen=True, slots=True)
class Roughness:
    """How a bad page differs from a good one; every number is a share of the words (of the vowels, for `accents`), 0..1."""

    scraps: float  # followed by a piece of a word that stands elsewhere
    specks: float  # followed by marks, or with one inside
    blots: float  # at which a stretch of some words begins that is hardly readable
    losses: float  # at which a few words are lost
    accents: float  # that have one which was not printed

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Roughness":
        """Those of some page: each kind of damage is absent from half of them, accents from most."""
        damage = [rng.random() < 0.5 and 10 ** rng.uniform(-2.7, most) for most in (-1.0, -1.2, -1.5, -2.0)]
        return cls(*damage, rng.random() < _ACCENTS_FRAC and 10 ** rng.uniform(-2.0, -0.7))


def read_roughly(
    printed: str, cer: float, noise: NoiseModel, others: Sequence[str], roughness: Roughness, rng: np.random.Generator
) -> str:
    """`printed` as a bad page is read: misread like `noise` at about `cer` (0..1), and damaged; scraps are torn from `others`."""
    words, read = printed.split(" "), []
    place = 0
    while place < len(words):
        chance = rng.random(4)
        if chance[0] < roughness.losses:
            place += int(rng.integers(1, 5))
            continue
        length = int(rng.integers(1, 7)) if chance[1] < roughness.blots else 0
        if length:
            read.append(_blot(" ".join(words[place : place + length]), noise, rng))
            place += length
            continue
        read.append(words[place])
        if chance[2] < roughness.scraps:
            read.append(_scrap(others, rng))
        if chance[3] < roughness.specks:
            read[-1] = _speckled(read[-1], rng)
        place += 1
    found = noise.corrupt(" ".join(read), cer, rng)
    return _accented(found, roughness.accents, rng) if roughness.accents else found


def _blot(stretch: str, noise: NoiseModel, rng: np.random.Generator) -> str:
    return noise.corrupt(stretch, float(rng.uniform(*_BLOT_CER)), rng)


def _scrap(others: Sequence[str], rng: np.random.Generator) -> str:
    """The first or the last letters of some word, now and then a whole short one."""
    word = others[int(rng.integers(len(others)))]
    length = int(rng.integers(1, 5))
    return word[:length] if rng.random() < 0.5 else word[-length:]


def _accented(text: str, share: float, rng: np.random.Generator) -> str:
    def read(match: re.Match[str]) -> str:
        accents = _ACCENTED[match[0]]
        return accents[int(rng.integers(len(accents)))] if rng.random() < share else match[0]

    return _VOWEL.sub(read, text)


def _speckled(word: str, rng: np.random.Generator) -> str:
    speck = _SPECKS[int(rng.integers(len(_SPECKS)))]
    place = int(rng.integers(len(word) + 1))
    choice = rng.random()
    if choice < 0.5:
        return f"{word} {speck}"
    if choice < 0.7:
        return f"{speck} {word}"
    return word[:place] + speck + word[place:]
