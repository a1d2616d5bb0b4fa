"""Adapters write what peft writes with them, attached or merged, or are refused in one line."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import tiny_models
import torch
import transformers
from safetensors.torch import load_file, save_file

from ocrray.engines.hf import HfConfig
from ocrray.errors import EngineError
from ocrray.models.folders import adapter_base_note, adapter_problems
from ocrray.models.loading import load_generator

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:peft")
ATTENTION = ["q_proj", "v_proj"]
Change = Callable[[Any], Any]


def save_base(folder: Path, **settings: Any) -> Path:
    """A Llama with a tokenizer of 300 tokens; `settings` are those of its config."""
    torch.manual_seed(0)
    config = tiny_models.config("llama")
    for name, value in settings.items():
        setattr(config, name, value)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tiny_models.tokenizer().save_pretrained(folder)
    return folder


def save_adapter(folder: Path, base: Path, config: peft.PeftConfig, before: Change | None = None) -> torch.Tensor:
    """Save an adapter with weights as after some training; return the logits that peft computes with it.

    `before` changes the base first.
    """
    torch.manual_seed(1)
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    if before:
        before(model)
    adapted = peft.get_peft_model(model, config).eval()
    with torch.no_grad():
        for weight in (weight for weight in adapted.parameters() if weight.requires_grad):
            weight.add_(torch.randn_like(weight) * 0.05)
    adapted.save_pretrained(folder)
    return logits(adapted)


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    return model(input_ids=torch.arange(3, 40)[None]).logits[0]


def lora(targets: list[str], **settings: Any) -> peft.LoraConfig:
    return peft.LoraConfig(r=4, target_modules=targets, task_type="CAUSAL_LM", **settings)


TIED = {
    "head": lora(["lm_head"]),
    "embedding": lora(["embed_tokens"]),
    "both": lora(["embed_tokens", "lm_head"]),
    "both as one": lora(["embed_tokens", "q_proj"], ensure_weight_tying=True),
    "head by DoRA": lora(["lm_head", "q_proj"], use_dora=True),
    "head by IA3": peft.IA3Config(target_modules=["lm_head", "v_proj"], feedforward_modules=[], task_type="CAUSAL_LM"),
    "whole head": lora(ATTENTION, modules_to_save=["lm_head"]),
    "whole embedding": lora(ATTENTION, modules_to_save=["embed_tokens"]),
    "rows": lora(ATTENTION, trainable_token_indices=[7, 9, 30]),
}


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_base(tmp_path_factory.mktemp("tied"), tie_word_embeddings=True)


@pytest.mark.parametrize("name", TIED)
def test_load_generator_merged_adapter_of_a_tied_embedding_computes_what_peft_does(tmp_path: Path, tied: Path, name: str):
    """Embedding and head share a weight, and the adapter changes one of them; also once the merged model is saved and loaded."""
    wanted = save_adapter(tmp_path / "adapter", tied, TIED[name])
    assert not torch.allclose(logits(transformers.AutoModelForCausalLM.from_pretrained(tied)), wanted, atol=1e-2)

    merged = load_generator(str(tied), adapter=str(tmp_path / "adapter"), merge_adapter=True, device="cpu").model

    torch.testing.assert_close(logits(merged), wanted, atol=1e-3, rtol=1e-3)
    merged.save_pretrained(tmp_path / "merged")
    saved = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(logits(saved), wanted, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    "config",
    [
        lora([*ATTENTION, "lm_head"], trainable_token_indices={"embed_tokens": [7, 9]}),
        lora(ATTENTION, alora_invocation_tokens=[9, 10]),
        lora(ATTENTION, layer_replication=[[0, 2], [1, 2]]),
    ],
    ids=["rows of a changed head", "aLoRA", "layers twice"],
)
def test_load_generator_adapter_that_cannot_be_merged_is_refused_in_one_line(tmp_path: Path, tied: Path, config: Any):
    """peft has no merge for it, or its merge computes something else."""
    save_adapter(tmp_path, tied, config)

    with pytest.raises(EngineError, match=r"merged.*set engine: padded$") as caught:
        load_generator(str(tied), adapter=str(tmp_path), merge_adapter=True, device="cpu")

    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"num_hidden_layers": 4},
            r"holds 8 tensors that the model has no place for, model\.layers\.2\.\S+ for one; .*names .*other",
        ),
        ({"num_hidden_layers": 1}, r"lacks tensors .*layers\.1\.\S+ for one; .*names .*other"),
        ({"hidden_size": 48}, r"tensors of other shapes, size mismatch .*names .*other"),
    ],
    ids=["deeper", "shallower", "wider"],
)
def test_load_generator_adapter_of_another_base_is_refused(tmp_path: Path, changes: dict[str, int], message: str):
    """One line names a tensor and the base that the adapter was trained on; nothing is left out in silence."""
    base, other = save_base(tmp_path / "base"), save_base(tmp_path / "other", **changes)
    save_adapter(tmp_path / "adapter", other, lora(ATTENTION))

    with pytest.raises(EngineError, match=message) as caught:
        load_generator(str(base), adapter=str(tmp_path / "adapter"), device="cpu")

    assert len(str(caught.value).splitlines()) == 1


def test_load_generator_adapter_tensors_added_by_hand_are_refused(tmp_path: Path, tied: Path):
    """A tensor of any name that finds no place in the model ends the loading."""
    save_adapter(tmp_path, tied, lora(ATTENTION))
    weights = tmp_path / "adapter_model.safetensors"
    save_file(load_file(weights) | {"base_model.model.model.layers.0.mlp.up_proj.lora_A.weight": torch.ones(4, 32)}, weights)

    with pytest.raises(EngineError, match=r"holds 1 tensors .*up_proj"):
        load_generator(str(tied), adapter=str(tmp_path), device="cpu")


@pytest.mark.parametrize(
    "config",
    [
        peft.PromptTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM"),
        peft.PromptEncoderConfig(num_virtual_tokens=4, encoder_hidden_size=8, task_type="CAUSAL_LM"),
        peft.PrefixTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM"),
        peft.AdaptionPromptConfig(adapter_len=4, adapter_layers=2, task_type="CAUSAL_LM"),
    ],
    ids=["prompt", "p", "prefix", "adaption"],
)
def test_adapter_problems_prompt_learning_is_refused_by_name(tmp_path: Path, tied: Path, config: Any):
    """Known from the settings alone, before a run; a hub's adapter is refused when it is loaded."""
    peft.get_peft_model(transformers.AutoModelForCausalLM.from_pretrained(tied), config).save_pretrained(tmp_path)

    [problem] = adapter_problems(str(tmp_path))

    assert "not supported" in problem
    with pytest.raises(EngineError, match="not supported"):
        load_generator(str(tied), adapter=str(tmp_path), device="cpu")


