"""What was printed stays: old and foreign spellings, abbreviations, names and words of the user's own."""

import json
from pathlib import Path

import pytest

from ocrray.errors import ConfigError
from ocrray.guard import GuardConfig, check, judge
from ocrray.text.edits import apply_edits, edits_between
from ocrray.text.spelling import respells, writes_out

RESPELT_PAIRS = """
publick>public chuse>choose encrease>increase expence.>expense. compleat>complete houshold>household oeconomy>economy
antients>ancients shewn>shown chymical>chemical surprized>surprised burthen>burden carryed>carried waggon>wagon
stedfast>steadfast gaoler.>jailer. musick>music cloaths>clothes dropt>dropped fixt>fixed kill'd>killed colour>color
honor>honour realise>realize theatre>theater travelled>traveled connexion>connection enquiry>inquiry intire>entire
perswade>persuade risque>risk tyger>tiger majestie>majesty olde>old vpon>upon hath>has cometh>comes étoit>était
François>Français enfans>enfants tems>temps mesme>même roy>roi loix>lois Thür>Tür thun>tun seyn>sein giebt>gibt daß>dass
Aerzte>Ärzte Ueber>Über todt>tot mensch>mens fué>fue dixo>dijo hvad>vad хлѣбъ>хлеб gray>grey controul>control beleive>believe
smoak>smoke taylor>tailor skilful>skillful to-day>today phœnix>phoenix mediæval>medieval
"""
RESPELT = RESPELT_PAIRS.split()
REPAIRED_PAIRS = """
tbe>the laft>last fum>sum gaol>goal colour>collar houfe>house Morifon>Morison rnan>man Tuefday>Tuesday modem>modern arid>and
hirn>him Iast>last oflice>office beart>heart vvas>was uot>not fchool>school witli>with jndge>judge yor>your caled>called
iustice>justice
"""
REPAIRED = REPAIRED_PAIRS.split()
WRITTEN_OUT = [
    ("Capt.", "Captain"),
    ("Regt.", "Regiment"),
    ("Wm", "William"),
    ("Mr.", "Mister"),
    ("&", "and"),
    ("&c.", "etc."),
    ("don't", "do not"),
    ("'tis", "it is"),
    ("o'er", "over"),
    ("Nov.", "November"),
    ("Esq.,", "Esquire,"),
    ("St.", "Street"),
    ("No.", "Number"),
    ("viz.", "namely"),
    ("Lieut.-Col.", "Lieutenant-Colonel"),
    ("M.P.", "Member of Parliament"),
    ("i.e.", "that is"),
    ("Herzogl.", "Herzoglich"),
    ("J.", "James"),
    ("u.", "und"),
    ("Captain", "Capt"),
]
NOT_WRITTEN_OUT = [
    ("Londo.", "London"),
    ("th.", "the"),
    ("the.", "their"),
    ("com. mitted", "committed"),
    ("th'm", "them"),
    ("Mr", "Mr."),
    ("wa.", "was"),
    ("e'en", "seen"),
]


@pytest.mark.parametrize("pair", RESPELT)
def test_respells_spelling_as_of_today_or_elsewhere_is_seen(pair: str):
    """Old English, French, German, Dutch, Spanish, Swedish and Russian, and both sides of the Atlantic."""
    assert respells(*pair.split(">"))


@pytest.mark.parametrize("pair", REPAIRED)
def test_respells_repair_of_an_error_is_none(pair: str):
    """What OCR errors explain is no other spelling, and no abbreviation."""
    assert not respells(*pair.split(">"))
    assert not writes_out(*pair.split(">"))


@pytest.mark.parametrize(("raw", "corrected"), WRITTEN_OUT)
def test_writes_out_abbreviation_made_long_or_a_word_made_short_is_seen(raw: str, corrected: str):
    """With or without a point, as letters of a name, with an apostrophe, as a sign."""
    assert writes_out(raw, corrected)


@pytest.mark.parametrize(("raw", "corrected"), NOT_WRITTEN_OUT)
def test_writes_out_point_that_was_misread_is_none(raw: str, corrected: str):
    """A point for a letter or for a hyphen at a line's end is an error of OCR."""
    assert not writes_out(raw, corrected)


def guarded(raw: str, answer: str, **settings: object) -> str:
    """Text after the guard."""
    judgement = judge(raw, edits_between(raw, answer), (0, len(raw)), GuardConfig(**settings))
    return apply_edits(raw, judgement.accepted)


def test_guard_keep_decides_what_stays_as_printed():
    """By default spelling and abbreviations; names where asked for; nothing where the list is empty."""
    raw, answer = "tbe publick and Capt. Hoskyns of Briftol", "the public and Captain Hopkins of Bristol"

    assert guarded(raw, answer) == "the publick and Capt. Hopkins of Bristol"
    assert guarded(raw, answer, keep=("names",), max_wrong=1) == "the public and Captain Hoskyns of Bristol"
    assert guarded(raw, answer, keep=(), max_wrong=1) == answer


def test_guard_keep_words_stay_whatever_the_score(tmp_path: Path):
    """Words and phrases of a file, in any capitals; others change, and the file counts in the fingerprint."""
    words = tmp_path / "words.txt"
    words.write_text("# places\nLlanfair\nde la Beche\n", encoding="utf-8")
    raw = "tbe LLANFAIR of Mr. de la Beche, Llanfairs"
    answer = "the LANFAIR of Mr. de la Beach, Lanfairs"

    assert guarded(raw, answer, keep=(), keep_words=words, max_wrong=1) == "the LLANFAIR of Mr. de la Beche, Lanfairs"
    assert guarded(raw, raw.replace("Mr. de", "Mr.de"), keep=(), keep_words=words, max_wrong=1) == raw.replace("Mr. de", "Mr.de")
    before = check(GuardConfig(keep_words=words))
    words.write_text("Leith", encoding="utf-8")
    assert check(GuardConfig(keep_words=words)) not in (before, check(GuardConfig()))
    with pytest.raises(ConfigError, match=r"guard\.keep_words: .*none\.txt"):
        check(GuardConfig(keep_words=tmp_path / "none.txt"))


def test_guard_keep_words_that_go_with_a_neighbour_are_missed(tmp_path: Path):
    """A kept word that a rewritten span has dropped is a kept word changed."""
    words = tmp_path / "words.txt"
    words.write_text("Leith", encoding="utf-8")
    assert guarded("of Leith by sea", "of London sea", keep_words=words, max_wrong=1, refuse_unlike=False).startswith("of Leith")


CASES = Path(__file__).parent / "guard_cases"


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda case: case.stem)
def test_guard_cases_rebuilt_from_reports_come_out_right(case: Path):
    """Every record of these tables: the raw text where the answer is none, the ground truth elsewhere."""
    for line in case.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        assert guarded(row["ocr"], row["out"]) == (row["ocr"] if case.stem.startswith("answer") else row["gt"])
