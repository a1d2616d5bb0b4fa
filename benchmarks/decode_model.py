"""Models for benchmarks/decode.py: enlarging one without changing its output, and counting its arithmetic."""

import copy
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from ocrray.models.generator import Generator

MATMUL_ROWS = 2048
MATMUL_REPEATS = 9
COPY_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Floating-point operations, and the seconds that the matrices take on this machine when 2,048 tokens go through at once."""

    token_flop: float  # a token in the layers' matrices
    head_flop: float  # a token in the last matrix, where the next token is needed
    attention_flop: float  # all sequences, every token with those before it
    flops: float  # a second, in these matrices

    def seconds(self, tokens: float, answers: float) -> float:
        """For so many tokens through the layers, and so many of them through the last matrix too."""
        return (tokens * self.token_flop + answers * self.head_flop + self.attention_flop) / self.flops


def arithmetic(model: Any, lengths: Sequence[int]) -> Arithmetic:
    """Measured with `torch.mm` at the shapes of the model's own linear layers; `lengths` are tokens, prompt and output."""
    head = model.get_output_embeddings()
    inner = [layer.weight for layer in model.modules() if isinstance(layer, torch.nn.Linear) and layer is not head]
    config = model.config
    heads, size = config.num_attention_heads, getattr(config, "head_dim", config.hidden_size // config.num_attention_heads)
    seconds = {weight.shape: _matmul_seconds(weight) for weight in inner}
    flop = sum(2 * weight.numel() for weight in inner)
    return Arithmetic(
        token_flop=flop,
        head_flop=2 * head.weight.numel(),
        attention_flop=sum(4 * config.num_hidden_layers * heads * size * length**2 / 2 for length in lengths),
        flops=flop * MATMUL_ROWS / sum(seconds[weight.shape] for weight in inner),
    )


def bytes_per_second(device: torch.device) -> float:
    """Return the memory bandwidth, measured by copying a gibibyte (each byte is read and written)."""
    block = torch.empty(COPY_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(block)
    return 2 * COPY_BYTES / _median_seconds(lambda: target.copy_(block), device)


@torch.inference_mode()
def gap_where_parted(generator: Generator, prompt: Sequence[int], greedy: Sequence[int], other: Sequence[int]) -> float:
    """Return the difference of log-probabilities at the first token in which two outputs differ."""
    left, right = ([*tokens, generator.eos_ids[0]] for tokens in (greedy, other))
    place = next(place for place, (one, two) in enumerate(zip(left, right, strict=False)) if one != two)
    ids = torch.tensor([[*prompt, *left[:place]]], device=generator.model.device)
    logits = generator.model(ids).logits[0, -1].float()
    return float(logits[left[place]] - logits[right[place]])


def _matmul_seconds(weight: torch.Tensor) -> float:
    rows = torch.randn(MATMUL_ROWS, weight.shape[1], dtype=weight.dtype, device=weight.device)
    return _median_seconds(lambda: torch.mm(rows, weight.detach().t()), weight.device)


@torch.inference_mode()
def _median_seconds(work: Callable[[], object], device: torch.device) -> float:
    def once() -> float:
        begun = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begun

    once()
    return statistics.median(once() for _ in range(MATMUL_REPEATS))


@torch.no_grad()
def grown(generator: Generator, hidden: int, layers: int, intermediate: int) -> Generator:
    """Return a larger Llama with the same output: new weights are random, and multiplied by zero before the residual stream.

    Sizes are at least the model's own. RMSNorm divides by the root of a mean in which the new zeros count, so its gain shrinks
    by sqrt(old hidden / new hidden), and epsilon with the square: exact where that root is a power of two (4, 16 x as wide).
    """
    small = generator.model
    old = small.config
    if old.model_type != "llama":
        raise SystemExit(f"only a Llama can grow; this is a {old.model_type}")
    factor = max(hidden, old.hidden_size) / old.hidden_size
    if factor * old.num_key_value_heads % 1:
        raise SystemExit(f"--hidden: {hidden} is no multiple of {old.hidden_size} that gives whole heads")
    config = copy.deepcopy(old)
    config.hidden_size = round(factor * old.hidden_size)
    config.num_attention_heads = round(factor * old.num_attention_heads)
    config.num_key_value_heads = round(factor * old.num_key_value_heads)
    config.intermediate_size = max(intermediate, old.intermediate_size)
    config.num_hidden_layers = max(layers, old.num_hidden_layers)
    config.rms_norm_eps = old.rms_norm_eps / factor
    torch.manual_seed(1)
    large = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    weights = small.state_dict()
    for name, weight in large.state_dict().items():
        silent = name.endswith(("o_proj.weight", "down_proj.weight", "embed_tokens.weight", "lm_head.weight"))
        if silent:
            weight.zero_()
        if name in weights:
            known = weights[name].float() / (factor**0.5 if weight.ndim == 1 else 1)
            weight[tuple(map(slice, known.shape))] = known
    large.generation_config = small.generation_config
    return replace(generator, model=large.to(small.device, small.dtype).eval())


def saved(generator: Generator, dtype: str, folder: Path) -> Path:
    """Save the model in this dtype, and return `folder`."""
    generator.model.to(getattr(torch, dtype)).save_pretrained(folder)
    generator.tokenizer.save_pretrained(folder)
    return folder
