"""Every ALTO, PAGE and hOCR sample beside the checkout, written back: nothing but the text changes, and the text as told."""

import random
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lxml import etree

from ocrray.corpus.export.document import write_document
from ocrray.corpus.export.history import ProcessingStep
from ocrray.corpus.export.projection import collapsed, corrected_lines
from ocrray.records import Line, Word
from ocrray.sources.kinds import markup_kind_of
from ocrray.sources.ocr_files import markup
from ocrray.sources.ocr_files.xml_parse import local_name
from ocrray.text.edits import edits_between

pytestmark = pytest.mark.shared

STEP = ProcessingStep("9.8.7", "fake", datetime(2026, 5, 4, tzinfo=UTC))
LINE_OF_ALTO = re.compile(r"(Shape )?(String (SP )?)+(HYP )?")
LEFT_OUT = {
    "Glyph",
    "TextEquiv",
    "postProcessingStep",
    "OCRProcessing",
    "Processing",
    "LastChange",
    "MetadataItem",
    "Comments",
    "meta",
}


def samples(folder: Path) -> Iterator[tuple[str, bytes, int]]:
    """Kind, bytes and number of pages of every sample."""
    for path in sorted((folder / "formats").rglob("*")):
        if path.suffix in (".xml", ".html", ".hocr"):
            data = path.read_bytes()
            kind = markup_kind_of(data[: 1 << 16])
            if kind and kind.is_exported:
                yield kind.name, data, markup.count_pages(kind.name, data)


def lines_of(kind: str, data: bytes, page: int) -> list[Line]:
    return list(markup.read_page(kind, data, page).lines)


def written(kind: str, data: bytes, new: dict[int, str]) -> bytes:
    raw = {page: "\n".join(line.text for line in lines_of(kind, data, page)) for page in new}
    return write_document(kind, data, {page: edits_between(raw[page], text) for page, text in new.items()}, STEP).data


def outside_of_text(kind: str, data: bytes) -> Counter[tuple[str, str]]:
    """What is in the file beside texts, and what was said of them and of the file's history."""
    root = markup.pages(kind, data)[0].getroottree().getroot()
    found: Counter[tuple[str, str]] = Counter()
    left_out = set()
    for element in root.iter("{*}*"):
        name = local_name(element)
        if name in LEFT_OUT or element.getparent() in left_out:
            left_out.add(element)
        else:
            values = {name: value for name, value in element.items() if name not in ("CONTENT", "WC", "CC", "SUBS_CONTENT")}
            if "title" in values:
                values["title"] = re.sub(r"; x_wconf \d+", "", values["title"])
            found[name, str(values)] += 1
    return found


def changed_rows(before: bytes, after: bytes) -> int:
    """How many rows of the new file are not, byte for byte, rows of the old one."""
    return (Counter(after.split(b"\n")) - Counter(before.split(b"\n"))).total()


def test_export_real_sample_with_a_letter_changed_differs_by_that_letter(shared_data: Path):
    """On each page one letter of one word: all other lines, words and boxes, and all else in the file, are as they were."""
    counts: Counter[str] = Counter()
    for kind, data, pages in samples(shared_data):
        assert write_document(kind, data, {page: [] for page in range(pages)}, STEP).data == data
        before = {page: lines_of(kind, data, page) for page in range(pages)}
        chosen = {page: max(range(len(lines)), key=lambda i: len(lines[i].text)) for page, lines in before.items() if lines}
        new = {}
        for page, row in chosen.items():
            texts = [line.text for line in before[page]]
            texts[row] = re.sub(r"\w", "Ꝛ", texts[row], count=1)
            new[page] = "\n".join(texts)

        changed = written(kind, data, new)

        assert changed_rows(data, changed) <= 2 + 6 * pages  # the word, the copies of it in PAGE, and the history
        assert outside_of_text(kind, changed) == outside_of_text(kind, data)
        for page, row in chosen.items():
            after = lines_of(kind, changed, page)
            assert [line.text for line in after] == new[page].split("\n")
            assert after[:row] + after[row + 1 :] == before[page][:row] + before[page][row + 1 :]
            assert [place(word) for word in after[row].words] == [place(word) for word in before[page][row].words]
            counts[kind] += 1
    assert counts["alto"] > 35
    assert counts["page"] > 60
    assert counts["hocr"] == 6


