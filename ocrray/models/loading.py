"""Hugging Face text generators: what a folder must hold, and loading with dtype, adapter and device."""

import hashlib
import json
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from ocrray.errors import EngineError
from ocrray.models.encoding import prompt_ids, special_tokens, text_ids

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Device = Literal["auto", "cpu", "cuda"]

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
_TOKENIZER_FILES = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt")
_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class Generator:
    """A loaded causal or sequence-to-sequence language model, ready to generate; several threads may encode and decode."""

    model: Any
    tokenizer: Any
    is_seq2seq: bool
    eos_ids: tuple[int, ...]
    pad_id: int
    context_tokens: int | None  # how many tokens prompt and output may have together (each, for seq2seq); None: no limit
    # A fast tokenizer is set anew for every call, special tokens literal or not: one thread at a time.
    _tokenizing: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    def encode_prompts(self, prompts: Sequence[str], template: str) -> list[list[int]]:
        """Token ids of what the model reads; for a causal model without an end-of-text token, for the answer is to come.

        A source that spells out a special token (`</s>`) is read as characters, unless the prompts' own template spells one.
        """
        with self._tokenizing:
            return prompt_ids(self.tokenizer, prompts, template, end_ids=() if self.is_seq2seq else self.eos_ids)

    def encode_texts(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text by itself."""
        with self._tokenizing:
            return text_ids(self.tokenizer, texts)

    def decode(self, ids: Sequence[int], keep: Collection[int] = ()) -> str:
        """The text of generated tokens, special tokens left out but for those in `keep`."""
        left_out = special_tokens(self.tokenizer).keys() - set(keep)
        shown = [token for token in ids if token not in left_out]
        with self._tokenizing:
            return self.tokenizer.decode(shown, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    def decode_each(self, ids: Sequence[int]) -> list[str]:
        """The text of each token; U+FFFD for one that has none by itself (half of a character), a first space may be missing."""
        texts = {token: self.decode([token]) or "\ufffd" for token in set(ids)}
        return [texts[token] for token in ids]


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


def has_encoder(model: str) -> bool:
    """Whether the folder `model` says that it holds a sequence-to-sequence model; False of a hub id."""
    try:
        return bool(json.loads((Path(model) / "config.json").read_text(encoding="utf-8")).get("is_encoder_decoder"))
    except (OSError, ValueError, AttributeError):
        return False  # `model_problems` and loading say what is wrong


def adapter_problems(adapter: str) -> list[str]:
    """Why `adapter` cannot be loaded, as far as its files tell; a name that may be a hub id has no problem."""
    folder = Path(adapter)
    if not folder.is_dir():
        return [] if _may_be_hub_id(adapter) else [f"{adapter}: no such adapter folder"]
    return [f"{adapter}: holds no {name}" for name in ADAPTER_FILES if not (folder / name).is_file()]


def missing_weights(report: Mapping[str, Any]) -> str:
    """What transformers' loading report says is missing, or nothing: it would go on with random numbers in their place."""
    missing = sorted(report["missing_keys"])
    return f"the weights lack {len(missing)} tensors, {missing[0]} for one" if missing else ""


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
    merge_adapter: bool = False,
    dtype: Dtype = "auto",
    device: Device = "auto",
    trust_remote_code: bool = False,
) -> Generator:
    """The model with its adapter on its device, in evaluation mode and set to generate greedily.

    With `merge_adapter` its weights are added to the model's, which then runs as fast as without one.
    A tokenizer that lies with the adapter is the one to use; the model is given a row for each token that it adds.
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
    if problem := missing_weights(report):
        raise EngineError(f"{model}: {problem}")
    tokenizer = AutoTokenizer.from_pretrained(model, **origin)
    adapter_folder = _fetched(adapter) if adapter else None
    if adapter_folder and (adapter_folder / "tokenizer_config.json").is_file():
        known = len(tokenizer)
        tokenizer = AutoTokenizer.from_pretrained(adapter_folder, trust_remote_code=trust_remote_code)
        _fill_rows(network, known, len(tokenizer))
    eos_ids = _end_tokens(network, tokenizer)
    pad_id = eos_ids[0] if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    network.generation_config = _greedy(network.generation_config, eos_ids, pad_id)
    if adapter_folder:
        network = _with_adapter(network, adapter_folder)
        network = network.merge_and_unload(safe_merge=True) if merge_adapter else network
    return Generator(
        model=network.to(device).eval(),
        tokenizer=tokenizer,
        is_seq2seq=config.is_encoder_decoder,
        eos_ids=eos_ids,
        pad_id=pad_id,
        context_tokens=_context_tokens(config, tokenizer),
    )


def extend_tokenizer(tokenizer: Any, tokens: Sequence[str]) -> list[int]:
    """Make each of `tokens` a single token, and return their ids.

    They are not special ones: decoding shows them, and a tokenizer told to read special tokens literally
    (`split_special_tokens`) still takes them as one.
    """
    from tokenizers import AddedToken

    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in tokens])
    return tokenizer.convert_tokens_to_ids(list(tokens))


def extend_vocabulary(model: Any, tokenizer: Any, tokens: Sequence[str]) -> list[int]:
    """`extend_tokenizer`, and a row of the model for each new token, which begins as the mean of the old rows.

    To be done before an adapter is put on; raises EngineError for a model that ZeRO-3 spread over its workers.
    """
    known = len(tokenizer)
    ids = extend_tokenizer(tokenizer, tokens)
    _fill_rows(model, known, len(tokenizer))
    return ids


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


def _fetched(adapter: str) -> Path:
    """The folder of an adapter, from the hub where it is none; raises EngineError where safetensors are missing.

    peft by itself would fall back to pickled weights.
    """
    from huggingface_hub import snapshot_download

    folder = Path(adapter)
    if not folder.is_dir():
        folder = Path(snapshot_download(adapter, allow_patterns=[*ADAPTER_FILES, *_TOKENIZER_FILES]))
    if problems := adapter_problems(str(folder)):
        raise EngineError("; ".join(problems))
    return folder


def _with_adapter(network: Any, folder: Path) -> Any:
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Found missing adapter keys")
        return PeftModel.from_pretrained(network, str(folder))


def _fill_rows(network: Any, first: int, end: int) -> None:
    """Give tokens `first` to `end` the mean of all tokens before them, in the embedding and in the head.

    A vocabulary that is padded beyond its tokens (GPT-J) has the rows already, and keeps its size.
    """
    import torch

    embedding = network.get_input_embeddings().weight
    if hasattr(embedding, "ds_id"):
        raise EngineError("tokens cannot be added to a model that ZeRO-3 spread over its workers; set deepspeed.zero_stage to 2")
    first = min(first, len(embedding))
    if first >= end:
        return
    if end > len(embedding):
        network.resize_token_embeddings(end, mean_resizing=False)
    with torch.no_grad():
        for layer in (network.get_input_embeddings(), network.get_output_embeddings()):
            for rows in filter(torch.is_tensor, (layer.weight, getattr(layer, "bias", None))):
                rows[first:end] = rows[:first].mean(0, dtype=torch.float32).to(rows.dtype)


def _context_tokens(config: Any, tokenizer: Any) -> int | None:
    limits = (getattr(config.get_text_config(), "max_position_embeddings", None), tokenizer.model_max_length)
    return min((limit for limit in limits if limit and limit < 10**9), default=None)  # a tokenizer's "unknown" is 10**30
