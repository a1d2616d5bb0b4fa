"""Simulated corrector: corrections as an unreliable language model would write them, made from noisy text and its ground truth.

Some are right, some are missing, some are wrong: guesses, modernised spellings, loops, truncation. A guard can be fitted on them
without the outputs of any real model.
"""

import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from ocrray.text.edits import apply_edits, edits_between
from ocrray.text.orthography import modernised

_VOCABULARY_WORDS = 15_000
_FOLLOWERS_KEPT = 40
_PARTLY_REPAIRED_FRAC = 0.15  # of the misread words that are neither repaired nor left unchanged
_RESTYLED = (
    ("'", '"'),
    ('"', "'"),
    (";", ","),
    (":", ";"),
    ("&", "and"),
    ("£", ""),
    ("--", "-"),
    ("!", "."),
    (".", ""),
    (",", ""),
)


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """Error rates of one simulated corrector; fractions are 0..1."""

    repair_frac: float
    """Fraction of slightly misread words that are corrected."""
    repair_decay: float
    """Exponential decay of `repair_frac` with the fraction of the word that was misread."""
    unchanged_frac: float
    """Fraction of the words not repaired that stay as they were read."""
    overcorrect_frac: float
    """Fraction of the correctly read words that are changed."""
    failure_frac: float
    """Fraction of the records that are truncated, replaced, or end in a loop or another text."""
    restyle_frac: float
    """Fraction of the records in which one convention (capitals, quotation marks, spelling) is changed throughout."""

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "ErrorRates":
        """Sample the rates of a corrector between a good and a bad one."""
        return cls(
            repair_frac=rng.uniform(0.75, 0.98),
            repair_decay=10 ** rng.uniform(-0.55, 0.65),
            unchanged_frac=rng.uniform(0.1, 0.7),
            overcorrect_frac=10 ** rng.uniform(-3.4, -1.7),
            failure_frac=10 ** rng.uniform(-2.5, -1.3),
            restyle_frac=10 ** rng.uniform(-2.5, -1),
        )


