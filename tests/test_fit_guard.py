"""Fitting the guard's scorer, on corrections made from clean text and on corrections of one's own."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ocrray.cli import main
from ocrray.config import load
from ocrray.corpus.pairs import SCHEMA
from ocrray.engines.base import CorrectionResult, EngineInfo
from ocrray.engines.tagger import Tagger, TaggerConfig
from ocrray.errors import ConfigError, Problems
from ocrray.guard import GuardConfig, check, judge
from ocrray.guard.judge import DEFAULT_FOLDER, LANGUAGE_FILE, SCORER_FILE, load_scorer
from ocrray.guard.labels import LabelledCorrection, LabelledSpans
from ocrray.guard.signals import NAMES
from ocrray.synth.noise import NoiseModel
from ocrray.text.edits import apply_edits, edits_between
from ocrray.training.guard.config import CorrectionsConfig, LabelledConfig
from ocrray.training.guard.corrections import add_tagger_edits, apply_corrector
from ocrray.training.guard.data import read_pages
from ocrray.training.guard.fit import fit_guard
from ocrray.training.guard.scorer import fit_scorer
from ocrray.verbs.fit_guard.plan import FitGuardConfig, make_plan

ROOT = Path(__file__).parents[1]
TEXT = "The ship arrived at Leith on Tuesday with a cargo of oil, and the captain went ashore with his wife. " * 4
OTHER = "On Tuesday the captain of the ship went to Leith with oil; his wife and the cargo arrived ashore. " * 40


@pytest.fixture
def language(tmp_path: Path) -> Path:
    """Clean text for the language model."""
    (tmp_path / "language.txt").write_text(OTHER)
    return tmp_path / "language.txt"


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_fit_guard_on_labelled_corrections_accepts_what_was_right_in_them(language: Path, tmp_path: Path):
    """Edits that were always right in the corrections are accepted, edits that were always wrong refused."""
    rows: list[dict[str, object]] = [
        {"ocr": TEXT.replace("the captain", "tbe captain"), "mine": TEXT.replace("Leith", "Perth"), "gt": TEXT},
        {"ocr": TEXT.replace("oil", "oii"), "mine": TEXT, "gt": TEXT},
    ]
    labelled = LabelledConfig(paths=(write_jsonl(tmp_path / "own.jsonl", rows * 10),), corrected_column="mine")

    fitted = fit_guard(CorrectionsConfig(language=(language,), labelled=labelled), tmp_path / "guard")

    assert fitted.records == 20
    assert 0 < fitted.worse_frac < 1
    config = GuardConfig(scorer=str(tmp_path / "guard"))
    assert check(config) != check(GuardConfig())
    raw = TEXT.replace("oil", "oii", 1)
    judgement = judge(raw, edits_between(raw, TEXT.replace("Leith", "Perth", 1)), (0, len(raw)), config)
    assert apply_edits(raw, judgement.accepted) == TEXT


def test_fit_guard_without_language_keeps_the_default_language_model(tmp_path: Path):
    """Without clean texts the shipped language model is written, byte for byte; `limit` caps the corrections."""
    rows: list[dict[str, object]] = [
        {"ocr": TEXT.replace("oil", "oii"), "corrected": TEXT, "gt": TEXT},
        {"ocr": TEXT, "corrected": TEXT.replace("oil", "ale"), "gt": TEXT},
    ]
    labelled = LabelledConfig(paths=(write_jsonl(tmp_path / "own.jsonl", rows * 3),))

    fitted = fit_guard(CorrectionsConfig(labelled=labelled), tmp_path / "guard", limit=2)

    assert fitted.records == 2
    assert (tmp_path / "guard" / LANGUAGE_FILE).read_bytes() == (DEFAULT_FOLDER / LANGUAGE_FILE).read_bytes()


def test_fit_guard_on_clean_text_uses_simulated_and_shipped_correctors(language: Path, tmp_path: Path):
    """Clean text alone gives a scorer that loads."""
    (tmp_path / "texts.txt").write_text(TEXT)
    synthetic = {"texts": [tmp_path / "texts.txt"], "records": 20}
    config = CorrectionsConfig.model_validate({"language": [language], "synthetic": synthetic})

    assert fit_guard(config, tmp_path / "guard").records == 29  # 20, three times 2 by the tagger, and 3 by the causal model
    assert check(GuardConfig(scorer=str(tmp_path / "guard")))


def test_fit_guard_pages_add_recognizer_confidences(language: Path, tmp_path: Path):
    """Recognized pages are corrected with the excerpts; other rows of the same corpus are left out."""
    (tmp_path / "texts.txt").write_text(TEXT)
    read = TEXT.replace("captain", "captam")
    page = {"kind": "page", "ocr": read, "gt": TEXT, "word_confidences": [0.2 if "tam" in word else 0.9 for word in read.split()]}
    (tmp_path / "pages" / "data").mkdir(parents=True)
    rows = [page] * 4 + [{"kind": "noise", "ocr": read, "gt": TEXT}]
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), tmp_path / "pages/data/a.parquet")
    synthetic = {"texts": [tmp_path / "texts.txt"], "records": 20, "pages": [tmp_path / "pages"]}
    config = CorrectionsConfig.model_validate({"language": [language], "synthetic": synthetic})

    pages = list(read_pages([tmp_path / "pages"]))
    fitted = fit_guard(config, tmp_path / "guard")

    assert len(pages) == 4
    assert pages[0].evidence.confidences is not None
    assert pages[0].evidence.confidences[read.index("captam")] == pytest.approx(0.2)
    assert fitted.records == 34  # 29 of the texts, 4 pages, and one of them by the causal model
    assert len(load_scorer(str(tmp_path / "guard"))[1].edges["least_confidence"]) > 0


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"ocr": "a", "gt": "b"}', "no column corrected"),
        ('{"ocr": 1, "corrected": "a", "gt": "b"}', "row 1"),
        ("a", "own"),
    ],
)
def test_fit_guard_damaged_file_of_corrections_is_named(line: str, problem: str, tmp_path: Path):
    """A line that is no correction is a ConfigError that names the file and, where known, the line."""
    (tmp_path / "own.jsonl").write_text(line)
    with pytest.raises(ConfigError, match=problem):
        fit_guard(CorrectionsConfig(labelled=LabelledConfig(paths=(tmp_path / "own.jsonl",))), tmp_path / "guard")


def test_fit_guard_without_corrections_is_refused(language: Path, tmp_path: Path):
    """A language model alone is nothing to fit a scorer on."""
    with pytest.raises(ConfigError, match="no corrections"):
        fit_guard(CorrectionsConfig(language=(language,)), tmp_path / "guard")


def spans(signal: str, values: list[float], gains: list[float]) -> LabelledSpans:
    """Spans that differ in one signal only, one per passage."""
    rows = np.zeros((len(values), len(NAMES)))
    rows[:, NAMES.index(signal)] = values
    return LabelledSpans(rows, np.array(gains), np.ones(len(values), dtype=np.int64))


def test_fit_scorer_neighbouring_bins_get_similar_weights():
    """The difference penalty pulls a noisy bin towards the bins beside it."""
    values = [float(number % 5) for number in range(200)]
    gains = [1.0 if value >= 2 or number % 40 == 0 else -1.0 for number, value in enumerate(values)]
    weights = fit_scorer(spans("similarity", values, gains)).weights["similarity"]
    assert len(weights) == 5
    assert weights[0] < weights[1] < weights[2] < weights[3] < weights[4]  # the labels alone do not tell the last three apart


@pytest.mark.parametrize("gain", [1.0, -1.0])
def test_fit_scorer_spans_of_one_label_are_refused(gain: float):
    """With all spans right, or all wrong, there is nothing to separate."""
    with pytest.raises(ConfigError, match="nothing to fit"):
        fit_scorer(spans("similarity", [0.1, 0.9], [gain, gain]))


def test_add_tagger_edits_keeps_the_correction():
    """The correction of another model stays as it is, with the tagger's edits of the same text beside it."""
    read = "Tbe ship arrived at Leith on Tuesday."
    tagger = Tagger(TaggerConfig(engine="tagger", num_threads=1))
    (correction,) = add_tagger_edits(tagger, [LabelledCorrection(read, read.upper(), "printed")])
    assert correction.corrected == read.upper()
    assert apply_edits(read, correction.evidence.tagger_edits or []) == read.replace("Tbe", "The")


