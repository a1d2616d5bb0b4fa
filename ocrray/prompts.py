"""What a language model is shown and what is read back; training and inference use the same objects, so the two cannot drift."""

import hashlib
import re
from dataclasses import dataclass

from ocrray.errors import ConfigError, RecordError
from ocrray.records import PhotoFields


@dataclass(frozen=True, slots=True)
class Prompt:
    """A template in which `{text}` stands for the source, exactly once.

    A published template never changes: another wording is another version. `instruction` is the system message of a chat.
    With `width_bytes` the source is shown in that many UTF-8 bytes, U+001F after it: the answer then stands at one distance from
    what it copies, which a small model learns several times sooner.
    """

    name: str
    version: str
    template: str
    instruction: str = ""
    width_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.template.count("{text}") != 1:
            raise ConfigError(f"prompt {self.name}: a template holds {{text}} exactly once")

    @property
    def prompt_version(self) -> str:
        """The name that a row and a fingerprint hold, `alpaca_ocr/1` for instance."""
        return f"{self.name}/{self.version}"

    def fits(self, source: str) -> bool:
        """Whether the source is no wider than `width_bytes`; always true of a prompt without one."""
        return self.width_bytes is None or len(source.encode()) <= self.width_bytes

    def render(self, source: str) -> str:
        """What the model reads; a source that does not fit is shown without padding."""
        padding = "\x1f" * (self.width_bytes - len(source.encode())) if self.width_bytes else ""
        return self.template.replace("{text}", source + padding)

    def messages(self, source: str) -> list[dict[str, str]]:
        """What a chat model reads: the instruction, where there is one, then the rendered source."""
        user = {"role": "user", "content": self.render(source)}
        return [{"role": "system", "content": self.instruction}, user] if self.instruction else [user]

    def completion(self, target: str) -> str:
        """What the model is taught to write after `render(source)`, before its end-of-text token."""
        return target.strip()

    def extract(self, generated: str) -> str:
        """The answer in what a model wrote: stripped, and only what follows the response marker where it repeats the prompt."""
        opening, marker = self.template.split("{text}")
        if marker and generated.startswith(opening) and marker in generated:
            generated = generated.partition(marker)[2]
        return generated.strip()


PROMPTS = {
    prompt.name: prompt
    for prompt in (
        Prompt(  # as published with pbevan11/llama-3.1-8b-ocr-correction
            name="alpaca_ocr",
            version="1",
            template=(
                "Below is an instruction that describes a task, paired with an input that provides further context. "
                "Write a response that appropriately completes the request.\n\n"
                "### Instruction:\n"
                "You are an assistant that takes a piece of text that has been corrupted during OCR digitisation, "
                "and produce a corrected version of the same text.\n\n"
                "### Input:\n{text}\n\n"
                "### Response:\n"
            ),
        ),
        # U+001E and U+001F never stand in a text that `text.normalise.sanitise` has seen: no source can fake the separator.
        Prompt(name="plain", version="1", template="{text}\x1e"),
        Prompt(name="padded_144", version="1", template="{text}\x1e", width_bytes=144),
        Prompt(name="none", version="1", template="{text}"),
        Prompt(
            name="chat_ocr",
            version="1",
            template="{text}",
            instruction=(
                "You correct errors that OCR made in old texts. Keep the wording, the historical spelling, the punctuation and "
                "the line breaks of the original. Answer with the corrected text and nothing else."
            ),
        ),
    )
}


def resolve(name_or_template: str) -> Prompt:
    """The prompt of this name, or a prompt made of the user's own template text; raises ConfigError when it is neither."""
    if name_or_template in PROMPTS:
        return PROMPTS[name_or_template]
    if "{text}" in name_or_template:
        digest = hashlib.sha256(name_or_template.encode("utf-8", "surrogatepass")).hexdigest()
        return Prompt(name="custom", version=digest[:12], template=name_or_template)
    known = ", ".join(PROMPTS)
    raise ConfigError(
        f"prompt: no prompt is called {name_or_template!r}; known are {known}, or give a template that holds {{text}}"
    )


_FIELD_TAGS = dict(zip(PhotoFields.__slots__, ("<rewrite>", "<title>", "<agency>", "<photographer>", "<date>"), strict=True))


@dataclass(frozen=True, slots=True)
class PhotoPrompt:
    """What a model of photo metadata reads, the OCR of a print's back and front, and what it writes: a tag before each field.

    The tags are `tokens`, each one token of the model (`models.loading.extend_vocabulary`). A text that spells one out is shown
    with `‹` and `›` for its brackets, so that no source can fake structure.
    """

    name: str
    version: str

    template = "<language> {language} <back> {back} <front> {front} <END>"
    tokens = ("<language>", "<back>", "<front>", "<b>", "<END>", *_FIELD_TAGS.values())

    @property
    def prompt_version(self) -> str:
        """The name that a row and a fingerprint hold."""
        return f"{self.name}/{self.version}"

    def render(self, *, back: str, front: str, language: str) -> str:
        """What the model reads: the lines of both sides, `<b>` between them; blank lines are left out."""
        return _joined("<language>", _plain(language), "<back>", _lines(back), "<front>", _lines(front), "<END>")

    def completion(self, fields: PhotoFields, *, language: str) -> str:
        """What the model is taught to write after `render(...)`; it begins with the space that parts all words of both."""
        parts = [f"{_FIELD_TAGS[name]} {_plain(value)}" for name, value in fields.to_row().items() if value]
        if not fields.description:
            parts.insert(0, _FIELD_TAGS["description"])
        return " " + _joined("<language>", _plain(language), *parts)

    def parse(self, generated: str) -> PhotoFields:
        """The fields in what a model wrote after `render(...)`, with or without the language before them.

        Raises RecordError (`malformed_output`) unless it is `<rewrite>` and then any of the other tags in their order.
        """
        head, *rest = _TAG.split(generated)
        tags, values = rest[::2], rest[1::2]
        if tags[:1] == ["<language>"]:
            head += "".join(values[0].split()[1:])
            tags, values = tags[1:], values[1:]
        if head.strip():
            raise _malformed("text before the first tag")
        _require_order(tags)
        written = dict(zip(tags, values, strict=True))
        return PhotoFields.from_row({name: written.get(tag) for name, tag in _FIELD_TAGS.items()})


_TAG = re.compile("(" + "|".join(PhotoPrompt.tokens) + ")")

PHOTO_METADATA = PhotoPrompt(name="photo_metadata", version="1")
"""Trained on tables with the columns `language`, `front`, `back` (lines parted by line feeds) and those of `PhotoFields`."""


def _malformed(reason: str) -> RecordError:
    return RecordError(reason, kind="malformed_output")


def _require_order(tags: list[str]) -> None:
    order = list(_FIELD_TAGS.values())
    for number, tag in enumerate(tags):
        if tag not in order:
            raise _malformed(f"{tag} in the answer")
        if tag in tags[:number]:
            raise _malformed(f"{tag} twice")
        if number and order.index(tag) < order.index(tags[number - 1]):
            raise _malformed(f"{tag} after {tags[number - 1]}")
    if order[0] not in tags:
        raise _malformed(f"no {order[0]}")


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _lines(text: str) -> str:
    return " <b> ".join(plain for line in text.splitlines() if (plain := _plain(line)))


def _plain(text: str) -> str:
    """`text` on one line, in which nothing is a tag."""
    return _TAG.sub(lambda tag: f"‹{tag[0][1:-1]}›", " ".join(text.split()))
