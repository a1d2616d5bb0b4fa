"""Models behind a server: a real `transformers serve` for what works, real but broken HTTP servers for what does not."""

import json
import math
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import tiny_models
import tiny_vision
import transformers
from PIL import Image

from ocrray.engines.http import HttpConfig, HttpCorrector
from ocrray.engines.http_reader import HttpReaderConfig
from ocrray.errors import ConfigError, EngineError

ANSWERED = json.dumps({"choices": [{"text": "Hi", "finish_reason": "stop"}]}).encode()
ANSWER = "abcdefghijklmnopqrstuvwxyz0123"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The address of a server and a model that it serves, which answers ANSWER to everything."""
    folder = tiny_models.save_writing(tmp_path_factory.mktemp("served"), after="\x1e", answer=ANSWER)
    words = transformers.AutoTokenizer.from_pretrained(folder)
    words.chat_template = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}\x1e"
    words.save_pretrained(folder)
    port = _free_port()
    command = [str(Path(sys.executable).with_name("transformers")), "serve", "--port", str(port), "--device", "cpu"]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    try:
        _wait_until_up(server, f"http://localhost:{port}/health", folder / "server.log")
        yield f"http://localhost:{port}/v1", str(folder)
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_until_up(server, url, log):
    for _ in range(600):
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def test_recognize_by_a_real_server_reads_images(served, tmp_path):
    """The same server shows pages to a vision-language model: grey, colour, two colours and larger than is sent."""
    model = str(tiny_vision.save_writing(tmp_path, ["Harbour", " at", "\nLeith"]))
    settings = {"engine": "http", "base_url": served[0], "model": model, "max_retries": 0, "max_wait_s": 0, "max_side_px": 300}
    reader = HttpReaderConfig.model_validate({**settings, "max_new_tokens": 20, "concurrency": 2}).open()
    page = Image.new("L", (400, 120), 255)
    page.paste(0, (20, 30, 200, 60))
    pages = [page, page.convert("CMYK"), page.convert("1"), Image.new("L", (400, 120), 255)]

    read = reader.recognize_pages(pages)
    reader.close()

    assert [one.text for one in read] == ["Harbour at\nLeith"] * 3 + [""]
    assert [line.text for line in read[0].lines] == ["Harbour at", "Leith"]
    assert reader.info == reader._config.check("recognize")
    unfinished = HttpReaderConfig.model_validate({**settings, "max_new_tokens": 2, "stop_after_refusals": None}).open()
    (cut,) = unfinished.recognize_pages([page])
    unfinished.close()
    assert (cut.problem.kind, cut.text) == ("unfinished", "Harbour at")


@contextmanager
def _broken_server(status: int = 200, body: bytes = b"", delay_s: float = 0.0, port: int = 0, only_for: str = ""):
    """A server that answers every request alike, or well if it does not hold `only_for`; gives its address and the headers of
    each request so far."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            seen.append({name.lower(): value for name, value in self.headers.items()})
            is_meant = only_for.encode() in self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(delay_s if is_meant else 0)
            self.send_response(status if is_meant else 200)
            self.send_header("Content-Type", "application/json" if body.startswith(b"{") else "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", seen
    finally:
        server.shutdown()
        server.server_close()


def _config(base_url, **settings):
    basic = {"engine": "http", "model": "tiny", "api": "completions", "prompt": "plain", "max_retries": 0, "max_wait_s": 0}
    return HttpConfig(**{**basic, "base_url": base_url, **settings})


@pytest.mark.parametrize(
    "asked",
    [{"api": "completions", "prompt": "plain"}, {"api": "chat", "prompt": "Fix: {text}"}, {"api": "chat", "prompt": "chat_ocr"}],
)
def test_correct_by_a_real_server_gives_answers_in_order_with_token_counts(served, asked):
    """Both interfaces work against `transformers serve`, with more texts than requests in flight."""
    url, model = served
    corrector = HttpCorrector(_config(url, model=model, concurrency=2, **asked))
    texts = [f"The qvick brown fox jumps over the lazy dog, {number}." for number in range(4)]

    corrections = corrector.correct(texts)
    corrector.close()

    assert [correction.text for correction in corrections] == [ANSWER] * len(texts)
    assert all(correction.output_tokens == len(ANSWER) + 1 for correction in corrections)
    assert all(correction.input_tokens > 0 for correction in corrections)


def test_correct_answer_that_reaches_its_bound_is_unfinished_and_in_its_place(served):
    """A text too short for this answer is left, its longer neighbours are not, and one over max_chars is not sent at all."""
    url, model = served
    corrector = HttpCorrector(_config(url, model=model, max_chars=60))

    texts = ["A", "The qvick brown fox jumps over the lazy dog", "x" * 61]
    short, long, longest = corrector.correct(texts)

    assert [corrector.fits(text) for text in texts] == [True, True, False]
    assert (short.text, short.reason) == (None, "unfinished")
    assert (long.text, long.reason) == (ANSWER, "")
    assert (longest.text, longest.reason) == (None, "too_long")


def test_correct_model_that_the_server_does_not_have_ends_the_run(served):
    """`transformers serve` is asked for another model than it serves: no text would fare better."""
    url, _ = served

    with pytest.raises(EngineError, match="another/model"):
        HttpCorrector(_config(url, model="another/model")).correct(["A"])


@pytest.mark.parametrize(
    ("fault", "reason"), [({"status": 500}, "http_500"), ({"delay_s": 2.0}, "timeout")], ids=["error", "no answer"]
)
def test_correct_text_that_the_server_alone_fails_on_is_left_with_the_reason(fault, reason):
    """Other texts are answered, so it is this one's fault."""
    with _broken_server(body=ANSWERED, only_for="BAD", **fault) as (url, seen):
        good, bad = HttpCorrector(_config(url, max_retries=1, timeout_s=0.3, max_wait_s=10)).correct(["A", "BAD"])

    assert (good.text, bad.text, bad.reason) == ("Hi", None, reason)
    assert len(seen) >= 3


@pytest.mark.parametrize("fault", [{"status": 500}, {"delay_s": 2.0}], ids=["error", "no answer"])
def test_correct_server_that_fails_on_every_text_ends_the_run_and_spoils_no_record(fault):
    """A server that hangs, or whose model has died, is no fault of the records: it is waited for."""
    with _broken_server(body=b"{}", **fault) as (url, _), pytest.raises(EngineError, match=r"waited 0\.2 s"):
        HttpCorrector(_config(url, timeout_s=0.2, max_wait_s=0.2)).correct(["A"])


@pytest.mark.parametrize("status", [401, 403, 404])
def test_correct_refused_key_or_unknown_model_ends_the_run(status):
    """No further text would fare better, so the run ends at once, without waiting."""
    with _broken_server(status, b'{"error": {"message": "no\\nsuch model"}}') as (url, _), pytest.raises(EngineError) as caught:
        HttpCorrector(_config(url, max_wait_s=60)).correct(["A", "B"])

    assert len(str(caught.value).splitlines()) == 1


def test_correct_unreachable_server_ends_the_run_after_the_wait():
    """Nobody listens: the run stops with the address and the time it waited."""
    url = f"http://127.0.0.1:{_free_port()}/v1"
    started = time.monotonic()

    with pytest.raises(EngineError, match=rf"{url} .*waited 0\.3 s"):
        HttpCorrector(_config(url, max_wait_s=0.3)).correct(["A", "B"])

    assert time.monotonic() - started >= 0.3


def test_correct_server_that_comes_back_answers_all_texts():
    """A connection refused is no fault of a record: the requests wait until the server listens."""
    port = _free_port()
    corrector = HttpCorrector(_config(f"http://127.0.0.1:{port}/v1", max_wait_s=30))
    stop = threading.Event()

    def start_later():
        time.sleep(0.5)
        with _broken_server(body=ANSWERED, port=port):
            stop.wait()

    server = threading.Thread(target=start_later)
    server.start()
    try:
        assert [result.text for result in corrector.correct(["A", "B"])] == ["Hi", "Hi"]
    finally:
        stop.set()
        server.join()


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_correct_overloaded_or_starting_server_ends_the_run_and_spoils_no_record(status):
    """A proxy without its server, or a full queue, is waited for; after that the run ends, resumably."""
    with _broken_server(status, b"{}") as (url, seen), pytest.raises(EngineError, match=str(status)):
        HttpCorrector(_config(url, max_wait_s=0.2)).correct(["A"])

    assert len(seen) >= 2


@pytest.mark.parametrize("body", [b"<html>Welcome</html>", b"{}", b'{"choices": []}', b'{"choices": 7}', b"{x"])
@pytest.mark.parametrize("api", ["completions", "chat"])
def test_correct_server_of_another_kind_ends_the_run(body, api):
    """A page of HTML or someone else's JSON is no correction, whatever its status."""
    with _broken_server(200, body) as (url, _), pytest.raises(EngineError):
        HttpCorrector(_config(url, api=api)).correct(["A"])


def test_correct_content_filter_is_a_refusal():
    """A model that declines leaves the text as it is."""
    body = b'{"choices": [{"index": 0, "finish_reason": "content_filter", "message": {"role": "assistant", "content": null}}]}'

    with _broken_server(200, body) as (url, _):
        (correction,) = HttpCorrector(_config(url, api="chat")).correct(["A"])

    assert (correction.text, correction.reason) == (None, "refused")


LIKELY = {
    "chat": {
        "message": {"content": "the fox"},
        "logprobs": {"content": [{"token": "the", "logprob": -0.25}, {"token": " fox", "logprob": 0}]},
    },
    "completions": {"text": "the fox", "logprobs": {"tokens": ["the", " fox"], "token_logprobs": [-0.25, 0.0]}},
    "nothing": {"text": "the fox", "logprobs": None},
}


@pytest.mark.parametrize(
    ("api", "told", "expected"), [("chat", "chat", True), ("completions", "completions", True), ("completions", "nothing", False)]
)
def test_correct_server_that_tells_likelihoods_says_how_sure_the_model_was(api, told, expected):
    """The probability of the token that changed the text, in the form of either API; a server that does not say is no error."""
    body = json.dumps({"choices": [{**LIKELY[told], "finish_reason": "stop"}]}).encode()
    with _broken_server(body=body) as (url, _):
        (found,) = HttpCorrector(
            _config(url, api=api, prompt="plain" if api == "completions" else "chat_ocr", logprobs=True)
        ).correct(["tbe fox"])
    assert found.text == "the fox"
    assert found.probabilities == ({1: pytest.approx(math.exp(-0.25))} if expected else {})


def test_correct_sends_the_named_key_and_never_another(monkeypatch):
    """The key comes from the variable that the config names; without one, a key for some other service stays at home."""
    monkeypatch.setenv("OPENAI_API_KEY", "for-somebody-else")
    monkeypatch.setenv("ARCHIVE_KEY", "for-this-server")

    with _broken_server(body=ANSWERED) as (url, seen):
        HttpCorrector(_config(url)).correct(["A"])
        HttpCorrector(_config(url, api_key_env="ARCHIVE_KEY")).correct(["A"])

    assert "for-somebody-else" not in str(seen)
    assert seen[1]["authorization"] == "Bearer for-this-server"


def test_check_lists_every_problem_at_once():
    """A bad address, an unset key and a chat prompt for completions are three lines."""
    assert "NO_SUCH_KEY" not in os.environ

    with pytest.raises(ConfigError) as caught:
        _config("localhost:8000", api_key_env="NO_SUCH_KEY", prompt="chat_ocr").check("correct")

    assert len(str(caught.value).splitlines()) == 3


def test_check_names_model_and_prompt_without_asking_the_server():
    """The identity is known from the config alone."""
    info = _config("http://nobody.invalid/v1", prompt="alpaca_ocr").check("correct")

    assert (info.engine, info.model, info.prompt_version) == ("http", "tiny", "alpaca_ocr/1")
