"""Each stage maps a table of rows to one table of the same rows; tried here without Ray."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ocrray.engines.base import EngineInfo, LineRecognizer
from ocrray.engines.fake import FakeConfig, FakeCorrector
from ocrray.engines.tagger import Tagger, TaggerConfig
from ocrray.errors import EngineError, RecordError
from ocrray.guard import GuardConfig
from ocrray.records import SCHEMA, WORK_LIST_SCHEMA, Line, lines_to_rows
from ocrray.sources.input import InputConfig
from ocrray.stages import guard as guard_stage
from ocrray.stages.busy import BusyClock
from ocrray.stages.correct import Correct, TakeGiven
from ocrray.stages.guard import Guard
from ocrray.stages.load import Load
from ocrray.stages.recognize import MAX_ATTEMPTS, Recognize
from ocrray.stages.score import Score
from ocrray.stages.tables import lists_array, to_corpus_schema, with_columns
from ocrray.text.metrics import distance
from ocrray.text.normalise import for_scoring

DUPLICATE = {"text": "x", "error_kind": "duplicate_id", "error": "seen before"}
LOAD = Load(InputConfig(paths=["unused"]))


def work(*rows: dict[str, object], **passthrough: list[object]) -> pa.Table:
    """A work list of these rows; what a row leaves out is that of an ordinary row of a table."""
    ordinary = {"uri": "/data/a.jsonl", "kind": "table", "page": 0, "size": 10, "etag": "e"}
    rows = [{"record_id": f"r{number}", **ordinary, **row} for number, row in enumerate(rows)]
    table = pa.Table.from_pylist(rows, schema=WORK_LIST_SCHEMA)
    for name, values in passthrough.items():
        table = table.append_column(name, pa.array(values))
    return table


def restored(table: pa.Table, corrector: FakeCorrector, guard: GuardConfig | None = GuardConfig()) -> list[dict]:  # noqa: B008 - frozen
    return Score()(Guard(guard)(Correct(corrector)(LOAD(table)))).to_pylist()


def test_load_work_list_row_keeps_its_text_and_passthrough():
    """A row that carries its text becomes a row of the corpus, the user's columns behind ours."""
    table = LOAD(work({"text": "abc", "ground_truth": "abd"}, year=[1871]))

    assert to_corpus_schema(table).schema.names == [*SCHEMA.names, "year"]
    row = table.to_pylist()[0]
    assert (row["raw_text"], row["ground_truth"], row["year"], row["status"]) == ("abc", "abd", 1871, None)
    assert row["content_hash"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_load_row_found_unusable_when_listed_is_failed():
    """What the listing already knew to be wrong is told in the row."""
    row = LOAD(work(DUPLICATE)).to_pylist()[0]

    columns = ("status", "failed_stage", "error_kind", "error")
    assert [row[name] for name in columns] == ["failed", "load", "duplicate_id", "seen before"]


def test_load_missing_file_is_failed_and_its_neighbour_is_not(tmp_path: Path):
    """A file that went away between listing and reading costs its own record only."""
    gone = {"uri": str(tmp_path / "gone.xml"), "kind": "alto"}
    (tmp_path / "still_there.xml").touch()

    statuses = {row["record_id"]: row["error_kind"] for row in LOAD(work(gone, {"text": "fine"})).to_pylist()}

    assert statuses == {"r0": "missing", "r1": None}


def test_correct_long_record_is_cut_and_its_edits_lie_where_they_belong():
    """Passages are corrected one by one, and the offsets of their edits count from the start of the record."""
    text = "It was tbe best of times.\n\nIt was tbe worst of times, it was tbe age of wisdom.  "
    corrector = FakeCorrector(FakeConfig(engine="fake", replace={"tbe": "the"}, max_chars=30))

    row = restored(work({"text": text}), corrector)[0]

    assert row["corrected_text"] == text.replace("tbe", "the")
    assert [text[edit["start"] : edit["end"]] for edit in row["edits"]] == ["b", "b", "b"]
    assert row["status"] == "corrected"


def test_correct_tagger_tells_of_every_edit_how_sure_it_was():
    """The row keeps the probability beside each edit; an engine that says none leaves it null."""
    text = "It was tbe best of times.\n\nIt was tbe worst of times."
    tagger = Tagger(TaggerConfig(engine="tagger", num_threads=1))

    row = restored(work({"text": text}), tagger)[0]
    silent = restored(work({"text": text}), FakeCorrector(FakeConfig(engine="fake", replace={"tbe": "the"})))[0]

    assert len(row["edits"]) == len(silent["edits"]) == 2
    assert all(tagger.threshold <= edit["probability"] <= 1 for edit in row["edits"])
    assert {edit["probability"] for edit in silent["edits"]} == {None}


@given(st.lists(st.text(max_size=60), min_size=1, max_size=4))
def test_restore_any_texts_identity_gives_them_back(texts: list[str]):
    """With a corrector that changes nothing every row is unchanged, character for character."""
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]

    rows = restored(work(*({"text": text} for text in texts)), FakeCorrector(FakeConfig(engine="fake", max_chars=7)))

    assert [row["corrected_text"] for row in rows] == texts
    assert {row["status"] for row in rows} == {"unchanged"}


