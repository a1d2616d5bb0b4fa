"""New GOT-OCR2 models of any size, with a tokenizer of characters and a processor made for them."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import GotOcr2Processor, PreTrainedTokenizerFast

MODEL_TYPE = "got_ocr2"
UNKNOWN = "\ufffd"
_END, _START, _STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
_MARKS = [_END, _START, _STOP, "<img>", "</img>", "<imgpad>"]
_FIXED = [
    "system\nYou should follow the instructions carefully and explain your answers in detail.",
    "user\n",
    "assistant\n",
]
"""What is the same in every prompt: a token each, else it would be longer than image and answer together."""
_INITIAL_DEVIATION = 0.02  # of the vision tower's weights; transformers' own default is 1e-10, from which nothing is learned


def new_processor(
    architecture: Mapping[str, Any], alphabet: Iterable[str], image_processor: Mapping[str, Any] | None
) -> "GotOcr2Processor":
    """Return a processor for images of the size in `architecture`, with a tokenizer that has a token for each of `alphabet`.

    `image_processor`: keys of another image processor than GOT-OCR2's own, its type among them.
    """
    import transformers
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

    if image_processor is None:
        side: Any = architecture.get("vision_config", {}).get("image_size", 1024)
        height, width = (side, side) if isinstance(side, int) else side
        images: Any = GotOcr2ImageProcessorPil(size={"height": height, "width": width})
    else:
        settings = dict(image_processor)
        images = getattr(transformers, f"{settings.pop('image_processor_type').removesuffix('Pil')}Pil")(**settings)
    return transformers.GotOcr2Processor(images, _character_tokenizer(alphabet))  # type: ignore[no-untyped-call]  # untyped there


def complete(architecture: Mapping[str, Any], processor: "GotOcr2Processor") -> dict[str, Any]:
    """Return the keys of a new model's config: those of `architecture`, and what follows from its processor."""
    tokenizer = processor.tokenizer
    ids = {"bos_token_id": None, "eos_token_id": tokenizer.convert_tokens_to_ids(_STOP), "pad_token_id": tokenizer.pad_token_id}
    text = {"model_type": "qwen2", "vocab_size": len(tokenizer), "tie_word_embeddings": True, **ids}
    return {
        "image_token_index": processor.image_token_id,
        "tie_word_embeddings": True,
        **ids,
        **architecture,
        "vision_config": {"initializer_range": _INITIAL_DEVIATION, **architecture.get("vision_config", {})},
        "text_config": text | architecture.get("text_config", {}),
    }


def _character_tokenizer(alphabet: Iterable[str]) -> "PreTrainedTokenizerFast":
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = dict.fromkeys([*_MARKS, *_FIXED, *sorted(set(alphabet) | {" ", "\n"}), UNKNOWN])
    model = Tokenizer(models.WordLevel({token: number for number, token in enumerate(tokens)}, unk_token=UNKNOWN))
    model.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    model.decoder = decoders.Fuse()
    # Special ones are no part of answers, nor of what a model may be asked.
    fixed = [AddedToken(token, special=True, normalized=False) for token in (*_MARKS, *_FIXED)]
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # untyped there
        tokenizer_object=model, eos_token=_STOP, pad_token=_END, unk_token=UNKNOWN, additional_special_tokens=fixed
    )
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    return tokenizer
