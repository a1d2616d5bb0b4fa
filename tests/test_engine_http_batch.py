"""Batch files: requests are written once, results read, failures asked again; the same folder in every run."""

import json

import pytest
from misbehaving_server import chat, error

from ocrray.cli import main
from ocrray.engines.http_batch import HttpBatchConfig
from ocrray.engines.server import batch_files
from ocrray.storage import Location

TEXTS = ["tbe one", "tbe two", "tbe three", "tbe one"]


@pytest.fixture
def config(tmp_path):
    (tmp_path / "results").mkdir()
    return HttpBatchConfig(engine="http_batch", folder=str(tmp_path), model="m")


def _requests(folder):
    lines = [line for file in sorted((folder / "requests").glob("batch-*.jsonl")) for line in file.read_text().splitlines()]
    return [json.loads(line) for line in lines]


def _result(request, body=None, status=200, failure=None):
    """A line of results, as OpenAI and `vllm run-batch` write it."""
    text = request["body"]["messages"][-1]["content"]
    response = {"status_code": status, "request_id": "r", "body": body or chat(text.replace("tbe", "the"))}
    return json.dumps({"id": "b", "custom_id": request["custom_id"], "response": None if failure else response, "error": failure})


def test_correct_by_batch_files_writes_each_request_once_and_reads_its_result(config, tmp_path):
    """A first run writes, the next one reads; a run in between writes nothing again."""
    first = config.open().correct(TEXTS)
    told = config.finish()
    between = config.open().correct(TEXTS)
    told_again = config.finish()
    requests = _requests(tmp_path)
    (tmp_path / "results" / "out.jsonl").write_text("\n".join(map(_result, requests)))
    last = config.open().correct(TEXTS)

    assert {result.reason for result in (*first, *between)} == {"awaiting_answer"}
    assert [result.text for result in last] == ["the one", "the two", "the three", "the one"]
    assert last[0].output_tokens == 7
    assert len(requests) == 3
    assert requests[0]["url"] == "/v1/chat/completions"
    assert set(requests[0]) == {"custom_id", "method", "url", "body"}
    assert {"model", "messages", "temperature", "max_tokens"} == set(requests[0]["body"])
    assert "3 wait" in told
    assert "3 of them new" in told
    assert "new" not in told_again
    assert config.finish() == ""
    assert list((tmp_path / "requests" / "parts").iterdir()) == []


def test_correct_failed_requests_are_sent_again_and_refused_ones_are_not(config, tmp_path):
    """Expired or broken: again, three times at most. Flagged, too long, or refused: the record's own reason."""
    texts = ["expired", "broken", "flagged", "long", "odd"]
    outcomes = [
        {"failure": {"code": "batch_expired", "message": "This request could not be executed"}},
        {"status": 500, "body": error("boom")},
        {"status": 403, "body": error("flagged")},
        {"status": 400, "body": error("maximum context length is 64 tokens")},
        {"status": 422, "body": error("odd")},
    ]
    config.open().correct(texts)
    config.finish()
    for number in range(3):
        lines = [
            _result(request, **outcomes[texts.index(request["body"]["messages"][-1]["content"])])
            for request in _requests(tmp_path)
        ]
        (tmp_path / "results" / f"{number}.jsonl").write_text("\n".join(lines[-5:] if number == 0 else lines[-2:]))
        results = config.open().correct(texts)
        config.finish()
        if number < 2:
            assert [result.reason for result in results[:2]] == ["awaiting_answer"] * 2
            assert len(_requests(tmp_path)) == 5 + 2 * (number + 1)

    assert [result.reason for result in results] == ["error_in_answer", "http_500", "refused", "too_long", "http_422"]
    assert "odd" in results[-1].message
    assert config.finish() == ""


def test_merge_keeps_to_the_limits_of_a_file(config, tmp_path, monkeypatch):
    """More requests than one file may hold make another one."""
    monkeypatch.setattr(batch_files, "MAX_REQUESTS", 2)
    config.open().correct(TEXTS)

    assert batch_files.merge(Location.at(tmp_path)) == (3, 3)
    assert len(list((tmp_path / "requests").glob("batch-*.jsonl"))) == 2


def test_correct_results_that_are_odd_are_passed_over(config, tmp_path):
    """Lines of somebody else, of no JSON, and a file without a last line feed."""
    config.open().correct(["tbe one"])
    config.finish()
    (request,) = _requests(tmp_path)
    (tmp_path / "results" / "a.jsonl").write_text('{"custom_id": "mine"}\n\nno JSON\n' + _result(request))

    assert config.open().correct(["tbe one"])[0].text == "the one"


@pytest.mark.usefixtures("on_cluster")
def test_restore_by_batch_files_in_two_runs_of_the_same_command(tmp_path, capfd):
    """After the first the corpus says what it waits for; after the second it is corrected."""
    (tmp_path / "in.txt").write_text("".join(f"{text}\n" for text in TEXTS))
    (tmp_path / "batch" / "results").mkdir(parents=True)
    path = tmp_path / "config.yaml"
    path.write_text(
        f"input: {{paths: [{tmp_path}/in.txt]}}\nrecognize: null\nguard: null\n"
        f"correct: {{engine: http_batch, folder: {tmp_path}/batch, model: m}}\noutput: {{path: {tmp_path}/out}}\n"
    )

    assert main(["restore", str(path)]) == 0
    first = capfd.readouterr().out
    requests = _requests(tmp_path / "batch")
    (tmp_path / "batch" / "results" / "out.jsonl").write_text("\n".join(map(_result, requests)))
    assert main(["restore", str(path)]) == 0
    last = capfd.readouterr().out

    assert len(requests) == 3
    assert "awaiting answer 4" in first
    assert "3 wait for answers" in first
    assert "awaiting answer" not in last
    assert "corrected   4" in last
