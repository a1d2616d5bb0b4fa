"""Made-up strings in Latin or Devanagari script: figures, dates, prices, and words, most of which mean nothing.

A reader trained on them sees every letter, figure and conjunct, and cannot guess the rest of a word.
"""

import unicodedata
from collections.abc import Sequence

import numpy as np

from ocrray.synth.render import Script

_FIGURES_FRAC = 0.4  # of the tokens
_FIGURES_ONLY_FRAC = 0.3  # of the strings
_DEVANAGARI_DIGITS = str.maketrans("0123456789", "०१२३४५६७८९")


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split())


MONTHS = _split("January February March April May June July August September October November December")

_ONSETS = _split(
    """b c d f g h j k l m n p qu r s t v w x y z b d l m n p r s t
    bl br ch cl cr dr fl fr gl gr kn ph pl pr sc sh sk sl sm sn sp st str sw th tr wh wr"""
)
_VOWELS = _split("a e i o u a e i o u a e o y ai au ea ee ie oa oi oo ou")
_CODAS = _split("b c ck d f ft g ght l ll ld lt m mp n nd ng nk nt p pt r rd rk rm rn rt s sh ss st t tch th w x")
_PUNCTUATION = {"latin": (",", ".", ";", ":", "!", "?", ",", ".", ")"), "devanagari": ("।", ",", "।", "-", "?", "!", ";", ")")}

_CONSONANTS = _split("क क ख ग घ च छ ज झ ट ठ ड ढ ण त त थ द ध न न प फ ब भ म म य र र ल व श ष स स ह ड़ ढ़")
_CONJUNCTS = _split(
    """क्ष त्र ज्ञ श्र प्र क्र ग्र द्र ब्र भ्र स्त स्थ स्क स्प स्व न्त न्द न्न म्प म्ब क्त क्य त्य त्व त्त द्ध
    द्य द्व ध्य न्य प्त म्ह ल्प ल्ल व्य श्च श्व ष्ट ष्ठ ष्ण ह्म च्छ च्च ज्य ट्ट ड्ड र्म र्त र्क र्व र्य र्थ"""
)
_SIGNS = ("", "", "", "", "ा", "ा", "ा", "ि", "ि", "ी", "ी", "ु", "ू", "े", "े", "ै", "ो", "ो", "ौ", "ृ")
_MARKS = ("", "", "", "", "", "", "", "", "ं", "ँ")
_INITIALS = _split("अ आ इ ई उ ऊ ए ऐ ओ औ")
# Common words, written down for this project.
_HINDI = _split(
    """
    और का की के को में से है हैं था थे थी यह वह ये वे इस उस पर एक दो तीन चार पाँच भी नहीं तो कि जो कर करने किया गया गई हुआ हुई होता होती
    अपने अपनी लिए साथ बाद पहले फिर अब तक जब तब क्या क्यों कैसे कहाँ कौन कुछ सब बहुत बड़ा बड़ी छोटा नया पुराना अच्छा समय दिन रात सुबह शाम
    साल महीना सप्ताह घर गाँव शहर देश नदी पानी पहाड़ जंगल सड़क बाज़ार दुकान स्कूल पुस्तक पत्र शब्द भाषा कहानी लोग आदमी औरत बच्चा राजा रानी
    माता पिता भाई बहन मित्र शिक्षक किसान खेत अनाज रोटी दूध चाय फल पेड़ फूल पत्ता आकाश सूर्य चंद्रमा तारा हवा वर्षा आग मिट्टी सोना चाँदी
    लाल पीला हरा नीला काला सफ़ेद हाथ पैर आँख कान सिर मन काम बात नाम जीवन संसार प्रेम क्रोध सत्य ज्ञान विद्या शक्ति धर्म कर्म इतिहास विज्ञान
    सरकार राज्य मंत्री न्यायालय क़ानून संविधान चुनाव समाज संस्कृति परंपरा उत्सव संगीत नृत्य कला चित्र रंग मूर्ति मंदिर प्रश्न उत्तर कारण परिणाम
    दक्षिण पूर्व पश्चिम ऊपर नीचे भीतर बाहर आगे पीछे दूर पास हमेशा कभी शायद ज़रूर केवल लगभग अधिक कम प्रत्येक दूसरा तीसरा अंतिम प्रथम विशेष
    चलना आना जाना देखना सुनना बोलना लिखना पढ़ना समझना सोचना रहना देना लेना खाना पीना सोना उठना बैठना रुपये पैसे मूल्य संख्या पृष्ठ अध्याय
    """
)


