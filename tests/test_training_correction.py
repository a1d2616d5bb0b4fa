"""The task `correction`: samples, model and evaluation."""

import functools
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tiny_models
import tiny_runs
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, AutoTokenizer, BloomConfig

from ocrray.engines.hf import HfConfig, HfCorrector
from ocrray.errors import ConfigError
from ocrray.models.loading import load_generator
from ocrray.prompts import resolve
from ocrray.text.metrics import distance
from ocrray.training.config import TrainConfig, open_task
from ocrray.training.loop import train
from ocrray.training.samples import NO_LOSS

LLAMA = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
BLOOM = {"model_type": "bloom", "hiden_size": 32}
OWN_INSTRUCTION = (
    "You are an assistant that takes a piece of text that has been corrupted during OCR digitisation, "
    "and produce a corrected version of the same text."
)
TEXTS = st.lists(st.sampled_from([*"abé \n", "</s>", "<pad>", "हि"]), max_size=30).map("".join)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama whose tokenizer puts a token before a text, and one after it."""
    folder = tiny_models.save(tmp_path_factory.mktemp("llama"), "llama")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    around = [(token, tokenizer.convert_tokens_to_ids(token)) for token in (tiny_models.BOS, tiny_models.EOS)]
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single=f"{tiny_models.BOS} $A {tiny_models.EOS}", special_tokens=around
    )
    tokenizer.save_pretrained(folder)
    return folder


def tuning(folder: Path, output: Path = Path("out"), **changes: Any) -> TrainConfig:
    """A run of the model in `folder` on pairs; `changes` replace parts of it."""
    return tiny_runs.config(
        output, **{"task": {"kind": "correction"}, "model": {"name": str(folder)}, "method": {"kind": "full"}, **changes}
    )


def padded(output: Path = Path("out"), **changes: Any) -> TrainConfig:
    """A run of a new byte-level model on pieces of pairs, in the padded prompt."""
    new = {"architecture": LLAMA, "tokenizer": "bytes"}
    return tiny_runs.config(
        output,
        **{
            "task": {"kind": "correction", "prompt": "padded_144", "piece_bytes": [60]},
            "model": new,
            "method": {"kind": "from_scratch"},
            **changes,
        },
    )


@functools.cache
def known_task(prompt: str, folder: Path) -> Any:
    """One task, and one tokenizer, for the many examples of one test."""
    return open_task(tuning(folder, task={"kind": "correction", "prompt": prompt}))


@functools.cache
def known_generator(folder: Path) -> Any:
    """One generator, as one task."""
    return load_generator(str(folder))


def encode(config: TrainConfig, *rows: tuple[str | None, ...]) -> list[dict[str, Any]]:
    """The samples of rows of source, target and, where given, instruction."""
    names = ("source", "target", "instruction")
    columns = {name: pa.array(values, pa.string()) for name, values in zip(names, zip(*rows, strict=True), strict=False)}
    return open_task(config).encode(pa.table(columns), {}).to_pylist()


@given(source=TEXTS, target=TEXTS)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("prompt", ["alpaca_ocr", "plain", "Fix: {text}</s>\n"])
def test_sample_is_the_prompt_of_the_engine_and_then_the_answer(folder, prompt, source, target):
    """Token for token what inference shows, special tokens in a source as characters; loss on answer and end alone."""
    [sample] = known_task(prompt, folder).encode(pa.table({"source": [source], "target": [target]}), {}).to_pylist()
    if sample["dropped"]:
        assert not source.strip() or not target.strip()
        return

    generator = known_generator(folder)
    [shown] = generator.encode_prompts([resolve(prompt).render(source.strip())], resolve(prompt).template)
    taught = [token for token in sample["labels"] if token != NO_LOSS]
    assert sample["input_ids"] == shown + taught
    assert sample["labels"] == [NO_LOSS] * len(shown) + taught
    begin, end = generator.tokenizer.bos_token_id, generator.tokenizer.eos_token_id
    assert (shown[0], taught[-1]) == (begin, end)
    assert shown.count(begin) == 1
    assert end not in (shown if "</s>" not in prompt else shown[-1:]) + taught[:-1]
    assert generator.tokenizer.decode(taught[:-1]) == target.strip()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("Tbe fox", "The fox"), None),
        ((" \n", "The fox"), "empty_source"),
        ((None, "The fox"), "empty_source"),
        (("Tbe fox", " "), "empty_target"),
        (("Tbe fox", None), "empty_target"),
        (("Tbe fox " * 30, "The fox " * 30), "too_long"),
        (("Tbe fox " * 50, "The fox " * 50), "too_long"),
    ],
)
def test_row_that_teaches_nothing_is_dropped_for_a_reason(folder, row, reason):
    """Nothing is cut to make it fit, what the config allows or what the model takes, and a dropped row says why."""
    limit = 320 if len(row[0] or "") < 300 else 10_000  # the model takes 512
    [sample] = encode(tuning(folder, data={"train": ["x"], "max_length_tokens": limit}), row)

    assert sample["dropped"] == reason
    assert (sample["input_ids"] is None) == (reason is not None)
    assert sample["row"] == 0


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        ("Translate the text into French.", "other_instruction"),
        (None, None),
        (OWN_INSTRUCTION, None),
    ],
)
def test_alpaca_row_that_asks_for_something_else_is_dropped(folder, instruction, reason):
    """The prompt holds one instruction; a row with another would teach the wrong answer to it."""
    data = {"train": ["x"], "instruction_column": "instruction"}

    assert encode(tuning(folder, data=data), ("Tbe fox", "The fox", instruction))[0]["dropped"] == reason


def test_pieces_of_a_long_pair_stand_at_one_distance_from_their_source():
    """Every prompt of the padded kind is equally long, and the pieces together are the pair."""
    source, target = (
        "It was tbe best of tirnes, it wos the worst of times, " * 4,
        "It was the best of times, it was the worst of times, " * 4,
    )
    samples = encode(padded(), (source, target), ("A line", "A line"))

    assert {sample["labels"].index(sample["labels"][-1]) > 145 for sample in samples} == {True}
    assert {sum(label == NO_LOSS for label in sample["labels"]) for sample in samples} == {145}
    assert [sample["row"] for sample in samples] == [0] * (len(samples) - 1) + [1]
    assert " ".join(sample["target"] for sample in samples[:-1]) == target.strip()
    assert all(len(sample["source"].encode()) <= 60 for sample in samples)


def test_source_wider_than_its_prompt_is_dropped():
    """Without pieces a row beyond the padded width is no sample."""
    samples = encode(padded(task={"kind": "correction", "prompt": "padded_144"}), ("a" * 144, "b"), ("a" * 145, "b"))

    assert [sample["dropped"] for sample in samples] == [None, "too_long"]


def test_pieces_wider_than_the_prompt_are_a_config_error():
    """The config is wrong, not the data."""
    with pytest.raises(ConfigError, match="piece_bytes"):
        open_task(padded(task={"kind": "correction", "prompt": "padded_144", "piece_bytes": [60, 145]}))


def test_new_model_ends_where_its_tokenizer_says_and_loads_for_inference(tmp_path):
    """The byte tokenizer's own special tokens, not Llama's numbers, and the engine reads the folder as it was encoded."""
    task = open_task(padded())
    model, tokenizer = task.build({})
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    generator = load_generator(str(tmp_path))

    assert (model.config.vocab_size, generator.eos_ids, generator.pad_id) == (259, (1,), 0)
    [sample] = encode(padded(), ("Tbe हि </s>", "The"))
    assert sample["input_ids"][:145] == generator.encode_prompts([resolve("padded_144").render("Tbe हि </s>")], "{text}")[0]


def test_batch_is_padded_on_the_right_to_a_multiple_of_eight(folder):
    """Padding is masked in attention and loss."""
    samples = encode(tuning(folder), ("Tbe fox", "The fox"), ("Tbe fox jumps over", "The fox jumps over"))
    task = open_task(tuning(folder))
    batch = task.collator(1, {})(samples)

    width = batch["input_ids"].shape[1]
    assert width % 8 == 0
    assert 0 <= width - len(samples[1]["input_ids"]) < 8
    assert batch["attention_mask"].sum(1).tolist() == [len(sample["input_ids"]) for sample in samples]
    assert (batch["labels"][batch["attention_mask"] == 0] == NO_LOSS).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": {"kind": "qlora"}}, ["workers.gpus", "bitsandbytes"]),
        ({"model": {"name": "no/such/folder"}}, ["no such model folder"]),
        ({"model": {"architecture": BLOOM, "tokenizer": "bytes"}, "method": {"kind": "from_scratch"}}, ["bloom", "hiden_size"]),
        ({"model": {"architecture": {"model_type": "lama"}, "tokenizer": "bytes"}, "method": {"kind": "from_scratch"}}, ["lama"]),
    ],
)
def test_problems_of_an_impossible_run_are_found_before_anything_is_loaded(folder, changes, words):
    """Each problem is a line that names what to change."""
    data = {"train": ["x"], "grouping": "packed"}
    problems = "\n".join(open_task(tuning(folder, data=data, **changes)).problems())

    assert all(word in problems for word in words)
    assert open_task(tuning(folder, data=data)).problems() == []


def test_packing_is_refused_of_a_model_whose_kind_is_known_only_when_it_is_there(tmp_path):
    """A hub's model tells what it is once it is loaded."""
    settings = BloomConfig(vocab_size=300, hidden_size=32, n_layer=1, n_head=2)
    AutoModelForCausalLM.from_config(settings).save_pretrained(tmp_path)
    tiny_models.tokenizer().save_pretrained(tmp_path)

    with pytest.raises(ConfigError, match="bloom"):
        open_task(tuning(tmp_path, data={"train": ["x"], "grouping": "packed"})).build({})


