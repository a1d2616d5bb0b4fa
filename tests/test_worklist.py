"""The work list has one row for each page, line or row that `input` names, each once, whatever their number."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worklist_samples import alto, counted, listed, mets, page, part_paths, write, write_work_list

from ocrray.errors import ConfigError
from ocrray.records import WORK_LIST_SCHEMA
from ocrray.sources import groups, parts
from ocrray.sources.input import InputConfig
from ocrray.sources.input_changes import require_unchanged
from ocrray.sources.input_files import walk_input
from ocrray.sources.record_ids import Run, hash_ids, rename_repeated, write_run
from ocrray.sources.worklist import Listing, list_records, write_part
from ocrray.storage import Location


def rows(folder: Location) -> list[dict[str, Any]]:
    """The rows of all parts, in the order of their names."""
    return [row for path in part_paths(folder) for row in pq.read_table(path).to_pylist()]


def test_list_records_tables_have_the_schema_and_the_passthrough_columns(here: Path) -> None:
    """Every table has the same columns, scans without a value of the user's own."""
    write(here, in__a_png=page(), in__b_jsonl='{"text": "x", "title": "T"}')
    (table,) = list_records(InputConfig(paths=["in"], passthrough=["title"]), images=True)
    assert table.schema == pa.schema([*WORK_LIST_SCHEMA, ("title", pa.string())])
    assert table["title"].to_pylist() == [None, "T"]
    assert table["uri"].to_pylist() == [str(here / "in/a.png"), str(here / "in/b.jsonl")]


def test_list_input_repeated_ids_are_made_unique_and_fail(here: Path) -> None:
    """The first of several records with one id stands; the others are failed records with ids of their own."""
    ids = ["a", "b", "a", "a~2", "a", "b"]
    write(here, t_jsonl="\n".join(f'{{"id": "{name}", "text": "x"}}' for name in ids))
    listing = write_work_list(Location.at(here / "out"), "t.jsonl", id_column="id")
    listed_rows = rows(Location.at(here / "out"))
    assert [row["record_id"] for row in listed_rows] == ["a", "b", "a~3", "a~2", "a~4", "b~2"]
    failed = [row["record_id"] for row in listed_rows if (row["error_kind"], row["text"]) == ("duplicate_id", None)]
    assert failed == ["a~3", "a~4", "b~2"]
    assert (listing.records, listing.failed) == (6, 3)


