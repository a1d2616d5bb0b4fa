"""What config, tokenizer and embedding say about the tokens of a model."""

from pathlib import Path

import pytest
import tiny_models
import torch
import transformers
from tokenizers.processors import TemplateProcessing

from ocrray.decoding import Request
from ocrray.decoding.decoder import Decoder
from ocrray.decoding.padded import generate_padded
from ocrray.errors import ConfigError, EngineError
from ocrray.models.encoding import prompt_ids
from ocrray.models.limits import max_positions, padding_id
from ocrray.models.loading import load_generator
from ocrray.training.config import TrainConfig, open_task

BOS, EOS = 2, 0


def adding(before: str = "", after: str = "") -> transformers.PreTrainedTokenizerFast:
    """A tokenizer that puts tokens around every text."""
    words = tiny_models.tokenizer()
    words.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{before} $A {after}".strip(), special_tokens=[("<s>", BOS), ("</s>", EOS)]
    )
    return words


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("<s>{text}", [BOS, "a"]),
        ("{text}", [BOS, "a"]),
        ("<s><s>{text}", [BOS, BOS, "a"]),
        ("{text}</s>b<s>", [BOS, "a", EOS, "b", BOS]),
    ],
)
def test_prompt_ids_bos_that_the_template_spells_comes_once(template: str, expected: list[int | str]):
    """The tokenizer puts one in front of every text by itself."""
    words = adding(before="<s>")
    plain = {name: words.encode(name, add_special_tokens=False)[0] for name in "ab"}

    [ids] = prompt_ids(words, [template.replace("{text}", "a")], template)

    assert ids == [plain.get(one, one) for one in expected]


def test_prompt_ids_end_token_that_the_template_spells_comes_once():
    """A tokenizer for models with an encoder ends every text; a causal model goes on, so its end token is taken off."""
    words = adding(before="<s>", after="</s>")
    [a] = words.encode("a", add_special_tokens=False)

    assert prompt_ids(words, ["<s>a</s>"], "<s>{text}</s>") == [[BOS, a, EOS]]
    assert prompt_ids(words, ["<s>a"], "<s>{text}", (EOS,)) == [[BOS, a]]


def test_prompt_ids_text_that_spells_a_special_token_keeps_its_characters():
    """Only the template's own are tokens."""
    words = adding(before="<s>")

    [ids] = prompt_ids(words, ["<s>a"], "{text}")

    assert ids[0] == BOS
    assert BOS not in ids[1:]
    assert words.decode(ids[1:]) == "<s>a"


def gemma(**text: int) -> transformers.Gemma3Config:
    return transformers.Gemma3Config(text_config={"max_position_embeddings": 512, **text})


@pytest.mark.parametrize(
    ("config", "tokens"),
    [
        (transformers.LlamaConfig(max_position_embeddings=512), 512),
        (transformers.GPT2Config(n_positions=512), 512),
        (transformers.MptConfig(max_seq_len=512), 512),
        (gemma(), 512),
        (transformers.LlavaConfig(text_config={"model_type": "llama", "max_position_embeddings": 512}), 512),
        (transformers.Qwen2_5OmniConfig(thinker_config={"text_config": {"max_position_embeddings": 512}}), 512),
        (transformers.T5Config(), None),
    ],
    ids=["flat", "other name", "third name", "composite", "composite of another", "two levels", "none"],
)
def test_max_positions_is_that_of_the_text_model(config: transformers.PreTrainedConfig, tokens: int | None):
    """Wherever the config of a model of several parts keeps it."""
    assert max_positions(config) == tokens


def test_causal_task_composite_model_limits_samples_to_its_context(tmp_path: Path):
    """Not to the length that the config of the run allows."""
    gemma(max_position_embeddings=24).save_pretrained(tmp_path)
    tiny_models.tokenizer().save_pretrained(tmp_path)

    assert task(tmp_path)._limit_tokens == 24


def task(model: Path, tokenizer: Path | None = None):
    return open_task(
        TrainConfig.model_validate(
            {
                "task": {"kind": "correction", "prompt": "plain"},
                "model": {"name": str(model), "tokenizer": tokenizer and str(tokenizer)},
                "method": {"kind": "lora"},
                "optimizer": {"learning_rate": 0.01},
                "batch": {"size": 2},
                "data": {"train": ["pairs.parquet"], "max_length_tokens": 100_000},
                "output": {"path": "out"},
            }
        )
    )


@pytest.fixture(scope="module")
def beyond(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 300 embeddings whose tokenizer pads with token 300."""
    folder = tiny_models.save(tmp_path_factory.mktemp("beyond"), "llama", pad=False, eos_token_id=[0, 20, 30, 40])
    words = tiny_models.tokenizer(pad=False)
    words.add_special_tokens({"pad_token": "[PAD]"})
    words.save_pretrained(folder)
    return folder


def test_padding_id_beyond_the_embedding_is_replaced(beyond: Path):
    """Padding is masked: batches of different lengths write what each text alone does, by either engine."""
    generator = load_generator(str(beyond), device="cpu")
    assert generator.tokenizer.pad_token_id == 300
    assert generator.pad_id == 0

    prompts = [[5, 6, 7, 8, 9, 10], [7], [8, 9]]
    padded = [one.tokens for one in generate_padded(generator, prompts, [8, 8, 8])]

    assert padded == [generate_padded(generator, [prompt], [8])[0].tokens for prompt in prompts]
    packed = Decoder(load_generator(str(beyond), device="cpu")).generate([Request(prompt, 8) for prompt in prompts])
    assert padded == [one.tokens for one in packed]


def test_padding_id_in_training_has_an_embedding(beyond: Path):
    """A batch of two lengths goes through the model."""
    model, words = task(beyond).build({})
    samples = [{"input_ids": [5] * count, "labels": [5] * count} for count in (3, 9)]

    batch = task(beyond).collator(padding_id(words, model.get_input_embeddings().num_embeddings), {})(samples)

    assert torch.isfinite(model(**batch).loss)


def test_load_generator_config_with_a_padding_id_beyond_the_embedding_loads(tmp_path: Path):
    """torch refuses to make an embedding whose padding row it lacks."""
    tiny_models.save(tmp_path, "llama")
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"pad_token_id": 1', '"pad_token_id": 300'))

    assert load_generator(str(tmp_path), device="cpu").pad_id == 1
    assert task(tmp_path).build({})[0].config.pad_token_id is None


def test_tokenizer_whose_end_token_has_no_embedding_is_refused(tmp_path: Path):
    """Nothing could end, and every sample would ask for a row that is not there."""
    model = tiny_models.save(tmp_path / "model", "llama")
    words = tiny_models.tokenizer()
    words.add_special_tokens({"eos_token": "<|im_end|>"})
    words.save_pretrained(tmp_path / "words")

    with pytest.raises(ConfigError, match=r"<\|im_end\|> has the id 300, but the model has 300 embeddings"):
        task(model, tmp_path / "words").build({})
    words.save_pretrained(model)
    with pytest.raises(EngineError, match=r"<\|im_end\|> has the id 300"):
        load_generator(str(model), device="cpu")
