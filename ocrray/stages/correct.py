"""Text to proposed edits: rows are cut into passages that fit the corrector; what it changed becomes `edits`, not yet judged."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ocrray.engines.base import Correction, Corrector, EngineInfo
from ocrray.records import Edit, Verdict, edits_to_rows, verdicts_to_rows
from ocrray.stages.busy import BusyClock
from ocrray.stages.tables import constant, with_columns
from ocrray.text.edits import edits_between, with_probabilities
from ocrray.text.normalise import sanitise
from ocrray.text.passages import frame, split


@dataclass(slots=True)
class Proposals:
    """What a corrector made of the rows of a batch: edits and verdicts only for rows that have any.

    `verdicts` name each passage that it changed, or left with a reason; offsets are those of the row's raw text.
    """

    rows: Sequence[int]
    edits: dict[int, list[Edit]] = field(default_factory=dict)
    verdicts: dict[int, list[Verdict]] = field(default_factory=dict)
    input_tokens: Counter[int] = field(default_factory=Counter)
    output_tokens: Counter[int] = field(default_factory=Counter)
    expected_errors: dict[int, list[float | None]] = field(default_factory=dict)

    def add(self, row: int, start: int, source: str, correction: Correction) -> None:
        """Take in the correction of the passage `source` that begins at `start`; passages of a row come in order."""
        if correction.input_tokens:
            self.input_tokens[row] += correction.input_tokens
            self.output_tokens[row] += correction.output_tokens
        self.expected_errors.setdefault(row, []).append(correction.expected_errors)
        if correction.text == source:
            return
        verdict = Verdict(start, start + len(source), accepted=correction.text is not None, reason=correction.reason)
        self.verdicts.setdefault(row, []).append(verdict)
        if correction.text is not None:
            edits = with_probabilities(edits_between(source, correction.text), correction.probabilities)
            shifted = [replace(edit, start=edit.start + start, end=edit.end + start) for edit in edits]
            self.edits.setdefault(row, []).extend(shifted)


class Correct:
    """Proposes edits for every row with text from `corrector`; all passages of a batch go to it in one call.

    With `above` only rows that a tagger holds to be worse than this, or could not judge, are corrected again: `corrector`'s edits
    take the place of the tagger's, which go into `tagger_edits`.
    """

    name = "correct"

    def __init__(self, corrector: Corrector, above: float | None = None) -> None:
        self.corrector = corrector
        self.above = above
        self._clock = BusyClock()

    def __call__(self, table: pa.Table) -> pa.Table:
        started = self._clock.start()
        texts = table["raw_text"].to_pylist()
        proposals = Proposals(_correctable(table, self.above))
        passages = [(row, start, source) for row in proposals.rows for start, source in _passages(texts[row], self.corrector)]
        fits = [self.corrector.fits(source) for _, _, source in passages]
        corrections = iter(self.corrector.correct([source for (_, _, source), fit in zip(passages, fits, strict=True) if fit]))
        for (row, start, source), fit in zip(passages, fits, strict=True):
            proposals.add(row, start, source, next(corrections) if fit else Correction(None, reason="too_long"))
        seconds = _seconds(table, proposals.rows, self._clock.stop(started))
        table = with_proposals(table, proposals, self.corrector.info, sent_on=self.above is not None)
        return with_columns(table, {"correct_s": seconds})


class TakeGiven:
    """Proposes what the user's own column says: corrections made elsewhere, each record one passage. A null leaves the record.

    `above` is that of `Correct`.
    """

    name = "correct"

    def __init__(self, column: str, info: EngineInfo, above: float | None = None) -> None:
        self.column = column
        self.info = info
        self.above = above

    def __call__(self, table: pa.Table) -> pa.Table:
        texts, given = table["raw_text"].to_pylist(), table[self.column].cast(pa.string()).to_pylist()
        proposals = Proposals(_correctable(table, self.above))
        for row in proposals.rows:
            correction = Correction(None, reason="not_given") if given[row] is None else Correction(sanitise(given[row]))
            proposals.add(row, 0, texts[row], correction)
        return with_proposals(table, proposals, self.info, sent_on=self.above is not None)


def with_proposals(table: pa.Table, proposals: Proposals, info: EngineInfo, *, sent_on: bool) -> pa.Table:
    """`table` with each proposal in its row, and with who made it; rows that were not read stay as they are.

    Of rows that a tagger has `sent_on`, its edits are kept beside them.
    """
    if sent_on:
        table = with_columns(table, {"tagger_edits": _at(table, proposals.rows, table["edits"], table["tagger_edits"])})
    edits, verdicts = [[]] * len(table), [[]] * len(table)
    for row, changes in proposals.edits.items():
        edits[row] = edits_to_rows(changes)
    for row, judgements in proposals.verdicts.items():
        verdicts[row] = verdicts_to_rows(judgements)
    values = {
        "edits": edits,
        "verdicts": verdicts,
        "input_tokens": list(map(proposals.input_tokens.__getitem__, range(len(table)))),
        "output_tokens": list(map(proposals.output_tokens.__getitem__, range(len(table)))),
        "corrector": info.engine,
        "model": info.model,
        "model_revision": info.revision,
        "adapter": info.adapter,
        "prompt_version": info.prompt_version,
    }
    if estimates := _estimates(table, proposals):
        values["estimated_cer"] = estimates
    columns = {}
    for name, value in values.items():
        whole = constant(table, name, value) if isinstance(value, str) else pa.array(value, table.schema.field(name).type)
        columns[name] = _at(table, proposals.rows, whole, table[name])
    return with_columns(table, columns)


def _estimates(table: pa.Table, proposals: Proposals) -> list[float | None]:
    """The estimated CER of each row, None unless all its passages have one; nothing where the corrector never says."""
    estimates: list[float | None] = [None] * len(table)
    if all(error is None for errors in proposals.expected_errors.values() for error in errors):
        return []
    for row in proposals.rows:
        errors = proposals.expected_errors.get(row, [])
        if None not in errors:
            estimates[row] = sum(errors) / max(1, len(table["raw_text"][row].as_py()))
    return estimates


def _seconds(table: pa.Table, rows: Sequence[int], spent_s: float) -> pa.ChunkedArray:
    """`correct_s` with the time that went into these rows, shared out by their characters."""
    chars = _at(table, rows, pc.utf8_length(table["raw_text"]).cast(pa.float64()), pa.repeat(0.0, len(table)))
    shares = pc.multiply(chars, spent_s / max(1, pc.sum(chars).as_py() or 0)).cast(pa.float32())
    return _at(table, rows, pc.add(shares, pc.fill_null(table["correct_s"], 0)), table["correct_s"])


def _at(table: pa.Table, rows: Sequence[int], new: pa.Array, old: pa.Array) -> pa.Array:
    """`new` in these rows, `old` in all others."""
    mask = np.zeros(len(table), dtype=bool)
    mask[rows] = True
    return pc.if_else(pa.array(mask), new, old)


def _correctable(table: pa.Table, above: float | None = None) -> list[int]:
    rows = pc.and_(pc.is_null(table["status"]), pc.is_valid(table["raw_text"]))
    if above is not None:
        rows = pc.and_(rows, pc.fill_null(pc.greater(table["estimated_cer"], above), True))
    return pc.indices_nonzero(rows).to_pylist()


def _passages(text: str, corrector: Corrector) -> Iterator[tuple[int, str]]:
    """Where each passage of `text` starts, and its text without the white space around it."""
    start = 0
    for piece in split(text, corrector.fits):
        lead, core, _ = frame(piece)
        if core:
            yield start + len(lead), core
        start += len(piece)
