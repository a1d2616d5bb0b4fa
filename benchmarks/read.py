"""Images per second of reading with a vision-language model: the packed decoder beside `generate`.

    python benchmarks/read.py [--model FOLDER] [--images 64] [--folder ../shared/data/hindi_lines/images] [--rounds 3]

In one process, every engine gets the same encoded prompts, limits and weights, and gives back token ids; the engines take turns,
the order alternates, medians and ranges over the rounds are printed. Images are prepared before the clock runs; the vision tower
is part of every engine's time.
- one by one: `generate` for one image after the other, as published recipes do
- batches: `generate` in left-padded batches
- packed: `ocrray/decoding`, no drafts
- drafted: packed, drafted from the answers with `--wrong` of their characters exchanged, as another engine's text would be
Without `--model` it is a GOT-OCR2 of `--hidden` units with random weights, whose end token is made likely enough that answers end
by chance, at lengths as different as those of lines and pages. Exit code 1 where an engine writes other tokens.
"""

import argparse
import random
import statistics
import string
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from rich.console import Console
from rich.table import Table
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

from ocrray.decoding import ImageRequest
from ocrray.decoding.images import ImageDecoder, open_vision_decoder
from ocrray.decoding.packed_images import PackedImageDecoder
from ocrray.models.vision.loading import load_vision_model
from ocrray.models.vision.model import VisionModel

TARGETS = {"one by one": 3.0, "batches": 1.2}  # packed is so many times as fast
GOT_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<imgpad>")
SIZE = (384, 32)  # width and height of a line, in pixels
WEIGHT_FACTOR, END_FACTOR = 5.0, 1.3  # of the random model: answers vary, and end by chance within some dozens of tokens


def main() -> int:
    """Run every engine in turn, and print the table."""
    args = parsed()
    torch.set_num_threads(args.threads)
    transformers.utils.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory(prefix="ocrray-read-") as temporary:
        folder = args.model or random_got(Path(temporary), args.hidden, args.layers)
        engines, requests = opened(folder, args)
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    tokens: dict[str, list[list[int]]] = {}
    for number in range(args.rounds):
        for name in list(engines)[:: -1 if number % 2 else 1]:
            started = time.perf_counter()
            tokens[name] = engines[name].read(requests)
            seconds[name].append(time.perf_counter() - started)
    show(engines, requests, seconds, tokens)
    return int(any(written != tokens["one by one"] for written in tokens.values()))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="folder of a vision-language model; none: random weights")
    parser.add_argument("--folder", type=Path, help="images; none: noise of 32 pixels' height")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--instruction", help="none: the model's own for plain text")
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--batch-size-tokens", type=int, default=16_384, help="held at once, padding included")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--wrong", type=float, default=0.1, help="share of a draft's tokens that are not the model's")
    parser.add_argument("--hidden", type=int, default=128, help="units of the random model's text half, a multiple of 32")
    parser.add_argument("--layers", type=int, default=3, help="layers of the random model's text half")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    return parser.parse_args()


class Engine:
    """One way to read; `drafts` are token ids for each image."""

    def __init__(self, decoder: ImageDecoder, one_by_one: bool = False, drafts: Sequence[Sequence[int]] = ()) -> None:
        self.decoder, self.one_by_one, self.drafts = decoder, one_by_one, drafts

    def read(self, requests: Sequence[ImageRequest]) -> list[list[int]]:
        """Return the tokens of each answer."""
        if self.drafts:
            requests = [
                ImageRequest(one.prompt, one.max_new_tokens, draft) for one, draft in zip(requests, self.drafts, strict=True)
            ]
        parts = [[one] for one in requests] if self.one_by_one else [requests]
        return [generation.tokens for part in parts for generation in self.decoder.generate(part)]


def opened(folder: Path, args: argparse.Namespace) -> tuple[dict[str, Engine], list[ImageRequest]]:
    """Return the engines, warmed up, and what they read."""

    def load() -> VisionModel:  # a packed model keeps its attention: each decoder has a model of its own
        return load_vision_model(folder, dtype=args.dtype, device=args.device)

    model = load()
    instruction = model.encoder.default_instruction if args.instruction is None else args.instruction
    prompts = [model.encoder.encode_prompt(image, instruction) for image in images(args)]
    requests = [ImageRequest(prompt, args.max_new_tokens) for prompt in prompts]
    padded = open_vision_decoder(model, padded=True, batch_size_tokens=args.batch_size_tokens)
    packed, drafted = (open_vision_decoder(load(), padded=False, batch_size_tokens=args.batch_size_tokens) for _ in range(2))
    answers = Engine(padded).read(requests)
    drafts = [wrong(answer, args.wrong, number) for number, answer in enumerate(answers)]
    engines = {
        "one by one": Engine(padded, one_by_one=True),
        "batches": Engine(padded),
        "packed": Engine(packed),
        "drafted": Engine(drafted, drafts=drafts),
    }
    for engine in engines.values():
        Engine(engine.decoder, engine.one_by_one).read(requests[:2])
    return engines, requests


