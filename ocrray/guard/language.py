"""Language model of the guard: counts of character n-grams, words and word bigrams, fitted on clean text."""

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ocrray.errors import ConfigError

ORDER = 6
_DENSE_ORDER = 3
_BITS = 6  # per symbol in a packed n-gram
# At most 2 ** _BITS - 1 symbols: one code stands for all other characters.
_SYMBOLS = " abcdefghijklmnopqrstuvwxyz0.,;:'\"-!?()&£[]*/éèêàâçôùûîïëäöüæœß"
_OTHER = len(_SYMBOLS)
_ALIASES = {"“": '"', "”": '"', "‘": "'", "’": "'", "`": "'", "—": "-", "–": "-", "‑": "-", "¬": "-", "\n": " ", "\t": " "}
_SMOOTHING = 24.0  # pseudo-count of the lower order, per order; chosen by the fewest bits per character on held-out novels
_MAX_BITS = 16.0  # per character: rarer characters are not told apart
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def _symbol_table() -> NDArray[np.uint8]:
    table = np.full(0x250, _OTHER, dtype=np.uint8)
    for number, symbol in enumerate(_SYMBOLS):
        table[ord(symbol)] = table[ord(symbol.upper()[0])] = number
    table[ord("S")] = _SYMBOLS.index("s")  # upper-case ß is SS and has overwritten it
    table[ord("1") : ord("9") + 1] = _SYMBOLS.index("0")
    return table


_TABLE = _symbol_table()
_TRANSLATION = str.maketrans(_ALIASES)


def symbols(text: str) -> NDArray[np.uint8]:
    """Return one code (0..63) per character of `text`; case, digits and shapes of quotation marks are merged."""
    codes = np.frombuffer(text.translate(_TRANSLATION).encode("utf-32-le"), dtype=np.uint32)
    return np.where(codes < len(_TABLE), _TABLE[np.minimum(codes, len(_TABLE) - 1)], _OTHER).astype(np.uint8)


def _packed(numbers: NDArray[np.uint8], length: int) -> NDArray[np.uint64]:
    """Return each n-gram of this length as one integer."""
    packed = np.zeros(len(numbers) - length + 1, dtype=np.uint64)
    for offset in range(length):
        packed = (packed << np.uint64(_BITS)) | numbers[offset : offset + len(packed)]
    return packed


