"""Edit tagging: token classification over characters whose labels are edits: keep, delete, or write these characters."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import PositiveInt

from ocrray.engines.tagger import Tagger, TaggerConfig, label_problem, tagger_problems
from ocrray.errors import ConfigError
from ocrray.models.characters import character_encoder, max_text_chars, padded_length
from ocrray.models.folders import model_problems
from ocrray.models.loading import load_weights
from ocrray.synth.clean import straighten
from ocrray.text.choices import stable_choice
from ocrray.text.labels import KEEP, apply_labels, possible_labels
from ocrray.text.limits import MAX_ALIGNED_CHARS
from ocrray.training.samples import NO_LOSS, SAMPLES, Column, Facts
from ocrray.training.settings import RunSettings
from ocrray.training.tasks.architecture import architecture_problems, known_settings
from ocrray.training.tasks.base import BaseTaskConfig, CardText, Collator, Finished, LossFunction, Sample, Task
from ocrray.training.tokenizers import published_tokenizer

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MAX_CER = 0.5  # beyond it the two texts are not a pair, and their alignment would teach nonsense
_MEASURED_THRESHOLD = 0.5
_STYLES = (False, True)  # whether a text is shown as it is, or with straightened quotation marks and dashes


class EditTaggingConfig(BaseTaskConfig):
    """A token-classification model over characters, whose labels are edits."""

    kind: Literal["edit_tagging"]
    num_labels: PositiveInt = 1_200
    """Labels of a new model: `keep` and the most frequent edits of the training data. `method: full` keeps the model's own."""
    window_chars: tuple[PositiveInt, ...] = (96, 192, 320, 480)
    """Lengths in characters; each text selects one by its hash and is cut into windows of it."""
    ignore_styles: bool = True
    """Quotation marks and dashes of another style than the ground truth's are no errors."""

    def open(self, run: RunSettings) -> "EditTaggingTask":
        """Return the task of one run."""
        return EditTaggingTask(self, run)

    def conflicts(self, run: RunSettings) -> list[str]:
        """Return what a tagger cannot be trained with: packed samples and adapters."""
        found = []
        if run.data.grouping == "packed":
            found.append("edit tagging cuts its own windows: grouping is none or length")
        if run.trains_adapter:
            found.append("a tagger is small and trained whole: method is full or from_scratch")
        if run.optimizer.kind == "paged_adamw":
            found.append("a tagger fits in a GPU's memory: optimizer.kind is adamw or muon")
        return found


