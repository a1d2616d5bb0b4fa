"""The engines that benchmarks/decode.py compares, each behind the same call."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import ContinuousBatchingConfig

from ocrray.decoding.padded import generate_padded, halved_to_fit
from ocrray.engines.hf import batches
from ocrray.models.loading import Dtype, Generator, load_generator

CACHE_MEMORY_FRAC = 0.1  # of the machine's, for transformers' continuous batching: 60 % on a CPU, unless told
RAY_BATCH_ROWS = 256


@dataclass(frozen=True, slots=True)
class Work:
    """One passage as every engine gets it: token ids, and how many new ones there may be."""

    prompt: list[int]
    source: list[int]
    bound: int


@dataclass(frozen=True, slots=True)
class Run:
    """What an engine wrote for each passage, without end-of-text tokens, and the seconds it took, start-up excluded."""

    tokens: list[list[int]]
    seconds: float


@dataclass(frozen=True, slots=True)
class Setting:
    """What the engines have in common."""

    generator: Generator
    folder: Path  # where the generator came from
    dtype: Dtype
    threads: int
    batch_size_tokens: int


class Engine(Protocol):
    """Generates greedily; the clock of a run starts when the model and all processes stand."""

    label: str
    is_slow: bool  # one record at a time: a sample of the records has to do

    def run(self, works: Sequence[Work]) -> Run: ...


class OneByOne:
    """(a) The published recipe's loop; (c) the same with prompt lookup, which takes no larger batch."""

    is_slow = True

    def __init__(self, setting: Setting, **options: Any) -> None:
        self.label = f"generate, one by one{', prompt lookup' if options else ''}"
        self.generator, self.options = setting.generator, options

    @torch.inference_mode()
    def run(self, works: Sequence[Work]) -> Run:
        begun, tokens = time.perf_counter(), []
        for work in works:
            ids = torch.tensor([work.prompt], device=self.generator.model.device)
            mask = torch.ones_like(ids)
            output = self.generator.model.generate(ids, attention_mask=mask, max_new_tokens=work.bound, **self.options)
            tokens.append(before_end(output[0, len(work.prompt) :].tolist(), self.generator))
        return Run(tokens, time.perf_counter() - begun)


class Padded:
    """(b) Batches of about the same length, padded."""

    label, is_slow = "generate, padded batches", False

    def __init__(self, setting: Setting) -> None:
        self.generator, self.budget = setting.generator, setting.batch_size_tokens

    def run(self, works: Sequence[Work]) -> Run:
        begun = time.perf_counter()
        return Run(in_batches(works, self.budget, self.generate), time.perf_counter() - begun)

    def generate(self, works: Sequence[Work]) -> list[list[int]]:
        def generate(some: Sequence[Work]) -> list[Any]:
            return generate_padded(self.generator, [one.prompt for one in some], [one.bound for one in some])

        return [generation.tokens for generation in halved_to_fit(generate, works)]


class ContinuousBatching:
    """(d) What `generate_batch` does, but with a bound for each passage; a new manager a run, so that no prefix is known."""

    label, is_slow = "transformers' continuous batching", False

    def __init__(self, setting: Setting) -> None:
        self.generator = setting.generator

    def run(self, works: Sequence[Work]) -> Run:
        model = self.generator.model
        config = ContinuousBatchingConfig(max_memory_percent=CACHE_MEMORY_FRAC if model.device.type == "cpu" else None)
        done: dict[str, list[int]] = {}
        with model.continuous_batching_context_manager(continuous_batching_config=config, timeout=5) as manager:
            begun = time.perf_counter()
            for number, work in enumerate(works):
                manager.add_request(work.prompt, request_id=str(number), max_new_tokens=work.bound)
            while len(done) < len(works):
                result = manager.get_result(timeout=1)
                if result is None and not manager.is_running():
                    raise RuntimeError("the generation thread ended")
                if result is not None and result.error is not None:
                    raise RuntimeError(result.error)
                if result is not None and result.is_finished():
                    done[result.request_id] = before_end(result.generated_tokens, self.generator)
            seconds = time.perf_counter() - begun
        return Run([done[str(number)] for number in range(len(works))], seconds)


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

    def run(self, works: Sequence[Work]) -> Run:
        begun = time.perf_counter()
        return Run(in_batches(works, self.budget, self.generate), time.perf_counter() - begun)

    def generate(self, works: Sequence[Work]) -> list[list[int]]:
        results = self.network.generate_batch(
            [list(map(str, work.prompt)) for work in works],
            max_length=max(work.bound for work in works),
            include_prompt_in_result=False,
            end_token=self.end_tokens,
        )
        written = [result.sequences_ids[0] for result in results]
        return [before_end(ids[: work.bound], self.generator) for ids, work in zip(written, works, strict=True)]