@settings(deadline=None, max_examples=50)
@given(parts=st.lists(st.lists(st.sampled_from(["a", "a~2", "a~3", "b", "a~2~2"]), min_size=1, max_size=6), max_size=5))
def test_rename_repeated_always_unique_and_the_first_unchanged(
    parts: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """However ids repeat, and whatever they look like, every row has one of its own and only repetitions fail."""
    folder, runs = Location.at(tmp_path_factory.mktemp("ids")), []
    for number, ids in enumerate(parts):
        table = pa.Table.from_pylist([{"record_id": name} for name in ids], schema=WORK_LIST_SCHEMA)
        write_part(folder, f"rows-{number}", table)
        write_run(folder, f"_ids-{number}", hash_ids(table["record_id"]))
        runs.append(Run(f"_ids-{number}", (f"rows-{number}",), len(ids)))
    newly_failed = rename_repeated(folder, runs, map)
    out, all_ids = rows(folder), [name for ids in parts for name in ids]
    assert len({row["record_id"] for row in out}) == len(out)
    assert newly_failed == len(all_ids) - len(set(all_ids))
    seen = set()
    for name, row in zip(all_ids, out, strict=True):
        assert (row["record_id"], row["error_kind"]) == (name, None) or (name in seen and row["error_kind"] == "duplicate_id")
        seen.add(name)


def test_list_input_same_name_in_two_stores_gives_two_ids(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made ids repeat where two files have one name; the second record is renamed."""
    write(here, a_txt="x", b_txt="y")
    monkeypatch.setattr("ocrray.sources.walk._name", lambda *_: "same.txt")
    write_work_list(Location.at(here / "out"), "a.txt", "b.txt")
    assert [row["record_id"] for row in rows(Location.at(here / "out"))] == ["same.txt#0", "same.txt#0~2"]


def test_list_input_parts_hold_the_records_in_order(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts, by name, are what `list_records` lists; listing again gives the same bytes, and `_files.parquet` says where."""
    monkeypatch.setattr(parts, "PART_ROWS", 50)
    monkeypatch.setattr(groups, "_MAX_GROUP_FILES", 2)
    write(here, in__a_txt="\n".join(map(str, range(130))), in__b_png=page(), in__c_txt="x", in__d_tei_xml="<tei/>", in__e_txt="y")
    one, two = Location.at(here / "one"), Location.at(here / "two")
    counts = write_work_list(one, "in", images=True)
    assert counts == write_work_list(two, "in", images=True)
    assert replace(counts, digest="") == replace(counted("in"), digest="")
    assert [pq.read_metadata(path).num_rows for path in part_paths(one)] == [50, 50, 31, 1, 1]
    assert rows(one) == listed("in")
    assert [path.read_bytes() for path in part_paths(one)] == [path.read_bytes() for path in part_paths(two)]
    found = {row["name"]: row for row in pq.read_table(here / "one" / "_files-000.parquet").to_pylist()}
    assert {name: row["kind"] for name, row in found.items()} == {
        "in/a.txt": "text",
        "in/b.png": "image",
        "in/c.txt": "text",
        "in/d_tei.xml": "",
        "in/e.txt": "text",
    }
    assert [tuple(place.values()) for name in ("in/a.txt", "in/b.png", "in/d_tei.xml") for place in found[name]["places"]] == [
        ("rows-000000-00000.parquet", 0, 50),
        ("rows-000000-00001.parquet", 0, 50),
        ("rows-000000-00002.parquet", 0, 30),
        ("rows-000000-00002.parquet", 30, 1),
    ]


def test_list_input_parquet_in_pieces_has_the_rows_of_the_whole(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large Parquet file is read by several tasks, with the numbers that its rows have in the file."""
    monkeypatch.setattr(groups, "_PIECE_BYTES", 400)
    pq.write_table(pa.table({"text": [f"line {i}" for i in range(97)]}), here / "t.parquet", row_group_size=10)
    write_work_list(Location.at(here / "out"), "t.parquet")
    assert len(part_paths(Location.at(here / "out"))) > 2
    listed_rows = rows(Location.at(here / "out"))
    assert [(row["record_id"], row["page"], row["text"]) for row in listed_rows] == [
        (f"t.parquet#{i}", i, f"line {i}") for i in range(97)
    ]
    (places,) = pq.read_table(here / "out" / "_files-000.parquet")["places"].to_pylist()
    assert sum(place["rows"] for place in places) == 97


LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r", "\n\n"])
TEXTS = st.lists(st.tuples(st.text("ab\u00e9", max_size=8), LINE_ENDS), max_size=30).map(
    lambda lines: "".join(text + end for text, end in lines)
)


@settings(deadline=None, max_examples=30)
@given(text=TEXTS, piece_bytes=st.integers(1, 40), undecodable=st.booleans())
def test_list_input_text_in_pieces_has_the_lines_of_the_whole(
    text: str, piece_bytes: int, undecodable: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Wherever a large text or JSON lines file is cut, its rows are those of the whole file, with their numbers."""
    here = tmp_path_factory.mktemp("pieces")
    (here / "a.txt").write_bytes(text.encode() + b"\xff" * undecodable)
    lines = [json.dumps({"text": line, **({"n": 1} if i == 0 else {})}) for i, line in enumerate(text.split("\n"))]
    (here / "b.jsonl").write_text("\n".join(lines))
    expected = listed(str(here / "a.txt"), str(here / "b.jsonl"), passthrough=["n"])
    with pytest.MonkeyPatch.context() as small:
        small.setattr(groups, "_PIECE_BYTES", piece_bytes)
        write_work_list(Location.at(here / "out"), str(here / "a.txt"), str(here / "b.jsonl"), passthrough=["n"])
    assert rows(Location.at(here / "out")) == expected


def test_list_input_broken_parquet_in_pieces_is_one_failed_record(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first piece says that a file cannot be opened."""
    monkeypatch.setattr(groups, "_PIECE_BYTES", 10)
    write(here, t_parquet=b"PAR1" + b"x" * 90)
    write_work_list(Location.at(here / "out"), "t.parquet")
    assert [row["error_kind"] for row in rows(Location.at(here / "out"))] == ["bad_table"]


def test_list_input_mets_of_any_name_stands_for_its_files(here: Path) -> None:
    """A METS whose name does not say so is found when it is read; the files it names are then listed once, in its place."""
    write(here, in__0_xml=mets(("b.xml",), ("a.xml",)), in__a_xml=alto(), in__b_xml=alto())
    write_work_list(Location.at(here / "out"), "in")
    expected = ["in/b.xml#0", "in/a.xml#0"]
    assert [row["record_id"] for row in rows(Location.at(here / "out"))] == [row["record_id"] for row in listed("in")] == expected


def test_list_input_limit_takes_the_first_records(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--limit` counts records, and leaves no part of others, which tasks that ran ahead or a killed run have written."""
    monkeypatch.setattr(groups, "_MAX_GROUP_FILES", 1)
    write(here, out__rows_000009_parquet=b"left by a killed run")
    write(here, in__a_txt="1\n2\n3", in__b_txt="4\n5", in__c_txt="6")
    listing = write_work_list(Location.at(here / "out"), "in", limit=4, in_order=lambda *task: list(map(*task)))
    assert listing.records == sum(listing.counts.values()) == 4
    assert [row["text"] for row in rows(Location.at(here / "out"))] == ["1", "2", "3", "4"]
    assert listing.digest == counted("in", images=False, limit=4).digest


def test_listing_saved_is_the_same_when_loaded(here: Path) -> None:
    """The counts are kept beside the parts, so that a run that goes on need not list again."""
    write(here, in__a_txt="1\n2", in__b_docx="?")
    listing = write_work_list(Location.at(here / "out"), "in")
    assert Listing.load(Location.at(here / "out")) == listing
    assert Listing.load(Location.at(here / "none")) is None


def test_require_unchanged_names_the_files_that_are_not_as_they_were(here: Path) -> None:
    """What is new, changed or gone is named, the first few of each; ground truth belongs to its scan."""
    write(here, in__a_png=page(), in__b_txt="x", in__c_txt="x", **{f"in__d{i}_txt": "x" for i in range(5)})
    out = Location.at(here / "out")
    listing = write_work_list(out, "in", images=True)
    require_unchanged(walk_input(InputConfig(paths=["in"]), images=True), listing.digest, out, "out")
    write(here, in__b_txt="longer", in__e_txt="new")
    (here / "in/a.gt.txt").write_text("truth")
    for number in range(5):
        (here / f"in/d{number}.txt").unlink()
    with pytest.raises(ConfigError) as error:
        require_unchanged(walk_input(InputConfig(paths=["in"]), images=True), listing.digest, out, "out")
    for named in ("1 new (in/e.txt)", "2 changed (in/a.png, in/b.txt)", "5 gone (in/d0.txt, in/d1.txt, in/d2.txt, ...)"):
        assert named in str(error.value)


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
