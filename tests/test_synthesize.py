"""The verb `synthesize` end to end, on real Ray, real type, real Tesseract and real Parquet."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest
import yaml
from PIL import Image

from ocrray.cli import main
from ocrray.config import load
from ocrray.corpus.pairs import SCHEMA
from ocrray.errors import Problems
from ocrray.runtime.synthesis import record_seed
from ocrray.synth.noise import NoiseModel
from ocrray.verbs.synthesize.plan import SynthesizeConfig, make_plan

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "configs" / "synthesize" / "demo.yaml"
PROSE = "The magistrates then read the charge, and the prisoner declined to say anything further in the matter. " * 16


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in a config are relative to the working directory."""
    monkeypatch.chdir(ROOT)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return pyarrow.dataset.dataset(folder / "data").to_table().sort_by("record_id").to_pylist()


def made_from_demo(out: Path, *settings: str) -> list[dict[str, Any]]:
    """The pairs that the demo's config makes in `out` with these settings."""
    arguments = [part for setting in (f"output.path={out}", *settings) for part in ("--set", setting)]
    assert main(["synthesize", str(DEMO), *arguments]) == 0
    return rows_of(out)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., int]:
    """Runs `ocrray synthesize` on a config made of these keys, into `tmp_path/out`; returns the exit code."""

    def synthesize(config: dict[str, Any], *arguments: str) -> int:
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump({"output": {"path": str(tmp_path / "out")}, **config}))
        return main(["synthesize", str(path), *arguments])

    return synthesize


@pytest.fixture
def prose(tmp_path: Path) -> dict[str, list[str]]:
    """The `input` of a config: some English, and as much text that no font can set."""
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text(PROSE, encoding="utf-8")
    (tmp_path / "text" / "b.txt").write_text("漢字 " * 700, encoding="utf-8")
    return {"paths": [str(tmp_path / "text")]}


