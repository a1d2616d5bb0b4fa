"""Every config that ships is a complete run: it is planned here, and the quick ones are run."""

import json
from pathlib import Path

import pyarrow.dataset
import pytest
import tiny_models
from scan_samples import SCHEMAS, schema_errors

from ocrray.cli import main
from ocrray.config import load
from ocrray.errors import Problems
from ocrray.verbs.restore.config import RestoreConfig
from ocrray.verbs.restore.plan import make_plan

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs" / "restore").glob("*.yaml"))


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in a config are relative to the working directory."""
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_that_ships_is_a_possible_run(path: Path, tmp_path: Path):
    """Its keys, engines and input all check out; a tiny model stands for one that must be trained first, and a CPU for a GPU.

    Images that `synthesize` makes are scans of the demo here.
    """
    overrides = [f"output.path={tmp_path / 'out'}", "workers.correct_gpus=0", "workers.recognize_gpus=0"]
    if path.stem == "gptj_6b_photo_metadata":
        overrides.append(f"extract.model={tiny_models.save(tmp_path / 'model', 'gptj')}")
    if path.stem in ("paligemma_invoices", "got_ocr2_hindi_lines"):
        overrides.append("recognize.adapter=null")
        section = load(path, RestoreConfig).input
        header = {
            section.image_column: str(ROOT / "configs/restore/demo/scans/advertisements.png"),
            section.ground_truth_column: "x",
        }
        (tmp_path / "images.jsonl").write_text(json.dumps(header))
        overrides.append(f"input.paths=[{tmp_path / 'images.jsonl'}]")

    plan = make_plan(load(path, RestoreConfig, overrides), None, Problems(), dry_run=True)

    assert plan.listing
    assert plan.listing.records > 0


@pytest.mark.usefixtures("on_cluster")
def test_config_demo_makes_the_scans_better(tmp_path: Path):
    """The demo's corpus is nearer to the truth than its raw OCR, and no page is worse for it."""
    assert main(["restore", "configs/restore/demo.yaml", "--set", f"output.path={tmp_path / 'out'}"]) == 0

    columns = ["status", "raw_distance", "corrected_distance", "ground_truth_chars"]
    rows = pyarrow.dataset.dataset(tmp_path / "out" / "data").to_table(columns=columns).to_pylist()
    assert len(rows) == 16
    raw, corrected, chars = (sum(row[name] for row in rows) for name in columns[1:])
    assert 0.04 < raw / chars < 0.07
    assert corrected < raw
    assert all(row["corrected_distance"] <= row["raw_distance"] for row in rows)
    files = {kind: [path.read_bytes() for path in (tmp_path / "out" / "export" / kind).rglob("*.*ml")] for kind in SCHEMAS}
    assert {kind: len(of_kind) for kind, of_kind in files.items()} == {"alto": 16, "page": 16}
    assert [error for kind, of_kind in files.items() for data in of_kind for error in schema_errors(kind, data)] == []
    assert len(list((tmp_path / "out" / "export" / "pdf").iterdir())) == 15


@pytest.mark.usefixtures("on_cluster")
def test_config_judge_given_refuses_the_inventions(tmp_path: Path):
    """Of the careless corrections in the demo's table, tails, halves and figures are refused and the rest taken."""
    assert main(["restore", "configs/restore/judge_given.yaml", "--set", f"output.path={tmp_path / 'out'}"]) == 0

    columns = ["ground_truth", "corrected_text", "theirs", "verdicts", "raw_distance", "corrected_distance"]
    rows = pyarrow.dataset.dataset(tmp_path / "out" / "data").to_table(columns=columns).to_pylist()
    invented = [row for row in rows if abs(len(row["theirs"]) - len(row["ground_truth"])) > 20]
    assert len(invented) >= 10
    assert all(any(not verdict["accepted"] for verdict in row["verdicts"]) for row in invented)
    assert all(row["corrected_distance"] <= row["raw_distance"] for row in invented)
    assert sum(row["corrected_distance"] for row in rows) < sum(row["raw_distance"] for row in rows)

    settings = ["--set", f"input.run={tmp_path / 'out'}", "--set", f"output.path={tmp_path / 'evaluation'}"]
    assert main(["evaluate", "configs/evaluate/guarded.yaml", *settings]) == 0
    result = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())
    assert result["overall"]["sums"]["corrected_distance"] == sum(row["corrected_distance"] for row in rows)
    assert result["comparison"]["differences"]["micro_corrected_cer"]["high"] < 0


def test_config_evaluate_given_shows_the_harm(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """As released, the demo's careless corrections double the errors though most records improve."""
    assert main(["evaluate", "configs/evaluate/given.yaml", "--set", f"output.path={tmp_path}"]) == 0

    figures = json.loads((tmp_path / "evaluation.json").read_text())["overall"]["metrics"]
    assert figures["micro_cer_reduction"]["value"] < -1
    assert figures["improved_frac"]["value"] > 0.7
    assert "made worse" in capsys.readouterr().out


def test_config_evaluate_read_measures_answers_alone(tmp_path: Path):
    """The demo's lines as they were read: the error rates of that text, and nothing about a correction."""
    assert main(["evaluate", "configs/evaluate/read.yaml", "--set", f"output.path={tmp_path}"]) == 0
    metrics = json.loads((tmp_path / "evaluation.json").read_text())["overall"]["metrics"]
    assert metrics["micro_corrected_cer"]["value"] == pytest.approx(0.071, abs=0.001)
    assert "micro_cer_reduction" not in metrics
