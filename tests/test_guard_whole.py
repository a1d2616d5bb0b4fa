"""The guard on whole answers: another text is refused, a change of style is undone, and the honest fixes beside it stand."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.guard import GuardConfig, judge
from ocrray.guard.conform import conform, conformed_edits
from ocrray.guard.whole import is_unlike
from ocrray.records import Edit
from ocrray.text.edits import apply_edits, edits_between, with_probabilities

KEEP = GuardConfig().keep
FIRE = "A fire broke out early in the morning at the house of a baker in High-street, and was not got under till tbe roof fell."
BAIL = "The prisoner was remanded until Thursday, tbe magistrate refusing to accept bail, and his wife was removed in tears."
LETTER = "Sir,--Permit me to call attention to tbe state of the footway in our road, which is not fit to be seen."
SLOOP = "On Tuesday laft the Sloop, Capt. Morifon,\narrived in tbe town of Whit-\nby; fhe had been nine days.\n\nAll was fold."
MENDED = (
    SLOOP.replace("laft", "last").replace("rifon", "rison").replace("tbe", "the").replace("fhe", "she").replace("fold", "sold")
)


def guarded(raw: str, answer: str, **settings: object) -> tuple[str, set[str]]:
    """Text after the guard, and the reasons of its refusals."""
    judgement = judge(raw, edits_between(raw, answer), (0, len(raw)), GuardConfig(**settings))
    return apply_edits(raw, judgement.accepted), {verdict.reason for verdict in judgement.verdicts if not verdict.accepted}


@pytest.mark.parametrize("raw", [FIRE, BAIL, LETTER, SLOOP])
@pytest.mark.parametrize(
    "answer",
    [
        "There was no business of importance before the vestry, and the meeting was adjourned at the request of the chairman.",
        "The text appears to be correct and needs no changes.",
        "As an AI language model, I am unable to view the original image, so I cannot be sure of the correct reading.",
        "I'm sorry, but I can't help with that.",
        "No errors found.",
        "",
        "...",
        "Es tut mir leid, ohne das Bild kann ich diesen Text nicht zuverlässig korrigieren.",
        "Am frühen Morgen brach im Hause eines Bäckers ein Feuer aus, das erst nach dem Einsturz gelöscht wurde.",
        "Un incendie a éclaté hier matin de bonne heure dans la maison d'un boulanger, et ne fut maîtrisé que plus tard.",
        "Пожар вспыхнул вчера рано утром в доме пекаря и был потушен лишь после обрушения крыши.",
    ],
)
def test_guard_answer_that_is_no_correction_is_refused_whole(raw: str, answer: str):
    """Another record's text, chatter, a refusal and a translation leave the record as it was, for one reason."""
    assert guarded(raw, answer) == (raw, {"unlike"})
    assert guarded(raw, answer, max_wrong=None) == (raw, {"unlike"})


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        (FIRE, FIRE.replace("tbe", "the") + " " + BAIL.replace("tbe", "the") * 3),
        (FIRE, FIRE[:60]),
        ("Tbe", "The"),
        ("Lcitb", "Leith"),
        ("tlio bouse of tbc bakcr iu Higb-strcet wns bnrnt", "the house of the baker in High-street was burnt"),
        ("कि बाजार जाना", "की बाज़ार जाना"),
    ],
    ids=["and goes on", "ends early", "word", "name", "half misread", "Devanagari"],
)
def test_guard_answer_that_holds_its_source_is_judged_by_its_spans(raw: str, answer: str):
    """A tail, a cut and a bad reading do not make an answer another text."""
    assert not is_unlike(raw, edits_between(raw, answer))


@pytest.mark.parametrize(
    ("raw", "answer", "expected"),
    [
        (SLOOP, " ".join(MENDED.replace("-\n", "").split()), MENDED),
        (SLOOP, MENDED.replace("\n", "\n\n"), MENDED),
        (SLOOP, "\n" + MENDED + "\n", MENDED),
        (SLOOP, MENDED.replace("arrived", "ar-\nrived"), MENDED),
        (LETTER + "\n", LETTER.replace("tbe", "the"), LETTER.replace("tbe", "the") + "\n"),
        ("in tbe ma5-\nter's houfe", "in the master's house", "in the mas-\nter's house"),
        ("in tbe mas¬\nter's house", "in the master's house", "in the mas¬\nter's house"),
        ("he went intothe house", "he went into\nthe house", "he went into the house"),
    ],
    ids=["dropped", "added", "around", "inside a word", "last", "misread before a break", "not sign", "space as break"],
)
def test_guard_line_breaks_stay_where_they_are(raw: str, answer: str, expected: str):
    """Dropped breaks are put back, hyphens with them, added ones left out; the letters are mended."""
    assert guarded(raw, answer)[0] == expected


