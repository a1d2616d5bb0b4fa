"""Where the scorer does not know the script or language, script-neutral signals and rules judge."""

import pytest

from ocrray.guard import GuardConfig, judge
from ocrray.guard.fitted import foreign_language
from ocrray.guard.judge import load_scorer
from ocrray.guard.surface import letters
from ocrray.text.edits import apply_edits, edits_between

FOREIGN = [
    ("बाजार मे बहुत लोग थे और सब लोग बात कर रहे थे", "मे", "में", "मन्दिर"),
    ("ראש העיר הגדולה אמר אתמול כי הממשלח תדון בנושא", "הממשלח", "הממשלה", "ירושלים"),
    ("ذهب الرجل إلى السوف في المدينة الكبيرة", "السوف", "السوق", "القاهرة"),
    ("Старый домъ стоялъ на берегу рекп у самого леса", "рекп", "реки", "Москва"),
    ("ὁ ἄνθρωπος ἦλθεν εἰς τὴν πολιν καὶ εἶδεν", "πολιν", "πόλιν", "θάλασσα"),
    ("Der alte Mann ging mit dem Hnnd in die Stadt und war nicht zu sehen", "Hnnd", "Hund", "Pferde"),
    ("Le vieux capitaine est venu dans la ville avec les matelots du navirc", "navirc", "navire", "docteur"),
    ("El viejo capitán llegó a la ciudad con los marineros que no se habían idc", "idc", "ido", "hermanos"),
]


@pytest.mark.parametrize(("raw", "word", "right", "invention"), FOREIGN)
def test_guard_unknown_language_right_repair_is_accepted_and_another_word_refused(
    raw: str, word: str, right: str, invention: str
):
    """A repair of one letter stands, also in Hebrew, Arabic and Devanagari; a word put in the place of another does not."""
    other = max(set(raw.split()) - {word}, key=lambda one: (len(one), one))
    answer = raw.replace(word, right)
    invented = answer.replace(other, invention)

    judgements = [judge(raw, edits_between(raw, text), (0, len(raw)), GuardConfig()) for text in (answer, invented)]

    assert apply_edits(raw, judgements[0].accepted) == answer
    assert apply_edits(raw, judgements[1].accepted) == answer


@pytest.mark.parametrize("raw", [raw for raw, *_ in FOREIGN])
def test_foreign_language_is_told_from_that_of_the_scorer(raw: str):
    """By script or function words."""
    assert foreign_language(raw, load_scorer("default")[0].language)


@pytest.mark.parametrize(
    "text",
    [
        "tbe fum of mouey was paid to tbe overfeer",
        "Tuefday laft tbe Sloop",
        "IX. -- 1871. £3 4s.",
        "",
        "Iiiv wqx tlio bouse Pf tlw",
        "Mr. Hoskyns, M. Desire, Herr von Stein and Signor della Rocca were at the opera",
    ],
)
def test_foreign_language_english_however_badly_read_is_none(text: str):
    """Errors, figures, headings and foreign names do not make a text foreign."""
    assert foreign_language(text, load_scorer("default")[0].language) is None


def test_letters_hold_combining_marks():
    """A vowel sign is part of a word: a change of it is no change of style."""
    assert letters("कि") != letters("की")
    assert letters("Ab, 1!") == "ab1"
