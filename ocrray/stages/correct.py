"""Text to proposed edits: rows are cut into passages that fit the corrector; what it changed becomes `edits`, not yet judged."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from ocrray.engines.base import Correction, Corrector, EngineInfo
from ocrray.records import Edit, Verdict, edits_to_rows, verdicts_to_rows
from ocrray.stages.tables import constant, with_columns
from ocrray.text.edits import edits_between
from ocrray.text.passages import frame, split


@dataclass(slots=True)
class Proposal:
    """What a corrector made of one record; `verdicts` name each passage that it changed or left, the latter with the reason."""

    edits: list[Edit] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    input_tokens: int = 0
    output_tokens: int = 0

    def add(self, start: int, source: str, correction: Correction) -> None:
        """Take in the correction of the passage `source` that begins at `start`."""
        self.input_tokens += correction.input_tokens
        self.output_tokens += correction.output_tokens
        if correction.text is None:
            self.verdicts.append(Verdict(start, start + len(source), accepted=False, reason=correction.reason))
        elif correction.text != source:
            found = edits_between(source, correction.text)
            self.edits += [Edit(edit.start + start, edit.end + start, edit.raw, edit.corrected) for edit in found]
            self.verdicts.append(Verdict(start, start + len(source), accepted=True))


class Correct:
    """Proposes edits for every row with text from `corrector`; all passages of a batch go to it in one call."""

    name = "correct"

    def __init__(self, corrector: Corrector) -> None:
        self.corrector = corrector

    def __call__(self, table: pa.Table) -> pa.Table:
        started = time.perf_counter()
        rows = _correctable(table)
        texts = table["raw_text"].to_pylist()
        passages = [(row, start, source) for row in rows for start, source in _passages(texts[row], self.corrector)]
        fits = [self.corrector.fits(source) for _, _, source in passages]
        corrections = iter(self.corrector.correct([source for (_, _, source), fit in zip(passages, fits, strict=True) if fit]))
        proposals = {row: Proposal() for row in rows}
        for (row, start, source), fit in zip(passages, fits, strict=True):
            proposals[row].add(start, source, next(corrections) if fit else Correction(None, reason="too_long"))
        seconds_per_char = (time.perf_counter() - started) / max(1, sum(len(texts[row]) for row in rows))
        seconds = {row: seconds_per_char * len(texts[row]) for row in rows}
        return with_proposals(table, proposals, self.corrector.info, seconds)


class TakeGiven:
    """Proposes what the user's own column says: corrections made elsewhere, each record one passage. A null leaves the record."""

    name = "correct"

    def __init__(self, column: str, info: EngineInfo) -> None:
        self.column = column
        self.info = info

    def __call__(self, table: pa.Table) -> pa.Table:
        texts, given = table["raw_text"].to_pylist(), table[self.column].cast(pa.string()).to_pylist()
        proposals = {}
        for row in _correctable(table):
            proposals[row] = Proposal()
            reason = "" if given[row] is not None else "not_given"
            proposals[row].add(0, texts[row], Correction(given[row], reason=reason))
        return with_proposals(table, proposals, self.info, {})


def with_proposals(
    table: pa.Table, proposals: Mapping[int, Proposal], info: EngineInfo, seconds: Mapping[int, float]
) -> pa.Table:
    """`table` with each proposal in its row, and with who made it."""
    made = [proposals.get(row) for row in range(len(table))]
    was_read = pa.array([proposal is not None for proposal in made])
    identity = {
        "corrector": info.engine,
        "model": info.model,
        "model_revision": info.revision,
        "adapter": info.adapter,
        "prompt_version": info.prompt_version,
    }
    return with_columns(
        table,
        {
            "edits": [proposal and edits_to_rows(proposal.edits) for proposal in made],
            "verdicts": [proposal and verdicts_to_rows(proposal.verdicts) for proposal in made],
            "input_tokens": [proposal and proposal.input_tokens for proposal in made],
            "output_tokens": [proposal and proposal.output_tokens for proposal in made],
            "correct_s": [seconds.get(row) for row in range(len(table))],
            **{
                name: pc.if_else(was_read, constant(table, name, value), constant(table, name, None))
                for name, value in identity.items()
            },
        },
    )


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
