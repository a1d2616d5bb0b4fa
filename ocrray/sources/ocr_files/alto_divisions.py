"""Words that an ALTO file says are divided at the end of a line: HYP, SUBS_TYPE and SUBS_CONTENT."""

from collections.abc import Sequence

from lxml import etree

from ocrray.sources.ocr_files.document import clean
from ocrray.sources.ocr_files.xml_parse import local_name


def divisions_of(lines: Sequence[Sequence[etree._Element]]) -> dict[int, str | None]:
    """Return the divided words by the index of the line at whose end they break.

    `lines` are the String, SP and HYP elements of each line that has text, in reading order. The whole word is empty where the
    file does not give it, and None where its other half is not there but elsewhere on the page.
    """
    ends = [_last(line) for line in lines]
    starts = [next(filter(_is_string, line), None) for line in lines]
    first_halves = {_whole(end, "HypPart1") for end in ends} - {None, ""}
    second_halves = {_whole(start, "HypPart2") for start in starts} - {None, ""}
    found: dict[int, str | None] = {}
    for index, (end, start) in enumerate(zip(ends, starts[1:], strict=False)):
        of_end, of_start = _whole(end, "HypPart1"), _whole(start, "HypPart2")
        if of_end is None and of_start is None:
            continue
        word = of_end or of_start or ""
        is_elsewhere = of_end != of_start and (of_end in second_halves or of_start in first_halves)
        found[index] = None if is_elsewhere else word
    return found


def _last(line: Sequence[etree._Element]) -> etree._Element | None:
    """Return the last String of a line if it is the half of a word, or the HYP at the end of the line."""
    string = next(filter(_is_string, reversed(line)), None)
    if string is not None and string.get("SUBS_TYPE") == "HypPart1":
        return string
    end = next((part for part in reversed(line) if local_name(part) != "SP"), None)
    return end if end is not None and local_name(end) == "HYP" else None


def _is_string(part: etree._Element) -> bool:
    return local_name(part) == "String"


def _whole(part: etree._Element | None, half: str) -> str | None:
    """Return the whole word by this part of it, empty where it is not given; None where this is no such part."""
    if part is None:
        return None
    if local_name(part) == "HYP":
        return "" if half == "HypPart1" else None
    return clean(part.get("SUBS_CONTENT") or "") if part.get("SUBS_TYPE") == half else None
