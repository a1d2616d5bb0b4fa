"""Tests of a whole answer: is it a correction of its source at all?"""

import unicodedata
from collections.abc import Sequence

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from ocrray.records import Edit
from ocrray.text.edits import apply_edits

# Letters of the shorter text, and the limits of what it matches of the longer and of the similarity of both. Chosen on answers of
# four published correctors and of the shipped tagger (5,042 that change something), each beside the answer to the next record.
_LIMITS = ((30, 0.65, 0.38), (0, 0.65, 0.3))
_PART_LIMITS = (0.8, 0.2)  # of an answer that is far shorter or longer: a part of the source matches nearly all of it
_SHORT_LETTERS, _MIN_SHORT_SIMILARITY = 16, 0.3  # beside a text as short as this, a longer one matches by chance
_MIN_LETTERS_LOST = 4  # of a source whose answer has no letter
_FEW_CHANGES_FRAC = 0.3  # of the source's characters: no answer with so few changes is unlike


def is_unlike(source: str, edits: Sequence[Edit]) -> bool:
    """Return True when the text that `edits` make of `source` is no correction of it, but another text.

    An answer that holds its source, or a part of it, and goes on with something else is not unlike: its spans are judged.
    """
    if sum(max(len(edit.raw), len(edit.corrected)) for edit in edits) <= _FEW_CHANGES_FRAC * len(source):
        return False
    before, after = _letters(source), _letters(apply_edits(source, edits))
    shorter = min(len(before), len(after))
    if not shorter:
        return len(before) >= _MIN_LETTERS_LOST
    similarity = Levenshtein.normalized_similarity(before, after)
    if max(len(before), len(after)) >= _SHORT_LETTERS > shorter and similarity < _MIN_SHORT_SIMILARITY:
        return True
    limits = next((match, likeness) for letters, match, likeness in _LIMITS if shorter >= letters)
    possible = [match for match, likeness in (limits, _PART_LIMITS) if similarity < likeness]
    return bool(possible) and fuzz.partial_ratio(before, after) < 100 * max(possible)


def _letters(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFC", text.lower()) if char.isalnum() or unicodedata.combining(char))
