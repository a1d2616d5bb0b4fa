"""The verb `evaluate` end to end, on real files: what it says, writes, and refuses to do."""

import csv
import json
import random
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from ocrray.cli import main
from ocrray.evaluation.metrics import METRICS
from ocrray.evaluation.panels import PANELS
from ocrray.records import SCHEMA
from ocrray.text.edits import edits_between

COLUMNS = {"id_column": "id", "raw_column": "ocr", "corrected_column": "theirs", "ground_truth_column": "gt"}
ROWS = [
    {"id": "a", "ocr": "tbe cat in 1871", "gt": "the cat in 1871", "theirs": "the cat in 1871", "lang": "en"},
    {"id": "b", "ocr": "a dog", "gt": "a dog", "theirs": "a god", "lang": "en"},
    {"id": "c", "ocr": "le chot", "gt": "le chat", "theirs": None, "lang": "fr"},
    {"id": "d", "ocr": "no truth", "gt": None, "theirs": "no truth", "lang": "fr"},
    {"id": "e", "ocr": None, "gt": "never read", "theirs": None, "lang": None},
]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Runs `ocrray evaluate` on a config of these keys; returns the exit code and what `evaluation.json` says."""

    def evaluate(config: dict[str, Any], *arguments: str) -> tuple[int, dict[str, Any]]:
        path, output = tmp_path / "config.yaml", tmp_path / "out"
        keys = {"bootstrap": {"resamples": 100, "permutations": 500}, "output": {"path": str(output)}}
        path.write_text(yaml.safe_dump(keys | config))
        code = main(["evaluate", str(path), *arguments])
        written = output / "evaluation.json"
        return code, json.loads(written.read_text()) if written.exists() else {}

    return evaluate


def jsonl(path: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Write rows as JSON lines; returns the input that names them."""
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return {"paths": [str(path)], **COLUMNS}


def metric_value(result: dict[str, Any], name: str) -> float:
    """One metric over all records."""
    return result["overall"]["metrics"][name]["value"]


