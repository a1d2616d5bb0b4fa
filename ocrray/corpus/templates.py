"""Template environment of cards and reports, and number formats."""

from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ocrray.text.normalise import sanitise


def environment(autoescape: bool, *packages: str) -> Environment:
    """Return an environment with the templates of `packages` (first) and of this package.

    Control characters are removed from every printed string; `autoescape` escapes it for HTML.
    """
    env = Environment(
        loader=ChoiceLoader([PackageLoader(package, ".") for package in (*packages, "ocrray.corpus")]),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_printable,
    )
    env.filters |= {"percent": percent, "count": count, "size": size, "duration": duration}
    return env


def percent(fraction: float | None, digits: int = 2) -> str:
    """Format 0.0675 as `6.75 %`, None as a dash."""
    return "–" if fraction is None else f"{100 * fraction:.{digits}f} %".replace("-", "−")


def count(number: int) -> str:
    """Format with commas between thousands."""
    return f"{number:,}"


def size(size_bytes: int) -> str:
    """Format bytes in the largest decimal unit that leaves at least 1."""
    amount, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def duration(seconds: float) -> str:
    """Format seconds as `12.3 s`, `4 min 5 s` or `3 h 20 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"


def _printable(value: Any) -> Any:
    return sanitise(value) if isinstance(value, str) and not isinstance(value, Markup) else value
