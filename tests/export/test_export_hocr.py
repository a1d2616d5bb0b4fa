"""Corrections written back: what changes in an hOCR file, and that nothing else does."""

import re

import pytest
from export_samples import (
    HOCR,
    STEP,
    corrected,
    hocr_line,
    hocr_word,
    text_of,
)

from ocrray.corpus.export.document import write_document
from ocrray.errors import RecordError
from ocrray.text.edits import edits_between


def test_export_hocr_word_keeps_its_mark_up():
    """The text changes inside its mark-up, x_wconf goes, and ocr-system tells of the step; the file need not be well-formed."""
    untouched = hocr_word("c&aacute;t", 60)
    source = HOCR.format(hocr_line(hocr_word("<strong>tbe</strong>", 0) + " " + untouched + "<br>"))

    written = corrected("hocr", source, "the cát").decode()

    changed = "<span class='ocrx_word' id='w0' title='bbox 0 10 50 30'><strong>the</strong></span>"
    assert hocr_line(changed + " " + untouched + "<br>") in written
    assert 'content="tesseract 5; text corrected by ocrray 9.8.7 (tagger default abc) 2026-05-04T03:02:01Z"' in written


def test_export_hocr_words_are_split_joined_inserted_and_deleted():
    """Boxes are shared, joined, taken from the gap; text in no word is text of its own."""
    words = " ".join(hocr_word(text, left) for text, left in (("ofthe", 0), ("c", 60), ("at", 120), ("~", 180), ("sat", 240)))

    written = corrected("hocr", HOCR.format(hocr_line(words) + "<p>loose tbxt</p>"), "of the cat sat\nloose text").decode()

    found = re.findall(r"<span class='ocrx_word'( id='\w+')? title='([^']*)'>(\w+)</span>", written)
    assert [(title, text) for _, title, text in found] == [
        ("bbox 0 10 17 30", "of"),
        ("bbox 25 10 50 30", "the"),
        ("bbox 60 10 170 30", "cat"),
        ("bbox 240 10 290 30; x_wconf 50", "sat"),
    ]
    assert "<p>loose text</p>" in written


def test_export_hocr_end_tags_may_be_left_out():
    """An element without one ends where the next begins, or what is around it ends."""
    source = HOCR.format(
        "<p class=ocr_par>one tbe<p class=ocr_par>" + hocr_line("two tbe<br>") + "<table><tr><td>cell tbe</table>"
    )

    written = corrected("hocr", source, "one the\ntwo the\ncell the").decode()

    for text in ("<p class=ocr_par>one the<p class=ocr_par>", ">two the<br></span>", "<td>cell the</table>"):
        assert text in written


def test_export_hocr_reaches_text_outside_every_page():
    """Lines behind an empty page, loose text before and behind it, on any page."""
    page = "<div class='ocr_page' title='bbox 0 0 9 9'/>"
    body = f"loose tbe{page}<p class='ocr_par'>{hocr_line(hocr_word('tbe', 0))}</p>tail tbe{page}<h1>head tbe</h1><p>par tbe</p>"
    data = f"<html><body>{body}</body></html>".encode()
    old = [text_of("hocr", data, page) for page in (0, 1)]
    edits = {page: edits_between(text, text.replace("tbe", "the")) for page, text in enumerate(old)}

    written = write_document("hocr", data, edits, STEP)

    assert old == ["loose tbe\ntbe\ntail tbe", "head tbe\npar tbe"]
    assert written.changed_lines == 5
    assert b"tbe" not in written.data


def test_export_hocr_that_cannot_be_followed_is_refused():
    """Tags that the parser drops or moves would put words in the wrong place: such a file fails, by name."""
    source = HOCR.format("</table></p><div a=1></i><table>x<tr><div>" + hocr_line("tbe")).replace("</body>", "</b><body a=2>")

    with pytest.raises(RecordError) as error:
        write_document("hocr", source.encode(), {0: edits_between(text_of("hocr", source.encode()), "the")}, STEP)
    assert error.value.kind == "not_traceable"
