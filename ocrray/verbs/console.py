"""Terminal output that all verbs share."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import yaml
from rich.console import Console, RenderableType
from rich.table import Table

Rows = list[tuple[str, str]]
"""Pairs of name and value, printed in two columns."""


def working(activity: str) -> AbstractContextManager[object]:
    """Show a spinner with the text `activity` on standard error, or nothing where that is not a terminal."""
    console = Console(stderr=True)
    return console.status(activity) if console.is_terminal else nullcontext()


def note(sentence: str) -> None:
    """Print a sentence on standard error."""
    Console(stderr=True, soft_wrap=True).print(sentence, markup=False, highlight=False)


def two_columns(rows: Rows) -> Table:
    """Return the rows as a table without a header; long values are folded."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table


def as_yaml(tree: Mapping[str, Any]) -> str:
    """Return a resolved config as YAML, keys in their order."""
    return str(yaml.safe_dump(dict(tree), sort_keys=False, allow_unicode=True))


def print_plan(resolved: Mapping[str, Any], rows: Rows) -> None:
    """Print a resolved config as YAML, then the rows."""
    console = Console(soft_wrap=True)
    console.print(as_yaml(resolved), markup=False)
    console.print(two_columns(rows), markup=False)


def print_result(output: Sequence[RenderableType]) -> None:
    """Print tables and sentences one below the other; square brackets in sentences are no markup."""
    console = Console(soft_wrap=True)
    for part in output:
        console.print(part, markup=False)