@dataclass(frozen=True)
class Language:
    """Counts of character n-grams of length 1..ORDER, words and word bigrams."""

    ngrams: list[NDArray[np.uint64]]
    """Packed n-grams of each length, ascending."""
    counts: list[NDArray[np.float64]]
    """Count of each entry of `ngrams`."""
    words: dict[str, float]
    """Count of each word, in lower case."""
    pairs: dict[int, float]
    """Count of each bigram; its key is (index of the first word) * len(words) + (index of the second)."""

    @classmethod
    def fit(cls, texts: Iterable[str], min_ngram_count: int = 6, min_word_count: int = 3, min_pair_count: int = 3) -> "Language":
        """Count the n-grams, words and bigrams of `texts`; rarer ones are left out, except n-grams of up to three characters."""
        words: Counter[str] = Counter()
        pairs: Counter[tuple[str, str]] = Counter()
        parts = []
        for text in texts:
            plain = " ".join(text.split())
            text_words = WORD.findall(plain.lower())
            words.update(text_words)
            pairs.update(itertools.pairwise(text_words))
            parts.append(symbols(plain))
        codes = np.concatenate(parts)
        ngrams, counts = [], []
        for length in range(1, ORDER + 1):
            found, seen = np.unique(_packed(codes, length), return_counts=True)
            kept = seen >= (min_ngram_count if length > 3 else 1)
            ngrams.append(found[kept])
            counts.append(seen[kept].astype(np.float64))
        kept_words = {word: float(count) for word, count in sorted(words.items()) if count >= min_word_count}
        index = {word: place for place, word in enumerate(kept_words)}
        kept_pairs = {
            index[first] * len(index) + index[second]: float(count)
            for (first, second), count in pairs.items()
            if count >= min_pair_count and first in index and second in index
        }
        return cls(ngrams, counts, kept_words, dict(sorted(kept_pairs.items())))

    def save(self, path: Path) -> None:
        """Write an npz file; counts are rounded to an eighth of a power of two."""
        arrays: dict[str, NDArray[np.integer]] = {
            "words": np.frombuffer("\n".join(self.words).encode("utf-8"), dtype=np.uint8),
            "word_levels": _levels(self.words.values()),
            "pair_steps": _steps(np.array(list(self.pairs), dtype=np.uint64)),
            "pair_levels": _levels(self.pairs.values()),
            **{f"steps_{n}": _steps(keys) for n, keys in enumerate(self.ngrams, 1)},
            **{f"levels_{n}": _levels(counts) for n, counts in enumerate(self.counts, 1)},
        }
        np.savez_compressed(path, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> "Language":
        """Read a file written by `save`.

        Raises: ConfigError: when the file cannot be read or lacks an array.
        """
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
            raise ConfigError(f"{path}: not a language model of the guard: {error}") from None

    def bits(self, text: str) -> NDArray[np.float64]:
        """Return the surprisal of each character given the five before it, in bits, shape (len(text),)."""
        codes = np.concatenate([np.zeros(ORDER, np.uint8), symbols(text)])
        context = np.full(len(text), self._total)
        share = np.full(len(text), 1 / (_OTHER + 1))
        for length in range(1, ORDER + 1):
            counts = self._count(length, _packed(codes[ORDER - length :], length))  # one n-gram before the first character
            share = (np.minimum(counts[1:], context) + _SMOOTHING * length * share) / (context + _SMOOTHING * length)
            context = counts[:-1]
        surprisal: NDArray[np.float64] = np.minimum(-np.log2(share), _MAX_BITS)
        return surprisal

    def association(self, first: str, second: str) -> float:
        """Return log2 of how much more often than by chance `second` follows `first` (lower case); 0 where either is unknown."""
        left, right = self._index.get(first), self._index.get(second)
        if left is None or right is None:
            return 0.0
        by_chance = self.words[first] * self.words[second] / self._word_total
        return math.log2((self.pairs.get(left * len(self.words) + right, 0.0) + 1) / (by_chance + 1))

    def share(self, word: str) -> float:
        """Return the share (0..1) of this word (lower case) in the texts fitted on; 0 where it is unknown."""
        return self.words.get(word, 0.0) / self._word_total

    @cached_property
    def _index(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words)}

    @cached_property
    def _word_total(self) -> float:
        return sum(self.words.values())

    @cached_property
    def _total(self) -> float:
        return float(self.counts[0].sum())

    @cached_property
    def _dense(self) -> list[NDArray[np.float64]]:
        """Counts of all possible short n-grams: several times as fast as a binary search."""
        tables = []
        for length in range(1, _DENSE_ORDER + 1):
            table = np.zeros(1 << (_BITS * length))
            table[self.ngrams[length - 1].astype(np.int64)] = self.counts[length - 1]
            tables.append(table)
        return tables

    def _count(self, length: int, packed: NDArray[np.uint64]) -> NDArray[np.float64]:
        if length <= _DENSE_ORDER:
            return self._dense[length - 1][packed.astype(np.int64)]
        keys, counts = self.ngrams[length - 1], self.counts[length - 1]
        places = np.minimum(np.searchsorted(keys, packed), len(keys) - 1)
        found: NDArray[np.float64] = np.where(keys[places] == packed, counts[places], 0.0)
        return found


def _steps(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the differences between ascending keys, beginning with the first key itself."""
    steps: NDArray[np.uint64] = np.diff(keys, prepend=keys.dtype.type(0))
    return steps


def _levels(counts: Iterable[float]) -> NDArray[np.uint8]:
    """Return log2 of the counts in eighths, rounded."""
    levels: NDArray[np.float64] = np.round(np.log2(np.array(list(counts), dtype=np.float64)) * 8)
    return levels.astype(np.uint8)
