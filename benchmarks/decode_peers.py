"""Engines that benchmarks/decode.py compares, all with the same interface."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import ContinuousBatchingConfig

from ocrray.decoding import Request
from ocrray.decoding.decoder import Decoder
from ocrray.decoding.padded import PaddedDecoder, padded_batches
from ocrray.models.generator import Generator
from ocrray.models.loading import Dtype, load_generator

CACHE_MEMORY_FRAC = {"cpu": 0.1, "cuda": 0.4}  # for transformers' continuous batching, which takes 60 or 90 % by default
RAY_BATCH_ROWS = 256


@dataclass(frozen=True, slots=True)
class Run:
    """Output tokens per passage, without end-of-text tokens, and seconds, start-up excluded."""

    tokens: list[list[int]]
    seconds: float


@dataclass(frozen=True, slots=True)
class Setting:
    """Settings that all engines share."""

    generator: Generator
    folder: Path  # where the generator came from
    dtype: Dtype
    threads: int
    batch_size_tokens: int
    shared_prefix: list[int]  # tokens that every prompt begins with


class Engine(Protocol):
    """Generates greedily; a run is timed from when the model and all processes are ready."""

    label: str
    is_slow: bool  # runs on a sample of the passages only

    def run(self, requests: Sequence[Request]) -> Run: ...


class OneByOne:
    """(a) The published recipe's loop; (c) the same with prompt lookup, which takes no larger batch."""

    is_slow = True

    def __init__(self, setting: Setting, **options: Any) -> None:
        self.label = f"generate, one by one{', prompt lookup' if options else ''}"
        self.generator, self.options = setting.generator, options

    @torch.inference_mode()
    def run(self, requests: Sequence[Request]) -> Run:
        begun, tokens = time.perf_counter(), []
        for request in requests:
            ids = torch.tensor([request.prompt], device=self.generator.model.device)
            mask = torch.ones_like(ids)
            output = self.generator.model.generate(
                ids, attention_mask=mask, max_new_tokens=request.max_new_tokens, **self.options
            )
            tokens.append(before_end(output[0, len(request.prompt) :].tolist(), self.generator))
        return Run(tokens, time.perf_counter() - begun)


class Padded:
    """(b) Batches of about the same length, padded."""

    label, is_slow = "generate, padded batches", False

    def __init__(self, setting: Setting) -> None:
        self.decoder = PaddedDecoder(setting.generator, batch_size_tokens=setting.batch_size_tokens)

    def run(self, requests: Sequence[Request]) -> Run:
        begun = time.perf_counter()
        generations = self.decoder.generate(requests)
        return Run([generation.tokens for generation in generations], time.perf_counter() - begun)


class ContinuousBatching:
    """(d) As `generate_batch`, but with a maximum for each passage; a new manager a run, so that no prefix is known.

    On a CPU it runs, slower than (b).
    """

    label, is_slow = "transformers' continuous batching", True

    def __init__(self, setting: Setting) -> None:
        self.generator = setting.generator

    def run(self, requests: Sequence[Request]) -> Run:
        model = self.generator.model
        config = ContinuousBatchingConfig(max_memory_percent=CACHE_MEMORY_FRAC[model.device.type])
        done: dict[str, list[int]] = {}
        with model.continuous_batching_context_manager(continuous_batching_config=config, timeout=5) as manager:
            begun = time.perf_counter()
            for number, request in enumerate(requests):
                manager.add_request(request.prompt, request_id=str(number), max_new_tokens=request.max_new_tokens)
            while len(done) < len(requests):
                result = manager.get_result(timeout=1)
                if result is None and not manager.is_running():
                    raise RuntimeError("the generation thread ended")
                if result is not None and result.error is not None:
                    raise RuntimeError(result.error)
                if result is not None and result.is_finished():
                    done[result.request_id] = before_end(result.generated_tokens, self.generator)
            seconds = time.perf_counter() - begun
        return Run([done[str(number)] for number in range(len(requests))], seconds)


