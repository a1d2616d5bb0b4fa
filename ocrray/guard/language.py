"""What a language looks like: counts of its character n-grams, of its words and of pairs of them, fitted on clean text."""

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ocrray.errors import ConfigError

ORDER = 6
_DENSE_ORDER = 3
_BITS = 6  # of one symbol in a packed n-gram
# At most 2 ** _BITS - 1, since all others together have a number too.
_SYMBOLS = " abcdefghijklmnopqrstuvwxyz0.,;:'\"-!?()&£[]*/éèêàâçôùûîïëäöüæœß"
_OTHER = len(_SYMBOLS)
_ALIASES = {"“": '"', "”": '"', "‘": "'", "’": "'", "`": "'", "—": "-", "–": "-", "‑": "-", "¬": "-", "\n": " ", "\t": " "}
_DOUBT = 24.0  # of each order: how many unseen uses a context is held to have had, times the order; least bits on held-out novels
_MOST_BITS = 16.0  # of one character: beyond it all are alike unheard of
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def _symbol_table() -> np.ndarray:
    table = np.full(0x250, _OTHER, dtype=np.uint8)
    for number, symbol in enumerate(_SYMBOLS):
        table[ord(symbol)] = table[ord(symbol.upper()[0])] = number
    table[ord("S")] = _SYMBOLS.index("s")  # what ß begins with in capitals
    table[ord("1") : ord("9") + 1] = _SYMBOLS.index("0")
    return table


_TABLE = _symbol_table()
_TRANSLATION = str.maketrans(_ALIASES)


def symbols(text: str) -> np.ndarray:
    """`text` as numbers, uint8, one a character: case, digits and the shapes of quotation marks are not told apart."""
    codes = np.frombuffer(text.translate(_TRANSLATION).encode("utf-32-le"), dtype=np.uint32)
    return np.where(codes < len(_TABLE), _TABLE[np.minimum(codes, len(_TABLE) - 1)], _OTHER).astype(np.uint8)


def _packed(numbers: np.ndarray, length: int) -> np.ndarray:
    """Each n-gram of this length as one uint64."""
    packed = np.zeros(len(numbers) - length + 1, dtype=np.uint64)
    for offset in range(length):
        packed = (packed << np.uint64(_BITS)) | numbers[offset : offset + len(packed)]
    return packed


