"""Schemas of extracted fields: what is refused, the Arrow type, and values from a model's answer to DuckDB and pandas."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.config import StrictModel, load
from ocrray.engines.extract import ExtractConfig
from ocrray.errors import ConfigError, RecordError
from ocrray.prompts.extraction import ExtractionFormat
from ocrray.prompts.fields import FieldSchema, leaves
from ocrray.records import SCHEMA, schema_for

INVOICE = {
    "type": "object",
    "required": ["total"],
    "properties": {
        "total": {"type": "number", "description": "in the currency of the invoice"},
        "paid": {"type": "boolean"},
        "lines": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "count": {"type": "integer"}},
            },
        },
    },
}
NAMES = st.sampled_from(["a", "b", "c", "year", "Name of place", "ø"])
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXT,
    "integer": st.integers(-(2**63), 2**63 - 1),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
}


def objects(children: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    properties = st.dictionaries(NAMES, children, min_size=1, max_size=3)
    return properties.map(lambda found: {"type": "object", "properties": found})


def arrays(children: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return children.map(lambda items: {"type": "array", "items": items})


schemas = objects(
    st.recursive(
        st.sampled_from([*SCALARS]).map(lambda kind: {"type": kind}), lambda inner: objects(inner) | arrays(inner), max_leaves=4
    )
)


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if schema["type"] == "object":
        return st.fixed_dictionaries({}, optional={name: values(child) for name, child in schema["properties"].items()})
    if schema["type"] == "array":
        return st.lists(values(schema["items"]), max_size=3)
    return SCALARS[schema["type"]]


@st.composite
def answers(draw: st.DrawFn) -> tuple[FieldSchema, Any]:
    """A schema, and an object that fits it."""
    schema = draw(schemas)
    return FieldSchema.model_validate(schema), draw(values(schema))


def test_arrow_type_of_nested_schema_has_a_type_for_every_value():
    """Objects become structs, arrays lists; the columns of the corpus have these types."""
    expected = pa.struct(
        [
            ("total", pa.float64()),
            ("paid", pa.bool_()),
            ("lines", pa.list_(pa.struct([("name", pa.string()), ("count", pa.int64())]))),
        ]
    )
    fields = FieldSchema.model_validate(INVOICE).arrow_type()

    assert fields == expected
    assert schema_for(fields).field("fields").type == expected
    assert schema_for(fields).field("field_candidates").type == pa.list_(expected)
    assert (schema_for(), schema_for(pa.null())) == (SCHEMA, SCHEMA)


@given(answers())
def test_parse_of_any_fitting_answer_survives_arrow(answer: tuple[FieldSchema, Any]):
    """Parsed fields have every property, go through the column unchanged, and hold the values that were written."""
    schema, value = answer

    fields = schema.parse(json.dumps(value))

    assert pa.array([fields, None], schema.arrow_type()).to_pylist() == [fields, None]
    assert dict(leaves(fields)) == dict(leaves(value))
    assert schema.check(fields) == fields
    prompt = ExtractionFormat(fields=schema).open_prompt()
    assert prompt.parse(prompt.completion(fields, language="en")) == fields


def test_corpus_columns_are_typed_for_duckdb_and_pandas(tmp_path: Path):
    """Nested fields can be queried as what they are."""
    schema = FieldSchema.model_validate(INVOICE)
    corpus = schema_for(schema.arrow_type())
    fields = schema.parse('{"total": 5, "paid": true, "lines": [{"name": "coal", "count": 2}, {"name": "oil"}]}')
    rows = [dict.fromkeys(corpus.names) | {"record_id": one, "fields": found} for one, found in (("a", fields), ("b", None))]
    path = tmp_path / "part.parquet"
    pq.write_table(pa.Table.from_pylist(rows, corpus), path)

    query = f"select fields.total + 1, fields.paid, fields.lines[1].count * 2 from '{path}' order by record_id"
    assert duckdb.sql(query).fetchall() == [(6.0, True, 4), (None, None, None)]
    frame = pd.read_parquet(path)
    assert frame["fields"][0]["total"] == 5.0
    assert frame["fields"][0]["lines"][1] == {"name": "oil", "count": None}


def test_corpus_without_extraction_is_readable_by_duckdb_and_pandas(tmp_path: Path):
    """The columns of fields are there, without a type and without values."""
    path = tmp_path / "part.parquet"
    pq.write_table(pa.Table.from_pylist([dict.fromkeys(SCHEMA.names) | {"record_id": "a"}], SCHEMA), path)

    assert duckdb.sql(f"select record_id, fields, field_candidates from '{path}'").fetchall() == [("a", None, None)]
    assert pd.read_parquet(path)["fields"].isna().all()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ('{"total": NaN}', "NaN is no JSON number"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "answer: [] is no object"),
        ("{}", "total: required, and missing"),
        ('{"total": null}', "total: required, and missing"),
        ('{"total": "5"}', 'total: "5" is no number'),
        ('{"total": true}', "total: true is no number"),
        ('{"total": 1e999}', "total: 1e999 is no number"),
        ('{"total": 5, "total": 5}', '"total" twice in one object'),
        ('{"total": 5, "lines": [{"name": "a", "name": "b"}]}', '"name" twice in one object'),
        ('{"total": 007}', "no JSON"),
        ('{"total": 5} thanks', "no JSON"),
        ('{"total": 5, "lines": [{"name": "a", "count": 1e99999999999999999999}]}', "is no integer"),
        ('{"total": 5, "paid": 1}', "paid: 1 is no boolean"),
        ('{"total": 5, "Total": 5}', "Total: not in the schema"),
        ('{"total": 5, "lines": {}}', "lines: {} is no array"),
        ('{"total": 5, "lines": [null]}', "lines[0]: null is no object"),
        ('{"total": 5, "lines": [{"name": "a"}, {"count": 2}]}', "lines[1].name: required, and missing"),
        ('{"total": 5, "lines": [{"name": "a", "count": 2.5}]}', "lines[0].count: 2.5 is no integer"),
        ('{"total": 5, "lines": [{"name": "a", "count": 9223372036854775808}]}', "is no integer"),
    ],
)
def test_parse_answer_that_does_not_fit_names_path_and_problem(answer: str, reason: str):
    """The reason stands in the corpus, in one line."""
    with pytest.raises(RecordError) as caught:
        FieldSchema.model_validate(INVOICE).parse(answer)

    assert caught.value.kind == "malformed_output"
    assert reason in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_parse_accepts_whole_floats_as_integers_and_cleans_strings():
    """JSON knows one kind of number; lone surrogates and control characters, which Arrow or readers refuse, are replaced."""
    schema = FieldSchema.model_validate(
        {"type": "object", "properties": {"n": {"type": "integer"}, "x": {"type": "number"}, "s": {"type": "string"}}}
    )

    fields = schema.parse('{"n": 3.0, "x": 4, "s": "a\\ud800\\u0000b"}')

    assert fields == {"n": 3, "x": 4.0, "s": "a\ufffd\ufffdb"}
    assert [type(value) for value in fields.values()] == [int, float, str]
    assert pa.array([fields], schema.arrow_type()).to_pylist() == [fields]


def test_parse_number_for_a_string_stays_as_written():
    """An amount of 1.10 keeps its last digit, where the schema has a string; a number that the schema has is one."""
    schema = FieldSchema.model_validate(
        {"type": "object", "properties": {name: {"type": "string"} for name in "abc"} | {"n": {"type": "number"}}}
    )

    fields = schema.parse('{"a": 1.10, "b": -0.0, "c": 12345678901234567890, "n": 1.10}')

    assert fields == {"a": "1.10", "b": "-0.0", "c": "12345678901234567890", "n": 1.1}
    assert {type(value) for value in fields.values()} == {str, float}


class Section(StrictModel):
    """A config with the section that holds a schema."""

    extract: ExtractConfig


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ("{type: object, properties: {a: {type: string, enum: [x]}}}", "extract.fields.properties.a.enum: unknown key"),
        ("{type: object, properties: {a: {type: string, format: date}}}", "extract.fields.properties.a.format: unknown key"),
        ("{type: object, properties: {a: {$ref: b}}}", "extract.fields.properties.a.$ref: unknown key"),
        ("{type: object, properties: {a: {type: date}}}", "extract.fields.properties.a.type: "),
        ("{type: object, properties: {a: {type: [string, 'null']}}}", "extract.fields.properties.a.type: "),
        ("{type: object, properties: {a: {}}}", "extract.fields.properties.a.type: this key is required"),
        ("{type: object, properties: {}}", "an object has properties"),
        ("{type: object}", "an object has properties"),
        ("{type: object, properties: {a: {type: array}}}", "extract.fields.properties.a: an array has items"),
        ("{type: object, properties: {a: {type: string}}, required: [b]}", "required: b: not among the properties"),
        ("{type: object, properties: {a: {type: string}, A: {type: string}}}", "upper and lower case"),
        ("{type: array, items: {type: string}}", "fields: the type of the whole is object"),
    ],
)
def test_config_schema_that_arrow_cannot_hold_is_refused_in_a_line_that_names_its_key(tmp_path: Path, fields: str, line: str):
    """Keywords of JSON Schema that ocrray does not check are not passed over."""
    path = tmp_path / "config.yaml"
    path.write_text(f"extract: {{model: m, fields: {fields}}}")

    with pytest.raises(ConfigError) as caught:
        load(path, Section)

    assert line in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"text_field": "lines"}, "text_field"),
        ({"text_field": "other"}, "text_field"),
        ({"answer": "tags"}, "strings only: total, paid, lines"),
        ({"prompt": "Say it."}, "holds {text} exactly once"),
    ],
)
def test_format_that_does_not_fit_its_schema_is_refused(keys: dict[str, str], problem: str):
    """Tags hold no lists, the text is a string, and a prompt shows the text."""
    with pytest.raises(ValueError, match=problem):
        ExtractionFormat(fields=FieldSchema.model_validate(INVOICE), **keys)


def test_json_prompt_shows_schema_and_text_and_reads_a_fenced_answer():
    """The model is shown the schema as JSON; a Markdown fence around the answer is no part of it."""
    prompt = ExtractionFormat(fields=FieldSchema.model_validate(INVOICE), prompt="{schema}|{text}|").open_prompt()

    schema, text, _ = prompt.render(back="back {schema}", front="front", language="en").split("|")

    assert (json.loads(schema), text) == (INVOICE, "back {schema}\n\nfront")
    assert prompt.parse('```json\n{"total": 1}\n```') == {"total": 1.0, "paid": None, "lines": None}
