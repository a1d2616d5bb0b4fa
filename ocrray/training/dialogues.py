"""Dialogues in training tables: lists of messages as OpenAI, ms-swift, ShareGPT and LLaVA write them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ocrray.errors import RecordError
from ocrray.training.cells import as_list, as_object, nested

Role = Literal["system", "user", "assistant"]
IMAGE_MARK = "<image>"
"""Place of an image in a message, as ms-swift and LLaVA write it."""
_ROLES: dict[object, Role] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
}
_IMAGE_PARTS = ("image", "image_url", "input_image")
_TEXT_PARTS = ("text", "input_text", "output_text")


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its content is a string, or a tree of JSON; `images` are cells for `references.image_reference`."""

    role: Role
    content: object
    images: Sequence[object] = ()
    image_places: int = 0
    """Places of images in the content; those of an image column have no image here."""


def read_messages(value: object) -> list[Message]:
    """Return the messages of a cell: a list of `{role, content}` or `{from, value}`, or its JSON text.

    Raises:
        RecordError: `bad_messages`.
    """
    found = as_list(nested(value) if isinstance(value, str) else value)
    if found is None:
        raise _bad("a dialogue is a list of messages")
    return [_message(as_object(message)) for message in found]


def _message(fields: dict[str, object] | None) -> Message:
    if fields is None:
        raise _bad("a message is an object")
    name = fields.get("role") or fields.get("from")
    role = _ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        raise _bad(f"a message of the role {name}; known are {', '.join(map(str, _ROLES))}")
    content = fields["value"] if fields.get("content") is None and "value" in fields else fields.get("content")
    parts = [as_object(part) for part in as_list(content) or ()]
    if parts and all(part and isinstance(part.get("type"), str) for part in parts):
        return _of_parts(role, [part for part in parts if part])
    places = content.count(IMAGE_MARK) if isinstance(content, str) and role != "assistant" else 0
    return Message(role, content, image_places=places)


def _of_parts(role: Role, parts: Sequence[dict[str, object]]) -> Message:
    """Return the message of parts: `{type: text, text}`, `{type: image, image}`, `{type: image_url, image_url: {url}}`."""
    texts, images, places = list[str](), list[object](), 0
    for part in parts:
        kind = part["type"]
        if kind in _TEXT_PARTS:
            texts.append(str(part.get("text") or ""))
        elif kind in _IMAGE_PARTS:
            places += 1
            images += [image for image in [_part_image(part)] if image]
        else:
            raise _bad(f"a part of the type {kind}; known are text and image")
    text = "".join(texts)
    return Message(role, text, images, places + text.count(IMAGE_MARK))


def _part_image(part: dict[str, object]) -> object:
    """Return the image of a part; null where it only marks the place of one."""
    image = next((part[key] for key in ("image", "image_url", "url", "path") if part.get(key)), None)
    fields = as_object(image)
    if fields is None:
        return image
    return fields["url"] if fields.get("url") else fields


def _bad(message: str) -> RecordError:
    return RecordError(message, kind="bad_messages")
