"""Calibration of an edit tagger on held-out texts: temperature scaling, and the choice of its threshold.

One temperature (Guo et al. 2017) is fitted on half of the texts and divided out of the head's weights, so that the folder loads
with calibrated probabilities; the other half measures the calibration error. Each edit that the tagger prefers (its most probable
label, where that is not `keep`) is right or wrong.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch

from ocrray.engines.tagger import THRESHOLD_KEY
from ocrray.errors import ConfigError
from ocrray.models.characters import character_encoder
from ocrray.models.limits import padding_id, token_rows
from ocrray.text.labels import KEEP, apply_labels
from ocrray.text.metrics import CerTotals, cer_totals, distances
from ocrray.text.normalise import for_scoring
from ocrray.training.tasks.base import Collator, Task

if TYPE_CHECKING:
    from transformers import PreTrainedModel

THRESHOLDS = tuple(percent / 100 for percent in range(30, 100, 2))
MAX_BROKE_CLEAN_FRAC = 0.01
MAX_MADE_WORSE_FRAC = 0.04
NEVER = 1.0  # threshold of a tagger that does harm at any other
MAX_CALIBRATION_CHARS = 300_000
BINS = 10
TEMPERATURES = np.geomspace(0.25, 4, 57)  # 5 % apart, 1 in the middle
_AS_TRAINED = len(TEMPERATURES) // 2  # index of the temperature 1
_MIN_EDITS = 50  # fewer do not determine a temperature
_BATCH_CHARS = 8_192

Sample = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bin:
    """Edits with a probability in [low, high), 1 included in the last bin."""

    low: float
    high: float
    edits: int
    mean_probability: float
    right_frac: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Reliability diagram: the bins that hold an edit, lowest first."""

    bins: tuple[Bin, ...]

    @property
    def edits(self) -> int:
        """Number of edits."""
        return sum(one.edits for one in self.bins)

    @property
    def calibration_error(self) -> float | None:
        """Expected calibration error, 0..1: mean distance of probability and share of right edits; None without edits."""
        gaps = sum(one.edits * abs(one.mean_probability - one.right_frac) for one in self.bins)
        return gaps / self.edits if self.edits else None


@dataclass(frozen=True, slots=True)
class ThresholdFigures:
    """Effect of the edits from this probability on, on held-out texts and on their ground truth, which should not change."""

    threshold: float
    totals: CerTotals
    broke_clean_frac: float

    @property
    def harmless(self) -> bool:
        """Return True when both shares of damaged texts are within their limits."""
        worse_frac = self.totals.made_worse_frac or 0
        return worse_frac <= MAX_MADE_WORSE_FRAC and self.broke_clean_frac <= MAX_BROKE_CLEAN_FRAC


@dataclass(frozen=True, slots=True)
class Calibration:
    """Result of a calibration."""

    texts: int
    chars: int
    temperature: float
    before: Reliability
    after: Reliability
    figures: tuple[ThresholdFigures, ...]
    """By threshold, ascending."""
    threshold: float


@dataclass(frozen=True, slots=True)
class Edits:
    """Edits that a tagger prefers to keeping, as arrays of (edits,)."""

    text: np.ndarray  # index of the text
    position: np.ndarray  # index of the character in it
    label: np.ndarray
    right: np.ndarray  # bool
    log_odds: np.ndarray  # float32 (edits, TEMPERATURES): of the edit's probability under each temperature

    def probability(self, temperature: int) -> np.ndarray:
        """Return the probability of each edit, 0..1, under the temperature with this index."""
        return 1 / (1 + np.exp(-self.log_odds[:, temperature].astype(np.float64)))


