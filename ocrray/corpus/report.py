"""The HTML report: one file that opens anywhere, shows what the run did to the corpus, and hides nothing that went wrong."""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, pairwise, zip_longest
from pathlib import Path
from typing import Any

from markupsafe import Markup

import ocrray
from ocrray.corpus.card import STATUS_MEANINGS
from ocrray.corpus.diff import Segment, segments
from ocrray.corpus.examples import Place, read_rows
from ocrray.corpus.summary import BIN_ENDS, Summary
from ocrray.corpus.templates import environment
from ocrray.errors import RecordError
from ocrray.folder import Folder
from ocrray.records import SCHEMA, edits_from_rows
from ocrray.sources.kinds import IMAGE_KINDS
from ocrray.text.edits import edits_between
from ocrray.text.normalise import for_scoring

NAME = "report.html"
Thumbnail = Callable[[str, int], bytes | None]

GROUPS = {
    "worst": ("Worst", "Highest character error rate after correction."),
    "made_worse": ("Made worse", "Further from the ground truth after correction than before it."),
    "kept_raw": ("Kept raw", "The correction was refused, or none could be made, so the raw text stands; the reason is given."),
    "changed": ("Most changed", "Largest share of the text changed by correction."),
    "doubtful": ("Most doubtful", "Where the edit tagger expects most characters to be wrong still, after its own edits."),
    "sample": ("Random sample", "Drawn at random from all records that did not fail."),
}
_MAX_BYTES = 14_000_000
_MAX_TEXT_CHARS = 6_000
_MAX_COMPARED_CHARS = 20_000
_MAX_KEPT_RAW, _MAX_FAILURE_KINDS, _MAX_VERDICTS = 12, 20, 5


@dataclass(frozen=True, slots=True)
class Example:
    """One record as the report shows it."""

    row: Mapping[str, Any]
    ranks: Mapping[str, int]  # its place in each group that it is in
    changes: Sequence[Segment]  # from raw to corrected text
    refused: Sequence[Segment]  # the raw text with what the guard refused; empty when it refused nothing
    remaining: Sequence[Segment] | None  # from corrected text to ground truth; None when either is missing or too long
    refusals: Sequence[Mapping[str, Any]]  # verdicts that were not accepted
    scan: tuple[str, int] | None  # URI and page of the image behind it
    passthrough: Mapping[str, str]  # after what was extracted from it

    @property
    def made_worse(self) -> bool:
        return (self.row["corrected_distance"] or 0) > (self.row["raw_distance"] or 0)

    def cer(self, distance: str) -> float | None:
        """The record's CER from the column `raw_distance` or `corrected_distance`; None without ground truth."""
        return self.row[distance] / self.row["ground_truth_chars"] if self.row["ground_truth_chars"] else None