def test_evaluate_pairs_every_record_is_counted(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Records without truth, text or output are counted as such; who has no output is measured as it was."""
    code, result = run({"input": jsonl(tmp_path / "pairs.jsonl", ROWS) | {"language_column": "lang"}})
    assert code == 0
    assert result["records"] == {"scored": 3, "without_output": 1, "without_truth": 1, "without_text": 1, "unreadable": 0}
    assert metric_value(result, "micro_raw_cer") == pytest.approx(2 / 27)
    assert metric_value(result, "micro_corrected_cer") == pytest.approx(3 / 27)
    assert metric_value(result, "mean_relative_cer_reduction") == pytest.approx((1 + 0) / 2)
    sums = result["overall"]["sums"]
    assert (sums["made_worse"], sums["broke_clean"], sums["clean"], sums["exact"]) == (1, 1, 1, 1)
    assert [(group["name"], group["sums"]["records"]) for group in result["by_language"]] == [("en", 2), ("fr", 1)]
    assert [group["name"] for group in result["by_raw_cer"]] == ["0 %", "5 to 10 %", "over 10 %"]
    assert "1 of 3" in capsys.readouterr().out


def test_evaluate_buckets_add_up_to_the_whole(run, tmp_path: Path) -> None:
    """Every scored record is in one bucket of input CER, and in one source, the rare ones together."""
    rng = random.Random(4)
    truth = "the quick brown fox jumps over the lazy dog " * 4
    rows = [
        {
            "id": str(n),
            "ocr": "".join("x" if rng.random() < n / 900 else c for c in truth),
            "gt": truth,
            "theirs": truth,
            "s": n % 50,
        }
        for n in range(200)
    ]
    _, result = run({"input": jsonl(tmp_path / "pairs.jsonl", rows) | {"source_column": "s"}})
    for groups in ("by_raw_cer", "by_source"):
        for name in ("records", "raw_distance", "clean", "truth_chars"):
            assert sum(group["sums"][name] for group in result[groups]) == result["overall"]["sums"][name]
    assert len(result["by_raw_cer"]) == 5
    assert len(result["by_source"]) == 30
    assert result["by_source"][-1]["name"] == "(all others)"


def test_evaluate_other_tables_say_the_same(run, tmp_path: Path) -> None:
    """The same records as JSON lines, CSV and Parquet give the same metrics."""
    pairs = [{name: row[column] for name, column in COLUMNS.items()} for row in ROWS[:2]]
    rows = [dict(zip(COLUMNS.values(), row.values(), strict=True)) for row in pairs]
    jsonl(tmp_path / "pairs.jsonl", rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "pairs.parquet")
    with (tmp_path / "pairs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS.values())
        writer.writeheader()
        writer.writerows(rows)
    results = [
        run({"input": {"paths": [str(tmp_path / f"pairs.{kind}")], **COLUMNS}})[1]["overall"]
        for kind in ("jsonl", "csv", "parquet")
    ]
    assert results[0] == results[1] == results[2]


def write_run(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Rows of a corpus, as `restore` leaves them in `<folder>/data`."""
    (folder / "data").mkdir(parents=True)
    table = pa.Table.from_pylist([dict.fromkeys(SCHEMA.names) | row for row in rows], schema=SCHEMA)
    pq.write_table(table, folder / "data" / "000.parquet")


def restored(record_id: str, raw: str, corrected: str, truth: str, proposed: str | None = None) -> dict[str, Any]:
    """One row: corrected, or kept raw because what was proposed is refused."""
    row = {"record_id": record_id, "raw_text": raw, "corrected_text": corrected, "ground_truth": truth, "status": "corrected"}
    if proposed is not None:
        refused = [asdict(edit) for edit in edits_between(raw, proposed)]
        verdict = {"start": 0, "end": len(raw), "accepted": False, "reason": "length", "similarity": 0.2}
        row |= {"status": "kept_raw", "guard_reason": "length", "refused_edits": refused, "verdicts": [verdict]}
    return row


def test_evaluate_run_needs_no_columns_and_knows_its_refusals(run, tmp_path: Path) -> None:
    """A finished run's folder is enough; failed records are counted, and refused ones are in the report with their reason."""
    rows = [
        restored("a", "tbe cat", "the cat", "the cat"),
        restored("b", "tbe dog", "tbe dog", "the dog", "the dog and the cow and the horse"),
        {"record_id": "c", "status": "failed", "ground_truth": "lost"},
    ]
    write_run(tmp_path / "corpus", rows)
    code, result = run({"input": {"run": str(tmp_path / "corpus")}})
    assert (code, metric_value(result, "micro_cer_reduction")) == (0, 0.5)
    assert result["records"]["without_text"] == 1
    report = (tmp_path / "out" / "report.html").read_text()
    assert "Refused by the guard" in report
    assert "spans rightly refused" in report
    assert '"reasons":["length"]' in report


def test_evaluate_baseline_column_gives_a_paired_test(run, tmp_path: Path) -> None:
    """A second column of the same table is compared record by record; consistently better is not chance."""
    rows = [
        {"id": str(n), "ocr": "tbc cut", "gt": "the cat", "theirs": "the cat", "other": "tbe cat" if n % 2 else "the cat"}
        for n in range(40)
    ]
    _, result = run({"input": jsonl(tmp_path / "pairs.jsonl", rows), "baseline": {"corrected_column": "other"}})
    comparison = result["comparison"]
    assert comparison["records"] == 40
    assert comparison["differences"]["micro_corrected_cer"]["value"] == pytest.approx(-20 / 280)
    assert comparison["differences"]["micro_corrected_cer"]["high"] < 0
    assert comparison["p_value"] < 0.01
    assert result["baseline"] == "other"


def test_evaluate_baseline_of_another_file_is_joined_by_id(run, tmp_path: Path) -> None:
    """Order does not matter; records of one side, and those with another truth, are counted and left out."""
    ours = [{"id": name, "ocr": "tbe", "gt": "the", "theirs": "the"} for name in "abcd"]
    theirs = [{"id": name, "ocr": "tbe", "gt": "thy" if name == "b" else "the", "theirs": "tbe"} for name in "xdcba"]
    config = {"input": jsonl(tmp_path / "ours.jsonl", ours), "baseline": jsonl(tmp_path / "theirs.jsonl", theirs)}
    comparison = run(config)[1]["comparison"]
    names = ("records", "only_in_system", "only_in_baseline", "other_truth")
    assert [comparison[name] for name in names] == [3, 0, 1, 1]
    assert comparison["baseline"]["micro_corrected_cer"]["value"] == pytest.approx(1 / 3)


def test_evaluate_baseline_with_repeated_ids_is_refused(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Records that cannot be distinguished cannot be paired."""
    rows = [dict(ROWS[0]), dict(ROWS[0])]
    code, _ = run({"input": jsonl(tmp_path / "pairs.jsonl", rows), "baseline": {"corrected_column": "ocr"}})
    assert code == 2
    assert "occur more than once, a for instance" in capsys.readouterr().err


def test_evaluate_normalisation_is_applied_and_recorded(run, tmp_path: Path) -> None:
    """What is not to count as an error is switched off, and the result says so."""
    rows = [{"id": "a", "ocr": "THE ſame", "gt": "the same", "theirs": "the same"}]
    pairs = jsonl(tmp_path / "pairs.jsonl", rows)
    assert metric_value(run({"input": pairs})[1], "micro_raw_cer") == pytest.approx(4 / 8)
    _, result = run({"input": pairs, "normalise": {"fold_case": True, "long_s": True}})
    assert metric_value(result, "micro_raw_cer") == 0
    assert "case ignored" in result["normalisation"]


def test_evaluate_limit_takes_the_first_records(run, tmp_path: Path) -> None:
    """`--limit` counts records of the input, whether they can be scored or not."""
    _, result = run({"input": jsonl(tmp_path / "pairs.jsonl", ROWS)}, "--limit", "4")
    assert sum(result["records"].values()) - result["records"]["without_output"] == 4


def test_evaluate_dry_run_prints_the_plan_and_writes_nothing(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The plan names the columns that will be read."""
    code, result = run({"input": jsonl(tmp_path / "pairs.jsonl", ROWS)}, "--dry-run")
    assert (code, result) == (0, {})
    assert not (tmp_path / "out").exists()
    assert "theirs (corrected)" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corrected_column": "gone"}, "no column gone (input.corrected_column)"),
        ({"paths": ["nowhere.jsonl"]}, "nowhere.jsonl: no such file"),
        ({"paths": None}, "give either run"),
        ({"paths": None, "run": "nowhere"}, "holds no data/*.parquet"),
        ({"ground_truth_column": None}, "set ground_truth_column"),
        ({"ground_truth_column": "empty"}, "5 records have no ground truth"),
    ],
)
def test_evaluate_wrong_input_is_one_readable_line(
    run, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], message: str
) -> None:
    """What is missing is named, with exit code 2 and without a traceback."""
    rows = [row | {"empty": None} for row in ROWS]
    code, _ = run({"input": jsonl(tmp_path / "pairs.jsonl", rows) | change})
    error = capsys.readouterr().err
    assert code == 2
    assert message in error
    assert "Traceback" not in error


