"""The exported model loads by itself, and its files describe it truly."""

import base64
import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pytest
import tiny_models
import tiny_runs
import torch
import transformers
from safetensors.torch import load_file, save_file

from ocrray.config import load
from ocrray.engines.tagger import Tagger, TaggerConfig
from ocrray.errors import ConfigError, EngineError
from ocrray.text.metrics import cer_totals, distances
from ocrray.text.normalise import for_scoring
from ocrray.training import calibration
from ocrray.training.config import TrainConfig
from ocrray.training.delivery import pack, push
from ocrray.training.export import export, save_adapter, save_model
from ocrray.training.history import TrainedRun, read_state


@dataclass(frozen=True)
class Exported:
    """A finished run and its model folder."""

    config: TrainConfig
    checkpoint: Path
    out: Path
    held_out: pa.Table
    run: TrainedRun

    def again(self, out: Path, checkpoint: Path | None = None, **output: object) -> None:
        """Export once more, elsewhere or with other settings of the output."""
        export(_with_output(self.config, **output), checkpoint or self.checkpoint, out, run=self.run, held_out=self.held_out)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A tiny tagger trained for some seconds, stored in bfloat16 and packed."""
    folder = tmp_path_factory.mktemp("tagger")
    config = tiny_runs.tagging(folder, output={"dtype": "bfloat16", "zip": True})
    held_out = tiny_runs.tagging_samples(config, 200, seed=2)
    samples = tiny_runs.tagging_samples(config, 400, seed=1)
    checkpoint = tiny_runs.run(config, {"labels": tiny_runs.LABELS}, samples, held_out, folder / "run")[-1]
    run = TrainedRun(log=read_state(checkpoint)["log_history"])
    export(config, checkpoint, folder / "model", run=run, held_out=held_out)
    return Exported(config, checkpoint, folder / "model", held_out, run)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """An adapter trained for a moment on a Llama in bfloat16, and the model with it merged in."""
    folder = tmp_path_factory.mktemp("adapter")
    base = tiny_models.save(folder / "base", "llama")
    transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).save_pretrained(base)
    config = tiny_runs.lora(folder, base, output={"merge": True})
    samples = tiny_runs.causal_samples(tiny_models.tokenizer(), 32)
    checkpoint = tiny_runs.run(config, {}, samples, samples, folder / "run")[-1]
    run = TrainedRun(log=read_state(checkpoint)["log_history"])
    export(config, checkpoint, folder / "model", run=run, held_out=samples)
    return Exported(config, checkpoint, folder / "model", samples, run)


_LOAD = """
import json, sys, torch, transformers, peft
tagger, adapter, merged = sys.argv[1:]
model = transformers.AutoModelForTokenClassification.from_pretrained(tagger, dtype="auto")
transformers.AutoTokenizer.from_pretrained(tagger)
tuned = peft.AutoPeftModelForCausalLM.from_pretrained(adapter, dtype=torch.float32)
whole = transformers.AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32)
ids = transformers.AutoTokenizer.from_pretrained(adapter)("the lazy dog", return_tensors="pt").input_ids
with torch.no_grad():
    logits = [one(input_ids=ids).logits for one in (tuned, tuned.get_base_model(), whole)]
    with tuned.disable_adapter():
        bare = tuned(input_ids=ids).logits
print(json.dumps({"dtype": str(model.dtype), "labels": list(model.config.id2label.values()),
    "merged": (logits[0] - logits[2]).abs().max().item(), "bare": (logits[0] - bare).abs().max().item()}))