@pytest.mark.parametrize(
    "path",
    [
        DEMO,
        DEMO.with_name("corrupted_by_model.yaml"),
        pytest.param(DEMO.with_name("ocr_pairs.yaml"), marks=pytest.mark.shared),
        pytest.param(DEMO.with_name("guard_pages.yaml"), marks=pytest.mark.shared),
        pytest.param(DEMO.with_name("hindi_lines.yaml"), marks=pytest.mark.shared),
        *(DEMO.with_name(f"{name}.yaml") for name in ("devanagari_lines", "documents", "invoices", "slips")),
        *(DEMO.with_name(f"tiny_reader_{name}.yaml") for name in ("devanagari_lines", "entries")),
        *(
            pytest.param(DEMO.with_name(f"tiny_reader_{name}.yaml"), marks=(pytest.mark.shared, pytest.mark.slow))
            for name in ("lines", "test")
        ),
        pytest.param(DEMO.with_name("printed_lines.yaml"), marks=(pytest.mark.shared, pytest.mark.slow)),
    ],
    ids=lambda path: path.stem,
)
def test_config_that_ships_is_a_possible_run(path: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Its keys, fonts, languages and input all check out."""
    config = load(path, SynthesizeConfig, [f"output.path={tmp_path / 'out'}"])
    if config.input and any(name.startswith("../shared") for name in config.input.paths):
        request.getfixturevalue("shared_data")
    plan = make_plan(config, None, Problems(), dry_run=True)

    assert plan.passages > 1 or not config.input
    assert min(plan.counts.values()) > 0
    assert {"pages", "corrupt", "lines", "documents"} & set(plan.counts)


def test_every_config_of_synthesize_is_tested() -> None:
    """The list above is complete."""
    assert {path.stem for path in DEMO.parent.glob("*.yaml")} == {
        "demo",
        "corrupted_by_model",
        "ocr_pairs",
        "guard_pages",
        "hindi_lines",
        "devanagari_lines",
        "tiny_reader_lines",
        "tiny_reader_test",
        "tiny_reader_entries",
        "tiny_reader_devanagari_lines",
        "printed_lines",
        "documents",
        "invoices",
        "slips",
    }


@pytest.mark.usefixtures("on_cluster")
def test_synthesize_demo_gives_the_pairs_asked_for(tmp_path: Path) -> None:
    """Pages, noise and clean pairs add up to what was asked for, scans are kept, and the card and manifest say so."""
    out = tmp_path / "out"
    rows = made_from_demo(out, "pages.count=3", "noise.count=40", "pages.keep_images=true")

    assert pyarrow.dataset.dataset(out / "data").schema == SCHEMA
    kinds = {kind: [row for row in rows if row["kind"] == kind] for kind in ("page", "noise", "clean")}
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["requested"] == {"pages": 3, "noise": 40}
    assert {kind: entry["pairs"] for kind, entry in manifest["kinds"].items()} == {kind: len(kinds[kind]) for kind in kinds}
    assert len(rows) + sum(manifest["dropped"].values()) == 43
    assert all(row["ocr"] == row["gt"] and row["cer"] == 0 for row in kinds["clean"])
    assert 0.01 < sum(row["cer"] for row in kinds["noise"]) / len(kinds["noise"]) < 0.2
    assert all(row["source"].startswith("configs/restore/demo/lines.jsonl#") for row in rows)
    with (out / "lines.csv").open(newline="", encoding="utf-8") as file:
        assert {row["image"]: row["text"] for row in csv.DictReader(file)} == {row["image"]: row["gt"] for row in kinds["page"]}
    card = (out / "README.md").read_text()
    for row in kinds["page"]:
        assert row["font"].replace("_", "\\_") in card
        with Image.open(out / row["image"]) as image:
            assert image.width > 300
    assert {path.name for path in out.iterdir()} == {
        *("README.md", "_run.json", ".lock", "data", "images", "lines.csv", "manifest.json", "noise.json")
    }


@pytest.mark.slow
@pytest.mark.usefixtures("on_cluster")
def test_synthesize_makes_the_same_pairs_whatever_the_workers(tmp_path: Path) -> None:
    """One process or three, block by block in any order: the same rows, and each once."""
    NoiseModel.fit([(PROSE, PROSE.replace("ea", "ca"))]).save(tmp_path / "noise.json")
    common = ("pages=null", f"noise.model={tmp_path / 'noise.json'}", "noise.count=200")

    one, three = (made_from_demo(tmp_path / setting, setting, *common) for setting in ("workers=1", "workers=3"))

    assert one == three
    assert [row["record_id"] for row in one] == [f"noise-{number:09d}" for number in range(200)]

    common = ("pages=null", "noise=null", "lines.count=200", "lines.chars=[1,12]")
    one, three = (made_from_demo(tmp_path / f"lines_{setting}", setting, *common) for setting in ("workers=1", "workers=3"))
    assert one == three
    assert len({row["image"]["bytes"] for row in one}) == 200


@pytest.mark.usefixtures("on_cluster")
def test_synthesize_lines_makes_a_set_that_is_finished_once(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both parts, from the first worker to the card; a second call starts nothing and prints the same counts."""
    config = {"lines": {"count": 40, "chars": [1, 8], "height_px": 32, "validation_frac": 0.25}}
    assert run(config) == 0
    assert "30 images" in capsys.readouterr().out
    rows = rows_of(tmp_path / "out")
    assert [row["record_id"] for row in rows] == [f"line-{number:09d}" for number in range(40)]
    assert len({row["image"]["bytes"] for row in rows}) == 40
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["images"] == {"train": 30, "validation": 10}
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")}
    assert {path.name for path in written} == {"train-00000.parquet", "validation-00000.parquet"}
    assert run(config) == 0
    assert "30 images" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"README.md", "_run.json", ".lock", "data", "manifest.json"}


