"""The verb `restore` end to end, on real Ray, real Tesseract and real Parquet."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile
import pyarrow.dataset
import pytest
import yaml
from PIL import Image, ImageDraw, ImageFont

from ocrray.cli import main
from ocrray.corpus.manifest import read_manifest
from ocrray.records import SCHEMA

pytestmark = pytest.mark.usefixtures("on_cluster")

LINES = [
    {"id": "a", "ocr": "tbe cat", "gt": "the cat", "year": 1871},
    {"id": "b", "ocr": "a dog", "gt": "a dog", "year": 1872},
    {"id": "c", "ocr": "in 1871", "gt": "in 1871", "year": 1873},
    {"id": "c", "ocr": "again", "gt": "again", "year": 1874},
    {"id": "d", "ocr": None, "gt": "x", "year": 1875},
]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[int, list[dict[str, Any]]]]:
    """Runs `ocrray restore` on a config made of these keys; returns the exit code and the corpus by id."""

    def restore(config: dict[str, Any], *arguments: str) -> tuple[int, list[dict[str, Any]]]:
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump({"output": {"path": str(tmp_path / "out")}, **config}))
        code = main(["restore", str(path), *arguments])
        data = tmp_path / "out" / "data"
        rows = pyarrow.dataset.dataset(data).to_table().to_pylist() if data.exists() else []
        return code, sorted(rows, key=lambda row: row["record_id"])

    return restore


@pytest.fixture
def table(tmp_path: Path) -> dict[str, Any]:
    """A config that corrects LINES by literal replacement."""
    path = tmp_path / "lines.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in LINES))
    columns = {"id_column": "id", "text_column": "ocr", "ground_truth_column": "gt", "passthrough": ["year"]}
    return {
        "input": {"paths": [str(path)], **columns},
        "recognize": None,
        "correct": {"engine": "fake", "replace": {"tbe": "the", "1871": "1872"}},
        "max_failed_frac": 0.5,
    }


def test_restore_table_every_row_is_in_the_corpus_with_its_status(run, table, tmp_path: Path):
    """Rows in = rows out: corrected, unchanged, refused, duplicate and empty ones are all told."""
    code, rows = run(table)

    assert code == 0
    assert {row["record_id"]: row["status"] for row in rows} == {
        "a": "corrected",
        "b": "unchanged",
        "c": "kept_raw",
        "c~2": "failed",
        "d": "failed",
    }
    assert [row["corrected_text"] for row in rows] == ["the cat", "a dog", "in 1871", None, None]
    assert (rows[0]["raw_distance"], rows[0]["corrected_distance"], rows[0]["corrector"]) == (1, 0, "fake")
    assert list(rows[0]) == [*SCHEMA.names, "year"]
    manifest = read_manifest(tmp_path / "out")
    assert manifest.counts.model_dump() == {"listed": 5, "corrected": 1, "unchanged": 1, "kept_raw": 1, "failed": 2}
    assert (tmp_path / "out" / "report.html").exists()
    assert (tmp_path / "out" / "README.md").exists()


def test_restore_resume_is_for_the_same_run_only(run, table, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A finished output is left as it is by the same command, also with another input, and by other workers; another config is
    refused."""
    code, rows = run(table, "--set", "max_failed_frac=0.3")
    assert (code, len(rows)) == (1, 5)  # more failed than allowed, and nothing is thrown away
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")}

    assert run(table)[0] == 0
    assert run(table, "--set", "workers.correct=1")[0] == 0
    capsys.readouterr()
    for change in ("correct.replace={}", "guard=null", "input.passthrough=[]"):
        assert run(table, "--set", change)[0] == 2
        assert change.partition("=")[0] in capsys.readouterr().err
    (tmp_path / "lines.jsonl").write_text(json.dumps({"id": "z", "ocr": "new", "gt": "new", "year": 1}))
    assert run(table)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")} == before

    capsys.readouterr()
    for path in (tmp_path / "out" / "data").iterdir():  # its table comes from the manifest: no data is read
        path.write_bytes(bytes(path.stat().st_size))
    assert main(["restore", str(tmp_path / "config.yaml")]) == 0
    assert re.search(r"records +5 ", capsys.readouterr().out)


