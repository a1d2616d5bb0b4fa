"""The commands of README.md: configs, jobs and make targets exist, and every run that it shows can be planned."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from ocrray.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAX_LINES, MAX_COLUMNS = 120, 160

NOT_PLANNED = {
    "ocrray restore restore.yaml --dry-run": "reads scans of the user's own",
    "ocrray restore restore.yaml": "reads scans of the user's own",
    "ocrray train configs/train/finetune_tagger.yaml": "reads the pairs that the command before it makes",
    "ocrray restore configs/restore/demo.yaml --set correct.model=out/finetuned_tagger/model --set output.path=out/finetuned": (
        "loads the model that the command before it trains"
    ),
}
"""Commands of the README whose input is not shipped, with the reason; of these only the config file is checked."""


def shell_commands() -> list[str]:
    """Return every command of the README's sh blocks, without its comment and with single spaces."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).splitlines()
    return [" ".join(command.split()) for line in lines if (command := re.sub(r"\s+#.*", "", line).strip())]


def plannable(command: str) -> list[str] | None:
    """Return the arguments of a command that runs a verb, None for any other command."""
    job = re.fullmatch(r"ray job submit .*-- python jobs/(\w+)\.py (.*)", command)
    if job:
        return [job[1].replace("_", "-"), *shlex.split(job[2])]
    program, *arguments = shlex.split(command)
    return arguments if program == "ocrray" and arguments[0] != "init" else None


RUNS = [command for command in shell_commands() if plannable(command)]


def test_readme_is_short_enough_to_be_read():
    """It has at most 120 lines of at most 160 characters."""
    lines = README.splitlines()

    assert len(lines) <= MAX_LINES
    assert [number for number, line in enumerate(lines, 1) if len(line) > MAX_COLUMNS] == []


def test_readme_commands_are_all_of_a_known_kind():
    """Every shell command is checked by one of these tests; the files that the others name exist."""
    others = [
        command for command in shell_commands() if not plannable(command) and not command.startswith(("make ", "ocrray init"))
    ]

    scripts = [script for command in RUNS for script in re.findall(r"jobs/\w+\.py", command)]

    assert others == ["source .venv/bin/activate", "ray up cluster.yaml"]
    assert [name for name in ("cluster.yaml", *scripts) if not (ROOT / name).is_file()] == []


def test_readme_exceptions_are_in_the_readme():
    """A command that is no longer shown, or shown otherwise, is not excused."""
    assert [command for command in NOT_PLANNED if command not in RUNS] == []


@pytest.mark.parametrize("command", [command for command in shell_commands() if command.startswith("make ")])
def test_readme_make_target_exists(command: str):
    """The Makefile has a rule for it."""
    rules = re.findall(r"^([\w -]+):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)

    assert command.removeprefix("make ") in " ".join(rules).split()


@pytest.mark.parametrize("command", [command for command in RUNS if command not in NOT_PLANNED])
def test_readme_run_can_be_planned(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`--dry-run` of the command, in the checkout, finds no problem."""
    monkeypatch.chdir(ROOT)
    arguments = plannable(command)
    assert arguments

    assert main([*arguments, "--set", f"output.path={tmp_path / 'out'}", "--dry-run"]) == 0


@pytest.mark.parametrize("command", NOT_PLANNED)
def test_readme_config_of_a_run_without_its_input_exists(command: str):
    """It is in the checkout, or is written by `ocrray init`."""
    config = shlex.split(command)[2]

    assert (ROOT / config).is_file() or f"ocrray init {Path(config).stem}" in shell_commands()


def test_readme_init_writes_the_config_that_the_next_command_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The starter can be planned once there is a scan where it looks for scans."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "page.png").write_bytes((ROOT / "configs/restore/demo/scans/inquest.png").read_bytes())

    assert main(["init", "restore"]) == 0
    assert main(["restore", "restore.yaml", "--dry-run"]) == 0


def test_readme_yaml_for_own_scans_is_a_whole_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its two lines are all that `restore` needs; a bucket that does not exist is left out."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "page.tif").write_bytes((ROOT / "configs/restore/demo/scans/parish-magazine.tif").read_bytes())
    (block,) = re.findall(r"^```yaml\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    config = yaml.safe_load(block)
    config["input"]["paths"] = [path for path in config["input"]["paths"] if "://" not in path]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))

    assert main(["restore", "own.yaml", "--dry-run"]) == 0
