"""Tasks own their differences: what a task says decides, and nothing else knows it by name."""

from pathlib import Path
from typing import get_args

import pytest
import tiny_runs
import yaml
from pydantic import ValidationError
from test_architecture import PACKAGE, imports

from ocrray.training.tasks.registry import TaskConfig

SHARED = ("base", "registry", "pretrained", "causal", "architecture", "new_reader", "image_batches", "image_measure", "chats")
TASKS = sorted(path.stem for path in (PACKAGE / "training" / "tasks").glob("[a-z]*.py") if path.stem not in SHARED)


def test_registry_alone_names_the_tasks():
    """A new task touches its own module and the registry: no other module imports one."""
    importers = {
        (path.relative_to(PACKAGE).as_posix(), module.rsplit(".", 1)[-1])
        for path in PACKAGE.rglob("*.py")
        for module in imports(path.read_text(encoding="utf-8"))
        if module in {f"ocrray.training.tasks.{task}" for task in TASKS}
    }

    assert importers == {("training/tasks/registry.py", task) for task in TASKS}
    assert len(get_args(get_args(TaskConfig)[0])) == len(TASKS)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"data": {"train": ["x"], "grouping": "packed"}}, "grouping is none or length"),
        ({"method": {"kind": "lora"}, "model": {"name": "x"}}, "full or from_scratch"),
    ],
)
def test_config_that_a_task_cannot_be_trained_with_is_refused(changes: dict, reason: str):
    """A tagger's own limits are checked with the config, before anything is read."""
    with pytest.raises(ValidationError, match=reason):
        tiny_runs.tagging(Path("out"), **changes)


def test_config_written_out_begins_with_its_task():
    """Who opens `training_config.yaml` first wants to know what was trained."""
    written = yaml.safe_dump(tiny_runs.tagging(Path("out")).model_dump(mode="json"), sort_keys=False)

    assert written.startswith("task:")
