"""Pages read by vision-language models: what counts as read, blank pages, and the fallback."""

from collections.abc import Sequence
from typing import Any

import pytest
from misbehaving_server import chat, drops, error, serving
from PIL import Image, ImageDraw, ImageFont

from ocrray.engines.base import EngineInfo, Recognition
from ocrray.engines.http_reader import HttpReaderConfig
from ocrray.engines.reader import Reader, ReaderConfig
from ocrray.engines.readings import read_answer
from ocrray.engines.server.answers import Answer
from ocrray.engines.tesseract import TesseractConfig
from ocrray.errors import EngineError, RecordError

INVOICE = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "string"},
        "total": {"type": "number"},
        "products": {"type": "array", "items": {"type": "object", "properties": {"what": {"type": "string"}}}},
    },
}
WHITE = Image.new("L", (600, 200), 255)
PRINTED = Image.new("L", (900, 200), 255)
ImageDraw.Draw(PRINTED).text((40, 60), "Harbour at Leith", fill=0, font=ImageFont.load_default(56))


def config(**settings: Any) -> HttpReaderConfig:
    return HttpReaderConfig.model_validate({"engine": "http", "base_url": "http://localhost/v1", "model": "m", **settings})


def json_config(**settings: Any) -> HttpReaderConfig:
    return config(output="json", fields=INVOICE, **settings)


def unfinished(text: str) -> Answer:
    return Answer(None, "unfinished", partial=text)


def read(answer: Answer, settings: ReaderConfig) -> Recognition:
    found = read_answer(answer, settings)
    assert isinstance(found, Recognition)
    return found


@pytest.mark.parametrize(
    ("answer", "settings", "kind"),
    [
        (unfinished("Chapter I\nIt was a dark"), config(), "unfinished"),
        (unfinished("Chapter I\n" + "and so on " * 60), config(), "loop"),
        (Answer("Chapter I\n" + "and so on " * 60), config(), "loop"),
        (unfinished("Contents\nChapter I " + "." * 90), config(), "loop"),
        (unfinished("| a | b |\n|---|"), config(output="markdown"), "unfinished"),
        (unfinished('{"id": "A-17", "total": 1'), json_config(), "unfinished"),
        (unfinished('{"id": "A-17", "products": [' + '{"what": "tea"}, ' * 60), json_config(close_json=True), "loop"),
        (unfinished('{"id": "A-1'), json_config(close_json=True), "unfinished"),
        (unfinished('{"total": 1, "id": "A'), json_config(close_json=True), "malformed_output"),
        (Answer('{"id": "A-17", "total": 1'), json_config(), "malformed_output"),
        (Answer('{"id": "A-17", "id": "A-18"}'), json_config(close_json=True), "malformed_output"),
        (Answer('{"id": "A-17", "total": 007}'), json_config(close_json=True), "malformed_output"),
        (Answer('{"id": "A-17", "total": "7"}'), json_config(), "malformed_output"),
        (Answer("It is an invoice."), json_config(), "malformed_output"),
    ],
)
def test_read_answer_that_does_not_count_is_kept_as_evidence_with_its_reason(
    answer: Answer, settings: ReaderConfig, kind: str
) -> None:
    """Half a page, a loop and a broken form are no reading: no lines, no fields, and what was written beside the reason."""
    found = read(answer, settings)

    assert found.problem is not None
    assert found.problem.kind == kind
    assert (found.lines, found.fields) == (None, None)
    assert found.text == (answer.text or answer.partial)


@pytest.mark.parametrize(
    ("answer", "text", "warnings"),
    [
        ("One\n\n  Two \n", "One\nTwo", []),
        ("Contents\nChapter I " + "." * 90, "Contents\nChapter I " + "." * 90, []),
        ("```\nOne\nTwo\n```", "One\nTwo", ["wrapping_removed"]),
        ("```text\nOne", "One", ["wrapping_removed"]),
        ("One `two` three", "One `two` three", []),
        ("A\x00B\ud800", "A\ufffdB\ufffd", []),
    ],
)
def test_read_answer_becomes_lines_without_boxes(answer: str, text: str, warnings: list[str]) -> None:
    """The text is that of its lines; a code fence around all of it is taken off, and said."""
    found = read(Answer(answer), config())

    assert (found.text, found.problem, found.doubt, [*found.warnings]) == (text, None, "", warnings)
    assert found.lines is not None
    assert "\n".join(line.text for line in found.lines) == text
    assert all(line.left is None and line.confidence is None for line in found.lines)
    assert [word.text for word in found.lines[0].words] == text.split("\n")[0].split()


