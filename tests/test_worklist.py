"""The work list has one row for each page, line or row that `input` names, each once, and says of each file what it is."""

import resource
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from ocrray.errors import ConfigError
from ocrray.records import WORK_LIST_SCHEMA
from ocrray.sources import worklist
from ocrray.sources.files import Location
from ocrray.sources.input import InputConfig
from ocrray.sources.rows import with_unique_ids
from ocrray.sources.seen import SeenKeys
from ocrray.sources.worklist import Listing, count_records, list_records, write_work_list

ALTO = '<alto xmlns="http://www.loc.gov/standards/alto/ns-v3#"><Layout>{}</Layout></alto>'
ALTO_PAGE = (
    '<Page ID="p{0}"><PrintSpace><TextBlock><TextLine><String CONTENT="word{0}"/></TextLine></TextBlock></PrintSpace></Page>'
)
HOCR = '<html xmlns="http://www.w3.org/1999/xhtml"><body>{}</body></html>'
HOCR_PAGE = '<div class="ocr_page"><span class="ocr_line"><span class="ocrx_word">word</span></span></div>'
PAGE = '<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"><Page imageFilename="a.png"/></PcGts>'


class Folder:
    """A local folder, as `write_work_list` takes it."""

    def __init__(self, path: Path) -> None:
        path.mkdir(exist_ok=True)
        self.filesystem = pa.fs.LocalFileSystem()
        self.path = str(path)

    def tables(self) -> list[pa.Table]:
        return [pq.read_table(path) for path in sorted(Path(self.path).iterdir())]


def alto(pages: int = 1) -> str:
    return ALTO.format("".join(ALTO_PAGE.format(page) for page in range(pages)))


def mets(*pages: tuple[str, ...]) -> str:
    """A METS whose pages each name these files, in groups by their place."""
    groups: dict[int, str] = {}
    divisions = ""
    for page, references in enumerate(pages):
        pointers = ""
        for group, reference in enumerate(references):
            name = f"f{page}_{group}"
            kind = "image/png" if reference.endswith("png") else "application/alto+xml"
            location = f'<FLocat LOCTYPE="URL" xlink:href="{reference}"/>'
            groups[group] = groups.get(group, "") + f'<file ID="{name}" MIMETYPE="{kind}">{location}</file>'
            pointers += f'<fptr FILEID="{name}"/>'
        divisions += f'<div TYPE="page" ORDER="{page + 1}">{pointers}</div>'
    section = "".join(f'<fileGrp USE="{"MASTER" if "png" in text else "FULLTEXT"}">{text}</fileGrp>' for text in groups.values())
    return (
        '<mets xmlns="http://www.loc.gov/METS/" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<fileSec>{section}</fileSec><structMap TYPE="PHYSICAL"><div TYPE="physSequence">{divisions}</div></structMap></mets>'
    )


def write(folder: Path, **contents: str | bytes | Image.Image) -> None:
    """Files by name, `__` standing for a slash and `_` before the extension for its dot."""
    for key, content in contents.items():
        stem, _, extension = key.replace("__", "/").rpartition("_")
        path = folder / f"{stem}.{extension}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Image.Image):
            content.save(path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())


def listed(*paths: str, images: bool = True, **settings: Any) -> list[dict[str, Any]]:
    return [row for table in list_records(InputConfig(paths=list(paths), **settings), images=images) for row in table.to_pylist()]


def summary(*paths: str, **settings: Any) -> list[tuple[str, str, str | None]]:
    return [(row["record_id"], row["kind"], row["error_kind"]) for row in listed(*paths, **settings)]


def counted(*paths: str, images: bool = True, limit: int | None = None, **settings: Any) -> Listing:
    return count_records(InputConfig(paths=list(paths), **settings), images=images, limit=limit)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def page(width: int = 20) -> Image.Image:
    return Image.new("L", (width, 20), 255)


