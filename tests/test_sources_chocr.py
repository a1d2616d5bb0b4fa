"""Character-level hOCR, as the Internet Archive (`_chocr.html.gz`) and Tesseract (`hocr_char_boxes`) write it."""

from datetime import UTC, datetime

import pytest

from ocrray.corpus.export.document import write_document
from ocrray.corpus.export.history import ProcessingStep
from ocrray.records import Edit, Line, Word
from ocrray.sources.ocr_files.markup import read_page

CHAR = "\n       <span class='ocrx_cinfo' title='x_bboxes {0} 2 {1} 9; x_conf 98.5'>{2}</span>"


def page(words: str) -> bytes:
    doctype = '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">'
    line = f"<span class='ocr_line' title='bbox 1 2 30 9'>{words}\n     </span>"
    inside = f"<div class='ocr_page' title='bbox 0 0 99 99'><div class='ocr_carea'><p class='ocr_par'>{line}</p></div></div>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{doctype}<html xmlns="http://www.w3.org/1999/xhtml"><body>{inside}</body></html>'.encode()


def word(inside: str) -> str:
    return f"\n      <span class='ocrx_word' title='bbox 1 2 9 9; x_wconf 96'>{inside}\n      </span>"


def chars(text: str) -> str:
    return "".join(CHAR.format(number, number + 1, char) for number, char in enumerate(text))


def test_chocr_characters_make_words() -> None:
    """White space between the elements of characters is indentation; words have the box and confidence of the word."""
    words = tuple(Word(text, 1, 2, 9, 9, 0.96) for text in ("Hi", "you"))

    assert read_page("hocr", page(word(chars("Hi")) + word(chars("you"))), 0).lines == [Line("Hi you", 1, 2, 30, 9, words=words)]


CHOICE = "\n <span class='ocrx_cinfo' id='choice_1_1_{0}' title='x_confs {1}'>{0}</span>"
CHOICES = "\n <span class='ocrx_cinfo' id='lstm_choices_1_1_1'>" + CHOICE.format("H", 90) + CHOICE.format("N", 9) + "\n </span>"
STEPS = "\n <span class='ocr_symbol'><span class='ocrx_cinfo' id='timestep1_1_1'>" + CHOICE.format("H", 9) + "</span></span>"


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        (f"<strong><em>{chars('Hi')}</em></strong>", "Hi"),
        (chars("a b"), "a b"),
        (f"{CHAR.format(1, 2, 'H')}{CHOICES}{CHAR.format(2, 3, 'i')}{CHOICES}", "Hi"),
        (f"{CHAR.format(1, 2, 'H')}{STEPS}{CHAR.format(2, 3, 'i')}{STEPS}", "Hi"),
        (f"Hi{CHOICES}{CHOICES}", "Hi"),
        (f"Hi{STEPS}", "Hi"),
        ("H<span class='ocrx_cinfo'>i</span> you", "Hi you"),
        ("<b>H</b> <b>i</b>", "H i"),
    ],
)
def test_chocr_alternatives_are_not_text(inside: str, expected: str) -> None:
    """What Tesseract weighed for a character (`lstm_choice_mode`) is read only where the word has no other text."""
    document = read_page("hocr", page(word(inside)), 0)

    assert [line.text for line in document.lines] == [expected]
    assert document.warnings == ()


@pytest.mark.parametrize("choices", ["", CHOICES])
def test_chocr_is_exported_without_a_loss(choices: str) -> None:
    """A corrected word is written into its first character; what is written reads as corrected, other words stay as they are."""
    data = page(word(chars("Hi")) + word(chars("yov") + choices))
    step = ProcessingStep("0", "tagger", datetime(2026, 11, 28, tzinfo=UTC))

    written = write_document("hocr", data, {0: [Edit(5, 6, "v", "u")]}, step).data

    assert [line.text for line in read_page("hocr", written, 0).lines] == ["Hi you"]
    assert word(chars("Hi")).encode() in written
