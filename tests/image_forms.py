"""Tables of images with answers, in the forms and formats in which people have them, and what is read of them."""

import base64
import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ocrray.training.data import Reader
from ocrray.training.image_rows import ImageRows
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


def make_images(folder: Path) -> Path:
    """Two images below `images/`; the folder itself."""
    (folder / "images").mkdir()
    for color in ("red", "blue"):
        (folder / "images" / f"{color}.png").write_bytes(png(color))
    return folder
