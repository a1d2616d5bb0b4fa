"""Chat templates: prompts and answers of instruct models in their tokenizer's own form; one rule for training and inference."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ocrray.errors import EngineError
from ocrray.models.encoding import text_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Chat = Sequence[Mapping[str, str]]
"""Messages of `role` (system, user, assistant) and `content`."""
ADVICE = "set chat to false, or take a model that was tuned on instructions"
_SYSTEM, _QUESTION, _ANSWER = "\ue010", "\ue011", "\ue012"  # of the private use area: no template spells them


class ChatTemplate:
    """A tokenizer's chat template: what the model reads before an answer, and how the answer ends.

    Special tokens that a message spells are encoded as characters. Templates that can think are told not to
    (`enable_thinking`). A system message that the template refuses or leaves out stands before the first user's message.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        """Examine the template.

        Raises:
            EngineError: when there is none, it cannot be rendered, or neither it nor the tokenizer ends an answer.
        """
        import jinja2

        self._tokenizer: Any = tokenizer
        self.end_id: int
        """Id of the token that ends an answer."""
        if not getattr(tokenizer, "chat_template", None):
            raise EngineError(f"the tokenizer has no chat template: {ADVICE}")
        try:
            self._examine(tokenizer)
        except jinja2.TemplateError as err:
            raise EngineError(f"the tokenizer's chat template cannot be rendered: {err}") from None

    def prompt_ids(self, chats: Sequence[Chat]) -> list[list[int]]:
        """Return the token ids that the model reads before it answers each chat; the last message is the user's."""
        if not chats:
            return []
        encoded: list[list[int]] = self._tokenizer.apply_chat_template(
            [self._arranged(chat) for chat in chats],
            add_generation_prompt=True,
            enable_thinking=False,
            tokenize=True,
            return_dict=False,
            sanitize_control_tokens=True,
        )
        header = self._tokenizer(self._header, add_special_tokens=False)["input_ids"] if self._header else []
        return [[*ids, *header] for ids in encoded]

    def answer_ids(self, answers: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each answer, and the token that ends it."""
        texts = [f"{self._before}{answer}{self._after}" for answer in answers]
        return [[*ids, self.end_id] for ids in text_ids(self._tokenizer, texts)]

    def _examine(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        question = {"role": "user", "content": _QUESTION}
        self._takes_system = self._shows_system(question)
        prompt = self._text([question], add_generation_prompt=True)
        before, found, after = self._text([question, {"role": "assistant", "content": _ANSWER}]).partition(_ANSWER)
        if not found or _QUESTION not in prompt:
            raise EngineError("the tokenizer's chat template leaves out messages")
        opening = before.removeprefix(prompt) if before.startswith(prompt) else ""
        # A header of the answer that the template does not write for generation belongs to the prompt.
        self._header, self._before = (opening, "") if self._first_token(opening) else ("", opening)
        token = self._first_token(after)
        self._after = after[: after.index(token)] if token else ""
        end = tokenizer.convert_tokens_to_ids(token) if token else tokenizer.eos_token_id
        if not isinstance(end, int):
            raise EngineError("neither the chat template nor the tokenizer has a token that ends an answer")
        self.end_id = end

    def _arranged(self, chat: Chat) -> list[Mapping[str, str]]:
        first, *rest = chat
        if first["role"] != "system" or (self._takes_system and first["content"]):
            return list(chat)
        if not first["content"]:
            return rest
        question, *others = rest
        return [{"role": question["role"], "content": f"{first['content']}\n\n{question['content']}"}, *others]

    def _shows_system(self, question: Mapping[str, str]) -> bool:
        import jinja2

        try:
            return _SYSTEM in self._text([{"role": "system", "content": _SYSTEM}, question])
        except jinja2.TemplateError:
            return False

    def _text(self, chat: Chat, *, add_generation_prompt: bool = False) -> str:
        return str(
            self._tokenizer.apply_chat_template(
                list(chat), add_generation_prompt=add_generation_prompt, enable_thinking=False, tokenize=False
            )
        )

    def _first_token(self, text: str) -> str | None:
        """Return the first added token in a text."""
        tokens = {token.content for token in self._tokenizer.added_tokens_decoder.values() if token.content.strip()}
        places = {token: text.index(token) for token in tokens if token in text}
        return min(places, key=lambda token: (places[token], -len(token)), default=None)
