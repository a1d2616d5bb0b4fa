"""What an answer says: JSON objects, lines of names and values, and everything that is neither."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.evaluation.field_scoring import FieldsConfig, FieldScoring
from ocrray.evaluation.field_values import Document, leaves, read_document
from ocrray.evaluation.fields import OTHER
from ocrray.text.normalise import for_scoring

names = st.text(alphabet="abcdefgh", min_size=1, max_size=5)
values = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).filter(
    lambda text: text.strip()
)


@given(st.dictionaries(names, values, min_size=1, max_size=5))
def test_read_document_json_object_gives_back_its_values(fields: dict[str, str]):
    """What was written as JSON is read again, fenced or not, whatever the values hold."""
    written = json.dumps(fields)
    assert read_document(written, str) == {name: [value.strip()] for name, value in fields.items()}
    assert read_document(f"```json\n{written}\n```") == read_document(written)
    assert read_document("\ufeff" + written) == read_document(written)


@given(st.dictionaries(names, st.text(alphabet="xyz 1:", min_size=1, max_size=8).filter(str.strip), min_size=1, max_size=5))
def test_read_document_lines_give_back_their_values(fields: dict[str, str]):
    """Lines of `name: value` are read again, colons in the values and all."""
    written = "\n".join(f"{name}: {value}" for name, value in fields.items())
    assert read_document(written, str) == {name: [value.strip()] for name, value in fields.items()}


@given(st.text(max_size=60))
def test_read_document_any_text_is_read_or_is_none(text: str):
    """No text is a crash; values are never blank."""
    found = read_document(text)
    assert found is None or all(value.strip() for _, value in leaves(found))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"a": {"B": 1.50}, "c": [1, ["x"], []], "d": null, "e": "", "f": true, "g": {"h": {}}}',
            {"a": [{"b": ["1.50"]}], "c": ["1", "x"], "f": ["true"]},
        ),
        (
            '{"items": [{"price": "1"}, {"price": 7e2}, {"price": "2", "text": "x"}]}',
            {"items": [{"price": ["1"]}, {"price": ["7e2"]}, {"price": ["2"], "text": ["x"]}]},
        ),
        ('{"A": 1, "a": 2}', {"a": ["1", "2"]}),
        ("{}", {}),
        ("Title: The  ship\narrives\n\nDate : 1894", {"title": ["The ship arrives"], "date": ["1894"]}),
        ("Title:\nDate: 1894", {"date": ["1894"]}),
    ],
)
def test_read_document_shapes_of_answers(text: str, expected: Document):
    """Every value stands in a list, numbers are spelled as written, what is empty is absent."""
    assert read_document(text) == expected


def test_read_document_for_typed_columns_compares_numbers_by_value():
    """A column of numbers holds 1.1 where the truth is written 1.10; strings stay what they are."""
    assert read_document('{"a": 1.10, "b": 5.0, "c": "1.10"}', numbers_as_written=False) == {
        "a": ["1.1"],
        "b": ["5"],
        "c": ["1.10"],
    }


@pytest.mark.parametrize(
    "text",
    [
        *("", "  ", "[1, 2]", '"a"', "{", '{"a": NaN}', '{"a": Infinity}', "just some prose", '{"a": 1} and more'),
        *('{"a": 007}', '{"a": 1, "a": 2}', '{"a": {"b": "x", "b": "x"}}', '{"a": "x", }', "{'a': 1}"),
        pytest.param('{"a":' * 101 + "1" + "}" * 101, id="more than 100 levels"),
        pytest.param('{"a": ' + "[" * 100 + "1" + "]" * 100 + "}", id="more than 100 lists"),
        pytest.param('{"a":' * 100_000, id="unclosed nesting"),
        pytest.param('{"a":' * 100_000 + "1" + "}" * 100_000, id="deep nesting"),
        pytest.param("x" * 5_000_000, id="a long line"),
    ],
)
def test_read_document_what_holds_no_fields_is_none(text: str):
    """Broken JSON, what only Python calls JSON, a name with two values, depth and prose are no answer, and no crash."""
    assert read_document(text) is None


def scored(answer: str | None, truth: str, config: FieldsConfig = FieldsConfig()) -> FieldScoring:  # noqa: B008 - frozen
    """One record's scoring."""
    scoring = FieldScoring(config, for_scoring)
    scoring.add("r", answer, truth, {})
    return scoring


def test_field_scoring_answer_that_cannot_be_read_misses_everything():
    """Neither broken JSON nor no answer at all earns anything."""
    for answer in (None, "{"):
        scores = scored(answer, '{"total": "5", "date": "1894"}').scores
        assert [score.missed for score in scores.fields.fields.values()] == [1, 1]
        assert scores.metrics()["valid_frac"] == scores.metrics()["nted_accuracy"] == scores.metrics()["anls"] == 0


def test_field_scoring_names_leave_out_the_others():
    """With names given, an invented field of another name counts nowhere."""
    config = FieldsConfig(names=("Total",))
    scores = scored('{"total": "5", "vat": "1"}', '{"total": "5", "date": "1894"}', config).scores
    assert set(scores.fields.fields) == {"total"}
    assert scores.records_exact == 1


def test_field_scoring_thousands_of_invented_names_are_put_together():
    """A model that invents names does not fill the table, and still counts as wrong."""
    table = scored(json.dumps({f"n{number}": "x" for number in range(5_000)}), "total: 5").scores.fields
    assert len(table.fields) <= 202
    assert table.fields[OTHER].invented == table.overall.invented - 199 == 4_801
    assert table.fields["total"].missed == 1
