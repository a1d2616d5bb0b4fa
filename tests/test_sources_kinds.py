"""The registry of input kinds is consistent, and a kind added to it is read everywhere."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from ocrray.corpus.export.document import WRITERS
from ocrray.records import Line
from ocrray.sources import kinds
from ocrray.sources.input import InputConfig, Kind
from ocrray.sources.kinds import EXPORTED_KINDS, KINDS, InputKind
from ocrray.sources.ocr_files.document import Document
from ocrray.sources.open_page import open_document, open_image
from ocrray.sources.worklist import list_records


@pytest.fixture
def add_kind(monkeypatch: pytest.MonkeyPatch):
    """Adds one entry to the registry, as an edit of the file would."""

    def add(kind: InputKind) -> None:
        monkeypatch.setattr(kinds, "_ALL", (*kinds._ALL, kind))
        monkeypatch.setitem(KINDS, kind.name, kind)
        for extension in kind.extensions:
            monkeypatch.setitem(kinds._FAMILIES, extension, kind.family)
        monkeypatch.setattr(kinds, "IMAGE_KINDS", (*kinds.IMAGE_KINDS, kind.name) if kind.is_image else kinds.IMAGE_KINDS)

    return add


def test_kinds_each_has_exactly_one_way_to_be_read():
    """A kind is an image, markup, a container or texts, and markup can be told apart."""
    for kind in KINDS.values():
        assert [kind.image, kind.markup, kind.container, kind.texts].count(None) == 3, kind.name
        assert kind.family == kind.name or kind.root_name or kind.head_pattern, kind.name
        assert all(extension == extension.lower() for extension in kind.extensions)


def test_kinds_exported_ones_are_those_with_a_writer():
    """The registry and the export agree."""
    assert set(EXPORTED_KINDS) == set(WRITERS)


def test_kinds_are_the_values_that_the_config_accepts():
    """The config accepts each kind and `auto`, and no other; its JSON Schema lists them."""
    for name in ("auto", *KINDS):
        assert InputConfig(paths=["x"], kind=name).kind == name
    with pytest.raises(ValidationError):
        InputConfig(paths=["x"], kind="docx")
    assert TypeAdapter(Kind).json_schema()["enum"] == ["auto", *KINDS]


def test_kinds_an_added_markup_format_is_listed_and_opened(add_kind, tmp_path: Path):
    """One entry and its module suffice for a new XML format."""
    tei = SimpleNamespace(
        find_pages=lambda root: root.findall("p"),
        read=lambda page: Document([Line(page.text)], None),
    )
    add_kind(InputKind(name="tei", meaning="TEI", extensions=(".xml",), root_name="TEI", markup=tei))
    path = tmp_path / "a.xml"
    path.write_text("<TEI><p>one</p><p>two</p></TEI>")
    rows = [row for table in list_records(InputConfig(paths=[str(tmp_path)]), images=False) for row in table.to_pylist()]
    assert [(row["kind"], row["page"]) for row in rows] == [("tei", 0), ("tei", 1)]
    assert open_document("tei", str(path), 1, encoding="utf-8", max_file_bytes=1000).text == "two"


def test_kinds_an_added_image_format_is_listed_and_opened(add_kind, tmp_path: Path):
    """One entry and its module suffice for a new image format, which its content tells apart whatever the file's name."""
    djvu = SimpleNamespace(
        count_pages=lambda _: 2,
        decode_page=lambda _data, page, _uri, _max_pixels: Image.new("L", (10 + page, 10)),
    )
    add_kind(InputKind(name="djvu", meaning="DjVu", extensions=(".djvu",), image=djvu, magic=re.compile(b"AT&TFORM")))
    for name in ("a.djvu", "b.png"):
        (tmp_path / name).write_bytes(b"AT&TFORM....")
    rows = [row for table in list_records(InputConfig(paths=[str(tmp_path)]), images=True) for row in table.to_pylist()]
    assert [(row["kind"], row["page"]) for row in rows] == [("djvu", 0), ("djvu", 1), ("image", 0)]
    for row in rows:
        assert open_image(row["uri"], row["page"], max_pixels=1000, max_file_bytes=1000)[0].size == (10 + row["page"], 10)
