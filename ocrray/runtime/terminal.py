"""What a person reads before and after a run."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml
from rich.console import Console
from rich.table import Table

from ocrray.corpus.export.corpus import FOLDER_NAME as EXPORT_FOLDER
from ocrray.corpus.export.corpus import Exported
from ocrray.corpus.summary import Summary
from ocrray.engines.base import EngineInfo

if TYPE_CHECKING:
    from ocrray.runtime.restore import Plan


@dataclass(frozen=True, slots=True)
class Pace:
    """How many records this run processed, and how long it took, start-up of the workers included."""

    records: int
    elapsed_s: float


def working(on: str) -> AbstractContextManager[object]:
    """Show what is being worked on where no count can be given; nothing where standard error is no terminal."""
    console = Console(stderr=True)
    return console.status(on) if console.is_terminal else nullcontext()


def print_plan(plan: "Plan") -> None:
    """Print what a run of this plan would do."""
    config, listing = plan.config, plan.listing
    table = Table(show_header=False, box=None, pad_edge=False)
    for kind, count in listing.counts.items():
        table.add_row(f"input: {kind}", f"{count:,}")
    table.add_row("input: skipped files", f"{listing.skipped:,}")
    table.add_row("records", f"{listing.records:,}  ({listing.size_bytes:,} bytes in files)")
    table.add_row("recognize", _engine(plan.recognizer))
    if config.route:
        table.add_row("route", f"{_engine(plan.router)}, sends on what it estimates above {config.route.above:.1%} CER")
    table.add_row("correct", _engine(plan.corrector))
    table.add_row("guard", "off" if config.guard is None else "on")
    table.add_row("export", "off" if config.export is None else "ALTO, PAGE and hOCR files")
    table.add_row("output", f"{config.output.path}  ({'goes on with an earlier run' if plan.previous else 'new'})")
    table.add_row("fingerprint", plan.fingerprint)
    console = Console(soft_wrap=True)
    console.print(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True), markup=False)
    console.print(table)


def _engine(info: EngineInfo | None) -> str:
    return " ".join(filter(None, (info.engine, info.model, info.revision[:12], info.adapter))) if info else "nothing to do"


def print_result(summary: Summary, output: str, *, unit: str, pace: Pace | None, exported: Exported | None) -> None:
    """Print what a finished corpus holds; `pace` is None when it was finished before."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row(f"{unit}s", f"{summary.records:,}")
    table.add_row("characters", f"{summary.raw_chars:,}")
    quality = summary.quality
    if quality.truth_chars:
        table.add_row("CER before", f"{quality.micro_raw_cer:.2%}")
        table.add_row("CER after", f"{quality.micro_corrected_cer:.2%}")
        table.add_row("made worse", f"{quality.made_worse:,} of {quality.records:,} with ground truth")
    if summary.sent_on_records:
        share = f"{summary.sent_on_frac:.1%} of the characters"
        table.add_row("sent on", f"{summary.sent_on_records:,} {unit}s, {share}, to the language model")
    for status in ("corrected", "unchanged", "kept_raw", "failed"):
        table.add_row(status.replace("_", " "), f"{summary.status[status]:,}")
    if pace and pace.records:
        table.add_row(f"{unit}s/s", f"{pace.records / pace.elapsed_s:,.2f} ({pace.elapsed_s:,.1f} s, workers' start included)")
    table.add_row("corpus", f"{output}/data")
    table.add_row("report", f"{output}/report.html")
    if exported:
        counts = f"{exported.changed:,} corrected, {exported.unchanged:,} unchanged, {exported.failed:,} failed"
        table.add_row("exported files", f"{output}/{EXPORT_FOLDER}  ({counts})")
    Console(soft_wrap=True).print(table)
