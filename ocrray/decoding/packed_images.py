"""Packed decoding of images: their features stand in the token sequence under ids beyond the vocabulary."""

import threading
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image

from ocrray.decoding.decoder import Decoder
from ocrray.decoding.layout import Layout
from ocrray.decoding.packed_model import PackedModel, Probe
from ocrray.decoding.requests import Generation, ImageRequest, Request
from ocrray.decoding.scheduler import Scheduler
from ocrray.errors import EngineError
from ocrray.models.generator import Generator
from ocrray.models.probes import spread_tokens
from ocrray.models.vision.model import VisionModel
from ocrray.models.vision.prompts import ImagePrompt

_IMAGES_AT_ONCE = 8  # in one pass of the vision tower
_PROBE_ANSWER_TOKENS = 10
_PROBE_SIZES = ((64, 48), (40, 90))


class ImageFeatures:
    """Features of images, addressed by token ids from `first_id` on; threads may add and remove while others embed."""

    def __init__(self, first_id: int) -> None:
        self.first_id = first_id
        self._next = first_id
        self._blocks: dict[int, torch.Tensor] = {}
        self._lock = threading.Lock()

    def add(self, features: torch.Tensor) -> range:
        """Store the features (tokens, size) of one image and return their ids."""
        with self._lock:
            start = self._next
            self._next += len(features) + 1  # a gap, so that no run of ids spans two images
            self._blocks[start] = features
        return range(start, start + len(features))

    def remove(self, ids: range) -> None:
        """Forget the features of these ids."""
        with self._lock:
            del self._blocks[ids.start]

    def runs(self, ids: np.ndarray) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield the places of `ids` (tokens,) that are features, in runs, each with its features (tokens, size)."""
        places = np.flatnonzero(ids >= self.first_id)
        if not len(places):
            return
        with self._lock:
            starts = sorted(self._blocks)
            blocks = dict(self._blocks)
        breaks = np.flatnonzero((np.diff(places) != 1) | (np.diff(ids[places]) != 1)) + 1
        for run in np.split(places, breaks):
            first = int(ids[run[0]])
            start = starts[bisect_right(starts, first) - 1]
            yield slice(int(run[0]), int(run[-1]) + 1), blocks[start][first - start : first - start + len(run)]


@dataclass(frozen=True, slots=True)
class PackedImageRequest(Request):
    """A request whose prompt holds the ids of image features."""

    positions: torch.Tensor | None = None
    """Positions of the prompt's tokens where the model counts them on several axes, (axes, tokens), int64."""
    features: range = range(0)
    """Ids of the features."""


