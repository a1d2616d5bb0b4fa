"""The wheel, installed into an environment of its own, runs from any folder."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of executables of a new environment with the wheel; to save minutes, its dependencies come from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a copy, because setuptools leaves its build folder beside what it builds
    for name in ("ocrray", "configs"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)]
    subprocess.run(build, check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    (wheel,) = folder.glob("*.whl")
    python = folder / "env" / "bin" / "python"
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    # A path in a .pth file adds this environment's libraries, but not its editable install, whose own .pth file is not read.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--ignore-installed", str(wheel)], check=True)
    return python.parent


def test_wheel_in_its_own_environment_restores_from_any_folder(installed: Path, tmp_path: Path):
    """`ocrray init`, then `ocrray restore` with the tagger and the guard of the wheel; nothing of the checkout is used."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "RAY_ADDRESS")}

    def ocrray(*arguments: str) -> str:
        run = subprocess.run(
            [str(installed / "ocrray"), *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    where = "import ocrray; print(ocrray.__file__)"
    python = [str(installed / "python"), "-c", where]
    assert (
        str(installed.parent)
        in subprocess.run(python, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    )
    assert "llama31_8b_correction" in ocrray("init")
    ocrray("init", "restore")
    (tmp_path / "old.txt").write_text("tbe quick brown fox jumps over tbe lazy dog\n")
    settings = ["--set", "input.paths=[old.txt]", "--set", "recognize=null"]

    shown = ocrray("restore", "restore.yaml", *settings)

    assert "records" in shown
    assert (tmp_path / "out" / "corpus" / "manifest.json").exists()
