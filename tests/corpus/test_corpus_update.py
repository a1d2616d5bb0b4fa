"""An update takes in what is new, changed or gone in an input, and leaves all other rows of the corpus as they are."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hostile
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worklist_samples import write_work_list

from ocrray.corpus.blocks import cut_blocks, part_rows, read_footers, read_index, read_rows, read_update, write_index
from ocrray.corpus.commits import Exchange, NewFile
from ocrray.corpus.marks import Marks
from ocrray.corpus.update import Updated, update_work_list
from ocrray.engines.fake import FakeConfig
from ocrray.sources.input import InputConfig
from ocrray.sources.input_files import walk_input
from ocrray.sources.listing import ListingJob
from ocrray.stages.correct import Correct
from ocrray.stages.guard import Guard
from ocrray.stages.load import Load
from ocrray.stages.tables import to_corpus_schema
from ocrray.storage import Location


class Corpus:
    """A run over `in` with the stages of a text corpus, in this process, and its updates."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.config = InputConfig(paths=[str(folder / "in")], **settings)
        self.output = Location.at(folder / "out")
        self.work_list, self.data = self.output.child("_work_list"), self.output.child("data")
        self.processed: list[str] = []
        write_work_list(self.work_list, *self.config.paths, **settings)
        write_index(self.work_list, cut_blocks(part_rows(self.work_list), 100))
        self._run()

    def update(self) -> Updated | None:
        """Update as a run does: work list, then what it marks."""
        self.processed.clear()
        files = walk_input(self.config, images=False)
        job = ListingJob(config=self.config, work_list=self.work_list, images=False)
        found = update_work_list(files, job, self.output, read_update(self.work_list).pass_number + 1)
        self._run()
        return found

    def rows(self) -> dict[str, dict[str, Any]]:
        paths = sorted(Path(self.data.path).glob("*.parquet"))
        rows = [row for path in paths for row in pq.read_table(path).to_pylist()]
        assert len({row["record_id"] for row in rows}) == len(rows)
        return {row["record_id"]: row for row in rows}

    def _run(self) -> None:
        state = read_update(self.work_list)
        marks = Marks(self.work_list, state)
        commit = Exchange(self.output, state.pass_number, marks)
        for block, footer in read_footers(self.data, read_index(self.work_list) or []):
            work = read_rows(self.work_list, block)
            if footer is None:
                NewFile(self.output, state.pass_number)(block.number, self._restored(work))
            elif block.number in (marks.table["block"].to_pylist() if state.version else ()):
                rows = marks.rows_to_redo(block.number, work)
                commit(block.number, self._restored(rows) if len(rows) else None)

    def _restored(self, work: pa.Table) -> pa.Table:
        self.processed += work["record_id"].to_pylist()
        corrector = FakeConfig(engine="fake", replace={"tbe": "the"}).open()
        return to_corpus_schema(Guard(None)(Correct(corrector)(Load(self.config)(work))))


def lines(path: Path, texts: dict[str, str]) -> None:
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({"id": list(texts), "text": list(texts.values()), "year": [len(t) for t in texts.values()]}), path)


def texts(start: int, end: int) -> dict[str, str]:
    return {f"r{i:05d}": f"tbe line {i}" for i in range(start, end)}


def corpus_of(folder: Path) -> Corpus:
    """3,000 records in three tables."""
    for name, start in (("a", 0), ("b", 1000), ("c", 2000)):
        lines(folder / "in" / f"{name}.parquet", texts(start, start + 1000))
    return Corpus(folder, id_column="id", passthrough=["year"])


def test_update_of_3000_records_redoes_only_what_changed(tmp_path: Path):
    """Changed rows are processed again in place, new ones added and gone ones marked; the rest is byte for byte as it was."""
    corpus = corpus_of(tmp_path)
    before = corpus.rows()
    files = {path: path.read_bytes() for path in Path(corpus.data.path).iterdir()}
    changed = texts(1000, 2000) | {"r01001": "tbe new text", "r01500": "another"} | texts(5000, 5003)
    del changed["r01003"]
    lines(tmp_path / "in/b.parquet", changed)
    (tmp_path / "in/c.parquet").unlink()
    lines(tmp_path / "in/d.parquet", texts(6000, 6100))
    (tmp_path / "in/a.parquet").touch()

    found = corpus.update()

    assert found == Updated(new=103, changed=2, gone=1001, back=0)
    new = [*texts(5000, 5003), *texts(6000, 6100)]
    assert sorted(corpus.processed) == sorted(["r01001", "r01500", *new])
    rows = corpus.rows()
    assert rows["r01001"]["corrected_text"] == "the new text"
    assert {record_id for record_id, row in rows.items() if row["gone"]} == {"r01003", *texts(2000, 3000)}
    assert set(rows) == set(before) | set(new)
    for record_id in before.keys() - {"r01001", "r01500"}:
        assert rows[record_id] | {"gone": False} == before[record_id]
    same = [path for path in files if path.read_bytes() == files[path]]
    assert len(same) == 30 - 10 - 2  # all but those of c, and the two blocks of b with changes
    history = pq.read_table(Path(corpus.output.path) / "history")
    assert sorted(history["record_id"].to_pylist()) == ["r01001", "r01500"]


