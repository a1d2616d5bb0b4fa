"""Base of the tasks for models that may have weights already: checks of their files, loading, limits."""

import importlib.util
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocrray.errors import ConfigError
from ocrray.models.folders import ADAPTER_FILES, adapter_problems, model_problems
from ocrray.models.limits import max_positions, without_impossible_padding
from ocrray.models.loading import load_weights
from ocrray.training.settings import LoraMethod, RunSettings
from ocrray.training.tasks.architecture import architecture_problems, target_problems
from ocrray.training.tasks.base import Task

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


class PretrainedTask(Task):
    """Task whose model is a generative one of transformers, of a folder or the hub, or a new one."""

    def __init__(self, run: RunSettings) -> None:
        self._run = run

    def folder_problems(self, name: str) -> list[str]:
        """Return what keeps the model `name` from being loaded, as far as its files tell."""
        return model_problems(name)

    def problems(self) -> list[str]:
        """Return reasons why the model cannot be trained as configured, as far as its files tell; a line each."""
        found = []
        model, method = self._run.model, self._run.method
        if model.name and not self._run.from_scratch:
            found += [f"model.name: {problem}" for problem in self.folder_problems(model.name)]
        if method.kind == "qlora" and not self._run.workers.gpus:
            found.append("method.kind: qlora runs on GPUs only; set workers.gpus, or take lora")
        if self._run.optimizer.kind == "paged_adamw" and not self._run.workers.gpus:
            found.append("optimizer.kind: paged_adamw runs on GPUs only; set workers.gpus, or take adamw")
        if importlib.util.find_spec("bitsandbytes") is None:
            if method.kind == "qlora":
                found.append("method.kind: qlora needs bitsandbytes; pip install bitsandbytes, or take lora")
            if self._run.optimizer.kind == "paged_adamw":
                found.append("optimizer.kind: paged_adamw needs bitsandbytes; pip install bitsandbytes, or take adamw")
        found += architecture_problems(self._run)
        found += self._adapter_problems()
        return found + target_problems(self._run, self.model_class)

    def _adapter_problems(self) -> list[str]:
        """Return what keeps `model.adapter` from being trained further, as far as its files tell."""
        adapter, method = self._run.model.adapter, self._run.method
        if adapter is None:
            return []
        if not isinstance(method, LoraMethod):
            return [f"model.adapter: method.kind {method.kind} trains no adapter; take lora, or merge it into model.name first"]
        if wrong := adapter_problems(adapter):
            return [f"model.adapter: {problem}" for problem in wrong]
        from ocrray.training.adapters import continuation_problem

        settings = Path(adapter) / ADAPTER_FILES[0]
        problem = continuation_problem(json.loads(settings.read_text(encoding="utf-8")), method) if settings.is_file() else ""
        return [f"model.adapter: {adapter}: {problem}"] if problem else []

    def _engine_weights(self, folder: Path) -> dict[str, Any]:
        """Return the config keys by which an engine loads a checkpoint: a whole model, or an adapter on its base model."""
        model = self._run.model
        trusted = {"trust_remote_code": model.trust_remote_code}
        if (folder / ADAPTER_FILES[0]).is_file():
            return {"model": model.name, "revision": model.revision, "adapter": str(folder), **trusted}
        return {"model": str(folder), **trusted}

    @cached_property
    def _limit_tokens(self) -> int:
        """Tokens of the longest sample that the config allows and the model takes."""
        from transformers import AutoConfig

        is_new = self._run.from_scratch
        settings = AutoConfig.for_model(**(self._run.model.architecture or {})) if is_new else self._pretrained_config()
        limit = self._run.data.max_length_tokens
        return min(limit, max_positions(settings) or limit)

    def _pretrained_model(self) -> "PreTrainedModel":
        model = self._run.model
        network: PreTrainedModel = load_weights(
            self.model_class(),
            model.pretrained,
            name=f"model.name: {model.name}",
            error=ConfigError,
            config=self._pretrained_config(),
            revision=model.revision or "main",
            trust_remote_code=model.trust_remote_code,
            **self._precision(),
        )
        return network

    def _pretrained_config(self) -> "PreTrainedConfig":
        from transformers import AutoConfig

        model = self._run.model
        settings: PreTrainedConfig = AutoConfig.from_pretrained(
            model.pretrained, revision=model.revision or "main", trust_remote_code=model.trust_remote_code
        )
        return without_impossible_padding(settings)

    def _precision(self) -> dict[str, Any]:
        """Return dtype arguments: trained weights in float32, frozen ones in the precision of the run or in 4 bits."""
        if self._run.method.kind == "full":
            return {"dtype": "float32"}
        if self._run.method.kind == "lora":
            return {"dtype": self._run.precision}
        import torch
        from transformers import BitsAndBytesConfig

        compute = getattr(torch, self._run.precision)
        four_bits = BitsAndBytesConfig(  # type: ignore[no-untyped-call]  # transformers leaves its **kwargs without a type
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=compute
        )
        return {"dtype": compute, "quantization_config": four_bits}
