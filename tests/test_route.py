"""The cascade: a tagger reads everything, and what it leaves in doubt goes on to a language model. Stages first, then Ray."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset
import pytest
import yaml

from ocrray.cli import main
from ocrray.engines.base import EngineInfo
from ocrray.engines.fake import FakeConfig, FakeCorrector
from ocrray.engines.tagger import RouteConfig, Tagger
from ocrray.guard import GuardConfig
from ocrray.records import WORK_LIST_SCHEMA
from ocrray.sources.input import InputConfig
from ocrray.stages.correct import Correct, Route, TakeGiven
from ocrray.stages.guard import Guard
from ocrray.stages.load import Load

CLEAN = "The committee met on Tuesday evening in the long room over the corn exchange."
MILD = "The committee met on Tuesday evening in tbe long room over the corn exchange."
BAD = "Ihe cornmittce mct on Tuesdav evcning iu tbe lonq rooin ovcr thc corn cxchange."
BEYOND = "Thp xoimetixo mot qn Tuqsduy evoning ib tbe lcng rwom ovor tho cvrn exohange."
ABOVE = 0.02


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    """The one that ships."""
    return Tagger(RouteConfig(num_threads=1))


def rows_of(*texts: str | None, **passthrough: list[str | None]) -> pa.Table:
    """Rows of these texts as Load leaves them; None is a row that was unusable from the start."""
    rows = [
        {"record_id": f"r{number}", "uri": "/a.jsonl", "kind": "table", "page": 0, "size": 1, "etag": "e", "text": text}
        | ({"error_kind": "duplicate_id", "error": "seen before"} if text is None else {})
        for number, text in enumerate(texts)
    ]
    table = pa.Table.from_pylist(rows, schema=WORK_LIST_SCHEMA)
    for name, values in passthrough.items():
        table = table.append_column(name, pa.array(values))
    return Load(InputConfig(paths=["unused"]))(table)


def model(**replace: str) -> FakeCorrector:
    """A language model that replaces words, and can take 1,000 characters at once."""
    return FakeCorrector(FakeConfig(engine="fake", replace=replace, max_chars=1_000))


def test_estimate_is_the_higher_the_worse_the_text(tagger: Tagger):
    """What the tagger expects to be left after its own edits grows from clean text to ruins; a failed row has none."""
    rows = Correct(tagger)(rows_of(CLEAN, MILD, BAD, BEYOND, None)).to_pylist()

    *estimates, failed = [row["estimated_cer"] for row in rows]
    assert estimates == sorted(estimates)
    assert estimates[0] < 0.015
    assert estimates[1] < ABOVE < estimates[2] < estimates[3] < 0.6
    assert failed is None
    assert all(row["tagger_edits"] is None for row in rows)


def test_estimate_of_a_long_record_counts_all_its_passages(tagger: Tagger):
    """A record longer than the tagger's window has the mean of its passages, weighed by their characters."""
    short, long = Correct(tagger)(rows_of(BEYOND, "\n".join([BEYOND] * 20))).to_pylist()

    assert long["estimated_cer"] == pytest.approx(short["estimated_cer"], rel=0.25)


def test_route_only_the_doubtful_are_sent_on(tagger: Tagger):
    """A good record keeps the tagger's edits and name; a bad one has the model's, with the tagger's beside them."""
    routed = Correct(model(Thp="The"))(Route(ABOVE)(Correct(tagger)(rows_of(MILD, BEYOND, None)))).to_pylist()
    mild, beyond, failed = routed

    assert (mild["corrector"], mild["tagger_edits"]) == ("tagger", None)
    assert [(edit["raw"], edit["corrected"]) for edit in mild["edits"]] == [("b", "h")]
    assert beyond["corrector"] == "fake"
    assert [(edit["raw"], edit["corrected"]) for edit in beyond["edits"]] == [("p", "e")]
    assert ("b", "h") in [(edit["raw"], edit["corrected"]) for edit in beyond["tagger_edits"]]
    assert mild["estimated_cer"] < ABOVE < beyond["estimated_cer"]
    assert beyond["correct_s"] > 0
    assert failed["corrector"] is None


def test_route_record_that_the_tagger_could_not_read_is_sent_on():
    """What does not fit into the tagger has no estimate, and goes to the model rather than nowhere."""
    unreadable = "👨‍👩‍👧‍👦" * 3
    tagged = Correct(FakeCorrector(FakeConfig(engine="fake", max_chars=3)))(rows_of(unreadable, CLEAN))
    assert tagged["estimated_cer"].null_count == 2

    routed = Correct(model(committee="Committee"))(Route(ABOVE)(tagged)).to_pylist()

    assert all(row["tagger_edits"] is not None for row in routed)
    assert routed[0]["_passages"] == []  # the tagger's `too_long` is gone: the model has read it


def test_route_refused_change_gives_the_tagger_another_hearing(tagger: Tagger):
    """Where the guard refuses the model's words, the tagger's edit of the same words is made if the guard accepts it."""
    rows = rows_of("In the year 1871 tbe cornmittee rnet, qoite uudcr protcst of thr townsfolk.")
    tagged = Correct(tagger)(rows)
    assert ("b", "h") in [(edit["raw"], edit["corrected"]) for edit in tagged.to_pylist()[0]["edits"]]
    invented = "a most unlikely great many of the"

    routed = Guard(GuardConfig())(Correct(model(tbe=invented, thr="the"))(Route(0.0)(tagged))).to_pylist()[0]

    assert "In the year 1871 the c" in routed["corrected_text"]
    assert "of the townsfolk" in routed["corrected_text"]
    assert invented not in routed["corrected_text"]
    assert [edit["corrected"] for edit in routed["refused_edits"]] != []
    assert {verdict["accepted"] for verdict in routed["verdicts"]} == {True, False}


