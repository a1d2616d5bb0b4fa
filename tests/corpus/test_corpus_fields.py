"""Extracted fields of any schema in the summary, the card and the report."""

import pyarrow as pa
import pytest
from lxml import html

from ocrray.corpus.about import About
from ocrray.corpus.card import write_card
from ocrray.corpus.fields import count_fields, field_types, flattened
from ocrray.corpus.report import write_report
from ocrray.corpus.summary import summarise

PERSON = pa.struct([("name", pa.string()), ("age", pa.int32())])
FIELDS = pa.struct(
    [
        ("headline", pa.string()),
        ("event", pa.struct([("place", pa.string()), ("certain", pa.bool_())])),
        ("tags", pa.list_(pa.string())),
        ("people", pa.list_(PERSON)),
    ]
)
FULL = {
    "headline": "Fire",
    "event": {"place": "Leeds", "certain": False},
    "tags": ["fire", "mill"],
    "people": [{"name": "Ann", "age": 0}, {"name": None, "age": 7}],
}
EMPTY = {"headline": "", "event": None, "tags": [], "people": None}


def test_field_types_nested_struct_has_a_path_for_every_leaf() -> None:
    """Objects are followed, lists are not."""
    types = field_types(FIELDS)
    assert list(types) == ["headline", "event.place", "event.certain", "tags", "people"]
    assert types["event.certain"] == pa.bool_()


def test_count_fields_empty_values_and_null_parents_do_not_count() -> None:
    """A value counts unless it is null, an empty string or list, or inside an object that is null; false and 0 count."""
    rows = pa.array([FULL, EMPTY, None, {"headline": "x", "event": {"place": None, "certain": True}}], FIELDS)
    assert count_fields(rows) == {"headline": 2, "event.place": 1, "event.certain": 2, "tags": 1, "people": 1}


def test_flattened_nested_value_gives_paths_and_texts() -> None:
    """Objects in lists are numbered, lists of values joined, empty values left out."""
    assert dict(flattened({"fields": FULL, "note": None})) == {
        "fields.headline": "Fire",
        "fields.event.place": "Leeds",
        "fields.event.certain": "false",
        "fields.tags": "fire, mill",
        "fields.people[0].name": "Ann",
        "fields.people[0].age": "0",
        "fields.people[1].age": "7",
    }
    assert dict(flattened(EMPTY)) == {}


@pytest.mark.parametrize("files", [1, 2])
def test_card_and_report_list_the_fields_of_the_corpus(corpus, rows, files: int) -> None:
    """The schema of the data files decides which fields there are; how many records have each is given."""
    records = [rows.row(f"{n}", "x", "x", fields=FULL if n == 1 else EMPTY) for n in range(4)]
    output = corpus(records, files=files, fields=FIELDS)
    summary = summarise(output / "data")
    write_card(output, summary=summary, about=About(title="A corpus"))
    write_report(output, summary=summary, config_yaml="", title="A report")

    card = (output / "README.md").read_text()
    assert "| `fields.event.place` | string | 1 |" in card
    assert "| `fields` | {headline, event, tags, people} |" in card
    tree = html.parse(output / "report.html")
    table = [[cell.text_content() for cell in row] for row in tree.xpath("//section[@id='fields']//tbody/tr")]
    assert ["event.place", "string", "1", "25.0 %"] in table
    assert any("fields.people[0].name: Ann" in p.text_content() for p in tree.xpath("//p[@class='source']"))


def test_card_and_report_of_a_correction_have_no_fields(corpus, rows) -> None:
    """Where nothing was extracted, nothing is said of fields."""
    output = corpus([rows.row("a", "x", "y")])
    summary = summarise(output / "data")
    write_card(output, summary=summary, about=About(title="A corpus"))
    write_report(output, summary=summary, config_yaml="", title="A report")
    assert "Extracted fields" not in (output / "README.md").read_text()
    assert not html.parse(output / "report.html").xpath("//section[@id='fields']")
