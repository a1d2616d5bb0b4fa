"""Rows of images with instruction and answer: the same samples from every form in which people have them."""

import base64
import csv
import io
import json
import shutil
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ocrray.errors import ConfigError
from ocrray.text import json_text
from ocrray.training.data import Reader, draws, find_files
from ocrray.training.image_rows import ImageRows
from ocrray.training.images import open_image
from ocrray.training.samples import ARROW_TYPES
from ocrray.training.settings import DataConfig

INSTRUCTION = "Transcribe the text in this image"
FORMATS = ("csv", "json", "jsonl", "parquet")
Example = tuple[str, Any]
"""File name of an image below `images/`, and its answer."""


def png(color: str) -> bytes:
    """A small image of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), color).save(file, "PNG")
    return file.getvalue()


def dialogue(answer: str, role: str, content: str, names: tuple[str, str]) -> list[dict[str, str]]:
    """A question about an image and its answer."""
    return [{role: names[0], content: f"<image>\n{INSTRUCTION}"}, {role: names[1], content: answer}]


def parts(path: str, answer: str) -> list[dict[str, Any]]:
    """A dialogue with the image in its question."""
    image = {"type": "image", "image": path, "text": None}
    question = [image, {"type": "text", "image": None, "text": INSTRUCTION}]
    return [
        {"role": "user", "content": question},
        {"role": "assistant", "content": [{"type": "text", "image": None, "text": answer}]},
    ]


def in_each_form(path: str, data: bytes, answer: str) -> dict[str, dict[str, Any]]:
    """The row of one example in every form."""
    messages = dialogue(answer, "role", "content", ("user", "assistant"))
    conversations = dialogue(answer, "from", "value", ("human", "gpt"))
    truth = json.loads(answer) if answer.startswith("{") else {"text_sequence": answer}
    return {
        "image_file": {"image_file": path, "text": answer},
        "image": {"image": path, "text": answer, "instruction": INSTRUCTION},
        "images": {"images": [path], "text": answer},
        "bytes": {"image": {"bytes": data, "path": Path(path).name}, "text": answer},
        "images_bytes": {"images": [{"bytes": data, "path": None}], "text": answer},
        "query": {"query": f"<image>{INSTRUCTION}", "response": answer, "images": [path], "history": []},
        "messages": {"messages": messages, "images": [path]},
        "parts": {"messages": parts(path, answer)},
        "conversations": {"image": path, "conversations": conversations},
        "prefix": {"image": path, "prefix": INSTRUCTION, "suffix": answer},
        "metadata": {"file_name": path, "text": answer},
        "donut": {"file_name": path, "ground_truth": json.dumps({"gt_parse": truth})},
    }


FORMS = tuple(in_each_form("", b"", ""))


def write(folder: Path, form: str, suffix: str, examples: Sequence[Example]) -> str:
    """A table of the examples beside their images."""
    read_images = [(f"images/{name}", (folder / "images" / name).read_bytes()) for name, _ in examples]
    rows = [in_each_form(*image, answer)[form] for image, (_, answer) in zip(read_images, examples, strict=True)]
    path = folder / f"{form}.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return str(path)
    texts = [{name: in_text(value) for name, value in row.items()} for row in rows]
    match suffix:
        case "csv":
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                cells = [
                    {name: value if isinstance(value, str) else json.dumps(value) for name, value in row.items()} for row in texts
                ]
                writer.writerows(cells)
        case "json":
            path.write_text(json.dumps(texts, indent=1), encoding="utf-8")
        case _:
            path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in texts), encoding="utf-8")
    return str(path)


def in_text(value: Any) -> Any:
    """A value with its bytes in base64, as text formats hold them."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {name: in_text(child) for name, child in value.items()}
    return [in_text(child) for child in value] if isinstance(value, list) else value