def write_report(
    output: str | Path | Folder, *, summary: Summary, config_yaml: str, title: str, thumbnail: Thumbnail | None = None
) -> None:
    """Write `report.html`, one self-contained file under 15 MB, into the output folder.

    `thumbnail(uri, page)` returns a JPEG of at most about 900 px for the records shown, or None (or raises RecordError) where
    there is none to show.
    """
    examples = _examples(summary)
    env = environment(autoescape=True)
    env.filters["clip"] = _clip
    script = Markup(env.get_template("report.js.jinja").render())
    page = {
        "title": title,
        "summary": summary,
        "examples": examples,
        "groups": {name: words for name, words in GROUPS.items() if any(name in example.ranks for example in examples)},
        "failures": _failures(summary),
        "max_failure_kinds": _MAX_FAILURE_KINDS,
        "max_verdicts": _MAX_VERDICTS,
        "statuses": STATUS_MEANINGS,
        "bins": _bin_labels(),
        "config_yaml": config_yaml,
        "version": ocrray.__version__,
        "written": datetime.now(UTC),
        "style": Markup(env.get_template("report.css.jinja").render()),
        "script": script,
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    template = env.get_template("report.html.jinja")
    text_bytes = len(template.render(page, scans={}).encode())
    scans = _scans(examples, thumbnail, _MAX_BYTES - text_bytes) if thumbnail else {}
    Folder.at(output).write_text(NAME, template.render(page, scans=scans))


def _examples(summary: Summary) -> list[Example]:
    """The chosen records, each once, in the order of the groups."""
    by_reason = (top.places for top in summary.kept_raw_rows.values())
    kept_raw = [place for place in chain.from_iterable(zip_longest(*by_reason)) if place]
    places = {name: summary.groups[name].places for name in GROUPS} | {"kept_raw": kept_raw[:_MAX_KEPT_RAW]}
    ranks: dict[Place, dict[str, int]] = {}
    for name in GROUPS:
        for rank, place in enumerate(places[name]):
            ranks.setdefault(place, {})[name] = rank
    rows = read_rows(summary.folder, ranks)
    return [_example(rows[place], ranks[place]) for place in ranks]


def _example(row: Mapping[str, Any], ranks: Mapping[str, int]) -> Example:
    raw = row["raw_text"] or ""
    refused = edits_from_rows(row["refused_edits"])
    return Example(
        row=row,
        ranks=ranks,
        changes=segments(raw, edits_from_rows(row["edits"]), _MAX_TEXT_CHARS),
        refused=segments(raw, refused, _MAX_TEXT_CHARS) if refused else (),
        remaining=_remaining(row["corrected_text"], row["ground_truth"]),
        refusals=[verdict for verdict in row["verdicts"] or () if not verdict["accepted"]],
        scan=_scan(row),
        passthrough={
            **{f"fields.{name}": value for name, value in (row["fields"] or {}).items() if value},
            **{name: str(value) for name, value in row.items() if name not in SCHEMA.names and value is not None},
        },
    )


def _remaining(corrected: str | None, truth: str | None) -> list[Segment] | None:
    if corrected is None or truth is None or max(len(corrected), len(truth)) > _MAX_COMPARED_CHARS:
        return None
    left, right = for_scoring(corrected), for_scoring(truth)
    return segments(left, edits_between(left, right), _MAX_TEXT_CHARS)


def _scan(row: Mapping[str, Any]) -> tuple[str, int] | None:
    if row["source_kind"] in IMAGE_KINDS:
        return row["source_uri"], row["page"] or 0
    return (row["image_uri"], 0) if row["image_uri"] else None


def _scans(examples: Sequence[Example], thumbnail: Thumbnail, room_bytes: int) -> dict[tuple[str, int], str]:
    """Each scan as a data URI, for as long as there is room."""
    scans: dict[tuple[str, int], str] = {}
    for scan in dict.fromkeys(example.scan for example in examples if example.scan):
        try:
            jpeg = thumbnail(*scan)
        except RecordError:
            continue
        if not jpeg:
            continue
        uri = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
        if len(uri) <= room_bytes:
            scans[scan] = uri
            room_bytes -= len(uri)
    return scans


def _failures(summary: Summary) -> list[tuple[str, str, int, list[Mapping[str, Any]]]]:
    """Stage, kind, number of records and a few of them, the most frequent failures first."""
    frequent = summary.failed.most_common(_MAX_FAILURE_KINDS)
    rows = read_rows(summary.folder, (place for failure, _ in frequent for place in summary.failed_rows[failure].places))
    return [(*failure, n, [rows[place] for place in summary.failed_rows[failure].places]) for failure, n in frequent]


def _bin_labels() -> list[str]:
    ends = [f"{100 * end:g}" for end in BIN_ENDS]
    return ["0 %", *(f"{low}–{high} %" for low, high in pairwise(ends)), f"over {ends[-1]} %"]


def _clip(text: str | None, max_chars: int = 300) -> str:
    text = text or ""
    return text if len(text) <= max_chars else f"{text[:max_chars]}… ({len(text):,} characters)"
