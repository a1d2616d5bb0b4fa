"""The rooms of the house: who may import whom, and what stays light."""

import ast
import subprocess
import sys
import time
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ocrray"

# A room may import itself and the rooms of earlier levels; `also` lists what a room may import on its own level.
LEVELS = (
    ("errors", "redaction"),
    ("records", "config", "storage"),
    ("text", "prompts"),
    ("sources", "engines", "decoding", "guard", "corpus", "synth", "models"),
    ("stages", "training", "evaluation"),
    ("runtime",),
    ("verbs",),
    ("starters",),
    ("cli",),
    ("__main__",),
)
ALSO = {
    ("config", "records"),
    ("corpus", "sources"),
    ("decoding", "models"),
    ("engines", "decoding"),
    ("synth", "engines"),
    ("engines", "models"),
    ("prompts", "text"),
    ("training", "evaluation"),
}
RAY_ROOM = "runtime"


def imports(source: str) -> Iterator[str]:
    """Every module that this source imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def violations(room: str, source: str) -> list[str]:
    """What this source of `room` imports against the plan."""
    level = {name: number for number, names in enumerate(LEVELS) for name in names}
    wrong = []
    for module in imports(source):
        top, _, rest = module.partition(".")
        if top == "ray" and room != RAY_ROOM:
            wrong.append(module)
        other = rest.partition(".")[0]
        if top != "ocrray" or other not in level or other == room or (room, other) in ALSO:
            continue
        if level[other] >= level[room]:
            wrong.append(module)
    return wrong


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_of_every_module_follow_the_plan(path: Path):
    """No module reaches to the right, and only the runtime imports Ray."""
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room == "__init__":
        assert list(imports(path.read_text())) == []
        return

    assert violations(room, path.read_text()) == []


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("text", "from ocrray.stages import load"),
        ("stages", "def f():\n    import ray.data"),
        ("sources", "from ocrray import engines"),
        ("engines", "import ocrray.runtime.pipeline"),
    ],
)
def test_imports_against_the_plan_are_found(room: str, source: str):
    """The check above can fail, for imports inside functions too."""
    assert violations(room, source)


def import_graph(package: Path) -> dict[str, set[str]]:
    """Each module of the package, and the modules of it that it imports anywhere, `if TYPE_CHECKING` included."""
    names = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return {name: {module for module in imports(path.read_text()) if module in names} - {name} for name, path in names.items()}


def circles(graph: dict[str, set[str]]) -> list[str]:
    """The first circle found, as a path of modules."""
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return error.args[1]
    return []


def test_imports_in_a_circle_are_found(tmp_path: Path):
    """The check above can fail, for imports that only type checkers see too."""
    package = tmp_path / "house"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("from house.b import x")
    (package / "b.py").write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house import a")

    assert set(circles(import_graph(package))) == {"house.a", "house.b"}


@pytest.mark.parametrize(
    "module",
    [
        "",
        ".cli",
        *(f".verbs.{name}.{part}" for name in ("restore", "synthesize", "train", "evaluate") for part in ("plan", "run")),
    ],
)
def test_import_of_the_light_modules_loads_no_heavy_library(module: str):
    """Neither the package nor the command line, nor planning a run, loads Ray or torch."""
    check = f"import ocrray{module}; import sys; print(sorted({{'ray', 'torch', 'transformers'}} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_import_check_sees_a_heavy_library_that_is_loaded():
    """The check above can fail."""
    check = "import ray; import sys; print(sorted({'ray', 'torch', 'transformers'} & set(sys.modules)))"

    assert "ray" in subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout


def test_help_answers_at_once():
    """`ocrray --help` takes under 0.3 s; the quickest of five counts, because the machine may be busy."""
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "ocrray", "--help"], capture_output=True, check=True)
        seconds.append(time.perf_counter() - started)

    assert min(seconds) < 0.3
