"""Rows of images that cannot be used, images that are named oddly, and tables that lack a column."""

import base64
import csv
import json
from pathlib import Path

import image_forms
import pytest
from image_forms import dialogue, in_each_form, png, read

from ocrray.errors import ConfigError
from ocrray.training.data import find_files
from ocrray.training.image_rows import ImageRows
from ocrray.training.images import open_image
from ocrray.training.settings import DataConfig


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two images."""
    return image_forms.make_images(tmp_path)


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
