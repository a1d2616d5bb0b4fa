"""The table of verbs, and what the one job does for all of them."""

import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ray.exceptions import RayTaskError

from ocrray import cli
from ocrray.errors import ConfigError
from ocrray.storage import Location
from ocrray.verbs import VERBS, output

ROOT = Path(__file__).parents[1]


def test_jobs_are_the_verbs():
    """Every verb has its script for `ray job submit`, every script its verb."""
    scripts = {path.stem.replace("_", "-") for path in (ROOT / "jobs").glob("*.py")}

    assert scripts == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_job_script_runs_its_own_verb(verb: str, monkeypatch: pytest.MonkeyPatch):
    """It gives its name and its arguments to the command line."""
    monkeypatch.setattr(sys, "argv", [f"jobs/{verb}.py", "no-such.yaml"])
    seen: list[list[str]] = []
    monkeypatch.setattr(cli, "main", lambda arguments: seen.append(arguments) or 0)

    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / "jobs" / f"{verb.replace('-', '_')}.py"), run_name="__main__")

    assert seen == [[verb, "no-such.yaml"]]


def evaluation(folder: Path) -> Path:
    """A config that evaluates two records into `<folder>/out`."""
    (folder / "pairs.jsonl").write_text('{"ocr": "tbe", "fixed": "the", "gt": "the"}\n{"ocr": "a", "fixed": "b", "gt": "a"}\n')
    columns = {"raw_column": "ocr", "corrected_column": "fixed", "ground_truth_column": "gt"}
    config = {"input": {"paths": [str(folder / "pairs.jsonl")], **columns}, "output": {"path": str(folder / "out")}}
    (folder / "evaluate.yaml").write_text(yaml.safe_dump(config))
    return folder / "evaluate.yaml"


