"""`engine: tagger`: a character tagger that keeps, deletes or rewrites each character, where it is sure enough."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveInt

from ocrray.config import FolderOrName, fingerprint
from ocrray.engines.base import CorrectionResult, CorrectorConfig, EngineInfo, engine_errors
from ocrray.errors import ConfigError, EngineError
from ocrray.models.characters import character_encoder, max_text_chars, padded_length, tokenizer_problem
from ocrray.models.folders import model_problems, weights_revision
from ocrray.models.loading import Device, load_weights, resolve_device
from ocrray.text.labels import KEEP, apply_label

DEFAULT_FOLDER = Path(__file__).parents[1] / "models" / "default_tagger"
THRESHOLD_KEY = "edit_threshold"  # in the folder's config.json: the threshold measured when the model was made
_TEXT_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")
_NATIVE_BFLOAT16 = ("amx_bf16", "avx512_bf16", "bf16")  # as torch.cpu.get_capabilities names them, the last one on ARM
_BELOW_ONE = 1 - 2**-24  # float32 rounds the highest probabilities to 1; at a threshold of 1 no edit may be made


class TaggerConfig(CorrectorConfig):
    """Load an edit tagger: a token-classification model over characters."""

    rows_per_block: ClassVar[int] = 512
    uses_gpu: ClassVar[bool] = True
    tags_characters: ClassVar[bool] = True

    engine: Literal["tagger"]
    model: FolderOrName = "default"
    """`default` (ships with ocrray), a folder or a hub id; safetensors only."""
    revision: str | None = None
    """Git revision on the hub; null: main."""
    threshold: float | None = Field(default=None, ge=0, le=1)
    """Least probability (0..1) of an edit that is made; null: the one in the model's config.json, or 0.5."""
    passes: PositiveInt = 1
    """Number of times a text is tagged; each further pass reads the output of the one before."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 where the processor or GPU supports it (three times as fast), else float32. An edit near the threshold may
    fall on either side of it, so every row names the one that was used, after its model's revision."""
    device: Device = "auto"
    """Where to compute; auto: the worker's GPU if it has one."""
    batch_size_chars: PositiveInt = 4_096
    """Characters of one batch, padding included."""
    num_threads: PositiveInt | None = None
    """Torch threads of one worker; null: torch's own choice, in `restore` one for each CPU of the worker."""

    @property
    def location(self) -> str:
        """Folder or hub id to load from."""
        return str(DEFAULT_FOLDER) if self.model == "default" else self.model

    def check(self, section: str) -> EngineInfo:
        problems = model_problems(self.location)
        if not problems and Path(self.location).is_dir():
            problems = tagger_problems(Path(self.location))
        if problems:
            raise ConfigError("\n".join(f"{section}.model: {problem}" for problem in problems))
        return EngineInfo(engine="tagger", model=self.model, revision=_revision(self.location, self.revision))

    def open(self) -> "Tagger":
        return Tagger(self)


class RouteConfig(TaggerConfig):
    """Tagger that reads every record first, and the estimated CER above which `correct`, a language model, reads it again."""

    uses_gpu: ClassVar[bool] = False

    engine: Literal["tagger"] = "tagger"
    above: float = Field(0.012, ge=0, le=1)
    """Estimated CER (0..1), after the tagger's own edits, above which a record is sent on; 0: all but those without any doubt."""
    threshold: float | None = Field(0.4, ge=0, le=1)
    """Least probability (0..1) of an edit that is made; lower than of a tagger by itself, because the guard judges its changes,
    and with it more errors go (docs/routing.md)."""
    device: Device = "cpu"
    """Where to compute: taggers run beside the language model, which needs the GPU."""


