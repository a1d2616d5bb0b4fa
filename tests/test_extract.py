"""Photo metadata: the engine that draws answers, the stage that makes them fields, and the verb, on tiny models."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tiny_models
from hypothesis import given
from hypothesis import strategies as st
from photo_format import FORMAT, KEYS, PROMPT, photo
from pydantic import ValidationError

from ocrray.engines.extract import ExtractConfig, ExtractionResult, Extractor, Source
from ocrray.errors import ConfigError, EngineError
from ocrray.guard import GuardConfig
from ocrray.prompts.fields import Fields
from ocrray.records import schema_for
from ocrray.stages.extract import Extract
from ocrray.stages.guard import Guard
from ocrray.stages.tables import add_run_columns, to_corpus_schema

END, EOS = "<END>", tiny_models.EOS
SOURCES = [Source(f"r{number}", "A tbwn hall\n1894", "front" * (number % 3)) for number in range(40)]


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers every photo with a description and a date."""
    answer = pairwise([END, "<language>", "e", "n", "<rewrite>", "H", "i", "<date>", "1", EOS])
    return tiny_models.save_transitions(tmp_path_factory.mktemp("writer"), answer, PROMPT.tokens)


@pytest.fixture(scope="module")
def chooser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that describes a photo by one of the letters a to d, and forgets the tag every other time."""
    letters = [pair for letter in "abcd" for pair in (("<rewrite>", letter), (letter, EOS))]
    answers = [(END, "<rewrite>"), *letters, (END, "z"), ("z", EOS)]
    return tiny_models.save_transitions(tmp_path_factory.mktemp("chooser"), answers, PROMPT.tokens)


def extractor(folder: Path, **settings: Any) -> Extractor:
    return Extractor(ExtractConfig(**KEYS, model=str(folder), device="cpu", **{"max_new_tokens": 20, **settings}))


def test_extract_answers_are_read_and_counted(writer: Path):
    """Each of the answers drawn becomes fields; the prompt is counted once, what was written as often as it was."""
    (extraction,) = extractor(writer).extract([Source("r", "Hi 1")])

    assert extraction.candidates == [photo("Hi", date="1")] * 3
    assert (extraction.fields, extraction.reason) == (photo("Hi", date="1"), "")
    assert extraction.output_tokens == 3 * 9


def test_extract_does_not_depend_on_the_batch(chooser: Path):
    """A photo's answers are the same alone, together, in another order and in other batch sizes; ids and seeds change them."""
    together = extractor(chooser).extract(SOURCES)

    assert len({str(one.candidates) for one in together}) > 10
    assert extractor(chooser).extract(SOURCES[::-1])[::-1] == together
    assert extractor(chooser, batch_size_tokens=400).extract(SOURCES) == together
    assert extractor(chooser, batch_size_tokens=200).extract(SOURCES) == together
    assert [extractor(chooser).extract([photo])[0] for photo in SOURCES[:5]] == together[:5]
    assert extractor(chooser, seed=2).extract(SOURCES) != together


def test_extract_draws_answers_as_likely_as_the_model_says(chooser: Path):
    """Of answers that the model finds equally likely none is drawn more often than chance allows."""
    extractions = extractor(chooser, num_return_sequences=10).extract(SOURCES)

    counts = Counter(candidate["description"] for one in extractions for candidate in one.candidates)
    assert set(counts) == set("abcd")
    assert max(counts.values()) < 1.6 * min(counts.values())


def test_extract_at_temperature_0_every_photo_gets_the_likeliest_answer(chooser: Path):
    """Without a draw the answer hangs on the model alone."""
    config = {"temperature": 0, "num_return_sequences": 1}

    extractions = extractor(chooser, **config).extract(SOURCES)

    assert len({str(one.candidates) for one in extractions}) == 1
    assert extractor(chooser, **config, seed=2).extract(SOURCES) == extractions


@pytest.mark.parametrize(
    ("text", "settings", "reason"),
    [("x" * 600, {}, "too_long"), ("x", {"max_new_tokens": 3}, "unfinished")],
)
def test_extract_answer_that_cannot_be_whole_says_why(writer: Path, text: str, settings: dict[str, int], reason: str):
    """A prompt is never cut, and an answer that reached its bound is none."""
    settings = {"max_new_tokens": 20, **settings}

    long, short = Extractor(ExtractConfig(**KEYS, model=str(writer), device="cpu", **settings)).extract(
        [Source("r", text), Source("s", "x")]
    )

    assert (long.fields, long.reason) == (None, reason)
    assert short.reason == ("" if reason == "too_long" else reason)


