"""A corpus's documents written out: which, under what names, and what becomes of those that cannot be."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import hostile
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scan_samples import pickled
from worklist_samples import write_work_list

from ocrray.corpus.blocks import FOOTER_KEY
from ocrray.corpus.export.corpus import ExportConfig, Exported, export_corpus, read_export
from ocrray.corpus.export.documents import InOrder
from ocrray.corpus.export.names import RelativeNames
from ocrray.corpus.summary import Summary
from ocrray.engines.fake import FakeConfig
from ocrray.errors import RecordError
from ocrray.sources.input import InputConfig
from ocrray.stages.correct import Correct
from ocrray.stages.guard import Guard
from ocrray.stages.load import Load
from ocrray.stages.tables import to_corpus_schema
from ocrray.storage import Location

MAX_BYTES = 1 << 20
BOOK = "<html><body>{}</body></html>".format(
    "".join(f"<div class='ocr_page'><span class='ocr_line'>{text}</span></div>" for text in ("tbe one", "two", "tbe three"))
)


def restored(folder: Path, *, rows_per_file: int = 1000) -> Location:
    """The corpus of all files in `folder`, "tbe" corrected to "the", as a run leaves it beside them in `out`."""
    output = Location.at(folder.parent / "out")
    for name in ("_work_list", "data"):
        Path(output.path, name).mkdir(parents=True)
    write_work_list(output.child("_work_list"), str(folder))
    work = pq.read_table(f"{output.path}/_work_list")
    corrector = FakeConfig(engine="fake", replace={"tbe": "the"}).open()
    table = Guard(None)(Correct(corrector)(Load(InputConfig(paths=[str(folder)]))(work)))
    for number, start in enumerate(range(0, len(table), rows_per_file)):
        pq.write_table(table.slice(start, rows_per_file), f"{output.path}/data/{number:06d}.parquet")
    return output


def export(output: Location, *, in_order: InOrder = map, documents_per_task: int = 32, **config: bool) -> Exported:
    return export_corpus(
        output,
        ExportConfig(**config),
        finished=datetime(2026, 1, 2, tzinfo=UTC),
        max_file_bytes=MAX_BYTES,
        max_pixels=10**8,
        documents_per_task=documents_per_task,
        in_order=in_order,
    )


def exported_files(output: Location) -> dict[str, bytes]:
    folder = Path(output.path, "export")
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes files (path and text) into the folder `in`, and returns it."""

    def write_all(**texts: str | bytes) -> Path:
        for name, text in texts.items():
            path = tmp_path / "in" / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / "in"

    return write_all


def alto(text: str) -> str:
    return hostile.ALTO.format(hostile.ALTO_LINE.format(text))


def test_export_writes_every_document_once_with_the_corrections_of_all_its_pages(write):
    """A book's pages may be in any data file; names are those below the folder that all documents are in."""
    folder = write(a__x_xml=alto("tbe cat"), b__x_xml=alto("a dog"), b__book_hocr=BOOK, notes_txt="tbe notes")

    exported = export(restored(folder, rows_per_file=2))

    written = exported_files(Location.at(folder.parent / "out"))
    assert list(written) == ["a/x.xml", "b/book.hocr", "b/x.xml"]
    assert written["b/x.xml"] == alto("a dog").encode()
    assert written["b/book.hocr"].endswith(BOOK.replace("tbe", "the").removeprefix("<html>").encode())
    assert b'CONTENT="the cat"' in written["a/x.xml"]
    assert b"2026-01-02T00:00:00Z" in written["a/x.xml"]
    assert exported == Exported(changed=2, unchanged=1, failed=0, changed_lines=3)