def test_correct_passage_that_cannot_fit_keeps_raw_with_its_reason():
    """A single character wider than the model's window is kept, and the row says why."""
    family = "👨‍👩‍👧‍👦"

    row = restored(work({"text": family}), FakeCorrector(FakeConfig(engine="fake", replace={family: "x"}, max_chars=3)))[0]

    assert (row["status"], row["guard_reason"], row["corrected_text"]) == ("kept_raw", "too_long", family)


def test_correct_broken_engine_ends_the_run():
    """An engine that is out of reach is no record's fault: the error passes through."""
    with pytest.raises(EngineError):
        Correct(FakeCorrector(FakeConfig(engine="fake", fail_on="x")))(LOAD(work({"text": "x"})))


def test_guard_refused_correction_keeps_raw_and_what_was_refused():
    """A row whose every edit was refused reads as before, with reason and refused edits beside it."""
    row = restored(work({"text": "in 1871 at Leith"}), FakeCorrector(FakeConfig(engine="fake", replace={"1871": "1872"})))[0]

    assert (row["status"], row["guard_reason"], row["corrected_text"]) == ("kept_raw", "digits", "in 1871 at Leith")
    assert [(edit["raw"], edit["corrected"]) for edit in row["refused_edits"]] == [("1", "2")]
    assert row["edits"] == []


def test_guard_hears_the_recognizer_where_the_row_has_its_words():
    """The same change of the same line is doubted more where the word was read surely; lines of another text are not heard."""
    text = "He went to the hause by the river."
    fake = FakeCorrector(FakeConfig(engine="fake", replace={"hause": "horse"}))
    proposed = Correct(fake)(LOAD(work(*[{"text": text}] * 4)))
    pages = [None, *([Line(text, confidence=share)] for share in (0.2, 0.97)), [Line("another text", confidence=0.97)]]
    rows = with_columns(proposed, {"lines": [None if lines is None else lines_to_rows(lines) for lines in pages]})

    unknown, unsure, sure, other = (row["verdicts"][0]["score"] for row in Guard(GuardConfig())(rows).to_pylist())

    assert unsure < sure
    assert unknown == other


def test_guard_row_that_cannot_be_judged_fails_without_its_proposals(monkeypatch: pytest.MonkeyPatch):
    """Edits that nobody judged are no edits of the corpus; the other rows are judged."""
    judge = guard_stage.judge

    def broken_for_tbe(raw: str, *rest: object) -> object:
        if "tbe" in raw:
            raise ZeroDivisionError
        return judge(raw, *rest)

    monkeypatch.setattr(guard_stage, "judge", broken_for_tbe)
    corrector = FakeCorrector(FakeConfig(engine="fake", replace={"b": "h"}))
    failed, judged = restored(work({"text": "tbe cat"}, {"text": "abc"}), corrector, None)

    assert (failed["status"], failed["failed_stage"], failed["edits"], failed["corrected_text"]) == (
        "failed",
        "guard",
        None,
        None,
    )
    assert judged["corrected_text"] == "ahc"


def test_guard_failed_row_stays_failed_without_text():
    """A failed row has no corrected text, whatever comes after."""
    row = restored(work(DUPLICATE), FakeCorrector(FakeConfig(engine="fake")))[0]

    assert (row["status"], row["corrected_text"]) == ("failed", None)


def test_take_given_column_is_judged_like_any_correction():
    """Corrections made elsewhere go through the guard; a missing one leaves the record."""
    table = work({"text": "tbe"}, {"text": "in 1871"}, {"text": "as is"}, theirs=["the", "in 1872", None])

    rows = Guard(GuardConfig())(TakeGiven("theirs", EngineInfo("given"))(LOAD(table))).to_pylist()

    assert [(row["corrected_text"], row["guard_reason"]) for row in rows] == [
        ("the", None),
        ("in 1871", "digits"),
        ("as is", "not_given"),
    ]


def test_score_rows_with_truth_get_distances_and_others_none():
    """Distances count characters after normalisation, before and after correction."""
    table = work({"text": "tbe  cat", "ground_truth": "the cat"}, {"text": "tbe"})

    rows = restored(table, FakeCorrector(FakeConfig(engine="fake", replace={"tbe": "the"})))

    columns = ("ground_truth_chars", "raw_distance", "corrected_distance")
    assert [tuple(row[name] for name in columns) for row in rows] == [(7, 1, 0), (None, None, None)]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.text(" \t\na~e\u0301\xa0\x7f!", max_size=6), st.text(" a\u00e9\n", max_size=6)), min_size=1, max_size=8)
)
def test_score_any_white_space_and_accents_equals_distance_after_for_scoring(pairs: list[tuple[str, str]]):
    """Texts that seem to need no normalisation get the distance that they would have with it."""
    names = ("raw_text", "corrected_text", "ground_truth")
    raw, truth = ([pair[side] for pair in pairs] for side in (0, 1))
    table = LOAD(work(*({"text": text} for text in raw)))
    rows = Score()(with_columns(table, dict(zip(names, (raw, truth, truth), strict=True)))).to_pylist()
    assert [row["raw_distance"] for row in rows] == [distance(*pair) for pair in pairs]
    assert [row["corrected_distance"] for row in rows] == [0] * len(pairs)
    assert [row["ground_truth_chars"] for row in rows] == [len(for_scoring(text)) for text in truth]