def test_list_records_folder_of_all_kinds_is_told_apart(here: Path) -> None:
    """Each file is what it is, pages are counted, and what is none of these is left out and counted."""
    write(here, in__a_png=page(), in__b_xml=alto(2), in__c_xml=PAGE, in__d_html=HOCR.format(HOCR_PAGE * 3))
    write(here, in__e_txt="one\ntwo", in__f_jsonl='{"text": "x"}', in__g_docx="?", in__h_xml="<tei/>", in__i_html="<html>")
    page().save(here / "in/j.tif", save_all=True, append_images=[page(21)])
    assert summary("in") == [
        ("in/a.png#0", "image", None),
        ("in/b.xml#0", "alto", None),
        ("in/b.xml#1", "alto", None),
        ("in/c.xml#0", "page", None),
        ("in/d.html#0", "hocr", None),
        ("in/d.html#1", "hocr", None),
        ("in/d.html#2", "hocr", None),
        ("in/e.txt#0", "text", None),
        ("in/e.txt#1", "text", None),
        ("in/f.jsonl#0", "table", None),
        ("in/j.tif#0", "image", None),
        ("in/j.tif#1", "image", None),
    ]
    listing = counted("in")
    assert (listing.records, listing.files, listing.failed, listing.skipped) == (12, 7, 0, 3)
    assert listing.counts == {"image": 3, "alto": 2, "page": 1, "hocr": 3, "text": 2, "table": 1}
    assert listing.size_bytes == sum(
        (here / "in" / name).stat().st_size for name in ["a.png", "b.xml", "c.xml", "d.html", "e.txt", "f.jsonl", "j.tif"]
    )


def test_list_records_tables_have_the_schema_and_the_passthrough_columns(here: Path) -> None:
    """Every table has the same columns, scans without a value of the user's own."""
    write(here, in__a_png=page(), in__b_jsonl='{"text": "x", "title": "T"}')
    (table,) = list_records(InputConfig(paths=["in"], passthrough=["title"]), images=True)
    assert table.schema == pa.schema([*WORK_LIST_SCHEMA, ("title", pa.string())])
    assert table["title"].to_pylist() == [None, "T"]
    assert table["uri"].to_pylist() == [str(here / "in/a.png"), str(here / "in/b.jsonl")]


def test_list_records_same_file_named_twice_is_listed_once(here: Path) -> None:
    """Overlapping paths, and a list with a line twice, do not double a record."""
    write(here, in__a_txt="x", in__b_txt="y", list_txt="in/b.txt\nin/b.txt\n")
    assert [record for record, _, _ in summary("in/b.txt", "in", "in/*.txt", f"{here}/in", "@list.txt")] == [
        "in/b.txt#0",
        "in/a.txt#0",
    ]


def test_list_records_bad_files_are_failed_records(here: Path) -> None:
    """What cannot be read is in the list, with the reason; nothing is dropped, and nothing crashes."""
    write(here, in__a_png=b"", in__b_tif=b"II*\0" + b"x" * 99, in__c_xml="<alto><Layout>", in__d_xml="no xml", in__e_pdf="%PDF-")
    write(here, list_txt="in/none.png\nin/f.docx\n", in__f_docx="?")
    assert summary("in", "@list.txt") == [
        ("in/a.png#0", "image", "empty_file"),
        ("in/b.tif#0", "image", "truncated"),
        ("in/c.xml#0", "alto", "invalid_xml"),
        ("in/d.xml#0", "xml", "unknown_format"),
        ("in/e.pdf#0", "pdf", "unreadable"),
        ("in/none.png#0", "image", "missing"),
        ("in/f.docx#0", "unknown", "unknown_format"),
    ]
    assert all(name in row["error"] for name, row in zip("abcde", listed("in"), strict=True))
    assert counted("in").failed == 5


