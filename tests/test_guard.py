"""The guard refuses what no OCR error explains, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.guard import GuardConfig, judge
from ocrray.text.edits import apply_edits, edits_between

SENTENCE = "The ship arrived at Leith on Tuesday with 240 barrels of oil from tbe north, and sails again on tbe 14th."


def judged(raw: str, corrected: str, config: GuardConfig | None = GuardConfig()):  # noqa: B008 - frozen
    return judge(raw, edits_between(raw, corrected), (0, len(raw)), config)


def reasons(raw: str, corrected: str) -> set[str]:
    return {verdict.reason for verdict in judged(raw, corrected).verdicts if not verdict.accepted}


@pytest.mark.parametrize(
    ("raw", "corrected"),
    [
        (SENTENCE, SENTENCE.replace("tbe", "the")),
        ("Tbe", "The"),
        ("in l85O", "in 1850"),
        ("1 8 5 0", "1850"),
        ("tbe fum of mouey", "the sum of money"),
    ],
)
def test_guard_honest_fix_is_accepted(raw: str, corrected: str):
    """Local corrections stand, in long passages and in a word alone."""
    assert apply_edits(raw, judged(raw, corrected).accepted) == corrected
    assert reasons(raw, corrected) == set()


@pytest.mark.parametrize(
    ("corrected", "reason"),
    [
        (SENTENCE + " The captain was a man of great courage and of much renown in the whole county.", "length"),
        (SENTENCE[:40], "length"),
        (
            "On Monday last a fire broke out in a mill at Dundee, which 240 men fought until the 14th hour.",
            "similarity",
        ),
        (SENTENCE[:-30] + " and the and the and the and the and the", "repetition"),
        (SENTENCE + "." * 35, "repetition"),
        (SENTENCE.replace("240", "250"), "digits"),
        (SENTENCE.replace("14th", "th"), "digits"),
    ],
)
def test_guard_invention_is_refused_with_its_reason(corrected: str, reason: str):
    """A runaway tail, a dropped clause, another sentence, a loop and a changed figure are each refused for what they are."""
    assert reason in reasons(SENTENCE, corrected)


def test_guard_digit_edit_alone_is_refused_while_the_rest_stands():
    """A changed figure does not take the honest fixes of its passage with it."""
    judgement = judged(SENTENCE, SENTENCE.replace("tbe", "the").replace("240", "250"))

    assert apply_edits(SENTENCE, judgement.accepted) == SENTENCE.replace("tbe", "the")
    assert [edit.raw for edit in judgement.refused] == ["4"]


def test_guard_switched_off_accepts_everything():
    """`guard: null` takes the corrector at its word."""
    assert apply_edits(SENTENCE, judged(SENTENCE, "Nothing.", None).accepted) == "Nothing."


@given(st.text(max_size=80), st.text(max_size=80))
def test_guard_any_texts_every_edit_is_accepted_or_refused_once(raw: str, corrected: str):
    """The judgement sorts the edits that it was given: none is lost, none invented."""
    edits = edits_between(raw, corrected)
    judgement = judge(raw, edits, (0, len(raw)), GuardConfig())

    assert sorted([*judgement.accepted, *judgement.refused], key=lambda edit: edit.start) == edits
    assert bool(judgement.refused) == any(not verdict.accepted for verdict in judgement.verdicts)
