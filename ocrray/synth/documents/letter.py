"""Letters in the manner of 1840 to 1975, printed or typed, on the paper of a firm or of a private person.

Fields: sender, recipient, place, date, subject; null stands for what the letter does not state.
"""

from typing import Any

import numpy as np

from ocrray.errors import RecordError
from ocrray.synth.documents.sheet import Sheet, Type
from ocrray.synth.documents.words import SURNAMES, Person, date, firm, person, pick, street, town

SIZE_PX = (1000, 1400)
_SUBJECTS = (
    "Repair of the {place} bridge",
    "Lease of the premises in {place}",
    "Drainage of the lower meadow",
    "Estate of the late Mr. {name}",
    "Supply of coal for the winter",
    "Appointment of a schoolmaster",
    "Carriage of goods to {place}",
    "Subscription to the infirmary",
    "Loss of two bales of wool",
    "Your order No. {number}",
    "Account No. {number}",
    "Claim of Mr. {name}",
)
_SENTENCES = (
    "I beg to acknowledge the receipt of your letter of the {day} instant.",
    "I have laid the matter before the committee, who desire me to convey to you their thanks.",
    "The work was begun in the spring, and has been carried on without interruption since.",
    "We regret to inform you that the goods did not arrive by the steamer, as had been promised.",
    "Mr. {name} has been instructed to call upon you in the course of the week.",
    "The sum of {sum} was paid to our agent, whose receipt I enclose.",
    "I should be glad to learn whether you intend to be present at the meeting.",
    "The tenants complain of the state of the road, which the late rains have made impassable.",
    "We can offer you {number} yards at the price which you name, carriage paid.",
    "You will perceive from the enclosed that the expense is greater than was expected.",
    "No answer has been received to the inquiry which was addressed to the railway company.",
    "The surveyor is of opinion that the wall must be taken down before the frost sets in.",
    "It is understood that the old agreement remains in force until the end of the quarter.",
    "I have to thank you for the particulars, which shall have my best attention.",
    "The boxes were opened in the presence of two witnesses, and found to be dry.",
    "Should you wish to see the drawings, they may be inspected at this office any morning.",
    "My wife joins me in kind regards to you and to your family.",
    "The harvest here is two weeks behind, but the barley promises well.",
    "We shall be obliged by your remittance at your earliest convenience.",
    "I need hardly say that the delay is as vexing to us as it must be to you.",
)
_CLOSINGS = (
    "I am, {0}, your obedient servant,",
    "I remain, {0}, yours faithfully,",
    "I have the honour to be, {0}, your most obedient servant,",
    "Yours faithfully,",
    "Yours truly,",
)


def make(letters: Type, rng: np.random.Generator) -> tuple[Sheet, dict[str, Any]]:
    """Set one letter and return the sheet and its fields."""
    writer, reader = person(rng).name, person(rng)
    to_firm = rng.random() < 0.35
    fields: dict[str, Any] = {
        "sender": writer,
        "recipient": firm(rng) if to_firm else _titled(reader, rng),
        "place": town(rng) if rng.random() < 0.9 else None,
        "date": date(_years(letters), rng) if rng.random() < 0.92 else None,
        "subject": _filled(pick(_SUBJECTS, rng), rng) if rng.random() < 0.5 else None,
    }
    sheet = Sheet(*SIZE_PX, letters)
    line, left, right = sheet.line_px, rng.uniform(90, 130), sheet.image.width - rng.uniform(80, 120)
    y = _head(sheet, fields, left, right, rng)
    at_foot = rng.random() < 0.25
    if not at_foot:
        y = _address(sheet, left, y, fields["recipient"], rng)
    address = "Gentlemen" if to_firm else "Madam" if reader.is_woman else "Sir"
    sheet.text(left, y, pick((f"{address},", f"{address}:" if to_firm else f"Dear {address},"), rng))
    y += 1.3 * line
    if fields["subject"]:
        label = pick(("Re: ", "Subject: ", "re ", ""), rng)
        y = _subject(sheet, (left + right) / 2, y, right - left, label + fields["subject"]) + 0.4 * line
    y = _body(sheet, left, y, right - left, rng)
    sheet.fit(right, y, right - left, pick(_CLOSINGS, rng).format(address), align="right")
    sheet.text(right, y + 1.8 * line, writer, align="right", scale=rng.uniform(1.0, 1.2), heading=rng.random() < 0.4)
    if at_foot:
        _address(sheet, left, y + 4 * line, fields["recipient"], rng)
    return sheet, fields


