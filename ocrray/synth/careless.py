"""What a careless language model makes of noisy text: corrections that are right, missing or invented, made from clean text.

A guard is fitted on them, so that it needs no real model's outputs: whoever can say which words were misread can also say what
a model that guesses, modernises, repeats itself or breaks off would have written in their place.
"""

import itertools
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
_HALF_REPAIRED = 0.15  # of the words that are neither repaired nor left
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
class Habits:
    """How one model errs; shares are 0..1."""

    repairs: float  # of words slightly misread, how many become what was printed
    gives_up: float  # by how much that falls (as exp) with the share of the word that was misread
    leaves: float  # of the words not repaired, how many stay as they were
    meddles: float  # of the words read well, how many are changed
    fails: float  # of the records, how many end in a loop, in another text, or too soon
    restyles: float  # of the records, in how many one manner of writing is changed throughout

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Habits":
        """Those of some model between a good and a bad one."""
        return cls(
            repairs=rng.uniform(0.75, 0.98),
            gives_up=10 ** rng.uniform(-0.55, 0.65),
            leaves=rng.uniform(0.1, 0.7),
            meddles=10 ** rng.uniform(-3.4, -1.7),
            fails=10 ** rng.uniform(-2.5, -1.3),
            restyles=10 ** rng.uniform(-2.5, -1),
        )


