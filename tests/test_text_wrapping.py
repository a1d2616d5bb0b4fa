"""Wrappings of a model's answer are taken off; what the source has itself stays."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrray.text.wrapping import unwrap

SOURCE = "At tbe end of Carey-ftreet ftood a house, with 14 men before it.\nMr. Smith faid: wait here."
RIGHT = "At the end of Carey-street stood a house, with 14 men before it.\nMr. Smith said: wait here."

WRAPPINGS = {
    "fence": "```\n{}\n```",
    "fence with a language": "```text\n{}\n```",
    "fence of tildes": "~~~\n{}\n~~~",
    "fence in a letter": "Here is the corrected text:\n\n```\n{}\n```\n\nLet me know if you need anything else!",
    "fence that is not closed": "```\n{}",
    "fence that is only closed": "{}\n```",
    "preamble": "Here is the corrected text:\n\n{}",
    "preamble on the line": "Here is the corrected text: {}",
    "preamble of another wording": "Sure! Here's the cleaned-up version of the OCR text you gave me:\n{}",
    "label": "Corrected text: {}",
    "bold label": "**Corrected Text:**\n\n{}",
    "label with brackets": "Output (corrected): {}",
    "heading": "### Response:\n{}",
    "heading without colon": "## Corrected Text\n\n{}",
    "german": "Hier ist der korrigierte Text:\n\n{}",
    "french": "Voici le texte corrigé :\n{}",
    "spanish": "Aquí está el texto corregido:\n{}",
    "prompt of one's own": "Fix this: {}",
    "role": "assistant\n\n{}",
    "role with colon": "Assistant: {}",
    "thoughts": "<think>\nThe user wants tbe fixed. I will change tbe to the.\n</think>\n\n{}",
    "thoughts without their opening": "The user wants the text fixed. At tbe end: the.\n</think>\n\n{}",
    "no thoughts": "<think>\n\n</think>\n\n{}",
    "thinking": "<thinking>hm</thinking>{}",
    "magistral": "[THINK]tbe?[/THINK]{}",
    "harmony": "<|channel|>analysis<|message|>Fix it.<|end|><|start|>assistant<|channel|>final<|message|>{}<|return|>",
    "end token": "{}<|im_end|>",
    "end token and what follows it": "{}<|im_end|>\n<|im_start|>user\nThanks a lot!",
    "llama": "<|start_header_id|>assistant<|end_header_id|>\n\n{}<|eot_id|>",
    "eos": "<s>{}</s>",
    "gemma": "{}<end_of_turn>",
    "deepseek": "{}<｜end▁of▁sentence｜>",
    "quotes": '"{}"',
    "curly quotes": "“{}”",
    "guillemets": "«{}»",
    "german quotes": "„{}“",
    "backquotes": "`{}`",
    "bold": "**{}**",
    "three quotes": '"""\n{}\n"""',
    "preamble and quotes": 'The corrected text is: "{}"',
    "tags": "<corrected_text>{}</corrected_text>",
    "boxed": "\\boxed{{{}}}",
    "blockquote": "> {}",
    "rule": "---\n{}\n---",
    "note": "{}\n\nNote: I changed obvious misreadings, and kept everything else.",
    "list of changes": "{}\n\n**Changes made:**\n- replaced odd letters\n- nothing else",
    "echo": "Original: " + SOURCE + "\nCorrected: {}",
    "echo with headings": "### Input:\n" + SOURCE + "\n\n### Response:\n{}",
    "echoed instruction": "You correct errors that OCR made in old texts. Answer only so.\n\n{}",
}
AS_JSON = {
    "json": lambda text: json.dumps({"corrected_text": text}),
    "json with more": lambda text: json.dumps({"corrected": text, "changes": ["a", "b"], "confidence": 0.9}, indent=2),
    "json of another name": lambda text: json.dumps({"x": text}),
    "json in a fence": lambda text: f"```json\n{json.dumps({'text': text}, ensure_ascii=False)}\n```",
    "json string": lambda text: json.dumps(text),
    "json list": lambda text: json.dumps([text]),
    "python": lambda text: repr({"text": text}),
    "json with line feeds": lambda text: '{"text": "' + text + '"}',
}


def _wrapped(name, text):
    if name in AS_JSON:
        return AS_JSON[name](text)
    if name == "blockquote":
        return "\n".join(f"> {line}" for line in text.split("\n"))
    return WRAPPINGS[name].replace("{{", "{").replace("}}", "}").replace("{}", text)


@pytest.mark.parametrize("name", [*WRAPPINGS, *AS_JSON])
def test_unwrap_wrapping_is_taken_off_and_told(name):
    """The answer is left, to the character."""
    found = unwrap(SOURCE, _wrapped(name, RIGHT))

    assert (found.text, found.is_changed, found.is_doubtful) == (RIGHT, True, False)


@pytest.mark.parametrize("name", [*WRAPPINGS, *AS_JSON])
def test_unwrap_source_that_has_such_marks_keeps_them(name):
    """A text about prompts, a quotation, a fragment of JSON: what looks like a wrapping is the text itself."""
    source, answer = _wrapped(name, SOURCE), _wrapped(name, RIGHT)

    assert unwrap(source, answer) == (answer, False, False)


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("0utput: 5 tuns of oil", "Output: 5 tuns of oil"),
        ('tbe end"', '"the end"'),
        ("'Tis tbe time of the boys'", "'Tis the time of the boys'"),
        ("Text: tbe fox", "Text: the fox"),
        ("Xq zzk\n\nTbe quick brown fox", "My dear\n\nThe quick brown fox"),
        ("tbe fox, or, as he said: no", "the fox, or, as he said: no"),
        ("Here is the text: tbe fox", "Here is the text: the fox"),
        ("", ""),
        (" tbe fox \n", " the fox \n"),
    ],
)
def test_unwrap_correction_without_wrapping_stays(source, answer):
    """Corrections at the ends of a text are corrections."""
    assert unwrap(source, answer) == (answer, False, False)


@pytest.mark.parametrize(
    "answer",
    [
        "<think>I wonder what the user",
        "Here is the corrected text:",
        "```\nAt the end of\n```\nand\n```\nCarey-street\n```",
        '{"text": "At the end of Carey',
        '{"original": "some text", "translation": "another one"}',
        "At the end <|im_start|> of Carey",
    ],
)
def test_unwrap_wrapping_that_cannot_be_taken_off_is_doubtful(answer):
    """What is not certain is left, and said."""
    found = unwrap("At tbe end of Carey-ftreet", answer)

    assert found.is_doubtful


def test_unwrap_white_space_around_the_source_stays():
    """A given correction is of the whole record, with its last line feed."""
    assert unwrap(f"  {SOURCE}\n", f"```\n{RIGHT}\n```").text == f"  {RIGHT}\n"


def test_unwrap_long_text_compares_its_ends():
    """A book in a fence takes no quadratic time."""
    source, answer = f"{SOURCE}\n" * 5_000, f"{RIGHT}\n" * 5_000

    assert unwrap(source, f"Here is the text:\n```\n{answer}```") == (answer, True, False)
    directory = "Page: tbe\n" * 20_000
    assert unwrap(directory, directory.replace("tbe", "the")) == (directory.replace("tbe", "the"), False, False)


_PLAIN = st.lists(
    st.text(st.characters(codec="utf-8", categories=["Ll", "Lu", "Nd"]), min_size=1, max_size=9), min_size=3, max_size=30
)


@settings(max_examples=150, deadline=None)
@given(words=_PLAIN, wrappings=st.lists(st.sampled_from([*WRAPPINGS, *AS_JSON]), min_size=1, max_size=2))
def test_unwrap_any_text_in_any_two_wrappings_is_found_or_doubtful(words, wrappings):
    """Never is a part of the text lost with a wrapping."""
    text = " ".join(words)
    answer = text
    for name in wrappings:
        answer = _wrapped(name, answer)

    found = unwrap(text, answer)

    assert text in found.text or found.is_doubtful or "json" in str(wrappings)
    assert len(found.text) <= len(answer)


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=200), name=st.sampled_from([*WRAPPINGS, *AS_JSON]))
def test_unwrap_unchanged_text_stays_whatever_it_is(text, name):
    """An answer equal to its source has no wrapping, even if it looks like one."""
    for source in (text, _wrapped(name, text)):
        assert unwrap(source, source) == (source, False, False) or not source.strip()
