"""Loading of models with an extended vocabulary, as folders and as adapters, gives the trained weights."""

from pathlib import Path

import peft
import pytest
import tiny_models
import torch
import transformers

from ocrray.models.loading import load_generator
from ocrray.models.vocabulary import extend_tokenizer, extend_vocabulary

TOKENS = ("<rewrite>", "<title>", "<date>")
EMBEDDINGS = {"llama": "embed_tokens", "gptj": "wte"}


def base(folder: Path, architecture: str, *, rows: int = 300, tied: bool = False):
    """Save and return a model with `rows` embedding rows and a tokenizer of 300 tokens."""
    torch.manual_seed(0)
    settings = tiny_models.config(architecture)
    settings.vocab_size, settings.tie_word_embeddings = rows, tied
    model, tokenizer = transformers.AutoModelForCausalLM.from_config(settings), tiny_models.tokenizer()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


def trained_a_step(model: torch.nn.Module, ids: list[int]) -> torch.nn.Module:
    tokens = torch.tensor([[5, *ids, 7]])
    model(input_ids=tokens, labels=tokens).loss.backward()
    torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=0.5).step()
    return model.eval()


@torch.no_grad()
def logits(model: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    return model(input_ids=torch.tensor([[5, 6, *ids, 7, 8]])).logits


@pytest.mark.parametrize(("architecture", "rows"), [("llama", 300), ("gptj", 300), ("gptj", 320)])
@pytest.mark.parametrize("tied", [False, True])
def test_extend_vocabulary_new_rows_are_the_mean_and_the_old_ones_stay(tmp_path, architecture: str, rows: int, tied: bool):
    """Each token gets one id; a vocabulary padded beyond its tokens (GPT-J) keeps its size."""
    model, tokenizer = base(tmp_path, architecture, rows=rows, tied=tied)
    old = {name: weight.clone() for name, weight in model.state_dict().items() if weight.shape[0] == rows}

    ids = extend_vocabulary(model, tokenizer, TOKENS)

    assert ids == [300, 301, 302]
    assert tokenizer("<title>")["input_ids"] == [301]
    assert model.config.vocab_size == model.get_output_embeddings().out_features == max(rows, 303)
    for name, before in old.items():
        now = model.state_dict()[name]
        assert torch.equal(now[:300], before[:300])
        torch.testing.assert_close(now[300:303], before[:300].mean(0).expand_as(now[300:303]))
        assert torch.equal(now[303:], before[303:])


def test_extend_vocabulary_known_tokens_change_nothing(tmp_path):
    """Extending again, as after a restart, changes no weight."""
    model, tokenizer = base(tmp_path, "llama")
    ids = extend_vocabulary(model, tokenizer, TOKENS)
    trained = trained_a_step(model, ids).state_dict()["model.embed_tokens.weight"].clone()

    assert extend_vocabulary(model, tokenizer, TOKENS) == ids
    assert torch.equal(model.state_dict()["model.embed_tokens.weight"], trained)


def test_extend_vocabulary_tokenizer_that_was_extended_before_still_gets_its_rows(tmp_path):
    """A tokenizer extended on its own, to encode data, still leads to new rows in the model."""
    model, tokenizer = base(tmp_path, "llama")
    ids = extend_tokenizer(tokenizer, TOKENS)

    assert extend_vocabulary(model, tokenizer, TOKENS) == ids
    assert model.config.vocab_size == 303


def test_extend_vocabulary_tokens_survive_literal_reading_and_decoding(tmp_path):
    """The tokens are encoded as one even where a source's `</s>` is encoded as characters, and are kept by decoding."""
    model, tokenizer = base(tmp_path, "llama")
    extend_vocabulary(model, tokenizer, TOKENS)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    generator = load_generator(str(tmp_path), device="cpu")

    (prompt,) = generator.encode_prompts(["<rewrite> a</s>b"], "<rewrite> {text}")

    assert prompt[0] == 300
    assert not set(prompt) & set(generator.eos_ids)
    assert generator.decode([*prompt, *generator.eos_ids]) == "<rewrite> a</s>b"


def test_generator_tokens_published_as_special_ones_are_read_and_can_be_kept(tmp_path):
    """Published special tokens are encoded where the prompt's template contains them, and decoded on request."""
    _, tokenizer = base(tmp_path, "gptj", rows=320)
    tokenizer.add_tokens(list(TOKENS), special_tokens=True)
    tokenizer.save_pretrained(tmp_path)
    generator = load_generator(str(tmp_path), device="cpu")

    (prompt,) = generator.encode_prompts(["<rewrite> a"], "<rewrite> {text}")

    assert prompt[0] == 300
    assert generator.decode([*prompt, 0]) == " a"
    assert generator.decode([*prompt, 0], keep=[300]) == "<rewrite> a"


@pytest.mark.parametrize(("architecture", "rows"), [("llama", 300), ("gptj", 300), ("gptj", 320)])
def test_load_generator_full_folder_with_extended_vocabulary_is_what_was_trained(tmp_path, architecture: str, rows: int):
    """After full fine-tuning, model and tokenizer are in one folder."""
    model, tokenizer = base(tmp_path, architecture, rows=rows)
    ids = extend_vocabulary(model, tokenizer, TOKENS)
    trained_a_step(model, ids).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)

    generator = load_generator(str(tmp_path), device="cpu")

    assert torch.equal(logits(generator.model, ids), logits(model, ids))
    assert len(generator.tokenizer) == 303


@pytest.mark.filterwarnings("ignore::UserWarning:peft")
@pytest.mark.parametrize("trains", ["embedding and head", "rows of the embedding", "rows of both"])
@pytest.mark.parametrize(("architecture", "rows", "tied"), [("llama", 300, False), ("llama", 300, True), ("gptj", 320, False)])
def test_load_generator_adapter_with_extended_vocabulary_is_what_was_trained(tmp_path, architecture, rows, tied, trains):
    """The base gets the rows that the adapter's tokenizer adds before the adapter is attached; logits are bit-equal."""
    model, tokenizer = base(tmp_path / "base", architecture, rows=rows, tied=tied)
    ids = extend_vocabulary(model, tokenizer, TOKENS)
    embedding, head = EMBEDDINGS[architecture], "lm_head"
    extra = {
        "embedding and head": {"modules_to_save": [embedding, head]},
        "rows of the embedding": {"trainable_token_indices": {embedding: ids}},
        "rows of both": {"trainable_token_indices": {embedding: ids, head: ids}},
    }[trains]
    lora = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", init_lora_weights=False, **extra)
    trained = trained_a_step(peft.get_peft_model(model, lora), ids)
    trained.save_pretrained(tmp_path / "adapter")
    tokenizer.save_pretrained(tmp_path / "adapter")

    generator = load_generator(str(tmp_path / "base"), adapter=str(tmp_path / "adapter"), device="cpu")

    assert torch.equal(logits(generator.model, ids), logits(trained, ids))
    assert generator.tokenizer("<date>")["input_ids"] == ids[2:]
