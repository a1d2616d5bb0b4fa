"""Documents that are made from the code are what the code says now, and what they link to is there."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from ocrray.records import SCHEMA

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture(scope="module")
def generator() -> dict[str, Any]:
    """The functions of scripts/generate_docs.py."""
    return runpy.run_path(str(ROOT / "scripts" / "generate_docs.py"))


def test_generated_docs_are_current(generator: dict[str, Any]):
    """`make docs` would change nothing."""
    stale = [str(path) for path, text in generator["generated"]().items() if not is_equal(ROOT / path, text)]

    assert stale == [], "run `make docs`"


def is_equal(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def test_config_keys_are_all_described(generator: dict[str, Any]):
    """Every key of every verb's config has a docstring in its class, which is its entry in docs/configuration.md."""
    found = {
        verb.name: generator["undescribed"](generator["config_class"](verb).model_json_schema())
        for verb in generator["VERBS"].values()
    }

    assert found == {verb: [] for verb in found}


def test_corpus_page_lists_every_column(generator: dict[str, Any]):
    """docs/corpus.md has one row for each column of the schema, in its order."""
    rows = re.findall(r"^\| `(\w+)` \|", generator["corpus_columns"](), re.MULTILINE)

    assert rows == SCHEMA.names


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docs_links_lead_somewhere(page: Path):
    """Every link to a file of this repository names one that is there."""
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith(("http:", "https:"))]

    assert [link for link in local if not (page.parent / link).exists()] == []
