"""`engine: tagger`: a character tagger that keeps, deletes or rewrites each character, where it is sure enough."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveInt

from ocrray.config import StrictModel, fingerprint
from ocrray.engines.base import Correction, EngineInfo, engine_errors
from ocrray.errors import ConfigError, EngineError
from ocrray.models.loading import Device, model_problems, weights_revision
from ocrray.text.labels import KEEP, apply_label, apply_labels

if TYPE_CHECKING:
    import torch

DEFAULT_FOLDER = Path(__file__).parents[1] / "models" / "default_tagger"
THRESHOLD_KEY = "edit_threshold"  # in the folder's config.json: what its maker found safe
_TEXT_FILES = ("config.json", "tokenizer.json")
_LENGTH_STEP_CHARS = 32  # texts are padded to a multiple of it, whatever stands beside them


class TaggerConfig(StrictModel):
    """Which tagger to load and how sure it must be."""

    engine: Literal["tagger"]
    model: str = "default"
    """The one that ships, a folder or a hub id: a token-classification model over characters; safetensors only."""
    revision: str | None = None
    threshold: float | None = Field(default=None, ge=0, le=1)
    """Least probability of an edit that is made; null: the model's own, or 0.5."""
    passes: PositiveInt = 1
    """How often a text is read; a later pass sees what the one before made of it."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 is twice as fast where the processor has it; an edit near the threshold may then fall on its other side."""
    device: Device = "auto"
    batch_size_chars: PositiveInt = 8_192
    """Characters of one batch, padding included."""
    num_threads: PositiveInt | None = None
    """Threads of one worker's torch; null: torch's own choice."""


def check(config: TaggerConfig) -> EngineInfo:
    """Who would correct; raises ConfigError with one line for everything that its files already show to be wrong."""
    location = _location(config)
    problems = model_problems(location)
    if not problems and Path(location).is_dir():
        problems = _folder_problems(Path(location))
    if problems:
        raise ConfigError("\n".join(f"correct.model: {problem}" for problem in problems))
    return EngineInfo(engine="tagger", model=config.model, revision=_revision(location, config.revision))


class Tagger:
    """Corrects texts by one label a character; a text's result depends on nothing but the text."""

    def __init__(self, config: TaggerConfig) -> None:
        self.info = check(config)
        self._config = config
        with engine_errors(f"{config.model} cannot be loaded"):
            self._load(_location(config))

    def fits(self, text: str) -> bool:
        """Whether the text has no more characters than the model takes."""
        return len(text) <= self._max_chars

    def correct(self, texts: Sequence[str]) -> list[Correction]:
        """`too_long` where a text does not fit; tokens are characters."""
        outputs = dict(enumerate(texts))
        with engine_errors("tagging failed"):
            for _ in range(self._config.passes):
                # A pass may lengthen a text past the limit: it then stays as the pass before left it.
                fitting = {row: text for row, text in outputs.items() if text and self.fits(text)}
                outputs |= self._pass(fitting)
        return [self._correction(text, outputs[row]) for row, text in enumerate(texts)]

    def close(self) -> None:
        """Let the model's memory go."""
        del self._model

    def _load(self, location: str) -> None:
        import torch
        from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()  # one per worker would drown the run's own
        if self._config.num_threads:
            torch.set_num_threads(self._config.num_threads)
        origin = {"revision": self._config.revision or "main", "trust_remote_code": False}
        settings = AutoConfig.from_pretrained(location, **origin)
        tokenizer = AutoTokenizer.from_pretrained(location, **origin)
        self._vocabulary, self._unknown_id = _characters(tokenizer, location)
        self._pad_id = tokenizer.pad_token_id or 0  # masked, so any will do
        self._labels = [settings.id2label[number] for number in range(settings.num_labels)]
        if problem := _label_problem(self._labels):
            raise EngineError(f"{self._config.model}: {problem}")
        threshold = getattr(settings, THRESHOLD_KEY, 0.5) if self._config.threshold is None else self._config.threshold
        self._min_log_probability = math.log(threshold) if threshold else -math.inf
        self._max_chars = min(settings.max_position_embeddings, tokenizer.model_max_length)
        cuda = torch.cuda.is_available()
        if self._config.device == "cuda" and not cuda:
            raise EngineError("device: cuda, but no GPU is visible here")
        self._device = "cuda" if cuda and self._config.device == "auto" else self._config.device.replace("auto", "cpu")
        dtype = getattr(torch, self._config.dtype)
        model, report = AutoModelForTokenClassification.from_pretrained(
            location,
            config=settings,
            dtype=dtype,
            use_safetensors=True,
            output_loading_info=True,
            **origin,
        )
        if missing := sorted(report["missing_keys"]):  # transformers would go on with random numbers in their place
            raise EngineError(f"{self._config.model}: the weights lack {len(missing)} tensors, {missing[0]} for one")
        self._model = model.to(self._device).eval()

    def _correction(self, text: str, output: str) -> Correction:
        if not self.fits(text):
            return Correction(None, "too_long", len(text))
        return Correction(output, "", len(text), len(output))

    def _pass(self, texts: dict[int, str]) -> dict[int, str]:
        outputs = {}
        for rows in _batches(texts, self._config.batch_size_chars):
            sources = [texts[row] for row in rows]
            for row, source, labels in zip(rows, sources, self._tag(sources), strict=True):
                outputs[row] = apply_labels(source, labels)
        return outputs

    def _tag(self, sources: Sequence[str]) -> list[list[str]]:
        """The labels of each source: the most probable one, or keep where none reaches the threshold."""
        import torch

        inputs, mask = self._encode(sources)
        with torch.inference_mode():
            logits = self._model(input_ids=inputs, attention_mask=mask).logits.float()
            best_logit, best = logits.max(dim=-1)
            accepted = best_logit - logits.logsumexp(dim=-1) >= self._min_log_probability
            best = torch.where(accepted, best, 0).tolist()
        return [[self._labels[label] for label in row[: len(source)]] for row, source in zip(best, sources, strict=True)]

    def _encode(self, sources: Sequence[str]) -> tuple["torch.Tensor", "torch.Tensor"]:
        import torch

        width = _padded_chars(sources[0])
        ids = [[self._vocabulary.get(char, self._unknown_id) for char in source] for source in sources]
        inputs = torch.tensor([row + [self._pad_id] * (width - len(row)) for row in ids])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids])
        return inputs.to(self._device), mask.to(self._device)