class CTranslate2:
    """(e) Batches as in (b); float32 where it lacks the dtype (bfloat16 on many a CPU).

    Tokens are named by their numbers, so that any tokenizer will do.
    """

    is_slow = False

    def __init__(self, setting: Setting) -> None:
        import ctranslate2
        from ctranslate2.converters import TransformersConverter

        eos_ids = setting.generator.eos_ids

        class Numbers:
            bos_token = eos_token = unk_token = str(eos_ids[0])

            def get_vocab(self) -> dict[str, int]:
                return {str(number): number for number in range(setting.generator.model.config.vocab_size)}

        class Converter(TransformersConverter):
            def load_tokenizer(self, *_: Any, **__: Any) -> Numbers:
                return Numbers()

        device = setting.generator.model.device.type
        dtype = setting.dtype if setting.dtype in ctranslate2.get_supported_compute_types(device) else "float32"
        with tempfile.TemporaryDirectory(prefix="ocrray-ctranslate2-") as folder:
            Converter(str(setting.folder)).convert(folder, quantization=dtype, force=True)
            self.network = ctranslate2.Generator(folder, device=device, compute_type=dtype, intra_threads=setting.threads)
        self.label = f"CTranslate2 {ctranslate2.__version__}, {self.network.compute_type}"
        self.generator, self.budget = setting.generator, setting.batch_size_tokens
        self.end_tokens = [str(token) for token in eos_ids]

    def run(self, requests: Sequence[Request]) -> Run:
        begun, tokens = time.perf_counter(), {}
        for rows in padded_batches({row: request.max_total_tokens for row, request in enumerate(requests)}, self.budget):
            tokens.update(zip(rows, self.generate([requests[row] for row in rows]), strict=True))
        return Run([tokens[row] for row in range(len(requests))], time.perf_counter() - begun)

    def generate(self, requests: Sequence[Request]) -> list[list[int]]:
        results = self.network.generate_batch(
            [list(map(str, request.prompt)) for request in requests],
            max_length=max(request.max_new_tokens for request in requests),
            include_prompt_in_result=False,
            end_token=self.end_tokens,
        )
        written = [result.sequences_ids[0] for result in results]
        return [before_end(ids[: request.max_new_tokens], self.generator) for ids, request in zip(written, requests, strict=True)]


class RayData:
    """(f) A plain Ray Data script over (b): one actor with every core; timed from its first batch's start to its last's end."""

    label, is_slow = "Ray Data over padded batches", False

    def __init__(self, setting: Setting) -> None:
        import ray

        self.setting = setting
        ray.init(num_cpus=setting.threads + 1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        ray.data.DataContext.get_current().enable_progress_bars = False

    def run(self, requests: Sequence[Request]) -> Run:
        import ray

        rows = [
            {"row": row, "prompt": request.prompt, "max_new_tokens": request.max_new_tokens}
            for row, request in enumerate(requests)
        ]
        setting = self.setting
        arguments = (str(setting.folder), setting.dtype, setting.threads, setting.batch_size_tokens)
        written = (
            ray.data.from_items(rows)
            .map_batches(
                RayActor,
                fn_constructor_args=arguments,
                batch_size=RAY_BATCH_ROWS,
                compute=ray.data.ActorPoolStrategy(size=1),
                num_cpus=setting.threads,
                num_gpus=int(setting.generator.model.device.type == "cuda"),
            )
            .take_all()
        )
        written.sort(key=lambda row: row["row"])
        seconds = max(row["ended"] for row in written) - min(row["begun"] for row in written)
        return Run([list(map(int, row["tokens"])) for row in written], float(seconds))


class RayActor:
    """Class that such a script passes to `map_batches`."""

    def __init__(self, folder: str, dtype: Dtype, threads: int, batch_size_tokens: int) -> None:
        torch.set_num_threads(threads)
        generator = load_generator(folder, dtype=dtype)
        self.decoder = PaddedDecoder(generator, batch_size_tokens=batch_size_tokens)
        self.decoder.generate([Request(list(range(3, 40)), max_new_tokens=8)])

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        begun = time.time()
        pairs = zip(batch["prompt"], batch["max_new_tokens"], strict=True)
        generations = self.decoder.generate([Request(list(map(int, prompt)), int(limit)) for prompt, limit in pairs])
        times = {"begun": [begun] * len(generations), "ended": [time.time()] * len(generations)}
        return {"row": batch["row"], "tokens": [generation.tokens for generation in generations], **times}


class Ours:
    """`ocrray/decoding`; `stats` holds the last run's increase of the decoder's counts."""

    label, is_slow = "ocrray", False

    def __init__(self, setting: Setting) -> None:
        # A model of its own: the decoder replaces the attention for good.
        device = setting.generator.model.device.type
        generator = load_generator(str(setting.folder), dtype=setting.dtype, device=device)
        self.decoder = Decoder(generator, batch_size_tokens=setting.batch_size_tokens, shared_prefix=setting.shared_prefix)
        self.stats: dict[str, float] = {}

    def run(self, requests: Sequence[Request]) -> Run:
        before, begun = asdict(self.decoder.stats), time.perf_counter()
        generations = self.decoder.generate(requests)
        seconds = time.perf_counter() - begun
        self.stats = {name: value - before[name] for name, value in asdict(self.decoder.stats).items()}
        return Run([generation.tokens for generation in generations], seconds)


ENGINES: dict[str, Callable[[Setting], Engine]] = {
    "a": OneByOne,
    "b": Padded,
    "c": lambda setting: OneByOne(setting, prompt_lookup_num_tokens=10),
    "d": ContinuousBatching,
    "e": CTranslate2,
    "f": RayData,
    "ours": Ours,
}


def before_end(tokens: Sequence[int], generator: Generator) -> list[int]:
    """Return `tokens` up to the first end-of-text token."""
    end = next((position for position, token in enumerate(tokens) if token in generator.eos_ids), len(tokens))
    return list(tokens[:end])
