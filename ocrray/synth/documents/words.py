"""Invented people, firms, places and things, and how dates are written; nothing is taken from a document."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ocrray.synth.made_up import MONTHS, word

ItemT = TypeVar("ItemT")


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


MEN = _split(
    """
    Albert Alfred Amos Arthur Bernard Caleb Charles Daniel David Edmund Edward Ernest Francis Frank Frederick George Harold
    Henry Herbert Hugh Isaac James John Joseph Lewis Matthew Nathan Oliver Oscar Percy Philip Ralph Richard Robert Samuel
    Silas Stephen Thomas Victor Walter William
    """
)
WOMEN = _split(
    """
    Ada Agnes Alice Anne Beatrice Catherine Clara Dora Edith Eleanor Eliza Emily Esther Eva Fanny Florence Gertrude Grace
    Hannah Harriet Ida Jane Josephine Kate Laura Louisa Lucy Mabel Margaret Martha Mary Maud Nora Rachel Rose Ruth Sarah
    Sophia Susan Violet Winifred
    """
)
SURNAMES = _split(
    """
    Abbott Aldous Ashby Barlow Barrow Beck Bellamy Birch Blyth Bowen Bright Brooke Burrows Calder Carver Chant Clegg Coates
    Cole Crane Cross Dale Darby Dawes Denham Dixon Dunn Eames Easton Ellery Fane Farrow Fenn Finch Firth Fletcher Garth Gaunt
    Gifford Goss Grange Hale Hallam Hargreave Hartley Hayes Heath Hobbs Holt Hume Ingram Jarvis Jessop Keane Kemp Kirby Lacey
    Lamb Latham Leigh Lisle Lock Lorimer Marsh Mayhew Mercer Mills Moss Nash Neame Oakes Orme Paget Parr Peel Penn Pike Platt
    Pryor Quick Raine Ridley Roper Rowe Sayer Selby Sharp Skelton Slade Snow Stark Stone Swann Tate Thorne Tilling Trent Tyler
    Usher Vane Vickers Wade Warne Webb Weir Whitlock Wilde Wren Yates York
    """
)
_TRADES = _split(
    "Brothers Stores Supplies Mills Works Foods Trading Provisions Dairies Wholesale Bakeries Brewery Warehouse Produce"
)
_FIRM_NAMES = _split(
    "Anchor Beacon Bell Castle Crown Cygnet Falcon Globe Harbour Ivy Lantern Northgate Orchard Phoenix Royal Swan Union"
)
_STREETS = _split(
    "High Mill Church Station Market Bridge Chapel Castle North South Park Queen King Victoria Albert Canal Dock Water"
)
_ROADS = ("Street", "Road", "Lane", "Row", "Terrace", "Square", "Hill")
_TOWN_ENDS = _split("ton ham ford bury ley wick by thorpe mouth stead port field worth combe bridge minster")
_WEIGHTS = ("{n} g", "12 x {n} g", "24 x {n} g", "1 kg", "2 kg", "5 kg", "5 lb", "8 oz", "16 oz")
_VOLUMES = ("{n} ml", "12 x {n} ml", "6 x {n} ml", "24 x {n} ml", "1 l", "6 x 1 l", "1 gal.")
_PIECES = ("", "12s", "24s", "case of 12", "tins", "pack of 6")
# Goods sold by weight, by volume and by the piece.
_SOLIDS = _lines(
    """
    Basmati rice
    Black tea
    Brown sugar
    Butter, salted
    Cheddar, mature
    Cocoa powder
    Corned beef
    Cream crackers
    Digestive biscuits
    Dried apricots
    Dried peas
    Flour, plain
    Flour, strong white
    Ground coffee
    Honey, clear
    Lentils, red
    Macaroni
    Marmalade, thick cut
    Mustard, English
    Oat flakes
    Plum jam
    Porridge oats
    Raisins, seedless
    Rolled oats
    Sago
    Salt, table
    Soda crystals
    Spaghetti
    Starch
    Strawberry jam
    Sultanas
    Tapioca
    Treacle
    Walnuts, shelled
    Washing powder
    White beans
    Yeast, dried
    """
)
_LIQUIDS = _lines(
    """
    Condensed milk
    Evaporated milk
    Ginger ale
    Golden syrup
    Lemon barley water
    Malt vinegar
    Mineral water, still
    Olive oil
    Orange juice
    Soft drink, cola
    Sunflower oil
    Tomato ketchup
    Tonic water
    """
)
_IN_PIECES = _lines(
    """
    Baked beans in tomato
    Candles, white
    Castile soap
    Chicken soup
    Chopped tomatoes
    Matches
    Peach halves
    Pickled onions
    Pilchards in oil
    Pineapple rings
    Sardines in oil
    Vegetable soup
    """
)
ITEMS = _split(
    """
    Butter Candles Cheese Cocoa Coffee Flour Honey Lentils Matches Mustard Oats Oil Peas Raisins Rice Sago Salt Soap Starch
    Sugar Tea Treacle Vinegar Walnuts Yeast
    """
)
BOOK_TOPICS = _lines(
    """
    Angling
    Beekeeping
    Bell-ringing
    Botany
    Bridges
    Canals
    Coal mines
    Dairying
    Drainage
    Ferns
    Fisheries
    Forestry
    Friendly societies
    Gardening
    Geology
    Harbours
    Lace
    Lighthouses
    Local government
    Meteorology
    Navigation
    Needlework
    Parish registers
    Poor laws
    Pottery
    Printing
    Railways
    River engineering
    Seamanship
    Sheep
    Shipbuilding
    Surveying
    Tanning
    Turnpikes
    Weaving
    Wool trade
    """
)


@dataclass(frozen=True, slots=True)
class Person:
    """Invented person; `given` is a name or initials."""

    given: str
    surname: str
    is_woman: bool

    @property
    def name(self) -> str:
        """Given name, or initials, and surname."""
        return f"{self.given} {self.surname}"


def pick(options: Sequence[ItemT], rng: np.random.Generator) -> ItemT:
    """Return a random one of `options`."""
    return options[int(rng.integers(len(options)))]


def person(rng: np.random.Generator) -> Person:
    """Return an invented person, some with initials only; one surname of four means nothing."""
    is_woman = bool(rng.random() < 0.3)
    given = pick(WOMEN if is_woman else MEN, rng)
    if rng.random() < 0.4:
        given = f"{given[0]}. {chr(65 + int(rng.integers(26)))}." if rng.random() < 0.4 else f"{given[0]}."
    surname = pick(SURNAMES, rng) if rng.random() < 0.75 else word("latin", rng).capitalize()[:12]
    return Person(given, surname, is_woman)


def firm(rng: np.random.Generator) -> str:
    """Return the name of an invented firm."""
    surname, other = pick(SURNAMES, rng), pick(SURNAMES, rng)
    forms = (
        *(
            f"{surname} & Sons",
            f"{surname} & {other}",
            f"{surname}, {other} & Co.",
            f"{surname} Brothers",
            f"Messrs. {surname} & Co.",
        ),
        *(
            f"{pick(_FIRM_NAMES, rng)} {pick(_TRADES, rng)}",
            f"{surname} {pick(_TRADES, rng)} Ltd",
            f"The {pick(_FIRM_NAMES, rng)} Company",
        ),
    )
    return pick(forms, rng)


def town(rng: np.random.Generator) -> str:
    """Return the name of an invented town."""
    start = pick(SURNAMES, rng) if rng.random() < 0.6 else word("latin", rng).capitalize()[:7]
    return start + pick(_TOWN_ENDS, rng)


def street(rng: np.random.Generator) -> str:
    """Return an invented street with a number."""
    return f"{int(rng.integers(1, 220))} {pick(_STREETS, rng)} {pick(_ROADS, rng)}"


def date(years: tuple[int, int], rng: np.random.Generator) -> str:
    """Return a date between these years as it was written then in English: in figures alone since 1900."""
    day, month, year = int(rng.integers(1, 29)), int(rng.integers(1, 13)), int(rng.integers(years[0], years[1] + 1))
    name = MONTHS[month - 1]
    ending = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd"}.get(day, "th")
    forms = [f"{day} {name} {year}", f"{name} {day}, {year}", f"{day}{ending} {name}, {year}", f"{day} {name[:3]}. {year}"]
    if year >= 1900:
        forms += [f"{day:02}/{month:02}/{year}", f"{day}.{month}.{year}"]
    if year >= 1970:
        forms += [f"{year}-{month:02}-{day:02}", f"{day:02}-{name[:3]}-{year}"]
    return pick(forms, rng)


def goods(rng: np.random.Generator) -> str:
    """Return something that is sold by the case, most often with the size of its pack."""
    names, packs = pick(((_SOLIDS, _WEIGHTS), (_LIQUIDS, _VOLUMES), (_IN_PIECES, _PIECES)), rng)
    pack = pick(packs, rng).format(n=pick((100, 125, 200, 250, 330, 400, 500, 750), rng)) if rng.random() < 0.9 else ""
    return f"{pick(names, rng)} {pack}".strip()


def publisher(rng: np.random.Generator) -> str:
    """Return the name of an invented publisher."""
    surname, other = pick(SURNAMES, rng), pick(SURNAMES, rng)
    forms = (surname, f"{surname} and {other}", f"{surname} & Co.", f"{surname} Brothers", f"The {pick(_FIRM_NAMES, rng)} Press")
    return pick((*forms, f"{surname}, {other} & {pick(SURNAMES, rng)}", "University Press"), rng)
