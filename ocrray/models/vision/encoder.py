"""Encoding of image, instruction and answer: one rule for training and inference. It needs no model weights."""

import copy
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ocrray.errors import ConfigError, EngineError, RecordError
from ocrray.models.encoding import special_tokens, text_ids
from ocrray.models.vision.formats import (
    IMAGE,
    INSTRUCTION,
    PROCESSOR_TEXTS,
    TEMPLATES,
    PromptFormat,
    default_instruction,
    end_token,
    resolve_format,
)
from ocrray.models.vision.images import to_rgb, widened
from ocrray.models.vision.prompts import ImagePrompt, make_batch

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from transformers import PreTrainedTokenizerBase

_NOT_OF_THE_IMAGE = {"input_ids", "attention_mask", "labels", "num_patches"}


class ImageTextEncoder:
    """Turns images, instructions and answers into a model's inputs; thread-safe.

    Args:
        processor: transformers' processor of the model.
        prompt_format: layout of the prompt; "auto" goes by `model_type`.
        model_type: type of the model as its config.json has it.
        image_tokens: tokens of an image, or of each patch, where the processor does not know (GOT-OCR2); None: it does.
        crop_to_patches: cut large images into at most `max_patches` patches besides the whole one, where the processor can.
        max_patches: maximum of these patches.

    Raises:
        EngineError: when the processor reads no images, has no chat template that the format needs, or no end token.
    """

    def __init__(
        self,
        processor: Any,
        *,
        prompt_format: PromptFormat = "auto",
        model_type: str = "",
        image_tokens: int | None = None,
        crop_to_patches: bool = False,
        max_patches: int = 12,
    ) -> None:
        self.processor = processor  # transformers resolves the parts of a processor dynamically: Any
        self.format = resolve_format(prompt_format, model_type)
        self._template = TEMPLATES.get(self.format) or _chat_template(self.processor)
        self.tokenizer: PreTrainedTokenizerBase = self.processor.tokenizer
        # Tokenizers of their own for special tokens spelled out: a fast tokenizer is reconfigured when that changes.
        self._literal: PreTrainedTokenizerBase = copy.deepcopy(self.tokenizer)
        self._special = special_tokens(self.tokenizer)
        self.end_ids = self._end_ids()
        self.image_token_id: int = self.processor.image_token_id
        self.pad_id: int = self.end_ids[0] if self.tokenizer.pad_token_id is None else self.tokenizer.pad_token_id
        self.default_instruction = default_instruction(self.format, crop_to_patches)
        self._options: dict[str, Any] = {} if image_tokens is None else {"num_image_tokens": image_tokens}
        if crop_to_patches:
            self._options |= {"crop_to_patches": True, "max_patches": max_patches}
        self._aspect = _line_aspect(processor)
        self._answer_type = int(self.format == "paligemma")
        self._image_tokens: dict[tuple[int, int], int] = {}  # by image size: tokens beyond the one in the text

    @property
    def prompt_version(self) -> str:
        """Name and hash of the format, for instance `got_swift/3f6c2a…`; another crop is another version."""
        described = repr((self._template, sorted(self._options.items())))
        return f"{self.format}/{hashlib.sha256(described.encode()).hexdigest()[:12]}"

    def encode_prompt(self, image: "Image.Image", instruction: str) -> ImagePrompt:
        """Return the prompt of one image (any mode and size) and its instruction.

        For a model whose images are wider than high, which reads lines, a narrower image is continued with paper on the right:
        stretched, its letters would be wider than any that the model knows.

        Raises:
            ConfigError: when the instruction spells out a special token.
            RecordError: when the image cannot be prepared (kind `bad_image`).
        """
        text = self._filled(PROCESSOR_TEXTS.get(self.format, self._template), instruction)
        try:
            inputs = self.processor(
                images=[widened(to_rgb(image), self._aspect)], text=[text], return_tensors="pt", **self._options
            )
        except (ValueError, ZeroDivisionError, OverflowError) as error:
            reason = " ".join(str(error).split())[:200]
            size = f"{image.width} x {image.height}"
            raise RecordError(f"an image of {size} pixels cannot be prepared for the model: {reason}", "bad_image") from error
        ids: list[int] = inputs["input_ids"][0].tolist()
        further = {name: value for name, value in inputs.items() if name not in _NOT_OF_THE_IMAGE}
        types = {name: value[0].tolist() for name, value in further.items() if name.endswith("token_type_ids")}
        pixels = {name: value for name, value in further.items() if name not in types}
        positions = [place for place, token in enumerate(ids) if token == self.image_token_id]
        return ImagePrompt(ids, pixels, positions, types)

    def render(self, instruction: str) -> str:
        """Return the prompt as text, with one image token in the place of all of the image.

        Raises:
            ConfigError: when the instruction spells out a special token, which would be read as one.
        """
        return self._filled(self._template, instruction)

    def _filled(self, template: str, instruction: str) -> str:
        if spelled := next((token for token in self._special.values() if token in instruction), None):
            raise ConfigError(f"the instruction contains {spelled}, a special token of the model: leave it out")
        return template.replace(IMAGE, self.processor.image_token).replace(INSTRUCTION, instruction)

    def encode_answer(self, text: str) -> list[int]:
        """Return the token ids of an answer and the end token; special tokens spelled out are encoded as characters."""
        return [*text_ids(self._literal, [text])[0], self.end_ids[0]]

    def encode_text(self, text: str) -> list[int]:
        """Return the token ids of a text without an end token, for drafts."""
        return self.encode_answer(text)[:-1]

    def prompt_tokens(self, size: tuple[int, int], instruction: str) -> int:
        """Return the length of the prompt of an image of `size` (width, height), in tokens; nothing is decoded.

        Raises:
            ConfigError, RecordError: as `encode_prompt`.
        """
        from PIL import Image

        if size not in self._image_tokens:
            prompt = self.encode_prompt(Image.new("RGB", size, "white"), "")
            self._image_tokens[size] = len(prompt.ids) - len(self._text_tokens(""))
        return self._image_tokens[size] + len(self._text_tokens(instruction))

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of generated tokens without special tokens."""
        shown = [token for token in ids if token not in self._special]
        return str(self.tokenizer.decode(shown, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def batch(self, prompts: Sequence[ImagePrompt], answers: Sequence[Sequence[int]] = ()) -> "dict[str, torch.Tensor | int]":
        """Return the model's inputs for `prompts`, padded on the left; with `answers` (token ids) also labels.

        See `prompts.make_batch`. PaliGemma always gets `token_type_ids`: without them it sees later tokens of the answer.
        """
        return make_batch(prompts, answers, self.pad_id, self._answer_type)

    def _text_tokens(self, instruction: str) -> list[int]:
        ids: list[int] = self.tokenizer(self.render(instruction), add_special_tokens=False)["input_ids"]
        return ids

    def _end_ids(self) -> tuple[int, ...]:
        token = end_token(self.format) or self.tokenizer.eos_token
        if token is None or (number := self.tokenizer.get_vocab().get(token)) is None:
            raise EngineError(f"the tokenizer has no {token or 'end-of-text token'}, which ends answers of format {self.format}")
        return (number,)


def _line_aspect(processor: Any) -> float:
    """Return how many times the images of a processor of lines are as wide as high; 0 for any other."""
    size: Any = processor.image_processor.size
    height, width = (getattr(size, name, None) or 0 for name in ("height", "width"))
    return width / height if width > height > 0 else 0.0


def _chat_template(processor: Any) -> str:
    """Return the rendered chat template, with placeholders for image token and instruction.

    Raises:
        EngineError: when there is none, or it does not hold each of both once.
    """
    if not getattr(processor, "chat_template", None):
        raise EngineError("the processor has no chat template: set format, or use a model that was tuned on instructions")
    content = [{"type": "image"}, {"type": "text", "text": INSTRUCTION}]
    text = str(processor.apply_chat_template([{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True))
    token = str(processor.image_token)
    if text.count(token) != 1 or text.count(INSTRUCTION) != 1:
        raise EngineError("the processor's chat template does not hold image and instruction once each")
    return text.replace(token, IMAGE)
