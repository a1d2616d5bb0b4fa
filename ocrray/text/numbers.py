"""Numbers, months and days in words, and Roman numerals: figures that a correction must not change."""

import re
from collections.abc import Iterable
from functools import cache

_UNITS = {
    "en": "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen",
    "de": "- zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn "
    "achtzehn neunzehn",
    "fr": "- deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit dix-neuf",
    "es": "- dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete "
    "dieciocho diecinueve",
    "it": "- due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici",
    "pt": "- dois três quatro cinco seis sete oito nove dez onze doze treze quatorze quinze dezesseis",
    "nl": "- twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien vijftien zestien zeventien "
    "achttien negentien",
    "la": "unus duo tres quattuor quinque sex septem octo novem decem undecim duodecim",
    "sv": "- två tre fyra fem sex sju åtta nio tio elva tolv tretton fjorton femton sexton sjutton arton nitton",
    "ru": "один два три четыре пять шесть семь восемь девять десять",
}
_TENS = {
    "en": "twenty thirty forty fifty sixty seventy eighty ninety hundred",
    "de": "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig hundert",
    "fr": "vingt trente quarante cinquante soixante - - - cent",
    "es": "veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa cien",
    "it": "venti trenta quaranta cinquanta sessanta settanta ottanta novanta cento",
    "pt": "vinte trinta quarenta cinquenta sessenta setenta oitenta noventa cem",
    "nl": "twintig dertig veertig vijftig zestig zeventig tachtig negentig honderd",
    "la": "viginti triginta quadraginta quinquaginta sexaginta septuaginta octoginta nonaginta centum",
    "sv": "tjugo trettio fyrtio femtio sextio sjuttio åttio nittio hundra",
    "ru": "двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят девяносто сто",
}
_ORDINALS = {
    "en": "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth",
    "de": "erst zweit dritt viert fünft sechst siebent acht neunt zehnt elft zwölft",
    "fr": "premier deuxième troisième quatrième cinquième sixième septième huitième neuvième dixième",
    "es": "primero segundo tercero cuarto quinto sexto séptimo octavo noveno décimo",
    "it": "primo secondo terzo quarto quinto sesto settimo ottavo nono decimo",
    "nl": "eerste tweede derde vierde vijfde zesde zevende achtste negende tiende",
    "la": "primus secundus tertius quartus quintus sextus septimus octavus nonus decimus",
}
_OTHERS = {
    "en": "thousand:1000 million:1000000 billion:1000000000 dozen:12 half:1/2 halves:1/2 quarter:1/4 quarters:1/4 "
    "once:1x twice:2x "
    "thrice:3x fourty:40 hundreds:100 thousands:1000 millions:1000000 thirds:1/3 fourths:1/4",
    "de": "zwo:2 zwey:2 drey:3 fünff:5 sechs:6 eilf:11 zwölff:12 funfzehn:15 funfzig:50 dreissig:30 tausend:1000 "
    "halb:1/2 viertel:1/4 "
    "drittel:1/3 hunderttausend:100000 zweimal:2x dreimal:3x million:1000000 millionen:1000000 zweyhundert:200 dutzend:12",
    "fr": "cents:100 mille:1000 million:1000000 millions:1000000 demi:1/2 tiers:1/3 quart:1/4 première:1 second:2 "
    "seconde:2 septante:70 "
    "huitante:80 octante:80 nonante:90 quatre-vingt:80 quatre-vingts:80 quatrevingt:80 douzaine:12",
    "es": "mil:1000 ciento:100 quatro:4 cinquenta:50 millón:1000000 millones:1000000 medio:1/2 doscientos:200 trescientos:300 "
    "cuatrocientos:400 quinientos:500 seiscientos:600 primera:1 segunda:2 tercera:3",
    "it": "mille:1000 mila:1000 dugento:200 duecento:200 trecento:300 quattrocento:400 cinquecento:500 mezzo:1/2 milione:1000000",
    "pt": "mil:1000 duas:2 cento:100 meio:1/2 catorze:14 duzentos:200 trezentos:300",
    "nl": "duizend:1000 half:1/2 kwart:1/4",
    "la": "mille:1000 quatuor:4 bis:2x ter:3x",
    "sv": "tusen:1000 tvenne:2 trenne:3 halv:1/2",
    "ru": "тысяча:1000 половина:1/2",
}
_MONTHS = {
    "en": "january february march april may june july august september october november december",
    "en-short": "jan feb mar apr may jun jul aug sep oct nov dec",
    "de": "januar februar märz april mai juni juli august september oktober november dezember",
    "de-old": "jänner feber märz april may junius julius august september october november december",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "nl": "januari februari maart april mei juni juli augustus september october november december",
    "la": "januarius februarius martius aprilis maius junius julius augustus september october november december",
}
_DAYS = {
    "en": "monday tuesday wednesday thursday friday saturday sunday",
    "en-short": "mon tue wed thu fri sat sun",
    "de": "montag dienstag mittwoch donnerstag freitag samstag sonntag",
    "de-old": "montags dienstags mittwochs donnerstags freitags sonnabend sonntags",
    "fr": "lundi mardi mercredi jeudi vendredi samedi dimanche",
    "es": "lunes martes miércoles jueves viernes sábado domingo",
    "it": "lunedì martedì mercoledì giovedì venerdì sabato domenica",
    "nl": "maandag dinsdag woensdag donderdag vrijdag zaterdag zondag",
}
_MONTH_OF_DATE = {"ult": "last", "inst": "this", "prox": "next", "ultimo": "last", "instant": "this", "proximo": "next"}
# Also other words, frequent ones: their loss says nothing of a figure.
_AMBIGUOUS = frozenset(
    {
        "one",
        "once",
        "due",
        "sei",
        "tre",
        "sex",
        "fem",
        "bis",
        "ter",
        "may",
        "march",
        "mar",
        "sun",
        "sat",
        "mon",
        "august",
        "second",
    }
    | {"seconde", "quarter", "quarters"}
)
_ROMAN = re.compile(r"M{0,4}(?:CM|CD|D?C{0,4})(?:XC|XL|L?X{0,4})(?:IX|IV|V?I{0,4})")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


