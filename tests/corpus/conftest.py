"""Plausible corpora, made without Ray: rows as the stages leave them, written as the sink writes them."""

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ocrray.records import SCHEMA
from ocrray.text.edits import edits_between
from ocrray.text.metrics import distance
from ocrray.text.normalise import for_scoring

Row = dict[str, Any]

SENTENCES = (
    "The committee met on Tuesday evening in the long room over the corn exchange.",
    "A quantity of timber was landed at the north quay before the tide had turned.",
    "Mr. Hallam begged leave to say that the lamps in Mill Lane had not been lit for a fortnight.",
    "The harvest, though late, is thought by those who know the district to be above the common.",
    "Passengers for the morning packet are desired to send their trunks aboard the night before.",
    "The bells were rung at noon, and in the afternoon the children were given tea upon the green.",
    "Wanted, a steady man who understands horses; a character will be required of him.",
    "It was resolved that the account of £14 7s. 6d. be paid, and that the clerk write to the mayor.",
)
_MISREADINGS = {"h": "b", "e": "c", "m": "rn", "l": "1", "t": "f", "i": "j", "u": "n", "d": "cl", "s": "f"}


def misread(text: str, rate: float, rng: random.Random) -> str:
    """`text` as a tired OCR engine reads it, with about `rate` errors a character."""
    return "".join(_MISREADINGS[char] if char in _MISREADINGS and rng.random() < rate else char for char in text)


def make_row(record_id: str, raw: str | None, corrected: str | None = None, truth: str | None = None, **values: Any) -> Row:
    """One row as the stages leave it; status, edits and distances follow from the texts unless given."""
    row: Row = dict.fromkeys(SCHEMA.names)
    row |= {
        "record_id": record_id,
        "raw_text": raw,
        "corrected_text": corrected,
        "ground_truth": truth,
        "lines": [],
        "verdicts": [],
    }
    row |= {"source_uri": f"/archive/{record_id}.tif", "source_kind": "text", "page": 0, "content_hash": "0" * 64}
    row |= {"recognizer": "tesseract 5.5", "corrector": "tagger", "model": "default", "model_revision": "r1", "recognize_s": 0.5}
    row |= {"correct_s": 0.25, "input_tokens": 10, "output_tokens": 8, "adapter": ""}
    row |= {"lines": [], "edits": [], "refused_edits": [], "verdicts": []}
    row |= {"prompt_version": "", "status": "unchanged" if raw == corrected else "corrected"}
    if raw is not None and corrected is not None:
        row["edits"] = [asdict(edit) for edit in edits_between(raw, corrected)]
        if truth is not None:
            row |= {"raw_distance": distance(raw, truth), "corrected_distance": distance(corrected, truth)}
            row["ground_truth_chars"] = len(for_scoring(truth))
    return row | values


def make_failure(record_id: str, stage: str = "load", kind: str = "truncated", error: str = "ends early", **values: Any) -> Row:
    """One row that failed."""
    failure = {"status": "failed", "failed_stage": stage, "error_kind": kind, "error": error}
    return make_row(record_id, None) | failure | {"recognizer": None, "corrector": None, "model": None} | values


def make_refusal(record_id: str, raw: str, proposed: str, reason: str = "similarity", **values: Any) -> Row:
    """One row whose correction the guard refused."""
    verdict = {"start": 0, "end": len(raw), "accepted": False, "reason": reason, "similarity": 0.4375, "score": None}
    refused = [asdict(edit) for edit in edits_between(raw, proposed)]
    refusal = {"status": "kept_raw", "guard_reason": reason, "verdicts": [verdict], "refused_edits": refused}
    return make_row(record_id, raw, raw, **values) | refusal


def make_newspaper(records: int = 400, with_truth: bool = True, seed: int = 7) -> list[Row]:
    """A mixed corpus: most records improve, some stay, a few get worse, are refused or fail."""
    rng, rows = random.Random(seed), []
    for number in range(records):
        truth = "\n".join(rng.choices(SENTENCES, k=rng.randint(3, 9)))
        raw = misread(truth, rng.choice([0, 0.01, 0.03, 0.08, 0.2]), rng)
        record_id = f"gazette-1871-{number:04d}"
        about = {"source_kind": "image", "title": f"The Gazette, no. {number}", "truth": truth if with_truth else None}
        about["gone"] = number % 50 == 7
        luck = rng.random()
        if luck < 0.03:
            kind, stage = rng.choice([("truncated", "load"), ("bomb", "load"), ("timeout", "recognize")])
            error = f"{record_id}.tif: {kind}: scan the page again"
            rows.append(make_failure(record_id, stage, kind, error, source_kind="image", title=about["title"]))
        elif luck < 0.08:
            rows.append(
                make_refusal(record_id, raw, raw[: len(raw) // 3], rng.choice(["similarity", "length", "digits"]), **about)
            )
        else:
            corrected = misread(raw, 0.05, rng) if luck < 0.14 else "".join(_mended(raw, truth, rng))
            rows.append(make_row(record_id, raw, corrected, **about))
    return rows


def _mended(raw: str, truth: str, rng: random.Random) -> list[str]:
    parts, position = [], 0
    for edit in edits_between(raw, truth):
        mended = rng.random() < 0.7
        parts += [raw[position : edit.start], edit.corrected if mended else edit.raw]
        position = edit.end
    return [*parts, raw[position:]]


def write_rows(output: Path, rows: Sequence[Row], files: int = 1, fields: pa.DataType | None = None) -> Path:
    """Write rows as `<output>/data/*.parquet`, extracted fields as type `fields`; returns the output folder."""
    (output / "data").mkdir(parents=True, exist_ok=True)
    extra = [(name, pa.string()) for name in (rows[0] if rows else {}) if name not in SCHEMA.names]
    schema = pa.schema([*SCHEMA, *extra], metadata=SCHEMA.metadata)
    if fields is not None:
        for name, data_type in (("fields", fields), ("field_candidates", pa.list_(fields))):
            schema = schema.set(schema.get_field_index(name), pa.field(name, data_type))
    for number in range(files):
        table = pa.Table.from_pylist(list(rows[number::files]), schema=schema)
        pq.write_table(table, output / "data" / f"{number:06d}.parquet", row_group_size=97)
    return output


@pytest.fixture(scope="session")
def rows() -> SimpleNamespace:
    """Makers of rows: `row`, `failure`, `refusal`, and `newspaper` for a whole corpus of them."""
    return SimpleNamespace(row=make_row, failure=make_failure, refusal=make_refusal, newspaper=make_newspaper)


@pytest.fixture
def corpus(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows into a fresh output folder and returns it: `corpus(rows, files=2)`."""

    def write(rows: Sequence[Row], files: int = 1, fields: pa.DataType | None = None) -> Path:
        return write_rows(tmp_path / "corpus", rows, files, fields)

    return write