def test_route_without_a_guard_takes_all_that_the_model_says(tagger: Tagger):
    """With nothing refused there is nothing to fall back on: the model's text stands as it is."""
    tagged = Correct(tagger)(rows_of(BEYOND))

    row = Guard(None)(Correct(model(Thp="Some"))(Route(ABOVE)(tagged))).to_pylist()[0]

    assert row["corrected_text"] == BEYOND.replace("Thp", "Some")


def test_route_corrections_made_elsewhere_are_taken_for_the_doubtful_only(tagger: Tagger):
    """`given` behind a tagger: the column counts where the tagger doubts."""
    tagged = Correct(tagger)(rows_of(CLEAN, BEYOND, theirs=["Something else.", BEYOND.replace("Thp", "The")]))

    clean, beyond = TakeGiven("theirs", EngineInfo("given"))(Route(ABOVE)(tagged)).to_pylist()

    assert (clean["corrector"], clean["edits"]) == ("tagger", [])
    assert (beyond["corrector"], len(beyond["edits"])) == ("given", 1)


LINES = [{"id": f"l{number:02d}", "ocr": text} for number, text in enumerate([CLEAN, MILD, BAD, BEYOND] * 5)]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A cascade over twenty lines, five of each kind."""
    (tmp_path / "lines.jsonl").write_text("\n".join(map(json.dumps, LINES)))
    config = {
        "input": {"paths": [str(tmp_path / "lines.jsonl")], "id_column": "id", "text_column": "ocr"},
        "recognize": None,
        "route": {"above": ABOVE},
        "correct": {"engine": "fake", "replace": {"Thp": "The"}},
        "output": {"path": str(tmp_path / "out")},
        "workers": {"route": 1},
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.usefixtures("on_cluster")
def test_restore_route_sends_the_same_rows_on_as_the_stages_do(config: Path, tagger: Tagger, capsys: pytest.CaptureFixture[str]):
    """On Ray the corpus holds the same rows as the stages called directly; card and terminal say how many were sent."""
    assert main(["restore", str(config)]) == 0

    rows = pyarrow.dataset.dataset(config.parent / "out" / "data").to_table().sort_by("record_id")
    tagged = Correct(tagger)(rows_of(*(line["ocr"] for line in LINES)))
    directly = Guard(GuardConfig())(Correct(model(Thp="The"))(Route(ABOVE)(tagged)))
    for column in ("corrected_text", "corrector", "edits", "refused_edits", "tagger_edits"):
        assert rows[column].to_pylist() == directly[column].to_pylist(), column
    assert rows["estimated_cer"].to_pylist() == pytest.approx(directly["estimated_cer"].to_pylist(), rel=1e-3)
    sent_on = sum(edits is not None for edits in rows["tagger_edits"].to_pylist())
    assert 5 <= sent_on < 15
    assert f"{sent_on} records" in capsys.readouterr().out
    assert f"{sent_on} of them (" in (config.parent / "out" / "README.md").read_text()


@pytest.mark.usefixtures("on_cluster")
@pytest.mark.slow
def test_restore_route_model_on_a_gpu_gets_what_taggers_on_cpus_send(config: Path):
    """A worker that asks for a GPU is given the one that Ray counts, and the corpus is whole."""
    on_gpu = ["--set", "correct={engine: hf, dtype: float32}", "--set", "workers={route: 1, correct_gpus: 1, rows_per_block: 3}"]
    assert main(["restore", str(config), *on_gpu]) == 0

    rows = pyarrow.dataset.dataset(config.parent / "out" / "data").to_table()
    assert sorted(rows["record_id"].to_pylist()) == [line["id"] for line in LINES]
    correctors = [(line["ocr"], row["corrector"]) for row, line in zip(rows.sort_by("record_id").to_pylist(), LINES, strict=True)]
    assert {corrector for text, corrector in correctors if text == BEYOND} == {"hf"}
    assert {corrector for text, corrector in correctors if text == CLEAN} == {"tagger"}


def test_restore_route_more_gpus_than_there_are_is_refused(config: Path, capsys: pytest.CaptureFixture[str]):
    """On one machine nobody brings another GPU: a run that would wait for it for ever does not start."""
    change = ["--set", "correct={engine: hf}", "--set", "workers={correct: 2, correct_gpus: 32}"]
    assert main(["restore", str(config), "--dry-run", *change]) == 2

    assert "workers.correct_gpus: 2 x 32" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("on_cluster")
def test_restore_route_other_threshold_is_another_run(config: Path, capsys: pytest.CaptureFixture[str]):
    """An output that was begun with one threshold is not continued with another, and the message names it."""
    assert main(["restore", str(config), "--limit", "4"]) == 0
    capsys.readouterr()

    assert main(["restore", str(config), "--limit", "4", "--set", "route.above=0.5"]) == 2

    assert "route" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("correct=null", "route"),
        ("correct={engine: tagger}", "route"),
        ("route.model=./nowhere", "route.model"),
        ("route.above=2", "route.above"),
        ("route.engine=hf", "route.engine"),
    ],
)
def test_restore_route_that_leads_nowhere_is_refused(config: Path, change: str, named: str, capsys: pytest.CaptureFixture[str]):
    """A route without a model behind it, to the same tagger, of an unknown model or of another engine is told before the run."""
    assert main(["restore", str(config), "--dry-run", "--set", change]) == 2

    assert named in capsys.readouterr().err
