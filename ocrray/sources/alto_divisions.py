"""Words that an ALTO file says are divided at the end of a line: HYP, SUBS_TYPE and SUBS_CONTENT."""

from collections.abc import Sequence

from lxml import etree

from ocrray.sources.document import clean
from ocrray.sources.xml_parse import local_name


def divisions_of(lines: Sequence[etree._Element]) -> dict[int, str | None]:
    """Return the divided words by the index of the line (of those that have text, in reading order) at whose end they break.

    The whole word is empty where the file does not give it, and None where its second half is not at the start of the next line.
    """
    ends = [_last(line) for line in lines]
    starts = [next(line.iter("{*}String"), None) for line in lines]
    second_halves = {_whole(start, "HypPart2") for start in starts} - {None, ""}
    found: dict[int, str | None] = {}
    for index, (end, start) in enumerate(zip(ends, starts[1:], strict=False)):
        of_end, of_start = _whole(end, "HypPart1"), _whole(start, "HypPart2")
        if of_end is None and of_start is None:
            continue
        word = of_end or of_start or ""
        is_elsewhere = bool(of_end) and of_start != of_end and of_end in second_halves
        found[index] = None if is_elsewhere else word
    return found


def _last(line: etree._Element) -> etree._Element | None:
    """Return the last String of a line, or the HYP that stands for its hyphen and says nothing of the word."""
    parts = list(line.iter("{*}String", "{*}HYP"))
    strings = [part for part in parts if local_name(part) == "String"]
    if strings and strings[-1].get("SUBS_TYPE") == "HypPart1":
        return strings[-1]
    return parts[-1] if parts and local_name(parts[-1]) == "HYP" else None


def _whole(part: etree._Element | None, half: str) -> str | None:
    """Return the whole word by this part of it, empty where it is not given; None where this is no such part."""
    if part is None:
        return None
    if local_name(part) == "HYP":
        return "" if half == "HypPart1" else None
    return clean(part.get("SUBS_CONTENT") or "") if part.get("SUBS_TYPE") == half else None
