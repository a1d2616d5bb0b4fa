"""The verb `train` end to end, on real Ray Train: its output, its refusals, and recovery from every interruption."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import tiny_models
import yaml
from tiny_runs import CANINE

from ocrray.cli import main
from ocrray.engines.tagger import Tagger, TaggerConfig
from ocrray.storage import Location
from ocrray.training.checkpoint import read_layout
from ocrray.training.history import read_state
from ocrray.verbs import output as output_folder
from ocrray.verbs.output import Run

STEPS = 40
WORDS = ["the", "sheep", "hat", "bat", "he", "be", "then", "were", "set", "bare", "hare", "cow", "moon", "night", "day"]


def write_pairs(path: Path, rows: int = 120) -> None:
    """Sentences in which some h were read as b, and some e as c."""
    rng = random.Random(1)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(rows):
            truth = " ".join(rng.choices(WORDS, k=rng.randint(4, 12)))
            read = "".join({"h": rng.choice("hhhb"), "e": rng.choice("eeec")}.get(char, char) for char in truth)
            file.write(json.dumps({"ocr": read, "gt": truth}) + "\n")


def tagger_config(folder: Path, **changes: Any) -> Path:
    """A config that trains a tagger of a few thousand weights on made-up pairs, into `<folder>/out`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_pairs(folder / "pairs.jsonl")
    config = {
        "task": {"kind": "edit_tagging", "num_labels": 20, "window_chars": [96]},
        "model": {"tokenizer": "characters", "architecture": CANINE},
        "method": {"kind": "from_scratch"},
        "data": {"train": [str(folder / "pairs.jsonl")], "validation_frac": 0.2, "max_dropped_frac": 0.2},
        "optimizer": {"learning_rate": 0.01, "warmup_steps": 2},
        "batch": {"size": 2, "accumulation": 4},
        "max_steps": STEPS,
        "evaluation": {"every_steps": 10, "generate_records": 0},
        "checkpoint": {"every_steps": 5},
        **changes,
        "output": {"path": str(folder / "out")},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(autouse=True, scope="module")
def _quick_polls() -> Iterator[None]:
    """Ray Train looks after its workers every two seconds, which is long for runs as short as these."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
        yield


@pytest.fixture(scope="module")
def finished(ray_cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config of a run that went to its end without interruption."""
    path = tagger_config(tmp_path_factory.mktemp("finished"), evaluation={"every_steps": 10, "generate_records": 4})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", ray_cluster)
        assert main(["train", str(path)]) == 0
    return path


def losses(config: Path) -> list[tuple[int, float]]:
    """Training loss by step, as the last checkpoint has it."""
    last = max((config.parent / "out" / "checkpoints").glob("step-*"))
    return [(entry["step"], entry["loss"]) for entry in read_state(last)["log_history"] if "loss" in entry]


def metrics(config: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (config.parent / "out" / "metrics.jsonl").read_text().splitlines()]


def workers(config: Path) -> list[psutil.Process]:
    """The training workers of this run, and of no other on this machine."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("TENSORBOARD_LOGGING_DIR", "").startswith(str(config.parent)):
                found.append(process)
    assert found, "no training worker"
    return found


def kill_workers(config: Path) -> None:
    for process in workers(config):
        process.kill()


def committed(config: Path) -> int:
    """The step of the checkpoint that a run would go on with now; 0 where it would begin anew.

    A checkpoint's folder is there before its files are, and it counts only when Ray Train has written it down.
    """
    with suppress(OSError, ValueError):  # there is none yet, or it is being written
        known = json.loads((config.parent / "out" / "checkpoints" / "checkpoint_manager_snapshot.json").read_text())
        return int(known["latest_checkpoint_result"]["checkpoint_dir_name"].removeprefix("step-"))
    return 0


@contextmanager
def once_committed(config: Path, step: int, then: Callable[[], None]) -> Iterator[None]:
    """Call `then`, from a thread, as soon as a checkpoint of this step or a later one counts; the run must get there."""
    is_over = threading.Event()

    def wait() -> None:
        while committed(config) < step:
            assert not is_over.wait(0.01), f"the run ended before step {step}"
        then()

    with ThreadPoolExecutor(1) as pool:
        called = pool.submit(wait)
        try:
            yield
        finally:
            is_over.set()
            called.result()


def test_train_leaves_a_model_with_card_and_figures(finished: Path):
    """The model loads and corrects; every logged step has one row; checkpoints were evaluated; two of them are kept."""
    out = finished.parent / "out"

    corrections = Tagger(TaggerConfig(engine="tagger", model=str(out / "model"))).correct(["tbc moon"])

    assert corrections[0].text is not None
    assert (out / "model" / "README.md").exists()
    rows = metrics(finished)
    assert [row["step"] for row in rows if "loss" in row] == [1, *range(5, STEPS + 1, 5)]  # with every checkpoint
    assert rows[-1]["loss"] < rows[0]["loss"]
    summary = json.loads((out / "manifest.json").read_text())
    assert 0 <= summary["measured"]["cer"] <= 1
    assert summary["samples"]["train"] + summary["samples"]["validation"] + sum(summary["dropped"].values()) == 120
    assert 2 <= len(list((out / "checkpoints").glob("step-*"))) <= 3


@pytest.mark.usefixtures("on_cluster")
def test_train_finished_output_is_not_touched_again(finished: Path, capsys: pytest.CaptureFixture[str]):
    """The same run shows its figures again, with other workers too, and another one is refused."""
    before = {path: path.stat().st_mtime_ns for path in (finished.parent / "out").rglob("*.safetensors")}
    run = ["train", str(finished)]

    assert main([*run, "--set", "workers.num=2"]) == 0
    assert str(STEPS) in capsys.readouterr().out
    assert main([*run, "--set", "max_steps=20"]) == 2
    assert "max_steps: was 40, is 20" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.slow
@pytest.mark.usefixtures("on_cluster")
def test_train_finished_run_is_written_out_anew_where_more_is_asked_for(finished: Path, tmp_path: Path):
    """Packing the model needs no second training: the steps and their losses stay what they were."""
    shutil.copytree(finished.parent / "out", tmp_path / "out")
    settings = [f"output.path={tmp_path / 'out'}", "output.zip=true", "output.title=Packed"]

    assert main(["train", str(finished), *(word for value in settings for word in ("--set", value))]) == 0

    assert (tmp_path / "out" / "model.zip").exists()
    assert "# Packed" in (tmp_path / "out" / "model" / "README.md").read_text()
    assert (tmp_path / "out" / "metrics.jsonl").read_text() == (finished.parent / "out" / "metrics.jsonl").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("on_cluster")
def test_train_finished_run_goes_on_where_more_steps_are_asked_for(finished: Path, tmp_path: Path, capsys):
    """From its last checkpoint: the steps before are not trained again, and the shorter run is refused from then on."""
    shutil.copytree(finished.parent / "out", tmp_path / "out")
    out = ["--set", f"output.path={tmp_path / 'out'}"]

    assert main(["train", str(finished), *out, "--set", f"max_steps={STEPS + 8}"]) == 0

    rows = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    before = metrics(finished)
    assert [row.get("loss") for row in rows[: len(before)]] == [row.get("loss") for row in before]
    assert rows[-1]["step"] == STEPS + 8
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["steps"] == STEPS + 8
    assert main(["train", str(finished), *out]) == 2
    assert f"max_steps: was {STEPS + 8}, is {STEPS}" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(900)  # a busy machine takes its time over every start
@pytest.mark.usefixtures("on_cluster")
def test_train_interrupted_and_killed_run_learns_as_if_nothing_had_happened(finished: Path, tmp_path: Path, capsys):
    """Ctrl-C gives 130 and how to go on; a worker that is then killed comes back; the losses are those of an undisturbed run."""
    config = tagger_config(tmp_path)
    frozen = []

    def interrupt() -> None:
        for worker in workers(config):
            worker.suspend()  # the signal is heard within a second, in which so small a model might be trained to its end
            frozen.append(worker)
        os.kill(os.getpid(), signal.SIGINT)

    with once_committed(config, 10, interrupt):
        assert main(["train", str(config)]) == 130
    for worker in frozen:
        with suppress(psutil.NoSuchProcess):
            worker.kill()
    assert f"train {config}" in capsys.readouterr().err
    assert not (tmp_path / "out" / "manifest.json").exists()
    stopped_at = committed(config)
    before = [row for row in metrics(config) if row["step"] <= stopped_at]

    with once_committed(config, stopped_at + 1, lambda: kill_workers(config)):
        assert main(["train", str(config)]) == 0

    assert losses(config) == losses(finished)
    rows = metrics(config)
    assert [row["seconds"] for row in rows[: len(before)]] == [row["seconds"] for row in before]  # not trained once more
    assert [row["step"] for row in rows] == [row["step"] for row in metrics(finished)]
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["restarts"] == 1


@pytest.mark.usefixtures("on_cluster")
def test_train_loss_that_is_no_number_ends_the_run_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """One readable line and exit code 2."""
    config = tagger_config(tmp_path, optimizer={"learning_rate": 1e30, "warmup_steps": 0})

    assert main(["train", str(config)]) == 2

    error = capsys.readouterr().err
    assert "nan" in error or "inf" in error
    assert "Traceback" not in error


@pytest.mark.usefixtures("on_cluster")
def test_train_lora_on_two_workers_leaves_an_adapter(tmp_path: Path):
    """A causal model gets an adapter, by as many workers as there is room for; it is measured, and logged for TensorBoard."""
    base = tiny_models.save(tmp_path / "base", "llama")
    config = tagger_config(
        tmp_path,
        task={"kind": "correction", "prompt": "plain"},
        model={"name": str(base)},
        method={"kind": "lora", "r": 2},
        max_steps=6,
        evaluation={"every_steps": 3, "generate_records": 2},
        checkpoint={"every_steps": 3},
        workers={"num": [1, 2]},
    )

    assert main(["train", str(config), "--set", "output.tensorboard=true"]) == 0

    model = tmp_path / "out" / "model"
    assert json.loads((model / "adapter_config.json").read_text())["base_model_name_or_path"] == str(base)
    assert (model / "adapter_model.safetensors").exists()
    assert read_layout(max((tmp_path / "out" / "checkpoints").glob("step-*"))).workers == 2
    assert "wer" in json.loads((tmp_path / "out" / "manifest.json").read_text())["measured"]
    assert any((tmp_path / "out" / "tensorboard").rglob("events.out.*"))


def test_train_several_problems_are_all_named_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Problems of data, model, GPUs and a foreign output are reported together, in a dry run too, and nothing is started."""
    config = tagger_config(
        tmp_path,
        task={"kind": "correction", "prompt": "plain"},
        model={"name": str(tmp_path / "no-model")},
        method={"kind": "lora"},
        data={"train": [str(tmp_path / "no-data.jsonl")]},
        workers={"gpus": 64},
    )
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.docx").write_text("mine")

    assert main(["train", str(config), "--dry-run"]) == 2

    error = capsys.readouterr().err
    assert all(part in error for part in ("no-model", "no-data", "gpus", "thesis.docx"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.docx"]


def test_train_dry_run_shows_the_plan_and_starts_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The resolved config, the files and DeepSpeed's settings are shown; there is no output afterwards."""
    config = tagger_config(tmp_path)

    assert main(["train", str(config), "--dry-run", "--set", "deepspeed={zero_stage: 2}"]) == 0

    shown = capsys.readouterr().out
    assert all(part in shown for part in ("pairs.jsonl", "learning_rate", "contiguous_gradients", "from_scratch"))
    assert not (tmp_path / "out").exists()


def test_train_output_without_a_checkpoint_is_free_to_begin_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Who had to change the config because its data were refused need not choose another output; a checkpoint is protected."""
    config = tagger_config(tmp_path)
    output_folder.write_run(Location.at(tmp_path / "out"), Run("of another config", {"seed": 7}, "2024-01-01T00:00:00+00:00", ""))

    assert main(["train", str(config), "--dry-run"]) == 0
    (tmp_path / "out" / "checkpoints" / "step-00000005").mkdir(parents=True)
    assert main(["train", str(config), "--dry-run"]) == 2
    assert "seed: was 7, is 1" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("on_cluster")
def test_train_worker_killed_twice_finishes_by_itself(finished: Path, tmp_path: Path):
    """The losses equal those of an undisturbed run, without any intervention."""
    config = tagger_config(tmp_path)

    with once_committed(config, 5, lambda: kill_workers(config)), once_committed(config, 20, lambda: kill_workers(config)):
        assert main(["train", str(config)]) == 0

    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["restarts"] == 2
    assert losses(config) == losses(finished)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_train_killed_driver_is_followed_by_one_that_goes_on(finished: Path, tmp_path: Path):
    """On a cluster of its own, whose workers outlive the driver for a while: they are ended, and the losses are the same."""
    config = tagger_config(tmp_path)
    command = [sys.executable, "-m", "ocrray", "train", str(config)]
    driver = subprocess.Popen(command, stderr=subprocess.PIPE)
    with once_committed(config, 10, driver.kill):
        driver.communicate()
    assert not (tmp_path / "out" / "manifest.json").exists()

    run = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, timeout=600)

    assert run.returncode == 0, run.stderr
    assert losses(config) == losses(finished)
