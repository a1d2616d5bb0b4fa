"""Words divided at line ends are made whole where that is sure or very likely, and left as printed where it is not."""

import time

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.records import SCHEMA, Edit
from ocrray.stages.dehyphenate import Dehyphenate
from ocrray.stages.tables import add_run_columns
from ocrray.text.dehyphenation import Division, dehyphenated, moved


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the harbour mas-\nter\nof Hull", "the harbour master\nof Hull"),
        ("the harbour mas-\nter of Hull", "the harbour master\nof Hull"),
        ("mas-\nter, and so\non", "master,\nand so\non"),
        ("mas-  \n  ter", "master"),
        ("inter-\nna-\ntional law", "international\nlaw"),
        ("Lon-\ndon", "London"),
        ("HAR-\nBOUR", "HARBOUR"),
        ("har‐\nbour", "harbour"),
        ("ver⸗\nſchieden und Ver=\nſchieden", "verſchieden\nund Verſchieden"),
        ("mas\u00ad\nter and ma\u00adster", "master\nand master"),
        ("Anglo¬\nsaxon", "Anglosaxon"),
        ("mas¬\nTer", "masTer"),
        ("l'en-\nfant", "l'enfant"),
        ("vice-presi-\ndent", "vice-president"),
        ("спра-\nва", "справа"),
        ("שלו-\nם", "שלום"),
    ],
)
def test_dehyphenated_word_is_whole_on_its_first_line(text: str, expected: str) -> None:
    """The rest of the next line keeps its place; a line of which nothing is left is gone."""
    assert dehyphenated(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("well-known\na well-\nknown man", "well-known\na well-known\nman"),
        ("wellknown\na well-\nknown man", "wellknown\na wellknown\nman"),
        ("mother-in-\nlaw", "mother-in-law"),
        ("the Anglo-\nSaxon", "the Anglo-Saxon"),
        ("the war of 1914-\n18 was", "the war of 1914-18\nwas"),
        ("a 20-\nyear lease", "a 20-year\nlease"),
        ("niebiesko-\n-czarny kot", "niebiesko-czarny\nkot"),
    ],
)
def test_dehyphenated_hyphen_that_belongs_to_the_word_stays(text: str, expected: str) -> None:
    """Compounds, names and years keep their hyphen, and become whole."""
    assert dehyphenated(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Haupt-\nund Nebensachen",
        "two-\nor three-year leases",
        "the mas-\nThe next column",
        "mas-\n17\nter",
        "mas-\n\nter",
        "he said -\nand left",
        "he said--\nand left",
        "he said—\nand left",
        "mas-\n(ter",
        "a = \nb",
        "- item\n- item",
        "do-\n-800 do",
        "ends with mas-",
        "",
        "\n\n",
    ],
)
def test_dehyphenated_doubtful_line_end_stays_as_printed(text: str) -> None:
    """Suspended hyphens, dashes, a figure, a new sentence or a blank line behind the hyphen."""
    assert dehyphenated(text) == text


@pytest.mark.parametrize(
    ("text", "word", "expected"),
    [
        ("Zuk-\nker, bitte", "Zucker", "Zucker,\nbitte"),
        ("Schiff-\nfahrt", "Schiffahrt", "Schiffahrt"),
        ("well-\nknown", "well-known", "well-known"),
        ("mas-\nter", "", "master"),
        ("mas\nter", "", "master"),
        ("Anglo-\nSaxon", "", "Anglo-Saxon"),
        ("Haupt-\nund Nebensachen", "", "Haupt-\nund Nebensachen"),
        ("thous-\nand men", "thousand", "thousand\nmen"),
        ("mas\nter", "master", "master"),
        ("maſ-\nter", "", "maſter"),
        ("mas-\nter", "something else", "master"),
        ("mas-\nter", None, "mas-\nter"),
        ("mas-", "master", "mas-"),
        ("note\nter", "master", "note\nter"),
    ],
)
def test_dehyphenated_word_of_the_file_counts_first(text: str, word: str | None, expected: str) -> None:
    """What the file says decides, also against the rule; a word that was corrected since is that of the text."""
    assert dehyphenated(text, [Division(text.find("\n"), word)]) == expected


def test_moved_divisions_follow_the_edits() -> None:
    """Offsets count in the corrected text; where the line end itself was edited, the file's word counts no more."""
    raw = "tbe mas-\nter and har-\nbour ho-\nuse"
    divisions = [Division(raw.index("\n"), "master"), Division(21, "harbour"), Division(30, "")]
    edits = [Edit(0, 3, "tbe", "these"), Edit(20, 22, "-\n", ""), Edit(29, 30, "-", "")]

    assert raw[21] == raw[30] == "\n"
    assert moved(divisions, edits) == [Division(10, "master"), Division(29, "")]


@given(
    st.text(st.sampled_from("ab-\n A1¬\u00ad='.—")), st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["", "ab", None])))
)
def test_dehyphenated_loses_nothing_but_hyphens_and_white_space(text: str, known: list[tuple[int, str | None]]) -> None:
    """Whatever the text, every other character is still there, in its order."""
    whole = dehyphenated(text, [Division(at, word and "") for at, word in known])
    drop = str.maketrans(dict.fromkeys("-¬\u00ad=\n "))

    assert whole.translate(drop) == text.translate(drop)


@pytest.mark.parametrize("text", ["a" * 300_000 + "!\n" + "b", "a-\n" * 100_000, "-" * 300_000 + "\na", "a-" * 150_000 + "\nb"])
def test_dehyphenated_hostile_text_takes_linear_time(text: str) -> None:
    """Long words, long lines and a word over very many lines."""
    started = time.perf_counter()
    dehyphenated(text)

    assert time.perf_counter() - started < 5


def test_dehyphenate_stage_writes_the_column_of_every_corrected_text() -> None:
    """Other columns stay as printed; a failed row has no such text."""
    rows = [
        {"record_id": "a", "raw_text": "mas-\nter", "corrected_text": "mas-\nter"},
        {"record_id": "b", "raw_text": "one line", "corrected_text": "one line"},
        {"record_id": "c", "status": "failed"},
        {
            "record_id": "d",
            "raw_text": "tbe Zuk-\nker",
            "corrected_text": "the Zuk-\nker",
            "edits": [{"start": 0, "end": 3, "raw": "tbe", "corrected": "the", "probability": None}],
        },
        {"record_id": "e", "raw_text": "so\u00adft", "corrected_text": "so\u00adft"},
    ]
    table = add_run_columns(pa.Table.from_pylist(rows, schema=SCHEMA))
    divisions = pa.array([None, None, None, [{"at": 8, "word": "Zucker"}], None], table.schema.field("_divisions").type)
    table = table.set_column(table.schema.get_field_index("_divisions"), table.schema.field("_divisions"), divisions)

    done = Dehyphenate()(table)

    assert done["dehyphenated_text"].to_pylist() == ["master", "one line", None, "the Zucker", "soft"]
    assert done.drop_columns("dehyphenated_text") == table.drop_columns("dehyphenated_text")
