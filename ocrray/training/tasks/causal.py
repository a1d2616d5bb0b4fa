"""What all tasks for causal language models share: samples of prompt and answer, the model, the batch."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ocrray.errors import ConfigError
from ocrray.models.encoding import prompt_ids, text_ids
from ocrray.models.folders import ADAPTER_FILES, model_problems
from ocrray.models.loading import missing_weights
from ocrray.training.config import ModelConfig, TrainConfig
from ocrray.training.packing import keeps_boundaries
from ocrray.training.tasks import NO_LOSS, SAMPLES
from ocrray.training.tasks.architecture import architecture_problems, known_settings
from ocrray.training.tokenizers import published_tokenizer

_PAD_MULTIPLE = 8  # tensor cores want it


@dataclass(frozen=True, slots=True)
class Example:
    """What a model is to read and to answer, or why it is not taught that (`dropped`); made of the row of that number."""

    row: int
    source: str
    target: str
    prompt: str = ""
    completion: str = ""
    dropped: str | None = None


def to_samples(examples: Sequence[Example], tokenizer: Any, template: str, limit_tokens: int) -> pa.Table:
    """SAMPLES of the examples, in order: loss on the completion and the end-of-text token; `too_long` beyond the limit."""
    end = tokenizer.eos_token_id
    taught = [example for example in examples if not example.dropped]
    prompts = iter(prompt_ids(tokenizer, [example.prompt for example in taught], template, (end,)))
    answers = iter(text_ids(tokenizer, [example.completion for example in taught]))
    rows = []
    for example in examples:
        row = {"row": example.row, "source": example.source, "target": example.target, "dropped": example.dropped}
        if not example.dropped:
            prompt, answer = next(prompts), [*next(answers), end]
            row |= _tokens(prompt, answer) if len(prompt) + len(answer) <= limit_tokens else {"dropped": "too_long"}
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=SAMPLES)


def _tokens(prompt: list[int], answer: list[int]) -> dict[str, Any]:
    return {
        "input_ids": prompt + answer,
        "labels": [NO_LOSS] * len(prompt) + answer,
        "length": len(prompt) + len(answer),
    }


def problems(config: TrainConfig) -> list[str]:
    """Why the model cannot be trained as the config says, as far as its files tell; a line each."""
    found = []
    model = config.model
    if model.name and config.method.kind != "from_scratch":
        found += [f"model.name: {problem}" for problem in model_problems(model.name)]
    if config.method.kind == "qlora" and not config.workers.gpus:
        found.append("method.kind: qlora runs on GPUs only; set workers.gpus, or take lora")
    if config.method.kind == "qlora" and importlib.util.find_spec("bitsandbytes") is None:
        found.append("method.kind: qlora needs bitsandbytes; pip install bitsandbytes, or take lora")
    found += architecture_problems(config)
    return found + _packing_problems(config, known_settings(config).get("model_type"))


def _packing_problems(config: TrainConfig, model_type: str | None) -> list[str]:
    if config.data.grouping != "packed" or model_type is None or keeps_boundaries(model_type):
        return []
    return [f"data.grouping: {model_type} models are not known to keep packed samples apart; take length"]


def max_length_tokens(config: TrainConfig) -> int:
    """The longest sample that the config allows and the model takes."""
    from transformers import AutoConfig

    model = config.model
    if config.method.kind == "from_scratch":
        settings = AutoConfig.for_model(**model.architecture)
    else:
        settings = AutoConfig.from_pretrained(
            model.name, revision=model.revision or "main", trust_remote_code=model.trust_remote_code
        )
    context = getattr(settings, "max_position_embeddings", None)
    return min(config.data.max_length_tokens, context or config.data.max_length_tokens)


def load_tokenizer(model: ModelConfig) -> Any:
    """The tokenizer to train with; raises ConfigError where it has no end-of-text token."""
    from transformers import ByT5Tokenizer

    if model.tokenizer == "bytes":
        return ByT5Tokenizer(extra_ids=0)
    tokenizer = published_tokenizer(model)
    if tokenizer.eos_token_id is None:
        raise ConfigError(
            f"model: the tokenizer of {model.tokenizer or model.name} has no end-of-text token, so no answer could end"
        )
    return tokenizer


def build_model(config: TrainConfig, tokenizer: Any) -> Any:
    """The causal language model to train, random or pretrained; raises ConfigError when weights are missing."""
    from transformers import AutoConfig, AutoModelForCausalLM

    model = config.model
    if config.method.kind == "from_scratch":
        words = {"vocab_size": len(tokenizer), **{name: getattr(tokenizer, name) for name in _END_TOKENS}}
        network = AutoModelForCausalLM.from_config(AutoConfig.for_model(**words | model.architecture))
    else:
        network, report = AutoModelForCausalLM.from_pretrained(
            model.name,
            revision=model.revision or "main",
            trust_remote_code=model.trust_remote_code,
            use_safetensors=True,
            output_loading_info=True,
            **_precision(config),
        )
        if problem := missing_weights(report):
            raise ConfigError(f"model.name: {model.name}: {problem}")
    if unpackable := _packing_problems(config, network.config.model_type):  # of a hub's model, nothing was known before
        raise ConfigError(unpackable[0])
    return network


_END_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")


def _precision(config: TrainConfig) -> dict[str, Any]:
    """How the weights are held: those that are trained in float32, frozen ones in the precision of the run or in 4 bits."""
    if config.method.kind == "full":
        return {"dtype": "float32"}
    if config.method.kind == "lora":
        return {"dtype": config.precision}
    import torch
    from transformers import BitsAndBytesConfig

    compute = getattr(torch, config.precision)
    four_bits = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=compute
    )
    return {"dtype": compute, "quantization_config": four_bits}


def pad_right(pad_id: int) -> Callable[[Sequence[dict[str, Any]]], dict[str, Any]]:
    """Batches of samples, int64 tensors of (samples, longest length rounded up to a multiple of 8).

    Packed samples bring their position ids, which tell them apart; a mask would make the model overlook that.
    """

    def collate(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        import torch

        packed = "position_ids" in samples[0]
        width = max(len(sample["input_ids"]) for sample in samples)
        shape = (len(samples), -(-width // _PAD_MULTIPLE) * _PAD_MULTIPLE)
        inputs, labels = np.full(shape, pad_id, np.int64), np.full(shape, NO_LOSS, np.int64)
        seen = np.zeros(shape, np.int64)  # the mask, or the position ids: a row of zeros is padding to either
        for row, sample in enumerate(samples):
            length = len(sample["input_ids"])
            inputs[row, :length], labels[row, :length] = sample["input_ids"], sample["labels"]
            seen[row, :length] = sample["position_ids"] if packed else 1
        arrays = {"input_ids": inputs, "position_ids" if packed else "attention_mask": seen, "labels": labels}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    return collate


def weights(config: TrainConfig, folder: Path) -> dict[str, Any]:
    """How an engine loads what training left in `folder`: a whole model, or an adapter on the model that was trained."""
    trusted = {"trust_remote_code": config.model.trust_remote_code}
    if (folder / ADAPTER_FILES[0]).is_file():
        return {"model": config.model.name, "revision": config.model.revision, "adapter": str(folder), **trusted}
    return {"model": str(folder), **trusted}
