"""Invoices and delivery notes of invented wholesalers: a header, and the list `products` that system 1 of the recipes reads.

Fields: invoice_number, date, supplier, customer, products (description, cases, sales_units, layers), total_cases. All are
strings, as printed; null stands for what the sheet does not show.
"""

from typing import Any

import numpy as np

from ocrray.synth.documents.sheet import Sheet, Type
from ocrray.synth.documents.words import date, firm, goods, person, pick, street, town

SIZE_PX = (1100, 1540)
_HEADS = {
    "description": ("Description", "Product", "Article", "Product description", "Goods"),
    "cases": ("Cases", "Cs", "Case Qty", "No. of cases"),
    "sales_units": ("Sales units", "Units", "S/U", "Sales Units"),
    "layers": ("Layers", "Lyr", "Layers"),
}
_TITLES = ("INVOICE", "Invoice", "DELIVERY NOTE", "Invoice / Delivery note", "SALES INVOICE")


def make(letters: Type, rng: np.random.Generator) -> tuple[Sheet, dict[str, Any]]:
    """Set one invoice and return the sheet and its fields."""
    products = [_product(rng) for _ in range(int(rng.integers(1, 11)))]
    total = str(sum(int(product["cases"]) for product in products)) if rng.random() < 0.7 else None
    number = pick(
        (
            f"{rng.integers(1_000, 1_000_000)}",
            f"INV-{rng.integers(1_000, 100_000)}",
            f"{rng.integers(1, 999)}/{rng.integers(10, 99)}",
        ),
        rng,
    )
    fields: dict[str, Any] = {
        "invoice_number": number,
        "date": date((1885, 1938) if letters.period else (1925, 2025), rng),
        "supplier": firm(rng),
        "customer": firm(rng) if rng.random() < 0.6 else person(rng).name,
        "products": products,
        "total_cases": total,
    }
    sheet = Sheet(*SIZE_PX, letters)
    y = _header(sheet, fields, rng)
    y = _table(sheet, y, products, rng)
    y = _footer(sheet, y, fields, rng)
    if rng.random() < 0.6:  # half a sheet, or a form that is torn off
        sheet.cut(max(700, y + rng.uniform(60, 250)))
    return sheet, fields


def _product(rng: np.random.Generator) -> dict[str, str]:
    cases, per_case = int(rng.integers(1, 200)), pick((6, 8, 10, 12, 20, 24, 48), rng)
    layers = max(1, cases // pick((6, 8, 10, 12), rng))
    return {"description": goods(rng), "cases": str(cases), "sales_units": str(cases * per_case), "layers": str(layers)}


def _header(sheet: Sheet, fields: dict[str, Any], rng: np.random.Generator) -> float:
    """Set letterhead, title, numbers and customer; return where the table may begin."""
    width, line = sheet.image.width, sheet.line_px
    left, right = rng.uniform(70, 110), width - rng.uniform(70, 110)
    centred = rng.random() < 0.4
    x = width / 2 if centred else left
    y: float = rng.uniform(90, 150)
    sheet.fit(
        x, y, right - left, fields["supplier"], align="centre" if centred else "left", scale=rng.uniform(1.5, 2.1), heading=True
    )
    sheet.text(x, y + 1.3 * line, f"{street(rng)}, {town(rng)}", align="centre" if centred else "left", scale=0.9)
    if rng.random() < 0.5:
        telephone = f"Tel. {rng.integers(100, 999)} {rng.integers(1000, 9999)}"
        sheet.text(x, y + 2.3 * line, telephone, align="centre" if centred else "left", scale=0.9)
    y += 4 * line
    if rng.random() < 0.5:
        sheet.rule(left, y - 0.6 * line, right - left, width_px=int(rng.integers(1, 4)))
        y += line
    title_right = rng.random() < 0.5
    title, scale = pick(_TITLES, rng), rng.uniform(1.3, 1.7)
    sheet.text(right if title_right else left, y, title, align="right" if title_right else "left", scale=scale, heading=True)
    y += 1.8 * line
    labels = (pick(("Invoice No.", "Invoice number", "No.", "Number"), rng), pick(("Date", "Invoice date", "Dated"), rng))
    at = right - rng.uniform(330, 400)
    for place, (label, value) in enumerate(zip(labels, (fields["invoice_number"], fields["date"]), strict=True)):
        sheet.text(at, y + place * line, f"{label}:")
        sheet.text(right, y + place * line, value, align="right")
    sheet.text(left, y, pick(("To:", "Customer:", "Deliver to:", "Sold to"), rng))
    sheet.fit(left, y + line, at - left - 30, fields["customer"])
    sheet.text(left, y + 2 * line, street(rng))
    sheet.text(left, y + 3 * line, town(rng))
    return y + rng.uniform(4.8, 6) * line


def _table(sheet: Sheet, y: float, products: list[dict[str, str]], rng: np.random.Generator) -> float:
    """Set the products in columns, with or without rules; return the baseline after the last."""
    line = sheet.line_px * rng.uniform(1.05, 1.4)
    left, right = rng.uniform(60, 100), sheet.image.width - rng.uniform(60, 100)
    pitch = rng.uniform(125, 150)
    ends = [right - 15 - step * pitch for step in (0, 1, 2)]
    names = ["cases", "sales_units", "layers"]
    order = [names[index] for index in (rng.permutation(3).tolist() if rng.random() < 0.3 else range(3))]
    columns = dict(zip(order, reversed(ends), strict=True))
    room = min(ends) - pitch - left
    ruled, boxed = rng.random() < 0.6, rng.random() < 0.35
    sheet.text(left + 12, y, pick(_HEADS["description"], rng), heading=rng.random() < 0.5)
    for name, end in columns.items():
        sheet.fit(end, y, pitch - 25, pick(_HEADS[name], rng), align="right", scale=0.9)
    top = y - line
    sheet.rule(left, y + 0.4 * line, right - left, width_px=2 if ruled else 1)
    y += 1.35 * line
    for product in products:
        sheet.fit(left + 12, y, room, product["description"])
        for name, end in columns.items():
            sheet.text(end, y, product[name], align="right")
        if ruled:
            sheet.rule(left, y + 0.4 * line, right - left)
        y += line
    if boxed:
        sheet.box(left, top, right, y - 0.6 * line, width_px=2)
        for end in ends:
            sheet.rule(end - pitch + 14, top, y - 0.6 * line - top, upright=True)
    elif not ruled:
        sheet.rule(left, y - 0.5 * line, right - left)
    return y + line * 0.6


def _footer(sheet: Sheet, y: float, fields: dict[str, Any], rng: np.random.Generator) -> float:
    line, right = sheet.line_px, sheet.image.width - 100
    if fields["total_cases"]:
        label = pick(("Total cases", "Total cases:", "Cases in all", "TOTAL CASES"), rng)
        sheet.text(right - 90, y, label, align="right")
        sheet.text(right, y, fields["total_cases"], align="right", heading=rng.random() < 0.5)
    y += rng.uniform(3, 4.5) * line
    notes = (
        "Goods received in good order: ____________________",
        "E. & O. E.",
        "Terms: 30 days net.",
        "Thank you for your custom.",
    )
    sheet.text(100, y, pick(notes, rng), scale=0.9)
    if rng.random() < 0.25:
        words = pick((["PAID"], ["RECEIVED"], ["CHECKED"], ["ENTERED"]), rng)
        sheet.stamp(rng.uniform(550, 850), y + rng.uniform(-1, 1.5) * line, words, rng.uniform(-15, 15), rng)
    return y + line
