"""HTML report of a corpus: one self-contained file with the panels of `PANELS`."""

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

import ocrray
from ocrray.corpus.diff import Segment
from ocrray.corpus.examples import read_rows
from ocrray.corpus.panels import PANELS, Panel
from ocrray.corpus.panels.examples import Example, Scan
from ocrray.corpus.summary import BIN_ENDS, Summary
from ocrray.corpus.templates import environment
from ocrray.errors import RecordError
from ocrray.storage import Location

NAME = "report.html"
Thumbnail = Callable[[str, int], bytes | None]

_MAX_BYTES = 14_000_000


def write_report(
    output: str | Path | Location, *, summary: Summary, config_yaml: str, title: str, thumbnail: Thumbnail | None = None
) -> None:
    """Write `report.html`, one self-contained file under 15 MB, into the output folder; the rows it shows are read from `data`.

    `thumbnail(uri, page)` returns a JPEG of at most about 900 px for a record that is shown, or None (or raises RecordError) if
    it cannot be shown.
    """
    folder, env = Location.at(output), _environment()
    data = folder.child("data")
    data_files, rows = data.files(".parquet"), read_rows(data, summary.places)
    variables = {panel: panel.data(summary, rows) for panel in PANELS}
    shown = {panel: values for panel, values in variables.items() if values is not None}
    script = Markup(env.get_template("report.js.jinja").render())
    page = {
        "title": title,
        "summary": summary,
        "version": ocrray.__version__,
        "written": datetime.now(UTC),
        "style": Markup(env.get_template("report.css.jinja").render()),
        "script": script,
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }

    def render(scans: Mapping[Scan, str]) -> str:
        context = {"summary": summary, "data_files": data_files, "scans": scans, "config_yaml": config_yaml}
        panels = [(panel, _render(env, panel, {**context, **values})) for panel, values in shown.items()]
        return env.get_template("report.html.jinja").render(page, panels=panels)

    text = render({})
    examples = [example for values in shown.values() for example in values.get("examples", ())]
    scans = _scans(examples, thumbnail, _MAX_BYTES - len(text.encode())) if thumbnail else {}
    folder.write_text(NAME, render(scans) if scans else text)


def _environment() -> Environment:
    env = environment(autoescape=True)
    env.filters |= {"clip": _clip, "visible": lambda text: Segment("deleted", text).visible}
    env.globals["bins"] = _bin_labels()
    return env


def _render(env: Environment, panel: Panel, context: Mapping[str, Any]) -> Markup:
    return Markup(env.get_template(f"panels/{panel.name}.html.jinja").render(context))


def _scans(examples: Iterable[Example], thumbnail: Thumbnail, room_bytes: int) -> dict[Scan, str]:
    """Return each scan as a data URI, as long as there is room."""
    scans: dict[Scan, str] = {}
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


def _bin_labels() -> list[str]:
    ends = [f"{100 * end:g}" for end in BIN_ENDS]
    return ["0 %", *(f"{low}–{high} %" for low, high in pairwise(ends)), f"over {ends[-1]} %"]


def _clip(text: str | None, max_chars: int = 300) -> str:
    text = text or ""
    return text if len(text) <= max_chars else f"{text[:max_chars]}… ({len(text):,} characters)"
