"""Rows of images with instruction and answer: the same samples from every form in which people have them."""

import csv
import json
import shutil
from datetime import date
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import image_forms
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_forms import FORMATS, FORMS, INSTRUCTION, png, read, write

from ocrray.text import json_text
from ocrray.training.data import Reader, draws
from ocrray.training.image_rows import ImageRows
from ocrray.training.images import open_image
from ocrray.training.settings import DataConfig


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two images."""
    return image_forms.make_images(tmp_path)


@pytest.mark.parametrize("form", FORMS)
def test_image_rows_every_form_gives_the_same_samples(folder, form):
    """Image, instruction and answer arrive alike from each form and format, and the file stands where the row says."""
    examples = [("red.png", "नमस्ते, “world”\nzwei"), ("blue.png", "1.10")]

    for suffix in FORMATS:
        rows = read(write(folder, form, suffix, examples))

        assert [row["problem"] for row in rows] == [None, None], suffix
        assert [row["answer"] for row in rows] == [answer for _, answer in examples]
        assert [open_image(row["image"]).getpixel((0, 0)) for row in rows] == [(255, 0, 0), (0, 0, 255)]
        assert {row["instruction"] for row in rows} <= {INSTRUCTION, None}


@pytest.mark.parametrize("form", FORMS)
def test_image_rows_json_answers_have_one_spelling(folder, form):
    """Objects and strings give the same JSON in every format: keys in order, numbers as written."""
    answer = {"total": "1.10", "items": [{"name": "नमक", "n": 2}], "a": None}
    expected = '{"total": "1.10", "items": [{"name": "नमक", "n": 2}]}'

    for suffix in FORMATS:
        for written in (json.dumps(answer), json.dumps(answer, ensure_ascii=False, indent=2)):
            [row] = read(write(folder, form, suffix, [("red.png", written)]), json_answers=True)
            assert (row["answer"], row["problem"]) == (expected, None), (suffix, row)


def test_draws_of_image_rows_do_not_depend_on_where_and_how_they_are_stored(folder, tmp_path_factory):
    """The same rows are held out after the data were moved, or packed into Parquet with their images."""
    other = tmp_path_factory.mktemp("moved")
    shutil.copytree(folder / "images", other / "images")
    examples = [("red.png", "a"), ("blue.png", "b")]
    paths = [write(folder, "image_file", "csv", examples), write(other, "prefix", "jsonl", examples)]
    paths.append(write(folder, "bytes", "parquet", examples))

    tables = [pa.concat_tables(Reader(ImageRows(DataConfig(train=[path]))).read(path, 0)) for path in paths]

    one, *others = [draws(table, ["image", "answer"], "held out").tolist() for table in tables]
    assert others == [one, one]
    assert len(set(one)) == 2


def test_image_rows_nested_answer_is_the_json_as_it_was_written(folder):
    """A number keeps its digits and keys their order, in an object as in its text; a key that stands twice drops the row."""
    path = folder / "rows.jsonl"
    objects = ['{"b": 1.10,"a":[007.0e1, "é"]}'.replace("007", "7"), '{"b":1, "b":2}', '{"b": NaN}', "[]", "1.10", '"x"', "{}"]
    texts = [json.dumps(text) for text in objects]
    lines = [f'{{"image": "images/red.png", "suffix": {answer}}}\n' for answer in (*objects, *texts)]
    path.write_text("".join(lines), encoding="utf-8")

    rows = read(str(path), json_answers=True)

    written = ['{"b": 1.10, "a": [7.0e1, "é"]}', None, None, "[]", None, None, "{}"]
    assert [row["answer"] for row in rows] == written * 2
    assert [row["problem"] for row in rows] == [None, "bad_json", "bad_json", None, "bad_json", "bad_json", None] * 2


def test_image_rows_text_answer_stays_as_it_is_written(folder):
    """A transcription that looks like JSON, or like a place of an image, is a text; only line ends become line feeds."""
    path = folder / "rows.jsonl"
    answers = ['{"a":1}', "[ 1 ]", "<image> 1.10", " a\r\nb ", 1.10, {"a": 1.10}]
    path.write_text("".join(json.dumps({"image": "images/red.png", "text": answer}) + "\n" for answer in answers))

    assert [row["answer"] for row in read(str(path))] == ['{"a":1}', "[ 1 ]", "<image> 1.10", " a\nb ", "1.1", '{"a": 1.1}']


def test_image_rows_parquet_columns_have_the_types_of_arrow(folder):
    """Decimals are numbers, dates strings, and members that only other rows have are left out."""
    kind = pa.struct({"total": pa.decimal128(5, 2), "date": pa.date32(), "items": pa.list_(pa.struct({"n": pa.int64()}))})
    answers = [{"total": Decimal("1.10"), "date": date(1894, 5, 1)}, {"items": [{"n": 1}, {"n": None}]}]
    columns = {"image": pa.array([png("red")] * 2), "text": pa.array(answers, kind)}
    pq.write_table(pa.table(columns), folder / "rows.parquet")

    for json_answers in (False, True):
        rows = read(str(folder / "rows.parquet"), json_answers=json_answers)
        assert [row["answer"] for row in rows] == ['{"total": 1.10, "date": "1894-05-01"}', '{"items": [{"n": 1}, {}]}']


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text(), JSON, max_size=4), st.sampled_from([None, 1]), st.booleans())
def test_canonical_json_does_not_depend_on_how_it_was_spelled(value, indent, ascii_only):
    """Spacing and escapes go, everything else stays; a second time changes nothing."""
    text = json_text.canonical(json.dumps(value, indent=indent, ensure_ascii=ascii_only))

    assert text == json.dumps(value, ensure_ascii=False) == json_text.spell(value)
    assert json_text.canonical(text) == text
    assert json_text.member(json.dumps({"x": 1, "y": value}, indent=indent), "y") == text


@pytest.mark.shared
@pytest.mark.parametrize("most", [3, pytest.param(None, marks=pytest.mark.slow)])
@pytest.mark.parametrize("source", ["receipts", "hindi_lines"])
def test_image_rows_real_data_are_identical_from_every_form(shared_data, tmp_path, source, most):
    """Receipts with their fields and Hindi lines: one list of samples from 12 forms in 4 formats."""
    folder = shared_data / source
    if source == "receipts":
        rows = [json.loads(line) for line in (folder / "receipts.jsonl").read_text("utf-8").splitlines()]
        examples = [(Path(row["image"]).name, json.dumps(row["fields"])) for row in rows]
    else:
        with (folder / "lines.csv").open(encoding="utf-8", newline="") as file:
            examples = [(row["image_file"], row["text"]) for row in csv.DictReader(file)]
    (tmp_path / "images").symlink_to(folder / "images")
    is_json = source == "receipts"
    assert len(examples) == (33 if is_json else 250)
    examples = examples[:most]

    found = {
        (form, suffix): contents(read(write(tmp_path, form, suffix, examples), json_answers=is_json))
        for form in FORMS
        for suffix in FORMATS
    }

    expected = [(name, json.dumps(json.loads(answer), ensure_ascii=False) if is_json else answer) for name, answer in examples]
    digests = [(sha256((folder / "images" / name).read_bytes()).digest(), answer) for name, answer in expected]
    assert all(samples == digests for samples in found.values()), [name for name, samples in found.items() if samples != digests]


def contents(rows: list[dict[str, Any]]) -> list[tuple[bytes, str]]:
    """Digests of the images, and the answers."""
    data = [row["image"]["bytes"] or Path(row["image"]["path"]).read_bytes() for row in rows]
    return [(sha256(image).digest(), row["answer"]) for image, row in zip(data, rows, strict=True)]
