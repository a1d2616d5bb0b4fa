"""Text to proposed edits: rows are cut into passages that fit the corrector; its changes become `edits`, not yet judged."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ocrray.engines.base import CorrectionResult, Corrector, EngineInfo
from ocrray.engines.registry import tags_characters
from ocrray.records import AWAITING_ANSWER, Edit, Passage, edits_to_rows, merge_warnings, passages_to_rows
from ocrray.stages.base import Stage, StageError, table_of
from ocrray.stages.busy import BusyClock
from ocrray.stages.tables import CORRECTOR_COLUMNS, corrector_columns, lists_array
from ocrray.text.edits import edits_between, with_probabilities
from ocrray.text.normalise import sanitise
from ocrray.text.passages import frame, split
from ocrray.text.wrapping import unwrap


@dataclass(slots=True)
class _Proposals:
    """Corrections of the passages of a block, by row: only of rows that have any. Offsets are those of the row's raw text."""

    is_tagger: bool = False
    """True: the corrector edits characters, and wraps nothing."""
    edits: dict[int, list[Edit]] = field(default_factory=dict)
    passages: dict[int, list[Passage]] = field(default_factory=dict)
    input_tokens: Counter[int] = field(default_factory=Counter)
    output_tokens: Counter[int] = field(default_factory=Counter)
    expected_errors: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    without_estimate: set[int] = field(default_factory=set)
    warnings: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    messages: dict[int, str] = field(default_factory=dict)

    def add(self, row: int, start: int, source: str, correction: CorrectionResult) -> None:
        """Add the correction of the passage `source` that begins at `start`; passages of a row come in order."""
        if correction.input_tokens:
            self.input_tokens[row] += correction.input_tokens
            self.output_tokens[row] += correction.output_tokens
        if correction.expected_errors is None:
            self.without_estimate.add(row)
        else:
            self.expected_errors[row] += correction.expected_errors
        correction = self._unwrapped(row, source, correction)
        if correction.text == source:
            return
        if correction.reason == AWAITING_ANSWER:
            self.warnings[row].add(AWAITING_ANSWER)
        if correction.message:
            self.messages.setdefault(row, f"{correction.reason}: {correction.message}")
        passage = Passage(start, start + len(source), (correction.reason or "not_corrected") if correction.text is None else "")
        self.passages.setdefault(row, []).append(passage)
        if correction.text is not None:
            edits = with_probabilities(edits_between(source, correction.text), correction.probabilities)
            shifted = [replace(edit, start=edit.start + start, end=edit.end + start) for edit in edits]
            self.edits.setdefault(row, []).extend(shifted)

    def _unwrapped(self, row: int, source: str, correction: CorrectionResult) -> CorrectionResult:
        """Return the correction without what the corrector wrapped around it; none where it is empty, or still wrapped."""
        if self.is_tagger or correction.text is None or correction.text == source:
            return correction
        if source.strip() and not correction.text.strip():
            return replace(correction, text=None, reason="empty_answer")
        found = unwrap(source, correction.text)
        if found.is_doubtful:
            return replace(correction, text=None, reason="wrapping")
        if found.is_changed:
            self.warnings[row].add("wrapping_removed")
        return replace(correction, text=found.text)

    def columns(self, rows: pa.Table) -> dict[str, Any]:
        """Build the columns, one value a row; no `estimated_cer` where the corrector gave no estimate at all."""
        edits = {row: edits_to_rows(edits) for row, edits in self.edits.items()}
        passages = {row: passages_to_rows(passages) for row, passages in self.passages.items()}
        columns: dict[str, Any] = {
            "edits": lists_array(edits, len(rows), rows.schema.field("edits").type),
            "_passages": lists_array(passages, len(rows), rows.schema.field("_passages").type),
            "input_tokens": _filled(self.input_tokens, len(rows)),
            "output_tokens": _filled(self.output_tokens, len(rows)),
        }
        if self.warnings:
            before = enumerate(rows["warnings"].to_pylist())
            columns["warnings"] = [merge_warnings(old, self.warnings.get(row, ())) for row, old in before]
        if self.messages:
            before = rows["error"].to_pylist()  # why the fallback of a recognizer read the page
            columns["error"] = [self.messages.get(row) or old for row, old in enumerate(before)]
        if self.expected_errors:
            lengths = pc.utf8_length(rows["raw_text"]).to_pylist()
            columns["estimated_cer"] = [
                None if row in self.without_estimate else self.expected_errors.get(row, 0.0) / max(1, length)
                for row, length in enumerate(lengths)
            ]
        return columns