def test_export_of_what_has_changed_only(write):
    """With copy_unchanged: false a file without corrections is told, and not copied; files of an earlier export go."""
    output = restored(write(a_xml=alto("tbe cat"), b_xml=alto("a dog")))
    export(output)

    assert export(output, copy_unchanged=False) == Exported(1, 1, 0, 1)
    assert list(exported_files(output)) == ["a.xml"]
    documents = pq.read_table(f"{output.path}/export.parquet").to_pylist()
    assert {Path(row["uri"]).name: row["file"] for row in documents} == {"a.xml": "a.xml", "b.xml": None}


def test_export_failures_are_counted_and_named(write):
    """A file that could not be read, is gone, has changed or cannot be followed to the byte fails alone."""
    folder = write(
        bad_alto="<alto>" + alto("x"),
        gone_xml=alto("tbe gone"),
        changed_xml=alto("tbe changed"),
        soup_html=BOOK.replace("<body>", "<body><table><div id='a'>x</div></table></p><p/><q title='x>").replace("tbe", "tbe"),
        good_xml=alto("tbe cat"),
    )
    output = restored(folder)
    (folder / "gone.xml").unlink()
    (folder / "changed.xml").write_text(alto("tbe other"))

    exported = export(output)

    kinds = {Path(row["uri"]).name: row["error_kind"] for row in pq.read_table(f"{output.path}/export.parquet").to_pylist()}
    assert kinds["good.xml"] is None
    assert (kinds["bad.alto"], kinds["gone.xml"], kinds["changed.xml"]) == ("invalid_xml", "missing", "other_text")
    assert exported.failed == sum(kind is not None for kind in kinds.values())
    assert "good.xml" in exported_files(output)
    assert not {"gone.xml", "changed.xml", "bad.alto"} & set(exported_files(output))


def test_export_that_is_finished_is_known(write):
    """The tally is written last and is for its config only; without it, or damaged, there is no export."""
    output = restored(write(a_xml=alto("tbe cat")))
    assert read_export(output, ExportConfig()) is None

    exported = export(output)

    assert read_export(output, ExportConfig()) == exported
    assert read_export(output, ExportConfig(copy_unchanged=False)) is None
    Path(output.path, "export.json").write_text("{}")
    assert read_export(output, ExportConfig()) is None


@pytest.mark.parametrize("documents_per_task", [1, 3, 1000])
@pytest.mark.parametrize("rows_per_file", [1, 2, 5, 1000])
def test_export_in_tasks_of_any_size_writes_each_document_once(write, documents_per_task: int, rows_per_file: int):
    """Pages of a book over several data files and tasks end in one document; rows of other kinds are left out."""
    books = {f"b{number}_hocr": BOOK for number in range(3)}
    folder = write(**{f"d{number}_xml": alto(f"tbe {number}") for number in range(5)}, **books, notes_txt="tbe notes")
    output = restored(folder, rows_per_file=rows_per_file)

    exported = export(output, in_order=pickled, documents_per_task=documents_per_task)

    assert exported == Exported(8, 0, 0, 5 + 3 * 2)
    written = exported_files(output)
    assert all(f'"the {number}"'.encode() in written[f"d{number}.xml"] for number in range(5))
    assert all(written[f"b{number}.hocr"].count(b"the ") == 2 for number in range(3))
    documents = pq.read_table(f"{output.path}/export.parquet").to_pylist()
    assert sorted(Path(row["uri"]).name for row in documents) == sorted(written)
    assert {row["records"] for row in documents if row["kind"] == "hocr"} == {3}


def test_export_pages_of_a_document_far_apart_end_in_one_file(write):
    """An update may append pages of a changed file at the end of the corpus: they are still pages of their document."""
    output = restored(write(a_hocr=BOOK, b_xml=alto("tbe dog"), c_hocr=BOOK))
    table = pq.read_table(f"{output.path}/data/000000.parquet")
    Path(output.path, "data", "000000.parquet").unlink()
    for number, row in enumerate([0, 3, 4, 2, 5, 6, 1]):
        pq.write_table(table.slice(row, 1), f"{output.path}/data/{number:06d}.parquet")

    exported = export(output, documents_per_task=1)

    assert exported == Exported(3, 0, 0, 5)
    written = exported_files(output)
    assert written["a.hocr"].count(b"the ") == written["c.hocr"].count(b"the ") == 2