def calibrate(folder: Path, task: Task, samples: pa.Table) -> Calibration:
    """Fit temperature and threshold on held-out SAMPLES and store both in the tagger in `folder`.

    The threshold is the least of THRESHOLDS from which on at most MAX_MADE_WORSE_FRAC of the texts are made worse and at most
    MAX_BROKE_CLEAN_FRAC of the ground truths are changed; NEVER when there is none.

    Raises:
        ConfigError: when there is no sample.
    """
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    held_out = _thinned(samples)
    if not held_out:
        raise ConfigError("data: no sample was held out that the tagger could be calibrated on")
    model = AutoModelForTokenClassification.from_pretrained(folder, dtype="float32", use_safetensors=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    collate, encode = task.collator(padding_id(tokenizer, token_rows(model)), {}), character_encoder(tokenizer, str(folder))
    longest = max(len(sample["source"]) for sample in held_out)  # a truth may be longer than the model can take
    clean = [_unchanged(sample["target"][:longest], encode) for sample in held_out if sample["target"]]
    edits, false_edits = (find_edits(model, collate, texts) for texts in (held_out, clean))
    fitting = edits.text % 2 == 0
    chosen = fit_temperature(edits.log_odds[fitting], edits.right[fitting])
    labels = [model.config.id2label[number] for number in range(model.config.num_labels)]
    texts = ((held_out, edits), (clean, false_edits))

    def corrected(threshold: float) -> list[list[str]]:
        return [_correct(samples, found, found.probability(chosen) >= threshold, labels) for samples, found in texts]

    figures = tuple(_figures(threshold, held_out, clean, *corrected(threshold)) for threshold in THRESHOLDS)
    threshold = choose_threshold(figures)
    _store(folder, float(TEMPERATURES[chosen]), threshold)
    before, after = (reliability(edits.probability(index)[~fitting], edits.right[~fitting]) for index in (_AS_TRAINED, chosen))
    chars = sum(len(sample["source"]) for sample in held_out)
    return Calibration(len(held_out), chars, float(TEMPERATURES[chosen]), before, after, figures, threshold)


def find_edits(model: "PreTrainedModel", collate: Collator, samples: Sequence[Sample]) -> Edits:
    """Return the preferred edits of the texts in `samples` (`input_ids` and `labels` of each)."""
    found = [_edits_of(model, batch, rows) for rows, batch in _batches(collate, samples)]
    return Edits(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def fit_temperature(log_odds: np.ndarray, right: np.ndarray) -> int:
    """Return the index in TEMPERATURES of the least log loss over the edits; that of 1 when there are fewer than 50 edits."""
    if len(right) < _MIN_EDITS:
        return _AS_TRAINED
    losses = np.where(right[:, None], np.logaddexp(0, -log_odds), np.logaddexp(0, log_odds)).mean(axis=0)
    return int(losses.argmin())


def reliability(probability: np.ndarray, right: np.ndarray) -> Reliability:
    """Group edits by probability into BINS of equal width."""
    numbers = np.minimum((probability * BINS).astype(int), BINS - 1)
    bins = []
    for number in np.unique(numbers).tolist():
        inside = numbers == number
        share = float(right[inside].mean())
        bins.append(Bin(number / BINS, (number + 1) / BINS, int(inside.sum()), float(probability[inside].mean()), share))
    return Reliability(tuple(bins))


def choose_threshold(figures: Sequence[ThresholdFigures]) -> float:
    """Return the least threshold that is harmless, as all above it are; `figures` ascend by threshold."""
    chosen = NEVER
    for one in reversed(figures):
        if not one.harmless:
            break
        chosen = one.threshold
    return chosen


def _thinned(samples: pa.Table) -> list[Sample]:
    """Return evenly spaced samples with about MAX_CALIBRATION_CHARS characters in all."""
    kept = samples.filter(samples["dropped"].is_null())
    chars = sum(kept["length"].to_pylist())
    stride = max(1, round(chars / MAX_CALIBRATION_CHARS))
    chosen: list[Sample] = kept.take(list(range(0, len(kept), stride))).to_pylist()
    return chosen


def _unchanged(text: str, encode: Callable[[str], np.ndarray]) -> Sample:
    return {"source": text, "target": text, "input_ids": encode(text), "labels": np.zeros(len(text), dtype=np.int64)}


def _batches(collate: Collator, samples: Sequence[Sample]) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
    """Yield indices of samples with their batch; all of one padded width, so that no result depends on its neighbours."""
    by_width: dict[int, list[int]] = {}
    for number, sample in enumerate(samples):
        by_width.setdefault(collate([sample])["input_ids"].shape[1], []).append(number)
    for width, numbers in by_width.items():
        size = max(1, _BATCH_CHARS // width)
        for start in range(0, len(numbers), size):
            rows = numbers[start : start + size]
            yield rows, collate([samples[row] for row in rows])


def _edits_of(model: "PreTrainedModel", batch: dict[str, torch.Tensor], rows: list[int]) -> tuple[np.ndarray, ...]:
    with torch.inference_mode():
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits.float()
    best = logits.argmax(dim=-1)
    row, position = torch.nonzero((best != 0) & batch["attention_mask"].bool(), as_tuple=True)
    label = best[row, position]
    one = logits[row, position]
    own = one.gather(1, label[:, None])
    others = one.scatter(1, label[:, None], -torch.inf)
    log_odds = [own[:, 0] / t - torch.logsumexp(others / t, dim=1) for t in TEMPERATURES.tolist()]
    right = batch["labels"][row, position] == label
    return np.array(rows)[row.numpy()], position.numpy(), label.numpy(), right.numpy(), torch.stack(log_odds, dim=1).numpy()


def _correct(samples: Sequence[Sample], edits: Edits, accepted: np.ndarray, labels: Sequence[str]) -> list[str]:
    tags = [[KEEP] * len(sample["source"]) for sample in samples]
    for text, position, label in zip(edits.text[accepted], edits.position[accepted], edits.label[accepted], strict=True):
        tags[text][position] = labels[label]
    return [apply_labels(sample["source"], tag) for sample, tag in zip(samples, tags, strict=True)]


def _figures(
    threshold: float, held_out: Sequence[Sample], clean: Sequence[Sample], corrected: Sequence[str], kept: Sequence[str]
) -> ThresholdFigures:
    raw, truth = ([sample[name] for sample in held_out] for name in ("source", "target"))
    totals = cer_totals(
        [len(for_scoring(text)) for text in truth], distances(raw, truth).tolist(), distances(corrected, truth).tolist()
    )
    broken = distances(kept, [sample["source"] for sample in clean]) > 0
    return ThresholdFigures(threshold, totals, float(broken.mean()) if len(broken) else 0.0)


def _store(folder: Path, temperature: float, threshold: float) -> None:
    """Divide the head by the temperature, in the stored dtype, and write the threshold into config.json."""
    from transformers import AutoModelForTokenClassification

    model = AutoModelForTokenClassification.from_pretrained(folder, dtype="auto", use_safetensors=True)
    heads = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear) and layer.out_features == model.num_labels]
    with torch.no_grad():
        for weight in heads[-1].parameters():
            weight.copy_(weight.float() / temperature)
    setattr(model.config, THRESHOLD_KEY, threshold)
    model.save_pretrained(folder)