def test_apply_corrector_tagger_probabilities_have_offsets_of_the_whole_text():
    """Every edit has a probability, whatever passages the text was split into."""
    read = "Tbe ship arrived at Leith on Tuesday. " * 30
    (found,) = apply_corrector(Tagger(TaggerConfig(engine="tagger", num_threads=1)), [(read.replace("Tbe", "The"), read)])
    assert found.edits
    assert all(edit.probability is not None and edit.probability >= 0.5 for edit in found.edits)


class _UpperCaser:
    """A corrector that takes at most forty characters and refuses texts that begin with `On`."""

    info = EngineInfo("upper")

    def fits(self, text: str) -> bool:
        return len(text) <= 40

    def correct(self, texts: list[str]) -> list[CorrectionResult]:
        return [CorrectionResult(None if text.startswith("On") else text.upper()) for text in texts]

    def close(self) -> None: ...


def test_apply_corrector_joins_long_texts_and_keeps_refused_passages():
    """A text longer than the corrector takes comes back whole, refused passages as they were."""
    read = "On Tuesday the captain went. Then his wife arrived with the cargo of oil."
    ((raw, corrected, truth, *_),) = apply_corrector(_UpperCaser(), [("printed", read)])
    assert (raw, truth) == (read, "printed")
    assert corrected.lower() == read.lower()
    assert corrected.startswith("On ")
    assert corrected.endswith("OIL.")


