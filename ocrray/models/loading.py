"""Hugging Face text generators: what a folder must hold, and loading with dtype, adapter and device."""

import hashlib
import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ocrray.errors import EngineError

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Device = Literal["auto", "cpu", "cuda"]

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class Generator:
    """A loaded causal or sequence-to-sequence language model, ready for greedy generation."""

    model: Any
    tokenizer: Any
    is_seq2seq: bool
    eos_ids: tuple[int, ...]
    pad_id: int
    context_tokens: int | None  # how many tokens prompt and output may have together (each, for seq2seq); None: no limit

    def encode_prompts(self, prompts: Sequence[str], template: str) -> list[list[int]]:
        """Token ids of what the model reads; for a causal model without an end-of-text token, for the answer is to come.

        A source that spells out a special token (`</s>`) is read as characters, unless the prompts' own template spells one.
        """
        literal = not any(token in template for token in self.tokenizer.all_special_tokens)
        encoded = self._encode(prompts, literal, add_special_tokens=True)
        return encoded if self.is_seq2seq else [ids[:-1] if ids and ids[-1] in self.eos_ids else ids for ids in encoded]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text is by itself."""
        return [len(ids) for ids in self._encode(texts, literal=True, add_special_tokens=False)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of generated tokens, special tokens left out."""
        return self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def _encode(self, texts: Sequence[str], literal: bool, add_special_tokens: bool) -> list[list[int]]:
        if not texts:
            return []
        return self.tokenizer(list(texts), add_special_tokens=add_special_tokens, split_special_tokens=literal)["input_ids"]


def model_problems(model: str) -> list[str]:
    """Why `model` cannot be loaded, as far as its files tell; a name that may be a hub id has no problem."""
    folder = Path(model)
    if not folder.is_dir():
        return [] if _may_be_hub_id(model) else [f"{model}: no such model folder"]
    problems = [] if (folder / "config.json").is_file() else [f"{model}: holds no config.json"]
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        missing = sorted(name for name in _shards(index) if not (folder / name).is_file())
        problems += [f"{model}: holds no {name}, which {index.name} names" for name in missing]
    elif not (folder / "model.safetensors").is_file():
        adapter = (folder / ADAPTER_FILES[0]).is_file()
        hint = "this is an adapter: give its base model here and this folder as adapter" if adapter else "no other is loaded"
        problems.append(f"{model}: holds no weights in model.safetensors ({hint})")
    return problems


def adapter_problems(adapter: str) -> list[str]:
    """Why `adapter` cannot be loaded, as far as its files tell; a name that may be a hub id has no problem."""
    folder = Path(adapter)
    if not folder.is_dir():
        return [] if _may_be_hub_id(adapter) else [f"{adapter}: no such adapter folder"]
    return [f"{adapter}: holds no {name}" for name in ADAPTER_FILES if not (folder / name).is_file()]


def weights_revision(model: str, revision: str | None = None) -> str:
    """What tells two states of a model apart: sha256 over a folder's safetensors files, or a hub id's given revision."""
    folder = Path(model)
    if not folder.is_dir():
        return revision or "main"
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def load_generator(
    model: str,
    *,
    revision: str | None = None,
    adapter: str | None = None,
    dtype: Dtype = "auto",
    device: Device = "auto",
    trust_remote_code: bool = False,
) -> Generator:
    """The model with its adapter on its device, in evaluation mode and set to generate greedily.

    `dtype: auto` is float32 on a CPU and the checkpoint's own on a GPU. Raises EngineError when weights are missing, and whatever
    transformers, peft and torch raise.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # one per worker would drown the run's own
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise EngineError("device: cuda, but no GPU is visible here")
    device = ("cuda" if cuda else "cpu") if device == "auto" else device
    if dtype == "auto" and device == "cpu":
        dtype = "float32"
    origin = {"revision": revision or "main", "trust_remote_code": trust_remote_code}
    config = AutoConfig.from_pretrained(model, **origin)
    family = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    network, report = family.from_pretrained(
        model, config=config, dtype=dtype, use_safetensors=True, output_loading_info=True, **origin
    )
    if missing := sorted(report["missing_keys"]):  # transformers would go on with random numbers in their place
        raise EngineError(f"{model}: the weights lack {len(missing)} tensors, {missing[0]} for one")
    tokenizer = AutoTokenizer.from_pretrained(model, **origin)
    eos_ids = _end_tokens(network, tokenizer)
    pad_id = eos_ids[0] if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    network.generation_config = _greedy(network.generation_config, eos_ids, pad_id)
    if adapter:
        network = _with_adapter(network, adapter)
    return Generator(
        model=network.to(device).eval(),
        tokenizer=tokenizer,
        is_seq2seq=config.is_encoder_decoder,
        eos_ids=eos_ids,
        pad_id=pad_id,
        context_tokens=_context_tokens(config, tokenizer),
    )


def _may_be_hub_id(name: str) -> bool:
    return bool(_HUB_ID.fullmatch(name)) and not Path(name).exists()


def _shards(index: Path) -> set[str]:
    try:
        return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {f"readable {index.name}"}


def _end_tokens(network: Any, tokenizer: Any) -> tuple[int, ...]:
    configured = network.generation_config.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    known = dict.fromkeys(token for token in (*ids, tokenizer.eos_token_id) if token is not None)
    if not known:
        raise EngineError(f"{network.name_or_path}: neither model nor tokenizer names an end-of-text token")
    return tuple(known)


def _greedy(published: Any, eos_ids: tuple[int, ...], pad_id: int) -> Any:
    """Greedy decoding with the model's own start tokens, and none of the other habits that a checkpoint may bring.

    Sampling, beams and penalties would change the text, and `forced_eos_token_id` (BART) would make a cut-off text look finished.
    """
    from transformers import GenerationConfig

    return GenerationConfig(
        do_sample=False,
        num_beams=1,
        eos_token_id=list(eos_ids),
        pad_token_id=pad_id,
        bos_token_id=published.bos_token_id,
        decoder_start_token_id=published.decoder_start_token_id,
        forced_bos_token_id=published.forced_bos_token_id,
    )


def _with_adapter(network: Any, adapter: str) -> Any:
    """`network` under a PEFT adapter from a folder or the hub; peft by itself would fall back to pickled weights."""
    from huggingface_hub import snapshot_download
    from peft import PeftModel

    folder = Path(adapter)
    if not folder.is_dir():
        folder = Path(snapshot_download(adapter, allow_patterns=list(ADAPTER_FILES)))
    if problems := adapter_problems(str(folder)):
        raise EngineError("; ".join(problems))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Found missing adapter keys")
        return PeftModel.from_pretrained(network, str(folder))


def _context_tokens(config: Any, tokenizer: Any) -> int | None:
    limits = (getattr(config.get_text_config(), "max_position_embeddings", None), tokenizer.model_max_length)
    return min((limit for limit in limits if limit and limit < 10**9), default=None)  # a tokenizer's "unknown" is 10**30