class EditTaggingTask(Task):
    """Windows of a text's characters, each character with the label of its edit."""

    def __init__(self, config: EditTaggingConfig, run: RunSettings) -> None:
        self._config = config
        self._run = run

    def columns(self) -> tuple[Column, ...]:
        """Return source and target."""
        return Column("source", self._run.data.source_column), Column("target", self._run.data.target_column)

    def problems(self) -> list[str]:
        """Return errors in architecture, model folder and window lengths."""
        found = architecture_problems(self._run)
        if not self._run.from_scratch:
            name = self._run.model.pretrained
            wrong = model_problems(name) or (tagger_problems(Path(name)) if Path(name).is_dir() else [])
            found += [f"model.name: {problem}" for problem in wrong]
        positions = known_settings(self._run).get("max_position_embeddings")
        if positions and max(self._config.window_chars) > max_text_chars(positions):
            found.append(f"task.window_chars: the model takes {max_text_chars(positions)} characters at most")
        return found

    def survey(self, sample: Callable[[], pa.Table]) -> Facts:
        """Return the labels: of the pretrained model, or `keep` and the most frequent edits of the data for a new one."""
        if not self._run.from_scratch:
            return {"labels": self._pretrained_labels()}
        counts: Counter[str] = Counter()
        for source, target in self._pairs(sample()):
            if _can_be_aligned(source, target):
                counts.update(possible_labels(source, target))
        del counts[KEEP]
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return {"labels": [KEEP, *(label for label, _ in ranked[: self._config.num_labels - 1])]}

    def encode(self, rows: pa.Table, facts: Facts) -> pa.Table:
        """Return SAMPLES, a window each; reasons to drop are `empty`, `too_long` and `not_a_pair` (source and target differ too
        much)."""
        encode = character_encoder(self._tokenizer, self._run.model.name or "model.tokenizer")
        label_ids = {label: number for number, label in enumerate(facts["labels"])}
        samples: list[dict[str, Any]] = []
        for number, (source, target) in enumerate(self._pairs(rows)):
            labels = possible_labels(source, target) if _can_be_aligned(source, target) else []
            if dropped := _why_dropped(source, target, labels):
                samples.append({"row": number, "source": source, "target": target, "dropped": dropped})
                continue
            # Half of the texts keep their own style, so that the model sees both styles whatever the data's is.
            shown = rows["source"][number].as_py() if stable_choice(source, _STYLES) else source
            ids = encode(shown).astype(np.int32)
            targets = np.array([label_ids.get(label, NO_LOSS) for label in labels], dtype=np.int32)
            samples += [{"row": number, **window} for window in self._windows(shown, labels, ids, targets)]
        return pa.Table.from_pylist(samples, schema=SAMPLES)

    def model_class(self) -> Any:
        """Return AutoModelForTokenClassification."""
        from transformers import AutoModelForTokenClassification

        return AutoModelForTokenClassification

    def build(self, facts: Facts) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
        """Return a model with the labels of `facts`, random or pretrained, and its tokenizer."""
        model = self._new_model(facts) if self._run.from_scratch else self._pretrained_model()
        for name, weight in model.named_parameters():
            # CANINE's pooler is not used by tagging: it gets no gradient, and DDP would wait for one.
            weight.requires_grad = ".pooler." not in name
        return model, self._tokenizer

    def collator(self, pad_id: int, facts: Facts) -> Collator:
        """Return a collator that pads to a length that the architecture takes."""
        del facts
        return CharacterPadding(pad_id)

    def loss(self) -> LossFunction:
        """Return the mean over all tokens of an optimizer step; the model's own is the mean of one batch, and means do not add up
        over accumulated batches."""
        return mean_token_loss

    def measure(self, folder: Path, samples: pa.Table) -> dict[str, float]:
        """Return `correction_metrics` of the edits with a probability of at least 0.5."""
        from ocrray.evaluation.text import correction_metrics

        tagger = Tagger(TaggerConfig(engine="tagger", model=str(folder), threshold=_MEASURED_THRESHOLD))
        raw, truth = samples["source"].to_pylist(), samples["target"].to_pylist()
        fixed = [correction.text or text for text, correction in zip(raw, tagger.correct(raw), strict=True)]
        return correction_metrics(raw, fixed, truth)

    def finish(self, folder: Path, held_out: pa.Table) -> Finished:
        """Calibrate the tagger in `folder` on held-out SAMPLES."""
        from ocrray.training.calibration import calibrate
        from ocrray.training.calibration_card import describe

        calibration = calibrate(folder, self, held_out)
        error = calibration.after.calibration_error
        return Finished(describe(calibration, folder), {} if error is None else {"expected_calibration_error": error})

    def card(self, weights: Mapping[str, Any]) -> CardText:
        """Return the parts of the card of a tagger."""
        return CardText(
            summary="An edit tagger for OCR text: it reads characters and says for each `keep`, `delete`, `write:xy` (these "
            "characters instead) or `append:xy` (this one, then these), with a probability. It cannot write more than a few "
            "characters in place of one.",
            pipeline_tag="token-classification",
            auto_class="AutoModelForTokenClassification",
            restore={"correct": {"engine": "tagger", **weights}},
            usage="One token a character and no special tokens; `model.config.id2label` names the edits, "
            "`model.config.edit_threshold` the probability from which on they should be made.",
            measurement=f"edits of a probability of {_MEASURED_THRESHOLD} or more, before any calibration",
            hyperparameters=[("windows, characters", ", ".join(map(str, self._config.window_chars)))],
        )

    def _pairs(self, rows: pa.Table) -> list[tuple[str, str]]:
        """Return source and target of every row, straightened (of the same length) where styles are to be ignored."""
        plain = straighten if self._config.ignore_styles else str
        texts = (rows[name].to_pylist() for name in ("source", "target"))
        return [(plain(source or ""), plain(target or "")) for source, target in zip(*texts, strict=True)]

    def _windows(self, text: str, edits: Sequence[str], ids: np.ndarray, labels: np.ndarray) -> list[dict[str, Any]]:
        width = stable_choice(text, self._config.window_chars, skip=len(_STYLES))
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

    def _pretrained_labels(self) -> list[str]:
        from transformers import AutoConfig

        model = self._run.model
        settings = AutoConfig.from_pretrained(model.pretrained, revision=model.revision)
        names: Mapping[int, str] = settings.id2label or {}
        labels = [names[number] for number in range(len(names))]
        if problem := label_problem(labels):  # of a hub's model, nothing was known before
            raise ConfigError(f"model.name: {model.name}: {problem}")
        return labels

    def _pretrained_model(self) -> "PreTrainedModel":
        model = self._run.model
        network: PreTrainedModel = load_weights(
            self.model_class(),
            model.pretrained,
            name=f"model.name: {model.name}",
            error=ConfigError,
            dtype="float32",
            revision=model.revision or "main",
            trust_remote_code=model.trust_remote_code,
        )
        return network

    def _new_model(self, facts: Facts) -> "PreTrainedModel":
        from transformers import AutoConfig

        labels = dict(enumerate(facts["labels"]))
        names = {"id2label": labels, "label2id": {label: number for number, label in labels.items()}}
        settings = AutoConfig.for_model(**{**(self._run.model.architecture or {}), **names})
        model: PreTrainedModel = self.model_class().from_config(settings)
        return model

    @cached_property
    def _tokenizer(self) -> "PreTrainedTokenizerBase":
        """CANINE's own takes a second to make: it counts out all of Unicode."""
        from transformers import CanineTokenizer

        if self._run.model.tokenizer == "characters":
            longest = max(self._config.window_chars)  # later positions are not trained
            return CanineTokenizer(model_max_length=longest)  # type: ignore[no-untyped-call]  # transformers has no type here
        return published_tokenizer(self._run.model)


