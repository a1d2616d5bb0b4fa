"""Precision and recall of a run's guard."""

import json
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrray.cli import main
from ocrray.evaluation.guard_spans import GuardSpans
from ocrray.guard import GuardConfig, judge
from ocrray.guard.labels import span_gains
from ocrray.guard.spans import spans_of
from ocrray.records import SCHEMA
from ocrray.text.edits import apply_edits, edits_between

RAW = "tbe cat sat on tbe mat in 1871 with a dog"
TRUTH = "the cat sat on the mat in 1871 with a dog"


def run_row(raw: str, accepted: str, refused: str) -> dict:
    """Columns of a record in which one corrected text was accepted and another refused."""
    return {
        "edits": [asdict(edit) for edit in edits_between(raw, accepted)],
        "refused_edits": [asdict(edit) for edit in edits_between(raw, refused)],
    }


def test_guard_spans_each_span_is_judged_by_what_it_alone_does():
    """A refused invention is right, a refused repair a loss, an accepted invention a harm."""
    spans = GuardSpans()
    accepted = RAW.replace("tbe cat", "the cat").replace("dog", "god")
    refused = RAW.replace("tbe mat", "the mat").replace("1871", "1971")
    spans.add_record(RAW, TRUTH, run_row(RAW, accepted, refused))
    assert (spans.accepted, spans.accepted_wrong, spans.refused, spans.refused_wrong) == (2, 1, 2, 1)
    assert (spans.precision, spans.recall, spans.accepted_wrong_frac) == (0.5, 0.5, 0.5)


def test_guard_spans_of_nothing_have_no_rates():
    """Where nothing was changed there is nothing to divide by."""
    spans = GuardSpans()
    spans.add_record(RAW, TRUTH, {})
    assert (spans.precision, spans.recall, spans.accepted_wrong_frac) == (None, None, None)


@settings(deadline=None)  # the first example loads the scorer
@given(st.text(alphabet="ab 1,", max_size=40), st.text(alphabet="ab 1,", max_size=40), st.text(alphabet="ab 1,", max_size=40))
def test_guard_spans_any_judgement_counts_the_spans_that_were_judged(raw: str, corrected: str, truth: str):
    """What a run keeps of a judgement is enough to count the spans that the guard saw."""
    edits = edits_between(raw, corrected)
    judgement = judge(raw, edits, (0, len(raw)), GuardConfig())
    spans = GuardSpans()
    kept = {"edits": [asdict(e) for e in judgement.accepted], "refused_edits": [asdict(e) for e in judgement.refused]}
    spans.add_record(raw, truth, kept)
    judged = sorted([*judgement.accepted, *judgement.refused], key=lambda edit: edit.start)  # without those of white space
    gains = span_gains(raw, spans_of(raw, judged), truth)
    assert spans.refused == sum(not verdict.accepted for verdict in judgement.verdicts)
    assert spans.accepted + spans.refused == len(gains)
    assert spans.accepted_wrong + spans.refused_wrong == sum(gain < 0 for gain in gains)


def test_evaluate_run_reports_precision_and_recall_of_its_guard(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The verb says it in the terminal and in `evaluation.json`, of a run alone."""
    accepted, refused = RAW.replace("tbe cat", "the cat"), RAW.replace("1871", "1971").replace("tbe mat", "the mat")
    row = {"record_id": "a", "raw_text": RAW, "ground_truth": TRUTH, "status": "corrected", **run_row(RAW, accepted, refused)}
    row["corrected_text"] = apply_edits(RAW, edits_between(RAW, accepted))
    (tmp_path / "run" / "data").mkdir(parents=True)
    table = pa.Table.from_pylist([dict.fromkeys(SCHEMA.names) | row], schema=SCHEMA)
    pq.write_table(table, tmp_path / "run" / "data" / "0.parquet")
    config = {"input": {"run": str(tmp_path / "run")}, "bootstrap": {"resamples": 100}, "output": {"path": str(tmp_path / "out")}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["evaluate", str(tmp_path / "config.yaml")]) == 0
    spans = json.loads((tmp_path / "out" / "evaluation.json").read_text())["refused_spans"]
    assert (spans["precision"], spans["recall"], spans["accepted_wrong_frac"]) == (0.5, 1.0, 0.0)
    assert "1 of 2" in capsys.readouterr().out
