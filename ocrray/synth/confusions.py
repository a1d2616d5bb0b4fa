"""General OCR confusions of old print, in groups that a noise model combines with fitted ones.

A group is `{printed: {read: rate}}`; `printed` is an n-gram of 1..4 characters, and rates are relative within the group.
"""

from itertools import product

import numpy as np
from rapidfuzz.distance import Levenshtein

Group = dict[str, dict[str, float]]

MAX_NGRAM_CHARS = 4

# Confusions common in worn type and older OCR engines, as `printed>read`, the most frequent first in each line.
_CLASSICAL_STRONG = """
rn>m m>rn h>b h>li li>h e>c c>e u>n n>u o>e e>o a>s s>a i>l l>i t>l l>t t>f f>t ii>n n>ii m>in in>m m>ni ni>m w>vv cl>d d>cl
f>s s>f l>1 I>l I>1 1>l 1>I l>I O>0 0>O o>0 S>8 5>S B>8 .>, ,>. r>i i>r v>y y>v the>tbe the>tlie the>thc and>aud and>aml of>ot
ll>U il>d n>ri u>ii b>h g>q q>g hi>lu th>tli th>tb wh>wb ha>lia he>lie be>he on>ou in>iu is>ia as>aa rr>n t>i i>t i>j j>i ,>; :>;
i>I a>n a>u a>i a>o e>s c>o o>a s>a r>l t>r y>v y>j H>II Th>Tl
£>\N{REPLACEMENT CHARACTER} ½>\N{REPLACEMENT CHARACTER} é>\N{REPLACEMENT CHARACTER}
"""
_CLASSICAL_WEAK = """
C>G G>C C>( E>F F>E H>11 M>AI N>K R>B B>R D>I) P>F T>I T>'I' W>AV V>Y U>TJ J>.I K>IC A>.4 Q>O Z>Z. K>E L>I I>J I>T I>!
I>| I>[ l>! l>| l>/ r>t k>b k>lc k>h d>il d>tl e>t o>c n>a n>v n>m m>n m>tn m>ra w>n- w>tv w>u v>r
v>w p>j) p>i> y>r g>s g>y g>;j x>z z>x s>t s>e s>i b>6 g>9 3>8 8>3 6>5 5>6 7>1 1>7 9>0 4>1 2>3 3>5 fi>fl ff>fi fi>h fl>ff
I>i w>W W>w s>S S>s c>C C>c v>V o>O x>X z>Z u>U k>K p>P s>B e>« s>« s>» w>« y>j J>I I>J T>J
ri>n ti>n ct>d st>ft tt>u r>v u>a c>o h>n n>h h>k t>! ">'' ">* '>, '>` '>. ?>! ?>7 !>l ->. ;>: .>; .>- ;>, ,>' £>L £>l
"""
# Strokes of each letter: i short stem, l tall stem, g descending stem, o bowl, v slant, s curl, t crossed stem.
_STROKES = {
    "a": "oi", "b": "lo", "c": "o", "d": "ol", "e": "o", "f": "t", "g": "go", "h": "li", "i": "i", "j": "g", "k": "lv", "l": "l",
    "m": "iii", "n": "ii", "o": "o", "p": "go", "q": "og", "r": "i", "s": "s", "t": "t", "u": "ii", "v": "v", "w": "vv", "x": "v",
    "y": "v", "z": "s", "B": "lo", "C": "o", "D": "lo", "E": "l", "F": "l", "G": "o", "H": "ll", "I": "l", "J": "l", "K": "lv",
    "L": "l", "M": "lvl", "N": "ll", "O": "o", "P": "lo", "R": "lo", "S": "s", "T": "l", "U": "ll", "V": "v", "W": "vv", "Y": "v",
    "1": "l", "0": "o", "3": "s", "5": "s", "8": "s", "!": "l", "'": "i", "-": "i",
}  # fmt: skip
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_STRAY = ".,'-:;|*^~_\"!i1lt°•■"
_MARKS = {
    ".": 8.0,
    ",": 5.0,
    "'": 5.0,
    "-": 5.0,
    ":": 2.0,
    ";": 2.0,
    "*": 1.0,
    "~": 1.0,
    "_": 1.0,
    "^": 0.5,
    "`": 1.0,
    '"': 1.0,
    "|": 1.0,
}
# Text in place of a line-end hyphen after the lines were joined: the hyphen and a space, another mark, or a space alone.
_LINE_ENDS = {"- ": 8.0, "-": 1.0, ". ": 1.0, " ": 1.0, ", ": 0.4, "' ": 0.3, "~ ": 0.3, "_ ": 0.2, "-. ": 0.2, " - ": 0.4}
_JUNK_RUNS = 400
_COMMON_JUNK, _RARE_JUNK = ".,-'~_ ", ':;*^|!/\\()="iltrfnseoacvIT1J74'


def general_groups() -> dict[str, Group]:
    """Return all groups by name, in a fixed order."""
    return {
        "classical": _classical(),
        "strokes": _strokes(),
        "doubles": _doubles(),
        "specks": _specks(),
        "marks": _marks(),
        "line_ends": _line_ends(),
        "spacing": _spacing(),
        "junk": _junk(),
        "uniform": _uniform(),
        "long_s": _long_s(),
    }