def test_read_answer_of_markdown_keeps_blank_lines_between_its_blocks() -> None:
    """A table without the blank line before it is none."""
    assert read(Answer("# Title\n\n| a |\n|---|\n"), config(output="markdown")).text == "# Title\n\n| a |\n|---|"


def test_read_answer_probabilities_become_confidences_of_words_and_lines() -> None:
    """A word is as sure as its least sure token, a line as its words on average; a lost space shifts nothing."""
    pieces, probabilities = ["Ha", "rb", "our", "at", "\n", "Le", "ith"], [0.9, 0.5, 0.8, 0.7, 0.1, 0.6, 1.0]

    found = read(Answer("Harbour at\nLeith", pieces=pieces, probabilities=[*probabilities, 0.99]), config())

    assert found.lines is not None
    assert [[word.confidence for word in line.words] for line in found.lines] == [[0.5, 0.7], [0.6]]
    assert [line.confidence for line in found.lines] == [pytest.approx(0.6), pytest.approx(0.6)]


@pytest.mark.parametrize("answer", [Answer(""), Answer(" \n"), Answer("```\n\n```"), Answer(None, "empty_answer", "no text")])
def test_read_answer_without_text_is_doubted(answer: Answer) -> None:
    """The page has ink: it may be a plate, so that it does not fail, and may not be one, so that it is kept with its reason."""
    assert read(answer, config()) == Recognition("", [], doubt="empty_answer")


def test_read_answer_json_becomes_typed_fields_and_stays_as_written() -> None:
    """A number that the schema wants as a string keeps its zeros; a fence is no part of the object."""
    answer = '```json\n{"id": 1.10, "total": 1.10, "products": [{"what": "tea"}]}\n```'

    found = read(Answer(answer), json_config())

    assert found.fields == {"id": "1.10", "total": 1.1, "products": [{"what": "tea"}]}
    assert (found.text, found.lines, found.problem) == (answer, None, None)


@pytest.mark.parametrize("answer", [unfinished, Answer])
def test_read_answer_json_that_was_cut_off_is_closed_only_where_the_config_asks(answer: Any) -> None:
    """Its whole values are kept with a warning; what was being written is left out."""
    text = '{"id": "A-17", "products": [{"what": "tea"}, {"what": "cof'

    assert read(answer(text), json_config()).problem is not None
    found = read(answer(text), json_config(close_json=True))
    assert found.fields == {"id": "A-17", "total": None, "products": [{"what": "tea"}]}
    assert (found.text, found.warnings, found.problem) == (text, ["json_closed"], None)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [("too_long", "too_long"), ("refused", "refused"), ("http_503", "http_503"), ("timeout", "connection_lost")],
)
def test_read_answer_that_a_server_did_not_give_is_the_error_of_its_page(reason: str, kind: str) -> None:
    """A late answer is no `timeout`, which of a Tesseract does not pass."""
    found = read_answer(Answer(None, reason, "the server says no"), config())

    assert isinstance(found, RecordError)
    assert (found.kind, str(found)) == (kind, "the server says no")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"output": "json"}, "fields"),
        ({"fields": INVOICE}, "fields"),
        ({"output": "json", "fields": {"type": "string"}}, "type of the whole"),
        ({"close_json": True}, "close_json"),
        ({"output": "json", "fields": INVOICE, "fallback": "tesseract"}, "fallback"),
        ({"instruction": "Read {schema}"}, "schema"),
        ({"fallback": "magic"}, "engine"),
        ({"api": "completions"}, "api"),
    ],
)
def test_config_that_contradicts_itself_is_refused(settings: dict[str, Any], said: str) -> None:
    """Fields without a schema, a fallback that makes no fields, images as a prompt: told before anything starts."""
    with pytest.raises(ValueError, match=said):
        config(**settings)


