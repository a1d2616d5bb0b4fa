"""Tiny random vision-language models of the real architectures with real processors, saved as folders like a user's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from ocrray.models.vision.processors import without_videos

Kind = Literal["got", "paligemma", "qwen"]
ASCII = [chr(code) for code in range(32, 127)] + ["\n"]
GOT_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<imgpad>"]
PALIGEMMA_TOKENS = ["<pad>", "<eos>", "<bos>", "<unk>", "<image>"]
QWEN_TOKENS = [
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    *("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"),
]
QWEN_CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{% for part in message.content %}{% if part.type == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
GOT_SIZE_PX, PALIGEMMA_SIZE_PX, PALIGEMMA_PATCH_PX = 64, 56, 14
GOT_IMAGE_TOKENS = (GOT_SIZE_PX // 32) ** 2
"""The tiny GOT makes 4 tokens of an image: pass `num_image_tokens` to its processor, whose default is 256."""


def character_tokenizer(special: list[str], alphabet: list[str], **names: Any) -> transformers.PreTrainedTokenizerFast:
    """A tokenizer whose tokens are the characters of `alphabet`; others become U+FFFD."""
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys([*special, *alphabet, "\ufffd"]))}
    characters = Tokenizer(models.WordLevel(vocabulary, unk_token="\ufffd"))
    characters.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    characters.decoder = decoders.Fuse()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=characters, **names)


def got_processor(alphabet: list[str] = ASCII) -> transformers.GotOcr2Processor:
    """GOT-OCR2's processor for images of 64 x 64 pixels."""
    tokenizer = character_tokenizer(
        GOT_TOKENS,
        alphabet,
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        unk_token="\ufffd",
        additional_special_tokens=GOT_TOKENS[1:],
    )
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    return transformers.GotOcr2Processor(GotOcr2ImageProcessorPil(size={"height": GOT_SIZE_PX, "width": GOT_SIZE_PX}), tokenizer)


def got_model(tokenizer: transformers.PreTrainedTokenizerFast, wide: float = 1.0) -> transformers.GotOcr2ForConditionalGeneration:
    """GOT-OCR2 with two layers in each half; `wide` multiplies its matrices, for outputs that vary."""
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    vision = {
        "hidden_size": 32,
        "output_channels": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": GOT_SIZE_PX,
        "patch_size": 8,
        "mlp_dim": 64,
        "window_size": 4,
        "global_attn_indexes": [1],
        "initializer_range": 0.02,  # transformers' own default for this model is 1e-10
    }
    text = {
        "model_type": "qwen2",
        "vocab_size": len(tokenizer),
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 1024,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": end,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = transformers.GotOcr2Config(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<imgpad>"),
        image_seq_length=GOT_IMAGE_TOKENS,
        tie_word_embeddings=True,
        eos_token_id=end,
        pad_token_id=tokenizer.pad_token_id,
    )
    return _widened(transformers.GotOcr2ForConditionalGeneration, config, wide)


