"""What a model of photo metadata reads and writes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from photo_format import NAMES, PROMPT, photo

from ocrray.errors import RecordError
from ocrray.prompts.fields import Fields
from ocrray.text.normalise import sanitise

BACK = (
    "WILLIAM DOIG (NUJ 03:\n62 NETHERPARK AVENU\nGLASGOW G44 3XW\nSCOTLAND\n041-637-2005\nDEPENDENT\nLAURY\nGlasgow\n"
    "Museum and Art Galleries, Kelvingrove"
)
FRONT = "ME\n1994: :::\nRES\nALL CALL AND MUSEUM"
ANSWER = (
    "<language> en <rewrite> 1994 - WILLIAM DOIG (NUJ 03: Scotland, Glasgow. Museum and Art Galleries, Kelvingrove. "
    "<title> WILLIAM DOIG <date> 1994"
)
TAG = re.compile("|".join(PROMPT.tokens))
# Tags, halves of tags and what is put in their place come up often enough to matter.
texts = st.lists(
    st.sampled_from([*PROMPT.tokens, "<", ">", "b", "END", "‹b›", " ", "\n", "\x1e", "a"]) | st.text(max_size=5)
).map("".join)
plain = texts.map(lambda text: " ".join(sanitise(text).split()) or None)
fields = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, plain)).map(lambda known: photo(**known))


def test_render_published_example_is_the_published_input():
    """Both sides, line by line, between the published tags."""
    assert PROMPT.render(back=BACK, front=FRONT, language="en") == (
        "<language> en <back> WILLIAM DOIG (NUJ 03: <b> 62 NETHERPARK AVENU <b> GLASGOW G44 3XW <b> SCOTLAND <b> 041-637-2005 "
        "<b> DEPENDENT <b> LAURY <b> Glasgow <b> Museum and Art Galleries, Kelvingrove <front> ME <b> 1994: ::: <b> RES <b> "
        "ALL CALL AND MUSEUM <END>"
    )


def test_parse_published_example_gives_its_fields_and_back():
    """The published answer is read, and written again to the character."""
    description = "1994 - WILLIAM DOIG (NUJ 03: Scotland, Glasgow. Museum and Art Galleries, Kelvingrove."

    read = PROMPT.parse(ANSWER)

    assert read == photo(description, title="WILLIAM DOIG", date="1994")
    assert PROMPT.completion(read, language="en") == f" {ANSWER}"


@given(fields)
def test_parse_of_any_completion_gives_the_fields_back(known: Fields):
    """Whatever the fields hold, only the brackets of tags that they spell out are written otherwise."""
    expected = {name: value and TAG.sub(lambda tag: f"‹{tag[0][1:-1]}›", value) for name, value in known.items()}

    assert PROMPT.parse(PROMPT.completion(known, language="en")) == expected


@given(texts, texts, texts)
def test_render_any_text_holds_the_structure_of_its_prompt_only(back: str, front: str, language: str):
    """No text can open or close a side, or end the prompt."""
    tags = TAG.findall(PROMPT.render(back=back, front=front, language=language))

    assert [tag for tag in tags if tag != "<b>"] == ["<language>", "<back>", "<front>", "<END>"]
    lines = [sum(bool(line.strip()) for line in side.splitlines()) for side in (back, front)]
    assert tags.count("<b>") == sum(max(0, count - 1) for count in lines)


@given(texts)
def test_parse_any_text_gives_fields_or_a_malformed_output(generated: str):
    """A model may write anything; what is read of it holds no tag, and all else is refused with a reason of one line."""
    try:
        read = PROMPT.parse(generated)
    except RecordError as error:
        kind, reason_lines = error.kind, str(error).splitlines()
    else:
        assert not any(TAG.search(value) or value != value.strip() for value in read.values() if value)
        return
    assert (kind, len(reason_lines)) == ("malformed_output", 1)


@pytest.mark.parametrize(
    ("generated", "reason"),
    [
        ("", "no <rewrite>"),
        ("<language> en", "no <rewrite>"),
        ("<language> en <title> x", "no <rewrite>"),
        ("A photograph. <rewrite> x", "before the first tag"),
        ("<language> en of course: <rewrite> x", "before the first tag"),
        ("<rewrite> x <title> y <title> y", "<title> twice"),
        ("<rewrite> x <date> 1994 <title> y", "<title> after <date>"),
        ("<title> y <rewrite> x", "<rewrite> after <title>"),
        ("<rewrite> x <b> y", "<b> in the answer"),
        ("<rewrite> x <language> en <rewrite> x", "<language> in the answer"),
        ("<rewrite> x <END>", "<END> in the answer"),
    ],
)
def test_parse_answer_of_another_shape_says_what_is_wrong(generated: str, reason: str):
    """The reason stands in the corpus, so it names the tag."""
    with pytest.raises(RecordError, match=reason):
        PROMPT.parse(generated)


def test_parse_answer_without_language_or_with_an_empty_tag_is_read():
    """The language is no field, and a tag with nothing behind it is an absent field."""
    assert PROMPT.parse("<rewrite> A  view\n<title> <date>1994") == photo("A view", date="1994")
