"""What an answer says: JSON objects, lines of names and values, and everything that is neither."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.evaluation.field_scoring import OTHER, FieldsConfig, FieldScoring
from ocrray.evaluation.field_values import read_fields
from ocrray.text.normalise import for_scoring

names = st.text(alphabet="abcdefgh", min_size=1, max_size=5)
values = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).filter(
    lambda text: text.strip()
)


@given(st.dictionaries(names, values, min_size=1, max_size=5))
def test_read_fields_json_object_gives_back_its_values(fields: dict[str, str]):
    """What was written as JSON is read again, fenced or not, whatever the values hold."""
    written = json.dumps(fields)
    assert read_fields(written) == {name: value.strip() for name, value in fields.items()}
    assert read_fields(f"```json\n{written}\n```") == read_fields(written)
    assert read_fields("\ufeff" + written) == read_fields(written)


@given(st.dictionaries(names, st.text(alphabet="xyz 1:", min_size=1, max_size=8).filter(str.strip), min_size=1, max_size=5))
def test_read_fields_lines_give_back_their_values(fields: dict[str, str]):
    """Lines of `name: value` are read again, colons in the values and all."""
    written = "\n".join(f"{name}: {value}" for name, value in fields.items())
    assert read_fields(written) == {name: value.strip() for name, value in fields.items()}


@given(st.text(max_size=60))
def test_read_fields_any_text_is_read_or_is_none(text: str):
    """No text is a crash; values are never blank."""
    found = read_fields(text)
    assert found is None or all(value.strip() for value in found.values())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": {"B": 1.50}, "c": [1, "x"], "d": null, "e": "", "f": true}', {"a.b": "1.50", "c": "1\nx", "f": "true"}),
        ('{"items": [{"price": "1"}, {"price": "2", "text": "x"}]}', {"items.price": "1\n2", "items.text": "x"}),
        ('{"a": 1, "a": 2}', {"a": "2"}),
        ("{}", {}),
        ("Title: The  ship\narrives\n\nDate : 1894", {"title": "The  ship\narrives", "date": "1894"}),
        ("Title:\nDate: 1894", {"date": "1894"}),
    ],
)
def test_read_fields_shapes_of_answers(text: str, expected: dict[str, str]):
    """Nested names are joined, lists are values one below the other, what is empty is absent."""
    assert read_fields(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "  ", "[1, 2]", '"a"', "{", '{"a": NaN}', '{"a": Infinity}', "just some prose", '{"a": 1} and more'),
        pytest.param('{"a":' * 100_000, id="unclosed nesting"),
        pytest.param('{"a":' * 100_000 + "1" + "}" * 100_000, id="deep nesting"),
        pytest.param("x" * 5_000_000, id="a long line"),
    ],
)
def test_read_fields_what_holds_no_fields_is_none(text: str):
    """Broken JSON, what only Python calls JSON, depth and prose are no answer, and no crash."""
    assert read_fields(text) is None


def scored(answer: str | None, truth: str, config: FieldsConfig = FieldsConfig()) -> FieldScoring:  # noqa: B008 - frozen
    """One record's scoring."""
    scoring = FieldScoring(config, for_scoring)
    scoring.add("r", answer, truth, {})
    return scoring


def test_field_scoring_answer_that_cannot_be_read_misses_everything():
    """Neither broken JSON nor no answer at all earns anything."""
    for answer in (None, "{"):
        table = scored(answer, '{"total": "5", "date": "1894"}').table
        assert [score.missed for score in table.fields.values()] == [1, 1]
        assert (table.unanswered, table.records_exact) == (1, 0)


def test_field_scoring_names_leave_out_the_others():
    """With names given, an invented field of another name counts nowhere."""
    config = FieldsConfig(names=("Total",))
    table = scored('{"total": "5", "vat": "1"}', '{"total": "5", "date": "1894"}', config).table
    assert set(table.fields) == {"total"}
    assert table.records_exact == 1


def test_field_scoring_thousands_of_invented_names_are_put_together():
    """A model that invents names does not fill the table, and still counts as wrong."""
    table = scored(json.dumps({f"n{number}": "x" for number in range(5_000)}), "total: 5").table
    assert len(table.fields) <= 202
    assert table.fields[OTHER].invented == 1
    assert table.fields["total"].missed == 1