@cache
def number_words() -> dict[str, frozenset[tuple[str, str]]]:
    """Return what each word (lower case) stands for, as pairs of (language and kind, value); the value of `third` is `3.`."""
    table: dict[str, set[tuple[str, str]]] = {}

    def add(words: Iterable[str], kind: str, values: Iterable[object]) -> None:
        for word, value in zip(words, values, strict=False):
            if word != "-":
                table.setdefault(word, set()).add((kind, str(value)))

    for language, words in _UNITS.items():
        add(words.split(), language, range(1, 20))
    for language, words in _TENS.items():
        add(words.split(), language, range(20, 101, 10))
    for language, words in _ORDINALS.items():
        endings = ("e", "er", "en", "es", "em") if language == "de" else ("",)
        for ending in endings:
            add([word + ending for word in words.split()], language, [f"{value}." for value in range(1, 21)])
    for language, pairs in _OTHERS.items():
        for pair in pairs.split():
            word, _, value = pair.partition(":")
            add([word], language, [value])
    for kind, lists in (("month", _MONTHS), ("day", _DAYS)):
        for language, words in lists.items():
            add(words.split(), f"{language[:2]} {kind}", range(1, 13))
    for kind, word, number in (("month", "sept", 9), ("day", "tues", 2), ("day", "thur", 4), ("day", "thurs", 4)):
        add([word], f"en {kind}", [number])
    add(_MONTH_OF_DATE, "date", _MONTH_OF_DATE.values())
    units, tens = _UNITS["de"].replace("-", "ein", 1).split()[:9], _TENS["de"].split()[:8]
    for place, ten in enumerate(tens):
        add([f"{unit}und{ten}" for unit in units], "de", range(20 + 10 * place + 1, 20 + 10 * place + 10))
    return {word: frozenset(meanings) for word, meanings in table.items()}


def is_surely_number(word: str) -> bool:
    """Return True when the word (lower case) is a number, month or day and hardly anything else."""
    meanings = number_words().get(word, frozenset())
    return bool(meanings) and word not in _AMBIGUOUS and (len(word) > 3 or any(kind[:2] == "en" for kind, _ in meanings))


def is_ambiguous(word: str) -> bool:
    """Return True when the word (lower case) is a number, month or day, and also a frequent word of another meaning."""
    return word in _AMBIGUOUS


def roman_value(word: str) -> int | None:
    """Return the value of a Roman numeral in capitals, None for anything else."""
    if not word or not _ROMAN.fullmatch(word):
        return None
    values = [_ROMAN_VALUES[char] for char in word]
    return sum(-value if any(value < other for other in values[place:][1:2]) else value for place, value in enumerate(values))
