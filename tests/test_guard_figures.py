"""Figures are not changed, lost or invented, in whatever notation; letters misread for digits are put right."""

import pytest

from ocrray.guard import GuardConfig, judge
from ocrray.guard.figures import changes_figures
from ocrray.text.edits import apply_edits, edits_between
from ocrray.text.numbers import number_words, roman_value

CHANGED = [
    ("7 guineas", "guineas"),
    ("5 was", "was"),
    ("nine", "five"),
    ("II.", "III.", "Geo."),
    ("II.", "", "Geo."),
    ("II", "I", "George"),
    ("VIII", "VII"),
    ("XIV", "14"),
    ("½", "¼"),
    ("½", ""),
    ("1½", "1"),
    ("3/4", "3/8"),
    ("3/4", "34"),
    ("£5", "5"),
    ("£5", "$5"),
    ("6s.", "6d."),
    ("6s.", "6."),
    ("4d.", "4."),
    ("3d", "3rd"),
    ("14th", "15th"),
    ("14th", "14"),
    ("word 8", "word"),
    ("8", ""),
    ("word†", "word"),
    ("m²", "m"),
    ("Tuesday", "Thursday"),
    ("June", "July"),
    ("Nov.", "Dec."),
    ("zwei", "drei"),
    ("drey", "zwei"),
    ("quatre", "cinq"),
    ("vingt", "trente"),
    ("siete", "seis"),
    ("fourteen", "forty"),
    ("fourteenth", "fifteenth"),
    ("two", "the"),
    ("nine", "9"),
    ("9", "nine"),
    ("twenty", "20"),
    ("18", "1 8 9"),
    ("185", "1850"),
    ("guineas", "7 guineas"),
    ("5 Nov.", "Nov. 5"),
    ("1850-51", "185051"),
    ("7.30", "730"),
    ("10.5", "105"),
    ("half", "quarter"),
    ("٣", "٤"),
    ("५", "६"),
    ("二十日", "三十日"),
    ("iii", "ii"),
    ("XIXe", "XXe"),
    ("ult.", "inst."),
    ("100", "1,000"),
    ("5%", "5"),
    ("5°", "5"),
    ("einundzwanzig", "zweiundzwanzig"),
    ("третий два", "три"),
    ("MDCCL", "MDCCC"),
    ("1st", "first"),
    ("first", "1st"),
    ("second", "third"),
    ("10,000", "1,000"),
    ("6d", "6s"),
    ("30l.", "30s."),
    ("2 lb", "3 lb"),
    ("once", "twice"),
    ("1", "7"),
    ("0", "8"),
    ("No. 5", "No."),
    ("(3)", "(2)"),
    ("[1]", ""),
    ("12 o'clock", "o'clock"),
    ("May", "March"),
    ("dritte", "vierte"),
    ("cent", "mille"),
    ("40", "forty"),
    ("5 or 6", "6 or 5"),
    ("V", "IV", "Henry"),
    ("hundred", "thousand"),
]
REPAIRED = [
    ("l85O", "1850"),
    ("1 8 5 0", "1850"),
    ("9treet", "street"),
    ("301.", "30l."),
    ("1", "I"),
    ("tbe", "the"),
    ("I", "1"),
    ("8t.", "St."),
    ("0f", "of"),
    ("fivc", "five"),
    ("ninc", "nine"),
    ("seven- teen", "seventeen"),
    ("Tuefday", "Tuesday"),
    ("IIe", "He"),
    ("21ft", "21st"),
    ("14tb", "14th"),
    ("lO", "10"),
    ("Ill.", "III."),
    ("i8s0", "1850"),
    ("twenty five", "twenty-five"),
    ("two", "two,"),
    ("Geo. IL", "Geo. II."),
    ("Auguft", "August"),
    ("fourtb", "fourth"),
    ("1", "l"),
    ("th5", "the"),
    ("w0rd", "word"),
    ("oue", "one"),
    ("tbree", "three"),
    ("on e", "one"),
    ("£I2", "£12"),
    ("6s. 4d", "6s. 4d."),
    ("1001.", "100l."),
]


@pytest.mark.parametrize("span", CHANGED)
def test_figures_changed_lost_or_invented_are_seen(span: tuple[str, ...]):
    """(before, after, word before it): digits, words, numerals, sums, ordinals, fractions, dates in several languages."""
    assert changes_figures(*span)


@pytest.mark.parametrize(("raw", "corrected"), REPAIRED)
def test_figures_repair_of_a_misread_letter_or_word_is_free(raw: str, corrected: str):
    """Letters read as digits, digits read as letters, and number words that were misread may be put right."""
    assert not changes_figures(raw, corrected)


@pytest.mark.parametrize(
    ("figure", "other"),
    [
        ("7 guineas", "guineas"),
        ("No. 5", "No."),
        ("nine pounds", "five pounds"),
        ("12 Geo. II.", "12 Geo. III."),
        ("£6 4s.", "£6 4d."),
    ],
)
@pytest.mark.parametrize("settings", [{}, {"max_wrong": None}], ids=["scorer", "rules"])
def test_guard_lone_figure_stays_while_the_honest_fixes_stand(figure: str, other: str, settings: dict):
    """Whatever the score, and with the rules alone."""
    raw = f"The fum of {figure} was paid to tbe overseer of the poor."
    edits = edits_between(raw, raw.replace("fum", "sum").replace("tbe", "the").replace(figure, other))
    judgement = judge(raw, edits, (0, len(raw)), GuardConfig(**settings))
    assert apply_edits(raw, judgement.accepted) == f"The sum of {figure} was paid to the overseer of the poor."
    assert {verdict.reason for verdict in judgement.verdicts} == {"", "digits"}


def test_roman_value_reads_numerals_and_nothing_else():
    """Strict order of letters, except that four may be repeated, as on clocks and title pages."""
    texts = ("XIV", "MDCCCL", "IIII", "IL", "CIVIL", "ix", "")
    assert [roman_value(text) for text in texts] == [14, 1850, 4, None, None, None, None]


def test_number_words_of_one_language_differ_in_value():
    """What counts as another number is another value in the same language."""
    table = number_words()
    assert table["nine"] == {("en", "9")}
    assert ("de", "34") in table["vierunddreißig"]
    assert table["september"] >= {("en month", "9"), ("de month", "9")}
