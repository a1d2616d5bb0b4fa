"""A corpus written by an earlier version stays readable by `evaluate` and `export`."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import hostile
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from worklist_samples import write_work_list

from ocrray.corpus.export.corpus import ExportConfig, Exported, export_corpus
from ocrray.evaluation.inputs import System, SystemConfig
from ocrray.storage import Location

_BOX = [(name, pa.int32()) for name in ("left", "top", "right", "bottom")]
_WORD = [("text", pa.string()), *_BOX, ("confidence", pa.float32())]
_EDIT = [("start", pa.int32()), ("end", pa.int32()), ("raw", pa.string()), ("corrected", pa.string())]
_VERDICT = [("start", pa.int32()), ("end", pa.int32()), ("accepted", pa.bool_()), ("reason", pa.string())]
_FIELDS = pa.struct([(name, pa.string()) for name in ("description", "title", "agency", "photographer", "date")])


def frozen_schema(version: int) -> pa.Schema:
    """Return the schema as version 2, 3 or 4 wrote it. Never change it: it is what lies on users' disks."""
    probability = [("probability", pa.float32())] if version == 4 else []
    edits = pa.list_(pa.struct([*_EDIT, *probability]))
    verdicts = pa.list_(
        pa.struct([*_VERDICT, ("similarity", pa.float32()), *([("score", pa.float32())] if version >= 3 else [])])
    )
    strings_before = ("record_id", "status", "raw_text", "corrected_text", "ground_truth")
    provenance = ("recognizer", "corrector", "model", "model_revision", "adapter", "prompt_version")
    return pa.schema(
        [
            *((name, pa.string()) for name in strings_before),
            ("lines", pa.list_(pa.struct([*_WORD, ("words", pa.list_(pa.struct(_WORD)))]))),
            *(("edits", edits), ("refused_edits", edits), ("verdicts", verdicts), ("guard_reason", pa.string())),
            *([("estimated_cer", pa.float32()), ("tagger_edits", edits)] if version == 4 else []),
            *(("fields", _FIELDS), ("field_candidates", pa.list_(_FIELDS))),
            *((name, pa.string()) for name in ("failed_stage", "error_kind", "error", "source_uri", "source_kind")),
            *(("page", pa.int32()), ("image_uri", pa.string()), ("content_hash", pa.string())),
            *((name, pa.string()) for name in provenance),
            *(("input_tokens", pa.int32()), ("output_tokens", pa.int32())),
            *(("recognize_s", pa.float32()), ("correct_s", pa.float32())),
            *((name, pa.int32()) for name in ("ground_truth_chars", "raw_distance", "corrected_distance")),
        ],
        metadata={"ocrray_schema_version": str(version)},
    )


@pytest.fixture(params=[2, 3, 4])
def old_corpus(request, tmp_path: Path) -> Path:
    """The output folder of a run over one ALTO file, "tbe cat" corrected to "the cat"."""
    scan = tmp_path / "in" / "a.xml"
    scan.parent.mkdir()
    scan.write_text(hostile.ALTO.format(hostile.ALTO_LINE.format("tbe cat")))
    output = tmp_path / "out"
    for name in ("data", "_work_list"):
        (output / name).mkdir(parents=True)
    write_work_list(Location.at(output / "_work_list"), str(scan))
    schema = frozen_schema(request.param)
    row = dict.fromkeys(schema.names) | {
        "record_id": "a",
        "status": "corrected",
        "raw_text": "tbe cat",
        "corrected_text": "the cat",
        "ground_truth": "the cat",
        "lines": [{"text": "tbe cat", "words": []}],
        "edits": [{"start": 1, "end": 2, "raw": "b", "corrected": "h"}],
        "refused_edits": [{"start": 4, "end": 5, "raw": "c", "corrected": "h"}],
        "verdicts": [{"start": 4, "end": 7, "accepted": False, "reason": "language", "similarity": 0.67}],
        "fields": {"description": "A cat.", "title": "Cat"},
        "field_candidates": [{"description": "A cat.", "title": "Cat"}],
        "source_uri": str(scan),
        "source_kind": "alto",
        "page": 0,
        "content_hash": hashlib.sha256(scan.read_bytes()).hexdigest(),
        "corrector": "tagger",
        "model": "default",
    }
    pq.write_table(pa.Table.from_pylist([row], schema), output / "data" / "000000.parquet")
    return output


def test_evaluate_old_corpus_reads_texts_refusals_and_fields(old_corpus: Path) -> None:
    """Everything that the figures are made of is found in files of earlier versions."""
    (batch,) = System(SystemConfig(run=str(old_corpus)), "system").batches()
    assert (batch.ids, batch.raw, batch.corrected, batch.truth) == (["a"], ["tbe cat"], ["the cat"], ["the cat"])
    assert batch.problems == {}
    (values,) = batch.run_values(["status", "verdicts", "fields"])
    assert values["status"] == "corrected"
    assert values["verdicts"][0]["reason"] == "language"
    assert (values["fields"]["title"], values["fields"]["date"]) == ("Cat", None)


def test_export_old_corpus_writes_the_corrections(old_corpus: Path) -> None:
    """Corrections of earlier versions still go back into their files."""
    finished = datetime(2026, 1, 2, tzinfo=UTC)
    exported = export_corpus(Location.at(old_corpus), ExportConfig(), finished=finished, max_file_bytes=1 << 20, max_pixels=10**8)
    assert exported == Exported(changed=1, unchanged=0, failed=0, changed_lines=1)
    assert b'CONTENT="the cat"' in (old_corpus / "export" / "a.xml").read_bytes()
