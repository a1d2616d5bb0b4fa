"""The tables that an evaluation prints."""

from collections.abc import Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ocrray.evaluation.fields import FieldTable
from ocrray.evaluation.inputs import System
from ocrray.evaluation.report import Evaluation
from ocrray.evaluation.results import Comparison, Group, MetricValue
from ocrray.verbs.console import Rows, two_columns

_RATES = {
    "CER, micro": ("micro_raw_cer", "micro_corrected_cer", "micro_cer_reduction"),
    "CER, macro": ("macro_raw_cer", "macro_corrected_cer", "macro_cer_reduction"),
    "CER, mean of ratios": (None, None, "mean_relative_cer_reduction"),
    "WER, micro": ("micro_raw_wer", "micro_corrected_wer", "micro_wer_reduction"),
    "WER, macro": ("macro_raw_wer", "macro_corrected_wer", "macro_wer_reduction"),
    "WER, mean of ratios": (None, None, "mean_relative_wer_reduction"),
    "cMER (HIPE), micro": ("hipe_raw_cmer", "hipe_cmer", None),
    "digits wrong": ("raw_digit_error_rate", "digit_error_rate", None),
    "exact match": ("raw_exact_frac", "exact_frac", None),
}
_SHARES = {
    "made worse": ("made_worse", "records", "made_worse_frac"),
    "broke clean input": ("broke_clean", "clean", "broke_clean_frac"),
    "improved": ("improved", "records", "improved_frac"),
    "digits changed": ("digits_changed", "records", "digits_changed_frac"),
    "digits made worse": ("digits_made_worse", "records", "digits_made_worse_frac"),
}
_COMPARED = (
    *("micro_corrected_cer", "macro_corrected_cer", "micro_corrected_wer", "exact_frac", "made_worse_frac"),
    *("hipe_cmer", "hipe_preference"),
)
_FEWEST_UNITS = 30  # below this, percentile intervals are known to be too narrow
_NOT_SCORED = {
    "without_output": "records without a corrected text, measured as they were",
    "without_truth": "records without ground truth, in no figure",
    "without_text": "records with ground truth but no raw text, in no figure",
    "unreadable": "rows that cannot be read, in no figure",
}


def system_rows(systems: Mapping[str, System | None]) -> Rows:
    """Return what will be read for each system, by its config key."""
    rows = []
    for key, system in systems.items():
        if system:
            names = system.config.required_columns.items()
            columns = ", ".join(f"{column} ({name.removesuffix('_column')})" for name, column in names)
            rows.append((key, f"{system.config.label}: {len(system.files):,} files, {system.size_bytes:,} bytes"))
            rows.append(("", f"columns {columns}"))
    return rows


def sheet_instructions(records: int, output: str) -> str:
    """Return what to do with a sheet that was drawn."""
    return (
        f"{records:,} records were drawn: look at the source of each, and put its text right where it is wrong.\n"
        f"In a browser: open {output}/sample.html and save sample.csv from it over the one that is there.\n"
        f"In a spreadsheet: {output}/sample.csv; put `truth` right, anything into `checked`, and save it as CSV in UTF-8.\n"
        "The same command then reads it back; rows that are not checked count as not drawn."
    )


def result_tables(evaluation: Evaluation, output: str) -> list[RenderableType]:
    """Return the main metrics with their intervals; all of them are in `evaluation.json`."""
    overall, results = evaluation.results.overall, evaluation.results
    size = f"{overall.records:,} records, {overall.sums['truth_chars']:,} characters of truth"
    if evaluation.strata:
        checked = ", ".join(f"{stratum.checked:,} of {stratum.records:,} {stratum.name}" for stratum in evaluation.strata)
        size = f"estimated for {size}\nchecked: {checked}"
    shown: list[RenderableType] = [f"{evaluation.name}: {size}"]
    if evaluation.fields:
        shown.append(_fields(evaluation.fields))
    shown += [_rates(evaluation), _shares(evaluation)]
    for words, groups in (("raw CER", results.by_raw_cer), ("language", results.by_language), ("source", results.by_source)):
        if groups:
            shown.append(_groups(words, groups))
    if evaluation.comparison:
        shown.append(f"against {evaluation.baseline_name}, {evaluation.comparison.records:,} records of both")
        shown.append(_comparison(evaluation.comparison))
    if evaluation.first_problem:
        shown.append(f"unreadable: {evaluation.first_problem}")
    return [*shown, two_columns(_closing_rows(evaluation, output))]