def test_update_of_an_unchanged_or_touched_input_does_nothing(tmp_path: Path):
    """A file with the same rows and another time is read, and no record is processed."""
    corpus = corpus_of(tmp_path)
    files = {path: path.read_bytes() for path in Path(corpus.data.path).iterdir()}

    assert corpus.update() is None
    (tmp_path / "in/a.parquet").touch()
    assert corpus.update() == Updated(0, 0, 0, 0)
    assert corpus.update() is None

    assert corpus.processed == []
    assert {path: path.read_bytes() for path in Path(corpus.data.path).iterdir()} == files


def test_update_after_update_knows_where_every_record_is(tmp_path: Path):
    """Rows that come back, move to another file, or change again after they were added are found in their places."""
    corpus = corpus_of(tmp_path)
    lines(tmp_path / "in/b.parquet", texts(1000, 1999) | texts(5000, 5010))
    (tmp_path / "in/c.parquet").unlink()
    corpus.update()

    lines(tmp_path / "in/b.parquet", texts(1000, 2000) | texts(5000, 5010) | {"r05001": "tbe same id"})
    lines(tmp_path / "in/e.parquet", texts(2000, 2500))  # of c, in a file of another name
    found = corpus.update()

    assert found == Updated(new=0, changed=1, gone=0, back=501)
    assert corpus.processed == ["r05001"]
    rows = corpus.rows()
    assert rows["r05001"]["corrected_text"] == "the same id"
    assert {record_id for record_id, row in rows.items() if row["gone"]} == set(texts(2500, 3000))
    assert len(rows) == 3010


def test_update_row_with_the_id_of_another_file_is_a_failed_record(tmp_path: Path):
    """A new row never takes the place of a record that is there; ground truth and passed-through values count as changes."""
    corpus = corpus_of(tmp_path)
    lines(tmp_path / "in/d.parquet", {"r00000": "tbe thief", "n": "x"})
    pq.write_table(pa.table({"id": ["r02000"], "text": ["tbe line 2000"], "year": [7]}), tmp_path / "in/c.parquet")

    found = corpus.update()

    assert found == Updated(new=2, changed=1, gone=999, back=0)
    rows = corpus.rows()
    assert rows["r00000"]["raw_text"] == "tbe line 0"
    assert (rows["r00000~2"]["error_kind"], rows["r02000"]["year"]) == ("duplicate_id", 7)


@pytest.mark.parametrize("edit", [lambda path: path.write_text(path.read_text()), lambda path: os.utime(path, (1, 1))])
def test_update_of_documents_compares_their_bytes(tmp_path: Path, edit: Callable[[Path], object]):
    """A document that was written again with the same bytes is not read again by a stage, a changed one is."""
    (tmp_path / "in").mkdir()
    for name in "abc":
        (tmp_path / f"in/{name}.xml").write_text(hostile.ALTO.format(hostile.ALTO_LINE.format(f"tbe {name}")))
    corpus = Corpus(tmp_path)
    edit(tmp_path / "in/a.xml")
    (tmp_path / "in/b.xml").write_text(hostile.ALTO.format(hostile.ALTO_LINE.format("tbe bee")))

    assert corpus.update() == Updated(new=0, changed=1, gone=0, back=0)

    name = f"{tmp_path}/in/b.xml#0"
    assert corpus.processed == [name]
    assert corpus.rows()[name]["corrected_text"] == "the bee"


def test_update_that_is_killed_before_its_end_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Until the index is written nothing of an update counts; after it, what is marked is still done."""
    corpus = corpus_of(tmp_path)
    lines(tmp_path / "in/b.parquet", texts(1000, 2000) | {"r01001": "tbe new text"})
    with monkeypatch.context() as killed:
        killed.setattr("ocrray.corpus.update.write_index", lambda *_: exec("raise KeyboardInterrupt"))
        with pytest.raises(KeyboardInterrupt):
            corpus.update()
    assert corpus.rows()["r01001"]["corrected_text"] == "the line 1001"
    assert corpus.update() == Updated(new=0, changed=1, gone=0, back=0)
    assert corpus.rows()["r01001"]["corrected_text"] == "the new text"
