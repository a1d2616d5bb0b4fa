"""Adapters of vision-language models: names of older code, and those of another model."""

import json
from collections.abc import Callable
from pathlib import Path

import peft
import pytest
import tiny_models
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_vision import Kind, got_model, got_processor, paligemma_model, paligemma_processor, save

from ocrray.errors import EngineError
from ocrray.models.adapters import attach_adapter
from ocrray.models.vision.adapters import in_present_names
from ocrray.models.vision.loading import load_vision_model

MODELS = {
    "got": lambda: got_model(got_processor().tokenizer),
    "paligemma": lambda: paligemma_model(paligemma_processor().tokenizer),
}
PREFIX = "base_model.model."
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def save_adapter(folder: Path, kind: Kind, hidden_size: int = 48) -> Path:
    """A LoRA whose weights are not zero, of the tiny model or of one of another size."""
    model = MODELS[kind]()
    if hidden_size != 48:
        model.config.text_config.hidden_size = hidden_size
        model = type(model)(model.config)
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=TARGETS))
    torch.manual_seed(2)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    adapted.save_pretrained(folder)
    return folder


def rewrite(folder: Path, rename: Callable[[str], str], target_modules: object = None) -> None:
    """Give the tensors of an adapter other names, and its settings other targets."""
    tensors = load_file(folder / "adapter_model.safetensors")
    save_file({rename(name): tensor for name, tensor in tensors.items()}, folder / "adapter_model.safetensors")
    if target_modules:
        settings = json.loads((folder / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps(settings | {"target_modules": target_modules}))


def lora_weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight for name, weight in network.state_dict().items() if "lora_" in name}


def original_got(name: str) -> str:
    return name.replace("model.language_model.", "model.")


def before_4_52(name: str) -> str:
    name = name.replace(f"{PREFIX}model.language_model.", f"{PREFIX}language_model.model.")
    return name.replace(f"{PREFIX}model.vision_tower.", f"{PREFIX}vision_tower.vision_model.")


def before_5(name: str) -> str:
    return name.replace("vision_tower.", "vision_tower.vision_model.")


@pytest.mark.parametrize(
    ("kind", "rename", "target_modules"),
    [
        pytest.param("got", original_got, None, id="original GOT"),
        pytest.param("got", original_got, rf"^(model\.layers(?=\.).*\.({'|'.join(TARGETS)}))$", id="ms-swift, original GOT"),
        pytest.param("got", before_4_52, rf"^(language_model(?=\.).*\.({'|'.join(TARGETS)}))$", id="ms-swift, transformers 4.51"),
        pytest.param("paligemma", before_4_52, None, id="PaliGemma, transformers 4.51"),
        pytest.param("paligemma", before_5, None, id="PaliGemma, transformers 4.57"),
    ],
)
def test_adapter_with_names_of_older_code_gets_those_of_the_model(
    tmp_path: Path, kind: Kind, rename: Callable[[str], str], target_modules: object
):
    """By itself peft loads nothing of some of them, and warns at most; patterns of old names fit no module."""
    adapter = save_adapter(tmp_path, kind)
    expected = load_file(adapter / "adapter_model.safetensors")
    rewrite(adapter, rename, target_modules)
    network = MODELS[kind]()

    with in_present_names(adapter, network) as renamed:
        tensors = load_file(renamed / "adapter_model.safetensors")
        attached = attach_adapter(network, renamed, merge=False)

    assert tensors.keys() == expected.keys()
    assert all(tensors[name].equal(expected[name]) for name in expected)
    assert len(lora_weights(attached)) == len(expected)


def test_adapter_of_another_base_is_refused_in_one_line_with_its_folder(tmp_path: Path):
    """One of the other architecture, one of another width, and one with old names of modules that this model has not."""
    other, wide, unknown = (tmp_path / name for name in ("other", "wide", "unknown"))
    save_adapter(other, "paligemma")
    save_adapter(wide, "got", hidden_size=64)
    rewrite(save_adapter(unknown, "got"), lambda name: original_got(name).replace("layers.1", "layers.7"))

    for adapter in (other, wide, unknown):
        network = MODELS["got"]()
        with pytest.raises(EngineError) as raised, in_present_names(adapter, network) as renamed:
            attach_adapter(network, renamed, merge=False)
        assert str(adapter) in str(raised.value)
        assert "another base?" in str(raised.value)
        assert "\n" not in str(raised.value)


def test_loaded_model_computes_what_was_trained_with_its_adapter_merged_or_not(tmp_path: Path):
    """The weights of the language half and of the vision tower count."""
    model, adapter = save(tmp_path / "model", "paligemma"), save_adapter(tmp_path / "adapter", "paligemma")
    trained = peft.PeftModel.from_pretrained(MODELS["paligemma"](), adapter).eval()
    rewrite(adapter, before_5)

    loaded = [load_vision_model(model, adapter=str(adapter), merge_adapter=merge) for merge in (False, True)]
    batch = loaded[0].encoder.batch([loaded[0].encoder.encode_prompt(Image.linear_gradient("L"), "read")])
    with torch.inference_mode():
        expected, apart, merged = (network(**batch).logits for network in (trained, loaded[0].model, loaded[1].model))

    assert apart.equal(expected)
    assert torch.allclose(merged, expected, atol=1e-5)
    assert not lora_weights(loaded[1].model)


def test_text_model_is_refused_as_no_vision_model(tmp_path: Path):
    """`AutoModelForCausalLM` would load it, and read no image."""
    with pytest.raises(EngineError, match=r"no vision-language model"):
        load_vision_model(tiny_models.save(tmp_path, "llama"))
