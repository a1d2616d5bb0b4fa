"""Estimates from a checked sample: the sheet's way out and back, and how often its intervals hold the truth."""

import csv
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ocrray.cli import main
from ocrray.evaluation.counts import COUNTS
from ocrray.evaluation.metrics import METRICS
from ocrray.evaluation.sampling import STRATA, CheckedSample, SampledRecord, Stratum, allocate
from ocrray.evaluation.sheet import read_sheet, write_sheet
from ocrray.records import SCHEMA

CELLS = st.text(alphabet=st.sampled_from("ab'=+-@,;\"\n\té ñ"), max_size=12)
TRUTH = "the committee met on Tuesday evening in the long room over the corn exchange"


def population(count: int) -> list[dict[str, Any]]:
    """Rows of a run: half are mended, some are left, some made worse, some refused; the truth is TRUTH for all."""
    rng, rows = random.Random(8), []
    for number in range(count):
        raw = "".join("c" if char == "e" and rng.random() < 0.4 else char for char in TRUTH)
        uniform = rng.random()
        corrected = TRUTH if uniform < 0.5 else f"{raw} and so on" if uniform > 0.93 else raw
        status = "kept_raw" if 0.5 < uniform < 0.6 else "corrected"
        row = {"record_id": f"r{number}", "raw_text": raw, "corrected_text": corrected, "status": status}
        rows.append(dict.fromkeys(SCHEMA.names) | row | {"source_uri": f"/scans/{number}.tif", "page": 2})
    return rows


@pytest.fixture
def estimate(tmp_path: Path) -> Callable[..., int]:
    """Runs `ocrray evaluate` with a sample of 150 on a run of 800 records without truth; returns the exit code."""
    (tmp_path / "run" / "data").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(population(800), schema=SCHEMA), tmp_path / "run" / "data" / "0.parquet")
    config = {"input": {"run": str(tmp_path / "run")}, "output": {"path": str(tmp_path / "out")}, "bleu_ter_words": 0}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    return lambda *arguments: main(["evaluate", str(tmp_path / "config.yaml"), "--set", "sample=150", *arguments])


def mark(sheet: Path, checked: Callable[[int], bool] = lambda _: True, **change: str) -> None:
    """Check rows as a person does: write the truth and a cross."""
    rows = list(csv.DictReader(io.StringIO(sheet.read_text(encoding="utf-8-sig"))))
    for number, row in enumerate(rows):
        row |= {"truth": TRUTH, "checked": "x" if checked(number) else ""} | change
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], delimiter=";")  # as Excel writes it in much of Europe
    writer.writeheader()
    writer.writerows(rows)
    sheet.write_text(text.getvalue(), encoding="utf-8-sig")


def test_sheet_marked_and_read_back_gives_the_truth_within_its_interval(estimate, tmp_path: Path, capsys) -> None:
    """A sheet is drawn from every stratum, checked, and its estimates hold for all 800 records."""
    sheet, written = tmp_path / "out" / "sample.csv", tmp_path / "out" / "evaluation.json"
    assert estimate() == 0
    rows = list(csv.DictReader(io.StringIO(sheet.read_text(encoding="utf-8-sig"))))
    assert 140 <= len(rows) <= 160
    assert {row["stratum"] for row in rows} == set(STRATA)
    assert all(row["source"].endswith(".tif, page 3") for row in rows)
    assert not written.exists()

    mark(sheet, checked=lambda number: number % 7 != 0)
    assert estimate() == 0
    result = json.loads(written.read_text())
    assert sum(stratum["records"] for stratum in result["estimated_from"]) == 800
    assert sum(stratum["checked"] for stratum in result["estimated_from"]) == len(rows) - len(rows[::7])
    everything = population(800)
    changed = [sum(a != b for a, b in zip(row["raw_text"], TRUTH, strict=True)) for row in everything]
    left = [0 if row["corrected_text"] == TRUTH else n for row, n in zip(everything, changed, strict=True)]
    left = [n + 10 * row["corrected_text"].endswith("and so on") for row, n in zip(everything, left, strict=True)]
    metrics = result["overall"]["metrics"]
    for name, true in (("micro_raw_cer", sum(changed) / 800 / len(TRUTH)), ("micro_corrected_cer", sum(left) / 800 / len(TRUTH))):
        assert metrics[name]["low"] <= true <= metrics[name]["high"]
        assert metrics[name]["high"] - metrics[name]["low"] < 0.5 * true
    worse = sum(after > before for before, after in zip(changed, left, strict=True)) / 800
    assert metrics["made_worse_frac"]["value"] == pytest.approx(worse, abs=0.01)
    assert "estimated for 800 records" in capsys.readouterr().out
    assert "estimated for 800 records without ground truth" in (tmp_path / "out" / "report.html").read_text()