def test_guard_line_breaks_may_change_where_they_are_not_kept():
    """Without `line_breaks` in `keep` a break that becomes a space is an edit like any other."""
    config = GuardConfig(keep=("marks",))
    assert conformed_edits("a\nb", [Edit(1, 2, "\n", " ")], config.keep) == [Edit(1, 2, "\n", " ")]
    assert conformed_edits("a\nb", [Edit(1, 2, "\n", " ")], KEEP) == []


@pytest.mark.parametrize(
    ("raw", "answer", "expected"),
    [
        ("THE SHIP ARRIVED AT TBE PORT.", "The ship arrived at the port.", "THE SHIP ARRIVED AT THE PORT."),
        ("THE SHIP ARRIVED AT TBE PORT.", "The Ship Arrived at the Port.", "THE SHIP ARRIVED AT THE PORT."),
        ("ÜBER DIE BRÜCRE", "Über die Brücke", "ÜBER DIE BRÜCKE"),
        ("the ship arrived at tbe port.", "THE SHIP ARRIVED AT THE PORT.", "the ship arrived at the port."),
        ('He faid "come in"--and went.', "He said “come in”—and went.", 'He said "come in"--and went.'),
        ('He faid "come in and went.', "He said “come in” and went.", 'He said "come in" and went.'),
        ("He faid “come in”—and went.", 'He said "come in"--and went.', "He said “come in”—and went."),
        ("« Il eft venu », dit-il.", "“Il est venu”, dit-il.", "« Il est venu », dit-il."),
        ("tbe ﬁne houſe...", "the fine house…", "the ﬁne houſe..."),
        ("tbe encyclopædia", "the encyclopaedia", "the encyclopædia"),
        ("a ½ pound of tbe", "a 1/2 pound of the", "a ½ pound of the"),
        ("今日は「天氣」、よぃ", "今日は「天氣」､よい", "今日は「天氣」、よい"),
        ("soft\u00adhyphen of tbe", "softhyphen of the", "soft\u00adhyphen of the"),
    ],
)
def test_conform_restyling_is_undone_and_the_fix_beside_it_stays(raw: str, answer: str, expected: str):
    """Capitals, dashes, quotation marks, ligatures and widths are the source's, whatever the answer made of all of them."""
    assert conform(raw, answer, KEEP) == expected


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("answered", ["NFC", "NFD"])
@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        ("Le café était fermé; tbe door of M. Désire.", "Le café était fermé; the door of M. Désiré."),
        ("Tiếng Việt tbe", "Tiếng Việt the"),
        ("한국어 문장 tbe", "한국어 문장 the"),
        ("Ἐν ἀρχῇ ἦν tbe", "Ἐν ἀρχῇ ἦν the"),
    ],
)
def test_conform_composition_is_that_of_the_source(raw: str, answer: str, form: str, answered: str):
    """Composed or not, an answer comes out as its source is, also in letters that it adds."""
    raw, answer = unicodedata.normalize(form, raw), unicodedata.normalize(answered, answer)
    assert conform(raw, answer, ()) == unicodedata.normalize(form, answer)


@pytest.mark.parametrize("space", ["\u00a0", "\u2009", "\u3000", "  ", "\t", "\u200b "])
def test_conform_kinds_of_space_are_no_changes(space: str):
    """A no-break space for every space leaves the record's one fix, and nothing else."""
    raw = "the houfe of the baker in the town"
    answer = raw.replace(" ", space).replace("houfe", "house")
    assert conformed_edits(raw, edits_between(raw, answer), ()) == [Edit(7, 8, "f", "s")]


@given(
    st.text(alphabet="ab-—\"“'’ \n\u00a0éE\u0301ſﬁ…½", max_size=40),
    st.text(alphabet="ab-—\"“'’ \n\u00a0éE\u0301ſﬁ…½", max_size=40),
)
def test_conform_any_answer_keeps_the_breaks_and_is_stable(raw: str, answer: str):
    """The line breaks are those of the source, and what was conformed needs it no more."""
    conformed = conform(raw, answer, KEEP)
    assert conform(raw, raw, KEEP) == raw
    assert [char for char in conformed if char == "\n"] == [char for char in raw if char == "\n"]


def test_conformed_edits_keep_their_probabilities():
    """What the engine said of a change is still there after the rest of its edits was undone."""
    raw, answer = "tbe “old” houfe", 'the "old" house'
    edits = with_probabilities(edits_between(raw, answer), {1: 0.9, 4: 0.8, 8: 0.7, 13: 0.6})
    assert [edit.probability for edit in conformed_edits(raw, edits, KEEP)] == [0.9, 0.6]