@dataclass(frozen=True, slots=True)
class Tags:
    """Edits of one text that are likelier than keeping the character: four lists of one length, positions ascending.

    `keep_probabilities` (0..1) are those of keeping these characters; `doubt` is the expected number of errors among all others.
    """

    positions: Sequence[int] = ()
    labels: Sequence[str] = ()
    probabilities: Sequence[float] = ()
    keep_probabilities: Sequence[float] = ()
    doubt: float = 0.0

    def apply(self, text: str, threshold: float) -> str:
        """Return the tagged `text` after all edits of at least this probability (0..1)."""
        characters = list(text)
        for position, label, probability in zip(self.positions, self.labels, self.probabilities, strict=True):
            if probability >= threshold:
                characters[position] = apply_label(characters[position], label)
        return "".join(characters)

    def made(self, threshold: float) -> dict[int, float]:
        """Return the probabilities of all edits of at least this probability, by the position of the character."""
        return {at: share for at, share in zip(self.positions, self.probabilities, strict=True) if share >= threshold}

    def expected_errors(self, threshold: float) -> float:
        """Return the expected number of wrong characters after the edits of at least this probability."""
        edits = zip(self.probabilities, self.keep_probabilities, strict=True)
        return self.doubt + sum(1 - (right if right >= threshold else keep) for right, keep in edits)


