"""Loading of transformers' processors for images alone."""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def load_processor(location: str | Path, config: "PreTrainedConfig", **settings: Any) -> Any:
    """Return the processor at `location` of a model with `config`; images are prepared by Pillow on every machine.

    torchvision's interpolation differs from Pillow's in the last bits. Of a processor of images and videos the part for videos,
    which cannot do without torchvision, is left out.
    """
    from transformers import AutoProcessor
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    known: Any = PROCESSOR_MAPPING.get(type(config), None)
    if known and "video_processor" in inspect.signature(known).parameters:
        return without_videos(known).from_pretrained(location, backend="pil", **settings)
    return AutoProcessor.from_pretrained(location, backend="pil", **settings)  # type: ignore[no-untyped-call]  # untyped


def without_videos(known: Any) -> Any:
    """Return a subclass of a processor class of images and videos that has no part for videos."""

    class WithoutVideos(known):  # type: ignore[misc]  # its class is known at run time only
        # transformers loads, checks and saves the parts that this signature names.
        def __init__(self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None, **further: Any) -> None:
            super().__init__(image_processor=image_processor, tokenizer=tokenizer, chat_template=chat_template, **further)

    WithoutVideos.__name__ = known.__name__  # saved settings name the class
    return WithoutVideos
