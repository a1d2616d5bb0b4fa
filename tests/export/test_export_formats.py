"""Corrections written back, whatever the format: encodings, files that cannot be followed, any text at all."""

import hostile
import pytest
from export_samples import (
    ALTO,
    HOCR,
    PAGE,
    STEP,
    alto_line,
    corrected,
    hocr_line,
    hocr_word,
    page_region,
    page_text,
    page_word,
    string,
    text_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrray.corpus.export.document import write_document
from ocrray.corpus.export.projection import collapsed, corrected_lines
from ocrray.errors import RecordError
from ocrray.sources.ocr_files import markup
from ocrray.text.edits import edits_between


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1"])
def test_export_keeps_the_encoding(encoding: str):
    """What the encoding lacks becomes a reference; all other bytes stay, line ends and byte order mark too."""
    line = alto_line(string("tbe", 0, 60), "<!-- é -->", "<SP/>", string("œuvre" if "8859" not in encoding else "é", 70, 60))
    source = ALTO.format(line).replace("UTF-8", encoding.removesuffix("-sig")).replace("\n", "\r\n")
    data = source.encode(encoding)
    new = text_of("alto", data).replace("tbe", "Ω<&'\"")

    written = corrected("alto", data, new)

    assert "<!-- é -->".encode(encoding.replace("-sig", ""))[-16:] in written
    assert written[:60] == data[:60]
    assert written[-120:] == data[-120:]


def test_export_without_a_change_is_the_same_bytes():
    """No edits, and edits of white space only, leave a file as it is."""
    data = ALTO.format(alto_line(string("the", 0, 60), "<SP/>", string("cat", 70, 60))).encode()

    for new in ("the cat", "the  cat "):
        written = write_document("alto", data, {0: edits_between("the cat", new)}, STEP)
        assert (written.data, written.changed_lines) == (data, 0)


def test_export_refuses_edits_of_another_text_or_page():
    """A file that is not the one that was read is an error with a kind."""
    data = ALTO.format(alto_line(string("the", 0, 60))).encode()

    for edits, kind in (({0: edits_between("xyz", "xya")}, "other_text"), ({1: edits_between("a", "b")}, "missing_page")):
        with pytest.raises(RecordError) as error:
            write_document("alto", data, edits, STEP)
        assert error.value.kind == kind


def test_export_hostile_file_is_a_record_error_or_reads_as_corrected():
    """No file that attackers send breaks out of the one error that stands for it."""
    for name, (data, kind) in hostile.documents().items():
        format_ = next((known for known in ("alto", "page", "hocr") if f".{known}" in name), None)
        if format_ and kind == hostile.GOOD:
            corrected(format_, data, text_of(format_, data).replace("o", "e<&"))
        elif format_:
            with pytest.raises(RecordError) as error:
                write_document(format_, data, {0: edits_between("x", "y")}, STEP)
            assert error.value.kind == kind


words = st.text(st.sampled_from("abcé-&<\"',.¬"), min_size=1, max_size=7)
lines = st.lists(st.lists(words, min_size=1, max_size=5), min_size=1, max_size=4)
correction = st.text(st.sampled_from("abcé-&<\"'. \n"), max_size=60)


def escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def as_alto(lines: list[list[str]], spaces: list[str], widths: list[int], hyphens: list[str]) -> str:
    """Spaces, room between boxes and hyphens come in the given turns, whatever the words are."""
    rows = []
    for number, line in enumerate(lines):
        row = "\n "
        for index, word in enumerate(line):
            turn = number + index
            row += string(escape(word), 60 * index, widths[turn % len(widths)]) + spaces[turn % len(spaces)]
        rows.append(alto_line(row + hyphens[number % len(hyphens)]))
    return ALTO.format("\n".join(rows))


def as_page(lines: list[list[str]], with_lines: bool, with_words: bool, is_backwards: bool, cell: str) -> str:
    """Regions or cells with lines, their words, or both; `is_backwards` turns the file's order round and says the right one."""
    rows = []
    for number, line in enumerate(lines):
        found = [page_word(escape(word), 60 * i).replace('id="', f'id="n{number}') for i, word in enumerate(line)]
        if is_backwards:
            words = [word.replace(" id=", f' custom="readingOrder {{index:{i};}}" id=', 1) for i, word in enumerate(found)]
            found = words[::-1]
        text = page_text(escape(" ".join(line)))
        row = page_region(
            "\n".join([*(found if with_words else []), *([text] if with_lines or not with_words else [])]),
            text,
        )
        place = f'custom="readingOrder {{index:{number};}}" row="{number}" col="0"' if is_backwards else ""
        rows.append(row.replace("TextRegion", cell).replace(f"<pc:{cell} ", f"<pc:{cell} {place} "))
    return PAGE.format(2019, "\n".join(rows[::-1] if is_backwards else rows))


def as_hocr(lines: list[list[str]], bare: int) -> str:
    rows = [
        hocr_line(" ".join(escape(word) if i % 3 == bare else hocr_word(escape(word), 60 * i) for i, word in enumerate(line)))
        for line in lines
    ]
    return HOCR.format("\n".join(rows))


documents = st.one_of(
    st.tuples(
        st.just("alto"),
        st.builds(
            as_alto,
            lines,
            st.lists(st.sampled_from(["", "<SP/>", "<SP/><SP/>", '<String CONTENT=" "/>']), min_size=1, max_size=4),
            st.lists(st.sampled_from([60, 50, 0]), min_size=1, max_size=3),
            st.lists(st.sampled_from(["", '\n<HYP CONTENT="-"/>', "<HYP/><HYP/>", "<SP/><HYP/>"]), min_size=1, max_size=3),
        ),
    ),
    st.tuples(
        st.just("page"), st.builds(as_page, lines, *[st.booleans()] * 3, st.sampled_from(["TextRegion", "TableCell", "X"]))
    ),
    st.tuples(st.just("hocr"), st.builds(as_hocr, lines, st.integers(0, 3))),
)


@settings(max_examples=150, deadline=None)
@given(documents, correction)
def test_export_any_correction_of_any_page_reads_back(document: tuple[str, str], new: str):
    """Whatever the correction says, the written file reads so, line by line, with every box inside its line's."""
    kind, source = document
    data = source.encode()
    raw = text_of(kind, data)
    edits = edits_between(raw, new)
    expected = [collapsed(line) for line in corrected_lines(raw.split("\n"), edits) if line]

    written = write_document(kind, data, {0: edits}, STEP).data

    page = markup.read_page(kind, written, 0)
    assert [collapsed(line.text) for line in page.lines] == expected
    for line in page.lines:
        for word in line.words:
            assert line.left is None or line.left <= word.left <= word.right <= line.right