def test_restore_limit_takes_the_first_records(run, table):
    """`--limit N` restores N records."""
    code, rows = run(table, "--limit", "2")

    assert (code, [row["record_id"] for row in rows]) == (0, ["a", "b"])


def test_restore_given_column_is_judged(run, table, tmp_path: Path):
    """Corrections made elsewhere pass the same guard, and their column needs no naming twice."""
    lines = [{**line, "theirs": (line["ocr"] or "").replace("1871", "1872").replace("tbe", "the")} for line in LINES]
    (tmp_path / "lines.jsonl").write_text("\n".join(json.dumps(line) for line in lines))

    code, rows = run({**table, "correct": {"engine": "given", "column": "theirs"}})

    assert (code, [row["status"] for row in rows]) == (0, ["corrected", "unchanged", "kept_raw", "failed", "failed"])
    assert rows[0]["theirs"] == "the cat"


def test_restore_broken_engine_ends_the_run_and_says_why(run, table, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """With an engine that cannot work the run stops at once, in one line, without a manifest."""
    code, _ = run({**table, "correct": {"engine": "fake", "fail_on": "dog"}})

    error = capsys.readouterr().err
    assert code == 2
    assert "dog" in error
    assert "Traceback" not in error
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_restore_dry_run_starts_nothing(run, table, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A dry run prints the plan and leaves no trace."""
    code, _ = run(table, "--dry-run")

    assert code == 0
    assert "5" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [(), ("--dry-run",)])
def test_restore_several_problems_are_all_named_at_once(run, tmp_path: Path, arguments, capsys: pytest.CaptureFixture[str]):
    """A missing path, a missing model and a foreign output are told together, with exit code 2."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.docx").write_text("mine")
    config = {
        "input": {"paths": [str(tmp_path / "nowhere")]},
        "correct": {"engine": "tagger", "model": str(tmp_path / "no-model")},
    }

    code, _ = run(config, *arguments)

    error = capsys.readouterr().err
    assert code == 2
    assert all(part in error for part in ("nowhere", "no-model", "thesis.docx"))
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name != ".lock"] == ["thesis.docx"]


def page(text: str) -> Image.Image:
    image = Image.new("L", (1000, 240), 255)
    ImageDraw.Draw(image).multiline_text((40, 40), text, fill=0, font=ImageFont.load_default(40), spacing=20)
    return image


def test_restore_scans_are_recognized_and_a_bad_one_is_told(run, tmp_path: Path):
    """Scans become text with lines; a blank one has none, a broken one is a failed record beside them."""
    scans = tmp_path / "scans"
    scans.mkdir()
    page("The ship arrived\nat Leith on Tuesday").save(scans / "a.png", dpi=(300, 300))
    (scans / "a.gt.txt").write_text("The ship arrived\nat Leith on Tuesday")
    page("First").save(scans / "b.tif", save_all=True, append_images=[page("Second")])
    page("").save(scans / "c.png")
    (scans / "d.png").write_bytes((scans / "a.png").read_bytes()[:200])

    code, rows = run({"input": {"paths": [str(scans)]}, "correct": None, "max_failed_frac": 0.2})

    assert code == 0
    texts = {Path(row["record_id"]).name: (row["raw_text"], row["error_kind"]) for row in rows}
    assert texts == {
        "a.png#0": ("The ship arrived\nat Leith on Tuesday", None),
        "b.tif#0": ("First", None),
        "b.tif#1": ("Second", None),
        "c.png#0": ("", None),
        "d.png#0": (None, "truncated"),
    }
    assert (rows[0]["raw_distance"], rows[0]["status"]) == (0, "unchanged")
    assert [word["text"] for word in rows[0]["lines"][1]["words"]] == ["at", "Leith", "on", "Tuesday"]
    assert rows[0]["recognizer"].startswith("tesseract eng 5")


