"""Distances against a textbook dynamic programme, and totals against rates worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.text.metrics import CerTotals, cer_totals, distance, distances
from ocrray.text.normalise import for_scoring

TEXTS = st.text(alphabet=st.sampled_from("abé\u0301 \nक्ष"), max_size=30)
COUNTS = st.tuples(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))


def textbook_distance(left: str, right: str) -> int:
    """Wagner and Fischer, 1974, row by row."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        previous, row = row, [i]
        for j, b in enumerate(right, 1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (a != b)))
    return row[-1]


@given(TEXTS, TEXTS)
def test_distance_any_texts_equals_textbook(left: str, right: str) -> None:
    """The distance is Levenshtein's between the texts as scoring normalises them."""
    assert distance(left, right) == textbook_distance(for_scoring(left), for_scoring(right))


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=8))
def test_distances_any_pairs_equals_distance_of_each(pairs: list[tuple[str, str]]) -> None:
    """The vectorised form gives what the single one gives, as int32."""
    found = distances([left for left, _ in pairs], [right for _, right in pairs])
    assert found.dtype == np.int32
    assert found.tolist() == [distance(left, right) for left, right in pairs]


def test_distance_above_the_expected_equals_textbook() -> None:
    """The hint to rapidfuzz is no cut-off: pairs further apart than expected still get their full distance."""
    assert distance("a" * 300, "b" * 200) == 300


def test_distance_spacing_and_composition_are_no_errors() -> None:
    """White space runs and decomposed accents are not OCR errors; case and punctuation are."""
    assert distance("  caf\u0065\u0301\n\nnoir ", "café noir") == 0
    assert distance("Café, noir", "café noir") == 2


def test_distances_unequal_lengths_raises() -> None:
    """A stage that lost a row finds out here."""
    with pytest.raises(ValueError, match="1 texts on the left, 2 on the right"):
        distances(["a"], ["a", "b"])


def test_cer_totals_worked_example_gives_each_average_its_own_value() -> None:
    """Short records improve and a long one decays: micro says worse, mean of ratios says better."""
    totals = cer_totals([10, 10, 980, 20, 5], [2, 4, 20, 0, 1], [0, 0, 40, 1, 1])
    assert (totals.records, totals.improved, totals.made_worse, totals.clean, totals.broke_clean) == (5, 2, 2, 1, 1)
    assert totals.micro_raw_cer == pytest.approx(27 / 1025)
    assert totals.micro_corrected_cer == pytest.approx(42 / 1025)
    assert totals.micro_cer_reduction == pytest.approx(1 - 42 / 27)
    assert totals.macro_raw_cer == pytest.approx((0.2 + 0.4 + 20 / 980 + 0 + 0.2) / 5)
    assert totals.macro_corrected_cer == pytest.approx((0 + 0 + 40 / 980 + 0.05 + 0.2) / 5)
    assert totals.mean_relative_reduction == pytest.approx((1 + 1 - 1 + 0) / 4)
    assert totals.made_worse_frac == 0.4
    assert totals.broke_clean_frac == 1.0


def test_cer_totals_empty_truth_counts_in_micro_only() -> None:
    """Text read where the truth is blank is all errors: micro counts them, a CER of its own the record has not."""
    totals = cer_totals([0, 10], [5, 1], [5, 0])
    assert totals.micro_raw_cer == pytest.approx(6 / 10)
    assert totals.macro_raw_cer == pytest.approx(1 / 10)


def test_cer_totals_no_records_has_no_rates() -> None:
    """Without ground truth there is no rate, rather than a flattering zero."""
    totals = cer_totals([], [], [])
    assert totals == CerTotals()
    assert totals.micro_raw_cer is totals.micro_cer_reduction is totals.mean_relative_reduction is None
    assert totals.made_worse_frac is totals.broke_clean_frac is None


@given(st.lists(COUNTS), st.lists(COUNTS))
def test_cer_totals_of_parts_add_up(first: list[tuple[int, int, int]], second: list[tuple[int, int, int]]) -> None:
    """Totals may be gathered batch by batch."""

    def totals(records: list[tuple[int, int, int]]) -> CerTotals:
        return cer_totals(*([record[column] for record in records] for column in range(3)))

    whole, parts = totals(first + second), totals(first) + totals(second)
    assert whole.made_worse == parts.made_worse
    assert whole.micro_cer_reduction == parts.micro_cer_reduction
    assert whole.macro_corrected_cer == pytest.approx(parts.macro_corrected_cer)
    assert whole.mean_relative_reduction == pytest.approx(parts.mean_relative_reduction)