@dataclass(frozen=True, slots=True)
class CharacterPadding:
    """Collator: int64 tensors of (samples, padded length), padded on the right."""

    pad_id: int

    def __call__(self, samples: Sequence[Sample]) -> "dict[str, Tensor]":
        """Return `input_ids`, `attention_mask` and `labels`."""
        import torch

        shape = (len(samples), padded_length(max(len(sample["input_ids"]) for sample in samples)))
        inputs, labels = np.full(shape, self.pad_id, np.int64), np.full(shape, NO_LOSS, np.int64)
        mask = np.zeros(shape, np.int64)
        for row, sample in enumerate(samples):
            length = len(sample["input_ids"])
            inputs[row, :length], labels[row, :length], mask[row, :length] = sample["input_ids"], sample["labels"], 1
        arrays = {"input_ids": inputs, "attention_mask": mask, "labels": labels}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def mean_token_loss(outputs: Any, labels: "Tensor", num_items_in_batch: "Tensor | None" = None) -> "Tensor":
    """Return the cross-entropy of (samples, tokens, labels) logits, summed and divided by the tokens of the optimizer step."""
    from torch.nn.functional import cross_entropy

    logits = outputs["logits"].flatten(0, 1).float()
    if num_items_in_batch is None:
        return cross_entropy(logits, labels.flatten(), ignore_index=NO_LOSS)
    return cross_entropy(logits, labels.flatten(), ignore_index=NO_LOSS, reduction="sum") / num_items_in_batch


def _can_be_aligned(source: str, target: str) -> bool:
    return bool(source and target) and max(len(source), len(target)) <= MAX_ALIGNED_CHARS


def _why_dropped(source: str, target: str, labels: Sequence[str]) -> str:
    if not source or not target:
        return "empty"
    if not labels:
        return "too_long"
    return "not_a_pair" if sum(label != KEEP for label in labels) > MAX_CER * len(source) else ""
