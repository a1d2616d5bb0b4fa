"""CER, lines and characters per second of the reader of single lines, drafted by Tesseract and not, beside Tesseract.

    ocrray synthesize configs/synthesize/tiny_reader_test.yaml
    python benchmarks/tiny_reader.py [--model ocrray/models/default_reader] [--lines 500] [--data out/tiny_reader_test/data]

All read the same lines (text and typefaces held out) with one thread, the reader all lines in one call; loading is not in the
times. The time of the drafted reader is given without and with that of Tesseract. Exit code 1 when drafts change an answer.
"""

import argparse
import io
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import torch
from PIL import Image

from ocrray.decoding import ImageRequest
from ocrray.decoding.images import ImageDecoder, open_vision_decoder
from ocrray.engines.tesseract import Tesseract, TesseractConfig
from ocrray.models.vision.loading import load_vision_model
from ocrray.models.vision.model import VisionModel
from ocrray.text.metrics import distance

MAX_ANSWER_TOKENS = 64


def main() -> int:
    """Read all lines in three ways, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("ocrray/models/default_reader"))
    parser.add_argument("--lines", type=int, default=500)
    parser.add_argument("--data", type=Path, default=Path("out/tiny_reader_test/data"))
    arguments = parser.parse_args()
    os.environ["OMP_THREAD_LIMIT"] = "1"
    torch.set_num_threads(1)
    rows = pq.read_table(arguments.data, columns=["image", "text"]).slice(0, arguments.lines).to_pylist()
    images = [Image.open(io.BytesIO(row["image"]["bytes"])).convert("L") for row in rows]
    truth = [row["text"] for row in rows]

    tesseract = Tesseract(TesseractConfig(page_segmentation=7))
    tesseract_s, drafts = timed(lambda: [" ".join(line.text for line in tesseract.recognize(image)) for image in images])
    model = load_vision_model(arguments.model)
    decoder = open_vision_decoder(model, padded=False)
    read(model, decoder, images[:8], [""] * 8)
    plain_s, plain = timed(lambda: read(model, decoder, images, [""] * len(images)))
    drafted_s, drafted = timed(lambda: read(model, decoder, images, drafts))

    report("Tesseract", drafts, truth, tesseract_s)
    report("reader", plain, truth, plain_s)
    report("reader, drafted", drafted, truth, drafted_s)
    report("with Tesseract's time", drafted, truth, drafted_s + tesseract_s)
    return int(plain != drafted)


def read(model: VisionModel, decoder: ImageDecoder, images: Sequence[Image.Image], drafts: Sequence[str]) -> list[str]:
    """Return the text of each image."""
    encoder = model.encoder
    prompts = [encoder.encode_prompt(image, encoder.default_instruction) for image in images]
    requests = [
        ImageRequest(prompt, MAX_ANSWER_TOKENS, encoder.encode_text(draft) if draft else ())
        for prompt, draft in zip(prompts, drafts, strict=True)
    ]
    return [encoder.decode(generation.tokens) for generation in decoder.generate(requests)]


def timed(call: Callable[[], list[str]]) -> tuple[float, list[str]]:
    """Return the seconds of a call, and its result."""
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def report(name: str, answers: Sequence[str], truth: Sequence[str], seconds: float) -> None:
    """Print CER, exact lines and speed."""
    chars = sum(map(len, truth))
    cer = sum(map(distance, answers, truth)) / chars
    exact = sum(answer == text for answer, text in zip(answers, truth, strict=True)) / len(truth)
    print(
        f"{name:22} CER {cer:6.2%}  exact {exact:4.0%}  {len(truth) / seconds:6.1f} lines/s  {chars / seconds:7.0f} characters/s"
    )


if __name__ == "__main__":
    sys.exit(main())