class Tagger:
    """Corrects texts by one label per character; the result of a text depends on that text alone."""

    threshold: float
    """Least probability (0..1) of an edit that is made."""

    def __init__(self, config: TaggerConfig) -> None:
        self._config = config
        found = config.check("correct")
        with engine_errors(f"{config.model} cannot be loaded"):
            self._load(config.location)
        self.info = replace(found, revision=f"{found.revision}+{self._dtype}")

    def fits(self, text: str) -> bool:
        """Return whether the text has no more characters than the model takes."""
        return len(text) <= self._max_chars

    def correct(self, texts: Sequence[str]) -> list[CorrectionResult]:
        """Reason: `too_long` where a text does not fit. Tokens are characters."""
        outputs, rows, left = list(texts), list(range(len(texts))), [0.0] * len(texts)
        probabilities: list[dict[int, float]] = [{}] * len(texts)
        for _ in range(self._config.passes):
            # A pass may lengthen a text past the limit: it then stays as the pass before left it.
            rows = [row for row in rows if self.fits(outputs[row])]
            before = [outputs[row] for row in rows]
            for row, text, tags in zip(rows, before, self.tag(before), strict=True):
                outputs[row] = tags.apply(text, self.threshold)
                left[row] = tags.expected_errors(self.threshold)
                # After a second pass offsets are no longer those of the source.
                probabilities[row] = tags.made(self.threshold) if self._config.passes == 1 else {}
            rows = [row for row, text in zip(rows, before, strict=True) if outputs[row] != text]
        return [self._result(*result) for result in zip(texts, outputs, left, probabilities, strict=True)]

    def tag(self, texts: Sequence[str]) -> list[Tags]:
        """Return the possible edits of each text, of any probability; every text must fit."""
        tags = [Tags()] * len(texts)
        with engine_errors("tagging failed"):
            for rows in _batches(texts, self._config.batch_size_chars):
                # One text alone is multiplied by other kernels than two or more are, which round differently.
                batch = [texts[row] for row in rows] * (2 if len(rows) == 1 else 1)
                for row, found in zip(rows, self._tag(batch), strict=False):
                    tags[row] = found
        return tags

    def close(self) -> None:
        """Release the model's memory."""
        del self._model

    def _load(self, location: str) -> None:
        import torch
        from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer
        from transformers.utils import logging

        # One progress bar per worker would hide the run's own. transformers leaves the function untyped.
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        if self._config.num_threads:
            torch.set_num_threads(self._config.num_threads)
        origin: dict[str, Any] = {"revision": self._config.revision or "main", "trust_remote_code": False}
        settings = AutoConfig.from_pretrained(location, **origin)
        self._labels = [settings.id2label[number] for number in range(settings.num_labels)]
        if problem := label_problem(self._labels):
            raise EngineError(f"{self._config.model}: {problem}")
        tokenizer = AutoTokenizer.from_pretrained(location, **origin)
        self._encode = character_encoder(tokenizer, location)
        self._pad_id = tokenizer.pad_token_id or 0  # masked, so any will do
        self._max_chars = min(tokenizer.model_max_length, max_text_chars(settings.max_position_embeddings))
        own_threshold = getattr(settings, THRESHOLD_KEY, 0.5)
        self.threshold = own_threshold if self._config.threshold is None else self._config.threshold
        self._device, self._dtype = resolve_device(self._config.device), self._config.dtype
        if self._dtype == "auto":
            self._dtype = "bfloat16" if _has_bfloat16(self._device) else "float32"
        dtype, name = getattr(torch, self._dtype), self._config.model
        model = load_weights(AutoModelForTokenClassification, location, name=name, config=settings, dtype=dtype, **origin)
        self._model = model.to(self._device).eval()

    def _result(self, text: str, output: str, expected_errors: float, probabilities: dict[int, float]) -> CorrectionResult:
        if not self.fits(text):
            return CorrectionResult(None, "too_long", len(text))
        return CorrectionResult(output, "", len(text), len(output), expected_errors, probabilities)

    def _tag(self, texts: Sequence[str]) -> list[Tags]:
        """Tag the texts of one batch, all of one padded length.

        Only where `keep` is not the best label are all probabilities needed: a softmax over all labels for every character
        would take as long as a layer of the model.
        """
        import torch

        inputs, mask = (torch.from_numpy(array).to(self._device) for array in self._padded(texts))
        with torch.inference_mode():
            logits = self._model(input_ids=inputs, attention_mask=mask).logits.float()
            keep = (logits[..., 0] - logits.logsumexp(dim=-1)).exp()
            edited = (logits.amax(dim=-1) > logits[..., 0]) & mask.bool()
            probabilities, labels = logits[edited].softmax(dim=-1).max(dim=-1)
            probabilities.clamp_(max=_BELOW_ONE)
            rows, positions = edited.nonzero(as_tuple=True)
            doubt = ((1 - keep) * (mask.bool() & ~edited)).double().sum(dim=-1).tolist()
        ends = np.searchsorted(rows.cpu().numpy(), np.arange(1, len(texts)))
        columns = (np.split(column.cpu().numpy(), ends) for column in (positions, labels, probabilities, keep[edited]))
        return [
            Tags(places.tolist(), [self._labels[number] for number in numbers], shares.tolist(), kept.tolist(), unsure)
            for (places, numbers, shares, kept), unsure in zip(zip(*columns, strict=True), doubt, strict=True)
        ]

    def _padded(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return token ids and mask, int64 arrays of shape (texts, padded length)."""
        lengths = np.array([len(text) for text in texts])
        mask = np.arange(padded_length(len(texts[0]))) < lengths[:, None]
        inputs = np.full(mask.shape, self._pad_id, dtype=np.int64)
        inputs[mask] = self._encode("".join(texts))
        return inputs, mask.astype(np.int64)


def _batches(texts: Sequence[str], budget_chars: int) -> Iterator[list[int]]:
    """Yield the indices of `texts` in groups of one padded length: the padding of a text must not depend on its batch."""
    by_width: dict[int, list[int]] = {}
    for row, text in enumerate(texts):
        if text:
            by_width.setdefault(padded_length(len(text)), []).append(row)
    for width, rows in sorted(by_width.items()):
        size = max(1, budget_chars // width)
        for start in range(0, len(rows), size):
            yield rows[start : start + size]


def _has_bfloat16(device: str) -> bool:
    """Return whether the hardware computes bfloat16; elsewhere it is slower than float32."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return any(able.get(name) for name in _NATIVE_BFLOAT16)


def _revision(location: str, revision: str | None) -> str:
    """Return a hash of the weights and of the files with labels, threshold and characters; for a hub id, its revision."""
    weights = weights_revision(location, revision)
    folder = Path(location)
    if not folder.is_dir():
        return weights
    texts = [(folder / name).read_text(encoding="utf-8") for name in _TEXT_FILES if (folder / name).is_file()]
    return fingerprint([weights, *texts])


def tagger_problems(folder: Path) -> list[str]:
    """Return why a folder holds no edit tagger, as far as its files show without loading it; a line each."""
    try:
        id2label = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("id2label", {})
        labels = [id2label[str(number)] for number in range(len(id2label))]
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return [f"{folder}: config.json cannot be read as a model's, with an id2label that counts from 0"]
    return [f"{folder}: {problem}" for problem in (tokenizer_problem(folder), label_problem(labels)) if problem]


def label_problem(labels: Sequence[str]) -> str:
    """Return why these are not a tagger's labels; empty if they are."""
    if not labels or labels[0] != KEEP:
        return f"no edit tagger: its label 0 is not {KEEP!r}"
    try:
        for label in labels:
            apply_label("x", label)
    except (ValueError, TypeError, AttributeError) as err:
        return f"no edit tagger: {err}"
    return ""
