"""Panels: parts of an evaluation's results, described once for the terminal, the report and `evaluation.json`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ocrray.evaluation.bootstrap import Interval
from ocrray.evaluation.evaluation import Evaluation
from ocrray.evaluation.metrics import Metric
from ocrray.evaluation.results import MetricValue


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """Notation of numbers in one medium; None is written as a dash."""

    percent_sign: str
    to: str
    """Between the ends of an interval."""
    minus: str

    def percent(self, fraction: float | None, digits: int = 2) -> str:
        """Return a fraction in percent."""
        return self._number(fraction, f".{digits}f", 100, self.percent_sign)

    def decimal(self, value: float | None, digits: int = 2) -> str:
        """Return a number without a unit."""
        return self._number(value, f".{digits}f")

    def metric(self, metric: Metric, value: float | None, digits: int | None = None) -> str:
        """Return the value of a metric as its kind is written, by default with the digits that its column has."""
        if metric.kind == "score":
            return self._number(value, f"+.{3 if digits is None else digits}f")
        return self.percent(value, _digits(metric) if digits is None else digits)

    def interval(self, metric: Metric, interval: Interval | None, digits: int | None = None) -> str:
        """Return the ends of an interval of a metric, "" where there is none."""
        if interval is None:
            return ""
        return f"{self.metric(metric, interval.low, digits)}{self.to}{self.metric(metric, interval.high, digits)}"

    def estimate(self, metric: Metric, value: MetricValue) -> tuple[str, str]:
        """Return a metric's value and interval, a cell each."""
        return self.metric(metric, value.value), self.interval(metric, value.interval)

    def _number(self, value: float | None, form: str, factor: float = 1, unit: str = "") -> str:
        return "–" if value is None else f"{format(factor * value, form)}{unit}".replace("-", self.minus)


TERMINAL = NumberFormat("%", " … ", "-")
PAGE = NumberFormat(" %", " to ", "−")


@dataclass(frozen=True, slots=True)
class Row:
    """A label and one cell for each column; `note` and rows that are a `detail` are shown in the report only."""

    label: str
    cells: tuple[str, ...]
    note: str = ""
    detail: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows below the names of their columns; `heading` is the name of the column of labels, `caption` is for the report."""

    heading: str
    columns: tuple[str, ...]
    rows: Sequence[Row]
    caption: str = ""
    max_label_chars: int = 40
    """Longer labels are cut at their beginning in the terminal: paths of nested fields differ at their ends."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of the results. Without tables, because an evaluation has no such results, it is left out of terminal and report."""

    name: str
    """Id of its section in the report."""
    title: str
    tables: Callable[[Evaluation, NumberFormat], list[Table]]
    as_json: Callable[[Evaluation], Mapping[str, object]]
    """Returns keys of `evaluation.json` with their values, null where there are no such results."""
    lead: Callable[[Evaluation, NumberFormat], str] = lambda _evaluation, _numbers: ""
    """Returns a sentence above the tables."""


def ratio(part: int, whole: int) -> str:
    """Return two counts as `3 of 1,000`."""
    return f"{part:,} of {whole:,}"


def _digits(metric: Metric) -> int:
    return 1 if metric.column == "reduction" else 2