class PackedVisionModel(PackedModel):
    """Forward passes of a vision-language model over packed sequences; the vision tower keeps its own attention.

    Raises:
        EngineError: as `PackedModel`; image and text are compared together.
    """

    _padded = "engine: vlm_padded"

    def __init__(self, model: VisionModel) -> None:
        self._vision = model
        config = model.model.config
        self.whole_prompts = config.model_type == "paligemma"
        self._first = int(self.whole_prompts)  # PaliGemma counts positions from 1
        self._features = ImageFeatures(len(model.model.get_input_embeddings().weight))
        # Qwen-VL gives each image token a position in time, height and width.
        self._rope_index = getattr(getattr(model.model, "model", None), "get_rope_index", None)
        self.shared_prefix: list[int] = []
        """Token ids before the image, the same in all prompts; empty where prompts are read whole."""
        super().__init__(as_generator(model))

    def add(self, requests: Sequence[ImageRequest]) -> list[PackedImageRequest]:
        """Return the requests with the features of their images computed and stored."""
        counts = [len(request.prompt.image_positions) for request in requests]
        features = self._compute_features([request.prompt for request in requests])
        if len(features) != sum(counts):
            raise EngineError(f"{type(self._model).__name__} makes {len(features)} features of {sum(counts)} image tokens")
        parts = torch.split(features, counts)
        return [self._packed(request, part) for request, part in zip(requests, parts, strict=True)]

    def remove(self, requests: Sequence[PackedImageRequest]) -> None:
        """Forget the features of requests that are done."""
        for request in requests:
            self._features.remove(request.features)

    def layout(self, cached: np.ndarray, added: np.ndarray, max_short: int, requests: Sequence[Request]) -> Layout:
        """Return the layout of a pass, with positions as the model counts them."""
        layout = super().layout(cached, added, max_short, requests)
        if self._rope_index is None:
            return replace(layout, positions=layout.positions + self._first)
        parts = [_positions(*part) for part in zip(requests, cached.tolist(), (cached + added).tolist(), strict=True)]
        return replace(layout, positions=torch.cat(parts, dim=1).to(self.device))

    def _packed(self, request: ImageRequest, features: torch.Tensor) -> PackedImageRequest:
        ids = self._features.add(features)
        prompt = list(request.prompt.ids)
        for place, token in zip(request.prompt.image_positions, ids, strict=True):
            prompt[place] = token
        positions = None if self._rope_index is None else self._positions_of(request.prompt)
        return PackedImageRequest(prompt, request.max_new_tokens, request.source, positions=positions, features=ids)

    def _positions_of(self, prompt: ImagePrompt) -> torch.Tensor:
        assert self._rope_index is not None
        inputs = {name: value for name, value in self._vision.encoder.batch([prompt]).items() if name != "pixel_values"}
        positions: torch.Tensor = self._rope_index(**inputs)[0]
        return positions[:, 0]

    @torch.inference_mode()
    def _compute_features(self, prompts: Sequence[ImagePrompt]) -> torch.Tensor:
        """Return the features of all images, one after the other, (tokens, size)."""
        batch = self._vision.encoder.batch(prompts)
        pixels = {name: self._placed(batch[name]) for name in prompts[0].pixels}
        features = self._model.get_image_features(**pixels).pooler_output
        parts = [features] if isinstance(features, torch.Tensor) else features
        return torch.cat([part.flatten(0, -2) for part in parts]).to(self.dtype)

    def _placed(self, value: "torch.Tensor | int") -> torch.Tensor:
        tensor = torch.as_tensor(value).to(self.device)
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor

    def _token_inputs(self, tokens: Sequence[int]) -> dict[str, torch.Tensor]:
        """Return the embeddings of packed tokens, features in their places."""
        ids = np.asarray(tokens, dtype=np.int64)
        known = torch.from_numpy(np.where(ids < self._features.first_id, ids, 0)).to(self.device)
        embeddings = self._model.get_input_embeddings()(known)
        for places, features in self._features.runs(ids):
            embeddings[places] = features
        return {"inputs_embeds": embeddings[None]}

    def _first_position(self) -> torch.Tensor:
        axes = () if self._rope_index is None else (3,)
        return torch.zeros(*axes, 1, dtype=torch.long, device=self.device)

    def _probes(self) -> list[Probe]:
        """Return two images of different sizes with an instruction and an answer."""
        encoder = self._vision.encoder
        tokens = spread_tokens(self._model.config, self._features.first_id, 2 * _PROBE_ANSWER_TOKENS)
        answers = (tokens[::2], tokens[1::2][::-1])
        probes = []
        for size, answer, instruction in zip(_PROBE_SIZES, answers, ("read", "read the text"), strict=True):
            prompt = encoder.encode_prompt(Image.radial_gradient("L").resize(size), instruction)
            inputs = encoder.batch([prompt], [answer])
            given: Mapping[str, torch.Tensor] = {
                name: self._placed(value) for name, value in inputs.items() if name not in ("labels", "logits_to_keep")
            }
            self.shared_prefix = [] if self.whole_prompts else prompt.ids[: prompt.image_positions[0]]
            [request] = self.add([ImageRequest(prompt, len(answer))])
            probes.append(Probe(request, answer, given))
        return probes


class PackedImageDecoder:
    """Reads images with their tokens packed, drafted from `source`; serves several threads.

    The model's attention is replaced permanently.
    """

    def __init__(self, model: VisionModel, *, batch_size_tokens: int | None = None) -> None:
        self._packed = PackedVisionModel(model)
        decoder = Decoder(
            as_generator(model),
            batch_size_tokens=batch_size_tokens,
            shared_prefix=self._packed.shared_prefix,
            model=self._packed,
        )
        self.stats = decoder.stats
        self._scheduler = Scheduler(decoder)
        self._tower = threading.Lock()

    def fits(self, request: ImageRequest) -> bool:
        """Return True if prompt and longest answer fit the model's context and the memory."""
        return self._scheduler.fits(Request(request.prompt.ids, request.max_new_tokens))

    def generate(self, requests: Sequence[ImageRequest]) -> list[Generation]:
        """Return one generation per request, in order."""
        added: list[PackedImageRequest] = []
        futures: list[Future[Generation]] = []
        try:
            for start in range(0, len(requests), _IMAGES_AT_ONCE):
                with self._tower:
                    packed = self._packed.add(requests[start : start + _IMAGES_AT_ONCE])
                added += packed
                if self._packed.device.type == "cuda":  # which reads the first images while it sees the next
                    futures += self._scheduler.submit(packed)
            futures += self._scheduler.submit(added[len(futures) :])
            return [future.result() for future in futures]
        finally:
            wait(futures)  # others still read their features where one has failed
            self._packed.remove(added)

    def close(self) -> None:
        """End the thread that reads."""
        self._scheduler.close()


def as_generator(model: VisionModel) -> Generator:
    """Return the half of a vision-language model that writes, as a language model with its tokenizer."""
    return Generator(
        model=model.model,
        tokenizer=model.encoder.tokenizer,
        is_seq2seq=False,
        eos_ids=model.eos_ids,
        pad_id=model.pad_id,
        context_tokens=model.context_tokens,
    )


def _positions(request: Request, start: int, end: int) -> torch.Tensor:
    """Return the positions (axes, tokens) of a sequence's tokens `start` to `end`; behind the prompt they go up by one."""
    given = request.positions if isinstance(request, PackedImageRequest) else None
    if given is None:
        return torch.arange(start, end).expand(3, -1)
    behind = torch.arange(max(start, given.shape[1]), end) + int(given.max()) + 1 - given.shape[1]
    return torch.cat([given[:, start:end], behind.expand(3, -1)], dim=1)