def _classical() -> Group:
    group: Group = {}
    for rules, rate in ((_CLASSICAL_STRONG, 0.02), (_CLASSICAL_WEAK, 0.004)):
        for rule in rules.split():
            printed, _, read = rule.partition(">")
            group.setdefault(printed, {}).setdefault(read, rate)
    return group


def _strokes() -> Group:
    """Return confusions of one or two letters with others of the same strokes, or (rarer) of one stroke more or less.

    Pairs of letters are of lower case only.
    """
    letters = [(char, _STROKES[char]) for char in _STROKES]
    pairs = [(a + b, x + y) for (a, x), (b, y) in product(letters, letters) if (a + b).islower()]
    readings: dict[str, list[str]] = {}
    for text, strokes in letters + pairs:
        readings.setdefault(strokes, []).append(text)
    group: Group = {}
    for printed, strokes in letters + pairs:
        found: dict[str, float] = {}
        for seen, texts in readings.items():
            distance = Levenshtein.distance(strokes, seen, score_cutoff=1)
            if distance <= (1 if len(printed) == 1 else 0):
                share = (1.0 if distance == 0 else 0.4) / len(texts) / (1 if len(printed) == 1 else 8)
                found |= {text: share for text in texts if text != printed and not (len(text) == 2 and text[0] == printed[:1])}
        if found:
            group[printed] = found
    return group


def _doubles() -> Group:
    """Return letters read twice, once as a similar letter: `Thbe`, `wvith`, `ctt`."""
    group: Group = {}
    for char, strokes in _STROKES.items():
        for other, others in _STROKES.items():
            if other.islower() >= char.islower() and Levenshtein.distance(strokes, others) <= 1:
                group.setdefault(char, {}).update({char + other: 1.0, other + char: 1.0})
    return group


def _specks() -> Group:
    """Return dirt, rules and broken type read as characters, next to a letter or in a space; and lost letters."""
    narrow = dict.fromkeys("iltr", 4.0) | dict.fromkeys(".,'-I1", 3.0) | dict.fromkeys('~;:^*!|/\\_°•■»«"', 1.0)
    letters = dict.fromkeys("nsceaovfuhm", 1.0)
    group: Group = {char: {char + speck: rate for speck, rate in (narrow | letters).items()} for char in _LETTERS}
    for char in _LETTERS:
        group[char][""] = 8.0
        group[char] |= dict.fromkeys("*~^'.-■•»«", 0.3)
        # A letter read twice.
        group[char][char + char] = 3.0
    group[" "] = {
        f"{before}{speck}{after}": rate for speck, rate in narrow.items() for before, after in ((" ", ""), ("", " "), (" ", " "))
    }
    group[" "] |= {f" {speck} ": 1.0 for speck in "aeItilrsf1"} | {"-": 8.0, "'": 3.0, ".": 3.0, "": 10.0}
    return group


def _marks() -> Group:
    """Return specks read as stops, quotation marks or dashes before, after or between words; and such marks lost."""
    group: Group = {" ": {f" {mark} ": rate for mark, rate in _MARKS.items()}}
    for char in _LETTERS:
        group[f"{char} "] = {f"{char}{mark} ": rate for mark, rate in _MARKS.items()}
        group[f" {char}"] = {f" {mark}{char}": rate / 2 for mark, rate in _MARKS.items()}
    for mark in ".,;:'\"-":
        group[mark] = {"": 20.0}
        group[f"{mark} "] = {" ": 20.0, **{f"{other} ": 3.0 for other in ".,;:'" if other != mark}}
    return group


def _line_ends() -> Group:
    """Return hyphens of line ends left inside words after the lines were joined."""
    group: Group = {a + b: {f"{a}{mark}{b}": rate for mark, rate in _LINE_ENDS.items()} for a, b in product(_LETTERS, repeat=2)}
    return group | {"-": {"- ": 400.0, " -": 20.0}}


def _spacing() -> Group:
    """Return missing and added spaces between words, within words and before stops."""
    group: Group = {a + b: {f"{a} {b}": 1.0} for a, b in product(_LETTERS, repeat=2)}
    group[" "] = {"": 60.0}
    return group | {mark: {f" {mark}": 40.0, f"{mark} ": 10.0} for mark in ".,;:!?'\""}


def _junk() -> Group:
    """Return random strings between words, as rules, ornaments and torn edges are read."""
    rng = np.random.default_rng(1)
    signs = list(_COMMON_JUNK + _RARE_JUNK)
    weights = np.array([3.0] * len(_COMMON_JUNK) + [1.0] * len(_RARE_JUNK))
    lengths = np.minimum(2 + rng.geometric(0.15, size=_JUNK_RUNS), 40)
    runs = ["".join(rng.choice(signs, size=length, p=weights / weights.sum())) for length in lengths]
    return {" ": {f" {run.strip()} ": 1.0 for run in runs if run.strip()}}


def _uniform() -> Group:
    """Return all confusions of single characters, equally likely, so that none has the rate 0."""
    printed = _LETTERS + _LETTERS.upper() + "0123456789.,;:'\"-"
    read = _LETTERS + _LETTERS.upper() + _STRAY + " "
    group = {char: {other: 1 / len(read) for other in read if other != char} for char in printed}
    for char in printed:
        group[char][""] = 0.3
        group[char] |= {char + other: 0.3 / len(read) for other in read}
    return group


def _long_s() -> Group:
    """Return the long s of print before 1800 read as f, everywhere but at the end of a word."""
    return {f"s{char}": {f"f{char}": 1.0} for char in _LETTERS}
