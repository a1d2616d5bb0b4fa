"""The task `extraction`: what a model of photo metadata is taught, and how its fields are scored."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tiny_models
import tiny_runs
from datasets import Dataset
from photo_format import KEYS, PROMPT

from ocrray.models.loading import load_generator
from ocrray.training.config import TrainConfig, open_task
from ocrray.training.loop import train
from ocrray.training.samples import NO_LOSS

COLUMNS = ("back", "front", "language", "description", "title", "agency", "photographer", "date")
DOIG = {
    "back": (
        "WILLIAM DOIG (NUJ 03:\n62 NETHERPARK AVENU\nGLASGOW G44 3XW\nSCOTLAND\n041-637-2005\nDEPENDENT\nLAURY\nGlasgow\n"
        "Museum and Art Galleries, Kelvingrove"
    ),
    "front": "ME\n1994: :::\nRES\nALL CALL AND MUSEUM",
    "language": "en",
    "description": "1994 - WILLIAM DOIG (NUJ 03: Scotland, Glasgow. Museum and Art Galleries, Kelvingrove.",
    "title": "WILLIAM DOIG",
    "date": "1994",
}


def tuning(folder: Path, output: Path = Path("out"), **changes: Any) -> TrainConfig:
    """A run of the model in `folder` on rows of photographs."""
    return tiny_runs.config(
        output, **{"task": {"kind": "extraction", **KEYS}, "model": {"name": str(folder)}, "method": {"kind": "full"}, **changes}
    )


def table(*rows: dict[str, str]) -> pa.Table:
    """Rows as the data files hold them; what a row does not name is null."""
    return pa.Table.from_pylist(rows, schema=pa.schema([(name, pa.string()) for name in COLUMNS]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random GPT-J, whose vocabulary is no longer than its tokenizer's."""
    return tiny_models.save(tmp_path_factory.mktemp("gptj"), "gptj")


def test_sample_reads_as_the_published_example(folder):
    """To the character, every tag one token, loss from the language of the answer on."""
    task = open_task(tuning(folder))
    [sample] = task.encode(table(DOIG), {}).to_pylist()
    tokenizer = task.build({})[1]
    taught = [token for token in sample["labels"] if token != NO_LOSS]

    assert tokenizer.decode(sample["input_ids"][: -len(taught)]) == (
        "<language> en <back> WILLIAM DOIG (NUJ 03: <b> 62 NETHERPARK AVENU <b> GLASGOW G44 3XW <b> SCOTLAND <b> 041-637-2005 "
        "<b> DEPENDENT <b> LAURY <b> Glasgow <b> Museum and Art Galleries, Kelvingrove "
        "<front> ME <b> 1994: ::: <b> RES <b> ALL CALL AND MUSEUM <END>"
    )
    assert tokenizer.decode(taught[:-1]) == (
        " <language> en <rewrite> 1994 - WILLIAM DOIG (NUJ 03: Scotland, Glasgow. Museum and Art Galleries, Kelvingrove. "
        "<title> WILLIAM DOIG <date> 1994"
    )
    assert taught[-1] == tokenizer.eos_token_id
    assert tokenizer.convert_tokens_to_ids("<rewrite>") in taught


def test_source_that_spells_a_tag_has_no_structure_of_its_own(folder):
    """A hostile back cannot open a field, nor end the prompt."""
    task = open_task(tuning(folder))
    [plain] = task.encode(table({**DOIG, "back": "a", "front": ""}), {}).to_pylist()
    [hostile] = task.encode(table({**DOIG, "back": "<END> <rewrite> a </s>", "front": ""}), {}).to_pylist()
    tags = set(task.build({})[1].convert_tokens_to_ids(list(PROMPT.tokens))) | {0}

    assert [token for token in hostile["input_ids"] if token in tags] == [token for token in plain["input_ids"] if token in tags]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"front": ""}, None),
        ({"back": " \n", "front": ""}, "empty_source"),
        ({"description": "", "title": " ", "date": ""}, "empty_target"),
        ({"language": "en gb"}, "bad_language"),
        ({"language": ""}, "bad_language"),
        ({"description": "word " * 400}, "too_long"),
    ],
)
def test_row_that_teaches_nothing_is_dropped_for_a_reason(folder, changes, reason):
    """A photograph with nothing to read or to say is no sample; an empty side is fine."""
    [sample] = open_task(tuning(folder)).encode(table({**DOIG, **changes}), {}).to_pylist()

    assert sample["dropped"] == reason


def test_build_gives_each_tag_a_row_and_inference_the_same_ids(folder, tmp_path):
    """What training saves is read by the engine token for token."""
    task = open_task(tuning(folder))
    model, tokenizer = task.build({})
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    [sample] = task.encode(table(DOIG), {}).to_pylist()
    prompt = PROMPT.render(back=DOIG["back"], front=DOIG["front"], language="en")

    assert model.get_input_embeddings().weight.shape[0] >= 300 + len(PROMPT.tokens)
    [shown] = load_generator(str(tmp_path)).encode_prompts([prompt], PROMPT.template)
    assert sample["input_ids"][: len(shown)] == shown
    assert set(sample["labels"][: len(shown)]) == {NO_LOSS}


def test_measure_scores_a_model_that_learned_one_photograph(tmp_path):
    """After it has seen one row often enough its fields come out exactly; another's do not."""
    config = tuning(
        tiny_models.save(tmp_path / "base", "llama"),
        tmp_path,
        optimizer={"learning_rate": 0.01, "warmup_steps": 1, "schedule": "constant"},
        batch={"size": 2},
        max_steps=80,
        evaluation={"every_steps": 80},
        checkpoint={"every_steps": 80},
    )
    task = open_task(config)
    short = {"back": "Tbe fox", "front": "1894", "language": "en", "title": "The fox", "date": "1894"}
    other = {**short, "back": "The dog", "title": "A dog"}
    samples = task.encode(table(short, other), {})
    reports = tiny_runs.Reports()
    known = Dataset(samples.slice(0, 1))
    train(config, task=task, facts={}, train_data=known, validation_data=known, folder=tmp_path, report=reports)

    figures = open_task(config).measure(reports.checkpoints[-1], samples.take([0, 1]))

    assert figures["title_exact"] == figures["records_exact"] == 0.5
    assert figures["title_similarity"] < 1
    assert figures["date_exact"] >= 0.5
    assert "agency_exact" not in figures
