"""Loading of vision-language models and their encoders."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocrray.errors import EngineError
from ocrray.models.adapters import attach_adapter, find_adapter
from ocrray.models.limits import context_tokens, padding_id, token_rows, unknown_token, without_impossible_padding
from ocrray.models.loading import Device, Dtype, end_tokens, greedy, load_weights, resolve_device
from ocrray.models.vision.adapters import in_present_names
from ocrray.models.vision.checks import has_processor
from ocrray.models.vision.encoder import ImageTextEncoder
from ocrray.models.vision.formats import PromptFormat
from ocrray.models.vision.model import VisionModel
from ocrray.models.vision.processors import load_processor

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_GOT = "got_ocr2"
_GOT_STEPS = 4  # its neck halves the grid of patches twice


def load_encoder(
    location: str | Path,
    *,
    revision: str | None = None,
    processor: str | Path | None = None,
    prompt_format: PromptFormat = "auto",
    crop_to_patches: bool = False,
    max_patches: int = 12,
    trust_remote_code: bool = False,
) -> ImageTextEncoder:
    """Return the encoder of the model at `location` (a folder or hub id); weights are neither needed nor read.

    `processor` is another folder with its processor, that of an adapter for instance.

    Raises:
        EngineError: when it has no processor of images, or none that the format can be used with.
    """
    settings: dict[str, Any] = {"revision": revision or "main", "trust_remote_code": trust_remote_code}
    config = _vision_config(location, **settings)
    loaded = load_processor(processor or location, config, **({} if processor else settings))
    if not hasattr(loaded, "image_processor") or not hasattr(loaded, "tokenizer"):
        raise EngineError(f"{location}: no vision-language model: it has no processor of images")
    return make_encoder(loaded, config, prompt_format=prompt_format, crop_to_patches=crop_to_patches, max_patches=max_patches)


def make_encoder(
    processor: Any,
    config: "PreTrainedConfig",
    *,
    prompt_format: PromptFormat = "auto",
    crop_to_patches: bool = False,
    max_patches: int = 12,
) -> ImageTextEncoder:
    """Return the encoder of a model with this config, loaded or new, and its processor.

    Raises:
        EngineError: when the processor cannot be used with the format.
    """
    return ImageTextEncoder(
        processor,
        prompt_format=prompt_format,
        model_type=config.model_type,
        image_tokens=_got_image_tokens(config, processor.image_processor) if config.model_type == _GOT else None,
        crop_to_patches=crop_to_patches,
        max_patches=max_patches,
    )


def load_vision_model(
    location: str | Path,
    *,
    revision: str | None = None,
    adapter: str | None = None,
    merge_adapter: bool = False,
    dtype: Dtype = "auto",
    device: Device = "auto",
    prompt_format: PromptFormat = "auto",
    crop_to_patches: bool = False,
    max_patches: int = 12,
    trust_remote_code: bool = False,
) -> VisionModel:
    """Load a vision-language model with its adapter onto a device, in evaluation mode and configured for greedy generation.

    `merge_adapter` adds the adapter's weights to the model's. A processor in the adapter's folder replaces the model's. `dtype`
    "auto" is float32 on a CPU and the checkpoint's own on a GPU.

    Raises:
        EngineError: when the model reads no images, or weights or the GPU asked for are missing, or the adapter is not one of
            this model. Errors of transformers, peft and torch pass unchanged.
    """
    from transformers import AutoModelForImageTextToText
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # one per worker would flood the run's own output
    placed = resolve_device(device)
    dtype = "float32" if dtype == "auto" and placed == "cpu" else dtype
    config = _vision_config(location, revision or "main", trust_remote_code)
    folder = find_adapter(adapter) if adapter else None
    encoder = load_encoder(
        location,
        revision=revision,
        processor=folder if folder and has_processor(folder) else None,
        prompt_format=prompt_format,
        crop_to_patches=crop_to_patches,
        max_patches=max_patches,
        trust_remote_code=trust_remote_code,
    )
    network = load_weights(
        AutoModelForImageTextToText,
        location,
        name=str(location),
        config=config,
        dtype=dtype,
        revision=revision or "main",
        trust_remote_code=trust_remote_code,
    )
    rows = token_rows(network)
    if problem := unknown_token(encoder.tokenizer, rows):
        raise EngineError(f"{location}: {problem}")
    eos_ids = tuple(dict.fromkeys((*encoder.end_ids, *end_tokens(network, encoder.tokenizer))))
    pad_id = padding_id(encoder.tokenizer, rows, eos_ids[0])
    network.generation_config = greedy(network.generation_config, eos_ids, pad_id)
    network = network.to(placed).eval()
    if folder:
        with in_present_names(folder, network) as renamed:
            network = attach_adapter(network, renamed, merge=merge_adapter).eval()
    return VisionModel(network, encoder, eos_ids, pad_id, context_tokens(config, encoder.tokenizer))


def _vision_config(location: str | Path, revision: str, trust_remote_code: bool) -> "PreTrainedConfig":
    from transformers import AutoConfig, AutoModelForImageTextToText

    config = AutoConfig.from_pretrained(location, revision=revision, trust_remote_code=trust_remote_code)
    if type(config) not in AutoModelForImageTextToText._model_mapping and not getattr(config, "auto_map", None):
        raise EngineError(f"{location}: no vision-language model ({config.model_type}); give a model that reads images")
    return without_impossible_padding(config)


def _got_image_tokens(config: "PreTrainedConfig", image_processor: Any) -> int:
    """Return the tokens that GOT-OCR2 makes of an image; `image_seq_length` of published configs is that of another model."""
    size: Any = image_processor.size
    patch: Any = config.vision_config.patch_size
    height, width = patch if isinstance(patch, Iterable) else (patch, patch)
    rows, columns = (math.ceil(side / _GOT_STEPS) for side in (size["height"] // height, size["width"] // width))
    return int(rows * columns)
