"""Edit tagging: token classification over characters, whose labels say keep, delete or write these characters instead."""

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ocrray.models.characters import character_encoder, padded_length
from ocrray.synth.clean import straighten
from ocrray.text.labels import KEEP, apply_labels, possible_labels
from ocrray.training.config import TrainConfig
from ocrray.training.tasks import NO_LOSS, SAMPLES, Facts
from ocrray.training.tasks.architecture import architecture_problems

MAX_CER = 0.5  # beyond it the two texts are not a pair: alignment would teach nonsense


class EditTagging:
    """Windows of a text's characters, each with the label of its edit."""

    def __init__(self, config: TrainConfig) -> None:
        self._config = config
        self._task = config.task

    def columns(self) -> dict[str, str]:
        return {"source": self._config.data.source_column, "target": self._config.data.target_column}

    def problems(self) -> list[str]:
        return architecture_problems(self._config)

    def survey(self, sample: Callable[[], pa.Table]) -> Facts:
        """The labels: those of the model that is trained further, or the most frequent ones of a new model's data."""
        if self._config.method.kind != "from_scratch":
            from transformers import AutoConfig

            settings = AutoConfig.from_pretrained(self._config.model.name, revision=self._config.model.revision)
            return {"labels": [settings.id2label[number] for number in range(settings.num_labels)]}
        counts: Counter[str] = Counter()
        for source, target in self._pairs(sample()):
            counts.update(possible_labels(source, target))
        del counts[KEEP]
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return {"labels": [KEEP, *(label for label, _ in ranked[: self._task.num_labels - 1])]}

    def encode(self, rows: pa.Table, facts: Facts) -> pa.Table:
        """Windows of `window_chars`; `not_a_pair` where source and target differ too much, `empty` where one is missing."""
        encode = character_encoder(self._tokenizer, self._config.model.name or "model.tokenizer")
        label_ids = {label: number for number, label in enumerate(facts["labels"])}
        samples: list[dict[str, Any]] = []
        for number, (source, target) in enumerate(self._pairs(rows)):
            if not source or not target:
                samples.append({"row": number, "source": source, "target": target, "dropped": "empty"})
                continue
            labels = possible_labels(source, target)
            if sum(label != KEEP for label in labels) > MAX_CER * len(source):
                samples.append({"row": number, "source": source, "target": target, "dropped": "not_a_pair"})
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
        from ocrray.engines.tagger import Tagger, TaggerConfig
        from ocrray.text.metrics import cer_totals, distances
        from ocrray.text.normalise import for_scoring

        tagger = Tagger(TaggerConfig(engine="tagger", model=str(folder), threshold=0.5))
        raw, truth = samples["source"].to_pylist(), samples["target"].to_pylist()
        fixed = [correction.text or text for text, correction in zip(raw, tagger.correct(raw), strict=True)]
        totals = cer_totals([len(for_scoring(text)) for text in truth], distances(raw, truth), distances(fixed, truth))
        return {"raw_cer": totals.micro_raw_cer, "cer": totals.micro_corrected_cer, "made_worse_frac": totals.made_worse_frac}

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
        return AutoModelForTokenClassification.from_pretrained(
            model.name,
            dtype="float32",
            use_safetensors=True,
            revision=model.revision or "main",
            trust_remote_code=model.trust_remote_code,
        )

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
        from transformers import AutoTokenizer, CanineTokenizer

        model = self._config.model
        if model.tokenizer == "characters":
            return CanineTokenizer(model_max_length=max(self._task.window_chars))  # later positions are not learned
        name = model.tokenizer or model.name
        return AutoTokenizer.from_pretrained(name, revision=model.revision or "main", trust_remote_code=model.trust_remote_code)
