"""Metrics of HIPE-OCRepair 2026 against its own scorer, hipe-ocrepair-scorer 0.9.9 from PyPI."""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hipe_ocrepair_scorer import Evaluation, norm, ocrepair_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrray.evaluation.bootstrap import BootstrapConfig
from ocrray.evaluation.hipe import HipeScores, hipe_scores
from ocrray.evaluation.inputs import Batch
from ocrray.evaluation.normalisation import Normalisation
from ocrray.evaluation.scoring import score
from ocrray.text.normalise import for_hipe

NAMES = {
    "cmer_micro": "hipe_cmer",
    "wmer_micro": "hipe_wmer",
    "cmer_macro": "hipe_macro_cmer",
    "wmer_macro": "hipe_macro_wmer",
    "pref_score_cmer_macro": "hipe_preference",
    "pref_score_wmer_macro": "hipe_preference_wmer",
    "pcis_cmer_macro": "hipe_pcis",
    "pcis_wmer_macro": "hipe_pcis_wmer",
}
"""The scorer's names of our metrics of the corrected text."""
TEXTS = st.lists(
    st.sampled_from([*"aeoſsrn 1-_.,\n", "\u0364", "ß", "ꝛ", "œ", "Æ", "é", "e\u0301", "¬\n", "—\n", "—", "- \n", "word "]),
    max_size=12,
).map("".join)
RECORDS = st.lists(st.tuples(TEXTS, TEXTS, TEXTS, st.sampled_from("ab")), min_size=1, max_size=8)
Record = tuple[str, str, str, str]
"""Raw, corrected and true text, and data set."""


@pytest.fixture(scope="module")
def scorer() -> Callable[[Sequence[Record]], dict[str, Any]]:
    """The scorer without its 10,000 resamples, and with each alignment computed once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ocrepair_eval, "range", lambda number: range(min(number, 2)), raising=False)
        for name in ("process_characters", "process_words"):
            patch.setattr(ocrepair_eval, name, lru_cache(maxsize=1 << 16)(getattr(ocrepair_eval, name)))
        yield _official


def _official(records: Sequence[Record]) -> dict[str, Any]:
    documents = [
        {
            "document_metadata": {"primary_dataset_name": dataset},
            "ground_truth": {"transcription_unit": truth},
            "ocr_hypothesis": {"transcription_unit": raw},
            "ocr_postcorrection_output": {"transcription_unit": corrected},
        }
        for raw, corrected, truth, dataset in records
    ]
    return Evaluation(documents).score_over_datasets()


def ours(records: Sequence[Record], resamples: int = 100) -> HipeScores:
    """Our metrics of the same records."""
    raw, corrected, truth, datasets = (list(column) for column in zip(*records, strict=True))
    none = [None] * len(records)
    ids = [str(number) for number in range(len(records))]
    batch = Batch(ids, raw, corrected, truth, {}, none, datasets, none, pa.table({}))
    scores = score([batch], Normalisation(), report_records=0, sample_words=0, seed=0)
    return hipe_scores(scores, BootstrapConfig(resamples=resamples))


def assert_equal(found: HipeScores, official: dict[str, Any]) -> None:
    """Every metric of every data set, and every mean over data sets, is the scorer's."""
    for theirs, name in NAMES.items():
        assert found.means[name].value == pytest.approx(official["averaged_scores"][theirs][0], abs=1e-12), name
        for dataset, metrics in official["fold_scores"].items():
            assert found.datasets[dataset][name] == pytest.approx(metrics[theirs][0], abs=1e-12), (dataset, name)


def test_hipe_reference_is_the_release_that_the_docs_name() -> None:
    """The figures hold for this release; an other may join other words over line ends."""
    assert version("hipe-ocrepair-scorer") == "0.9.9"


@settings(max_examples=50)
@given(TEXTS | st.text(max_size=20))
def test_hipe_normalisation_any_text_equals_the_scorers(text: str) -> None:
    """Line ends with `¬` and `—`, historical letters, punctuation and case are treated as the scorer treats them."""
    assert for_hipe(text) == norm(text)


@settings(max_examples=25, deadline=None)
@given(records=RECORDS.filter(lambda records: all(for_hipe(truth) for _, _, truth, _ in records)))
def test_hipe_metrics_any_records_equal_the_scorers(scorer, records: list[Record]) -> None:
    """cMER and wMER, micro and macro, preference and PCIS, by data set and as means over data sets."""
    assert_equal(ours(records), scorer(records))


def test_hipe_words_broken_by_a_dash_at_the_line_end_are_joined() -> None:
    """Pages of dta19 divide words with an em dash: taken off by the corrector or left, the text is the same."""
    broken, joined = "Sie ging über die Wie—\nſe nach Hauſe.", "Sie ging über die Wieſe nach Hauſe."
    found = ours([(broken, joined, broken, "a"), (broken, joined, joined, "a")])
    assert {found.datasets["a"][name] for name in ("hipe_raw_cmer", "hipe_cmer", "hipe_wmer", "hipe_preference")} == {0}


def test_hipe_mean_weighs_every_data_set_alike_and_has_an_interval() -> None:
    """Ninety good records of one source and ten bad ones of another count half each; equal sources are resampled apart."""
    records = [("tbe", "the", "the", "many")] * 90 + [("tbe", "xyz", "the", "few")] * 5 + [("tbe", "the", "the", "few")] * 5
    found = ours(records, resamples=200)
    assert found.means["hipe_preference"].value == pytest.approx((1 + 0) / 2)
    interval = found.means["hipe_preference"].interval
    assert interval is not None
    assert 0.1 < interval.low < 0.5 < interval.high < 0.9


def partly_corrected(raw: str, truth: str, row: int) -> str:
    """A stand-in for a corrector: the first part of the truth, the rest of the raw text, at times with an error of its own."""
    place = len(truth) * (row % 4) // 3
    return truth[:place] + raw[place:] + ("e" if row % 7 == 0 else "")


def assert_training_data_equal(scorer: Callable[[Sequence[Record]], dict[str, Any]], shared_data: Path, step: int) -> None:
    """HIPE's training data that are here, every `step`th record, have the scorer's metrics."""
    records = []
    for path in sorted((shared_data / "pairs").glob("hipe2026_*.jsonl")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        made = [(row["ocr"], partly_corrected(row["ocr"], row["gt"], n), row["gt"], path.stem) for n, row in enumerate(rows)]
        records += made[::step]
    assert_equal(ours(records), scorer(records))


@pytest.mark.shared
def test_hipe_some_training_data_equal_the_scorers(scorer, shared_data: Path) -> None:
    """One record in 25: each metric of each data set to the last digit."""
    assert_training_data_equal(scorer, shared_data, 25)


@pytest.mark.slow
@pytest.mark.shared
def test_hipe_all_training_data_equal_the_scorers(scorer, shared_data: Path) -> None:
    """All 2,153 records: half a minute, most of it the scorer's."""
    assert_training_data_equal(scorer, shared_data, 1)