def test_export_pages_and_files_gone_from_the_input_are_left_out(write):
    """An update that found a book with fewer pages, or no file at all, leaves rows of the old content: they are no part of it."""
    folder = write(a_hocr=BOOK, b_xml=alto("tbe cat"))
    output = restored(folder)
    path = f"{output.path}/data/000000.parquet"
    table = pq.read_table(path)
    gone = table.schema.get_field_index("gone")
    table = table.set_column(gone, "gone", pa.array([None, None, True, True]))
    hashes = table["content_hash"].to_pylist()
    table = table.set_column(table.schema.get_field_index("content_hash"), "content_hash", pa.array([*hashes[:2], "old", "old"]))
    pq.write_table(table, path)
    (folder / "b.xml").unlink()

    assert export(output) == Exported(1, 0, 0, 1)
    assert list(exported_files(output)) == ["a.hocr"]


def test_export_reads_no_rows_of_data_files_without_documents(write):
    """A data file whose statistics count no document is skipped, here although its rows hold one."""
    output = restored(write(a_xml=alto("tbe cat")))
    path = f"{output.path}/data/000000.parquet"
    table = pq.read_table(path)
    kind = table.schema.get_field_index("source_kind")
    tables_only = table.set_column(kind, "source_kind", pa.array(["table"]))
    statistics = Summary.of_block("000000.parquet", to_corpus_schema(tables_only)).to_json()
    with pq.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({FOOTER_KEY: json.dumps({"statistics": statistics})})

    assert export(output) == Exported(0, 0, 0, 0)


@pytest.mark.parametrize(
    ("uris", "names"),
    [
        (["/a/b/c.xml"], ["c.xml"]),
        (["/a/b/c.xml", "/a/d/c.xml"], ["b/c.xml", "d/c.xml"]),
        (["/a/b/c.xml", "/a/b.xml"], ["b/c.xml", "b.xml"]),
        (["/a/bc/x.xml", "/a/bcd/x.xml"], ["bc/x.xml", "bcd/x.xml"]),
        (["s3://bucket/a%20b/x.xml", "s3://bucket/y.xml"], ["a b/x.xml", "y.xml"]),
        (["/bucket/x.xml", "s3://bucket/x.xml"], ["file/bucket/x.xml", "s3%3A%2F%2F/bucket/x.xml"]),
    ],
)
def test_export_names_are_as_different_as_the_files(uris: list[str], names: list[str]):
    """Only the leading folders that all paths share are left out."""
    relative = RelativeNames()
    for uri in uris:
        relative.add(uri)

    assert [relative.name_of(uri) for uri in uris] == names


@pytest.mark.parametrize("key", ["a/../../../etc/passwd", "a//b.xml", "./b.xml"])
def test_export_name_that_climbs_is_refused(key: str):
    """An object store's key may be no path: its document fails, and nothing is written elsewhere."""
    relative = RelativeNames()
    uris = [Location("s3://", f"bucket/{name}").uri for name in (key, "z.xml")]
    for uri in uris:
        relative.add(uri)

    with pytest.raises(RecordError) as error:
        relative.name_of(uris[0])
    assert error.value.kind in ("bad_path", "unsafe_path")


def test_export_of_an_empty_corpus_is_nothing(tmp_path: Path):
    """No records, no documents, and no error."""
    (tmp_path / "in").mkdir()
    output = Location.at(tmp_path / "out")
    (tmp_path / "out" / "_work_list").mkdir(parents=True)
    (tmp_path / "out" / "data").mkdir()

    assert export(output) == Exported(0, 0, 0, 0)
    assert pa.parquet.read_table(tmp_path / "out" / "export.parquet").num_rows == 0
