"""Evaluation of a checkpoint that reads images: its greedy answers against the true ones."""

from typing import Any

import pyarrow as pa

from ocrray.decoding import ImageRequest
from ocrray.decoding.images import open_vision_decoder
from ocrray.evaluation.documents import score_answers
from ocrray.evaluation.text import reading_metrics
from ocrray.models.vision.loading import load_vision_model
from ocrray.training.images import open_image

_SPARE_TOKENS = 16  # of an answer beyond the longest true one; a longer one is wrong in any case


def read_samples(location: str, samples: pa.Table, **options: Any) -> list[str]:
    """Return the answer to each of SAMPLES of the model at `location`; `options` are those of `load_vision_model`."""
    model = load_vision_model(location, **options)
    limit = max(map(len, samples["labels"].to_pylist())) + _SPARE_TOKENS
    requests = [
        ImageRequest(model.encoder.encode_prompt(open_image(images[0]), instruction), limit)
        for images, instruction in zip(samples["images"].to_pylist(), samples["source"].to_pylist(), strict=True)
    ]
    decoder = open_vision_decoder(model, padded=True)
    answers = [model.encoder.decode(generation.tokens) for generation in decoder.generate(requests)]
    decoder.close()
    return answers


def measure(location: str, samples: pa.Table, *, as_json: bool, **options: Any) -> dict[str, float]:
    """Return `reading_metrics`, or with `as_json` those of documents, of the answers to SAMPLES.

    `options` are those of `load_vision_model`.
    """
    answers, truth = read_samples(location, samples, **options), samples["target"].to_pylist()
    return score_answers(zip(answers, truth, strict=True)).metrics() if as_json else reading_metrics(answers, truth)