def paligemma_processor(alphabet: list[str] = ASCII) -> transformers.PaliGemmaProcessor:
    """PaliGemma's processor for images of 56 x 56 pixels, 16 tokens each."""
    tokenizer = character_tokenizer(
        PALIGEMMA_TOKENS,
        alphabet,
        pad_token="<pad>",
        eos_token="<eos>",
        bos_token="<bos>",
        unk_token="<unk>",
        additional_special_tokens=["<image>"],
        extra_special_tokens={"image_token": "<image>"},
    )
    images = SiglipImageProcessorPil(
        size={"height": PALIGEMMA_SIZE_PX, "width": PALIGEMMA_SIZE_PX}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    images.image_seq_length = (PALIGEMMA_SIZE_PX // PALIGEMMA_PATCH_PX) ** 2
    return transformers.PaliGemmaProcessor(images, tokenizer)


def paligemma_model(
    tokenizer: transformers.PreTrainedTokenizerFast, wide: float = 1.0
) -> transformers.PaliGemmaForConditionalGeneration:
    """PaliGemma (SigLIP and Gemma) with two layers in each half; `wide` as in `got_model`."""
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    vision = {
        "model_type": "siglip_vision_model",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": PALIGEMMA_SIZE_PX,
        "patch_size": PALIGEMMA_PATCH_PX,
        "vision_use_head": False,
    }
    text = {
        "model_type": "gemma",
        "vocab_size": len(tokenizer),
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "max_position_embeddings": 1024,
        **ids,
    }
    config = transformers.PaliGemmaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        projection_dim=48,
        hidden_size=48,
        vocab_size=len(tokenizer),
        **ids,
    )
    return _widened(transformers.PaliGemmaForConditionalGeneration, config, wide)


def qwen_processor(alphabet: list[str] = ASCII) -> transformers.Qwen2VLProcessor:
    """Qwen2-VL's processor without videos: 2 to 16 tokens of 28 x 28 pixels an image, by its size, and a chat template."""
    tokenizer = character_tokenizer(
        QWEN_TOKENS,
        alphabet,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="\ufffd",
        additional_special_tokens=QWEN_TOKENS[1:],
    )
    images = Qwen2VLImageProcessorPil(size={"shortest_edge": 2 * 28**2, "longest_edge": 16 * 28**2})
    return without_videos(transformers.Qwen2VLProcessor)(images, tokenizer, QWEN_CHAT_TEMPLATE)


def qwen_model(
    tokenizer: transformers.PreTrainedTokenizerFast, wide: float = 1.0
) -> transformers.Qwen2VLForConditionalGeneration:
    """Qwen2-VL with two layers in each half; `wide` as in `got_model`."""
    ids = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    names = {"image_token_id": 5, "video_token_id": 6, "vision_start_token_id": 3, "vision_end_token_id": 4}
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "rope_parameters": {"rope_type": "default", "mrope_section": [2, 2, 2], "rope_theta": 10000.0},
        **ids,
    }
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 48, "num_heads": 2, "mlp_ratio": 2}
    config = transformers.Qwen2VLConfig(text_config=text, vision_config=vision, **names, **ids)
    return _widened(transformers.Qwen2VLForConditionalGeneration, config, wide)


_PROCESSORS = {"got": got_processor, "paligemma": paligemma_processor, "qwen": qwen_processor}
_MODELS = {"got": got_model, "paligemma": paligemma_model, "qwen": qwen_model}


def save(folder: Path, kind: Kind, wide: float = 1.0) -> Path:
    """Write model and processor as safetensors and JSON, and return the folder."""
    processor = _PROCESSORS[kind]()
    model = _MODELS[kind](processor.tokenizer, wide)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def save_writing(folder: Path, pieces: Sequence[str], *, ends: bool = True) -> Path:
    """A PaliGemma with a chat template that writes `pieces` to every image and ends, or begins again where `ends` is False.

    Each piece is one token, none comes twice, and none is the line feed that ends the prompt. The model's layers add nothing, so
    the next token hangs on the last one alone.
    """
    processor = paligemma_processor([*ASCII, *pieces])
    processor.chat_template = "<image>{% for part in messages[0].content %}{{ part.text }}{% endfor %}"
    words = processor.tokenizer
    model = paligemma_model(words)
    model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    chain = words.convert_tokens_to_ids(["\n", *pieces])
    chain.append(words.eos_token_id if ends else chain[1])
    with torch.no_grad():
        text = model.model.language_model
        for layer in text.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        logits = torch.zeros(len(words), len(chain) - 1)
        logits[torch.tensor(chain[1:]), torch.arange(len(chain) - 1)] = 30
        before = text.norm(text.embed_tokens(torch.tensor(chain[:-1])))
        model.lm_head.weight.copy_(logits @ torch.linalg.pinv(before.T))
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _widened(model_class: Any, config: transformers.PretrainedConfig, wide: float) -> Any:
    torch.manual_seed(1)
    model = model_class(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim >= 2:
                weight.mul_(wide)
    return model
