"""The dataset card, and that an output folder loads everywhere as it stands."""

from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import yaml

from ocrray.corpus.about import About
from ocrray.corpus.card import dataset_metadata, write_card
from ocrray.corpus.summary import summarise
from ocrray.records import SCHEMA


def card_of(output: Path, **fields) -> tuple[dict, str]:
    """The card's front matter, parsed, and its body."""
    write_card(output, summary=summarise(output / "data"), about=About(**({"title": "A corpus"} | fields)))
    _, front_matter, body = (output / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(front_matter), body


def test_write_card_front_matter_holds_license_language_and_data_files(corpus, rows) -> None:
    """Hugging Face's tools find what they read."""
    front_matter, _ = card_of(corpus(rows.newspaper(20)), license="cc-by-4.0", languages=["en", "hi"])
    assert front_matter["license"] == "cc-by-4.0"
    assert front_matter["language"] == ["en", "hi"]
    assert front_matter["configs"][0]["data_files"] == [{"split": "train", "path": "data/*.parquet"}]


@pytest.mark.parametrize(("rows", "category"), [(999, "n<1K"), (1_000, "1K<n<10K"), (300_000_000, "100M<n<1B"), (10**12, "n>1T")])
def test_dataset_metadata_size_is_a_category_of_the_hub(rows: int, category: str) -> None:
    """Categories that the hub does not know would not be found there; nor is an empty name of use."""
    metadata = yaml.safe_load(dataset_metadata(About(), rows))
    assert metadata["size_categories"] == category
    assert "pretty_name" not in metadata


def test_write_card_hostile_title_stays_a_title(corpus, rows) -> None:
    """No title breaks out of the front matter or the heading."""
    title = "x: [y\n---\nlicense: mit <script>alert(1)</script> | `z`"
    front_matter, body = card_of(corpus([rows.row("a", "x", "y")]), title=title)
    assert front_matter["pretty_name"] == " ".join(title.split())
    assert front_matter["license"] == "unknown"
    assert "<script>" not in body.replace("\\<script\\>", "")


def test_write_card_with_truth_reports_every_average_and_the_harm(corpus, rows) -> None:
    """Micro, macro and mean of ratios side by side, with what was made worse."""
    output = corpus([rows.row("a", "abcd", "abcx", "abcx"), rows.row("b", "ok" * 10, "ok" * 9 + "no", "ok" * 10)])
    _, body = card_of(output)
    cells = [[cell.strip() for cell in line.strip("| \n").split("|")] for line in body.splitlines() if line.startswith("|")]
    by_name = {row[0].split(":")[0]: row[1:] for row in cells}
    assert by_name["micro"] == ["4.17 %", "8.33 %", "−100.0 %"]
    assert by_name["macro"] == ["12.50 %", "5.00 %", "60.0 %"]
    assert "100.0 %" in by_name["mean of the records' own reductions"]
    assert by_name["corrected"] == ["2", "100.00 %"]


def test_write_card_without_truth_claims_no_quality(corpus, rows) -> None:
    """No truth, no figure."""
    _, body = card_of(corpus(rows.newspaper(20, with_truth=False)))
    assert "CER" not in body


def test_write_card_table_lists_every_column_and_the_users_own(corpus, rows) -> None:
    """The schema table is complete, whatever the user's columns are called."""
    output = corpus([rows.row("a", "x", "y", **{"my | `column`": "z"})])
    _, body = card_of(output)
    table = [line.split("|")[1:-1] for line in body.split("## Columns")[1].splitlines() if line.startswith("| `")]
    assert [cells[0].strip(" `") for cells in table[:-1]] == SCHEMA.names
    assert {len(cells) for cells in table} == {3}


@pytest.fixture
def finished(corpus, rows) -> Path:
    """An output folder with everything in it that a run leaves behind."""
    output = corpus(rows.newspaper(50), files=3)
    write_card(output, summary=summarise(output / "data"), about=About(title="Finished", license="cc0-1.0"))
    (output / "manifest.json").write_text("{}")
    (output / "report.html").write_text("<p>")
    for folder in ("_work_list", "_checkpoint"):
        (output / folder).mkdir()
        pq.write_table(pq.read_table(output / "data/000000.parquet").select(["record_id"]), output / folder / "x.parquet")
    return output


def test_output_folder_loads_with_pyarrow_duckdb_and_pandas(finished: Path) -> None:
    """The usual tools read the data files as they are, nested columns included."""
    table = ds.dataset(finished / "data").to_table()
    assert table.num_rows == 50
    assert table.schema.names == [*SCHEMA.names, "title"]
    edits = duckdb.sql(f"SELECT sum(len(edits)) FROM '{finished}/data/*.parquet'").fetchall()[0][0]
    assert edits == sum(len(row) for row in table["edits"].to_pylist())
    assert len(pd.read_parquet(finished / "data")) == 50


def test_output_folder_loads_with_datasets(finished: Path, tmp_path: Path, monkeypatch) -> None:
    """Hugging Face datasets reads the files by name, and the folder by its card alone, ignoring all else in it."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import load_dataset

    by_name = load_dataset("parquet", data_files=f"{finished}/data/*.parquet", split="train", cache_dir=str(tmp_path / "a"))
    by_card = load_dataset(str(finished), split="train", cache_dir=str(tmp_path / "b"))
    assert by_name.num_rows == by_card.num_rows == 50
    assert by_card.column_names == [*SCHEMA.names, "title"]
