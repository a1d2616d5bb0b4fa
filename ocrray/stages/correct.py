"""Text to proposed edits: rows are cut into passages that fit the corrector; what it changed becomes `edits`, not yet judged."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from ocrray.engines.base import Correction, Corrector, EngineInfo
from ocrray.records import Edit, Verdict, edits_to_rows, verdicts_to_rows
from ocrray.stages.busy import BusyClock
from ocrray.stages.tables import constant, with_columns
from ocrray.text.edits import edits_between
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

    def add(self, row: int, start: int, source: str, correction: Correction) -> None:
        """Take in the correction of the passage `source` that begins at `start`; passages of a row come in order."""
        if correction.input_tokens:
            self.input_tokens[row] += correction.input_tokens
            self.output_tokens[row] += correction.output_tokens
        if correction.text == source:
            return
        verdict = Verdict(start, start + len(source), accepted=correction.text is not None, reason=correction.reason)
        self.verdicts.setdefault(row, []).append(verdict)
        if correction.text is not None:
            edits = edits_between(source, correction.text)
            shifted = [Edit(edit.start + start, edit.end + start, edit.raw, edit.corrected) for edit in edits]
            self.edits.setdefault(row, []).extend(shifted)


class Correct:
    """Proposes edits for every row with text from `corrector`; all passages of a batch go to it in one call."""

    name = "correct"

    def __init__(self, corrector: Corrector) -> None:
        self.corrector = corrector
        self._clock = BusyClock()

    def __call__(self, table: pa.Table) -> pa.Table:
        started = self._clock.start()
        texts = table["raw_text"].to_pylist()
        proposals = Proposals(_correctable(table))
        passages = [(row, start, source) for row in proposals.rows for start, source in _passages(texts[row], self.corrector)]
        fits = [self.corrector.fits(source) for _, _, source in passages]
        corrections = iter(self.corrector.correct([source for (_, _, source), fit in zip(passages, fits, strict=True) if fit]))
        for (row, start, source), fit in zip(passages, fits, strict=True):
            proposals.add(row, start, source, next(corrections) if fit else Correction(None, reason="too_long"))
        seconds_per_char = self._clock.stop(started) / max(1, sum(len(texts[row]) for row in proposals.rows))
        seconds = pc.multiply(pc.utf8_length(table["raw_text"]).cast(pa.float64()), seconds_per_char).cast(pa.float32())
        return with_columns(with_proposals(table, proposals, self.corrector.info), {"correct_s": seconds})


class TakeGiven:
    """Proposes what the user's own column says: corrections made elsewhere, each record one passage. A null leaves the record."""

    name = "correct"

    def __init__(self, column: str, info: EngineInfo) -> None:
        self.column = column
        self.info = info

    def __call__(self, table: pa.Table) -> pa.Table:
        texts, given = table["raw_text"].to_pylist(), table[self.column].cast(pa.string()).to_pylist()
        proposals = Proposals(_correctable(table))
        for row in proposals.rows:
            correction = Correction(None, reason="not_given") if given[row] is None else Correction(sanitise(given[row]))
            proposals.add(row, 0, texts[row], correction)
        return with_proposals(table, proposals, self.info)


def with_proposals(table: pa.Table, proposals: Proposals, info: EngineInfo) -> pa.Table:
    """`table` with each proposal in its row, and with who made it; rows that were not read stay null."""
    was_read = [False] * len(table)
    for row in proposals.rows:
        was_read[row] = True
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
    columns = {}
    for name, value in values.items():
        whole = constant(table, name, value) if isinstance(value, str) else pa.array(value, table.schema.field(name).type)
        columns[name] = pc.if_else(pa.array(was_read), whole, constant(table, name, None))
    return with_columns(table, columns)


def _correctable(table: pa.Table) -> list[int]:
    return pc.indices_nonzero(pc.and_(pc.is_null(table["status"]), pc.is_valid(table["raw_text"]))).to_pylist()


def _passages(text: str, corrector: Corrector) -> Iterator[tuple[int, str]]:
    """Where each passage of `text` starts, and its text without the white space around it."""
    start = 0
    for piece in split(text, corrector.fits):
        lead, core, _ = frame(piece)
        if core:
            yield start + len(lead), core
        start += len(piece)