def made_up(chars: int, script: Script, rng: np.random.Generator) -> str:
    """Return a string of at most `chars` characters, mostly exactly so many, without white space at its ends."""
    figures_frac = 1.0 if rng.random() < _FIGURES_ONLY_FRAC else _FIGURES_FRAC
    tokens: list[str] = []
    length = -1
    while length < chars:
        token = figure(script, rng) if rng.random() < figures_frac else _word_in_text(script, rng)
        tokens.append(token)
        length += 1 + len(token)
    return _cut(" ".join(tokens), chars)


def word(script: Script, rng: np.random.Generator) -> str:
    """Return a word of one to four syllables that most likely means nothing; in Devanagari, half of them are real."""
    syllables = int(rng.integers(1, 5))
    if script == "latin":
        parts = [_pick(_ONSETS, rng) + _pick(_VOWELS, rng) for _ in range(syllables)]
        return "".join(parts) + (_pick(_CODAS, rng) if rng.random() < 0.6 else "")
    if rng.random() < 0.5:
        return _pick(_HINDI, rng)
    parts = [_pick(_CONJUNCTS if rng.random() < 0.2 else _CONSONANTS, rng) + _pick(_SIGNS, rng) for _ in range(syllables)]
    initial = _pick(_INITIALS, rng) if rng.random() < 0.15 else ""
    return initial + "".join(parts) + _pick(_MARKS, rng)


def figure(script: Script, rng: np.random.Generator) -> str:
    """Return a number, price, date, time or code; in Devanagari, two of three have Devanagari digits."""
    number = int(rng.integers(10 ** int(rng.integers(1, 8))))
    day, month, year = int(rng.integers(1, 29)), int(rng.integers(1, 13)), int(rng.integers(1700, 2030))
    forms = [
        *(f"{number}", f"{number}", f"{number:,}", f"{number % 100_000 / 100:.2f}", f"{number / 100:,.2f}", f"({number % 1000})"),
        *(f"{day}/{month}/{year}", f"{day:02}.{month:02}.{year}", f"{year}-{month:02}-{day:02}", f"{year}", f"{number % 101}%"),
        *(
            f"{day}:{number % 60:02}",
            f"{number % 10_000}-{number % 977}",
            f"{number % 100} x {day}",
            f"{number % 1000}/{year % 100:02}",
        ),
    ]
    if script == "devanagari":
        text = _pick(forms, rng)
        return text.translate(_DEVANAGARI_DIGITS) if rng.random() < 0.67 else text
    letters = "".join(chr(65 + value) for value in rng.integers(26, size=int(rng.integers(1, 4))).tolist())
    forms += [
        *(f"{letters}{number}", f"{letters}-{number % 10_000}", f"No. {number % 10_000}", f"{day} {MONTHS[month - 1]} {year}"),
        *(
            f"{MONTHS[month - 1]} {day}, {year}",
            f"£{number % 1000}",
            f"${number / 100:,.2f}",
            f"{number % 20}s. {number % 12}d.",
        ),
    ]
    return _pick(forms, rng)


def _word_in_text(script: Script, rng: np.random.Generator) -> str:
    """Return a word as it may stand in a text: with a capital, in capitals, with punctuation."""
    text = word(script, rng)
    draw = rng.random()
    if draw < 0.2:
        text = text.capitalize()
    elif draw < 0.28:
        text = text.upper()
    draw = rng.random()
    if draw < 0.2:
        mark = _pick(_PUNCTUATION[script], rng)
        return f"({text})" if mark == ")" else text + mark
    if draw < 0.24:
        return f"{text}-{word(script, rng)}"
    if draw < 0.27:
        return f'"{text}"' if draw < 0.255 else f"“{text}”"
    return text


def _cut(text: str, chars: int) -> str:
    """Return the first `chars` characters; a Devanagari syllable is not parted."""
    end = chars
    while 0 < end < len(text) and (_is_sign(text[end]) or text[end - 1] == "्"):
        end -= 1
    return text[:end].strip() or text[0]


def _is_sign(char: str) -> bool:
    return unicodedata.category(char) in ("Mn", "Mc")


def _pick(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
