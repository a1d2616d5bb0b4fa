"""The manifest stands for a whole corpus, or is not written."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ocrray.corpus.manifest import Manifest, read_manifest, write_manifest
from ocrray.corpus.summary import summarise
from ocrray.errors import OcrrayError

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def write(output: Path, listed: int) -> Manifest:
    """Summarise and write, as a run does at its end."""
    settings = {"input": {"paths": ["a/*.tif"]}, "guard": None}
    summary = summarise(output / "data")
    return write_manifest(output, summary=summary, listed=listed, fingerprint="f" * 64, config=settings, started=STARTED)


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


def test_write_manifest_id_twice_refuses_naming_it(corpus, rows) -> None:
    """Equal counts do not hide that one record is there twice and another is missing."""
    output = corpus([rows.row("a", "x", "y"), rows.row("twin", "x", "y"), rows.row("twin", "x", "y")], files=2)
    with pytest.raises(OcrrayError, match="twin"):
        write(output, listed=3)
    assert read_manifest(output) is None


def test_write_manifest_unknown_status_refuses_naming_it(corpus, rows) -> None:
    """A status outside the contract is a bug of some stage, and must not be counted away."""
    output = corpus([rows.row("a", "x", "y"), rows.row("b", "x", "y", status="pending"), rows.row("c", "x", "y", status=None)])
    with pytest.raises(OcrrayError, match=r"pending \(1\).*null \(1\)"):
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