def read(path: str, *, json_answers: bool = False, **data: Any) -> list[dict[str, Any]]:
    """Rows of a table."""
    rows = pa.concat_tables(Reader(ImageRows(DataConfig(train=[path], **data), json_answers=json_answers)).read(path, 0))
    assert rows.schema.field("image").type == ARROW_TYPES["image"]
    return list(rows.to_pylist())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two images."""
    (tmp_path / "images").mkdir()
    for color in ("red", "blue"):
        (tmp_path / "images" / f"{color}.png").write_bytes(png(color))
    return tmp_path


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


A = "images/red.png"
B = "images/blue.png"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"image": "images/gone.png", "text": "a"}, "image_missing"),
        ({"image": "../secret.png", "text": "a"}, "image_unsafe_path"),
        ({"image": "images/../../secret.png", "text": "a"}, "image_unsafe_path"),
        ({"image": "images\\..\\..\\secret.png", "text": "a"}, "image_unsafe_path"),
        ({"image": "%2e%2e/secret.png", "text": "a"}, "image_missing"),  # a name of a file, that is not there
        ({"image": "/etc/passwd", "text": "a"}, "image_unsafe_path"),
        ({"image": "file:///etc/passwd", "text": "a"}, "image_unsafe_path"),
        ({"image": "https://example.org/a.png", "text": "a"}, "image_unsafe_path"),
        ({"image": "images", "text": "a"}, "image_not_a_file"),
        ({"image": "x" * 5_000, "text": "a"}, "image_read_error"),
        ({"image": "images/\ud800.png", "text": "a"}, "image_missing"),
        ({"image": "images/\0.png", "text": "a"}, "image_missing"),
        ({"image": None, "text": "a"}, "no_image"),
        ({"image": " ", "text": "a"}, "no_image"),
        ({"images": [], "text": "a"}, "no_image"),
        ({"images": [None], "text": "a"}, "no_image"),
        ({"image": {"bytes": None, "path": None}, "text": "a"}, "no_image"),
        ({"images": [A, B], "text": "a"}, "several_images"),
        ({"image": A, "query": "<image><image> differ?", "response": "a"}, "several_images"),
        ({"image": {"bytes": "no base64", "path": None}, "text": "a"}, "bad_image"),
        ({"image": "data:image/png,%89", "text": "a"}, "bad_image"),
        ({"image": 7, "text": "a"}, "image_missing"),
        ({"image": {"bytes": [1, 2]}, "text": "a"}, "bad_image"),
        ({"image": A, "text": None}, "no_answer"),
        ({"image": A, "text": " \n"}, "no_answer"),
        ({"image": A, "prefix": "read"}, "no_answer"),
        ({"image": A, "text": "x" * 1_000_001}, "too_long"),
        ({"image": A, "query": "read", "response": "a", "history": [["q", "a"]]}, "several_turns"),
        ({"image": A, "query": "read", "response": "a", "system": "Be brief."}, "has_system_message"),
        ({"image": A, "messages": "Hello"}, "bad_messages"),
        ({"image": A, "messages": {"role": "user"}}, "bad_messages"),
        ({"image": A, "messages": ["Hello"]}, "bad_messages"),
        ({"image": A, "messages": []}, "bad_messages"),
        ({"image": A, "messages": [{"role": "tool", "content": "a"}]}, "bad_messages"),
        ({"image": A, "messages": [{"role": ["user"], "content": "a"}]}, "bad_messages"),
        ({"image": A, "messages": [{"role": "assistant", "content": "a"}]}, "bad_messages"),
        ({"image": A, "messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}, "bad_messages"),
        ({"image": A, "messages": [{"role": "user", "content": "a"}]}, "no_answer"),
        ({"image": A, "messages": [{"role": "user", "content": [{"type": "video", "video": "a.mp4"}]}]}, "bad_messages"),
        ({"image": A, "conversations": dialogue("a", "from", "value", ("human", "gpt")) * 2}, "several_turns"),
        ({"messages": [{"role": "user", "content": "read"}, {"role": "assistant", "content": "a"}]}, "no_image"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image", "image": A}, {"type": "image", "image": B}]},
                    {"role": "assistant", "content": "a"},
                ]
            },
            "several_images",
        ),
    ],
)
def test_image_rows_row_that_cannot_be_used_is_dropped_with_its_reason(folder, row, problem):
    """Nothing is guessed, nothing outside the folder is read, and the rows beside it stay."""
    (folder.parent / "secret.png").write_bytes(png("red"))
    path = folder / "rows.jsonl"
    good = dict.fromkeys(row) | in_each_form(A, b"", "good")["parts" if "messages" in row else "conversations"]
    if "messages" not in row and "conversations" not in row:
        answer = next(name for name in ("text", "response", "suffix") if name in row or name == "suffix")
        good = {"images" if "images" in row else "image": A, answer: "good"}
        row = {**dict.fromkeys(good), **row}
    path.write_text("".join(json.dumps(each) + "\n" for each in (good, row, good)), encoding="utf-8")

    before, found, after = read(str(path))

    assert found["problem"] == problem
    assert (found["image"], found["answer"]) == (None, None)
    assert (before["problem"], after["problem"], after["answer"]) == (None, None, "good")


@pytest.mark.parametrize(
    "image",
    [
        "./images/red.png",
        "images\\red.png",
        "images//x/../red.png",
        '["images/red.png"]',
        "['images/red.png']",  # pandas
        "{'bytes': None, 'path': 'images/red.png'}",
        f"data:image/png;base64,{base64.b64encode(png('red')).decode()}",
    ],
)
def test_image_rows_spellings_of_one_image_read_alike(folder, image):
    """Separators of Windows, lists as pandas prints them, and data URIs name the image that they mean."""
    path = folder / "rows.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("image", "text"), (image, "a")])

    [row] = read(str(path))

    assert row["problem"] is None
    assert open_image(row["image"]).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("name", ["50%.png", "a%20b.png", "[1].png", "{x}.png", "zeile 1 ü.png", "#1?.png"])
def test_image_rows_file_names_are_taken_literally(folder, name):
    """What looks like an escape, a list or a URI is the name of a file if there is one."""
    (folder / name).write_bytes(png("red"))
    path = folder / "rows.jsonl"
    path.write_text(json.dumps({"image": name, "text": "a"}))

    assert read(str(path))[0]["image"] == {"bytes": None, "path": str(folder / name)}


def test_image_rows_image_root_is_where_paths_lead_from_and_stay(folder, tmp_path_factory):
    """With `data.image_root` the table may lie elsewhere; absolute paths below the root are paths below it."""
    path = tmp_path_factory.mktemp("tables") / "rows.jsonl"
    images = ["red.png", str(folder / "images" / "red.png"), "../rows.jsonl", str(folder / "images" / ".." / "a.png"), str(path)]
    path.write_text("".join(json.dumps({"image": image, "text": "a"}) + "\n" for image in images))

    rows = read(str(path), image_root=str(folder / "images"))

    assert [row["problem"] for row in rows] == [None, None, *["image_unsafe_path"] * 3]
    assert {row["image"]["path"] for row in rows[:2]} == {str(folder / "images" / "red.png")}


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


@pytest.mark.parametrize(
    ("names", "data", "problem"),
    [
        (("image", "text"), {}, ""),
        (("scan", "text"), {}, "no column with images"),
        (("image", "label"), {}, "no column with answers"),
        (("image", "label"), {"target_column": "label"}, ""),
        (("image", "text"), {"target_column": "label"}, "no column label (data.target_column)"),
        (("image", "image_file", "text"), {}, "image and image_file may both hold the image; set data.source_column"),
        (("image", "image_file", "text"), {"source_column": "image_file"}, ""),
        (("image", "text", "response"), {}, "text and response may both hold the answer; set data.target_column"),
        (("image", "messages", "text"), {}, ""),
        (("messages",), {}, ""),
        (("image", "messages", "conversations"), {}, "messages and conversations may both hold the dialogue"),
        (("image", "talk"), {"target_column": "talk"}, ""),
        (("image", "text", "text"), {}, "several columns are called text"),
        (("image", "text"), {"group_column": "doc"}, "no column doc"),
    ],
)
def test_image_rows_columns_of_a_table_are_checked_before_the_run(folder, names, data, problem):
    """A table without a role, or with two columns for one, is a line that says which key settles it."""
    path = folder / "rows.csv"
    path.write_text(",".join(names) + "\n" + ",".join("x" for _ in names) + "\n")
    config = DataConfig(train=[str(path)], **data)

    if not problem:
        assert find_files(config, ImageRows(config))["train"]
        return
    with pytest.raises(ConfigError) as error:
        find_files(config, ImageRows(config))
    assert problem in str(error.value)
    assert len(str(error.value).splitlines()) == 1


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