def _batches(texts: dict[int, str], budget_chars: int) -> Iterator[list[int]]:
    """The keys of `texts` in groups of one padded length: how wide a text is padded must not depend on its neighbours."""
    by_width: dict[int, list[int]] = {}
    for row, text in texts.items():
        by_width.setdefault(_padded_chars(text), []).append(row)
    for width, rows in sorted(by_width.items()):
        size = max(1, budget_chars // width)
        for start in range(0, len(rows), size):
            yield rows[start : start + size]


def _padded_chars(text: str) -> int:
    return math.ceil(len(text) / _LENGTH_STEP_CHARS) * _LENGTH_STEP_CHARS


def _location(config: TaggerConfig) -> str:
    return str(DEFAULT_FOLDER) if config.model == "default" else config.model


def _revision(location: str, revision: str | None) -> str:
    """What tells two states of a tagger apart: the weights, and config.json, which holds labels and threshold."""
    weights = weights_revision(location, revision)
    if not Path(location).is_dir():
        return weights
    return fingerprint([weights, *((Path(location) / name).read_text(encoding="utf-8") for name in _TEXT_FILES)])


def _folder_problems(folder: Path) -> list[str]:
    try:
        id2label = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("id2label", {})
        labels = [id2label[str(number)] for number in range(len(id2label))]
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return [f"{folder}: config.json cannot be read as a model's, with an id2label that counts from 0"]
    problems = [] if (folder / "tokenizer.json").is_file() else [f"{folder}: holds no tokenizer.json"]
    if problem := _label_problem(labels):
        problems.append(f"{folder}: {problem}")
    return problems


def _label_problem(labels: Sequence[str]) -> str:
    """Why these are not a tagger's labels, or nothing."""
    if not labels or labels[0] != KEEP:
        return f"no edit tagger: its label 0 is not {KEEP!r}"
    try:
        for label in labels:
            apply_label("x", label)
    except (ValueError, TypeError, AttributeError) as err:
        return f"no edit tagger: {err}"
    return ""


def _characters(tokenizer: Any, model: str) -> tuple[dict[str, int], int]:
    """The token of each character, and the token of any other; special tokens that a text spells out stay characters."""
    vocabulary = tokenizer.get_vocab()
    special = set(tokenizer.all_special_tokens)
    longer = [token for token in vocabulary if len(token) != 1 and token not in special]
    if longer or tokenizer.unk_token_id is None:
        raise EngineError(f"{model}: no edit tagger: its tokenizer is not one of characters with an unknown token")
    return {token: number for token, number in vocabulary.items() if token not in special}, tokenizer.unk_token_id
