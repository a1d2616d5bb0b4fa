"""Terminal output of `evaluate`: the panels of the results as tables."""

from collections.abc import Iterator, Mapping

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ocrray.evaluation.evaluation import Evaluation
from ocrray.evaluation.inputs import System
from ocrray.evaluation.panels import PANELS
from ocrray.evaluation.panels.base import TERMINAL
from ocrray.evaluation.panels.base import Table as PanelTable
from ocrray.verbs.console import Rows, two_columns


def system_rows(systems: Mapping[str, System | None]) -> Rows:
    """Return the files and columns to be read of each system, by its config key."""
    rows = []
    for key, system in systems.items():
        if system:
            names = system.config.required_columns.items()
            columns = ", ".join(f"{column} ({name.removesuffix('_column')})" for name, column in names)
            rows.append((key, f"{system.config.label}: {len(system.files):,} files, {system.size_bytes:,} bytes"))
            rows.append(("", f"columns {columns}"))
    return rows


def sheet_instructions(records: int, output: str) -> str:
    """Return instructions for a sheet that was drawn."""
    return (
        f"{records:,} records were drawn: compare each with its source and correct its text where it is wrong.\n"
        f"In a browser: open {output}/sample.html and save sample.csv from it over the existing one.\n"
        f"In a spreadsheet: {output}/sample.csv; correct `truth`, put anything into `checked`, and save it as CSV in UTF-8.\n"
        "The same command then reads it back; rows that are not checked count as not drawn."
    )


def result_tables(evaluation: Evaluation, output: str) -> list[RenderableType]:
    """Return the main metrics with their intervals; all of them are in `evaluation.json`."""
    overall, results = evaluation.results.overall, evaluation.results
    size = f"{overall.records:,} records, {overall.sums['truth_chars']:,} characters of truth"
    shown: list[RenderableType] = [f"{evaluation.name}: {f'estimated for {size}' if evaluation.sample else size}"]
    closing: Rows = [
        *(("note", note) for note in evaluation.notes),
        ("normalised", evaluation.normalise.description()),
        ("intervals", f"{evaluation.confidence:.0%}, by resampling {results.units:,} {evaluation.unit}"),
        ("metrics", f"{output}/evaluation.json"),
        ("report", f"{output}/report.html"),
    ]
    return [*shown, *_panels(evaluation), two_columns(closing)]


def _panels(evaluation: Evaluation) -> Iterator[RenderableType]:
    for panel in PANELS:
        tables = panel.tables(evaluation, TERMINAL)
        if tables and (lead := panel.lead(evaluation, TERMINAL)):
            yield lead
        yield from map(_rendered, tables)


def _rendered(table: PanelTable) -> Table:
    rendered = Table(box=None, pad_edge=False, header_style="dim")
    for number, column in enumerate((table.heading, *table.columns)):
        rendered.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in table.rows:
        if not row.detail:
            rendered.add_row(Text(_shortened(row.label, table.max_label_chars)), *map(Text, row.cells))
    return rendered


def _shortened(label: str, max_chars: int) -> str:
    return label if len(label) <= max_chars else f"…{label[1 - max_chars :]}"
