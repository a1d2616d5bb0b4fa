"""Scripts and languages that the scorer was not fitted on: what is left to judge by there."""

from functools import lru_cache

from ocrray.guard.language import WORD, Language

NOT_NEUTRAL = frozenset({"words", "context", "confusion", "language", "capitals"})
"""Families of signals that know one script or language only."""
MIN_NEUTRAL_SIMILARITY = 0.5
"""Lowest similarity of a span where these families are left out. With it, of right repairs / of random words in their place are
accepted: Sanskrit 91 / 4 % (57 / 1 % by all families), German Fraktur 96 / 2 % (50 / 0 %), French 77 / 3 % (64 / 0 %)."""

_SAMPLED_CHARS = 4_000
_MIN_KNOWN_FRAC = 0.5  # of the letters: in words that the scorer knows, where it was fitted on another script
_MIN_LATIN_FRAC = 0.5
_LAST_LATIN = "\u024f"
_MIN_FUNCTION_WORDS = 3
_FREQUENT_SHARE = 2e-4  # of all words: as frequent a function word is in its language
_FUNCTION_WORDS = {
    "German": "der und das ist nicht von den mit dem des sich auf für ein eine auch als zu im er es sie wir ich dass daß bei",
    "French": "le la les des et est dans qui que une du pour pas sur ne se au par ce il elle nous vous avec plus sont était",
    "Spanish": "el los las que en una del por con para se su es no lo como más al pero sus le ya este sin sobre ser y fué",
    "Italian": "il di che e la per un non una sono con si da le dei della del nel alla gli anche più era ed questo come",
    "Portuguese": "o os que e do da em um uma para com não por mais as dos como mas ao das seu sua ou quando muito nos",
    "Dutch": "de het een en van dat die niet zijn op aan met voor er maar om hem dan zou wat mijn werd naar heeft hij",
    "Latin": "et in est non ad ut cum quod qui per quae ex sed si ab aut esse sunt enim hoc eius etiam nec quam",
    "Swedish": "och att det som en på är av för med den till ett om var hade de icke men sig han hon från",
    "Danish": "og at det som en på er af for med den til et om var havde de ikke men sig han hun fra der",
    "Polish": "i w na z do się nie że jest to o jak po co od za przez był tym już tylko ale jego",
    "Czech": "a v na se je že to s z do i o k pro jak by ale jako za po jsem byl není si",
    "Hungarian": "a az és hogy nem is egy meg ez volt csak de már mint ki el még azt van vagy",
    "Finnish": "ja on ei se oli että hän mutta niin kun kuin joka ovat hänen tämä jos sen siitä myös",
    "Turkish": "ve bir bu da de için ile çok olarak daha olan gibi en kadar sonra ne var",
}
_ENGLISH_WORDS = "the of and to that was his with he for it is as had at by which be from on not have her this were are"
_ENGLISH = frozenset(_ENGLISH_WORDS.split())


def is_fitted(text: str, language: Language) -> bool:
    """Return True when `language`, which the scorer was fitted with, is of the script and language of `text`."""
    return foreign_language(text, language) is None


@lru_cache(maxsize=256)
def _foreign_words(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the language whose function words `text` has most of, and these words."""
    words = [match.group().lower() for match in WORD.finditer(text)]
    english = sum(word in _ENGLISH for word in words)
    counts = {name: [word for word in words if word in known] for name, known in _function_words().items()}
    name = max(counts, key=lambda name: len(counts[name]))
    found = counts[name]
    return (name, tuple(found)) if len(found) >= max(_MIN_FUNCTION_WORDS, 2 * english + 1) else ("", ())


def foreign_language(text: str, language: Language) -> str | None:
    """Return the name of the script or language of `text` where `language` does not know it, None where it does."""
    text = text[:_SAMPLED_CHARS]
    letters = [char for char in text if char.isalpha()]
    if sum(char <= _LAST_LATIN for char in letters) < _MIN_LATIN_FRAC * len(letters):
        words = [match.group().lower() for match in WORD.finditer(text)]
        known = sum(len(word) for word in words if word in language.words)
        return None if known >= _MIN_KNOWN_FRAC * sum(map(len, words)) else "a script other than Latin"
    name, found = _foreign_words(text)
    frequent = sum(language.share(word) >= _FREQUENT_SHARE for word in found)
    return name if name and frequent <= len(found) / 2 else None


@lru_cache(maxsize=1)
def _function_words() -> dict[str, frozenset[str]]:
    return {name: frozenset(words.split()) - _ENGLISH for name, words in _FUNCTION_WORDS.items()}
