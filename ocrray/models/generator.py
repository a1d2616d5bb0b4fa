"""A loaded language model with its tokenizer: encoding of prompts and decoding of generated tokens."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from ocrray.models.chat import Chat, ChatTemplate
from ocrray.models.encoding import prompt_ids, special_tokens, text_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ocrray.models.types import LanguageModel


@dataclass(frozen=True, slots=True)
class Generator:
    """A causal or sequence-to-sequence language model, ready to generate; encoding and decoding are thread-safe."""

    model: "LanguageModel"
    tokenizer: "PreTrainedTokenizerBase"
    is_seq2seq: bool
    eos_ids: tuple[int, ...]
    """Ids of the end-of-text tokens, at least one."""
    pad_id: int
    context_tokens: int | None
    """Maximum of prompt and output tokens together (of each for a sequence-to-sequence model); None: unlimited."""
    chat: ChatTemplate | None = None
    """Chat template of the model, where it was loaded to be used."""
    # A fast tokenizer is reconfigured on every call (special tokens split or not), so calls must not overlap.
    _tokenizer_lock: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    def encode_prompts(self, prompts: Sequence[str], template: str) -> list[list[int]]:
        """Return the token ids of each prompt; for a causal model without a trailing end-of-text token.

        A special token (`</s>`) spelled out in a prompt is encoded as characters unless `template` itself contains one.
        """
        with self._tokenizer_lock:
            return prompt_ids(self.tokenizer, prompts, template, end_ids=() if self.is_seq2seq else self.eos_ids)

    def encode_chats(self, chats: Sequence[Chat]) -> list[list[int]]:
        """Return the token ids of each chat, up to where the model answers, by the template that `chat` holds."""
        assert self.chat is not None
        with self._tokenizer_lock:
            return self.chat.prompt_ids(chats)

    def encode_texts(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text without special tokens."""
        with self._tokenizer_lock:
            return text_ids(self.tokenizer, texts)

    def decode(self, ids: Sequence[int], keep: Collection[int] = ()) -> str:
        """Return the text of generated tokens, omitting special tokens except those in `keep`."""
        omitted = special_tokens(self.tokenizer).keys() - set(keep)
        shown = [token for token in ids if token not in omitted]
        with self._tokenizer_lock:
            return str(self.tokenizer.decode(shown, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def decode_each(self, ids: Sequence[int]) -> list[str]:
        """Return the text of each token by itself; U+FFFD for a partial character. A leading space may be lost."""
        texts = {token: self.decode([token]) or "\ufffd" for token in set(ids)}
        return [texts[token] for token in ids]