def images(args: argparse.Namespace) -> list[Image.Image]:
    if args.folder:
        files = sorted(file for file in args.folder.rglob("*") if file.suffix.lower() in (".png", ".jpg", ".jpeg", ".tif"))
        return [Image.open(file) for file in files[: args.images]]
    noise = np.random.default_rng(0)
    widths = noise.integers(100, SIZE[0], args.images)
    return [Image.fromarray(noise.integers(0, 256, (SIZE[1], width, 3), np.uint8)) for width in widths]


def wrong(answer: Sequence[int], share: float, seed: int) -> list[int]:
    """Return the answer with a share of its tokens replaced by others of it."""
    chance = random.Random(seed)
    return [token if chance.random() >= share else chance.choice(answer) for token in answer]


def random_got(folder: Path, hidden: int, layers: int) -> Path:
    """Write a GOT-OCR2 of lines with random weights and characters for tokens."""
    vocabulary = [*GOT_TOKENS, *string.printable[:-2], "\ufffd"]
    characters = Tokenizer(models.WordLevel({token: number for number, token in enumerate(vocabulary)}, unk_token="\ufffd"))
    characters.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    characters.decoder = decoders.Fuse()
    names = {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "unk_token": "\ufffd"}
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=characters, additional_special_tokens=list(GOT_TOKENS[1:]), **names
    )
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    end = vocabulary.index("<|im_end|>")
    heads = hidden // 32
    vision = {
        "image_size": [SIZE[1], SIZE[0]],
        "patch_size": [8, 4],
        "hidden_size": 96,
        "output_channels": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "mlp_dim": 256,
        "window_size": 4,
        "global_attn_indexes": [],
        "use_abs_pos": False,
        "initializer_range": 0.02,
    }
    text = {
        "model_type": "qwen2",
        "vocab_size": len(tokenizer),
        "hidden_size": hidden,
        "intermediate_size": hidden * 8 // 3 // 8 * 8,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "max_position_embeddings": 1024,
        "tie_word_embeddings": False,
        "eos_token_id": end,
        "pad_token_id": 0,
        "bos_token_id": None,
    }
    torch.manual_seed(0)
    model = transformers.GotOcr2ForConditionalGeneration(
        transformers.GotOcr2Config(
            vision_config=vision,
            text_config=text,
            image_token_index=vocabulary.index("<imgpad>"),
            tie_word_embeddings=False,
            eos_token_id=end,
            pad_token_id=0,
        )
    )
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim >= 2:
                weight.mul_(WEIGHT_FACTOR)
        model.lm_head.weight[end] *= END_FACTOR
    model.save_pretrained(folder)
    processor = GotOcr2ImageProcessorPil(size={"height": SIZE[1], "width": SIZE[0]})
    transformers.GotOcr2Processor(processor, tokenizer).save_pretrained(folder)
    return folder


def show(
    engines: dict[str, Engine],
    requests: Sequence[ImageRequest],
    seconds: dict[str, list[float]],
    tokens: dict[str, list[list[int]]],
) -> None:
    console = Console(width=130)
    reference = tokens["one by one"]
    lengths = sorted(len(answer) for answer in reference)
    prompts = sorted(len(request.prompt.ids) for request in requests)
    console.print(
        f"{len(requests)} images, prompts of {prompts[0]}-{prompts[-1]} tokens, answers of {lengths[0]}-{lengths[-1]} "
        f"(median {statistics.median(lengths):.0f}), {len(seconds['packed'])} rounds"
    )
    table = Table("engine", "images/s", "range", "tokens/s", "packed is", "target", "same tokens", "tokens a pass and image")
    middle = {name: statistics.median(times) for name, times in seconds.items()}
    for name, times in seconds.items():
        decoder = engines[name].decoder
        stats = decoder.stats if isinstance(decoder, PackedImageDecoder) else None
        table.add_row(
            name,
            f"{len(requests) / middle[name]:.2f}",
            f"{len(requests) / max(times):.2f}-{len(requests) / min(times):.2f}",
            f"{sum(lengths) / middle[name]:.0f}",
            f"{middle[name] / middle['packed']:.2f} x",
            f">= {TARGETS[name]} x" if name in TARGETS else "",
            f"{sum(a == b for a, b in zip(tokens[name], reference, strict=True))}/{len(requests)}",
            f"{stats.output_tokens / stats.sequence_steps:.1f}" if stats else "1.0",
        )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
