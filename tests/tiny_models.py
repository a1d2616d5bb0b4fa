"""Tiny random models of real architectures, with tokenizers, saved as folders like a user's; nothing is downloaded."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import torch
import transformers
from tokenizers import ByteLevelBPETokenizer, Regex, Tokenizer, models, pre_tokenizers

from ocrray.models.vocabulary import add_rows, extend_vocabulary

EOS, PAD, BOS = "</s>", "<pad>", "<s>"
_TEXT = "Below is an instruction that describes a task. The quick brown fox jumps over the lazy dog, 1894."


def tokenizer(pad: bool = True) -> transformers.PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of 300 tokens that can write any text; without `pad` it has no padding token."""
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator([_TEXT] * 4, vocab_size=300, special_tokens=[EOS, PAD, BOS], show_progress=False)
    names = {"eos_token": EOS, "bos_token": BOS, **({"pad_token": PAD} if pad else {})}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, **names)


def config(architecture: str, context: int = 512) -> transformers.PretrainedConfig:
    """The smallest configuration of an architecture that still has two heads and two layers; `mistral` has a sliding window."""
    ends = {"vocab_size": 300, "eos_token_id": 0, "pad_token_id": 1, "bos_token_id": 2, "tie_word_embeddings": False}
    wide = 0.5  # random weights wide enough for outputs that vary
    match architecture:
        case "llama" | "qwen2" | "mistral":
            family = {"llama": transformers.LlamaConfig, "qwen2": transformers.Qwen2Config, "mistral": transformers.MistralConfig}
            return family[architecture](
                **ends,
                **({"sliding_window": 96} if architecture == "mistral" else {}),
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=1,
                max_position_embeddings=context,
                initializer_range=wide,
            )
        case "gpt2":
            return transformers.GPT2Config(**ends, n_embd=32, n_layer=2, n_head=2, n_positions=context, initializer_range=wide)
        case "gptj":
            return transformers.GPTJConfig(
                **ends, n_embd=32, n_layer=2, n_head=2, n_positions=context, rotary_dim=8, initializer_range=wide
            )
        case "bart":
            return transformers.BartConfig(
                **ends,
                d_model=32,
                encoder_layers=2,
                decoder_layers=2,
                encoder_attention_heads=2,
                decoder_attention_heads=2,
                encoder_ffn_dim=48,
                decoder_ffn_dim=48,
                max_position_embeddings=context,
                decoder_start_token_id=0,
                forced_eos_token_id=0,
                init_std=wide,
            )
        case "t5":
            return transformers.T5Config(
                **ends, d_model=32, d_kv=16, d_ff=48, num_layers=2, num_heads=2, decoder_start_token_id=1, initializer_factor=2.0
            )
    raise ValueError(architecture)


def save(folder: Path, architecture: str, *, context: int = 512, pad: bool = True, seed: int = 0, **generation: object) -> Path:
    """A random model in `folder`, with `generation` written into its generation settings."""
    torch.manual_seed(seed)
    settings = config(architecture, context)
    family = transformers.AutoModelForSeq2SeqLM if settings.is_encoder_decoder else transformers.AutoModelForCausalLM
    model = family.from_config(settings)
    for name, value in generation.items():
        setattr(model.generation_config, name, value)
    model.save_pretrained(folder)
    tokenizer(pad).save_pretrained(folder)
    return folder


def save_tagger(folder: Path, architecture: str, labels: Sequence[str], *, initializer_range: float = 0.5) -> Path:
    """A random edit tagger in `folder`: `canine` reads code points, `modernbert` an alphabet and `[UNK]` for the rest."""
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: number for number, label in enumerate(labels)}}
    size = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    common = {**names, **size, "max_position_embeddings": 512, "initializer_range": initializer_range}
    torch.manual_seed(0)
    match architecture:
        case "canine":
            settings = transformers.CanineConfig(**common, num_hash_buckets=512, local_transformer_stride=64)
            words = transformers.CanineTokenizer(model_max_length=512)
        case "modernbert":
            words = _alphabet()
            ends = dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"))
            settings = transformers.ModernBertConfig(**common, vocab_size=len(words), pad_token_id=0, **ends)
    transformers.AutoModelForTokenClassification.from_config(settings).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def _alphabet() -> transformers.PreTrainedTokenizerFast:
    vocabulary = {token: number for number, token in enumerate(["[PAD]", "[UNK]", "\n", *map(chr, range(0x20, 0x7F))])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_max_length=512,
        model_input_names=["input_ids", "attention_mask"],
    )


def save_writing(folder: Path, after: str, answer: str) -> Path:
    """A Llama that, having read a text that ends in the character `after`, writes `answer` and ends; no character comes twice."""
    return save_transitions(folder, pairwise([*after, *answer, EOS]))


def save_transitions(
    folder: Path, transitions: Iterable[tuple[str, str]], added: Sequence[str] = (), phrases: Sequence[str] = ()
) -> Path:
    """A Llama that writes, after each token, one of those that `transitions` pairs it with, all of them equally likely.

    Tokens are characters, EOS, special ones (`added`) or plain text (`phrases`). Its layers add nothing, so the next token hangs
    on the last one alone, by way of the output matrix.
    """
    words = tokenizer()
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config("llama"))
    new = extend_vocabulary(model, words, added)
    known = len(words)
    words.add_tokens(list(phrases))
    add_rows(model, known, len(words))
    new += range(known, len(words))
    with torch.no_grad():
        model.model.embed_tokens.weight[new] = torch.randn(len(new), 32) / 2
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        pairs = torch.tensor([[words.encode(token, add_special_tokens=False)[-1] for token in pair] for pair in transitions])
        before, column = pairs[:, 0].unique(return_inverse=True)
        logits = torch.zeros(len(words), len(before))
        logits[pairs[:, 1], column] = 30
        model.lm_head.weight.copy_(logits @ torch.linalg.pinv(model.model.norm(model.model.embed_tokens(before)).T))
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def save_lora(folder: Path, base: Path) -> Path:
    """A LoRA adapter on the causal model in `base` whose every matrix is random, so that it changes what the model writes."""
    import peft

    torch.manual_seed(1)
    model = peft.get_peft_model(
        transformers.AutoModelForCausalLM.from_pretrained(base),
        peft.LoraConfig(r=4, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", init_lora_weights=False),
    )
    model.save_pretrained(folder)
    return folder