def test_model_without_all_its_weights_is_refused(tmp_path):
    """transformers alone would train on random numbers in their place."""
    tiny_models.save(tmp_path, "llama")
    weights = tmp_path / "model.safetensors"
    from safetensors.torch import load_file, save_file

    kept = {name: value for name, value in load_file(weights).items() if name != "lm_head.weight"}
    save_file(kept, weights, metadata={"format": "pt"})

    with pytest.raises(ConfigError, match=r"lm_head\.weight"):
        open_task(tuning(tmp_path)).build({})


def test_measure_scores_what_the_engine_makes_of_a_whole_model(tmp_path):
    """A model that always answers `dog` mends one of two samples and spoils the other."""
    model = tiny_models.save_writing(tmp_path, after="\x1e", answer="dog")
    config = tuning(model, task={"kind": "correction", "prompt": "plain"})
    samples = open_task(config).encode(pa.table({"source": ["d0g", "cat"], "target": ["dog", "cat"]}), {})

    figures = open_task(config).measure(model, samples)

    assert figures == pytest.approx({"raw_cer": 1 / 6, "cer": 3 / 6, "wer": 1 / 2, "made_worse_frac": 1 / 2})


def test_measure_puts_an_adapter_on_its_base(folder, tmp_path):
    """The adapter is evaluated as the engine would apply it."""
    adapter = tiny_models.save_lora(tmp_path, folder)
    config = tuning(folder, task={"kind": "correction", "prompt": "plain"}, method={"kind": "lora"})
    pairs = pa.table({"source": ["Tbe fox", "jumps ovcr"], "target": ["The fox", "jumps over"]})
    samples = open_task(config).encode(pairs, {})

    corrector = HfCorrector(HfConfig(engine="hf", model=str(folder), adapter=str(adapter), prompt="plain"))
    sources = pairs["source"].to_pylist()
    texts = [done.text or source for done, source in zip(corrector.correct(sources), sources, strict=True)]
    expected = sum(map(distance, texts, pairs["target"].to_pylist())) / 17

    assert open_task(config).measure(adapter, samples)["cer"] == pytest.approx(expected)


