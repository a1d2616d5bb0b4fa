"""Prompts that extract fields: what a model is shown, and its answer as tags or as JSON; for training and inference alike."""

import json
import re
from dataclasses import dataclass
from typing import Literal, Protocol, Self

from pydantic import model_validator

from ocrray.config import StrictModel
from ocrray.prompts import Prompt
from ocrray.prompts.fields import Fields, FieldSchema, malformed

_JSON_TEMPLATE = (
    "Write what the text below, which OCR read, says as one JSON object of this JSON Schema. "
    "Leave out what the text does not say.\n\n"
    "### JSON Schema:\n{schema}\n\n"
    "### Text:\n{text}\n\n"
    "### JSON:\n"
)
_FENCED = re.compile(r"```[a-zA-Z]*\n(.*)\n```", re.DOTALL)


class ExtractionPrompt(Protocol):
    """A prompt and its answer format for one schema of fields."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """Special tokens of the format, each of which must be one token of the model."""

    @property
    def template(self) -> str:
        """Prompt without its texts; special tokens that it spells are tokens in the prompt."""

    @property
    def prompt_version(self) -> str:
        """Name and version as rows and fingerprints hold them."""

    def render(self, *, back: str, front: str, language: str) -> str:
        """Return the text that the model reads."""

    def completion(self, fields: Fields, *, language: str) -> str:
        """Return the text that the model is taught to write after `render(...)`."""

    def parse(self, generated: str) -> Fields:
        """Return the fields in generated text.

        Raises:
            RecordError: `malformed_output`, with the problem, when it does not have the format or does not fit the schema.
        """


class ExtractionFormat(StrictModel):
    """Fields to extract, and the form of prompt and answer."""

    fields: FieldSchema
    """JSON Schema of the fields (`type: object`); the columns `fields` and `field_candidates` have its type."""
    text_field: str | None = None
    """Field that becomes `corrected_text`, a string; null: the raw text stays."""
    answer: Literal["json", "tags"] = "json"
    """Form of the answer: a JSON object, or a special token before each field, in the order of the schema (strings only)."""
    prompt: str | None = None
    """Template of a `json` prompt, with `{text}` and, if wanted, `{schema}`; null: the one that ships."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        properties = self.fields.properties
        if properties is None:
            raise ValueError("fields: the type of the whole is object")
        if self.text_field is not None and (self.text_field not in properties or properties[self.text_field].type != "string"):
            raise ValueError(f"text_field: {self.text_field} is no field of type string")
        if self.answer == "tags":
            problem = _tags_problem(self.fields, self.text_field)
            if problem or self.prompt is not None:
                raise ValueError(problem or "prompt: with answer: tags the prompt is fixed")
        if self.prompt is not None and self.prompt.count("{text}") != 1:
            raise ValueError("prompt: a template holds {text} exactly once")
        return self

    def open_prompt(self) -> ExtractionPrompt:
        """Return the prompt of these fields."""
        return TagPrompt(self.fields, self.text_field) if self.answer == "tags" else JsonPrompt(self.fields, self.prompt)


class JsonPrompt:
    """A template with the JSON Schema and the text; the answer is a JSON object, which may stand in a Markdown code fence."""

    tokens: tuple[str, ...] = ()

    def __init__(self, fields: FieldSchema, template: str | None = None) -> None:
        self._fields = fields
        text = (template or _JSON_TEMPLATE).replace("{schema}", fields.as_json())
        self._prompt = Prompt("extract_json" if template is None else "custom_json", "1", text)

    @property
    def template(self) -> str:
        return self._prompt.template

    @property
    def prompt_version(self) -> str:
        return self._prompt.prompt_version

    def render(self, *, back: str, front: str, language: str) -> str:  # noqa: ARG002 (JSON names are in one language)
        """Return the text that the model reads: the back, then the front, a blank line between them."""
        return self._prompt.render("\n\n".join(side for side in (back.strip(), front.strip()) if side))

    def completion(self, fields: Fields, *, language: str) -> str:  # noqa: ARG002
        """Return the fields as JSON, without nulls."""
        return json.dumps(_without_nulls(fields), ensure_ascii=False)

    def parse(self, generated: str) -> Fields:
        """Return the fields of a JSON object."""
        text = generated.strip()
        if fenced := _FENCED.fullmatch(text):
            text = fenced[1]
        return self._fields.parse(text)


