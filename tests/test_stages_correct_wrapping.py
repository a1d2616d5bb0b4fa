"""Wrapped answers in the stages: taken off and said in the row, or refused whole, for every corrector alike."""

import pyarrow as pa
import pytest

from ocrray.engines.base import CorrectionResult, EngineInfo
from ocrray.records import SCHEMA
from ocrray.stages.correct import Correct, TakeGiven
from ocrray.stages.guard import Guard
from ocrray.stages.tables import add_run_columns

SOURCE, RIGHT = "At tbe end of the street", "At the end of the street"


class _Corrector:
    def __init__(self, answer, reason="", message=""):
        self.info, self.result = EngineInfo(engine="http"), CorrectionResult(answer, reason, message=message)

    def fits(self, _):
        return True

    def correct(self, texts):
        return [self.result] * len(texts)


def _judged(answer, given=False, **result):
    row = {"record_id": "1", "source_uri": "file:///t.csv", "raw_text": SOURCE, "warnings": ["no_text"]}
    table = add_run_columns(pa.Table.from_pylist([row], schema=SCHEMA)).append_column("mine", pa.array([answer]))
    stage = TakeGiven("mine", EngineInfo(engine="given")) if given else Correct(_Corrector(answer, **result))
    return Guard(None)(stage(table)).to_pylist()[0]


@pytest.mark.parametrize("given", [False, True])
def test_correct_wrapped_answer_is_unwrapped_and_the_row_says_so(given):
    """With the warnings that the row had before; an answer without wrapping adds none."""
    wrapped, plain = (_judged(text, given) for text in (f"Here is the corrected text:\n```\n{RIGHT}\n```", RIGHT))

    assert (wrapped["status"], wrapped["corrected_text"]) == ("corrected", RIGHT)
    assert wrapped["warnings"] == ["no_text", "wrapping_removed"]
    assert plain["warnings"] == ["no_text"]


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize(("answer", "reason"), [("<think>I wonder", "wrapping"), ("Here is the corrected text:", "wrapping")])
def test_correct_wrapping_that_stays_refuses_the_answer_by_that_name(given, answer, reason):
    """Nothing of it reaches the text, even without a guard."""
    row = _judged(answer, given)

    assert (row["status"], row["corrected_text"], row["guard_reason"]) == ("kept_raw", SOURCE, reason)


def test_correct_empty_answer_never_deletes_the_text():
    """Without a guard as well."""
    row = _judged(" \n")

    assert (row["status"], row["corrected_text"], row["guard_reason"]) == ("kept_raw", SOURCE, "empty_answer")


def test_correct_server_sentence_stands_in_the_row():
    """The column `error` says why the server did not answer."""
    row = _judged(None, reason="http_422", message="status 422: no such thing")

    assert (row["status"], row["guard_reason"]) == ("kept_raw", "http_422")
    assert row["error"] == "http_422: status 422: no such thing"
