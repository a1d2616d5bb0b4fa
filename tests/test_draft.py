"""Drafting from a source that the output follows with errors."""

import pytest
import tiny_models
from hypothesis import given
from hypothesis import strategies as st

from ocrray.decoding.draft import Drafter, TokenStrings

WORDS = tiny_models.tokenizer()
STRINGS = TokenStrings(WORDS)
END = 0
SENTENCE = "The quick brown fox jumps over the lazy dog, and Below is an instruction that describes a task of 1894."


def ids(text: str) -> list[int]:
    return WORDS.encode(text, add_special_tokens=False)


def passes(source: list[int], target: list[int], longest: int = 16) -> int:
    """Return the number of steps of a model that generates `target` and an end, drafted from `source`."""
    drafter, truth, steps, written = Drafter(source, STRINGS, END), [*target, END], 0, 0
    while written < len(truth):
        proposed = drafter.propose(longest)
        agreed = 0
        while agreed < len(proposed) and proposed[agreed : agreed + 1] == truth[written + agreed : written + agreed + 1]:
            agreed += 1
        new = truth[written : written + agreed + 1]
        drafter.update(new, min(agreed, len(new)), len(proposed))
        written += len(new)
        steps += 1
    return steps


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (SENTENCE, SENTENCE),
        (SENTENCE.replace("quick", "qnick"), SENTENCE),
        (SENTENCE.replace("brown", "brwn"), SENTENCE),
        (SENTENCE.replace("over", "ovver"), SENTENCE),
        (SENTENCE.replace("fox jumps", "foxjumps"), SENTENCE),
        (SENTENCE.replace("lazy", "la zy"), SENTENCE),
        (SENTENCE.replace("the lazy dog, and ", ""), SENTENCE),
        (SENTENCE, SENTENCE.replace("the lazy dog, and ", "")),
        (SENTENCE * 2, SENTENCE * 2),
    ],
    ids=["same", "substitution", "deletion", "insertion", "joined", "split", "lost", "added", "repeats"],
)
def test_draft_source_with_an_error_is_followed_past_it(source, target):
    """One error costs a few steps; then the rest of the source is drafted again, under any tokenization."""
    unread = max(0, len(ids(target)) - len(ids(source)))  # tokens missing from the source are generated one by one

    assert passes(ids(source), ids(target)) <= len(ids(target)) / 5 + 3 + unread


@given(st.lists(st.integers(0, 320), max_size=30), st.lists(st.integers(1, 320), max_size=30), st.integers(1, 20))
def test_draft_any_source_for_any_output_ends_and_never_exceeds_its_room(source, target, longest):
    """Unknown tokens, unrelated or empty sources: drafting works to the end of the output."""
    assert 1 <= passes(source, target, longest) <= len(target) + 1
    assert len(Drafter(source, STRINGS, END).propose(3)) <= 3
    assert Drafter(source, STRINGS, END).propose(0) == []


@given(st.text(max_size=60))
def test_draft_source_that_is_the_output_is_drafted_to_its_end(text):
    """A text that is copied unchanged takes a few steps, the end of the text included."""
    tokens = [token for token in ids(text) if token]

    assert passes(tokens, tokens, longest=64) <= 8


def test_draft_of_another_text_falls_back_to_what_the_output_repeats():
    """A repetitive output unrelated to its source is drafted from itself."""
    assert passes(ids("something else"), ids("the dog, ") * 12) < len(ids("the dog, ") * 12) / 2


def test_draft_of_another_text_ends_after_a_few_misses():
    """Without a useful draft, most steps draft nothing."""
    drafter, proposed = Drafter(ids("漢字仮名交じり文"), STRINGS, END), 0
    for token in ids(SENTENCE):
        drafted = len(drafter.propose(50))
        proposed += drafted
        drafter.update([token], 0, drafted)

    assert proposed < len(ids(SENTENCE)) * 0.6


def test_draft_from_the_middle_of_a_token_is_retokenized():
    """Inside a token of the source, the rest of it is retokenized and drafted."""
    source = ids("thequick")
    drafter = Drafter(source, STRINGS, END)
    first = ids("the")
    drafter.update(first, 0, 1)

    assert "".join(STRINGS.string(token) for token in drafter.propose(16)) == "quick"