@dataclass(frozen=True, slots=True)
class TagPrompt:
    """Prompt of a published GPT-J model of photo metadata: the OCR of a print's back and front, with a tag before each field.

    The tag of field `date` is `<date>`, that of `text_field` is `<rewrite>`; the answer begins with the first field's tag. A text
    that spells a tag is shown with `‹` and `›` for its brackets, so that no source can fake structure.
    """

    fields: FieldSchema
    text_field: str | None = None

    @property
    def template(self) -> str:
        return "<language> {language} <back> {back} <front> {front} <END>"

    @property
    def tokens(self) -> tuple[str, ...]:
        return (*_PROMPT_TAGS, *self._tags.values())

    @property
    def prompt_version(self) -> str:
        return "photo_metadata/1"

    def render(self, *, back: str, front: str, language: str) -> str:
        """Return the text that the model reads: the lines of both sides, `<b>` between them, without blank lines."""
        sides = (self._lines(back), "<front>", self._lines(front))
        return _joined("<language>", self._plain(language), "<back>", *sides, "<END>")

    def completion(self, fields: Fields, *, language: str) -> str:
        """Return the answer; it begins with the space that separates it from the prompt."""
        tags = list(self._tags.items())
        (first, first_tag), *_ = tags
        parts = [f"{tag} {self._plain(fields[name])}" for name, tag in tags if fields[name]]
        if not fields[first]:
            parts.insert(0, first_tag)
        return " " + _joined("<language>", self._plain(language), *parts)

    def parse(self, generated: str) -> Fields:
        """Return the fields of tags in the order of the schema, with or without the language before them; blank ones are null."""
        head, *rest = self._pattern.split(generated)
        tags, values = rest[::2], rest[1::2]
        if tags[:1] == ["<language>"]:
            head += "".join(values[0].split()[1:])
            tags, values = tags[1:], values[1:]
        if head.strip():
            raise malformed("text before the first tag")
        _require_order(tags, list(self._tags.values()))
        written = dict(zip(tags, values, strict=True))
        return self.fields.check({name: " ".join(written.get(tag, "").split()) or None for name, tag in self._tags.items()})

    @property
    def _tags(self) -> dict[str, str]:
        return _field_tags(self.fields, self.text_field)

    @property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("(" + "|".join(map(re.escape, self.tokens)) + ")")

    def _lines(self, text: str) -> str:
        return " <b> ".join(plain for line in text.splitlines() if (plain := self._plain(line)))

    def _plain(self, text: str) -> str:
        """Return `text` on one line, without tags."""
        return self._pattern.sub(lambda tag: f"‹{tag[0][1:-1]}›", " ".join(text.split()))


_PROMPT_TAGS = ("<language>", "<back>", "<front>", "<b>", "<END>")


def _field_tags(fields: FieldSchema, text_field: str | None) -> dict[str, str]:
    return {name: "<rewrite>" if name == text_field else f"<{name}>" for name in fields.names}


def _tags_problem(fields: FieldSchema, text_field: str | None) -> str:
    properties = fields.properties or {}
    if nested := [name for name, field in properties.items() if field.type != "string"]:
        return f"answer: tags hold strings only: {', '.join(nested)}"
    tags = list(_field_tags(fields, text_field).values())
    if len({*tags, *_PROMPT_TAGS}) < len(tags) + len(_PROMPT_TAGS) or not all(re.fullmatch(r"<\w+>", tag) for tag in tags):
        return "answer: with tags a field's name is one word, and not one of rewrite, language, back, front, b and END"
    return ""


def _require_order(tags: list[str], order: list[str]) -> None:
    for number, tag in enumerate(tags):
        if tag not in order:
            raise malformed(f"{tag} in the answer")
        if tag in tags[:number]:
            raise malformed(f"{tag} twice")
        if number and order.index(tag) < order.index(tags[number - 1]):
            raise malformed(f"{tag} after {tags[number - 1]}")
    if order[0] not in tags:
        raise malformed(f"no {order[0]}")


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_nulls(child) for name, child in value.items() if child is not None}
    return [_without_nulls(child) for child in value] if isinstance(value, list) else value
