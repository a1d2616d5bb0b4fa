"""Parts of a model that take no part in its work: of a model that reads text alone, its towers for images or sound.

They never get a gradient, for which DistributedDataParallel would wait; an adapter on them would learn nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from ocrray.models.limits import token_rows
from ocrray.models.probes import spread_tokens

_PROBE_TOKENS = 8


def unused_modules(model: Any, inputs: Mapping[str, Any] | None = None) -> list[str]:
    """Return the names of the largest modules that do not take part when the model reads `inputs`; None: some text.

    One forward pass tells. ZeRO-3, which has no whole weights here, leaves the structure, by which all but the text decoder is
    unused by text, and nothing by other inputs.
    """
    if any(hasattr(weight, "ds_id") for weight in model.parameters()):
        return [] if inputs else outside_decoder(model)
    return list(_unused("", model, _called(model, inputs or _some_text(model))))


def outside_decoder(model: Any) -> list[str]:
    """Return the names of the largest modules outside the text decoder: towers, and what joins them to it."""
    return list(_unused("", model, _in_decoder(model)))


def freeze(model: Any, modules: Sequence[str]) -> None:
    """Exclude the weights of `modules` from training, but for those that other modules share."""
    parts = [model.get_submodule(name) for name in modules]
    inside = {id(module) for part in parts for module in part.modules()}
    shared = {id(weight) for module in model.modules() if id(module) not in inside for weight in module.parameters(recurse=False)}
    for part in parts:
        for weight in part.parameters():
            if id(weight) not in shared:
                weight.requires_grad = False


def _some_text(model: Any) -> dict[str, Any]:
    return {"input_ids": torch.tensor([spread_tokens(model.config, token_rows(model) or 2, _PROBE_TOKENS)])}


def _called(model: Any, inputs: Mapping[str, Any]) -> set[int]:
    called: set[int] = set()
    hooks = [
        module.register_forward_pre_hook(lambda module, _: called.add(id(module)))  # its result, None, changes no argument
        for module in model.modules()
    ]
    is_training = model.training
    try:
        with torch.no_grad():
            model.eval()(**{name: _placed(value, model) for name, value in inputs.items()})
    finally:
        model.train(is_training)
        for hook in hooks:
            hook.remove()
    return called


def _placed(value: Any, model: Any) -> Any:
    if not torch.is_tensor(value):
        return value
    return value.to(model.device, model.dtype) if value.is_floating_point() else value.to(model.device)


def _in_decoder(model: Any) -> set[int]:
    layers = (model.get_decoder(), model.get_input_embeddings(), model.get_output_embeddings())
    return {id(module) for layer in layers if layer is not None for module in layer.modules()}


def _unused(name: str, module: torch.nn.Module, used: set[int]) -> Iterator[str]:
    if isinstance(module, torch.nn.MultiheadAttention) and id(module) in used:
        return  # it reads the weights of its parts without calling them
    if not any(id(part) in used for part in module.modules()):
        # Which experts are called depends on the tokens.
        if "expert" not in name and next(module.parameters(), None) is not None:
            yield name
        return
    for child_name, child in module.named_children():
        yield from _unused(f"{name}.{child_name}" if name else child_name, child, used)