class FirstLog(tiny_runs.Reports):
    """Keeps the figures of the first step."""

    def log(self, step: int, steps: int, metrics: dict[str, float]) -> None:  # noqa: ARG002
        if step == 1 and "grad_norm" in metrics:
            self.first = metrics


@pytest.mark.parametrize(
    ("method", "grouping"),
    [({"kind": "full"}, "none"), ({"kind": "lora", "r": 2, "target_modules": ["q_proj"]}, "packed")],
)
def test_loss_is_per_token_however_the_step_is_split_into_batches(folder, tmp_path, method, grouping):
    """Four samples of very different length weigh the same in one batch as in four, packed or not."""
    lines = ["Tbe fox", "jumps ovcr the lazy dog " * 6, "a", "the quick brown f0x " * 3]
    steps = []
    for size, accumulation in ((4, 1), (1, 4)):
        config = tuning(
            folder,
            tmp_path / str(size),
            task={"kind": "correction", "prompt": "plain"},
            method=method,
            data={"train": ["x"], "grouping": "none"},
            batch={"size": size, "accumulation": accumulation},
            max_steps=1,
        )
        samples = Dataset(open_task(config).encode(pa.table({"source": lines, "target": lines}), {})).with_format("numpy")
        report = FirstLog()
        train(
            config,
            task=open_task(config),
            facts={},
            train_data=packed(samples) if grouping == "packed" and size == 1 else samples,
            validation_data=samples,
            folder=tmp_path / str(size),
            report=report,
        )
        steps.append((report.first["loss"], report.first["grad_norm"]))

    assert all(math.isfinite(figure) and figure > 0 for step in steps for figure in step)
    assert steps[1] == pytest.approx(steps[0], rel=1e-4)


def packed(samples: Dataset) -> Any:
    """All four samples in two rows, for batches of one row."""
    from ocrray.training.packing import Packed

    lengths = [int(length) for length in samples["length"]]
    return Packed(samples, lengths, capacity=max(lengths) + min(lengths))