def test_list_records_without_recognizer_leaves_scans_out(here: Path) -> None:
    """Scans in a folder are skipped where nothing can recognize them; one that was named is a mistake in the config."""
    write(here, in__a_png=page(), in__b_txt="text")
    assert summary("in", images=False) == [("in/b.txt#0", "text", None)]
    assert counted("in", images=False).skipped_by_reason == {"scan": 1}
    for settings in ({"paths": ["in/a.png"]}, {"paths": ["in"], "kind": "image"}, {"paths": ["in"], "kind": "pdf"}):
        with pytest.raises(ConfigError):
            count_records(InputConfig(**settings), images=False)


def test_list_records_given_kind_picks_from_a_folder_and_trusts_a_name(here: Path) -> None:
    """`kind` leaves other files of a folder out, and says what a file with an unknown name is."""
    write(here, in__a_xml=alto(), in__b_xml=PAGE, in__c_txt="x", in__d_ocr="y", in__e_png=page())
    assert summary("in", kind="alto") == [("in/a.xml#0", "alto", None)]
    assert summary("in", kind="image") == [("in/e.png#0", "image", None)]
    assert summary("in", kind="text") == [("in/c.txt#0", "text", None)]
    assert summary("in/*", kind="text") == [("in/c.txt#0", "text", None), ("in/d.ocr#0", "text", None)]
    assert summary("in/d.ocr", kind="text") == [("in/d.ocr#0", "text", None)]


def test_list_records_ground_truth_beside_a_scan_is_picked_up(here: Path) -> None:
    """`NAME.gt.txt` belongs to `NAME.png` and is no record itself; a page of several has its own."""
    write(here, in__a_png=page(), in__b_png=page(), in__c_png=page(), in__c_jpg=page())
    page().save(here / "in/d.tif", save_all=True, append_images=[page(21)])
    for name, text in {"a": "The\x07 truth\n", "b": "", "d.1": "second", "d": "not of a page"}.items():
        (here / f"in/{name}.gt.txt").write_text(text)
    (here / "in/c.gt.txt").write_bytes(b"\xff")
    expected = [
        ("in/a.png#0", "The\ufffd truth", None),
        ("in/b.png#0", "", None),
        ("in/c.jpg#0", None, "bad_encoding"),
        ("in/c.png#0", None, "bad_encoding"),
        ("in/d.tif#0", None, None),
        ("in/d.tif#1", "second", None),
    ]
    assert [(row["record_id"], row["ground_truth"], row["error_kind"]) for row in listed("in")] == expected
    assert listed("in/a.png")[0]["ground_truth"] == "The\ufffd truth"


def test_list_records_mets_stands_for_its_files(here: Path) -> None:
    """A METS's pages are listed in its order, with their scans, and not a second time on their own."""
    write(here, in__x_mets_xml=mets(("alto/2.xml", "img/2.png"), ("alto/1.xml", "img/1.png")), in__other_png=page())
    write(here, in__alto__1_xml=alto(), in__alto__2_xml=alto(), in__img__1_png=page(), in__img__2_png=page())
    write(here, in__alto__3_xml=alto())
    rows = listed("in/**/*.png", "in")
    assert [(row["record_id"], row["image_uri"]) for row in rows[-3:]] == [
        ("in/alto/2.xml#0", str(here / "in/img/2.png")),
        ("in/alto/1.xml#0", str(here / "in/img/1.png")),
        ("in/alto/3.xml#0", None),
    ]
    assert [row["record_id"] for row in listed("in")] == [
        "in/alto/2.xml#0",
        "in/alto/1.xml#0",
        "in/other.png#0",
        "in/alto/3.xml#0",
    ]
    assert counted("in/x_mets.xml").counts == {"alto": 2}


def test_list_records_mets_without_text_lists_its_scans(here: Path) -> None:
    """A METS that names only images is a list of scans, where those can be recognized."""
    write(here, in__mets_xml=mets(("1.png",), ("2.png",)), in__1_png=page(), in__2_png=page())
    assert summary("in") == [("in/1.png#0", "image", None), ("in/2.png#0", "image", None)]
    assert counted("in", images=False).records == 0


