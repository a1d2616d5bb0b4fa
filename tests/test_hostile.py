"""One run over more than a hundred bad and odd files: every record is told, every good one restored, nothing hangs or crashes."""

import json
from pathlib import Path
from typing import Any

import hostile
import pyarrow.dataset
import pytest
import yaml

from ocrray.cli import main
from ocrray.corpus.manifest import read_manifest
from ocrray.records import STATUSES

pytestmark = pytest.mark.usefixtures("on_cluster")


def corpus(folder: Path) -> list[dict[str, Any]]:
    columns = ["record_id", "status", "raw_text", "corrected_text", "error_kind", "error", "failed_stage"]
    return pyarrow.dataset.dataset(folder / "data").to_table(columns=columns).to_pylist()


def restored(folder: Path, config: dict[str, Any]) -> list[dict[str, Any]]:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"output": {"path": str(folder / "out")}, "max_failed_frac": 1.0, **config}))
    assert main(["restore", str(path)]) == 0
    rows = corpus(folder / "out")
    assert read_manifest(folder / "out").counts.listed == len(rows)
    return rows


def test_restore_hostile_scans_and_documents_every_one_is_explained(tmp_path: Path):
    """Bombs, cuts, lies, loops and locks among good pages: each bad file is one failed record of a kind a person understands."""
    expected = hostile.write(tmp_path / "in", hostile.images) | hostile.write(tmp_path / "in", hostile.documents)
    assert sum(kind != hostile.GOOD for kind in expected.values()) >= 60

    rows = {
        Path(row["record_id"].rpartition("#")[0]).name: row
        for row in restored(
            tmp_path,
            {
                "input": {"paths": [str(tmp_path / "in")]},
                "recognize": {"engine": "tesseract", "timeout_s": 20},
                "correct": {"engine": "fake", "replace": {"Good": "Better"}},
                "guard": None,  # which would rightly doubt it
            },
        )
    }

    assert {name: row["error_kind"] or hostile.GOOD for name, row in rows.items()} == expected
    assert all(row["status"] in STATUSES for row in rows.values())
    assert all(row["corrected_text"] is not None for row in rows.values() if row["status"] != "failed")
    assert all(name in row["error"] and "\n" not in row["error"] for name, row in rows.items() if row["status"] == "failed")
    assert rows["good.tif"]["corrected_text"] == "Better page"
    assert rows["utf-16.alto.xml"]["corrected_text"] == "Better"
    assert "root:" not in str(rows)


def test_restore_hostile_rows_every_one_is_explained(tmp_path: Path):
    """Bad JSON, wrong types, duplicate ids, control characters, a 100,000-character line and broken UTF-8 in one table."""
    long_line = "word " * 20_000
    lines = [
        json.dumps({"id": "good", "ocr": "Good"}).encode(),
        json.dumps({"id": "good", "ocr": "the same id"}).encode(),
        json.dumps({"id": "nul", "ocr": "a\0b\x07c\r\nd"}).encode(),
        json.dumps({"id": "long", "ocr": long_line}).encode(),
        json.dumps({"id": "null", "ocr": None}).encode(),
        json.dumps({"id": "number", "ocr": 17}).encode(),
        json.dumps({"id": "list", "ocr": ["a"]}).encode(),
        json.dumps({"id": "no text"}).encode(),
        json.dumps({"id": "surrogate", "ocr": "x\ud800y"}).encode(),
        b'{"id": "broken", "ocr": "x',
        b"[1, 2]",
        b'{"id": "latin-1", "ocr": "caf\xe9"}',
        json.dumps({"id": "emoji", "ocr": "👩‍👩‍👧‍👦 नमस्ते 漢字"}).encode(),
        json.dumps({"id": "markup", "ocr": "<script>alert(1)</script>"}).encode(),
    ]
    (tmp_path / "lines.jsonl").write_bytes(b"\n".join(lines))

    rows = restored(
        tmp_path,
        {
            "input": {"paths": [str(tmp_path / "lines.jsonl")], "id_column": "id", "text_column": "ocr"},
            "recognize": None,
            "correct": {"engine": "fake", "replace": {"Good": "Better"}, "max_chars": 400},
            "guard": None,  # which would rightly doubt it
        },
    )

    assert len(rows) == len(lines)
    by_id = {row["record_id"]: row for row in rows}
    texts = {name: by_id[name]["corrected_text"] for name in ("good", "nul", "long", "emoji", "markup", "surrogate")}
    assert texts == {
        "good": "Better",
        "nul": "a\ufffdb\ufffdc\nd",
        "long": long_line,
        "emoji": "👩‍👩‍👧‍👦 नमस्ते 漢字",
        "markup": "<script>alert(1)</script>",
        "surrogate": "x\ufffdy",
    }
    assert by_id["good~2"]["error_kind"] == "duplicate_id"
    assert sum(row["status"] == "failed" for row in rows) == 8
    assert all(row["error_kind"] and row["error"] for row in rows if row["status"] == "failed")
