"""Config section `documents` of `synthesize`, and the making of one document."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from ocrray.errors import RecordError
from ocrray.synth.documents import entry, index_card, invoice, letter, slip
from ocrray.synth.documents.scanner import scanned
from ocrray.synth.documents.sheet import Sheet, Type
from ocrray.synth.image_set import ImageSetConfig, LabelledImage
from ocrray.synth.render import is_period

Kind = Literal["invoice", "letter", "index_card", "slip", "entry"]
_MAKERS: dict[Kind, Callable[[Type, np.random.Generator], tuple[Sheet, dict[str, Any]]]] = {
    "invoice": invoice.make,
    "letter": letter.make,
    "index_card": index_card.make,
    "slip": slip.make,
    "entry": entry.make,
}
_TEXT_SIZES_PX = (22, 29)
_ATTEMPTS = 4  # a document that is too long for its sheet, or that a font cannot set, is made anew


class DocumentsConfig(ImageSetConfig):
    """Images of made-up documents with their fields as JSON: all values as printed, null for what a document does not state."""

    instruction: str = "extract Document data in JSON format"
    """Instruction to the reader, the `prefix` of `format: jsonl`."""
    kinds: list[Kind] = Field(default=["invoice", "letter", "index_card"], min_length=1)
    """Kinds of documents, each as often as the others: `invoice` (header fields and a list of products), `letter` (of 1840 to
    1975), `index_card` (of a library); for readers that are trained from nothing `slip` and `entry` (of a day book), three to
    five fields on a small sheet and on one line."""
    width_px: int | None = Field(None, ge=64, le=4000)
    """Width to which a document is scaled after it was degraded; null: as rendered, about 1000 px, a slip 512 px."""

    def make(self, passage: str, faces: Sequence[Path], rng: np.random.Generator) -> LabelledImage:  # noqa: ARG002 - needs no text
        """Set and degrade one document.

        Raises: RecordError: `missing_glyph` when no font that was tried has all characters, `too_long` when it fits on no sheet.
        """
        kind = self.kinds[int(rng.integers(len(self.kinds)))]
        face, sheet, fields = _set_in_type(kind, faces, rng)
        low, high = self.severity
        severity = low + (high - low) * float(rng.beta(1.2, 1.8))
        image = scanned(sheet.image, severity, rng, folded=kind in ("invoice", "letter"), lid=kind not in ("slip", "entry"))
        if self.width_px:
            height_px = max(1, round(image.height * self.width_px / image.width))
            image = image.resize((self.width_px, height_px), Image.Resampling.LANCZOS)
        return LabelledImage(image, json.dumps(fields, ensure_ascii=False), kind, face.name, round(severity, 3))


def _set_in_type(kind: Kind, faces: Sequence[Path], rng: np.random.Generator) -> tuple[Path, Sheet, dict[str, Any]]:
    upright = [face for face in faces if "Bold" not in face.name] or faces  # nobody sets a whole document in bold type
    problem = RecordError("no font was given", kind="missing_glyph")
    for _ in range(_ATTEMPTS):
        body = upright[int(rng.integers(len(upright)))]
        heading = faces[int(rng.integers(len(faces)))] if rng.random() < 0.5 else body
        letters = Type(body, heading, int(rng.integers(*_TEXT_SIZES_PX)), is_period(body))
        try:
            return body, *_MAKERS[kind](letters, rng)
        except RecordError as error:
            problem = error
    raise problem