def test_evaluate_problems_of_both_systems_are_listed_together(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One run shows all that is wrong with the config."""
    pairs = jsonl(tmp_path / "pairs.jsonl", ROWS)
    code, _ = run({"input": pairs | {"raw_column": "x"}, "baseline": {"corrected_column": "y"}})
    error = capsys.readouterr().err
    assert code == 2
    assert "no column x (input.raw_column)" in error
    assert "y (baseline.corrected_column)" in error


def test_evaluate_problems_of_many_files_are_named_for_the_first(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A corpus has thousands of files with the same columns: a wrong one is not told once for each."""
    for number in range(50):
        jsonl(tmp_path / f"{number:02}.jsonl", ROWS)

    assert run({"input": {"paths": [str(tmp_path / "*.jsonl")], **COLUMNS, "corrected_column": "no"}})[0] == 2

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) < 10
    assert "more files have problems" in lines[-1]


def test_evaluate_into_a_runs_own_folder_is_refused(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The report of a run is not overwritten by that of its evaluation; an earlier evaluation is."""
    config = {"input": jsonl(tmp_path / "pairs.jsonl", ROWS)}
    assert run(config)[0] == run(config)[0] == 0
    (tmp_path / "out" / "evaluation.json").unlink()
    assert run(config)[0] == 2
    assert "holds the report of something else" in capsys.readouterr().err


def test_evaluate_file_that_breaks_off_is_no_evaluation(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody knows what the lost records would have shown, so there are no results."""
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS * 1000), path, row_group_size=1000, compression="zstd")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    path.write_bytes(data)
    code, result = run({"input": {"paths": [str(path)], **COLUMNS}})
    assert (code, result) == (2, {})
    assert "pairs.parquet: from here on the table cannot be read" in capsys.readouterr().err


