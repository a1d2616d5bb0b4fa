"""Catalogue cards of a library, 125 by 75 mm, typed or printed.

Fields: call_number, author, title, place, publisher, year, pages, subjects (a list); null stands for what the card does not
state.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from ocrray.synth.documents.sheet import Sheet, Type
from ocrray.synth.documents.words import BOOK_TOPICS, MEN, SURNAMES, WOMEN, pick, publisher, town

SIZE_PX = (1000, 600)
_TITLES = (
    "A treatise on {0} and {1}",
    "The history of {0} in {2}",
    "{0}: a handbook for beginners",
    "Notes on the {0} of {2}",
    "An introduction to {0}",
    "{0} and {1} of the northern counties",
    "A manual of practical {0}",
    "Lectures on {0}, delivered at {2}",
)


def make(letters: Type, rng: np.random.Generator) -> tuple[Sheet, dict[str, Any]]:
    """Set one card and return the sheet and its fields."""
    topics = [BOOK_TOPICS[index] for index in rng.permutation(len(BOOK_TOPICS))[:3].tolist()]
    name = f"{pick(SURNAMES, rng)}, {pick(MEN + WOMEN, rng)}"
    born = int(rng.integers(1790, 1900))
    life = pick(("", "", f", {born}-", f", {born}-{born + int(rng.integers(40, 90))}"), rng)
    title = pick(_TITLES, rng).format(topics[0].lower(), topics[1].lower(), town(rng))
    fields: dict[str, Any] = {
        "call_number": f"{rng.integers(1, 1000):03}.{rng.integers(1, 99)} {name[0]}{rng.integers(10, 999)}",
        "author": name + life,
        "title": title[0].upper() + title[1:],
        "place": town(rng),
        "publisher": publisher(rng),
        "year": str(rng.integers(max(1825, born + 22), born + 70)),
        "pages": f"{rng.integers(24, 900)} p." if rng.random() < 0.85 else None,
        "subjects": topics[: int(rng.integers(0, 4))],
    }
    sheet = Sheet(*SIZE_PX, replace(letters, size_px=round(1.25 * letters.size_px)))
    left = rng.uniform(40, 60)
    _set_card(sheet, fields, left, rng)
    if rng.random() < 0.8:
        sheet.disc(500 + rng.uniform(-8, 8), 562, 17, int(rng.integers(30, 110)))  # the hole for the rod
    return sheet, fields


def _set_card(sheet: Sheet, fields: dict[str, Any], left: float, rng: np.random.Generator) -> None:
    line, text_x = sheet.line_px, left + rng.uniform(180, 220)
    room = sheet.image.width - text_x - 40
    y: float = rng.uniform(60, 85)
    for part in fields["call_number"].split():
        sheet.text(left, y, part)
        y += line
    y -= line * rng.integers(0, 2)
    sheet.text(text_x - 40, y, fields["author"])
    imprint = f"{fields['place']}{pick((' : ', ', ', ': '), rng)}{fields['publisher']}, {fields['year']}."
    dash = pick((" -- ", " "), rng)
    y = sheet.paragraph(text_x - 40, y + line, room + 40, f"{fields['title']}.{dash}{imprint}", indent_px=40)
    if fields["pages"]:
        size = f" ; {rng.integers(14, 32)} cm." if rng.random() < 0.5 else ""
        illustrated = pick(("", " illus.", " maps."), rng)
        sheet.text(text_x, y + 0.2 * line, fields["pages"] + illustrated + size)
        y += 1.2 * line
    if fields["subjects"]:
        numbered = " ".join(f"{number}. {topic}." for number, topic in enumerate(fields["subjects"], 1))
        sheet.paragraph(text_x - 40, y + 0.8 * line, room + 40, numbered, indent_px=40)
