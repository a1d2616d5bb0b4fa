"""PEFT adapters on a loaded model: attached whole or refused, and merged only where the merged model computes the same."""

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocrray.errors import EngineError
from ocrray.models.folders import ADAPTER_FILES, adapter_problems, adapter_setting
from ocrray.models.probes import is_close, spread_tokens

if TYPE_CHECKING:
    import torch

    from ocrray.models.types import LanguageModel

_TOKENIZER_FILES = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt")
_NAME = "default"
_ROW_AXES = {"weight": 0, "base_layer.weight": 0, "lora_B.weight": 0, "lora_embedding_A": 1}
"""Axis of the vocabulary in the tensors that an adapter keeps for embedding and head."""
_COPY = re.compile(r"\.(modules_to_save|original_module)\.")
_CHECKED_TOKENS = 24


def find_adapter(adapter: str) -> Path:
    """Return the folder of an adapter, downloaded if `adapter` is a hub id.

    Raises:
        EngineError: when it holds no safetensors (peft by itself would fall back to pickled weights), or an adapter of a kind
            that is not supported.
    """
    from huggingface_hub import snapshot_download

    folder = Path(adapter)
    if not folder.is_dir():
        folder = Path(snapshot_download(adapter, allow_patterns=[*ADAPTER_FILES, *_TOKENIZER_FILES]))
    if problems := adapter_problems(str(folder)):
        raise EngineError("; ".join(problems))
    return folder


def embedding_rows(network: "LanguageModel", folder: Path) -> int | None:
    """Return the rows of embedding and head that the adapter in `folder` was trained with; None where it changes neither."""
    from safetensors import safe_open

    layers = (network.get_input_embeddings(), network.get_output_embeddings())
    names = [name for name, module in network.named_modules() if any(module is layer for layer in layers)]
    rows = []
    with safe_open(str(folder / ADAPTER_FILES[1]), framework="pt") as tensors:
        for key in tensors.keys():  # noqa: SIM118 - safe_open is no mapping
            for name in names:
                axis = _ROW_AXES.get(key.removeprefix(f"base_model.model.{name}."))
                if axis is not None:
                    rows.append(tensors.get_slice(key).get_shape()[axis])
    return max(rows, default=None)


def attach_adapter(network: "LanguageModel", folder: Path, *, merge: bool = False, is_trainable: bool = False) -> "LanguageModel":
    """Return `network` with the adapter in `folder`; with `merge` its changes are added to the weights.

    `is_trainable`: the adapter's weights get gradients; else nothing does.

    Raises:
        EngineError: when tensors of the adapter find no place in the model or lack, or when the merged model would compute
            something else.
    """
    with _in_one_line(folder):
        adapted = _attach(network, folder, is_trainable)
    return _merge(adapted.eval(), folder) if merge else adapted


def _attach(network: "LanguageModel", folder: Path, is_trainable: bool) -> Any:
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Found missing adapter keys")
        # peft names a torch module as its argument's type, and resolves attributes of the wrapped model dynamically.
        adapted: Any = PeftModel.from_pretrained(network, str(folder), is_trainable=is_trainable)  # type: ignore[arg-type]
    if adapted.peft_config[_NAME].is_prompt_learning:
        raise EngineError(f"{folder}: {adapted.peft_config[_NAME].peft_type.value} is not supported; train a LoRA")
    # Once more, because the result of the first load, which peft drops, names the tensors that found no place.
    renamed = getattr(network, "_checkpoint_conversion_mapping", {})
    if unknown := _unknown(adapted.load_adapter(str(folder), _NAME, is_trainable, key_mapping=renamed).unexpected_keys, folder):
        raise EngineError(
            f"{folder}: the adapter holds {len(unknown)} tensors that the model has no place for, "
            f"{unknown[0].removeprefix('base_model.model.')} for one; another base? ({_names(folder)})"
        )
    return adapted