def test_evaluate_columns_that_hold_no_text_are_named(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A label that is a list, or bytes that are no UTF-8, end in one line."""
    pairs = jsonl(tmp_path / "pairs.jsonl", []) | {"paths": [str(tmp_path / "pairs.parquet")], "source_column": "s"}
    row = {"id": "a", "ocr": "tbe", "gt": "the"}
    for wrong in ({"theirs": b"\xff", "s": "x"}, {"theirs": "the", "s": ["x"]}):
        pq.write_table(pa.Table.from_pylist([row | wrong]), tmp_path / "pairs.parquet")
        code, _ = run({"input": pairs})
        assert code == 2
        assert "that is no text in UTF-8" in capsys.readouterr().err


def test_evaluate_nothing_broken_among_few_is_no_proof(run, tmp_path: Path) -> None:
    """Where every resample says nought, the interval still reaches to what five records cannot rule out."""
    rows = [{"id": str(n), "ocr": "the", "gt": "the", "theirs": "the"} for n in range(5)]
    _, result = run({"input": jsonl(tmp_path / "pairs.jsonl", rows)})
    broke, exact = (result["overall"]["metrics"][f"{name}_frac"] for name in ("broke_clean", "exact"))
    assert (broke["value"], broke["low"]) == (0, 0)
    assert (1 - broke["high"]) ** 5 == pytest.approx(0.025)
    assert (exact["low"] ** 5, exact["high"]) == (pytest.approx(0.025), 1)


def test_evaluate_lines_that_are_no_json_are_counted(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows that cannot be read are counted, with what is wrong with the first, and the others measured."""
    pairs = jsonl(tmp_path / "pairs.jsonl", ROWS[:2])
    (tmp_path / "pairs.jsonl").write_text((tmp_path / "pairs.jsonl").read_text() + '\n{"id": "z", "ocr": "cut of')
    _, result = run({"input": pairs})
    assert (result["records"]["scored"], result["records"]["unreadable"]) == (2, 1)
    assert "unreadable: line 3 is not JSON" in capsys.readouterr().out


@pytest.mark.usefixtures("on_cluster")
def test_evaluate_by_workers_says_the_same(run, tmp_path: Path) -> None:
    """Batches counted by several processes come back in their order, with the same results to the last digit."""
    rng = random.Random(2)
    rows = [{"id": str(n), "ocr": "tbe " * rng.randint(1, 5), "gt": "the " * 3, "theirs": "the tbe the"} for n in range(5_000)]
    config = {"input": jsonl(tmp_path / "pairs.jsonl", rows), "baseline": {"corrected_column": "ocr"}, "bleu_ter_words": 0}
    alone, together = (run(config | {"workers": workers})[1] for workers in (1, 2))
    for part in ("overall", "by_raw_cer", "comparison", "records"):
        assert alone[part] == together[part]


def test_evaluate_every_registered_metric_is_in_all_outputs(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Terminal, `evaluation.json` and report show each metric of the registry, and each panel its section."""
    code, result = run({"input": jsonl(tmp_path / "pairs.jsonl", ROWS), "baseline": {"corrected_column": "ocr"}})
    printed, report = capsys.readouterr().out, (tmp_path / "out" / "report.html").read_text()
    assert code == 0
    for metric in METRICS.values():
        assert {metric.name} <= set(result["overall"]["metrics"]) & set(result["comparison"]["differences"])
        assert result["meanings"][metric.name] == metric.meaning
        assert metric.row in printed
        assert f"<bdi>{metric.row}</bdi>" in report
        assert (metric.name in printed) == metric.headline
        assert (f"<bdi>{metric.name}</bdi>" in report) == (metric.column != "raw")
    assert [panel.name for panel in PANELS if f'id="{panel.name}-heading"' in report] == [
        "metrics",
        "published",
        "groups",
        "confusions",
        "comparison",
    ]
