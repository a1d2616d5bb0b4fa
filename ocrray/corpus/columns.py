"""What every column of a corpus means: the one place where it is said."""

import pyarrow as pa

from ocrray.records import SCHEMA

MEANINGS: dict[str, str] = {
    "record_id": "stable, unique id of the record, from its URI and page or from the user's own id column",
    "status": "`corrected`, `unchanged`, `kept_raw` (the correction was refused, or none could be made) or `failed`",
    "raw_text": "the text as it was read or recognized, before any correction",
    "corrected_text": "the text to use; equal to `raw_text` unless corrected, null only when failed",
    "ground_truth": "the true text, where one was given",
    "lines": "lines of the page in reading order, with boxes, confidence and words, as recognized",
    "edits": "the character spans of `raw_text` that became something else in `corrected_text`; `probability`: how sure the "
    "corrector was, where it says so",
    "refused_edits": "edits that the corrector proposed and the guard refused",
    "verdicts": "what the guard said of each changed span: accepted or not, reason, similarity, score (how likely wrong, 0..1)",
    "guard_reason": "why the raw text was kept, when status is `kept_raw`",
    "estimated_cer": "share of the characters that the edit tagger holds to be wrong still after its own edits: for ranking",
    "tagger_edits": "what the tagger proposed for a record that was sent on to the `corrector`; null for all others",
    "fields": "what was extracted from the text, by name; such a row's `corrected_text` is the description, unless there is none",
    "field_candidates": "the well-formed answers in the order drawn; `fields` is the one that agrees most with the others",
    "failed_stage": "the stage in which the record failed",
    "error_kind": "the kind of failure, one or two words",
    "error": "what went wrong, in one line",
    "source_uri": "the file that the record was read from",
    "source_kind": "`image`, `pdf`, `alto`, `page`, `hocr`, `text` or `table`",
    "page": "0-based index of the page, or of the row, inside `source_uri`",
    "image_uri": "the scan behind the text, where one is known",
    "content_hash": "sha256 of the source's bytes (of the text, for rows of a table)",
    "recognizer": "the engine that recognized the text; empty or null where the input already was text",
    "corrector": "the engine that corrected the text",
    "model": "the corrector's model",
    "model_revision": "the model's revision, and after a plus sign the number format that an edit tagger ran in",
    "adapter": "the adapter (LoRA) on top of the model",
    "prompt_version": "version of the prompt template that the model was asked with",
    "input_tokens": "tokens the corrector read",
    "output_tokens": "tokens the corrector wrote",
    "recognize_s": "seconds spent recognizing the record",
    "correct_s": "seconds spent correcting the record (its share of a batch)",
    "ground_truth_chars": "characters of the ground truth, in NFC with white space collapsed; null without ground truth",
    "raw_distance": "Levenshtein distance of `raw_text` to the ground truth, normalised alike",
    "corrected_distance": "Levenshtein distance of `corrected_text` to the ground truth, normalised alike",
}


def type_name(data_type: pa.DataType) -> str:
    """A type as a reader wants it: `string`, `int32`, or `list of {start, end, …}` for nested ones."""
    if pa.types.is_list(data_type):
        return f"list of {type_name(data_type.value_type)}"
    if pa.types.is_struct(data_type):
        return "{" + ", ".join(field.name for field in data_type) + "}"
    return str(data_type)


def described_columns(passthrough: dict[str, str]) -> list[tuple[str, str, str]]:
    """Name, type and meaning of every column, the user's own (name -> Arrow type) last."""
    own = [(field.name, type_name(field.type), MEANINGS[field.name]) for field in SCHEMA]
    return own + [(name, data_type, "passed through from the input as it was") for name, data_type in passthrough.items()]