class _Propose(Stage):
    """Write the proposals of a corrector for every row with text, or, behind `Route`, for those that were sent on."""

    name = "correct"
    reads: Sequence[str] = ("raw_text", "_sent_on")
    writes = (
        *("edits", "_passages", "input_tokens", "output_tokens", "estimated_cer", "correct_s", "warnings"),
        *CORRECTOR_COLUMNS,
    )

    def select(self, table: pa.Table) -> pa.ChunkedArray:
        """Select rows with text, unless the tagger was enough for them."""
        return pc.and_(pc.and_(super().select(table), pc.is_valid(table["raw_text"])), pc.fill_null(table["_sent_on"], True))

    def results(self, rows: pa.Table, proposals: _Proposals, info: EngineInfo, **columns: Any) -> pa.Table:
        """Build the columns of these proposals and of the engine that made them."""
        return table_of(
            rows,
            {
                **proposals.columns(rows),
                **corrector_columns(info),
                **columns,
            },
        )


class Correct(_Propose):
    """Propose edits from `corrector`; all passages of a block go to it in one call."""

    reads = ("raw_text", "_sent_on", "correct_s")

    def __init__(self, corrector: Corrector) -> None:
        self.corrector = corrector
        self._clock = BusyClock()

    def process(self, rows: pa.Table) -> pa.Table:
        """Cut the rows into passages, correct these, and put the edits together."""
        started = self._clock.start()
        texts = rows["raw_text"].to_pylist()
        passages = [(row, *passage) for row, text in enumerate(texts) for passage in _passages(text, self.corrector)]
        corrections = iter(self._correct([source for _, _, source, fits in passages if fits]))
        proposals = _Proposals(tags_characters(self.corrector.info.engine))
        for row, start, source, fits in passages:
            proposals.add(row, start, source, next(corrections) if fits else CorrectionResult(None, reason="too_long"))
        seconds = _shared_seconds(rows, self._clock.stop(started))
        return self.results(rows, proposals, self.corrector.info, correct_s=seconds)

    def _correct(self, texts: Sequence[str]) -> list[CorrectionResult]:
        corrections = self.corrector.correct(texts)
        if len(corrections) != len(texts):
            engine = self.corrector.info.engine
            raise StageError(f"stage {self.name}: {engine} returned {len(corrections):,} corrections for {len(texts):,} texts")
        return corrections


class TakeGiven(_Propose):
    """Propose the text of the user's own column: corrections made elsewhere, each record one passage; null leaves the record."""

    def __init__(self, column: str, info: EngineInfo) -> None:
        self.column = column
        self.info = info
        self.reads = (*super().reads, column)

    def process(self, rows: pa.Table) -> pa.Table:
        """Compare both columns."""
        proposals = _Proposals()
        columns = (rows["raw_text"].to_pylist(), rows[self.column].cast(pa.string()).to_pylist())
        for row, (raw, given) in enumerate(zip(*columns, strict=True)):
            proposals.add(
                row, 0, raw, CorrectionResult(None, reason="not_given") if given is None else CorrectionResult(sanitise(given))
            )
        return self.results(rows, proposals, self.info)


class Route(Stage):
    """Send records on from the tagger to a language model: those with an estimated CER above `above`, or with none.

    Their edits go into `tagger_edits`; the model's edits take their place.
    """

    name = "route"
    reads = ("edits", "estimated_cer")
    writes = ("tagger_edits", "_sent_on")

    def __init__(self, above: float) -> None:
        self.above = above

    def process(self, rows: pa.Table) -> pa.Table:
        """Decide for every row that is not failed."""
        sent_on = pc.fill_null(pc.greater(rows["estimated_cer"], self.above), True)
        return table_of(rows, {"_sent_on": sent_on, "tagger_edits": pc.if_else(sent_on, rows["edits"], None)})


def _shared_seconds(rows: pa.Table, spent_s: float) -> pa.ChunkedArray:
    """Add the time spent on these rows, shared out by their characters, to `correct_s`."""
    chars = pc.utf8_length(rows["raw_text"]).cast(pa.float64())
    shares = pc.multiply(chars, spent_s / max(1, pc.sum(chars).as_py() or 0)).cast(pa.float32())
    return pc.add(shares, pc.fill_null(rows["correct_s"], 0))


def _passages(text: str, corrector: Corrector) -> list[tuple[int, str, bool]]:
    """Return the start of each passage of `text`, its text without the white space around it, and whether it fits."""
    if text and not text[0].isspace() and not text[-1].isspace() and corrector.fits(text):
        return [(0, text, True)]
    passages = []
    start = 0
    for piece in split(text, corrector.fits):
        lead, core, _ = frame(piece)
        if core:
            passages.append((start + len(lead), core, corrector.fits(core)))
        start += len(piece)
    return passages


def _filled(numbers: Mapping[int, int], length: int) -> pa.Array:
    """Return the numbers at their rows as an array of this length, 0 elsewhere."""
    filled = np.zeros(length, dtype=np.int32)
    filled[list(numbers)] = list(numbers.values())
    return pa.array(filled)