def test_sheet_not_checked_says_nothing(estimate, capsys) -> None:
    """A sheet that nobody looked at is no evidence, though every truth on it is filled in."""
    assert estimate() == 0
    assert estimate() == 2
    assert "no row is checked yet" in capsys.readouterr().err


def test_sheet_with_a_stratum_unchecked_is_refused(estimate, tmp_path: Path, capsys) -> None:
    """Without checked records in each stratum there is no estimate of the whole."""
    estimate()
    mark(tmp_path / "out" / "sample.csv", checked=lambda number: number < 3)
    assert estimate() == 2
    assert "too few of: " in capsys.readouterr().err


def test_sheet_of_another_input_is_refused(estimate, tmp_path: Path, capsys) -> None:
    """Checked records that the input does not hold give away that the sheet is not its own."""
    estimate()
    mark(tmp_path / "out" / "sample.csv", id="elsewhere")
    assert estimate() == 2
    assert "belongs to another input" in capsys.readouterr().err


def test_sheet_that_is_no_table_of_ours_is_one_readable_line(estimate, tmp_path: Path, capsys) -> None:
    """A damaged sheet is reported as such."""
    estimate()
    for content, message in (
        (b"\xff\xfe\x00nonsense", "save it as CSV in UTF-8"),
        (b"a,b\n1,2\n", "no column id, truth, checked"),
    ):
        (tmp_path / "out" / "sample.csv").write_bytes(content)
        assert estimate() == 2
        assert message in capsys.readouterr().err


def test_sample_where_all_have_truth_is_refused(tmp_path: Path, capsys) -> None:
    """Nobody is asked to check by hand what is known."""
    (tmp_path / "pairs.jsonl").write_text('{"ocr": "tbe", "fixed": "the", "gt": "the"}')
    columns = {"raw_column": "ocr", "corrected_column": "fixed", "ground_truth_column": "gt"}
    config = {"input": {"paths": [str(tmp_path / "pairs.jsonl")], **columns}, "output": {"path": str(tmp_path / "out")}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["evaluate", str(tmp_path / "config.yaml"), "--set", "sample=10"]) == 2
    assert "no record lacks ground truth" in capsys.readouterr().err


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5, unique_by=lambda entry: entry[0]))
def test_sheet_any_texts_come_back_as_they_were(records: list[tuple[str, str]]) -> None:
    """Quotes, line ends and what looks like a formula survive; no cell starts as a formula does."""
    records = [(f"i{number}{name}", text) for number, (name, text) in enumerate(records)]
    sheet = write_sheet([SampledRecord(name, 1, "raw", text, "") for name, text in records])
    rows = list(csv.reader(io.StringIO(sheet.removeprefix("\ufeff"))))
    assert all(cell[:1] not in tuple("=+-@") for row in rows for cell in row if cell)
    assert read_sheet(sheet.replace(',""\r\n', ",x\r\n").replace(",\r\n", ",x\r\n"), "sheet") == dict(records)


@given(st.lists(st.integers(0, 10_000), min_size=5, max_size=5), st.integers(10, 2_000))
def test_allocate_any_strata_draws_from_each_what_it_has(records: list[int], size: int) -> None:
    """No stratum is left out, none gives more than it has, and the sheet is about as long as requested."""
    shares = allocate(records, size)
    assert all(share <= count for share, count in zip(shares, records, strict=True))
    assert all(share >= min(2, count) for share, count in zip(shares, records, strict=True))
    assert sum(shares) <= size + 2 * len(STRATA)


def test_estimates_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Over many samples of a known population the 95 % interval of the micro CER holds the true one in at least 90 %."""
    rng = np.random.default_rng(11)
    sizes, means, drawn = (6_000, 1_500, 500), (0.5, 4.0, 12.0), (60, 40, 40)
    errors = [rng.negative_binomial(1, 1 / (1 + mean), size) for size, mean in zip(sizes, means, strict=True)]
    true = sum(part.sum() for part in errors) / (100 * sum(sizes))
    held, metric = 0, METRICS["micro_corrected_cer"]
    for seed in range(200):
        sample = [rng.choice(part, number, replace=False) for part, number in zip(errors, drawn, strict=True)]
        counts = {name: np.zeros(sum(drawn), np.int32) for name in COUNTS}
        counts |= {"truth_chars": np.full(sum(drawn), 100, np.int32), "corrected_distance": np.concatenate(sample)}
        strata = [Stratum(name, size, number) for name, size, number in zip(STRATA, sizes, drawn, strict=False)]
        checked = CheckedSample(strata, np.repeat(np.arange(3), drawn), counts, [])
        low, high = np.quantile(metric.compute(checked.resampled_sums(200, seed)), [0.025, 0.975])
        held += low <= true <= high
    assert held >= 180