@given(st.dictionaries(st.integers(0, 5), st.lists(st.integers(-9, 9), max_size=3)), st.integers(6, 8))
def test_lists_array_any_rows_equals_the_lists_with_empty_ones_between(lists: dict[int, list[int]], length: int):
    """Rows without a list get an empty one, never null."""
    expected = [lists.get(row, []) for row in range(length)]
    assert lists_array(lists, length, pa.list_(pa.int32())).equals(pa.array(expected, pa.list_(pa.int32())))


class OneLine(LineRecognizer):
    """A recognizer that reads the width of the page, and cannot read a page 13 px wide."""

    info = EngineInfo("ruler", "px", "1")

    def recognize(self, image: Image.Image) -> list[Line]:
        if image.width == 13:
            raise RecordError("unlucky", kind="timeout")
        if image.width == 14:
            raise ZeroDivisionError("a bug")
        if image.width == 15:
            raise EngineError("out of order")
        return [Line(str(image.width), 0, 0, *image.size, confidence=0.5)]

    def close(self) -> None: ...


def recognized(*widths: int, attempts: Counter[str] | None = None) -> list[dict]:
    attempts = Counter() if attempts is None else attempts

    def count_attempt(record_id: str) -> int:
        attempts[record_id] += 1
        return attempts[record_id]

    def open_page(uri: str, _page: int) -> tuple[Image.Image, str]:
        return Image.new("L", (int(uri), 20)), "hash"

    rows = work(*({"uri": str(width), "kind": "image"} for width in widths))
    return Recognize(OneLine(), open_page, count_attempt)(LOAD(rows)).to_pylist()


def test_recognize_page_becomes_text_with_its_lines():
    """A page's text is its lines, whose boxes and confidences stay."""
    row = recognized(40)[0]

    assert (row["raw_text"], row["recognizer"], row["content_hash"], row["image_uri"]) == ("40", "ruler px 1", "hash", "40")
    assert (row["lines"][0]["right"], row["lines"][0]["confidence"]) == (40, 0.5)


def test_recognize_bad_page_fails_alone():
    """An error of one page, foreseen or a bug, is that page's; the others are read."""
    assert [row["error_kind"] for row in recognized(40, 13, 14, 50)] == [None, "timeout", "internal_error", None]


def test_recognize_broken_engine_ends_the_run():
    """An engine that is out of order is no page's fault: the error passes through instead of failing page after page."""
    with pytest.raises(EngineError):
        recognized(40, 15)


def test_recognize_page_that_keeps_killing_its_process_is_given_up():
    """A page begun too often without an end is failed, so that it cannot kill for ever."""
    rows = recognized(40, 50, attempts=Counter({"r0": MAX_ATTEMPTS}))

    assert [row["error_kind"] for row in rows] == ["crashed", None]


def test_busy_clock_calls_that_overlap_share_the_time_they_take():
    """Four calls at once, in threads of their own, are charged with no more than what passed while any of them ran."""
    clock = BusyClock()

    def call(seconds: float) -> float:
        started = clock.start()
        time.sleep(seconds)
        return clock.stop(started)

    begun = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        charged = list(pool.map(call, [0.05, 0.1, 0.1, 0.2]))
    passed = time.perf_counter() - begun

    assert 0.19 < sum(charged) <= passed
    assert charged[0] < charged[3]


def test_guard_language_that_the_scorer_does_not_know_is_a_warning_beside_those_there():
    """The record says that rules and script-neutral signals judged it; English, and a guard that is off, say nothing."""
    german, english = "Der alte Mann ging mit dem Hnnd in die Stadt", "The old man went to tbe town"
    table = work({"text": german}, {"text": english}, theirs=[german.replace("Hnnd", "Hund"), english.replace("tbe", "the")])
    proposed = TakeGiven("theirs", EngineInfo("given"))(LOAD(table))
    column = pa.array([["text_not_read"], None], proposed.schema.field("warnings").type)
    proposed = proposed.set_column(proposed.schema.get_field_index("warnings"), "warnings", column)

    assert Guard(GuardConfig())(proposed)["warnings"].to_pylist() == [["guard_not_fitted", "text_not_read"], None]
    assert Guard(None)(proposed)["warnings"].to_pylist() == [["text_not_read"], None]