def test_export_real_sample_corrected_everywhere_reads_as_corrected(shared_data: Path):
    """Words changed, split, joined, inserted and deleted at random: line by line the text is the corrected one, boxes are inside
    their line's, and the file keeps to its format: unique IDs, and lines of ALTO as the schema has them."""
    rng = random.Random(1)
    changed_lines: Counter[str] = Counter()
    for kind, data, pages in samples(shared_data):
        if kind != "hocr" and (len(data) > 500_000 or rng.random() < 0.5):
            continue  # as this takes a while
        before = {page: lines_of(kind, data, page) for page in range(pages)}
        raw = {page: "\n".join(line.text for line in lines) for page, lines in before.items()}
        new = {page: miscorrected(text, rng) for page, text in raw.items()}

        result = written(kind, data, new)

        for page, text in new.items():
            texts = [line.text for line in before[page]]
            expected = corrected_lines(texts, edits_between(raw[page], text))
            after = lines_of(kind, result, page)
            assert [collapsed(line.text) for line in after] == [collapsed(line) for line in expected if line]
            places = [around(old) for old, text in zip(before[page], expected, strict=True) if text]
            assert all(is_inside(word, place) for line, place in zip(after, places, strict=True) for word in line.words)
            changed_lines[kind] += sum(old != line for old, line in zip(texts, expected, strict=True))
        assert_well_formed(kind, data, result)
    assert changed_lines["alto"] > 300
    assert changed_lines["page"] > 300
    assert changed_lines["hocr"] > 50


def miscorrected(text: str, rng: random.Random) -> str:
    """The text with letters, spaces and line ends put in, left out and changed, here and there."""
    made = []
    for letter in text:
        chance = rng.random()
        if chance < 0.01:
            made.append(rng.choice("eſß&<\"'> "))
        elif chance < 0.02:
            made += [letter, rng.choice("xy.,- ")]
        elif chance > 0.01 * 3:
            made.append(letter)
    return "".join(made)


def place(item: Line | Word) -> tuple[int | None, ...]:
    return item.left, item.top, item.right, item.bottom


def around(line: Line) -> tuple[int, ...] | None:
    """The box around a line and its words, which producers let stick out."""
    boxes = [place(item) for item in (line, *line.words) if item.left is not None]
    if not boxes:
        return None
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def is_inside(word: Word, box: tuple[int, ...] | None) -> bool:
    if box is None or word.left is None:
        return True
    left, top, right, bottom = box
    return left <= word.left <= word.right <= right and top <= word.top <= word.bottom <= bottom


def assert_well_formed(kind: str, before: bytes, after: bytes) -> None:
    if kind == "hocr":
        return
    old, new = etree.fromstring(before), etree.fromstring(after)
    ids = Counter(value for element in new.iter("{*}*") for name, value in element.items() if name in ("id", "ID"))
    old_ids = Counter(value for element in old.iter("{*}*") for name, value in element.items() if name in ("id", "ID"))
    assert all(count <= max(1, old_ids[name]) for name, count in ids.items())
    if kind == "alto":
        broken = [sum(not LINE_OF_ALTO.fullmatch(children(line)) for line in root.iter("{*}TextLine")) for root in (old, new)]
        assert broken[1] <= broken[0]
    for word in new.iter("{*}Word"):
        assert next(local_name(child) for child in word if local_name(child) in ("Coords", "TextEquiv")) == "Coords"


def children(line: etree._Element) -> str:
    return "".join(f"{local_name(child)} " for child in line)
