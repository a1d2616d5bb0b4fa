"""List of the panels of an evaluation, in the order of terminal, report and `evaluation.json`."""

from ocrray.evaluation.panels import comparison, confusions, fields, groups, guard, hipe, overall, published, strata
from ocrray.evaluation.panels.base import Panel

PANELS: tuple[Panel, ...] = (
    fields.PANEL,
    overall.PANEL,
    published.PANEL,
    hipe.PANEL,
    guard.PANEL,
    strata.PANEL,
    groups.PANEL,
    confusions.PANEL,
    comparison.PANEL,
)