def test_adapter_problems_prompt_learning_of_every_kind_of_peft_is_known():
    """Each kind that peft itself calls prompt learning."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    from ocrray.models.folders import _PROMPT_LEARNING

    kinds = {kind.value for kind, config in PEFT_TYPE_TO_CONFIG_MAPPING.items() if _is_prompt_learning(config)}

    assert kinds <= set(_PROMPT_LEARNING)


def _is_prompt_learning(config: type[peft.PeftConfig]) -> bool:
    return issubclass(config, peft.PromptLearningConfig)


def test_adapter_base_note_names_another_base(tmp_path: Path, tied: Path, caplog: pytest.LogCaptureFixture):
    """Another name is a warning before the run; a base that moved to another folder is the same."""
    save_adapter(tmp_path, tied, lora(ATTENTION))
    settings = tmp_path / "adapter_config.json"

    def note(named: str | None, model: str) -> str:
        settings.write_text(json.dumps(json.loads(settings.read_text()) | {"base_model_name_or_path": named}))
        return adapter_base_note(str(tmp_path), model)

    assert note(str(tied), str(tied)) == note(f"{tied}/../{tied.name}", str(tied)) == note(None, str(tied)) == ""
    assert note(f"/gone/{tied.name}", str(tied)) == note("meta-llama/Llama-3.1-8B", "meta-llama/llama-3.1-8b") == ""
    assert note("meta-llama/Llama-3.1-8B", "/models/Llama-3.1-8B") == ""
    assert "meta-llama/Llama-3.1-8B-Instruct" in note("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B")
    assert "/other" in note("/other", str(tied))
    with caplog.at_level(logging.WARNING):
        HfConfig(engine="hf", model=str(tied), adapter=str(tmp_path), prompt="plain").check("correct")
    assert "/other" in caplog.text


RESIZED = {
    "embedding and head saved": lora(ATTENTION, modules_to_save=["embed_tokens", "lm_head"]),
    "changes to both": lora([*ATTENTION, "embed_tokens", "lm_head"]),
    "change to the head": lora([*ATTENTION, "lm_head"]),
    "embedding saved by peft": lora(ATTENTION),
}


@pytest.mark.parametrize("name", RESIZED)
@pytest.mark.parametrize(
    ("rows", "base_rows", "is_tied"), [(320, 300, False), (320, 300, True), (302, 384, False), (384, 320, True)]
)
def test_load_generator_adapter_of_a_resized_model_computes_what_peft_does(
    tmp_path: Path, name: str, rows: int, base_rows: int, is_tied: bool
):
    """The base gets as many rows as the adapter's own tensors have: padded to a multiple, or fewer than it was published with."""
    base = save_base(tmp_path / "base", vocab_size=base_rows, tie_word_embeddings=is_tied)
    words = tiny_models.tokenizer()
    words.add_tokens(["<a>", "<b>"])
    words.save_pretrained(tmp_path / "adapter")

    def resize(model: Any) -> None:
        model.resize_token_embeddings(rows, mean_resizing=False)

    wanted = save_adapter(tmp_path / "adapter", base, RESIZED[name], resize)

    for merge in (False, True):
        generator = load_generator(str(base), adapter=str(tmp_path / "adapter"), merge_adapter=merge, device="cpu")
        written = logits(generator.model)
        assert written.shape == wanted.shape
        torch.testing.assert_close(written[:, :300], wanted[:, :300], atol=1e-3, rtol=1e-3)
        assert len(generator.tokenizer) == 302