class Writes(Reader):
    """A model that writes one answer for each page it is shown."""

    info = EngineInfo("vlm", "m")

    def __init__(self, settings: ReaderConfig, answer: Answer | RecordError) -> None:
        super().__init__(settings)
        self.answer = answer
        self.shown = 0

    def answers(self, images: Sequence[Image.Image]) -> list[Answer | RecordError]:
        self.shown += len(images)
        return [self.answer] * len(images)


def test_recognize_pages_blank_ones_are_not_shown_to_the_model() -> None:
    """On white paper a model invents."""
    reader = Writes(config(), Answer("Text"))

    read = reader.recognize_pages([WHITE, PRINTED, WHITE])

    assert [one.text for one in read if isinstance(one, Recognition)] == ["", "Text", ""]
    assert reader.shown == 1
    everything = Writes(config(blank_below_ink_frac=0), Answer("Text"))
    everything.recognize_pages([WHITE, PRINTED])
    assert everything.shown == 2


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        (unfinished("It was a"), "unfinished: "),
        (Answer(""), "empty_answer"),
        (RecordError("no room", kind="too_long"), "too_long: no room"),
    ],
)
def test_recognize_pages_what_does_not_count_is_read_by_the_fallback(answer: Answer | RecordError, note: str) -> None:
    """Its lines have boxes, and the row says who read it and why."""
    settings = config(fallback="tesseract")
    reader = Writes(settings, answer)

    (found,) = reader.recognize_pages([PRINTED])
    reader.close()

    assert isinstance(found, Recognition)
    assert (found.text, found.problem, found.doubt) == ("Harbour at Leith", None, "")
    assert found.lines is not None
    assert found.lines[0].left is not None
    assert found.read_by is not None
    assert found.read_by.engine == "tesseract"
    assert found.warnings == ["read_by_fallback"]
    assert found.note.startswith(note)


def test_recognize_pages_fallback_that_fails_too_says_both() -> None:
    """The page has the reason of the model and that of the fallback."""
    wide = Image.new("1", (40_000, 20))
    reader = Writes(config(fallback=TesseractConfig(), blank_below_ink_frac=0), unfinished("It was"))

    (found,) = reader.recognize_pages([wide])
    reader.close()

    assert isinstance(found, RecordError)
    assert found.kind == "unfinished"
    assert "32,767" in str(found)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ((422, error("no such picture")), "http_422"),
        ((400, error("the image is too large: maximum context length is 4096 tokens")), "too_long"),
        (drops, "connection_lost"),
        (chat("I cannot read this.", end="content_filter"), "refused"),
    ],
    ids=["refused status", "too long", "dropped", "filtered"],
)
def test_recognize_pages_one_that_the_server_does_not_read_fails_alone(reply: Any, kind: str) -> None:
    """The other page is read, and what the server said stands in the error; each request holds one image and the question."""
    bad = PRINTED.convert("1")

    def answer(text: str, _attempt: int) -> Any:
        return reply if "image/png" in text else chat("Harbour at Leith")

    with serving(answer) as served:
        reader = config(base_url=served.url, max_retries=0, concurrency=1, instruction="Read it.", max_new_tokens=99).open()
        read = reader.recognize_pages([PRINTED, bad, PRINTED])
        reader.close()

    assert [one.text for one in read if isinstance(one, Recognition)] == ["Harbour at Leith"] * 2
    assert isinstance(read[1], RecordError)
    assert read[1].kind == kind
    first = served.bodies[0]
    assert [part["type"] for part in first["messages"][0]["content"]] == ["image_url", "text"]
    assert (first["max_tokens"], first["temperature"]) == (99, 0.0)


def test_recognize_pages_of_a_server_that_refuses_the_key_ends_the_run() -> None:
    """No page would fare better."""
    with serving(lambda *_: (401, error("invalid api key"))) as served:
        reader = config(base_url=served.url, max_retries=0, max_wait_s=0).open()
        with pytest.raises(EngineError, match="invalid api key"):
            reader.recognize_pages([PRINTED])
        reader.close()
