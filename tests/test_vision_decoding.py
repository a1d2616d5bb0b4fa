"""Reading of images: in batches, one by one, packed and drafted, always the same tokens."""

import random
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_vision import Kind, save

from ocrray.decoding import Generation, ImageRequest, packed_images, packed_model
from ocrray.decoding.images import open_vision_decoder
from ocrray.decoding.layout import make_layout
from ocrray.errors import EngineError
from ocrray.models.vision.loading import load_vision_model
from ocrray.models.vision.model import VisionModel

KINDS: list[Kind] = ["got", "paligemma", "qwen"]
INSTRUCTIONS = ("read", "extract Document data in JSON format", "read the second line, please")
_WIDE = {"got": 4.0, "paligemma": 3.0, "qwen": 4.0}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, Path]:
    """Models with large random weights, whose answers vary with the image."""
    return {kind: save(tmp_path_factory.mktemp(kind), kind, wide=_WIDE[kind]) for kind in KINDS}


def load(folder: Path, kind: Kind) -> VisionModel:
    model = load_vision_model(folder)
    if kind == "paligemma":  # its head is tied to the embedding: it would repeat the last token for ever
        generator = torch.Generator().manual_seed(3)
        model.model.lm_head.weight = torch.nn.Parameter(torch.randn(model.model.lm_head.weight.shape, generator=generator))
    return model


def pages(count: int) -> list[Image.Image]:
    noise = np.random.default_rng(0)
    return [
        Image.fromarray(noise.integers(0, 256, (40 + 9 * number % 50, 60 + 31 * number % 90, 3), np.uint8))
        for number in range(count)
    ]


def requests(model: VisionModel, count: int, sources: Sequence[Sequence[int]] = ()) -> list[ImageRequest]:
    """Images of several sizes, instructions and limits."""
    sources = sources or [()] * count
    return [
        ImageRequest(model.encoder.encode_prompt(page, INSTRUCTIONS[number % 3]), 12 + number % 7, sources[number])
        for number, page in enumerate(pages(count))
    ]


@lru_cache
def one_by_one(folder: Path, kind: Kind, count: int) -> tuple[Generation, ...]:
    model = load(folder, kind)
    decoder = open_vision_decoder(model, padded=True)
    return tuple(decoder.generate([request])[0] for request in requests(model, count))


@pytest.mark.parametrize("kind", KINDS)
def test_padded_batches_read_what_is_read_one_by_one(folders: dict[Kind, Path], kind: Kind):
    """Padding on the left and other images change no token."""
    model = load(folders[kind], kind)

    generations = open_vision_decoder(model, padded=True, batch_size_tokens=400).generate(requests(model, 12))

    expected = one_by_one(folders[kind], kind, 12)
    assert len({tuple(one.tokens) for one in expected}) > 6
    assert tuple(generations) == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_size_tokens", [None, 400])
def test_packed_and_drafted_images_are_read_as_one_by_one(folders: dict[Kind, Path], kind: Kind, batch_size_tokens: int | None):
    """Drafts that are right, half right, wrong or not there affect the number of passes and no token."""
    expected = one_by_one(folders[kind], kind, 12)
    model = load(folders[kind], kind)
    decoder = open_vision_decoder(model, padded=False, batch_size_tokens=batch_size_tokens)
    chance = random.Random(1)
    drafts = [
        [token if chance.random() < (1, 0.7, 0)[number % 3] else 20 for token in one.tokens]
        for number, one in enumerate(expected)
    ]

    plain = decoder.generate(requests(model, 12))
    plain_steps = decoder.stats.sequence_steps
    drafted = decoder.generate(requests(model, 12, drafts))
    decoder.close()

    assert tuple(plain) == expected
    assert tuple(drafted) == expected
    assert decoder.stats.sequence_steps - plain_steps < plain_steps


@pytest.mark.parametrize("kind", KINDS)
def test_logits_never_depend_on_later_tokens_of_the_answer_or_on_the_batch(folders: dict[Kind, Path], kind: Kind):
    """Training would see its answer, and a record would depend on its neighbours."""
    model = load(folders[kind], kind)
    encoder = model.encoder
    prompts = [encoder.encode_prompt(page, instruction) for page, instruction in zip(pages(3), INSTRUCTIONS, strict=True)]
    answer, other = (encoder.encode_answer(text) for text in ("abcdef", "abcxyz"))

    def logits(prompts: Sequence, answers: Sequence) -> torch.Tensor:
        with torch.inference_mode():
            return model.model(**encoder.batch(prompts, answers)).logits[0, : len("abc") + 1]

    alone = logits(prompts[:1], [answer])

    assert torch.allclose(alone, logits(prompts[:1], [other]), atol=1e-5)
    assert torch.allclose(alone, logits(prompts, [answer, answer, other]), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_loss_of_a_batch_is_that_of_its_records_over_the_answers_alone(folders: dict[Kind, Path], kind: Kind):
    """Logits are computed for the last positions only, as many as the longest answer needs."""
    model = load(folders[kind], kind)
    encoder = model.encoder
    prompts = [request.prompt for request in requests(model, 3)]
    answers = [encoder.encode_answer(text) for text in ("12", "4711 and more", "")]

    with torch.inference_mode():
        whole = model.model(**encoder.batch(prompts, answers))
        single = [float(model.model(**encoder.batch([p], [a])).loss) for p, a in zip(prompts, answers, strict=True)]

    tokens = [len(answer) for answer in answers]
    expected = sum(loss * count for loss, count in zip(single, tokens, strict=True)) / sum(tokens)
    assert float(whole.loss) == pytest.approx(expected, abs=1e-4)
    assert whole.logits.shape[1] == max(tokens) + 1


def test_image_that_does_not_fit_is_refused_alone(folders: dict[Kind, Path]):
    """Others of its batch are read."""
    model = load(folders["got"], "got")
    decoder = open_vision_decoder(model, padded=False, batch_size_tokens=200)
    short, _ = requests(model, 2)
    long = ImageRequest(short.prompt, 500)

    generations = decoder.generate([long, short])
    decoder.close()

    assert not decoder.fits(long)
    assert generations[0].refused
    assert generations[1] == one_by_one(folders["got"], "got", 12)[0]


@pytest.mark.parametrize("kind", ["paligemma", "qwen"])
def test_model_that_is_packed_wrongly_is_refused_with_what_to_set(
    folders: dict[Kind, Path], kind: Kind, monkeypatch: pytest.MonkeyPatch
):
    """PaliGemma with a causal prefix, and Qwen-VL with the positions of text, compute something else."""
    monkeypatch.setattr(packed_model, "make_layout", lambda *args: make_layout(*args[:6]))
    monkeypatch.setattr(packed_images, "_positions", lambda _, start, end: torch.arange(start, end).expand(3, -1))

    with pytest.raises(EngineError, match=r"set engine: vlm_padded"):
        open_vision_decoder(load(folders[kind], kind), padded=False)
