"""Edit tagging: token classification over characters, whose labels say keep, delete or write these characters instead."""

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ocrray.engines.tagger import Tagger, TaggerConfig, label_problem, tagger_problems
from ocrray.errors import ConfigError
from ocrray.models.characters import character_encoder, max_text_chars, padded_length
from ocrray.models.folders import model_problems
from ocrray.models.loading import missing_weights
from ocrray.synth.clean import straighten
from ocrray.text.labels import KEEP, apply_labels, possible_labels
from ocrray.training.config import TrainConfig
from ocrray.training.tasks import MAX_ALIGNED_CHARS, NO_LOSS, SAMPLES, Facts
from ocrray.training.tasks.architecture import architecture_problems, known_settings
from ocrray.training.tokenizers import published_tokenizer

MAX_CER = 0.5  # beyond it the two texts are not a pair: alignment would teach nonsense


class EditTagging:
    """Windows of a text's characters, each with the label of its edit."""

    def __init__(self, config: TrainConfig) -> None:
        self._config = config
        self._task = config.task

    def columns(self) -> dict[str, str]:
        return {"source": self._config.data.source_column, "target": self._config.data.target_column}

    def problems(self) -> list[str]:
        found = architecture_problems(self._config)
        name = self._config.model.name
        if self._config.method.kind != "from_scratch":
            wrong = model_problems(name) or (tagger_problems(Path(name)) if Path(name).is_dir() else [])
            found += [f"model.name: {problem}" for problem in wrong]
        positions = known_settings(self._config).get("max_position_embeddings")
        if positions and max(self._task.window_chars) > max_text_chars(positions):
            found.append(f"task.window_chars: the model takes {max_text_chars(positions)} characters at most")
        return found

    def survey(self, sample: Callable[[], pa.Table]) -> Facts:
        """The labels: those of the model that is trained further, or the most frequent ones of a new model's data."""
        if self._config.method.kind != "from_scratch":
            from transformers import AutoConfig

            settings = AutoConfig.from_pretrained(self._config.model.name, revision=self._config.model.revision)
            labels = [settings.id2label[number] for number in range(settings.num_labels)]
            if problem := label_problem(labels):  # of a hub's model, nothing was known before
                raise ConfigError(f"model.name: {self._config.model.name}: {problem}")
            return {"labels": labels}
        counts: Counter[str] = Counter()
        for source, target in self._pairs(sample()):
            if _can_be_aligned(source, target):
                counts.update(possible_labels(source, target))
        del counts[KEEP]
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return {"labels": [KEEP, *(label for label, _ in ranked[: self._task.num_labels - 1])]}

    def encode(self, rows: pa.Table, facts: Facts) -> pa.Table:
        """Windows of `window_chars`. Dropped: `empty`, `too_long` and, where source and target differ too much, `not_a_pair`."""
        encode = character_encoder(self._tokenizer, self._config.model.name or "model.tokenizer")
        label_ids = {label: number for number, label in enumerate(facts["labels"])}
        samples: list[dict[str, Any]] = []
        for number, (source, target) in enumerate(self._pairs(rows)):
            labels = possible_labels(source, target) if _can_be_aligned(source, target) else []
            if dropped := _why_dropped(source, target, labels):
                samples.append({"row": number, "source": source, "target": target, "dropped": dropped})
                continue
            shown = rows["source"][number].as_py() if zlib.crc32(source.encode()) % 2 else source
            ids = encode(shown).astype(np.int32)
            targets = np.array([label_ids.get(label, NO_LOSS) for label in labels], dtype=np.int32)
            samples += [{"row": number, **window} for window in self._windows(shown, labels, ids, targets)]
        return pa.Table.from_pylist(samples, schema=SAMPLES)

    def build(self, facts: Facts) -> tuple[Any, Any]:
        model = self._scratch(facts) if self._config.method.kind == "from_scratch" else self._pretrained()
        for name, weight in model.named_parameters():
            weight.requires_grad = ".pooler." not in name  # CANINE has one that tagging never reaches: no gradient, and DDP waits
        return model, self._tokenizer

    def collator(self, tokenizer: Any) -> Callable[[Sequence[dict[str, Any]]], dict[str, Any]]:
        pad_id = tokenizer.pad_token_id or 0

        def collate(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
            import torch

            shape = (len(samples), padded_length(max(len(sample["input_ids"]) for sample in samples)))
            inputs, labels = np.full(shape, pad_id, np.int64), np.full(shape, NO_LOSS, np.int64)
            mask = np.zeros(shape, np.int64)
            for row, sample in enumerate(samples):
                length = len(sample["input_ids"])
                inputs[row, :length], labels[row, :length], mask[row, :length] = sample["input_ids"], sample["labels"], 1
            arrays = {"input_ids": inputs, "attention_mask": mask, "labels": labels}
            return {name: torch.from_numpy(array) for name, array in arrays.items()}

        return collate

    def measure(self, folder: Path, samples: pa.Table) -> dict[str, float]:
        from ocrray.evaluation.text import correction_figures

        tagger = Tagger(TaggerConfig(engine="tagger", model=str(folder), threshold=0.5))
        raw, truth = samples["source"].to_pylist(), samples["target"].to_pylist()
        fixed = [correction.text or text for text, correction in zip(raw, tagger.correct(raw), strict=True)]
        return correction_figures(raw, fixed, truth)

    def _pairs(self, rows: pa.Table) -> list[tuple[str, str]]:
        """Source and target of every row; without differences of style where they are to be ignored, character for character."""
        plain = straighten if self._task.ignore_styles else str
        texts = (rows[name].to_pylist() for name in ("source", "target"))
        return [(plain(source or ""), plain(target or "")) for source, target in zip(*texts, strict=True)]

    def _windows(self, text: str, edits: Sequence[str], ids: np.ndarray, labels: np.ndarray) -> list[dict[str, Any]]:
        widths = self._task.window_chars
        width = widths[zlib.crc32(text.encode()) // 2 % len(widths)]
        return [
            {
                "input_ids": ids[start : start + width],
                "labels": labels[start : start + width],
                "length": len(ids[start : start + width]),
                "source": text[start : start + width],
                "target": apply_labels(text[start : start + width], edits[start : start + width]),
                "dropped": None,
            }
            for start in range(0, len(ids), width)
        ]

    def _pretrained(self) -> Any:
        from transformers import AutoModelForTokenClassification

        model = self._config.model
        network, report = AutoModelForTokenClassification.from_pretrained(
            model.name,
            dtype="float32",
            use_safetensors=True,
            output_loading_info=True,
            revision=model.revision or "main",
            trust_remote_code=model.trust_remote_code,
        )
        if problem := missing_weights(report):
            raise ConfigError(f"model.name: {model.name}: {problem}")
        return network

    def _scratch(self, facts: Facts) -> Any:
        from transformers import AutoConfig, AutoModelForTokenClassification

        labels = dict(enumerate(facts["labels"]))
        settings = AutoConfig.for_model(
            **self._config.model.architecture, id2label=labels, label2id={label: number for number, label in labels.items()}
        )
        return AutoModelForTokenClassification.from_config(settings)

    @cached_property
    def _tokenizer(self) -> Any:
        """CANINE's own takes a second to make: it counts out all of Unicode."""
        from transformers import CanineTokenizer

        if self._config.model.tokenizer == "characters":
            return CanineTokenizer(model_max_length=max(self._task.window_chars))  # later positions are not learned
        return published_tokenizer(self._config.model)


def _can_be_aligned(source: str, target: str) -> bool:
    return bool(source and target) and max(len(source), len(target)) <= MAX_ALIGNED_CHARS


def _why_dropped(source: str, target: str, labels: Sequence[str]) -> str:
    if not source or not target:
        return "empty"
    if not labels:
        return "too_long"
    return "not_a_pair" if sum(label != KEEP for label in labels) > MAX_CER * len(source) else ""
