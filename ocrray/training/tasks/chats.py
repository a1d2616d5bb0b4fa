"""Samples of chats: dialogues checked against the prompt that the engine will show, and encoded by the chat template."""

from collections.abc import Mapping, Sequence
from typing import Any

from ocrray.errors import RecordError
from ocrray.models.chat import Chat, ChatTemplate
from ocrray.prompts import Prompt
from ocrray.text import json_text
from ocrray.text.normalise import sanitise
from ocrray.training.dialogues import Message, read_messages
from ocrray.training.samples import NO_LOSS


def encode_chat(template: ChatTemplate, chat: Chat) -> list[dict[str, Any]]:
    """Return fields of SAMPLES with loss on every answer of the assistant: one sample, and one more where a later prompt differs.

    A later prompt repeats what was said before; a template may write that differently there, for instance leave out thoughts.
    """
    samples: list[tuple[list[int], list[int]]] = []
    for place, message in enumerate(chat):
        if message["role"] != "assistant":
            continue
        [prompt] = template.prompt_ids([chat[:place]])
        [answer] = template.answer_ids([message["content"]])
        ids, labels = samples[-1] if samples else ([], [])
        if not samples or prompt[: len(ids)] != ids:
            ids, labels = [], []
            samples.append((ids, labels))
        labels += [NO_LOSS] * (len(prompt) - len(ids)) + answer
        ids += prompt[len(ids) :] + answer
    return [{"input_ids": ids, "labels": labels, "length": len(ids)} for ids, labels in samples]


def read_dialogue(text: str | None, prompt: Prompt) -> list[Mapping[str, str]]:
    """Return the messages of a dialogue in turns, from the system message, where `prompt` has one, to the last answer.

    Raises:
        RecordError: `bad_messages`, `other_instruction` where a message of system or user is not that of the prompt,
            `empty_source`, `empty_target`.
    """
    messages = read_messages(text or "")
    system = [_content(message) for message in messages if message.role == "system"]
    turns = [message for message in messages if message.role != "system"]
    if messages[len(system) :] != turns:
        raise RecordError("a system message after the first message", kind="bad_messages")
    if "\n\n".join(filter(None, system)) != prompt.instruction.strip():
        raise RecordError("another system message than the prompt's", kind="other_instruction")
    roles = [turn.role for turn in turns]
    if any(role != ("user", "assistant")[place % 2] for place, role in enumerate(roles)):
        raise RecordError("user and assistant do not take turns", kind="bad_messages")
    turns = turns[: len(turns) // 2 * 2]  # a question without an answer teaches nothing
    if not turns:
        raise RecordError("no answer", kind="empty_target")
    chat: list[Mapping[str, str]] = []
    for question, answer in zip(turns[::2], turns[1::2], strict=True):
        source, target = _source(_content(question), prompt), prompt.completion(_content(answer))
        if not source or not target:
            raise RecordError("an empty message", kind="empty_target" if source else "empty_source")
        chat += [prompt.messages(source)[-1], {"role": "assistant", "content": target}]
    return [*prompt.messages("")[:-1], *chat]


def _source(content: str, prompt: Prompt) -> str:
    """Return the text in a user's message of the form of the prompt."""
    before, after = (part.strip() for part in prompt.template.split("{text}"))
    if not (content.startswith(before) and content.endswith(after) and len(content) >= len(before) + len(after)):
        raise RecordError("another message than the prompt's", kind="other_instruction")
    return content[len(before) : len(content) - len(after)].strip()


def _content(message: Message) -> str:
    if message.images or message.image_places:
        raise RecordError("an image in a task of text", kind="bad_messages")
    if message.content is None:
        return ""
    content = message.content if isinstance(message.content, str) else json_text.spell(message.content)
    return sanitise(content).strip()


def first_exchange(chat: Sequence[Mapping[str, str]], prompt: Prompt) -> tuple[str, str]:
    """Return source and target of the first question, which the engine will see as it stands: without any before it."""
    question, answer = [message["content"] for message in chat if message["role"] != "system"][:2]
    return _source(question, prompt), answer
