"""Exact match and similarity of extracted fields."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.evaluation.field_values import flatten
from ocrray.evaluation.fields import score_fields

values = st.none() | st.text(alphabet="ab é\u0301", max_size=4)
rows = st.dictionaries(st.sampled_from("abc"), values | st.lists(values, max_size=2) | st.dictionaries(st.just("x"), values))


def test_score_fields_each_way_to_be_wrong_has_its_count():
    """Right, nearly right, missed, invented and absent fields are counted apart; an absent field earns nothing."""
    table = score_fields(
        [
            ({"title": "Leith", "date": "1894", "agency": "PA"}, {"title": "Leith", "date": "1895"}),
            ({"title": "Leit", "photographer": None}, {"title": "Leith", "agency": "PA"}),
        ]
    )

    title, date, agency = (table.fields[name] for name in ("title", "date", "agency"))
    assert (title.both, title.exact, title.exact_frac, title.similarity) == (2, 1, 0.5, pytest.approx((1 + 0.8) / 2))
    assert (date.both, date.absent, date.exact_frac, date.similarity) == (1, 1, 0.0, 0.75)
    assert (agency.missed, agency.invented, agency.exact_frac, agency.similarity) == (1, 1, 0.0, 0.0)
    assert "photographer" not in table.fields
    assert (title.precision, title.recall, title.f1) == (0.5, 0.5, 0.5)
    assert (agency.precision, agency.recall, agency.f1) == (0.0, 0.0, 0.0)
    assert (table.records, table.records_exact, table.unanswered) == (2, 0, 0)
    assert (table.overall.both, table.overall.missed, table.overall.invented) == (3, 1, 1)


def test_score_fields_nested_rows_are_compared_path_by_path():
    """A struct inside a list counts under its path, whatever schema it comes from, and types compare as they are written."""
    truth = {"total": {"net": 5, "paid": True}, "items": [{"name": "ink"}, {"name": "nibs", "price": None}]}
    predicted = {"Total": {"net": "5", "paid": False}, "items": [{"name": "ink"}, {"name": "nibs"}]}
    table = score_fields([(predicted, truth)])

    assert {name: score.exact for name, score in table.fields.items()} == {"total.net": 1, "total.paid": 0, "items.name": 1}


def test_score_fields_record_without_an_answer_misses_all_fields():
    """A malformed output is no answer, and never right, even where the truth has no field."""
    table = score_fields([(None, {"title": "Leith"}), (None, {}), ({}, {"title": None})])

    assert (table.fields["title"].missed, table.unanswered, table.records_exact, table.records) == (1, 2, 1, 3)


def test_score_fields_white_space_and_composition_do_not_matter():
    """Texts are compared as everywhere: NFC, white space collapsed, case and punctuation kept."""
    table = score_fields([({"a": "Fe\u0302te  at\nLeith"}, {"a": "Fête at Leith"}), ({"a": "a"}, {"a": "A"})])

    assert table.fields["a"].exact == 1


@given(st.lists(st.tuples(st.none() | rows, rows), max_size=6))
def test_score_fields_any_pairs_add_up(pairs: list[tuple[dict[str, Any] | None, dict[str, Any]]]):
    """Every record is counted once in every field, and rates are shares."""
    table = score_fields(pairs)

    for score in table.fields.values():
        assert score.present + score.absent == table.records == len(pairs)
        assert score.exact <= score.both
        assert 0 <= score.exact <= score.similarity_sum + 1e-9 <= score.both + 2e-9
        rates = (score.exact_frac, score.precision, score.recall, score.f1)
        assert all(rate is None or score.exact_frac <= rate <= 1 for rate in rates)
    assert all(0 <= rate <= 1 for rate in table.metrics().values())


@given(st.lists(rows, min_size=1, max_size=4))
def test_score_fields_truth_against_itself_is_right_throughout(truths: list[dict[str, Any]]):
    """Every rate of a perfect prediction is 1, and no field is lost on the way."""
    table = score_fields(zip(truths, truths, strict=True))

    assert set(table.metrics().values()) == {1.0}
    assert set(table.fields) == {name for truth in truths for name in flatten(truth)}
