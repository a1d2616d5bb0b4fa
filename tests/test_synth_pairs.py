"""Gathering what workers made: ordered files, what was dropped and why, the card, and a manifest only when all adds up."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ocrray.corpus import pairs
from ocrray.corpus.about import About
from ocrray.corpus.pairs import MADE_SCHEMA, gather
from ocrray.corpus.pairs_card import Origin, read_manifest, write_card, write_manifest
from ocrray.errors import OcrrayError
from ocrray.storage import Location


def row(number: int, **values: Any) -> dict[str, Any]:
    texts = {"ocr": "tbe", "gt": "the", "cer": 1 / 3}
    return {"record_id": f"page-{number:09d}", "kind": "page", "seed": number, "source": "a.txt#0", **texts, **values}


def dropped(number: int, reason: str) -> dict[str, Any]:
    return row(number, ocr=None, gt=None, cer=None, drop_reason=reason, drop_message=f"{number}: <b>bad | page</b>")


@pytest.fixture
def made(tmp_path: Path) -> Location:
    """Seven rows in three files, whose names do not tell their order; two rows are dropped ones."""
    folder = tmp_path / "out" / "_made" / "pages"
    folder.mkdir(parents=True)
    files = {
        "z": [row(0), dropped(1, "unread")],
        "m": [row(2, image="images/x.png"), row(3)],
        "a": [row(4), row(5), dropped(6, "unread")],
    }
    for name, rows in files.items():
        pq.write_table(pa.Table.from_pylist(rows, MADE_SCHEMA), folder / f"{name}.parquet")
    return Location.at(folder)


def test_gather_puts_pairs_in_order_into_files_of_bounded_size(made: Location, tmp_path: Path, monkeypatch) -> None:
    """Whatever files the workers left, the pairs come by their ids; what an interrupted call left behind is gone."""
    monkeypatch.setattr(pairs, "_FILE_ROWS", 2)
    (tmp_path / "out" / "data").mkdir()
    (tmp_path / "out" / "data" / "pages-00009.parquet").write_bytes(b"half a file")

    summary = gather({"pages": made}, Location.at(tmp_path / "out"))

    assert [file.name for file in summary.files] == ["pages-00000.parquet", "pages-00001.parquet", "pages-00002.parquet"]
    tables = [pq.read_table(tmp_path / "out" / "data" / file.name) for file in summary.files]
    assert [number for table in tables for number in table["seed"].to_pylist()] == [0, 2, 3, 4, 5]
    assert {path.name for path in (tmp_path / "out" / "data").iterdir()} == {file.name for file in summary.files}
    assert (tmp_path / "out" / "lines.csv").read_text() == "image,text\nimages/x.png,the\n"
    assert (summary.pairs, summary.dropped, summary.kinds["page"].chars) == (5, {"unread": 2}, 15)
    assert summary.kinds["page"].cer == pytest.approx(1 / 3)


def test_write_manifest_refuses_what_does_not_add_up(made: Location, tmp_path: Path) -> None:
    """A pair that is neither made nor dropped is told, and no manifest says that all is well."""
    out = Location.at(tmp_path / "out")
    summary = gather({"pages": made}, out)
    about = {"summary": summary, "fingerprint": "f", "config": {}, "started": "2026-01-01T00:00:00+00:00"}

    with pytest.raises(OcrrayError, match="8 pairs"):
        write_manifest(out, requested={"pages": 8}, **about)
    assert read_manifest(out) is None

    written = write_manifest(out, requested={"pages": 7}, **about)
    assert read_manifest(out) == written
    assert (written.kinds["page"].pairs, written.dropped) == (5, {"unread": 2})
    out.write_text("manifest.json", "{}")
    with pytest.raises(OcrrayError, match="manifest"):
        read_manifest(out)


def test_write_card_of_hostile_names_is_still_a_card(made: Location, tmp_path: Path) -> None:
    """Names of files and titles are no mark-up, and every reason and bin is in the tables."""
    out = Location.at(tmp_path / "out")
    config = {
        "input": {"paths": ["a|b.txt"]},
        "seed": 7,
        "pages": {"unit": "line", "severity": [0, 1], "max_cer": 0.3},
        "noise": None,
    }
    origin = Origin(passages=3, files=1, unusable=Counter(), recognizer="tesseract hin", noise_origin="", requested={"pages": 7})
    about = About(title="<script>\n# x", license="cc0-1.0", languages=("hi",))

    write_card(out, summary=gather({"pages": made}, out), about=about, config=config, origin=origin)

    card = out.read_text("README.md")
    assert "<script>" not in card.split("---", 2)[2]
    assert "a\\|b.txt" in card
    assert "unread (2)" in card
    assert "| up to 50 % | 5 |" in card
    assert "**Lines**" in card
    assert "noise.json" not in card