@pytest.mark.parametrize(
    "reference", ["../secret.xml", "/etc/passwd", "a/../../secret.xml", "http://host/a.xml", "..%2fsecret.xml"]
)
def test_list_records_mets_leads_nowhere_else(here: Path, reference: str) -> None:
    """A file outside the METS's folder, or on the web, is never opened: that page fails and the others are read."""
    write(here, secret_xml=alto(), in__mets_xml=mets((reference,), ("a.xml",), ("gone.xml",)), in__a_xml=alto())
    rows = listed("in")
    assert [row["error_kind"] for row in rows] == ["unsafe_path", None, "missing_page"]
    assert not any("secret" in row["uri"] for row in rows)


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
    seen, copies, out, known = SeenKeys(), worklist.Counter(), [], set()
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
    one, two = Folder(here / "one"), Folder(here / "two")
    listing = write_work_list(config, one, images=True)
    assert listing == write_work_list(config, two, images=True) == count_records(config, images=True)
    assert [len(table) for table in one.tables()] == [60, 60, 11]
    assert sorted(path.name for path in (here / "one").iterdir())[0] == "part-00000.parquet"
    assert [row for table in one.tables() for row in table.to_pylist()] == listed("in")
    assert [path.read_bytes() for path in (here / "one").iterdir()] == [path.read_bytes() for path in (here / "two").iterdir()]


def test_write_work_list_limit_takes_the_first_records(here: Path) -> None:
    """`--limit` counts records, and the same limit lists the same files."""
    write(here, in__a_txt="1\n2\n3", in__b_txt="4\n5")
    folder = Folder(here / "out")
    listing = write_work_list(InputConfig(paths=["in"]), folder, images=False, limit=4)
    assert listing.records == sum(listing.counts.values()) == 4
    assert [text for table in folder.tables() for text in table["text"].to_pylist()] == ["1", "2", "3", "4"]
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


def test_list_records_memory_does_not_grow_with_the_records(here: Path) -> None:
    """Two hundred megabytes of lines are listed in a fraction of that."""
    write(here, a_txt=("x" * 1999 + "\n") * 100_000)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert counted("a.txt").records == 100_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 100_000


@pytest.mark.parametrize(
    "settings",
    [
        {"paths": []},
        {"passthrough": ["title", "title"]},
        {"passthrough": ["raw_text"]},
        {"passthrough": ["uri"]},
        {"encoding": "no-such-encoding"},
        {"encoding": "utf-16"},
        {"encoding": "rot13"},
        {"text_column": "a", "image_column": "b"},
        {"kind": "docx"},
        {"unknown": 1},
    ],
)
def test_input_config_refuses_what_cannot_work(settings: dict[str, Any]) -> None:
    """Each mistake is found when the config is read."""
    with pytest.raises(ValidationError):
        InputConfig(**{"paths": ["x"]} | settings)


def test_location_of_a_uri_is_absolute(here: Path) -> None:
    """A worker in another directory opens the same file."""
    write(here, a_txt="x")
    assert listed("a.txt")[0]["uri"] == Location("", str(here / "a.txt")).uri


@pytest.mark.shared
def test_list_records_real_formats(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real METS, ALTO, PAGE, hOCR, JP2 and TIFF files are told apart; only pages that are not there fail."""
    monkeypatch.chdir(shared_data / "formats")
    rows = listed(
        "impresso_samples/RERO2/EZR", "ocrd_assets/indian-ferns", "assembled_from_old_books", kind="auto", text_unit="file"
    )
    counts = {kind: sum(row["kind"] == kind for row in rows) for kind in ("alto", "image", "hocr", "pdf", "table")}
    assert counts["image"] == 7
    assert counts["hocr"] == 6
    assert counts["alto"] == 12
    assert counts["pdf"] == 1
    assert [row["record_id"] for row in rows if row["error_kind"]] == []
    broken = listed("impresso_samples/BL")
    assert {row["error_kind"] for row in broken} == {None, "missing_page"}
    assert all(row["kind"] in ("alto", "mets", "text") for row in broken)