def _unknown(unexpected: Sequence[str], folder: Path) -> list[str]:
    """Return the tensors without a place but for copies, which peft writes where embedding and head were resized or are tied."""
    from safetensors.torch import load_file

    if not unexpected:
        return []
    saved = load_file(folder / ADAPTER_FILES[1])

    def is_copy(key: str) -> bool:
        name = key.rpartition(".")[2]
        if name == "trainable_tokens_delta":  # of a head that is tied to the embedding, which has the same
            others = (saved[other] for other in saved.keys() - set(unexpected) if other.endswith(f".{name}"))
            return any(saved[key].equal(other) for other in others)
        return bool(_COPY.search(key)) and _COPY.sub(".", key) in saved

    return sorted(key for key in unexpected if not is_copy(key))


def _names(folder: Path) -> str:
    return f"it names {adapter_setting(folder, 'base_model_name_or_path') or 'none'}"


@contextmanager
def _in_one_line(folder: Path) -> Iterator[None]:
    """Convert what peft and torch raise for an adapter of another model."""
    another = f"another base? ({_names(folder)})"
    try:
        yield
    except UserWarning as error:
        first = str(error).partition("[")[2].partition(",")[0].strip("'] .")
        raise EngineError(f"{folder}: the adapter lacks tensors that its settings name, {first} for one; {another}") from error
    except KeyError as error:
        raise EngineError(f"{folder}: the adapter lacks the tensor {error.args[0]}; {another}") from error
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if "size mismatch" in line]
        if not lines:
            raise
        raise EngineError(f"{folder}: the adapter has {len(lines)} tensors of other shapes, {lines[0]}; {another}") from error


def _merge(adapted: Any, folder: Path) -> "LanguageModel":
    """Return the model with the adapter merged in, after comparing what it computes with what the adapter does.

    Raises:
        EngineError: when that kind of adapter cannot be merged, or the merged model computes something else.
    """
    layers = (adapted.get_input_embeddings(), adapted.get_output_embeddings())
    if any(len(_wrappers(layer)) > 1 for layer in layers):  # peft merges the outer one alone
        raise EngineError(f"{folder}: the adapter changes embedding or head in two ways and cannot be merged; set engine: padded")
    before = _logits(adapted)
    _untie(*layers)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Model with `tie_word_embeddings=True`|Input and output embeddings are no")
            merged: LanguageModel = adapted.merge_and_unload(safe_merge=True)
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:  # of kinds that have no merge
        kind = adapted.peft_config[_NAME].peft_type.value
        reason = " ".join(str(error).split())[:120]
        raise EngineError(f"{folder}: a {kind} adapter cannot be merged ({reason}); set engine: padded") from error
    if not is_close(before, _logits(merged), merged.dtype):
        raise EngineError(f"{folder}: the model computes something else once the adapter is merged; set engine: padded")
    return merged


def _untie(embedding: Any, head: Any) -> None:
    """Give the head a weight of its own where both share one and the adapter adds to either of them.

    Merged in place, the change of one would be a change of both.
    """
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    if not any(isinstance(layer, BaseTunerLayer) for layer in (embedding, head)):
        return
    shared, own = _innermost(embedding).weight, _innermost(head)
    if own.weight is shared:
        own.weight = torch.nn.Parameter(shared.detach().clone(), requires_grad=False)


def _wrappers(layer: Any) -> list[Any]:
    """Return the layers of peft around a layer of the model, the outermost first."""
    found = []
    while inner := getattr(layer, "base_layer", None) or getattr(layer, "original_module", None):
        found.append(layer)
        layer = inner
    return found


def _innermost(layer: Any) -> Any:
    """Return the layer of the model that peft has wrapped."""
    for wrapper in _wrappers(layer):
        layer = getattr(wrapper, "base_layer", None) or wrapper.original_module
    return layer


def _logits(network: Any) -> "torch.Tensor":
    """Return the logits (tokens, vocabulary) after some tokens from all over the vocabulary, in float32."""
    import torch

    rows = _innermost(network.get_input_embeddings()).weight.shape[0]
    ids = torch.tensor([spread_tokens(network.config, rows, _CHECKED_TOKENS)], device=network.device)
    inputs = {"decoder_input_ids": ids} if network.config.is_encoder_decoder else {}
    with torch.inference_mode():
        logits: torch.Tensor = network(input_ids=ids, use_cache=False, **inputs).logits[0].float()
    return logits
