"""One scanned page as all formats write it: lines in blocks, size, name of the scan, and how the text came about."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ocrray.corpus.export.boxes import Box, bounding_box
from ocrray.corpus.export.scans.words import PlacedLine

_MIN_OVERLAP = 0.3  # of the narrower of two lines of one block, horizontally
_MAX_GAP = 1.2  # between two lines of one block, in heights of the higher one


@dataclass(frozen=True, slots=True)
class Step:
    """One step by which the text came about."""

    name: str
    """`recognition` or `correction`."""
    software: str
    version: str
    model: str
    """Model and its revision; empty where there is none."""

    @property
    def description(self) -> str:
        """The step in one line."""
        return " ".join(filter(None, (f"{self.name}:", self.software, self.version, self.model and f"({self.model})")))


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that follow each other; `box` is None where the engine gave no boxes."""

    lines: Sequence[PlacedLine]
    box: Box | None


@dataclass(frozen=True, slots=True)
class ScanPage:
    """One page of a scan."""

    file_name: str
    content_hash: str
    """SHA-256 (hex) of the scan's file."""
    number: int
    """0-based index of the page in its file."""
    width: int
    """In pixels of the upright page, as the boxes are."""
    height: int
    dpi: tuple[float, float] | None
    """Resolution along x and y; None where the scan states none."""
    blocks: Sequence[Block]
    steps: Sequence[Step]
    finished: datetime
    """End of the run."""

    @property
    def lines(self) -> list[PlacedLine]:
        """All lines in reading order."""
        return [line for block in self.blocks for line in block.lines]

    @property
    def date(self) -> str:
        """End of the run, in UTC, in the format of XML Schema."""
        return self.finished.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def box(self) -> Box:
        """The whole page."""
        return Box(0, 0, self.width, self.height)


def blocks_of(lines: Sequence[PlacedLine]) -> list[Block]:
    """Group lines, which stay in their order, into blocks: a line goes on with the block of the line before it where it lies
    below it, near it and in the same column. Lines without text are left out.
    """
    groups: list[list[PlacedLine]] = []
    for line in lines:
        if not line.text:
            continue
        if groups and _goes_on(groups[-1][-1].box, line.box):
            groups[-1].append(line)
        else:
            groups.append([line])
    return [Block(group, _around(group)) for group in groups]


def _goes_on(before: Box | None, box: Box | None) -> bool:
    if before is None or box is None:
        return before is box
    common = min(before.right, box.right) - max(before.left, box.left)
    narrower = min(before.right - before.left, box.right - box.left)
    height = max(before.bottom - before.top, box.bottom - box.top)
    return box.top > before.top and common >= _MIN_OVERLAP * narrower and box.top - before.bottom <= _MAX_GAP * height


def _around(lines: Sequence[PlacedLine]) -> Box | None:
    boxes = [line.box for line in lines if line.box]
    return bounding_box(boxes) if boxes else None
