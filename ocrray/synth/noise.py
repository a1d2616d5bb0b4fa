"""Noise model of OCR: character confusions fitted on pairs, combined with general ones of old print."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from rapidfuzz.distance import Levenshtein

from ocrray.errors import ConfigError, OcrrayError
from ocrray.synth.clean import straighten
from ocrray.synth.confusions import MAX_NGRAM_CHARS, Group, general_groups
from ocrray.text.edits import edits_between

# Weights of the Dirichlet distribution from which the share of each group in the errors of a document is drawn.
_MIXTURE = {
    "fitted": 1.2,
    "classical": 1.8,
    "strokes": 1.3,
    "doubles": 0.6,
    "specks": 0.8,
    "marks": 0.7,
    "line_ends": 0.5,
    "spacing": 0.4,
    "junk": 0.25,
    "uniform": 0.7,
    "long_s": 0.03,
}
# Shape of the gamma distribution of a document's factor for each confusion: small (a few confusions dominate), since one worn
# fount and one engine repeat the same mistake (in one newspaper of the development data a third of all errors is e read as o).
_FAVOUR_SHAPE = 0.15
_EVEN_SHAPE = 2.0  # for damage to the page, which does not repeat by letter
_EVEN_GROUPS = ("line_ends", "spacing", "junk")


_MAX_FIT_CHARS = 5_000_000  # more hardly changes the fitted rates


@dataclass(frozen=True)
class NoiseModel:
    """Confusions in groups: clean n-gram (1..4 characters) -> text read instead -> rate (0..1) per occurrence of the n-gram.

    The shares of the groups and the factors of single confusions are drawn anew for each document.
    """

    groups: dict[str, Group]
    mixture: dict[str, float] = field(default_factory=lambda: dict(_MIXTURE))

    @classmethod
    def fit(cls, pairs: Iterable[tuple[str, str]], min_count: int = 2) -> "NoiseModel":
        """Count the confusions in (clean, read) pairs, bare and with either neighbour; rarer than `min_count` are left out."""
        confusions: Counter[tuple[str, str]] = Counter()
        ngrams: Counter[str] = Counter()
        for clean, read in pairs:
            confusions.update(_confusions(clean, read))
            for length in range(1, MAX_NGRAM_CHARS + 1):
                ngrams.update(clean[start : start + length] for start in range(len(clean) - length + 1))
        fitted: dict[str, dict[str, float]] = {}
        for (printed, read), count in sorted(confusions.items()):
            if count >= min_count:
                fitted.setdefault(printed, {})[read] = round(count / ngrams[printed], 6)
        return cls({"fitted": fitted, **general_groups()})

    def save(self, path: Path) -> None:
        """Write the model as JSON."""
        path.write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "NoiseModel":
        """Read a saved model.

        Raises: ConfigError: when the file holds no noise model.
        """
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(f"{path}: not a noise model: {error}") from None

    def corrupt(self, text: str, cer: float, rng: np.random.Generator) -> str:
        """Return `text` with about `cer` (0..1) wrong characters, in bursts, as one document; line feeds stay."""
        if not text or cer <= 0:
            return text
        rules = self._rules
        weights = self._document_weights(text, rng)
        ngram_rates = np.bincount(rules.ngram, weights=weights, minlength=len(rules.index))
        ngram_costs = np.bincount(rules.ngram, weights=weights * rules.cost, minlength=len(rules.index))
        starts, found = rules.find(text)
        burst = _bursts(len(text), rng)[starts]
        expected = float((ngram_costs[found] * burst).sum())
        if expected == 0:
            return text
        hits = np.flatnonzero(rng.random(len(starts)) < ngram_rates[found] * burst * (cer * len(text) / expected))
        hits = hits[np.argsort(starts[hits], kind="stable")]
        parts, position = [], 0
        for start, ngram in zip(starts[hits].tolist(), found[hits].tolist(), strict=True):
            if start >= position:
                first, last = rules.bounds[ngram], rules.bounds[ngram + 1]
                share = np.cumsum(weights[first:last])
                chosen = first + int(np.searchsorted(share, rng.random() * share[-1], side="right"))
                parts += [text[position:start], rules.read[min(chosen, last - 1)]]
                position = start + len(rules.printed[ngram])
        return "".join([*parts, text[position:]])

    def _document_weights(self, text: str, rng: np.random.Generator) -> np.ndarray:
        """Return the rate of every rule in one document: groups mixed anew, some confusions much more frequent than others."""
        rules = self._rules
        shapes = np.array([_EVEN_SHAPE if name in _EVEN_GROUPS else _FAVOUR_SHAPE for name in self.groups])[rules.group]
        weights: np.ndarray = rules.rate * rng.gamma(shapes, 1 / shapes)
        shares = rng.dirichlet([self.mixture[name] for name in self.groups])
        _, found = rules.find(text[:1000])
        uses = np.bincount(found, minlength=len(rules.index))[rules.ngram]
        # Scale the groups to equal expected errors in this text, so that the shares are shares of the errors.
        expected = np.bincount(rules.group, weights=weights * rules.cost * uses, minlength=len(shares))
        weights *= (shares / np.maximum(expected, 1e-9))[rules.group]
        return weights

    @cached_property
    def _rules(self) -> "_Rules":
        return _Rules.of(self.groups)


def fit_recognition_errors(pairs: Iterable[tuple[str, str]]) -> NoiseModel:
    """Fit a model on (clean, read) pairs, without regard to the form of quotation marks and dashes.

    Raises: OcrrayError: when there is no pair.
    """
    # Printers and transcribers differ in quotation marks, which is no recognition error.
    straight = [(straighten(clean), straighten(read)) for clean, read in _first_chars(pairs, _MAX_FIT_CHARS)]
    if not straight:
        raise OcrrayError("noise: no pair to fit the noise model on; see why pages were dropped, or check noise.fit")
    return NoiseModel.fit(straight)


def _first_chars(pairs: Iterable[tuple[str, str]], max_chars: int) -> Iterator[tuple[str, str]]:
    chars = 0
    for clean, read in pairs:
        yield clean, read
        chars += len(clean)
        if chars >= max_chars:
            return


@dataclass(frozen=True)
class _Rules:
    """Confusions of all groups as arrays, one entry a rule, sorted by n-gram."""

    index: dict[str, int]
    printed: list[str]
    bounds: list[int]  # the rules of n-gram k are bounds[k]..bounds[k + 1]
    ngram: np.ndarray
    group: np.ndarray
    rate: np.ndarray
    cost: np.ndarray
    read: list[str]

    @classmethod
    def of(cls, groups: dict[str, Group]) -> "_Rules":
        rows: list[tuple[str, int, str, float]] = sorted(
            (printed, number, read, rate)
            for number, group in enumerate(groups.values())
            for printed, readings in group.items()
            for read, rate in readings.items()
        )
        printed = sorted({row[0] for row in rows})
        index = {ngram: number for number, ngram in enumerate(printed)}
        ngram = np.array([index[row[0]] for row in rows])
        return cls(
            index=index,
            printed=printed,
            bounds=np.searchsorted(ngram, np.arange(len(printed) + 1)).tolist(),
            ngram=ngram,
            group=np.array([row[1] for row in rows]),
            rate=np.array([row[3] for row in rows]),
            cost=np.array([Levenshtein.distance(row[0], row[2]) for row in rows], dtype=float),
            read=[row[2] for row in rows],
        )

    def find(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Return start offsets and numbers of the n-grams in `text`, the longest first at each start."""
        starts, found = [], []
        offsets = np.arange(len(text))
        for length in range(MAX_NGRAM_CHARS, 0, -1):
            numbers = np.array([self.index.get(text[i : i + length], -1) for i in range(len(text) - length + 1)], dtype=int)
            known = numbers >= 0
            starts.append(offsets[: len(numbers)][known])
            found.append(numbers[known])
        return np.concatenate(starts), np.concatenate(found)


def _confusions(clean: str, read: str) -> list[tuple[str, str]]:
    """Return every edit of one pair, bare and with a neighbour; an insertion always with one."""
    confusions = []
    for edit in edits_between(clean, read):
        left, right = clean[max(0, edit.start - 1) : edit.start], clean[edit.end : edit.end + 1]
        for before, after in {("", ""), (left, ""), ("", right), (left, right)}:
            printed, seen = before + edit.raw + after, before + edit.corrected + after
            if printed and len(printed) <= MAX_NGRAM_CHARS and len(seen) <= MAX_NGRAM_CHARS + 1 and "\n" not in printed + seen:
                confusions.append((printed, seen))
    return confusions


def _bursts(chars: int, rng: np.random.Generator) -> np.ndarray:
    """Return a factor for every position, so that errors cluster in stretches of some ten characters."""
    lengths = rng.geometric(1 / 30, size=chars // 10 + 8)
    factors = rng.gamma(0.8, 1 / 0.8, size=len(lengths))
    stretched = np.repeat(factors, lengths)
    return np.resize(stretched, chars)
