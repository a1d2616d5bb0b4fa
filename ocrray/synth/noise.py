"""A noise model of OCR: which characters are misread as which, fitted on pairs, widened by confusions known from old print."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np
from rapidfuzz.distance import Levenshtein

from ocrray.errors import ConfigError
from ocrray.text.edits import edits_between

MAX_NGRAM_CHARS = 4

# What compositors' worn type and engines of the last decades confuse, as `printed>read`, the commonest first in each line.
_CLASSICAL_STRONG = """
rn>m m>rn h>b h>li li>h e>c c>e u>n n>u o>e e>o a>s s>a i>l l>i t>l l>t t>f f>t ii>n n>ii m>in in>m m>ni ni>m w>vv cl>d d>cl
f>s s>f l>1 I>l I>1 1>l 1>I l>I O>0 0>O o>0 S>8 5>S B>8 .>, ,>. r>i i>r v>y y>v the>tbe the>tlie the>thc and>aud and>aml of>ot
ll>U il>d n>ri u>ii b>h g>q q>g hi>lu th>tli th>tb wh>wb ha>lia he>lie be>he on>ou in>iu is>ia as>aa rr>n t>i i>t i>j j>i ,>; :>;
"""
_CLASSICAL_WEAK = """
C>G G>C C>( E>F F>E H>II H>11 M>AI N>K R>B B>R D>I) P>F T>I T>'I' W>AV V>Y U>TJ J>.I K>IC A>.4 Q>O Z>Z. K>E L>I I>J I>T I>!
I>| I>[ l>! l>| l>/ t>r r>t k>b k>lc k>h d>il d>tl a>n a>o a>u a>i e>s e>t o>c o>a n>a n>v n>m m>n m>tn m>ra w>n- w>tv w>u v>r
v>w p>j) p>i> y>j y>r g>s g>y g>;j x>z z>x s>t s>e s>i b>6 g>9 3>8 8>3 6>5 5>6 7>1 1>7 9>0 4>1 2>3 3>5 fi>fl ff>fi fi>h fl>ff
i>I I>i w>W W>w s>S S>s c>C C>c v>V o>O x>X z>Z u>U k>K p>P s>B e>« s>« s>» w>« y>j J>I I>J T>J
ri>n ti>n ct>d st>ft tt>u r>v u>a c>o h>n n>h h>k t>! ">'' ">* '>, '>` '>. ?>! ?>7 !>l ->. ;>: .>; .>- ;>, ,>' £>L £>l
"""
# What a letter is made of: i a short stem, l a tall one, g a hanging one, o a bowl, v a slant, s a curl, t a crossed stem.
_STROKES = {
    "a": "oi", "b": "lo", "c": "o", "d": "ol", "e": "o", "f": "t", "g": "go", "h": "li", "i": "i", "j": "g", "k": "lv", "l": "l",
    "m": "iii", "n": "ii", "o": "o", "p": "go", "q": "og", "r": "i", "s": "s", "t": "t", "u": "ii", "v": "v", "w": "vv", "x": "v",
    "y": "v", "z": "s", "B": "lo", "C": "o", "D": "lo", "E": "l", "F": "l", "G": "o", "H": "ll", "I": "l", "J": "l", "K": "lv",
    "L": "l", "M": "lvl", "N": "ll", "O": "o", "P": "lo", "R": "lo", "S": "s", "T": "l", "U": "ll", "V": "v", "W": "vv", "Y": "v",
    "1": "l", "0": "o", "3": "s", "5": "s", "8": "s", "!": "l", "'": "i", "-": "i",
}  # fmt: skip
# The share of each group in a document is drawn from a Dirichlet distribution with these weights.
_MIXTURE = {"fitted": 1.5, "classical": 1.5, "strokes": 1.5, "specks": 0.8, "uniform": 0.25, "long_s": 0.03}
# Shape of the gamma distribution of how much a document favours a confusion: small, since one printer's worn type and one
# engine make the same mistake again and again (in one newspaper of the development data a third of all errors is e read as o).
_FAVOUR_SHAPE = 0.15
_STRAY = ".,'-:;|*^~_\"!i1lt°•■"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class NoiseModel:
    """Confusions in groups: clean n-gram (1..4 characters) -> what is read instead -> how often, 0..1 of its uses.

    A document draws its own mixture of the groups and its own favourites among their confusions.
    """

    groups: dict[str, dict[str, dict[str, float]]]
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
        general = {
            "classical": _classical(),
            "strokes": _strokes(),
            "specks": _specks(),
            "uniform": _uniform(),
            "long_s": _long_s(),
        }
        return cls({"fitted": fitted, **general})

    def save(self, path: Path) -> None:
        """Write the model as JSON."""
        path.write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "NoiseModel":
        """Read what `save` wrote; raises ConfigError when the file holds no noise model."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(f"{path}: holds no noise model: {error}") from None

    def corrupt(self, text: str, cer: float, rng: np.random.Generator) -> str:
        """`text` as one document is read, with about `cer` (0..1) wrong characters, in bursts; line feeds stay."""
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
        """The rate of every rule in one document: the groups mixed anew, and some confusions much more frequent than others."""
        rules = self._rules
        weights = rules.rate * rng.gamma(_FAVOUR_SHAPE, 1 / _FAVOUR_SHAPE, size=len(rules.rate))
        shares = rng.dirichlet([self.mixture[name] for name in self.groups])
        _, found = rules.find(text[:1000])
        uses = np.bincount(found, minlength=len(rules.index))[rules.ngram]
        # Each group alone would make as many errors in this text as another: its share then says how many are its own.
        expected = np.bincount(rules.group, weights=weights * rules.cost * uses, minlength=len(shares))
        return weights * (shares / np.maximum(expected, 1e-9))[rules.group]

    @cached_property
    def _rules(self) -> "_Rules":
        return _Rules.of(self.groups)


@dataclass(frozen=True)
class _Rules:
    """The confusions of all groups as arrays, one entry a rule, sorted by n-gram."""

    index: dict[str, int]
    printed: list[str]
    bounds: list[int]  # the rules of n-gram k are bounds[k]..bounds[k + 1]
    ngram: np.ndarray
    group: np.ndarray
    rate: np.ndarray
    cost: np.ndarray
    read: list[str]

    @classmethod
    def of(cls, groups: dict[str, dict[str, dict[str, float]]]) -> "_Rules":
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
        """Where the n-grams stand in `text`: start offsets, and which n-gram; the longest first at each start."""
        starts, found = [], []
        offsets = np.arange(len(text))
        for length in range(MAX_NGRAM_CHARS, 0, -1):
            numbers = np.array([self.index.get(text[i : i + length], -1) for i in range(len(text) - length + 1)], dtype=int)
            known = numbers >= 0
            starts.append(offsets[: len(numbers)][known])
            found.append(numbers[known])
        return np.concatenate(starts), np.concatenate(found)


def _confusions(clean: str, read: str) -> list[tuple[str, str]]:
    """Every edit of one pair, bare and with a neighbour; an insertion always with one, since nothing is not an n-gram."""
    confusions = []
    for edit in edits_between(clean, read):
        left, right = clean[max(0, edit.start - 1) : edit.start], clean[edit.end : edit.end + 1]
        for before, after in {("", ""), (left, ""), ("", right), (left, right)}:
            printed, seen = before + edit.raw + after, before + edit.corrected + after
            if printed and len(printed) <= MAX_NGRAM_CHARS and len(seen) <= MAX_NGRAM_CHARS + 1 and "\n" not in printed + seen:
                confusions.append((printed, seen))
    return confusions


def _classical() -> dict[str, dict[str, float]]:
    group: dict[str, dict[str, float]] = {}

    def add(printed: str, read: str, rate: float) -> None:
        group.setdefault(printed, {})[read] = rate

    for rules, rate in ((_CLASSICAL_STRONG, 0.02), (_CLASSICAL_WEAK, 0.004)):
        for rule in rules.split():
            printed, _, read = rule.partition(">")
            if printed and len(printed) <= MAX_NGRAM_CHARS:
                add(printed, read, rate)
    add(" ", "", 0.02)
    for char in _LETTERS:
        add(char, char + " ", 0.002)
        add(char, char + "- ", 0.001)  # a word divided at a line end, its halves joined by someone who kept the hyphen
        add(char, char + ". ", 0.0004)
    for char in ".,;:'\"":
        add(char, "", 0.02)
        add(char, f" {char}", 0.004)
    return group


def _strokes() -> dict[str, dict[str, float]]:
    """Letters cut apart or run together anew, by the strokes they are made of; a stroke too many or too few is rarer.

    Ink and wear make any stem out of another, so a misreading is likely when few strokes differ; capitals stand for themselves.
    """
    letters = [(char, _STROKES[char]) for char in _STROKES]
    pairs = [(a + b, x + y) for (a, x), (b, y) in product(letters, letters) if (a + b).islower()]
    readings: dict[str, list[str]] = {}
    for text, strokes in letters + pairs:
        readings.setdefault(strokes, []).append(text)
    group: dict[str, dict[str, float]] = {}
    for printed, strokes in letters + pairs:
        found = {}
        for seen, texts in readings.items():
            distance = Levenshtein.distance(strokes, seen, score_cutoff=1)
            if distance <= (1 if len(printed) == 1 else 0):
                share = (1.0 if distance == 0 else 0.4) / len(texts) / (1 if len(printed) == 1 else 8)
                found |= {text: share for text in texts if text != printed and not (len(text) == 2 and text[0] == printed[:1])}
        if found:
            group[printed] = found
    return group


def _specks() -> dict[str, dict[str, float]]:
    """Dirt, rules and broken type read as characters, beside a letter or in a space, and letters lost."""
    narrow = dict.fromkeys("iltr", 4.0) | dict.fromkeys(".,'-I1", 3.0) | dict.fromkeys('~;:^*!|/\\_°•■»«"', 1.0)
    letters = dict.fromkeys("nsceaovfuhm", 1.0)
    group: dict[str, dict[str, float]] = {
        char: {char + speck: rate for speck, rate in (narrow | letters).items()} for char in _LETTERS
    }
    for char in _LETTERS:
        group[char][""] = 8.0
        group[char] |= dict.fromkeys("*~^'.-■•»«", 0.3)
        # The same stroke seen twice, and a letter before its own stem.
        group[char][char + char] = 3.0
    group[" "] = {
        f"{before}{speck}{after}": rate for speck, rate in narrow.items() for before, after in ((" ", ""), ("", " "), (" ", " "))
    }
    group[" "] |= {f" {speck} ": 1.0 for speck in "aeItilrsf1"} | {"-": 8.0, "'": 3.0, ".": 3.0, "": 10.0}
    return group


def _uniform() -> dict[str, dict[str, float]]:
    """Anything for anything, so that no confusion comes as a complete surprise."""
    printed = _LETTERS + _LETTERS.upper() + "0123456789.,;:'\"-"
    read = _LETTERS + _LETTERS.upper() + _STRAY + " "
    group = {char: {other: 1 / len(read) for other in read if other != char} for char in printed}
    for char in printed:
        group[char][""] = 0.3
    return group


def _long_s() -> dict[str, dict[str, float]]:
    """The long s of before 1800, read as f wherever it stood: not at a word's end."""
    return {f"s{char}": {f"f{char}": 1.0} for char in _LETTERS}


def _bursts(chars: int, rng: np.random.Generator) -> np.ndarray:
    """A factor for every position: stretches of some ten characters read well or badly together."""
    lengths = rng.geometric(1 / 30, size=chars // 10 + 8)
    factors = rng.gamma(0.8, 1 / 0.8, size=len(lengths))
    stretched = np.repeat(factors, lengths)
    return np.resize(stretched, chars)