def test_fit_guard_verb_own_corrections_config_writes_a_scorer_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """The shipped config runs from the checkout; a second call shows the finished run, another config is refused."""
    monkeypatch.chdir(ROOT)
    command = ["fit-guard", "configs/fit-guard/own_corrections.yaml", "--set", f"output.path={tmp_path / 'guard'}"]
    assert main(command) == 0
    fitted_at = (tmp_path / "guard" / SCORER_FILE).stat().st_mtime_ns
    first = capsys.readouterr().out

    assert main(command) == 0
    assert capsys.readouterr().out == first
    assert (tmp_path / "guard" / SCORER_FILE).stat().st_mtime_ns == fitted_at
    assert "112" in first

    assert main([*command, "--limit", "50"]) == 2
    assert "limit: was None, is 50" in capsys.readouterr().err
    assert check(GuardConfig(scorer=str(tmp_path / "guard")))


def test_fit_guard_verb_interrupted_run_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without its manifest a run is not finished: the same command fits again."""
    monkeypatch.chdir(ROOT)
    command = ["fit-guard", "configs/fit-guard/own_corrections.yaml", "--set", f"output.path={tmp_path / 'guard'}"]
    assert main(command) == 0
    (tmp_path / "guard" / "manifest.json").unlink()
    (tmp_path / "guard" / SCORER_FILE).write_text("{")

    assert main(command) == 0
    assert check(GuardConfig(scorer=str(tmp_path / "guard")))


@pytest.mark.shared
def test_fit_guard_verb_default_config_is_a_possible_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its keys and texts check out; a general noise model and an empty corpus stand for those that must be made first."""
    monkeypatch.chdir(ROOT)
    NoiseModel.fit(()).save(tmp_path / "noise.json")
    (tmp_path / "manifest.json").write_text("{}")
    overrides = [f"synthetic.noise={tmp_path / 'noise.json'}", f"synthetic.pages=[{tmp_path}]", f"output.path={tmp_path / 'out'}"]

    plan = make_plan(load("configs/fit-guard/guard_default.yaml", FitGuardConfig, overrides), None, Problems(), dry_run=True)

    assert len(plan.settings["correctors"]) == 4
    assert len(plan.settings["checksums"]) == 4
    assert not (tmp_path / "out").exists()


def test_fit_guard_verb_dry_run_names_every_file_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """All problems come at once, with the key of the config that names the file."""
    monkeypatch.chdir(tmp_path)
    config = {
        "language": ["no.txt"],
        "synthetic": {"texts": ["none.jsonl"], "pages": ["pages"]},
        "labelled": {"paths": ["own.jsonl"]},
        "output": {"path": "guard"},
    }
    (tmp_path / "config.yaml").write_text(json.dumps(config))

    assert main(["fit-guard", "config.yaml", "--dry-run"]) == 2
    error = capsys.readouterr().err
    assert all(key in error for key in ("language", "synthetic.texts", "synthetic.pages", "labelled.paths"))

    assert main(["fit-guard", "config.yaml", "--dry-run", "--set", "output.path=s3://bucket/guard"]) == 2
    assert "output.path" in capsys.readouterr().err
