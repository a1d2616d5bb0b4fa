"""Made-up documents: their fields stand on them as written, and equal seeds make equal documents."""

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ocrray.errors import ConfigError, RecordError
from ocrray.synth.documents import entry, index_card, invoice, letter, slip
from ocrray.synth.documents.config import DocumentsConfig
from ocrray.synth.documents.scanner import scanned
from ocrray.synth.documents.sheet import Sheet, Type
from ocrray.synth.documents.words import date
from ocrray.synth.image_set import LabelledImage
from ocrray.synth.render import fonts, is_period

MAKERS = {"invoice": invoice.make, "letter": letter.make, "index_card": index_card.make, "slip": slip.make, "entry": entry.make}
KEYS = {
    "invoice": ["invoice_number", "date", "supplier", "customer", "products", "total_cases"],
    "letter": ["sender", "recipient", "place", "date", "subject"],
    "index_card": ["call_number", "author", "title", "place", "publisher", "year", "pages", "subjects"],
}


def letters(name: str = "Serif", size_px: int = 24) -> Type:
    try:
        faces = fonts("latin", ("period", "modern"))
    except ConfigError as error:
        pytest.skip(str(error))
    face = next((face for face in faces if name in face.name), faces[0])
    return Type(face, face, size_px, is_period(face))


def strings(value: Any) -> Iterator[str]:
    """Every string of the fields; any other value but null is an error."""
    if isinstance(value, str):
        yield value
    elif value is not None:
        for child in value.values() if isinstance(value, dict) else value:
            yield from strings(child)


@pytest.mark.parametrize("kind", MAKERS)
def test_document_shows_every_value_of_its_fields(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each string of the fields was drawn, inside the sheet, and the keys are those of the kind, in their order."""
    drawn: list[str] = []
    plain = Sheet.text

    def text(self: Sheet, x: float, y: float, text: str, *, align: str = "left", scale: float = 1, **options: Any) -> None:
        wide = self.width_of(text, scale, heading=options.get("heading", False))
        start = x - wide * {"left": 0, "centre": 0.5, "right": 1}[align]
        assert 0 < start < start + wide < self.image.width, text
        drawn.append(text)
        plain(self, x, y, text, align=align, scale=scale, **options)

    monkeypatch.setattr(Sheet, "text", text)
    for seed in range(12):
        drawn.clear()
        try:
            _, fields = MAKERS[kind](letters(), np.random.default_rng(seed))
        except RecordError:
            continue
        shown = " ".join(drawn)
        for value in strings(fields):
            assert value in shown, (seed, value)
        assert list(fields) == KEYS[kind] if kind in KEYS else 3 <= len(fields) <= 5
        if kind == "invoice" and fields["total_cases"]:
            assert int(fields["total_cases"]) == sum(int(product["cases"]) for product in fields["products"])
            assert list(fields["products"][0]) == ["description", "cases", "sales_units", "layers"]


def test_letters_state_null_for_what_they_do_not_show() -> None:
    """Some letters have no subject, place or date; none has an empty string for it."""
    rng = np.random.default_rng(0)
    found = [letter.make(letters(size_px=20), rng)[1] for _ in range(25)]
    assert all(any(fields[name] is None for fields in found) for name in ("subject", "place", "date"))
    assert not any("" in fields.values() for fields in found)


@pytest.mark.parametrize("years", [(1840, 1899), (1925, 1969)])
def test_dates_are_written_as_they_were_then(years: tuple[int, int]) -> None:
    """In figures alone since 1900, in the order of ISO 8601 since 1970."""
    rng = np.random.default_rng(0)
    found = [date(years, rng) for _ in range(300)]
    assert any(re.search(r"[./]\d+[./]", text) for text in found) == (years[0] >= 1900)
    assert not any(re.match(r"\d{4}-", text) for text in found)
    assert all(years[0] <= int(re.search(r"\d{4}", text)[0]) <= years[1] for text in found)


def made(seed: int, **keys: Any) -> LabelledImage:
    config = DocumentsConfig(count=1, **keys)
    return config.make("", config.font_files(), np.random.default_rng(seed))


def test_document_is_made_again_the_same_and_at_the_width_asked_for() -> None:
    """Image and text of a seed; a slip is twice as wide as high, and its text is JSON on one line."""
    first, again = (made(3, kinds=["slip"], width_px=256, severity=(0.9, 1)) for _ in range(2))
    assert (first.text, first.encoded()) == (again.text, again.encoded())
    assert (first.image.size, first.image.mode, first.kind) == ((256, 128), "L", "slip")
    assert "\n" not in first.text
    assert 3 <= len(json.loads(first.text)) <= 5


def test_document_in_fonts_of_office_type_is_not_set_in_bold() -> None:
    """No slip of a dozen has a bold body."""
    assert not any("Bold" in made(seed, kinds=["slip"], typefaces=["modern"]).font for seed in range(12))


@pytest.mark.parametrize(
    ("size", "greys", "kind"), [((900, 900), 256, ".jpg"), ((900, 900), 2, ".png"), ((100, 100), 256, ".png")]
)
def test_image_file_suits_the_image(size: tuple[int, int], greys: int, kind: str) -> None:
    """Large grey scans are JPEG, others are PNG and lose nothing; black and white ones take a bit a pixel."""
    values = np.random.default_rng(0).integers(greys, size=size[::-1]) * (255 // (greys - 1))
    image = Image.fromarray(values.astype(np.uint8))
    suffix, data = LabelledImage(image, "", "", "", 0).encoded()
    assert suffix == kind
    with Image.open(io.BytesIO(data)) as back:
        assert back.mode == ("1" if greys == 2 else "L")
        difference = np.abs(np.asarray(back.convert("L"), dtype=int) - values)
    assert difference.mean() < (30 if kind == ".jpg" else 1e-9)


@pytest.mark.parametrize("severity", [0.1, 0.9])
def test_scan_keeps_the_document_readable_to_the_eye(severity: float) -> None:
    """Ink stays dark and paper light, whatever is folded or shown around the sheet; the sheet is not cut off."""
    sheet = Sheet(400, 300, letters(size_px=30))
    sheet.text(200, 150, "Mr. Oakes", align="centre", scale=1.5)
    for seed in range(6):
        scan = scanned(sheet.image, severity, np.random.default_rng(seed), folded=True, lid=True)
        assert scan.mode == "L"
        assert scan.width >= 400
        middle = np.asarray(
            scan.crop((scan.width // 2 - 150, scan.height // 2 - 40, scan.width // 2 + 150, scan.height // 2 + 20))
        )
        assert np.quantile(middle, 0.02) < np.quantile(middle, 0.8) - 60


def test_document_that_fits_on_no_sheet_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is the row's; so is that of a font without Latin letters."""
    monkeypatch.setattr("ocrray.synth.documents.invoice.SIZE_PX", (1100, 300))
    with pytest.raises(RecordError, match="fit") as caught:
        made(1, kinds=["invoice"])
    assert caught.value.kind == "too_long"


def test_documents_config_names_an_unknown_kind() -> None:
    """Kinds are those that there are."""
    with pytest.raises(ValueError, match="kinds"):
        DocumentsConfig(count=1, kinds=["passport"])
