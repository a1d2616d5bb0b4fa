"""Confidences of the recognizer, from the column `lines` of many rows at once."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ocrray.records import lines_from_column
from ocrray.text.confidences import char_confidences


def confidences(pages: pa.ChunkedArray) -> Iterator[npt.NDArray[np.float32] | None]:
    """Yield for each row the confidences of the characters of its text, as `char_confidences` does; None without lines."""
    for lines in lines_from_column(pages):
        yield None if lines is None else char_confidences(lines)