def run_beside(config: Path) -> "subprocess.CompletedProcess[str]":
    """`ocrray evaluate` in a process of its own."""
    command = [sys.executable, "-m", "ocrray", "evaluate", str(config)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_evaluate_beside_another_process_is_refused(tmp_path: Path):
    """The output folder belongs to one process at a time; once it is free, the same command succeeds."""
    config = evaluation(tmp_path)

    with output.locked(Location.at(tmp_path / "out")) as problems:
        assert problems == []
        beside = subprocess.run(
            [sys.executable, "-m", "ocrray", "evaluate", str(config)], capture_output=True, text=True, check=False
        )

    assert beside.returncode == 2
    assert "another run is writing" in beside.stderr
    assert cli.main(["evaluate", str(config)]) == 0


def test_job_with_a_locked_output_tells_every_problem_at_once(tmp_path: Path):
    """That the folder is taken is one line beside those about the config."""
    config = evaluation(tmp_path)
    (tmp_path / "pairs.jsonl").unlink()

    with output.locked(Location.at(tmp_path / "out")):
        beside = subprocess.run(
            [sys.executable, "-m", "ocrray", "evaluate", str(config)], capture_output=True, text=True, check=False
        )

    assert "another run is writing" in beside.stderr
    assert "pairs.jsonl" in beside.stderr


def test_option_of_a_uri_that_does_not_exist_is_a_mistake_in_the_config(tmp_path: Path):
    """A misspelt `region`: there is nothing to go on with."""
    config = evaluation(tmp_path)
    command = [sys.executable, "-m", "ocrray", "evaluate", str(config), "--set", "output.path=s3://archive/out?regoin=x"]

    ended = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert ended.stderr.startswith("ocrray: cannot run:\n")
    assert "'regoin'" in ended.stderr


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("{path}/ocrray", "ocrray restore 'my 1.yaml'"),
        ("/not/on/the/path/ocrray", "/not/on/the/path/ocrray restore 'my 1.yaml'"),
        ("/lib/ocrray/__main__.py", "python -m ocrray restore 'my 1.yaml'"),
        ("jobs/restore.py", "python jobs/restore.py 'my 1.yaml'"),
    ],
)
def test_interrupted_run_says_how_it_goes_on(
    program: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """The command that is printed is the one that was started, whichever way it was, and a shell finds it."""
    (tmp_path / "python").symlink_to(sys.executable)
    (tmp_path / "ocrray").touch(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin")
    monkeypatch.setattr(sys, "argv", [program.format(path=tmp_path)])

    def interrupt(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("ocrray.verbs.job.carry_out", interrupt)

    assert cli.main(["restore", "my 1.yaml"]) == 130
    assert capsys.readouterr().err.rstrip().endswith(f"What is done is kept; to go on: {command}")
    signal.raise_signal(signal.SIGTERM)  # a second one, while the process ends, changes nothing


def test_run_interrupted_within_an_exec_ends_with_130(here: Path):
    """As while a module with dataclasses is imported: started with `-m`, Python would end the process by SIGINT."""
    script = """
import sys
from ocrray import cli
from ocrray.verbs import job

def interrupt(*_, **__):
    exec("raise KeyboardInterrupt")

job.carry_out = interrupt
sys.exit(cli.main(["restore", "my.yaml"]))
"""
    (here / "interrupted.py").write_text(script)

    assert subprocess.run([sys.executable, "-m", "interrupted"], capture_output=True, check=False).returncode == 130


def test_hint_of_a_submitted_job_says_to_submit_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    """Its working directory is Ray's copy of the package, which is gone when the job has ended."""
    folder = tmp_path / "session/runtime_resources/working_dir_files/_ray_pkg_1"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["jobs/restore.py"])

    def interrupt(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("ocrray.verbs.job.carry_out", interrupt)

    assert cli.main(["restore", "my.yaml"]) == 130
    assert "submit the job again" in capsys.readouterr().err


def test_file_too_large_for_the_disk_is_told_in_one_line(tmp_path: Path):
    """A limit on the size of files stands for a full disk: exit code 2, one line with the cause, one to go on; no traceback."""
    config = evaluation(tmp_path)
    command = f"ulimit -f 1; exec {sys.executable} -m ocrray evaluate {config}"

    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    cause, hint = ended.stderr.splitlines()
    assert "File too large" in cause
    assert "-m ocrray evaluate" in hint


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device", "/out/x"), "/out/x: No space left on device"),
        (OSError("AWS Error INTERNAL_FAILURE\n500"), "AWS Error INTERNAL_FAILURE 500"),
        (RayTaskError("f", "Traceback\n  in f", OSError(28, "No space left")).as_instanceof_cause(), "No space left"),
    ],
)
def test_error_of_a_store_is_one_line(error: OSError, line: str, monkeypatch: pytest.MonkeyPatch, capsys):
    """Wherever it was raised: on the driver, in pyarrow, in a task of Ray."""

    def fail(*_: object, **__: object) -> int:
        raise error

    monkeypatch.setattr("ocrray.verbs.job.carry_out", fail)

    assert cli.main(["restore", "my.yaml"]) == 2
    assert capsys.readouterr().err.splitlines()[0] == f"ocrray: stopped: {line}"


def test_interrupted_evaluation_does_not_claim_that_anything_is_kept(monkeypatch: pytest.MonkeyPatch, capsys):
    """It starts from the beginning each time."""

    def interrupt(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("ocrray.verbs.job.carry_out", interrupt)

    assert cli.main(["evaluate", "my.yaml"]) == 130
    assert "kept" not in capsys.readouterr().err


@pytest.mark.parametrize(("before", "lines"), [({"schema_version": 4, "limit": None}, 1), ({"schema_version": 5, "limit": 3}, 2)])
def test_resume_of_another_run_says_what_differs_and_of_an_older_schema_that_alone(
    before: dict[str, object], lines: int, tmp_path: Path
):
    """Columns moved on: one line says so, however many settings came with them; otherwise each difference is a line."""
    folder = Location.at(str(tmp_path))
    now = {"schema_version": 5, "limit": None, "extract": {"answer": "json"}} if lines == 1 else {"schema_version": 5, "limit": 4}

    with pytest.raises(ConfigError) as caught:
        output.require_same(folder, output.Run("a" * 64, before, "2026-01-01T00:00:00", "session"), "b" * 64, now)

    assert len(str(caught.value).splitlines()) == lines
    assert ("version 4" in str(caught.value)) == (lines == 1)