@given(st.lists(st.sampled_from("aab").map(lambda word: photo(word, title="t", date=word)), max_size=5))
def test_extraction_of_several_answers_takes_one_that_most_agree_with(candidates: list[Fields]):
    """The most frequent answer wins, the first drawn of equals; without candidates there are no fields."""
    expected = max(candidates, key=candidates.count, default=None)

    assert ExtractionResult(candidates).fields == expected


def test_extraction_of_answers_that_all_differ_takes_the_middle_one():
    """Where no two are equal, that with most fields in common with the others is taken."""
    lonely, middle, other = photo("x", "y"), photo("a", "b", date="1"), photo("a", "c", date="1")

    assert ExtractionResult([lonely, middle, other]).fields == middle


def test_check_lists_every_problem_and_names_the_prompt(writer: Path, tmp_path: Path):
    """Nothing is loaded to find out what is missing; the identity names model, revision and prompt."""
    with pytest.raises(ConfigError) as caught:
        ExtractConfig(**KEYS, model=str(tmp_path / "none" / "here" / "x"), adapter=str(tmp_path)).check("extract")
    assert len(str(caught.value).splitlines()) == 3

    info = ExtractConfig(**KEYS, model=str(writer)).check("extract")
    assert (info.engine, info.prompt_version, len(info.revision)) == ("extract", "photo_metadata/1", 64)


def test_open_model_without_the_tags_is_one_readable_line(tmp_path: Path):
    """A model that was never taught the format is told at once, not row by row."""
    with pytest.raises(EngineError, match="<rewrite>"):
        extractor(tiny_models.save(tmp_path, "gptj"))


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0},
        {"temperature": -1},
        {"top_p": 0},
        {"num_return_sequences": 0},
        {"language": "en <END>"},
        {"columns": {"front": "raw_text"}},
        {"columns": {"side": "x"}},
    ],
)
def test_section_that_makes_no_sense_is_refused(settings: dict[str, Any]):
    """Three answers without a draw, a language of two words, a column that the corpus has itself."""
    with pytest.raises(ValidationError):
        ExtractConfig(**KEYS, model="m", **settings)


def rows_of(*rows: dict[str, Any]) -> pa.Table:
    schema = pa.schema([*schema_for(FORMAT.fields.arrow_type()), ("front", pa.string())])
    rows = pa.Table.from_pylist([{"record_id": f"r{number}", **row} for number, row in enumerate(rows)], schema=schema)
    return add_run_columns(rows)


def test_stage_description_is_the_text_to_use_and_the_fields_lie_beside_it(writer: Path):
    """A row with text on either side is decided here, whatever the guard thinks of so large a change; others are left alone."""
    failed = {"status": "failed", "error_kind": "missing_text"}
    table = rows_of({"raw_text": "Hj 1 " * 9}, {"raw_text": "", "front": "1"}, {"raw_text": "Hi"}, {"raw_text": " "}, failed)

    out = Guard(GuardConfig())(Extract(extractor(writer), "front", "description")(table))

    assert out.schema == table.schema
    rows = out.to_pylist()
    assert [row["status"] for row in rows] == ["corrected", "corrected", "unchanged", "unchanged", "failed"]
    assert [row["corrected_text"] for row in rows] == ["Hi", "Hi", "Hi", " ", None]
    fields = {"description": "Hi", "title": None, "agency": None, "photographer": None, "date": "1"}
    assert [row["fields"] for row in rows] == [fields, fields, fields, None, None]
    assert [row["field_candidates"] for row in rows] == [[fields] * 3] * 3 + [None, None]
    assert rows[0]["edits"] == [{"start": 0, "end": 45, "raw": "Hj 1 " * 9, "corrected": "Hi", "probability": None}]
    assert [row["corrector"] for row in rows] == ["extract"] * 3 + [None, None]