def _closing_rows(evaluation: Evaluation, output: str) -> Rows:
    rows = [("note", f"{evaluation.tally[name]:,} {words}") for name, words in _NOT_SCORED.items() if evaluation.tally[name]]
    if evaluation.from_nothing:
        rows.append(("note", "without a raw_column every answer is made from nothing: raw figures say no more"))
    if evaluation.results.units < _FEWEST_UNITS:
        rows.append(("note", f"{evaluation.results.units:,} {evaluation.unit} are too few for intervals to be trusted"))
    return [
        *rows,
        ("normalised", evaluation.normalise.description()),
        ("intervals", f"{evaluation.confidence:.0%}, from drawing {evaluation.results.units:,} {evaluation.unit} anew"),
        ("figures", f"{output}/evaluation.json"),
        ("report", f"{output}/report.html"),
    ]


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def _rates(evaluation: Evaluation) -> Table:
    metrics = evaluation.results.overall.metrics
    table = _table("", "raw", "corrected", "reduction", "interval")
    for words, (raw, corrected, reduction) in _RATES.items():
        measured = metrics[reduction or corrected]
        cells = [percent(metrics[name].value) if name else "" for name in (raw, corrected)]
        table.add_row(words, *cells, percent(measured.value, 1) if reduction else "", interval(measured, 1 if reduction else 2))
    if scores := evaluation.translation:
        of = f" ({scores.records:,} records)"
        table.add_row(f"BLEU{of}", f"{scores.raw_bleu:.2f}", f"{scores.bleu:.2f}", "", "")
        table.add_row(f"TER{of}", f"{scores.raw_ter:.2f}", f"{scores.ter:.2f}", "", "")
    return table


def _fields(scores: FieldTable) -> Table:
    """At most 80 columns: a long name is cut at its beginning, which is what nested names share."""
    table = _table("field", "both", "missed", "invented", "exact", "similar", "prec.", "recall", "F1")
    for name, score in scores.rows:
        rates = (score.exact_frac, score.similarity, score.precision, score.recall, score.f1)
        counts = (f"{count:,}" for count in (score.both, score.missed, score.invented))
        table.add_row(Text(name if len(name) <= 16 else f"…{name[-15:]}"), *counts, *(percent(rate, 1) for rate in rates))
    table.add_row("right in all", f"{scores.records_exact:,}", *[""] * 7)
    table.add_row("unreadable", f"{scores.unanswered:,}", *[""] * 7)
    return table


def _shares(evaluation: Evaluation) -> Table:
    overall = evaluation.results.overall
    table = _table("", "", "", "interval")
    for words, (part, whole, figure) in _SHARES.items():
        value = overall.metrics[figure]
        table.add_row(words, f"{overall.sums[part]:,} of {overall.sums[whole]:,}", percent(value.value), interval(value))
    for words in ("precision", "recall", "f1"):
        value = overall.metrics[f"detection_{words}"]
        table.add_row(f"detection {words} (ICDAR)", "", percent(value.value), interval(value))
    if spans := evaluation.guard_spans:
        wrong = spans.refused_wrong + spans.accepted_wrong
        table.add_row("spans rightly refused", f"{spans.refused_wrong:,} of {spans.refused:,}", percent(spans.precision), "")
        table.add_row("wrong spans refused", f"{spans.refused_wrong:,} of {wrong:,}", percent(spans.recall), "")
        table.add_row(
            "accepted spans wrong", f"{spans.accepted_wrong:,} of {spans.accepted:,}", percent(spans.accepted_wrong_frac), ""
        )
    preference = overall.metrics["hipe_preference"]
    table.add_row("preference (HIPE)", "", number(preference.value), interval(preference, 3, number))
    return table


def _groups(words: str, groups: Sequence[Group]) -> Table:
    table = _table(words, "records", "CER raw", "corrected", "reduction", "interval", "made worse")
    for group in groups:
        metrics = group.metrics
        reduction = metrics["micro_cer_reduction"]
        table.add_row(
            group.name,
            f"{group.records:,}",
            percent(metrics["micro_raw_cer"].value),
            percent(metrics["micro_corrected_cer"].value),
            percent(reduction.value, 1),
            interval(reduction, 1),
            percent(metrics["made_worse_frac"].value),
        )
    return table


def _comparison(comparison: Comparison) -> Table:
    table = _table("", "baseline", "this", "difference", "interval")
    for name in _COMPARED:
        shown = number if name == "hipe_preference" else percent
        difference = comparison.differences[name]
        values = [shown(values[name].value) for values in (comparison.baseline, comparison.system)]
        table.add_row(name, *values, shown(difference.value), interval(difference, 2, shown))
    table.add_row("p (micro CER)", "", "", f"{comparison.p_value:.4f}", "")
    return table


def percent(value: float | None, digits: int = 2) -> str:
    """A fraction for people; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}%}"


def number(value: float | None, digits: int = 3) -> str:
    """As it is, with its sign."""
    return "–" if value is None else f"{value:+.{digits}f}"


def interval(value: MetricValue, digits: int = 2, shown=percent) -> str:
    """The ends of an interval; nothing where there is none."""
    return f"{shown(value.interval.low, digits)} … {shown(value.interval.high, digits)}" if value.interval else ""