@dataclass(frozen=True)
class Language:
    """Sorted packed n-grams of each length 1..ORDER with their counts; words in lower case, and pairs of neighbours, with theirs.

    A pair's key is the number of its first word times the number of words, plus the number of its second.
    """

    ngrams: list[np.ndarray]
    counts: list[np.ndarray]
    words: dict[str, float]
    pairs: dict[int, float]

    @classmethod
    def fit(cls, texts: Iterable[str], min_ngram_count: int = 6, min_word_count: int = 3, min_pair_count: int = 3) -> "Language":
        """Count `texts`; what is rarer than this is left out, short n-grams (up to three) never are."""
        words: Counter[str] = Counter()
        pairs: Counter[tuple[str, str]] = Counter()
        parts = []
        for text in texts:
            plain = " ".join(text.split())
            found = WORD.findall(plain.lower())
            words.update(found)
            pairs.update(itertools.pairwise(found))
            parts.append(symbols(plain))
        numbers = np.concatenate(parts)
        ngrams, counts = [], []
        for length in range(1, ORDER + 1):
            found, seen = np.unique(_packed(numbers, length), return_counts=True)
            kept = seen >= (min_ngram_count if length > 3 else 1)
            ngrams.append(found[kept])
            counts.append(seen[kept].astype(np.float64))
        kept_words = {word: float(count) for word, count in sorted(words.items()) if count >= min_word_count}
        number = {word: place for place, word in enumerate(kept_words)}
        kept_pairs = {
            number[first] * len(number) + number[second]: float(count)
            for (first, second), count in pairs.items()
            if count >= min_pair_count and first in number and second in number
        }
        return cls(ngrams, counts, kept_words, dict(sorted(kept_pairs.items())))

    def save(self, path: Path) -> None:
        """Write an npz file; counts are kept to a tenth of a power of two."""
        steps = {f"steps_{n}": np.diff(keys, prepend=np.uint64(0)) for n, keys in enumerate(self.ngrams, 1)}
        levels = {f"levels_{n}": _levels(counts) for n, counts in enumerate(self.counts, 1)}
        words = np.frombuffer("\n".join(self.words).encode("utf-8"), dtype=np.uint8)
        more = {
            "word_levels": _levels(self.words.values()),
            "pair_steps": np.diff(np.array(list(self.pairs), dtype=np.uint64), prepend=np.uint64(0)),
            "pair_levels": _levels(self.pairs.values()),
        }
        np.savez_compressed(path, words=words, **more, **steps, **levels)

    @classmethod
    def load(cls, path: Path) -> "Language":
        """Read what `save` wrote; raises ConfigError when the file holds no language."""
        try:
            with np.load(path, allow_pickle=False) as file:
                ngrams = [np.cumsum(file[f"steps_{n}"], dtype=np.uint64) for n in range(1, ORDER + 1)]
                counts = [np.exp2(file[f"levels_{n}"] / 8) for n in range(1, ORDER + 1)]
                words = file["words"].tobytes().decode("utf-8").split("\n")
                pairs = np.cumsum(file["pair_steps"], dtype=np.uint64).tolist()
                return cls(
                    ngrams,
                    counts,
                    dict(zip(words, np.exp2(file["word_levels"] / 8).tolist(), strict=True)),
                    dict(zip(pairs, np.exp2(file["pair_levels"] / 8).tolist(), strict=True)),
                )
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"{path}: holds no language model of the guard: {error}") from None

    def bits(self, text: str) -> np.ndarray:
        """How surprising each character is after the five before it, in bits: float64, as long as the text."""
        numbers = np.concatenate([np.zeros(ORDER, np.uint8), symbols(text)])
        context = np.full(len(text), self._total)
        share = np.full(len(text), 1 / (_OTHER + 1))
        for length in range(1, ORDER + 1):
            counts = self._count(length, _packed(numbers[ORDER - length :], length))  # from the place before the first character
            share = (np.minimum(counts[1:], context) + _DOUBT * length * share) / (context + _DOUBT * length)
            context = counts[:-1]
        return np.minimum(-np.log2(share), _MOST_BITS)

    def link(self, first: str, second: str) -> float:
        """How much oftener `second` follows `first` (both in lower case) than by chance, log2; 0 where either is unknown."""
        one, other = self._number.get(first), self._number.get(second)
        if one is None or other is None:
            return 0.0
        by_chance = self.words[first] * self.words[second] / self._word_total
        return math.log2((self.pairs.get(one * len(self.words) + other, 0.0) + 1) / (by_chance + 1))

    @cached_property
    def _number(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words)}

    @cached_property
    def _word_total(self) -> float:
        return sum(self.words.values())

    @cached_property
    def _total(self) -> float:
        return float(self.counts[0].sum())

    @cached_property
    def _dense(self) -> list[np.ndarray]:
        """Counts of all short n-grams that there could be: looked up several times as fast as they are searched for."""
        tables = []
        for length in range(1, _DENSE_ORDER + 1):
            table = np.zeros(1 << (_BITS * length))
            table[self.ngrams[length - 1].astype(np.int64)] = self.counts[length - 1]
            tables.append(table)
        return tables

    def _count(self, length: int, packed: np.ndarray) -> np.ndarray:
        if length <= _DENSE_ORDER:
            return self._dense[length - 1][packed.astype(np.int64)]
        keys, counts = self.ngrams[length - 1], self.counts[length - 1]
        places = np.minimum(np.searchsorted(keys, packed), len(keys) - 1)
        return np.where(keys[places] == packed, counts[places], 0.0)


def _levels(counts: Iterable[float]) -> np.ndarray:
    """Counts to an eighth of a power of two, uint8."""
    return np.round(np.log2(np.array(list(counts))) * 8).astype(np.uint8)
