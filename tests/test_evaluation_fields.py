"""Exact match and similarity of extracted fields."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrray.evaluation.documents import score_fields
from ocrray.evaluation.field_values import as_document, leaves

values = st.none() | st.text(alphabet="ab é\u0301", max_size=4)
rows = st.dictionaries(st.sampled_from("abc"), values | st.lists(values, max_size=2) | st.dictionaries(st.just("x"), values))


def test_score_fields_each_way_to_be_wrong_has_its_count():
    """Right, nearly right, missed, invented and absent fields are counted apart; an absent field earns nothing."""
    scores = score_fields(
        [
            ({"title": "Leith", "date": "1894", "agency": "PA"}, {"title": "Leith", "date": "1895"}),
            ({"title": "Leit", "photographer": None}, {"title": "Leith", "agency": "PA"}),
        ]
    )
    table = scores.fields

    title, date, agency = (table.fields[name] for name in ("title", "date", "agency"))
    assert (title.both, title.exact, title.exact_frac, title.similarity) == (2, 1, 0.5, pytest.approx((1 + 0.8) / 2))
    assert (date.both, date.absent, date.exact_frac, date.similarity) == (1, 1, 0.0, 0.75)
    assert (agency.missed, agency.invented, agency.exact_frac, agency.similarity) == (1, 1, 0.0, 0.0)
    assert "photographer" not in table.fields
    assert (title.precision, title.recall, title.f1) == (0.5, 0.5, 0.5)
    assert (agency.precision, agency.recall, agency.f1) == (0.0, 0.0, 0.0)
    assert (table.records, scores.records_exact, scores.metrics()["valid_frac"]) == (2, 0, 1)
    assert (table.overall.both, table.overall.missed, table.overall.invented) == (3, 1, 1)


def test_score_fields_nested_rows_are_compared_path_by_path():
    """Each value of a list counts under its path, whatever schema it comes from, and types compare as they are written."""
    truth = {"total": {"net": 5, "paid": True}, "items": [{"name": "ink"}, {"name": "nibs", "price": None}]}
    predicted = {"Total": {"net": "5", "paid": False}, "items": [{"name": "ink"}, {"name": "nibs"}]}
    table = score_fields([(predicted, truth)]).fields

    assert {name: score.exact for name, score in table.fields.items()} == {"total.net": 1, "total.paid": 0, "items.name": 2}


def test_score_fields_rows_are_assigned_to_one_another_not_by_position():
    """A row left out shifts those below it, and another order changes nothing; what a row lacks is missed in that row."""
    names = ["ink, black", "nibs", "ledger", "envelopes"]
    truth = {"items": [{"name": name, "price": str(price)} for price, name in enumerate(names)]}
    for predicted in (truth["items"][1:], truth["items"][:0:-1]):
        overall = score_fields([({"items": predicted}, truth)]).fields.overall
        assert (overall.exact, overall.missed, overall.invented) == (6, 2, 0)
    assert score_fields([({"items": truth["items"][::-1]}, truth)]).records_exact == 1


def test_score_fields_record_without_an_answer_misses_all_fields():
    """A malformed output is no answer, and never right, even where the truth has no field."""
    scores = score_fields([(None, {"title": "Leith"}), (None, {}), ({}, {"title": None})])

    assert [document.valid for document in scores.documents] == [False, False, True]
    assert (scores.fields.fields["title"].missed, scores.records_exact, scores.fields.records) == (1, 1, 3)


def test_score_fields_white_space_and_composition_do_not_matter():
    """Texts are compared as everywhere: NFC, white space collapsed, case and punctuation kept."""
    table = score_fields([({"a": "Fe\u0302te  at\nLeith"}, {"a": "Fête at Leith"}), ({"a": "a"}, {"a": "A"})]).fields

    assert table.fields["a"].exact == 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.none() | rows, rows), max_size=6))
def test_score_fields_any_pairs_add_up(pairs: list[tuple[dict[str, Any] | None, dict[str, Any]]]):
    """Every record is counted once in every field, and rates are shares."""
    scores = score_fields(pairs)

    assert scores.fields.records == len(scores.documents) == len(pairs)
    for score in scores.fields.fields.values():
        assert score.absent <= len(pairs) <= score.present + score.absent
        assert score.exact <= score.both
        assert 0 <= score.exact <= score.similarity_sum + 1e-9 <= score.both + 2e-9
        rates = (score.exact_frac, score.precision, score.recall, score.f1)
        assert all(rate is None or score.exact_frac <= rate <= 1 for rate in rates)
    assert all(0 <= rate <= 1 for rate in scores.metrics().values())


@settings(deadline=None)
@given(st.lists(rows, min_size=1, max_size=4))
def test_score_fields_truth_against_itself_is_right_throughout(truths: list[dict[str, Any]]):
    """Every rate of a perfect prediction is 1, and no field is lost on the way."""
    scores = score_fields(zip(truths, truths, strict=True))

    assert set(scores.metrics().values()) == {1.0}
    assert set(scores.fields.fields) == {name for truth in truths for name, _ in leaves(as_document(truth))}