class CarelessCorrector:
    """Words, what follows them and names, taken from clean `texts`; equal `rng` states give equal corrections."""

    def __init__(self, texts: Sequence[str], rng: np.random.Generator) -> None:
        self._rng = rng
        self._tokens = " ".join(texts).split()
        counts = Counter(re.findall(r"[A-Za-z]+", " ".join(self._tokens)))
        self._vocabulary = [word for word, _ in counts.most_common(_VOCABULARY_WORDS)]
        self._log_counts = np.log([counts[word] for word in self._vocabulary])
        self._rarity = {word.lower(): max(0.0, 1 - np.log10(count) / 3) for word, count in counts.items()}
        self._names = [word for word in self._vocabulary if word[0].isupper() and counts[word] > 5 * counts.get(word.lower(), 0)]
        self._followers: dict[str, list[str]] = {}
        for word, following in zip(self._tokens, self._tokens[1:], strict=False):
            known = self._followers.setdefault(word.lower(), [])
            if len(known) < _FOLLOWERS_KEPT:
                known.append(following)

    def correct(self, printed: str, read: str, habits: Habits) -> str:
        """What a model with these habits, given `read`, writes where `printed` stood."""
        written, before, trouble = [], "the", 0.0
        for true, seen in _aligned_words(printed, read):
            if true == seen:
                trouble *= 0.7
                meddles = bool(seen) and self._rng.random() < habits.meddles * (1 + trouble)
                word = self._meddle(seen, before) if meddles else seen
            else:
                trouble = 0.7 * trouble + 1
                word = self._repair(true, seen, before, habits, trouble)
            if word:
                written.append(word)
                before = word.split()[-1] if word.split() else before
        if written and self._rng.random() < habits.fails:
            written = self._fail(written)
        if self._rng.random() < habits.restyles:
            written = self._restyle(written)
        return " ".join(written)

    def _repair(self, true: str, seen: str, before: str, habits: Habits, trouble: float) -> str:
        misread = Levenshtein.distance(true, seen) / max(len(true), len(seen), 1)
        # Rare words, and words that are torn apart, are the hardest to guess.
        misread += 0.4 * self._rarity_of(true) * (misread > 0) + 0.15 * (" " in seen)
        if self._rng.random() < habits.repairs * np.exp(-habits.gives_up * max(0.0, misread - 0.15) - 0.07 * trouble):
            return true
        if self._rng.random() < habits.leaves:
            return seen
        if self._rng.random() < _HALF_REPAIRED:
            return self._half_repair(true, seen)
        choice = self._rng.random()
        if choice < 0.48:
            return self._dress(self._look_alike(seen, before), seen)
        if choice < 0.63:
            return self._dress(self._likely_after(before), seen)
        if choice < 0.73:
            return self._meddle(true, before) if true else ""
        if choice < 0.78:
            return ""
        if choice < 0.84:
            return self._misspell(true)
        if choice < 0.91 and true[:1].isupper():
            return self._dress(self._names[self._rng.integers(len(self._names))], seen)
        if choice < 0.95:
            return f"{true} {self._phrase_after(true)}"
        return self._dress(self._phrase_after(before), seen)

    def _half_repair(self, true: str, seen: str) -> str:
        """Some of what was misread in the word put right, and the rest left, as taggers do."""
        edits = edits_between(seen, true)
        return apply_edits(seen, [edit for edit in edits if self._rng.random() < 0.5])

    def _meddle(self, word: str, before: str) -> str:
        """What is done to a word that was right."""
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
            return self._dress(self._look_alike(word, before), word)
        if choice < 0.70:
            return self._dress(self._likely_after(before), word)
        if choice < 0.75:
            return ""
        if choice < 0.83:
            return f"{self._likely_after(before)} {word}" if rng.random() < 0.5 else f"{word} {self._likely_after(word)}"
        if choice < 0.90 and any(char.isdigit() for char in word):
            return re.sub(r"\d", lambda digit: str(rng.integers(10)) if rng.random() < 0.5 else digit[0], word)
        if choice < 0.95:
            stem = word.rstrip(".,;")
            return (stem[:-1] if stem.endswith("s") else stem + "s") + word[len(stem) :]
        return self._misspell(word)

    def _restyle(self, words: list[str]) -> list[str]:
        """One manner of writing changed wherever it is met: capitals, quotation marks, hyphens, stops, old spellings."""
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
            return words + self._elsewhere(40)
        if choice < 0.85:
            return words[:place] + self._elsewhere(12) + words[place + int(rng.integers(0, 8)) :]
        if choice < 0.95:
            return words[:place] + words[place + int(rng.integers(1, 10)) :]
        return self._elsewhere(20)

    def _look_alike(self, word: str, before: str) -> str:
        """A word drawn by its likeness to this one, by its frequency, and by whether it ever follows the one before."""
        rng, core = self._rng, re.sub(r"[^A-Za-z]", "", word) or "a"
        limit = max(2, int(0.7 * len(core)))
        distances = process.cdist([core], self._vocabulary, scorer=Levenshtein.distance, score_cutoff=limit)[0]
        noise = rng.gumbel(size=len(distances)) * rng.uniform(0.2, 1.5)
        merits = 0.35 * self._log_counts - distances * rng.uniform(1.0, 3.0) + noise
        best = np.argsort(-merits)[:40]
        followers = {follower.strip('.,;:!?"').lower() for follower in self._followers.get(before.lower(), ())}
        merits[best] += [rng.uniform(0, 4) * (self._vocabulary[place].lower() in followers) for place in best]
        return self._vocabulary[best[np.argmax(merits[best])]]

    def _likely_after(self, word: str) -> str:
        known = self._followers.get(word.lower()) or self._tokens
        return known[self._rng.integers(len(known))]

    def _phrase_after(self, word: str) -> str:
        """One to four words, each a likely one after the last."""
        phrase = [word]
        for _ in range(int(self._rng.integers(1, 5))):
            phrase.append(self._likely_after(phrase[-1]))
        return " ".join(phrase[1:])

    def _rarity_of(self, word: str) -> float:
        """0 for a word that stands a thousand times in the texts, 1 for one that stands once or never."""
        return self._rarity.get(re.sub(r"[^a-z]", "", word.lower()), 1.0)

    def _elsewhere(self, most_words: int) -> list[str]:
        start = int(self._rng.integers(len(self._tokens)))
        return self._tokens[start : start + int(self._rng.integers(1, most_words))]

    def _dress(self, word: str, like: str) -> str:
        """`word` with the stops and capitals of `like`, mostly."""
        before, core, after = re.match(r"^(\W*)(.*?)(\W*)$", like, re.DOTALL).groups()
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
    """The words of both texts side by side, parted at the spaces that stand in both."""
    cuts = [(-1, -1)]
    for op in Levenshtein.opcodes(printed, read):
        if op.tag == "equal":
            places = range(op.src_end - op.src_start)
            cuts += [(op.src_start + n, op.dest_start + n) for n in places if printed[op.src_start + n] == " "]
    cuts.append((len(printed), len(read)))
    return [(printed[a + 1 : c], read[b + 1 : d]) for (a, b), (c, d) in itertools.pairwise(cuts)]
