"""Panels of the report, in their order.

A panel is an entry of `PANELS` and a template of its name beside this file, which gets the summary and what `data` returns.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ocrray.corpus.columns import type_name
from ocrray.corpus.examples import Rows
from ocrray.corpus.fields import field_types
from ocrray.corpus.panels import examples
from ocrray.corpus.summary import MAX_FAILURE_KINDS, Summary
from ocrray.records import STATUS_MEANINGS, WARNING_MEANINGS


@dataclass(frozen=True, slots=True)
class Panel:
    """One section of the report."""

    name: str
    """Id of the section and name of its template, `<name>.html.jinja`."""
    title: str
    data: Callable[[Summary, Rows], Mapping[str, Any] | None]
    """Returns the variables of the template, from the summary and the rows at its `places`; None leaves the panel out."""


def _quality(summary: Summary, _: Rows) -> Mapping[str, Any] | None:
    return {"quality": summary.quality} if summary.quality.records else None


def _changes(summary: Summary, _: Rows) -> Mapping[str, Any] | None:
    return {} if summary.has_correction or summary.changed_bins[1:].any() else None  # the first bin: nothing changed


def _fields(summary: Summary, _: Rows) -> Mapping[str, Any] | None:
    if not summary.fields.total():
        return None
    types = field_types(summary.columns["fields"])
    return {"rows": [(path, type_name(data_type), summary.fields[path]) for path, data_type in types.items()]}


def _failures(summary: Summary, rows: Rows) -> Mapping[str, Any] | None:
    """Return the most frequent kinds of failure first: stage, kind, number of records and a few of them."""
    frequent = summary.failed.most_common(MAX_FAILURE_KINDS)
    failures = [(*failure, n, [rows[place] for place in summary.failed_rows[failure].places]) for failure, n in frequent]
    return {"failures": failures, "hidden_kinds": len(summary.failed) - len(frequent)} if failures else None


PANELS = (
    Panel("statuses", "Records by status", lambda *_: {"statuses": STATUS_MEANINGS, "warnings": WARNING_MEANINGS}),
    Panel("quality", "Quality", _quality),
    Panel("changes", "Changes", _changes),
    Panel("fields", "Extracted fields", _fields),
    Panel("examples", "Examples", examples.data),
    Panel("failures", "Failures", _failures),
    Panel("processing", "Processing", lambda *_: {}),
)
