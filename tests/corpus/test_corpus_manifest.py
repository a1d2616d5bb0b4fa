"""The manifest stands for a whole corpus, or is not written."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ocrray.corpus.manifest import Manifest, data_files, missing_files, read_manifest, write_manifest
from ocrray.corpus.summary import summarise
from ocrray.errors import OcrrayError
from ocrray.storage import Location

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def write(output: Path, listed: int) -> Manifest:
    """Summarise and write, as a run does at its end."""
    settings = {"input": {"paths": ["a/*.tif"]}, "guard": None}
    summary = summarise(output / "data")
    files = data_files(Location.at(output / "data"))
    about = {"fingerprint": "f" * 64, "config": settings, "started": STARTED, "timings": {"listing": 1.23456}}
    return write_manifest(output, summary=summary, files=files, listed=listed, **about)


def test_write_manifest_every_record_accounted_for_reads_back_the_same(corpus, rows) -> None:
    """What was written is what is read: counts, files, config, versions."""
    output = corpus(mixed := rows.newspaper(60), files=2)
    written = write(output, listed=60)
    assert read_manifest(output) == read_manifest(str(output)) == written
    assert written.counts.failed == sum(row["status"] == "failed" for row in mixed)
    assert [(output / file.path).stat().st_size for file in written.data_files] == [f.size_bytes for f in written.data_files]
    assert written.started == STARTED < written.finished
    assert {"python", "pyarrow", "ray"} <= set(written.libraries)
    assert json.loads((output / "manifest.json").read_text())["config"]["guard"] is None


def test_write_manifest_object_store_uri_equals_local_path(corpus, rows) -> None:
    """A URI goes through pyarrow's filesystems, as s3:// does."""
    output = corpus([rows.row("a", "x", "y")])
    write(output, listed=1)
    assert read_manifest(output.as_uri()) == read_manifest(output)
    assert summarise((output / "data").as_uri()).records == 1


@pytest.mark.parametrize("listed", [2, 4])
def test_write_manifest_records_missing_or_too_many_refuses(corpus, rows, listed: int) -> None:
    """Read = corrected + unchanged + kept_raw + failed, or there is no manifest."""
    output = corpus([rows.row("a", "x", "y"), rows.row("b", "x", "x"), rows.failure("c")])
    with pytest.raises(OcrrayError, match=rf"{listed} records were listed, but 3 were written .*1 failed"):
        write(output, listed)
    assert [path.name for path in output.iterdir()] == ["data"]


def test_write_manifest_statistics_are_those_of_the_corpus(corpus, rows) -> None:
    """All that the final table and the report need can be read from the manifest, without data."""
    output = corpus(rows.newspaper(60), files=2)
    write(output, listed=60)
    text = (output / "manifest.json").read_text()
    read = read_manifest(output)
    assert read.summary.to_json() == summarise(output / "data").to_json()
    assert read.timings == {"listing": 1.235}
    assert len(text.splitlines()[-2]) > 1000  # statistics stand on one line, after what people read


def test_read_manifest_of_an_earlier_version_has_no_statistics(corpus, rows) -> None:
    """Corpora written before stay readable; their statistics must be counted again."""
    output = corpus([rows.row("a", "x", "y")])
    write(output, listed=1)
    path = output / "manifest.json"
    tree = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in tree.items() if key not in ("statistics", "timings")}))
    assert read_manifest(output).summary is None
    assert read_manifest(output).counts.listed == 1


def test_write_manifest_files_with_other_rows_than_counted_refuses(corpus, rows) -> None:
    """Statistics that belong to other files than those listed are not written down."""
    output = corpus([rows.row("a", "x", "y"), rows.row("b", "x", "y")])
    summary = summarise(output / "data")
    files = [replace(file, rows=1) for file in data_files(Location.at(output / "data"))]
    with pytest.raises(OcrrayError, match=r"1 rows, but 2 were counted"):
        write_manifest(output, summary=summary, files=files, listed=2, fingerprint="f", config={}, started=STARTED)


def test_missing_files_deleted_or_cut_names_each(corpus, rows) -> None:
    """One listing of the folder finds what is gone and what has another size; further files are no matter."""
    output = corpus(rows.newspaper(40), files=4)
    manifest = write(output, listed=40)
    (output / "data" / ".part.tmp").write_text("x")
    assert missing_files(Location.at(output), manifest) == []
    (output / "data" / "000001.parquet").unlink()
    cut = output / "data" / "000003.parquet"
    cut.write_bytes(cut.read_bytes()[:-7])
    assert missing_files(Location.at(output), manifest) == ["data/000001.parquet", "data/000003.parquet"]


def test_write_manifest_unknown_status_refuses_naming_it(corpus, rows) -> None:
    """A status outside the contract is a bug of some stage, and must not be counted away."""
    output = corpus([rows.row("a", "x", "y"), rows.row("b", "x", "y", status="pending"), rows.row("c", "x", "y", status=None)])
    with pytest.raises(OcrrayError, match=r"null \(1\), pending \(1\)"):
        write(output, listed=3)


def test_write_manifest_over_an_old_one_replaces_it_whole(corpus, rows) -> None:
    """A rerun's manifest takes the old one's place and leaves no temporary file behind."""
    output = corpus([rows.row("a", "x", "y")])
    (output / "manifest.json").write_text("{" * 10_000)
    write(output, listed=1)
    assert read_manifest(output).counts.listed == 1
    assert sorted(path.name for path in output.iterdir()) == ["data", "manifest.json"]


@pytest.mark.parametrize("content", ["", "{}", '{"counts": 3}', "[1, 2]"])
def test_read_manifest_damaged_file_raises_one_line(tmp_path: Path, content: str) -> None:
    """A damaged manifest is neither a finished corpus nor a missing one."""
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(OcrrayError, match=r"manifest\.json: not a manifest") as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)


def test_read_manifest_of_a_newer_version_ignores_new_keys(corpus, rows) -> None:
    """An older ocrray can still read what a newer one wrote."""
    output = corpus([rows.row("a", "x", "y")])
    written = write(output, listed=1)
    path = output / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"from_the_future": 1}))
    assert read_manifest(output) == written
