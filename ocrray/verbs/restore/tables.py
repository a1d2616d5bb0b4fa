"""Tables that `restore` prints."""

from dataclasses import dataclass

from ocrray.corpus.export.corpus import FOLDER_NAME as EXPORT_FOLDER
from ocrray.corpus.export.corpus import Exported
from ocrray.corpus.summary import Summary
from ocrray.records import STATUSES
from ocrray.verbs.console import Rows


@dataclass(frozen=True, slots=True)
class Throughput:
    """Records that this call processed, and the seconds it took, start of the workers included."""

    records: int
    elapsed_s: float


def result_rows(summary: Summary, output: str, *, unit: str, throughput: Throughput | None, exported: Exported | None) -> Rows:
    """Return the counts of a finished corpus; `throughput` is None when an earlier call finished it."""
    rows = [(f"{unit}s", f"{summary.records:,}"), ("characters", f"{summary.raw_chars:,}")]
    quality = summary.quality
    if quality.truth_chars:
        rows += [
            ("CER before", f"{quality.micro_raw_cer:.2%}"),
            ("CER after", f"{quality.micro_corrected_cer:.2%}"),
            ("made worse", f"{quality.made_worse:,} of {quality.records:,} with ground truth"),
        ]
    if summary.sent_on_records:
        share = f"{summary.sent_on_frac:.1%} of the characters"
        rows.append(("sent on", f"{summary.sent_on_records:,} {unit}s, {share}, to the language model"))
    rows += [(status.replace("_", " "), f"{summary.status[status]:,}") for status in STATUSES]
    if summary.warnings:
        named = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in summary.warnings.most_common())
        rows.append(("warnings", f"{named}  (column warnings)"))
    if summary.gone:
        rows.append(("gone", f"{summary.gone:,} of these are no longer in the input"))
    if throughput and throughput.records:
        rate = throughput.records / throughput.elapsed_s
        rows.append((f"{unit}s/s", f"{rate:,.2f} ({throughput.elapsed_s:,.1f} s, workers' start included)"))
    rows += [("corpus", f"{output}/data"), ("report", f"{output}/report.html")]
    if exported:
        new = f"{exported.new:,} of scans, " if exported.new else ""
        counts = f"{new}{exported.changed:,} corrected, {exported.unchanged:,} unchanged, {exported.failed:,} failed"
        rows.append(("exported files", f"{output}/{EXPORT_FOLDER}  ({counts})"))
    return rows
