"""Runs over the real data beside the checkout: every format sample, and page scans against Tesseract run directly."""

import csv
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest
import yaml
from PIL import Image

from ocrray.cli import main
from ocrray.corpus.manifest import read_manifest
from ocrray.text.metrics import distance
from ocrray.text.normalise import for_scoring

pytestmark = [pytest.mark.shared, pytest.mark.usefixtures("on_cluster")]


def restored(folder: Path, config: dict[str, Any]) -> list[dict[str, Any]]:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"output": {"path": str(folder / "out")}, "max_failed_frac": 1.0, **config}))
    assert main(["restore", str(path)]) == 0
    return pyarrow.dataset.dataset(folder / "out" / "data").to_table().to_pylist()


def test_restore_every_real_ocr_file_is_read(shared_data: Path, tmp_path: Path):
    """All ALTO, PAGE, hOCR, METS and text samples in one run: each page is a row, and only missing pages fail."""
    rows = restored(
        tmp_path,
        {
            "input": {"paths": [str(shared_data / "formats")]},
            "recognize": None,
            "correct": {"engine": "fake", "max_chars": 2000},
        },
    )

    assert read_manifest(tmp_path / "out").counts.listed == len(rows) > 150
    failures = Counter(row["error_kind"] for row in rows if row["status"] == "failed")
    assert set(failures) <= {"missing_page", "unsafe_path", "missing", "bad_encoding", "invalid_xml"}, failures
    by_kind = Counter(row["source_kind"] for row in rows if row["status"] != "failed")
    assert by_kind["alto"] >= 40
    assert by_kind["page"] >= 60
    assert by_kind["hocr"] == 6
    assert all(row["corrected_text"] == row["raw_text"] for row in rows if row["status"] != "failed")


def test_restore_real_pairs_with_the_tagger_harms_little(shared_data: Path, tmp_path: Path):
    """Two hundred real newspaper lines through the corrector that ships: the corpus gets no worse, and few lines do."""
    lines = (shared_data / "pairs" / "bln600_train.jsonl").read_text().splitlines()[:200]
    (tmp_path / "lines.jsonl").write_text("\n".join(lines))

    restored(
        tmp_path,
        {
            "input": {
                "paths": [str(tmp_path / "lines.jsonl")],
                "id_column": "id",
                "text_column": "ocr",
                "ground_truth_column": "gt",
                "passthrough": ["doc"],
            },
            "recognize": None,
        },
    )

    columns = ["raw_distance", "corrected_distance", "corrector"]
    rows = pyarrow.dataset.dataset(tmp_path / "out" / "data").to_table(columns=columns).to_pylist()
    assert {row["corrector"] for row in rows} == {"tagger"}
    assert sum(row["corrected_distance"] for row in rows) <= sum(row["raw_distance"] for row in rows)
    assert sum(row["corrected_distance"] > row["raw_distance"] for row in rows) <= 0.04 * len(rows)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_restore_real_scans_read_as_tesseract_reads_them(shared_data: Path, tmp_path: Path):
    """Forty book pages, named by a table: as many rows as pages, and the CER of Tesseract run directly, within 0.1 point."""
    from tesserocr import PyTessBaseAPI

    pages = [json.loads(line) for line in (shared_data / "pages" / "pages.jsonl").read_text().splitlines()][:40]
    with (tmp_path / "pages.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "image", "gt"])
        writer.writerows([page["id"], page["image"], page["gt"]] for page in pages)
    shutil.copytree(shared_data / "pages" / "images", tmp_path / "images")  # a table names files below its own folder only

    columns = {"id_column": "id", "image_column": "image", "ground_truth_column": "gt"}
    rows = restored(tmp_path, {"input": {"paths": [str(tmp_path / "pages.csv")], **columns}, "correct": None})

    assert sorted(row["record_id"] for row in rows) == sorted(page["id"] for page in pages)
    ours = sum(row["raw_distance"] for row in rows) / sum(row["ground_truth_chars"] for row in rows)
    wrong = 0
    with PyTessBaseAPI(path="/usr/share/tesseract-ocr/5/tessdata", lang="eng") as engine:
        for page in pages:
            engine.SetImage(Image.open(shared_data / "pages" / page["image"]))
            wrong += distance(engine.GetUTF8Text(), page["gt"])
    direct = wrong / sum(len(for_scoring(page["gt"])) for page in pages)
    print(f"{len(rows)} pages: CER {ours:.3%} through restore, {direct:.3%} by Tesseract directly")
    assert abs(ours - direct) < 0.001
