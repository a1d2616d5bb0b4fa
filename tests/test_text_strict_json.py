"""JSON as a model wrote it: numbers, names that come twice, and objects that were cut off."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.text.strict_json import close_json, parse_json

values = st.recursive(
    st.none() | st.booleans() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def test_parse_json_numbers_are_the_characters_written() -> None:
    """No digit is lost, not even one without meaning to a computer."""
    assert parse_json('{"a": 1.10, "b": [-0, 1e5, 12345678901234567890123]}') == {
        "a": "1.10",
        "b": ["-0", "1e5", "12345678901234567890123"],
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": 1, "a": 2}', '"a" twice'),
        ('[{"a": {"b": 1, "c": 2, "b": 1}}]', '"b" twice'),
        ('{"a": 007}', "delimiter"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ("{'a': 1}", "double quotes"),
        ('{"a": 1,}', "double quotes"),
        ('{"a": 1} thanks', "Extra data"),
        ("", "Expecting value"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_parse_json_refuses_what_it_would_have_to_guess(text: str, problem: str) -> None:
    """A repaired answer is an invented one."""
    with pytest.raises(ValueError, match=problem):
        parse_json(text)


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ('{"id": "A", "of": [{"what": "tea", "n": "4"}, {"what": "cof', '{"id": "A", "of": [{"what": "tea", "n": "4"}]}'),
        ('{"id": "A", "of": [{"what": "tea", "n": "4"', '{"id": "A", "of": [{"what": "tea"}]}'),
        ('{"id": "A", "of": [{"wh', '{"id": "A"}'),
        ('{"total": 1.10, "x": 12', '{"total": 1.10}'),
        ('{"a": "one, two", "b": "three, fo', '{"a": "one, two"}'),
        ('{"a": "x\\"y, z', None),
        ('{"a": [1, 2], "b": {"c": 1}', '{"a": [1, 2], "b": {"c": 1}}'),
        ('{"a": 1, "a": 2, "b', None),
        ('{"a": 1}', None),
        ('{"a": 1} and more', None),
        ('{"a": 1]', None),
        ("[1, 2", None),
        ("", None),
        ("{" * 100_000, None),
    ],
)
def test_close_json_ends_an_object_behind_its_last_whole_value(text: str, closed: str | None) -> None:
    """What was being written when the answer ended is left out: nothing of it is guessed."""
    assert close_json(text) == closed


@given(st.dictionaries(st.text(max_size=4), values, min_size=1, max_size=4), st.data())
def test_close_json_of_any_beginning_holds_only_what_was_written(value: dict, data: st.DataObject) -> None:
    """Every value of the closed object is one of the whole object's, or the beginning of one of its lists and objects."""
    text = json.dumps(value, ensure_ascii=False)

    closed = close_json(text[: data.draw(st.integers(0, len(text) - 1))])

    assert closed is None or _is_beginning(json.loads(closed), value)


def _is_beginning(part: object, whole: object) -> bool:
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and _is_beginning(child, whole[name]) for name, child in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) <= len(whole) and all(map(_is_beginning, part, whole))
    return part == whole