class SimulatedCorrector:
    """Writes corrections with the words, bigrams and names of clean `texts`; equal `rng` states give equal corrections."""

    def __init__(self, texts: Sequence[str], rng: np.random.Generator) -> None:
        self._rng = rng
        self._tokens = " ".join(texts).split()
        counts = Counter(re.findall(r"[A-Za-z]+", " ".join(self._tokens)))
        self._vocabulary: list[str] = [word for word, _ in counts.most_common(_VOCABULARY_WORDS)]
        self._log_counts = np.log([counts[word] for word in self._vocabulary])
        self._rarities = {word.lower(): max(0.0, 1 - math.log10(count) / 3) for word, count in counts.items()}
        self._names = [word for word in self._vocabulary if word[0].isupper() and counts[word] > 5 * counts.get(word.lower(), 0)]
        self._followers: dict[str, list[str]] = {}
        for word, following in zip(self._tokens, self._tokens[1:], strict=False):
            known = self._followers.setdefault(word.lower(), [])
            if len(known) < _FOLLOWERS_KEPT:
                known.append(following)

    def correct(self, printed: str, read: str, rates: ErrorRates) -> str:
        """Return a correction of `read`, the noisy version of `printed`, with these error rates."""
        written: list[str] = []
        before, noise = "the", 0.0  # the word before, and how much was misread lately
        for true, seen in _aligned_words(printed, read):
            if true == seen:
                noise *= 0.7
                overcorrects = bool(seen) and self._rng.random() < rates.overcorrect_frac * (1 + noise)
                word = self._overcorrect(seen, before) if overcorrects else seen
            else:
                noise = 0.7 * noise + 1
                word = self._repair(true, seen, before, rates, noise)
            if word:
                written.append(word)
                before = word.split()[-1] if word.split() else before
        if written and self._rng.random() < rates.failure_frac:
            written = self._fail(written)
        if self._rng.random() < rates.restyle_frac and written:
            written = self._restyle(written)
        return " ".join(written)

    def _repair(self, true: str, seen: str, before: str, rates: ErrorRates, noise: float) -> str:
        misread = Levenshtein.distance(true, seen) / max(len(true), len(seen), 1)
        # Rare words, and words that were split, are the hardest to guess.
        misread += 0.4 * self._rarity(true) * (misread > 0) + 0.15 * (" " in seen)
        if self._rng.random() < rates.repair_frac * np.exp(-rates.repair_decay * max(0.0, misread - 0.15) - 0.07 * noise):
            return true
        if self._rng.random() < rates.unchanged_frac:
            return seen
        if self._rng.random() < _PARTLY_REPAIRED_FRAC:
            return self._partly_repaired(true, seen)
        choice = self._rng.random()
        if choice < 0.48:
            return self._in_style_of(self._similar_word(seen, before), seen)
        if choice < 0.63:
            return self._in_style_of(self._following_word(before), seen)
        if choice < 0.73:
            return self._overcorrect(true, before) if true else ""
        if choice < 0.78:
            return ""
        if choice < 0.84:
            return self._misspell(true)
        if choice < 0.91 and true[:1].isupper():
            return self._in_style_of(self._names[self._rng.integers(len(self._names))], seen)
        if choice < 0.95:
            return f"{true} {self._following_phrase(true)}"
        return self._in_style_of(self._following_phrase(before), seen)

    def _partly_repaired(self, true: str, seen: str) -> str:
        """Apply a random half of the edits that would repair the word, as taggers do."""
        edits = edits_between(seen, true)
        return apply_edits(seen, [edit for edit in edits if self._rng.random() < 0.5])

    def _overcorrect(self, word: str, before: str) -> str:
        """Return a wrong or needless change of a word that was read correctly."""
        choice, rng = self._rng.random(), self._rng
        if choice < 0.28:
            if word[-1] in ".,;:!?":
                return word[:-1] + str(rng.choice(["", ",", ".", ";"]))
            return word[1:] if word[0] in "\"'(" else word + str(rng.choice([",", ".", ";", '"'], p=[0.7, 0.15, 0.1, 0.05]))
        if choice < 0.38:
            return modernised(word)
        if choice < 0.44:
            return word.replace("-", str(rng.choice(["", " ", "- "])), 1)
        if choice < 0.53:
            return str(rng.choice([word.lower(), word.upper(), word.capitalize()]))
        if choice < 0.62:
            return self._in_style_of(self._similar_word(word, before), word)
        if choice < 0.70:
            return self._in_style_of(self._following_word(before), word)
        if choice < 0.75:
            return ""
        if choice < 0.83:
            return f"{self._following_word(before)} {word}" if rng.random() < 0.5 else f"{word} {self._following_word(word)}"
        if choice < 0.90 and any(char.isdigit() for char in word):
            return re.sub(r"\d", lambda digit: str(rng.integers(10)) if rng.random() < 0.5 else digit[0], word)
        if choice < 0.95:
            stem = word.rstrip(".,;")
            return (stem[:-1] if stem.endswith("s") else stem + "s") + word[len(stem) :]
        return self._misspell(word)

    def _restyle(self, words: list[str]) -> list[str]:
        """Change one convention throughout: capitals, quotation marks, hyphens, full stops or old spellings."""
        choice = self._rng.random()
        if choice < 0.4:
            return [words[0], *(word.lower() if word.istitle() else word for word in words[1:])]
        if choice < 0.5:
            return [word.capitalize() if word.isupper() and len(word) > 1 else word for word in words]
        if choice < 0.6:
            return [modernised(word) for word in words]
        if choice < 0.7:
            return [word.replace("-", " ") for word in words]
        old, new = _RESTYLED[int(self._rng.integers(len(_RESTYLED)))]
        return [word.replace(old, new) for word in words]

    def _fail(self, words: list[str]) -> list[str]:
        choice, rng = self._rng.random(), self._rng
        place = int(rng.integers(1, len(words) + 1))
        if choice < 0.3:
            return words[:place]
        if choice < 0.5:
            loop = words[max(0, place - int(rng.integers(2, 12))) : place] * int(rng.integers(1, 6))
            return words[:place] + loop + (words[place:] if rng.random() < 0.5 else [])
        if choice < 0.7:
            return words + self._other_passage(40)
        if choice < 0.85:
            return words[:place] + self._other_passage(12) + words[place + int(rng.integers(0, 8)) :]
        if choice < 0.95:
            return words[:place] + words[place + int(rng.integers(1, 10)) :]
        return self._other_passage(20)

    def _similar_word(self, word: str, before: str) -> str:
        """Sample a word by its similarity to `word`, its frequency, and whether it ever follows `before`."""
        rng, core = self._rng, re.sub(r"[^A-Za-z]", "", word) or "a"
        limit = max(2, int(0.7 * len(core)))
        distances = process.cdist([core], self._vocabulary, scorer=Levenshtein.distance, score_cutoff=limit)[0]
        noise = rng.gumbel(size=len(distances)) * rng.uniform(0.2, 1.5)
        scores = 0.35 * self._log_counts - distances * rng.uniform(1.0, 3.0) + noise
        best = np.argsort(-scores)[:40]
        followers = {follower.strip('.,;:!?"').lower() for follower in self._followers.get(before.lower(), ())}
        scores[best] += [rng.uniform(0, 4) * (self._vocabulary[place].lower() in followers) for place in best]
        return self._vocabulary[int(best[np.argmax(scores[best])])]

    def _following_word(self, word: str) -> str:
        known = self._followers.get(word.lower()) or self._tokens
        return known[self._rng.integers(len(known))]

    def _following_phrase(self, word: str) -> str:
        """Return one to four words, each of which follows the one before it somewhere in the texts."""
        phrase = [word]
        for _ in range(int(self._rng.integers(1, 5))):
            phrase.append(self._following_word(phrase[-1]))
        return " ".join(phrase[1:])

    def _rarity(self, word: str) -> float:
        """Return 0 for a word that occurs a thousand times or more in the texts, 1 for one that occurs at most once."""
        return self._rarities.get(re.sub(r"[^a-z]", "", word.lower()), 1.0)

    def _other_passage(self, max_words: int) -> list[str]:
        start = int(self._rng.integers(len(self._tokens)))
        return self._tokens[start : start + int(self._rng.integers(1, max_words))]

    def _in_style_of(self, word: str, model: str) -> str:
        """Return `word` with, most of the time, the punctuation and capitals of `model`."""
        core = re.sub(r"^\W+|\W+$", "", model)
        start = model.index(core) if core else len(model)
        before, after = model[:start], model[start + len(core) :]
        bare = re.sub(r"^\W+|\W+$", "", word) or word
        if self._rng.random() < 0.9:
            if core.isupper() and len(core) > 1:
                bare = bare.upper()
            elif core[:1].isupper():
                bare = bare[:1].upper() + bare[1:]
        return before + bare + after if self._rng.random() < 0.8 else bare + str(self._rng.choice(["", ",", "."]))

    def _misspell(self, word: str) -> str:
        if not word:
            return word
        place = int(self._rng.integers(len(word)))
        return word[:place] + str(self._rng.choice(list("abcdefghilmnoprstu"))) + word[place + int(self._rng.integers(2)) :]


def _aligned_words(printed: str, read: str) -> list[tuple[str, str]]:
    """Return pairs of (printed, read) text between the spaces that occur in both texts."""
    cuts = [(-1, -1)]
    for op in Levenshtein.opcodes(printed, read):
        if op.tag == "equal":
            places = range(op.src_end - op.src_start)
            cuts += [(op.src_start + n, op.dest_start + n) for n in places if printed[op.src_start + n] == " "]
    cuts.append((len(printed), len(read)))
    return [(printed[a + 1 : c], read[b + 1 : d]) for (a, b), (c, d) in itertools.pairwise(cuts)]