"""


def test_export_loads_in_a_fresh_process(tagger: Exported, adapter: Exported, tmp_path: Path) -> None:
    """Tagger, adapter and merged model load with the plain classes, wherever the process runs; adapter and merged model agree."""
    folders = [str(tagger.out), str(adapter.out), str(adapter.out.with_name("merged"))]
    done = subprocess.run([sys.executable, "-c", _LOAD, *folders], cwd=tmp_path, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["dtype"] == "torch.bfloat16"
    assert found["labels"] == tiny_runs.LABELS
    assert found["bare"] > 20 * found["merged"]  # merging rounds to bfloat16; training moved the model further than that


def test_adapter_names_the_revision_of_its_base(adapter: Exported, tmp_path: Path) -> None:
    """Whoever loads it gets the base that it was trained on."""
    model = adapter.config.model.model_copy(update={"revision": "abc"})
    save_adapter(adapter.config.model_copy(update={"model": model}), adapter.checkpoint, tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["revision"] == "abc"


def test_export_holds_weights_tokenizer_and_what_describes_them_only(tagger: Exported, adapter: Exported) -> None:
    """Optimizer, random states and other pickles stay behind."""
    described = {"README.md", "loss.png", "training_config.yaml", "tokenizer_config.json"}
    assert {file.name for file in tagger.out.iterdir()} == described | {"reliability.png", "config.json", "model.safetensors"}
    assert {file.name for file in adapter.out.iterdir()} == described | {
        "adapter_config.json",
        "adapter_model.safetensors",
        "tokenizer.json",
    }


def test_training_config_beside_the_model_is_the_run(tagger: Exported) -> None:
    """The file beside the weights loads as the config of the run."""
    assert load(tagger.out / "training_config.yaml", TrainConfig) == tagger.config


def test_merged_model_keeps_the_dtype_of_its_base(adapter: Exported) -> None:
    """Every tensor of a base in bfloat16 is in bfloat16 again, and no tensor of an adapter is left over."""
    tensors = load_file(adapter.out.with_name("merged") / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    assert not [name for name in tensors if "lora" in name]


def test_merged_model_of_an_extended_vocabulary_has_its_rows(adapter: Exported, tmp_path: Path) -> None:
    """A tokenizer that grew in training stays whole when the adapter is merged."""
    grown = tmp_path / "checkpoint"
    grown.mkdir()
    for file in adapter.checkpoint.glob("*.json"):
        (grown / file.name).write_bytes(file.read_bytes())
    (grown / "adapter_model.safetensors").write_bytes((adapter.checkpoint / "adapter_model.safetensors").read_bytes())
    tokenizer = tiny_models.tokenizer()
    tokenizer.add_tokens(["<title>", "<date>"])
    tokenizer.save_pretrained(grown)
    adapter.again(tmp_path / "model", grown)
    merged = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert merged.get_input_embeddings().weight.shape[0] == len(tokenizer)
    assert len(transformers.AutoTokenizer.from_pretrained(tmp_path / "merged")) == len(tokenizer)


@pytest.fixture(scope="module")
def calibrated(tagger: Exported) -> tuple[Path, calibration.Calibration]:
    """The same tagger stored in float32, and what its calibration found."""
    folder = tagger.out.with_name("float32")
    save_model(_with_output(tagger.config, dtype="float32"), tagger.checkpoint, folder)
    return folder, calibration.calibrate(folder, tiny_runs.open_task(tagger.config), tagger.held_out)


def test_calibrated_tagger_does_in_the_engine_what_its_figures_say(
    tagger: Exported, calibrated: tuple[Path, calibration.Calibration]
) -> None:
    """The engine, at the threshold that was written into the folder, corrects the held-out texts as the calibration counted."""
    folder, found = calibrated
    figures = {one.threshold: one.totals for one in found.figures}[found.threshold]
    raw, truth = (tagger.held_out[name].to_pylist() for name in ("source", "target"))
    engine = Tagger(TaggerConfig(engine="tagger", model=str(folder), dtype="float32"))
    outputs = [correction.text for correction in engine.correct(raw)]
    assert cer_totals([len(for_scoring(text)) for text in truth], distances(raw, truth), distances(outputs, truth)) == figures
    assert figures.corrected_distance < figures.raw_distance


def test_temperature_is_divided_out_of_the_head(tagger: Exported, calibrated: tuple[Path, calibration.Calibration]) -> None:
    """The folder's logits are the checkpoint's over the temperature; the other weights are as they were."""
    folder, found = calibrated
    before, after = (load_file(one / "model.safetensors") for one in (tagger.checkpoint, folder))
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"classifier.weight", "classifier.bias"}
    assert torch.allclose(before["classifier.weight"] / found.temperature, after["classifier.weight"])
    assert torch.allclose(before["classifier.bias"] / found.temperature, after["classifier.bias"])
    assert found.temperature != 1


def test_export_takes_the_place_of_an_earlier_one_only_when_complete(adapter: Exported, tmp_path: Path) -> None:
    """A failed export leaves the model that is there; a good one leaves nothing of it."""
    out = tmp_path / "model"
    out.mkdir()
    (out / "old.safetensors").write_bytes(b"old")
    with pytest.raises(ConfigError, match="holds no"):
        adapter.again(out, checkpoint=_state_only(adapter.checkpoint, tmp_path / "empty"))
    assert [file.name for file in out.iterdir()] == ["old.safetensors"]
    adapter.again(out, merge=False)
    assert not (out / "old.safetensors").exists()
    assert not (tmp_path / "merged").exists()


def test_export_of_weights_that_a_dtype_cannot_hold_is_refused(tagger: Exported, tmp_path: Path) -> None:
    """A number beyond float16 would become infinite: the tensor is named instead."""
    checkpoint = _state_only(tagger.checkpoint, tmp_path / "checkpoint")
    tensors = load_file(tagger.checkpoint / "model.safetensors")
    tensors["classifier.bias"][0] = 1e6
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    (checkpoint / "config.json").write_bytes((tagger.checkpoint / "config.json").read_bytes())
    with pytest.raises(ConfigError, match=r"classifier\.bias"):
        tagger.again(tmp_path / "model", checkpoint, dtype="float16")


def test_export_of_a_checkpoint_without_an_adapter_is_refused(tagger: Exported, adapter: Exported, tmp_path: Path) -> None:
    """A full model's checkpoint is no adapter's."""
    with pytest.raises(ConfigError, match="adapter_config"):
        adapter.again(tmp_path / "model", tagger.checkpoint)


def test_pack_gives_the_same_bytes_for_the_same_folder(tagger: Exported) -> None:
    """The archive holds the folder under its name, file by file, and does not depend on the time."""
    packed = tagger.out.with_name("model.zip")
    first = packed.read_bytes()
    for file in tagger.out.iterdir():
        file.touch()
    assert pack(tagger.out).read_bytes() == first
    with zipfile.ZipFile(packed) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            f"model/{file.name}": file.read_bytes() for file in tagger.out.iterdir()
        }


class _Hub(BaseHTTPRequestHandler):
    """As much of a hub as an upload needs: it takes every file in the commit itself."""

    files: ClassVar[dict[str, bytes]] = {}
    created: ClassVar[list[dict]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = self.path.partition("?")[0]
        if path == "/api/repos/create":
            self.created.append(json.loads(body))
            refused = self.created[-1]["name"] == "closed"
            self._answer(403 if refused else 200, {"error": "this token may not write", "url": "https://huggingface.co/me/model"})
        elif path == "/api/validate-yaml":  # of the card's front matter
            self._answer(200, {"errors": [], "warnings": []})
        elif path.endswith("/preupload/main"):
            names = [file["path"] for file in json.loads(body)["files"]]
            self._answer(200, {"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]})
        elif path.endswith("/commit/main"):
            rows = [json.loads(line) for line in body.splitlines()]
            _Hub.files |= {
                row["value"]["path"]: base64.b64decode(row["value"]["content"]) for row in rows if row["key"] == "file"
            }
            self._answer(200, {"commitUrl": "https://huggingface.co/me/model/commit/1", "commitOid": "1" * 40, "success": True})
        else:
            self._answer(404, {"error": path})

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def _answer(self, status: int, body: dict) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Hub]]:
    """A hub on this machine, with a token for it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    yield _Hub
    server.shutdown()
    server.server_close()


