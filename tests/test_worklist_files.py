"""The work list says of each file what it is: every kind is told apart, bad files fail, and a METS stands for its files."""

from pathlib import Path

import pytest
from worklist_samples import HOCR, HOCR_PAGE, PAGE, alto, counted, listed, mets, page, summary, write

from ocrray.errors import ConfigError
from ocrray.sources.input import InputConfig
from ocrray.sources.worklist import count_records


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


def test_list_records_same_file_named_twice_is_listed_once(here: Path) -> None:
    """Overlapping paths, and a list with a line twice, do not double a record."""
    write(here, in__a_txt="x", in__b_txt="y", list_txt="in/b.txt\nin/b.txt\n")
    assert [record for record, _, _ in summary("in/b.txt", "in", "in/*.txt", f"{here}/in", "@list.txt")] == [
        "in/b.txt#0",
        "in/a.txt#0",
    ]


def test_list_records_bad_files_are_failed_records(here: Path) -> None:
    """Unreadable files are listed with their reason; nothing is dropped, and nothing crashes."""
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
