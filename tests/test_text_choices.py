"""Choices by the hash of a text."""

import subprocess
import sys
from collections import Counter

from ocrray.text.choices import stable_choice

TEXTS = [f"line {number}" for number in range(2_000)]


def test_stable_choice_is_the_same_in_another_process():
    """Python's own hash differs between processes; a worker must encode a text as another one would."""
    code = "from ocrray.text.choices import stable_choice; print([stable_choice(f'line {n}', 'abc') for n in range(50)])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == str([stable_choice(text, "abc") for text in TEXTS[:50]])


def test_stable_choice_after_another_one_is_independent_of_it():
    """With `skip` every combination of two choices occurs about equally often; without it, some never do."""
    pairs = Counter((stable_choice(text, "ab"), stable_choice(text, "wxyz", skip=2)) for text in TEXTS)
    coupled = Counter((stable_choice(text, "ab"), stable_choice(text, "wxyz")) for text in TEXTS)

    assert len(pairs) == 8
    assert min(pairs.values()) > 200
    assert len(coupled) == 4