def _years(letters: Type) -> tuple[int, int]:
    """Return when such a letter may have been written: printed, typed, or by a machine with other type."""
    if letters.period:
        return 1840, 1925
    return (1895, 1975) if "Mono" in letters.body.name else (1930, 1975)


def _titled(reader: Person, rng: np.random.Generator) -> str:
    name = reader.name
    return pick(
        (f"Mrs. {name}", f"Miss {name}", name) if reader.is_woman else (f"{name}, Esq.", f"Mr. {name}", f"The Rev. {name}"), rng
    )


def _head(sheet: Sheet, fields: dict[str, Any], left: float, right: float, rng: np.random.Generator) -> float:
    line = sheet.line_px
    y: float = rng.uniform(90, 150)
    if rng.random() < 0.4:  # the printed head of an office
        office = pick(
            ("The {0} Institution", "{0} Gas Light Company", "{0} Union Workhouse", "Office of the {0} Estate", "{0} & Co."), rng
        )
        middle = sheet.image.width / 2
        sheet.fit(middle, y, right - left, office.format(pick(SURNAMES, rng)), align="centre", scale=1.5, heading=True)
        sheet.rule(middle - 160, y + 0.6 * line, 320, width_px=2)
        y += 2.2 * line
    place, day = fields["place"], fields["date"]
    where = f"{street(rng)}, {place}" if place and rng.random() < 0.5 else place
    if where and day and rng.random() < 0.5:
        sheet.fit(right, y, right - left, f"{where}, {day}", align="right")
        y += line
    else:
        for part in filter(None, (where, day)):
            sheet.text(right, y, part, align="right")
            y += line
    return y + line


def _address(sheet: Sheet, x: float, y: float, recipient: str, rng: np.random.Generator) -> float:
    sheet.text(x, y, recipient)
    if rng.random() < 0.6:
        y += sheet.line_px
        sheet.text(x, y, street(rng))
    return y + 2 * sheet.line_px


def _subject(sheet: Sheet, middle: float, y: float, room_px: float, text: str) -> float:
    sheet.fit(middle, y, room_px, text, align="centre")
    wide = min(room_px, sheet.width_of(text))
    sheet.rule(middle - wide / 2, y + 6, wide)
    return y + 1.3 * sheet.line_px


def _body(sheet: Sheet, x: float, y: float, room_px: float, rng: np.random.Generator) -> float:
    order = rng.permutation(len(_SENTENCES)).tolist()
    indent_px = pick((0, 40, 60), rng)
    for _ in range(int(rng.integers(1, 4))):
        text = " ".join(_filled(_SENTENCES[order.pop()], rng) for _ in range(int(rng.integers(2, 5))))
        y = sheet.paragraph(x, y, room_px, text, indent_px=indent_px) + (0 if indent_px else 0.5 * sheet.line_px)
    if y > sheet.image.height - 6 * sheet.line_px:
        raise RecordError("the letter does not fit on its sheet", kind="too_long")
    return y + 0.6 * sheet.line_px


def _filled(text: str, rng: np.random.Generator) -> str:
    number, day = int(rng.integers(2, 5000)), int(rng.integers(4, 20))
    total = f"£{number} {number % 20}s. {number % 12}d."
    return text.format(place=town(rng), name=pick(SURNAMES, rng), number=f"{number:,}", day=f"{day}th", sum=total)
