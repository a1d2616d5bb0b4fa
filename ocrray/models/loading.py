"""Loading of Hugging Face language models with dtype, adapter and device."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ocrray.errors import EngineError, OcrrayError
from ocrray.models.adapters import attach_adapter, embedding_rows, find_adapter
from ocrray.models.chat import ChatTemplate
from ocrray.models.generator import Generator
from ocrray.models.limits import context_tokens, padding_id, token_rows, unknown_token, without_impossible_padding
from ocrray.models.vocabulary import add_rows

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerBase

    from ocrray.models.types import LanguageModel

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Device = Literal["auto", "cpu", "cuda"]


def load_weights(
    model_class: Any, location: str | Path, *, name: str, error: type[OcrrayError] = EngineError, **settings: Any
) -> Any:
    """Return `model_class.from_pretrained(location, **settings)`, read from safetensors; `name` names the model in the error.

    Raises:
        `error`: when a tensor is missing; transformers only warns, and initialises it at random.
    """
    network, report = model_class.from_pretrained(location, use_safetensors=True, output_loading_info=True, **settings)
    if missing := sorted(report["missing_keys"]):
        raise error(f"{name}: the weights lack {len(missing)} tensors, {missing[0]} for one")
    return network


def load_generator(
    model: str,
    *,
    revision: str | None = None,
    adapter: str | None = None,
    merge_adapter: bool = False,
    dtype: Dtype = "auto",
    device: Device = "auto",
    trust_remote_code: bool = False,
    chat: bool = False,
) -> Generator:
    """Load a model with its adapter onto a device, in evaluation mode and configured for greedy generation.

    `merge_adapter` adds the adapter's weights to the model's, which then runs at the speed of the bare model. A tokenizer in
    the adapter's folder replaces the model's, and the model gets a row for each token that it adds. `dtype` "auto" is float32
    on a CPU and the checkpoint's own on a GPU. With `chat` the token that ends an answer in the tokenizer's chat template ends a
    text, too.

    Raises:
        EngineError: when weights, a chat template or the GPU asked for are missing. Errors of transformers, peft and torch pass
            unchanged.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # one per worker would flood the run's own output
    placed = resolve_device(device)
    dtype = "float32" if dtype == "auto" and placed == "cpu" else dtype
    network, tokenizer = _load_pretrained(model, dtype, revision or "main", trust_remote_code)
    config = network.config
    adapter_folder = find_adapter(adapter) if adapter else None
    if adapter_folder:
        tokenizer = _fit_vocabulary(network, tokenizer, adapter_folder, trust_remote_code)
    rows = token_rows(network)
    if problem := unknown_token(tokenizer, rows):
        raise EngineError(f"{model}: {problem}")
    template = ChatTemplate(tokenizer) if chat else None
    ends = end_tokens(network, tokenizer)
    eos_ids = tuple(dict.fromkeys((template.end_id, *ends))) if template else ends
    pad_id = padding_id(tokenizer, rows, eos_ids[0])
    network.generation_config = greedy(network.generation_config, eos_ids, pad_id)
    network = network.to(placed).eval()
    if adapter_folder:
        network = attach_adapter(network, adapter_folder, merge=merge_adapter).eval()
    return Generator(
        model=network,
        tokenizer=tokenizer,
        is_seq2seq=config.is_encoder_decoder,
        eos_ids=eos_ids,
        pad_id=pad_id,
        context_tokens=context_tokens(config, tokenizer),
        chat=template,
    )


def resolve_device(device: Device) -> Literal["cpu", "cuda"]:
    """Return the device to use; "auto" is the GPU if this process sees one.

    Raises:
        EngineError: when `device` is "cuda" and there is no GPU.
    """
    import torch

    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return "cpu"
    if not torch.cuda.is_available():
        raise EngineError("device: cuda, but no GPU is visible here")
    return "cuda"


def _load_pretrained(
    model: str, dtype: Dtype, revision: str, trust_remote_code: bool
) -> "tuple[LanguageModel, PreTrainedTokenizerBase]":
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    config = AutoConfig.from_pretrained(model, revision=revision, trust_remote_code=trust_remote_code)
    without_impossible_padding(config)
    family = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    network: LanguageModel = load_weights(
        family, model, name=model, config=config, dtype=dtype, revision=revision, trust_remote_code=trust_remote_code
    )
    tokenizer = AutoTokenizer.from_pretrained(model, revision=revision, trust_remote_code=trust_remote_code)
    return network, tokenizer


def _fit_vocabulary(
    network: "LanguageModel", tokenizer: "PreTrainedTokenizerBase", folder: Path, trust_remote_code: bool
) -> "PreTrainedTokenizerBase":
    """Return the tokenizer to use with the adapter in `folder`, and give the model as many rows as it was trained with.

    An adapter that changes embedding or head has their number of rows in its tensors, which may be padded to a multiple, or be
    less than that of the model; else the model gets a row for each token that the adapter's tokenizer adds.
    """
    from transformers import AutoTokenizer

    known, used = len(tokenizer), tokenizer
    if (folder / "tokenizer_config.json").is_file():
        used = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    add_rows(network, known, len(used))
    have, rows = len(network.get_input_embeddings().weight), embedding_rows(network, folder)
    if rows and rows < have:
        network.resize_token_embeddings(rows, mean_resizing=False)
    elif rows:
        add_rows(network, have, rows)
    return used


def end_tokens(network: "LanguageModel", tokenizer: "PreTrainedTokenizerBase") -> tuple[int, ...]:
    """Return the ids of the end-of-text tokens that model and tokenizer name.

    Raises:
        EngineError: when neither names one.
    """
    configured = network.generation_config.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    known = dict.fromkeys(token for token in (*ids, tokenizer.eos_token_id) if token is not None)
    if not known:
        raise EngineError(f"{network.name_or_path}: neither model nor tokenizer names an end-of-text token")
    return tuple(known)


def greedy(published: "GenerationConfig", eos_ids: tuple[int, ...], pad_id: int) -> "GenerationConfig":
    """Return settings for greedy decoding that keep the checkpoint's start tokens and nothing else.

    Sampling, beams and penalties would change the text, and `forced_eos_token_id` (BART) would make a truncated text look
    finished.
    """
    from transformers import GenerationConfig

    return GenerationConfig(  # type: ignore[no-untyped-call]  # transformers leaves it untyped
        do_sample=False,
        num_beams=1,
        eos_token_id=list(eos_ids),
        pad_token_id=pad_id,
        bos_token_id=published.bos_token_id,
        decoder_start_token_id=published.decoder_start_token_id,
        forced_bos_token_id=published.forced_bos_token_id,
    )
