"""The job that fits the guard's scorer, on texts and on corrections of one's own."""

import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ocrray.corpus.pairs import SCHEMA
from ocrray.engines.base import Correction
from ocrray.engines.tagger import Tagger, TaggerConfig
from ocrray.guard import GuardConfig, check, judge
from ocrray.guard.judge import load_scorer
from ocrray.guard.learning import Corrected
from ocrray.text.edits import apply_edits, edits_between
from ocrray.training.guard import asked, corrected_by

sys.path.insert(0, str(Path(__file__).parents[1] / "jobs"))
import fit_guard

TEXT = "The ship arrived at Leith on Tuesday with a cargo of oil, and the captain went ashore with his wife. " * 4
OTHER = "On Tuesday the captain of the ship went to Leith with oil; his wife and the cargo arrived ashore. " * 40


@pytest.fixture
def fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs the job with these arguments; returns the folder that it wrote."""
    (tmp_path / "language.txt").write_text(OTHER)

    def run(*arguments: str) -> Path:
        command = ["fit_guard.py", str(tmp_path / "guard"), "--language", str(tmp_path / "language.txt"), *arguments]
        monkeypatch.setattr(sys, "argv", command)
        fit_guard.main()
        return tmp_path / "guard"

    return run


def test_fit_guard_on_pairs_learns_what_they_show(fit, tmp_path: Path):
    """Corrections of one's own are enough: what was always right in them is accepted, what was always wrong refused."""
    rows = [
        {"ocr": TEXT.replace("the captain", "tbe captain"), "corrected": TEXT.replace("Leith", "Perth"), "gt": TEXT},
        {"ocr": TEXT.replace("oil", "oii"), "corrected": TEXT, "gt": TEXT},
    ]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows * 10)))
    folder = fit("--pairs", str(tmp_path / "pairs.jsonl"))
    config = GuardConfig(scorer=str(folder))
    assert check(config) != check(GuardConfig())
    raw = TEXT.replace("oil", "oii", 1)
    judgement = judge(raw, edits_between(raw, TEXT.replace("Leith", "Perth", 1)), (0, len(raw)), config)
    assert apply_edits(raw, judgement.accepted) == TEXT


def test_fit_guard_on_texts_takes_the_shipped_correctors_along(fit, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """From clean texts alone a scorer comes about that loads; its records are those made up and those really corrected."""
    (tmp_path / "texts.txt").write_text(TEXT)
    folder = fit("--texts", str(tmp_path / "texts.txt"), "--records", "20")
    assert capsys.readouterr().out.startswith("29 records")  # 20, three times 2 by the tagger, and 3
    assert check(GuardConfig(scorer=str(folder)))


def test_fit_guard_pages_bring_how_sure_the_recognizer_was(fit, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Pages that were really read are corrected with the rest; what else `synthesize` made beside them is left out."""
    (tmp_path / "texts.txt").write_text(TEXT)
    read = TEXT.replace("captain", "captam")
    page = {"kind": "page", "ocr": read, "gt": TEXT, "word_confidences": [0.2 if "tam" in word else 0.9 for word in read.split()]}
    (tmp_path / "pages" / "data").mkdir(parents=True)
    pq.write_table(
        pa.Table.from_pylist([page] * 4 + [{"kind": "noise", "ocr": read, "gt": TEXT}], SCHEMA), tmp_path / "pages/data/a.parquet"
    )

    pages = list(fit_guard.read_pages(tmp_path / "pages"))
    folder = fit("--texts", str(tmp_path / "texts.txt"), "--records", "20", "--pages", str(tmp_path / "pages"))

    assert len(pages) == 4
    assert pages[0][2].confidences[read.index("captam")] == pytest.approx(0.2)
    assert capsys.readouterr().out.startswith("34 records")  # 29 of the texts, 4 pages, and one of them by the causal model
    assert len(load_scorer(str(folder))[1].edges["least_confidence"]) > 0


def test_asked_tagger_says_what_it_would_change_and_the_correction_stays():
    """The correction of another model, with the tagger's own edits of the same text beside it."""
    read = "Tbe ship arrived at Leith on Tuesday."
    (heard,) = asked(Tagger(TaggerConfig(engine="tagger", num_threads=1)), [Corrected(read, read.upper(), "printed")])
    assert heard.corrected == read.upper()
    assert apply_edits(read, heard.opinions.tagger_edits) == read.replace("Tbe", "The")


def test_fit_guard_without_anything_to_learn_from_is_refused(fit, capsys: pytest.CaptureFixture[str]):
    """A language alone says nothing of corrections."""
    with pytest.raises(SystemExit) as stopped:
        fit()
    assert stopped.value.code == 2
    assert "--texts or --pairs" in capsys.readouterr().err


def test_corrected_by_the_tagger_keeps_how_sure_it_was():
    """Offsets of its probabilities are those of the whole text, whatever passages it was cut into."""
    read = "Tbe ship arrived at Leith on Tuesday. " * 30
    (found,) = corrected_by(Tagger(TaggerConfig(engine="tagger", num_threads=1)), [(read.replace("Tbe", "The"), read)])
    assert found.edits
    assert all(edit.probability is not None and edit.probability >= 0.5 for edit in found.edits)


class _Shouting:
    """A corrector that takes at most forty characters, and leaves those alone that begin with `On`."""

    def fits(self, text: str) -> bool:
        return len(text) <= 40

    def correct(self, texts: list[str]) -> list[Correction]:
        return [Correction(None if text.startswith("On") else text.upper()) for text in texts]


def test_corrected_by_long_and_refused_passages_are_put_together_again():
    """A text longer than the corrector takes comes back whole, passages that it refused as they were."""
    read = "On Tuesday the captain went. Then his wife arrived with the cargo of oil."
    ((raw, corrected, truth, *_),) = corrected_by(_Shouting(), [("printed", read)])
    assert (raw, truth) == (read, "printed")
    assert corrected.lower() == read.lower()
    assert corrected.startswith("On ")
    assert corrected.endswith("OIL.")
