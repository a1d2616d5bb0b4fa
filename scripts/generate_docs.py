"""Write the generated docs: docs/configuration.md, docs/schemas/*.json (config files) and docs/corpus.md (columns of a corpus).

    python scripts/generate_docs.py

All of it is made from the config classes, from `ocrray.records` and from the table of verbs; tests/test_docs.py fails while a
file differs from what this script would write.
"""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from ocrray.config import StrictModel
from ocrray.corpus.columns import described_columns
from ocrray.records import COLUMNS, SCHEMA_VERSION
from ocrray.verbs import VERBS, Verb

ROOT = Path(__file__).parents[1]

Schema = dict[str, Any]

_TYPES = {"object": "mapping", "array": "list", "string": "text", "null": "`null`"}
_BOUNDS = {
    "minimum": "≥",
    "exclusiveMinimum": ">",
    "maximum": "≤",
    "exclusiveMaximum": "<",
    "minLength": "length ≥",
    "minItems": "length ≥",
}
_CONFIGURATION = """\
One YAML file is one complete run. `--set a.b=value` overrides any key; a key that is not listed here is an error. A default of
"see below" is a mapping with the defaults of its own table. For completion and checks in an editor, `docs/schemas/VERB.json` hold
the same keys as JSON Schema."""
_NOTICE = "<!-- Written by scripts/generate_docs.py; `make docs` writes it again. -->"


def generated() -> dict[Path, str]:
    """Return every generated file, by its path relative to the checkout."""
    schemas = {verb.name: config_class(verb).model_json_schema() for verb in VERBS.values()}
    files = {Path("docs/configuration.md"): configuration(schemas), Path("docs/corpus.md"): corpus_columns()}
    for name, schema in schemas.items():
        files[Path(f"docs/schemas/{name}.json")] = json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
    return files


def config_class(verb: Verb) -> type[StrictModel]:
    """Return the config class of a verb."""
    cls: type[StrictModel] = import_module(f"{verb.package}.plan").Config
    return cls


def corpus_columns() -> str:
    """Return the page on the columns of a corpus."""
    columns = described_columns({column.name: column.type for column in COLUMNS})
    rows = [f"| `{name}` | {_escaped(data_type)} | {_escaped(meaning)} |" for name, data_type, meaning in columns]
    intro = (
        f"One row is one record: a page scan, or one line or passage of OCR text. Schema version {SCHEMA_VERSION}; the Parquet "
        "metadata key\n`ocrray_schema_version` holds the version of a file. Columns named in `input.passthrough` follow these.\n"
        "With `extract:`, `fields` has the type of its schema and `field_candidates` a list of these; with a recognizer of\n"
        "`output: json`, `fields` has the type of its schema; without both, they are null."
    )
    return "\n".join(
        ["# Columns of a corpus", "", _NOTICE, "", intro, "", "| column | type | meaning |", "| --- | --- | --- |", *rows, ""]
    )


def configuration(schemas: dict[str, Schema]) -> str:
    """Return the page on the keys of every verb's config."""
    lines = ["# Configuration", "", _NOTICE, ""]
    lines.append(_CONFIGURATION)
    for name, schema in schemas.items():
        lines += ["", f"## {name}", "", f"`ocrray {name} CONFIG.yaml`: {VERBS[name].summary}."]
        for title, section in sections(schema):
            lines += ["", *([f"### {title}", ""] if title else []), *_paragraph(section), *_table(section, schema)]
    return "\n".join([*lines, ""])


def sections(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield the title and the JSON Schema of each mapping in a config, outer ones first; the outermost has no title.

    A mapping inside one of its own kind is not repeated, nor one that several engines have under the same key.
    """
    seen: set[tuple[str, str]] = set()
    waiting: list[tuple[str, Schema, frozenset[str]]] = [("", schema, frozenset())]
    while waiting:
        path, section, inside = waiting.pop(0)
        yield _title(path, section), section
        for key, value in section.get("properties", {}).items():
            names = [name for name in _references(value) if name not in inside]  # a field's schema holds those of its fields
            inner = f"{path}.{key}" if path else key
            new = [name for name in names if (inner, name) not in seen]
            seen |= {(inner, name) for name in new}
            waiting += [(inner, schema["$defs"][name], inside | {name}) for name in new]


def undescribed(schema: Schema) -> list[str]:
    """Return the keys that have no description, as `section: key`."""
    return [
        f"{title}: {key}"
        for title, section in sections(schema)
        for key, value in section.get("properties", {}).items()
        if not value.get("description") and "const" not in value and not _references(value)
    ]


def _title(path: str, section: Schema) -> str:
    choices = [f"{key}: {value['const']}" for key, value in section.get("properties", {}).items() if "const" in value]
    return f"`{path}`" + (f", {choices[0]}" if choices else "") if path else ""


def _paragraph(section: Schema) -> list[str]:
    return [" ".join(section["description"].split()), ""] if section.get("description") else []


def _table(section: Schema, schema: Schema) -> list[str]:
    required = section.get("required", [])
    rows = []
    for key, value in section.get("properties", {}).items():
        cells = (f"`{key}`", _type(value), _default(key, value, required), _meaning(value, schema))
        rows.append(f"| {' | '.join(_escaped(cell) for cell in cells)} |")
    return ["| key | value | default | meaning |", "| --- | --- | --- | --- |", *rows]


def _meaning(value: Schema, schema: Schema) -> str:
    if value.get("description"):
        return str(value["description"])
    names = _references(value)
    if not names:
        return ""
    return str(schema["$defs"][names[0]].get("description", "")).split("\n\n")[0] if len(names) == 1 else "see below"


def _default(key: str, value: Schema, required: list[str]) -> str:
    if key in required:
        return "required"
    if isinstance(value.get("default"), dict) and value["default"]:
        return "see below"
    return f"`{json.dumps(value['default'], ensure_ascii=False)}`" if "default" in value else ""


def _type(value: Schema) -> str:
    choices = value.get("anyOf") or value.get("oneOf")
    if choices:
        return " or ".join(dict.fromkeys(_type(choice) for choice in choices))
    if "$ref" in value:
        return "mapping"
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "enum" in value:
        return "one of " + ", ".join(f"`{choice}`" for choice in value["enum"])
    kind = _TYPES.get(value.get("type", ""), value.get("type", "any"))
    if kind == "list" and isinstance(value.get("items"), dict):
        kind = f"list of {_type(value['items'])}"
    return kind + _range(value)


def _range(value: Schema) -> str:
    found = [f"{sign} {value[name]:g}" for name, sign in _BOUNDS.items() if name in value]
    return f" ({', '.join(found)})" if found else ""


def _references(value: Schema) -> list[str]:
    """Return the names of the definitions that a property may hold, directly, as a choice, or in a list."""
    if "$ref" in value:
        return [str(value["$ref"]).rpartition("/")[2]]
    nested = [*value.get("anyOf", ()), *value.get("oneOf", ()), *value.get("allOf", ())]
    nested += [inner for inner in (value.get("items"), value.get("additionalProperties")) if isinstance(inner, dict)]
    return [name for inner in nested for name in _references(inner)]


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Write every generated file, relative to the checkout."""
    for path, text in generated().items():
        target = ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