def test_push_uploads_every_file_into_a_private_repository(adapter: Exported, hub: type[_Hub]) -> None:
    """The hub receives the files of the folder."""
    push(adapter.out, "me/model")
    assert hub.files == {file.name: file.read_bytes() for file in adapter.out.iterdir()}
    assert hub.created[-1]["visibility"] == "private"


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(("repository", "reason"), [("no such/name", "no such/name"), ("me/closed", "may not write")])
def test_push_that_the_hub_refuses_is_one_readable_line(adapter: Exported, repository: str, reason: str) -> None:
    """The line says what was refused, and where the model is."""
    with pytest.raises(EngineError, match=reason) as caught:
        push(adapter.out, repository)
    assert "\n" not in str(caught.value)
    assert str(adapter.out) in str(caught.value)


def test_push_without_a_hub_in_reach_is_one_readable_line(adapter: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens: the model is kept, and the line says where."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    with pytest.raises(EngineError, match=str(adapter.out)):
        push(adapter.out, "me/model")


def _with_output(config: TrainConfig, **output: object) -> TrainConfig:
    return config.model_copy(update={"output": config.output.model_copy(update=output)})


def _state_only(checkpoint: Path, folder: Path) -> Path:
    folder.mkdir()
    (folder / "trainer_state.json").write_bytes((checkpoint / "trainer_state.json").read_bytes())
    for file in checkpoint.glob("tokenizer*"):
        (folder / file.name).write_bytes(file.read_bytes())
    return folder