def test_record_seed_is_one_of_its_own_for_every_record_and_run() -> None:
    """No two records share their random numbers, and a run with another seed has others."""
    seeds = [record_seed(seed, f"noise-{number:09d}") for seed in (1, 2, 11) for number in range(1000)]
    assert len(set(seeds)) == 3000
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.usefixtures("on_cluster")
def test_synthesize_on_pairs_of_ones_own_learns_their_noise_and_counts_what_it_drops(run, prose, tmp_path: Path) -> None:
    """The noise model is fitted on the given pairs; pages that no font can set are counted; a second call changes nothing."""
    (tmp_path / "pairs.jsonl").write_text(json.dumps({"ocr": PROSE.replace("ea", "ca"), "gt": PROSE}) + "\n")
    config = {
        "input": prose,
        "pages": {"count": 4, "severity": [0, 0.1]},
        "noise": {"count": 10, "fit": {"paths": [str(tmp_path / "pairs.jsonl")]}, "clean_frac": 0},
    }

    assert run(config) == 0

    out = tmp_path / "out"
    manifest = (out / "manifest.json").read_text()
    assert json.loads(manifest)["dropped"] == {"missing_glyph": 2}
    assert "漢" in json.loads(manifest)["drop_examples"]["missing_glyph"]
    assert [row["kind"] for row in rows_of(out)] == ["noise"] * 10 + ["page"] * 2
    assert NoiseModel.load(out / "noise.json").groups["fitted"]["ea"] == {"ca": 1.0}
    assert run(config) == 0
    assert (out / "manifest.json").read_text() == manifest
    assert run(config, "--set", "seed=2") == 2


def test_synthesize_dry_run_starts_nothing(run, prose, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run prints the plan and leaves no trace; a limit is one for pages and for noise."""
    assert run({"input": prose, "pages": {"count": 9}, "noise": {"count": 1234}}, "--dry-run", "--limit", "7") == 0

    printed = capsys.readouterr().out
    assert "1,234" not in printed
    assert "passages" in printed
    assert not (tmp_path / "out").exists()


def test_synthesize_several_problems_are_all_named_at_once(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Missing text, language data, pairs and a foreign output are told together, by the keys of this config."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.docx").write_text("mine")
    config = {
        "input": {"paths": [str(tmp_path / "nowhere")]},
        "pages": {"count": 1, "languages": ["zzz"]},
        "noise": {"count": 1, "fit": {"paths": [str(tmp_path / "no-pairs.jsonl")]}},
    }

    assert run(config) == 2

    error = capsys.readouterr().err
    assert all(part in error for part in ("nowhere", "thesis.docx", "pages.languages", "noise.fit.paths", "no-pairs"))


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({}, "pages, noise"),
        ({"noise": {"count": 1}}, "noise.model"),
        ({"noise": {"count": 1, "model": "/nowhere/noise.json"}}, "/nowhere/noise.json"),
        ({"noise": {"count": 1, "model": "x", "fit": {"paths": ["x"]}}}, "either"),
        ({"pages": {"count": 1, "chars": [900, 100]}}, "pages.chars"),
        ({"pages": {"count": 1, "severity": [0.5, 2]}}, "pages.severity"),
        ({"pages": {"count": 1, "colour": "red"}}, "pages.colour"),
        ({"pages": {"count": 1}, "input": {"paths": []}}, "input.paths"),
    ],
)
def test_synthesize_config_that_cannot_run_is_refused(run, prose, config, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says which key is wrong."""
    assert run({"input": prose, **config}) == 2
    assert named in capsys.readouterr().err


def test_synthesize_input_without_text_is_refused(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An input in which there is nothing to read is told before anything starts."""
    (tmp_path / "empty.jsonl").write_text('{"text": ""}\n')

    assert run({"input": {"paths": [str(tmp_path / "empty.jsonl")]}, "pages": {"count": 1}}) == 2
    assert "no text" in capsys.readouterr().err
