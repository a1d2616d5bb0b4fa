"""Reading of one row: its image, instruction and answer, or the reason why it gives no sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ocrray.errors import RecordError
from ocrray.sources.rows import MAX_TEXT_CHARS
from ocrray.storage import Location
from ocrray.text import json_text
from ocrray.text.normalise import sanitise
from ocrray.training.cells import as_list, as_object, nested
from ocrray.training.dialogues import IMAGE_MARK, Message, read_messages
from ocrray.training.image_rows.roles import Roles
from ocrray.training.references import image_reference

_PARSED = ("gt_parse", "gt_parses")
"""Keys of Donut's `ground_truth` that hold the answer, or a list of answers."""
_DONUT_TEXT = "text_sequence"  # the one member of `gt_parse` where Donut learns to read


@dataclass(frozen=True, slots=True)
class RowReader:
    """Reader of rows of one table; relative paths lead from `folder`, and stay below it."""

    roles: Roles
    folder: Location
    json_answers: bool = False

    def read(self, cells: Mapping[str, object]) -> dict[str, object]:
        """Return `image` (IMAGE), `instruction` (None where there is none) and `answer`.

        Raises:
            RecordError: `no_image`, `several_images`, `bad_image`, `image_<kind>` of a file that cannot be read, `no_answer`,
                `bad_json`, `bad_messages`, `several_turns`, `has_system_message`, `too_long`.
        """
        messages = self._messages(cells)
        question, answer = _exchange(messages)
        image = self._image(cells, messages)
        instruction = sanitise(str(question.content or "").replace(IMAGE_MARK, "")).strip()
        written = self._answer(answer.content)
        if max(len(written), len(instruction)) > MAX_TEXT_CHARS:
            raise RecordError("a text is too long", kind="too_long")
        return {"image": image, "instruction": instruction or None, "answer": written}

    def _messages(self, cells: Mapping[str, object]) -> list[Message]:
        """Return the dialogue of a row, its own or that of its columns."""
        if self.roles.dialogue:
            return read_messages(cells[self.roles.dialogue])
        context = {name: cells[name] for name in self.roles.context}
        if _is_filled(context.get("history")):
            raise RecordError("a dialogue of several turns", kind="several_turns")
        system = [Message("system", context["system"])] if _is_filled(context.get("system")) else []
        question = _text(cells[self.roles.instruction] if self.roles.instruction else None)
        answer = cells.get(self.roles.answer or "")
        if self.roles.answer == "ground_truth":
            answer = _donut_answer(answer)
        return [*system, Message("user", question, image_places=question.count(IMAGE_MARK)), Message("assistant", answer)]

    def _image(self, cells: Mapping[str, object], messages: Sequence[Message]) -> object:
        found = _listed(cells[self.roles.image]) if self.roles.image else []
        found = found or [image for message in messages for image in message.images]
        if len(found) > 1 or sum(message.image_places for message in messages) > 1:
            raise RecordError("several images", kind="several_images")
        reference = image_reference(found[0], self.folder) if found else None
        if reference is None:
            raise RecordError("no image", kind="no_image")
        return reference

    def _answer(self, value: object) -> str:
        """Return the text to learn: JSON in its one spelling, or a string as it stands."""
        if isinstance(value, bytes):
            value = value.decode(errors="replace")
        is_text = isinstance(value, str) or not isinstance(value, dict | list)
        text = _text(value) if is_text else json_text.spell(value)
        if not text.strip():
            raise RecordError("no answer", kind="no_answer")
        if is_text and not self.json_answers:
            return sanitise(text)
        try:
            return sanitise(_object_text(text))
        except (ValueError, RecursionError) as err:
            raise RecordError(f"the answer is no JSON: {err}", kind="bad_json") from None


def _exchange(messages: Sequence[Message]) -> tuple[Message, Message]:
    """Return the only question and its answer."""
    if any(message.role == "system" and _is_filled(message.content) for message in messages):
        raise RecordError("a system message", kind="has_system_message")
    turns = [message for message in messages if message.role != "system"]
    roles = [turn.role for turn in turns]
    if roles[:2] not in (["user", "assistant"], ["user"]):
        raise RecordError("a dialogue begins with the user", kind="bad_messages")
    if len(turns) > 2:
        raise RecordError("a dialogue of several turns", kind="several_turns")
    return turns[0], turns[1] if len(turns) == 2 else Message("assistant", None)


def _object_text(text: str) -> str:
    written = json_text.canonical(text, keep_nulls=False)
    if not written.startswith(("{", "[")):
        raise ValueError("it is neither an object nor an array")
    return written


def _donut_answer(value: object) -> object:
    """Return the answer in Donut's `{"gt_parse": ...}`, the only one of `{"gt_parses": [...]}`, or the value itself."""
    fields = as_object(nested(value) if isinstance(value, str) else value) or {}
    key = next((key for key in _PARSED if fields.get(key) is not None), None)
    if key is None:
        return value
    found = fields[key]
    if key == "gt_parses":
        answers = as_list(found) or []
        if len(answers) != 1:
            raise RecordError("several answers", kind="several_answers")
        [found] = answers
    parsed = as_object(found) or {}
    return parsed[_DONUT_TEXT] if list(parsed) == [_DONUT_TEXT] else found


def _listed(cell: object) -> list[object]:
    """Return the images of a cell: a list of them, or one."""
    value = nested(cell) if isinstance(cell, str) else cell
    values = as_list(value)
    return [image for image in ([value] if values is None else values) if _is_filled(image)]


def _is_filled(value: object) -> bool:
    if isinstance(value, str):
        return bool(value.strip()) and value.strip() != "[]"
    return bool(value)


def _text(value: object) -> str:
    if isinstance(value, str):
        return str(value)
    return "" if value is None else json_text.spell(value)