def test_stage_malformed_answer_keeps_raw_with_its_reason(tmp_path: Path):
    """An answer without its first tag is no crash, and the row says what was wrong."""
    folder = tiny_models.save_transitions(tmp_path, pairwise([END, "<title>", "x", EOS]), PROMPT.tokens)

    (row,) = Guard(GuardConfig())(Extract(extractor(folder), None, "description")(rows_of({"raw_text": "A"}))).to_pylist()

    assert (row["status"], row["corrected_text"], row["fields"], row["field_candidates"]) == ("kept_raw", "A", None, [])
    assert row["guard_reason"] == "malformed_output: no <rewrite>"
    assert row["edits"] == []


def test_stage_some_malformed_answers_do_not_spoil_the_others(chooser: Path):
    """A photo is kept raw only where no answer was well-formed."""
    table = rows_of(*({"raw_text": source.back} for source in SOURCES))

    rows = Extract(extractor(chooser, num_return_sequences=2), None, "description")(table).to_pylist()

    assert {len(row["field_candidates"]) for row in rows} == {0, 1, 2}
    assert all((row["status"] == "kept_raw") == (row["field_candidates"] == []) for row in rows)


def test_stage_no_rows_with_text_calls_nothing(writer: Path):
    """A block of failed rows passes through as it is."""
    table = rows_of({"status": "failed"})

    assert Extract(extractor(writer), "front", "description")(table) == table


NESTED = {
    "type": "object",
    "properties": {
        "items": {
            "type": "array",
            "items": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}, "x": {"type": "string"}}},
        }
    },
}


def nested_extractor(folder: Path, answer: str, **settings: Any) -> Extractor:
    """A tiny model that writes `answer`, in two tokens, to every prompt."""
    phrases = [answer[:10], answer[10:]]
    writer = tiny_models.save_transitions(folder, pairwise(["\x1e", *phrases, EOS]), phrases=phrases)
    keys = {"fields": NESTED, "prompt": "{text}\x1e", "temperature": 0, "num_return_sequences": 1, "max_new_tokens": 60}
    return ExtractConfig(model=str(writer), device="cpu", **{**keys, **settings}).open()


def nested_rows(count: int) -> pa.Table:
    schema = schema_for(ExtractConfig(model="m", fields=NESTED).fields.arrow_type())
    return add_run_columns(pa.Table.from_pylist([{"record_id": f"r{n}", "raw_text": "Tbe A"} for n in range(count)], schema))


def test_stage_nested_json_answer_becomes_typed_columns_and_the_text_stays(tmp_path: Path):
    """A list of objects is read from a model's JSON, written in the column's type, and the answer stays as it was written."""
    answer = '{"items":[{"n":3}]}'
    table = nested_rows(2)

    out = to_corpus_schema(Guard(None)(Extract(nested_extractor(tmp_path, answer), None, None)(table)))

    assert out.schema.field("fields").type == table.schema.field("fields").type
    for row in out.to_pylist():
        assert row["fields"] == {"items": [{"n": 3, "x": None}]}
        assert (row["field_candidates"], row["answers"]) == ([row["fields"]], [answer])
        assert (row["status"], row["corrected_text"], row["prompt_version"]) == ("unchanged", "Tbe A", "custom_json/1")


@pytest.mark.parametrize(
    ("answer", "settings", "reason"),
    [
        ('{"items":[{}]}', {}, "malformed_output: items[0].n: required, and missing"),
        ('{"items":[{"n":3}]}', {"max_new_tokens": 1}, "unfinished"),
    ],
)
def test_stage_answer_that_does_not_fit_keeps_the_text_and_the_answer(
    tmp_path: Path, answer: str, settings: dict[str, int], reason: str
):
    """The row says what was wrong, and what the model wrote can still be read."""
    extract = Extract(nested_extractor(tmp_path, answer, **settings), None, None)

    (row,) = extract(nested_rows(1)).to_pylist()

    assert (row["status"], row["guard_reason"], row["fields"], row["field_candidates"]) == ("kept_raw", reason, None, [])
    assert answer.startswith(row["answers"][0])
    assert row["answers"][0]


def test_extraction_of_answers_that_differ_counts_what_they_leave_out():
    """An answer with more values than the others is not the better for it."""
    short, long = {"items": [{"n": 1}], "title": None}, {"items": [{"n": 1}, {"n": 2}], "title": "x"}

    assert ExtractionResult([long, short, short]).fields == short
