"""Type of the language models in use, for the type checker: transformers' models and peft's wrappers share no base class."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    import torch
    from transformers import GenerationConfig, PreTrainedConfig


class LanguageModel(Protocol):
    """A generative transformers model, or a peft model around one."""

    config: "PreTrainedConfig"
    generation_config: "GenerationConfig"
    name_or_path: str

    @property
    def device(self) -> "torch.device":
        """Device of the weights."""

    @property
    def dtype(self) -> "torch.dtype":
        """Floating-point dtype of the weights."""

    def __call__(self, **inputs: Any) -> Any:
        """Run one forward pass; each architecture has an output class of its own."""

    def generate(self, **inputs: Any) -> "torch.Tensor":
        """Return token ids (rows, tokens): int64, padded on the right."""

    def modules(self) -> Iterator["torch.nn.Module"]:
        """Iterate over all modules, this one first."""

    def named_modules(self) -> Iterator[tuple[str, "torch.nn.Module"]]:
        """Iterate over all modules with their names, this one first, without a name."""

    def set_attn_implementation(self, name: str) -> None:
        """Use the attention function registered under `name`."""

    def get_decoder(self) -> "torch.nn.Module":
        """Return the part that writes."""

    def get_image_features(self, **pixels: "torch.Tensor") -> Any:
        """Return the features of images; `pooler_output` holds those that take the places of image tokens."""

    def get_input_embeddings(self) -> "torch.nn.Embedding":
        """Return the token embedding."""

    def get_output_embeddings(self) -> "torch.nn.Linear":
        """Return the layer that computes the logits."""

    def resize_token_embeddings(self, rows: int, *, mean_resizing: bool) -> "torch.nn.Embedding":
        """Set the number of rows of embedding and output layer."""

    def state_dict(self) -> Mapping[str, "torch.Tensor"]:
        """Return the weights by name."""

    def save_pretrained(self, folder: Path) -> None:
        """Write config and weights as safetensors."""

    def to(self, device: str) -> Self:
        """Move the weights."""

    def eval(self) -> Self:
        """Switch to evaluation mode."""