class RayData:
    """(f) A plain Ray Data script over (b): one actor with every core; timed from its first batch's start to its last's end."""

    label, is_slow = "Ray Data over padded batches", False

    def __init__(self, setting: Setting) -> None:
        import ray

        self.setting = setting
        ray.init(num_cpus=setting.threads + 1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        ray.data.DataContext.get_current().enable_progress_bars = False

    def run(self, works: Sequence[Work]) -> Run:
        import ray

        rows = [{"row": row, "prompt": work.prompt, "bound": work.bound} for row, work in enumerate(works)]
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
    """What such a script gives to `map_batches`."""

    def __init__(self, folder: str, dtype: Dtype, threads: int, batch_size_tokens: int) -> None:
        torch.set_num_threads(threads)
        generator = load_generator(folder, dtype=dtype)
        self.padded = Padded(Setting(generator, Path(folder), dtype, threads, batch_size_tokens))
        self.padded.run([Work(list(range(3, 40)), [], 8)])

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        begun = time.time()
        pairs = zip(batch["prompt"], batch["bound"], strict=True)
        run = self.padded.run([Work(list(map(int, prompt)), [], int(bound)) for prompt, bound in pairs])
        times = {"begun": [begun] * len(run.tokens), "ended": [time.time()] * len(run.tokens)}
        return {"row": batch["row"], "tokens": run.tokens, **times}


class Ours:
    """Drafts from the source, batches continuously; `stats` holds what the last run added to the decoder's counts."""

    label, is_slow = "ocrray", False

    def __init__(self, setting: Setting) -> None:
        from ocrray.decoding import Decoder

        # A model of its own: the decoder replaces the attention for good.
        device = setting.generator.model.device.type
        generator = load_generator(str(setting.folder), dtype=setting.dtype, device=device)
        self.decoder = Decoder(generator, batch_size_tokens=setting.batch_size_tokens)
        self.stats: dict[str, float] = {}

    def run(self, works: Sequence[Work]) -> Run:
        from ocrray.decoding import Request

        before, begun = counts(self.decoder.stats), time.perf_counter()
        generations = self.decoder.generate([Request(prompt=one.prompt, bound=one.bound, source=one.source) for one in works])
        seconds = time.perf_counter() - begun
        self.stats = {name: value - before.get(name, 0) for name, value in counts(self.decoder.stats).items()}
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


def counts(stats: Any) -> dict[str, float]:
    """The numbers in a dataclass."""
    return {field.name: value for field in fields(stats) if isinstance(value := getattr(stats, field.name), int | float)}


def in_batches(works: Sequence[Work], budget: int, generate: Callable[[Sequence[Work]], list[list[int]]]) -> list[list[int]]:
    """`generate` on groups of about the same length, longest first; what it wrote, in the order of `works`."""
    tokens: dict[int, list[int]] = {}
    for rows in batches({row: len(work.prompt) + work.bound for row, work in enumerate(works)}, budget):
        tokens.update(zip(rows, generate([works[row] for row in rows]), strict=True))
    return [tokens[row] for row in range(len(works))]


def before_end(tokens: Sequence[int], generator: Generator) -> list[int]:
    """`tokens` up to the first end-of-text token."""
    end = next((position for position, token in enumerate(tokens) if token in generator.eos_ids), len(tokens))
    return list(tokens[:end])