def test_restore_output_below_a_file_is_refused_even_in_a_dry_run(run, table, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """An output that cannot be written is told before anything starts."""
    (tmp_path / "out").write_text("a file")

    assert run(table, "--dry-run", "--set", f"output.path={tmp_path / 'out' / 'corpus'}")[0] == 2
    assert "cannot be written" in capsys.readouterr().err


def test_restore_finished_run_is_exported_when_asked(run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch):
    """`export` is no part of the fingerprint: a finished run writes its documents later, once, and says what failed.

    As many documents are written on Ray, so are these.
    """
    monkeypatch.setattr("ocrray.verbs.restore.export._MAX_PAGES_HERE", 1)
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "a.xml").write_text(hostile.ALTO.format(hostile.ALTO_LINE.format("tbe")))
    (documents / "b.xml").write_text("<alto>")
    correct = {"engine": "fake", "replace": {"tbe": "the"}}
    config = {"input": {"paths": [str(documents)]}, "recognize": None, "correct": correct, "max_failed_frac": 0.5}
    assert run(config)[0] == 0
    assert not (tmp_path / "out" / "export").exists()

    assert run(config, "--set", "export={}")[0] == 0

    exported = tmp_path / "out" / "export" / "a.xml"
    assert 'CONTENT="the"' in exported.read_text()
    assert "1 corrected, 0 unchanged, 1 failed" in capsys.readouterr().out
    before = exported.stat().st_mtime_ns
    assert run(config, "--set", "export={}")[0] == 0
    assert exported.stat().st_mtime_ns == before
    assert run(config, "--set", "export={}", "--set", "max_failed_frac=0.1")[0] == 1


def test_restore_export_without_documents_is_refused(run, table, capsys: pytest.CaptureFixture[str]):
    """A table holds nothing to write corrections back into, which is told before anything starts."""
    assert run(table, "--dry-run", "--set", "export={}")[0] == 2
    assert "export: the input holds no ALTO" in capsys.readouterr().err


def test_restore_export_of_scans_needs_the_formats_of_their_files(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """`export: {}` of scans alone is refused with the key that is missing; with it the plan says what is written."""
    Image.new("L", (300, 200), 255).save(tmp_path / "page.png")
    config = {"input": {"paths": [str(tmp_path / "page.png")]}, "recognize": {"engine": "tesseract"}, "correct": None}

    assert run(config, "--dry-run", "--set", "export={}")[0] == 2
    assert "set export.scans" in capsys.readouterr().err
    assert run(config, "--dry-run", "--set", "export={scans: [alto, pdf]}")[0] == 0
    assert "scans as alto, pdf" in capsys.readouterr().out


def test_restore_output_inside_the_input_is_not_read(run, tmp_path: Path):
    """A folder of texts whose corpus is written below it gives the same corpus again, when the run goes on or is repeated."""
    folder = tmp_path / "what? [1] ä 50%41"
    folder.mkdir()
    (folder / "a.txt").write_text("tbe cat\n")
    config = {
        "input": {"paths": [str(folder)]},
        "recognize": None,
        "correct": {"engine": "fake", "replace": {"tbe": "the"}},
        "output": {"path": str(folder / "out?")},
    }
    assert run(config)[0] == 0
    (folder / "out?" / "manifest.json").unlink()
    assert run(config)[0] == 0
    rows = pyarrow.dataset.dataset(folder / "out?" / "data").to_table().to_pylist()
    assert [row["corrected_text"] for row in rows] == ["the cat"]


@pytest.mark.parametrize("path", ["out", "out/data", "out/data/*.parquet", "./in/../out", "link/data"])
def test_restore_input_inside_the_output_is_refused(run, table, path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """It would be read while it is written, and be another input the next time."""
    (tmp_path / "out" / "data").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "out")
    table["input"]["paths"] = [f"{tmp_path}/{path}"]
    assert run(table)[0] == 2
    assert f"{path} lies in output.path" in capsys.readouterr().err


def test_restore_later_table_without_a_column_ends_the_run_and_binds_nothing(run, table, tmp_path: Path, capsys):
    """A table that lacks a column is found while listing; the config may then be another for the same output."""
    (tmp_path / "more.jsonl").write_text('{"id": "z", "text": "no such column"}')
    paths = [*table["input"]["paths"], str(tmp_path / "more.jsonl")]

    assert run({**table, "input": {**table["input"], "paths": paths}})[0] == 2

    error = capsys.readouterr().err
    assert "more.jsonl: no column ocr" in error
    assert "Traceback" not in error
    assert run(table)[0] == 0
