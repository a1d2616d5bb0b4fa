"""The work list has one row for each page, line or row that `input` names, each once, whatever their number."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worklist_samples import counted, listed, page, write

from ocrray.records import WORK_LIST_SCHEMA
from ocrray.sources import worklist
from ocrray.sources.input import InputConfig
from ocrray.sources.rows import with_unique_ids
from ocrray.sources.seen import SeenKeys
from ocrray.sources.worklist import count_records, list_records, write_work_list
from ocrray.storage import Location


def new_folder(path: Path) -> Location:
    path.mkdir()
    return Location.at(path)


def tables(folder: Location) -> list[pa.Table]:
    return [pq.read_table(path) for path in sorted(Path(folder.path).iterdir())]


def test_list_records_tables_have_the_schema_and_the_passthrough_columns(here: Path) -> None:
    """Every table has the same columns, scans without a value of the user's own."""
    write(here, in__a_png=page(), in__b_jsonl='{"text": "x", "title": "T"}')
    (table,) = list_records(InputConfig(paths=["in"], passthrough=["title"]), images=True)
    assert table.schema == pa.schema([*WORK_LIST_SCHEMA, ("title", pa.string())])
    assert table["title"].to_pylist() == [None, "T"]
    assert table["uri"].to_pylist() == [str(here / "in/a.png"), str(here / "in/b.jsonl")]


def test_list_records_duplicate_ids_are_made_unique_and_fail(here: Path) -> None:
    """The first of several records with one id stands; the others are failed records with ids of their own."""
    ids = ["a", "b", "a", "a~2", "a", "b"]
    write(here, t_jsonl="\n".join(f'{{"id": "{name}", "text": "x"}}' for name in ids))
    rows = listed("t.jsonl", id_column="id")
    assert [row["record_id"] for row in rows] == ["a", "b", "a~3", "a~2", "a~4", "b~2"]
    failed = [row["record_id"] for row in rows if (row["error_kind"], row["text"]) == ("duplicate_id", None)]
    assert failed == ["a~3", "a~4", "b~2"]


@given(batches=st.lists(st.lists(st.sampled_from(["a", "a~2", "a~3", "b", "a~2~2"]), max_size=6), max_size=5))
def test_with_unique_ids_always_unique_and_the_first_unchanged(batches: list[list[str]]) -> None:
    """However ids repeat, and whatever they look like, every row has one of its own and only repetitions fail."""
    seen, copies, out, known = SeenKeys(), Counter(), [], set()
    for ids in batches:
        rows = [dict.fromkeys(WORK_LIST_SCHEMA.names) | {"record_id": name} for name in ids]
        out += with_unique_ids(pa.Table.from_pylist(rows, schema=WORK_LIST_SCHEMA), seen, copies).to_pylist()
    assert len({row["record_id"] for row in out}) == len(out)
    for name, row in zip([name for ids in batches for name in ids], out, strict=True):
        assert row["error_kind"] == ("duplicate_id" if name != row["record_id"] else None)
        known.add(row["record_id"])


def test_write_work_list_parts_hold_the_listing_in_order(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts, by name, are what `list_records` lists; writing it again gives the same bytes."""
    monkeypatch.setattr(worklist, "_PART_ROWS", 50)
    monkeypatch.setattr(worklist, "_TABLE_ROWS", 20)
    write(here, in__a_txt="\n".join(map(str, range(130))), in__b_png=page())
    config = InputConfig(paths=["in"])
    one, two = new_folder(here / "one"), new_folder(here / "two")
    listing = write_work_list(config, one, images=True)
    assert listing == write_work_list(config, two, images=True) == count_records(config, images=True)
    assert [len(table) for table in tables(one)] == [60, 60, 11]
    assert sorted(path.name for path in (here / "one").iterdir())[0] == "part-00000.parquet"
    assert [row for table in tables(one) for row in table.to_pylist()] == listed("in")
    assert [path.read_bytes() for path in (here / "one").iterdir()] == [path.read_bytes() for path in (here / "two").iterdir()]


def test_write_work_list_limit_takes_the_first_records(here: Path) -> None:
    """`--limit` counts records, and the same limit lists the same files."""
    write(here, in__a_txt="1\n2\n3", in__b_txt="4\n5")
    folder = new_folder(here / "out")
    listing = write_work_list(InputConfig(paths=["in"]), folder, images=False, limit=4)
    assert listing.records == sum(listing.counts.values()) == 4
    assert [text for table in tables(folder) for text in table["text"].to_pylist()] == ["1", "2", "3", "4"]
    assert listing.digest == counted("in", images=False, limit=4).digest


def test_listing_digest_changes_with_any_input_file(here: Path) -> None:
    """A file that is added, changed or gone, and new ground truth, are another listing; the same files are the same one."""
    write(here, in__a_png=page(), in__b_txt="x")
    digests = [counted("in").digest, counted("in").digest]
    for change in (
        lambda: write(here, in__c_txt="new"),
        lambda: write(here, in__b_txt="longer"),
        lambda: (here / "in/a.gt.txt").write_text("truth"),
        lambda: (here / "in/c.txt").unlink(),
    ):
        change()
        digests.append(counted("in").digest)
    assert digests[0] == digests[1]
    assert len(set(digests)) == 5


def test_location_of_a_uri_is_absolute(here: Path) -> None:
    """A worker in another directory opens the same file."""
    write(here, a_txt="x")
    assert listed("a.txt")[0]["uri"] == Location("", str(here / "a.txt")).uri


# VmHWM and not ru_maxrss, which a child process inherits from its parent.
PEAK_OF_LISTING = """
import re, sys
from pathlib import Path
from ocrray.sources.input import InputConfig
from ocrray.sources.worklist import count_records
records = count_records(InputConfig(paths=sys.argv[1:]), images=False).records
print(records, re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def test_count_records_ten_times_the_records_take_no_more_memory(here: Path) -> None:
    """Listing 160 MB of lines, in its own process, needs at most half of that more at its peak than listing a tenth."""
    peaks_kb = []
    for count in (40_000, 400_000):
        with (here / "a.txt").open("w") as file:
            file.writelines("x" * 399 + "\n" for _ in range(count))
        listing = subprocess.run([sys.executable, "-c", PEAK_OF_LISTING, "a.txt"], capture_output=True, text=True, check=True)
        records, peak_kb = map(int, listing.stdout.split())
        assert records == count
        peaks_kb.append(peak_kb)
    assert peaks_kb[1] - peaks_kb[0] < 80_000  # allocators keep up to 40 MB; a listing that keeps its tables needs 199 MB
