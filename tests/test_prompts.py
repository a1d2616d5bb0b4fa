"""Prompt templates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocrray.errors import ConfigError
from ocrray.prompts import PROMPTS, resolve


def test_alpaca_ocr_renders_the_published_prompt_to_the_character():
    """The adapter published with this prompt is only usable with exactly these words and line ends."""
    assert resolve("alpaca_ocr").render("Tbe qvick fox") == (
        "Below is an instruction that describes a task, paired with an input that provides further context. Write a response "
        "that appropriately completes the request.\n"
        "\n"
        "### Instruction:\n"
        "You are an assistant that takes a piece of text that has been corrupted during OCR digitisation, and produce a "
        "corrected version of the same text.\n"
        "\n"
        "### Input:\n"
        "Tbe qvick fox\n"
        "\n"
        "### Response:\n"
    )


@pytest.mark.parametrize("name", sorted(PROMPTS))
@given(source=st.text(alphabet="ab {}\n"), target=st.text(alphabet="ab #:{}text\n"))
def test_extract_of_a_completion_gives_the_target_back(name, source, target):
    """The answer is the same whether the model's output repeats the prompt or not, and white space at its ends is dropped."""
    prompt = PROMPTS[name]

    assert prompt.extract(prompt.completion(target)) == prompt.extract(f"\n {target} \n") == target.strip()
    if prompt.template != "{text}":  # a model read through these never repeats its prompt
        assert prompt.extract(prompt.render(source) + prompt.completion(target)) == target.strip()


def test_extract_answer_that_copies_a_marker_from_a_hostile_source_is_kept_whole():
    """Only a repeated prompt is taken off: a marker inside the answer does not swallow what stands before it."""
    answer = "before\n\n### Response:\nafter"

    assert resolve("alpaca_ocr").extract(answer) == answer


def test_render_source_with_braces_is_shown_as_it_is():
    """A source is text, never a template, and a template may hold braces of its own."""
    assert resolve('{"ocr": "{text}"}').render("a") == '{"ocr": "a"}'
    assert resolve("Fix: {text} Fixed:").render("{text} {0} {x!r} %s") == "Fix: {text} {0} {x!r} %s Fixed:"


@given(source=st.text(alphabet="a é्‍漢", max_size=80))
def test_render_padded_shows_every_source_in_the_same_width(source):
    """The answer stands at one distance from what it copies, whatever its bytes; what is wider does not fit."""
    prompt = resolve("padded_144")
    width = len(source.encode())

    assert prompt.fits(source) == (width <= 144)
    assert prompt.render(source).startswith(source)
    assert len(prompt.render(source).encode()) == max(width, 144) + 1
    assert resolve("plain").fits(source)


def test_messages_carry_the_instruction_only_where_the_prompt_has_one():
    """A chat model gets a system message and the bare text; a template of one's own is all in the user's message."""
    system, user = resolve("chat_ocr").messages("Tbe fox")
    assert system["role"] == "system"
    assert user == {"role": "user", "content": "Tbe fox"}
    assert resolve("Fix: {text}").messages("Tbe fox") == [{"role": "user", "content": "Fix: Tbe fox"}]


def test_resolve_own_template_is_versioned_by_its_wording():
    """Two wordings are two prompt versions, the same wording is one."""
    one, same, other = resolve("Fix: {text}"), resolve("Fix: {text}"), resolve("Mend: {text}")

    assert one.prompt_version == same.prompt_version != other.prompt_version


@pytest.mark.parametrize("bad", ["alpaca", "", "no place for it", "{text} twice {text}"])
def test_resolve_neither_name_nor_template_is_a_config_error(bad):
    """A misspelt name, or a template that holds the source never or twice, is the user's mistake."""
    with pytest.raises(ConfigError):
        resolve(bad)
