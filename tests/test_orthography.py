"""Old spellings are no errors."""

import pytest

from ocrray.text.normalise import without_accents
from ocrray.text.orthography import MODERNISATIONS, modernised, modernises


@pytest.mark.parametrize(("old", "new"), [("gaol", "jail"), ("Colour,", "Color,"), ("any one", "anyone"), ("TO-DAY", "Today")])
def test_modernises_new_spelling_of_an_old_word_is_seen(old: str, new: str):
    """A spelling that today's models would change is known, in whatever capitals."""
    assert modernises(old, new)
    assert not modernises(new, old)


@pytest.mark.parametrize(("raw", "corrected"), [("tbe", "the"), ("gaol", "goal"), ("same", "same"), ("colour", "collar")])
def test_modernises_repair_of_an_error_is_none(raw: str, corrected: str):
    """What OCR errors explain is no new spelling."""
    assert not modernises(raw, corrected)


def test_modernised_every_rule_has_a_text_that_it_changes():
    """No rule is hidden by another, and none leaves its own text as it was."""
    assert all(modernised(old) != old for old, _ in MODERNISATIONS)
    assert modernised("the house") == "the house"


def test_without_accents_either_normal_form_gives_plain_letters():
    """Composed or not, an accent is left out; letters of their own stay."""
    assert without_accents("café") == without_accents("cafe\u0301") == "cafe"
    assert without_accents("œuvre ß") == "œuvre ß"
