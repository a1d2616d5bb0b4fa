"""Servers that misbehave: a fault of one text is its own, one of every request ends the run, one that passes is waited for."""

import json
import threading
import time

import pytest
from misbehaving_server import chat, cuts, drops, error, serving, trickles

from ocrray.engines.http import HttpConfig, HttpCorrector
from ocrray.engines.server import client
from ocrray.engines.server.throttle import Throttle
from ocrray.errors import ConfigError, EngineError

ODD = "odd text"
PLAIN = [f"text {number}" for number in range(3)]


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(client, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(client, "_MAX_PAUSE_S", 0.05)


def _corrector(served, **settings):
    basic = {"engine": "http", "base_url": served.url, "model": "m", "max_retries": 2, "max_wait_s": 0.3, "timeout_s": 0.3}
    return HttpCorrector(HttpConfig(**{**basic, **settings}))


def _corrected(answer, texts, **settings):
    with serving(answer) as served:
        return _corrector(served, **settings).correct(texts), served


def _odd(answer):
    """A server that answers `answer` to ODD, and others well."""
    return lambda text, attempt: (answer(attempt) if callable(answer) else answer) if text == ODD else chat("Hi")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((403, error("Input flagged by moderation", code=403)), "refused"),
        ((403, error("Forbidden")), "http_403"),
        ((400, error("filtered due to Azure OpenAI's content management policy", code="content_filter")), "refused"),
        (chat(None, "content_filter"), "refused"),
        (chat(None, refusal="I cannot do this."), "refused"),
        ((400, error("This model's maximum context length is 64 tokens. However, you requested 200 tokens")), "too_long"),
        ((413, {"error": "too large"}), "too_long"),
        ((429, error("Request too large for m on tokens per min (TPM): Limit 9, Requested 12.")), "too_long"),
        ((400, error("boom")), "http_400"),
        ((404, error("page not found")), "http_404"),
        ((404, b"<html><title>404 Not Found</title></html>"), "http_404"),
        ((409, error("conflict")), "http_409"),
        ((422, {"detail": [{"loc": ["body", "messages", 0], "msg": "bad text"}]}), "http_422"),
        ((302, b"", {"Location": "/login"}), "http_302"),
        ((408, b""), "http_408"),
        ((500, error("boom")), "http_500"),
        ((502, b"<html><title>502 Bad Gateway</title></html>"), "http_502"),
        ((429, error("slow down")), "http_429"),
        ((503, error("overloaded")), "http_503"),
        (error("Upstream provider error", code=502), "error_in_answer"),
        ({"choices": None, "error": {"message": "Rate limit exceeded", "code": 429}}, "error_in_answer"),
        ({"choices": [{"error": {"message": "provider", "code": 502}, "finish_reason": "error"}]}, "error_in_answer"),
        (chat("", "error"), "error_in_answer"),
        (chat(""), "empty_answer"),
        (chat("\n\n"), "empty_answer"),
        (chat(None, reasoning_content="I think"), "empty_answer"),
        (chat(None, "tool_calls", tool_calls=[{"id": "1", "type": "function"}]), "empty_answer"),
        (chat(None, "length", reasoning_content="hmm"), "unfinished"),
        ({"choices": []}, "malformed_answer"),
        (b"<html>Welcome</html>", "malformed_answer"),
        (b"[" * 100_000, "malformed_answer"),
        (lambda _: cuts, "connection_lost"),
        (lambda _: drops, "connection_lost"),
        (lambda _: trickles, "timeout"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_correct_fault_of_one_text_is_its_own(answer, reason):
    """The others are corrected, the one is left with the reason, and its sentence is kept."""
    answer = (200, answer) if isinstance(answer, bytes) else answer
    results, _ = _corrected(_odd(answer), [*PLAIN, ODD])

    assert [result.text for result in results] == ["Hi", "Hi", "Hi", None]
    assert results[-1].reason == reason


@pytest.mark.parametrize(
    "answer",
    [
        (429, error("slow down"), {"Retry-After": "0"}),
        (429, error("slow down")),
        (503, error("loading model")),
        (500, b""),
        (408, b""),
        (409, b""),
        (529, error("Overloaded")),
        error("Upstream provider error", code=502),
        chat(""),
        chat(None),
        (200, b"{"),
        lambda _: drops,
        lambda _: cuts,
    ],
)
def test_correct_fault_that_passes_is_tried_again(answer):
    """The second attempt has the text."""
    results, served = _corrected(
        _odd(lambda attempt: (answer(attempt) if callable(answer) else answer) if attempt < 2 else chat("Ho")), [ODD]
    )

    assert results[0].text == "Ho"
    assert served.texts[ODD] == 2


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((402, error("Insufficient credits")), "Insufficient credits"),
        ((400, error("Your credit balance is too low")), "credit balance is too low"),
        ((429, error("You exceeded your current quota", code="insufficient_quota")), "exceeded your current quota"),
        (error("Insufficient credits", code=402), "Insufficient credits"),
        ((401, error("Incorrect API key provided")), "Incorrect API key"),
        ((400, error("Use 'max_completion_tokens' instead.", param="max_tokens")), "max_tokens_key: max_completion_tokens"),
        ((400, error("Unsupported value: 'temperature' does not support 0.0")), "temperature: null"),
        ((422, {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}), "seed: Extra inputs"),
        ((404, {"object": "error", "message": "The model `m` does not exist."}), "does not exist"),
        ((404, {"error": "model 'm' not found, try pulling it first"}), "try pulling it first"),
    ],
)
def test_correct_fault_of_every_request_ends_the_run_with_the_sentence(answer, sentence):
    """At once, and even where a short text would be answered."""
    begun = time.monotonic()

    with pytest.raises(EngineError, match=sentence) as caught:
        _corrected(_odd(answer), [ODD] * 3, max_wait_s=60)

    assert not caught.value.transient
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "answer",
    [
        (403, b"<h1>Forbidden</h1>"),
        (405, b""),
        (302, b"", {"Location": "/login"}),
        (404, b""),
        (422, {"detail": "no"}),
        (200, b"<html>"),
    ],
)
def test_correct_refusal_of_everything_ends_the_run(answer):
    """What no sentence says, a short text shows."""
    with pytest.raises(EngineError) as caught:
        _corrected(lambda *_: answer, PLAIN, max_wait_s=60)

    assert not caught.value.transient


@pytest.mark.parametrize(
    "answer",
    [
        (422, {"detail": "no"}),
        chat(""),
        chat("Hm", "length"),
        chat(None, "content_filter"),
        (413, {"error": "too large"}),
        (404, error("page not found")),
    ],
)
def test_correct_text_after_text_refused_ends_the_run(answer):
    """Ten in a row, although a short text is answered: the fault is hardly theirs; a setting says that it is."""
    texts = [f"{ODD} {number}" for number in range(12)]

    def refuse(text, _):
        return answer if text in texts else chat("Hi")

    with pytest.raises(EngineError, match="10 texts in a row"):
        _corrected(refuse, texts)
    results, _ = _corrected(refuse, texts, stop_after_refusals=None)
    assert [result.text for result in results] == [None] * 12


def test_correct_unknown_model_in_mid_run_spoils_no_record():
    """The model was unloaded: the short text is refused as well."""
    state = {"up": True}
    with serving(lambda *_: chat("Hi") if state["up"] else (404, error("The model `m` does not exist."))) as served:
        corrector = _corrector(served)
        assert corrector.correct(PLAIN)[0].text == "Hi"
        state["up"] = False
        with pytest.raises(EngineError, match="does not exist"):
            corrector.correct(PLAIN)


def test_correct_key_refused_in_mid_run_is_tried_again_and_then_ends_the_run():
    """Gateways forget a key for a moment; a revoked one stays refused."""
    state = {"refusals": 2}

    def answer(*_):
        state["refusals"] -= 1
        return (401, error("Unauthorized")) if state["refusals"] >= 0 and state["begun"] else chat("Hi")

    with serving(answer) as served:
        corrector = _corrector(served)
        state["begun"] = False
        corrector.correct(PLAIN[:1])
        state.update(begun=True, refusals=2)
        assert corrector.correct(PLAIN[:1])[0].text == "Hi"
        state["refusals"] = 1_000
        with pytest.raises(EngineError, match="Unauthorized"):
            corrector.correct(PLAIN[:1])


def test_correct_server_away_for_a_while_is_waited_for_and_the_wait_said(monkeypatch):
    """The worker reports it, for the display; the limit is that of the workers where none is set."""
    said = []
    monkeypatch.setattr(client, "_SILENT_S", 0.05)
    monkeypatch.setattr(client.stores, "report_waiting", said.append)
    monkeypatch.setattr(client.stores, "max_wait_s", lambda: 20.0)
    begun = time.monotonic()

    results, _ = _corrected(lambda *_: (503, b"") if time.monotonic() < begun + 0.5 else chat("Hi"), PLAIN, max_wait_s=None)

    assert [result.text for result in results] == ["Hi"] * 3
    assert said
    assert "503" in said[0]


def test_correct_server_that_asks_for_more_patience_than_allowed_ends_the_run_at_once():
    """An hour's pause is not slept through in vain."""
    with pytest.raises(EngineError, match="3600 s") as caught:
        _corrected(lambda *_: (429, error("daily limit"), {"Retry-After": "3600"}), PLAIN, max_wait_s=60)

    assert caught.value.transient


def test_correct_first_fault_of_the_run_ends_it_while_other_texts_wait():
    """One text waits for an overloaded server when another shows that there is no credit."""
    begun = time.monotonic()

    with pytest.raises(EngineError, match="credit"):
        _corrected(
            lambda text, _: (402, error("no credit")) if text == ODD else (503, b""),
            [*PLAIN, ODD],
            max_wait_s=60,
        )

    assert time.monotonic() - begun < 10


def test_correct_redirect_of_the_same_host_that_keeps_the_method_is_followed():
    """As a server adds a slash; another host would get the key."""
    moved = {"Location": "/v1/other"}
    results, served = _corrected(lambda _, attempt: (308, b"", moved) if attempt == 1 else chat("Hi"), PLAIN[:1])
    assert results[0].text == "Hi"
    assert served.paths == ["/v1/chat/completions", "/v1/other"]

    with pytest.raises(EngineError, match="redirects to"):
        _corrected(lambda *_: (308, b"", {"Location": "http://elsewhere.invalid/v1"}), PLAIN[:1])


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (chat([{"type": "text", "text": "Hi"}, {"type": "thinking", "thinking": "hm"}]), "Hi"),
        (chat("Hi", None), "Hi"),
        (chat("Hi", "eos_token"), "Hi"),
        ({**chat("Hi"), "usage": None}, "Hi"),
        ({**chat("Hi"), "usage": {"prompt_tokens": 5.0, "completion_tokens": "7"}}, "Hi"),
        ((200, b"data: " + json.dumps(chat("Hi")).encode() + b"\n\ndata: [DONE]\n\n"), "Hi"),
        (
            (
                200,
                b'data: {"choices":[{"delta":{"content":"H"}}]}\n\ndata: {"choices":[{"text":"i","finish_reason":"stop"}]}\n',
            ),
            "Hi",
        ),
        ((200, json.dumps(chat("str\x00eet")).encode()), "str\ufffdeet"),
        ((200, json.dumps(chat("Hi")).encode().replace(b"Hi", b"H\\ud835i")), "H\ufffdi"),
        ((200, b"\xef\xbb\xbf" + json.dumps(chat("Hi")).encode()), "Hi"),
    ],
)
def test_correct_answer_of_an_unusual_form_is_read(answer, text):
    """Parts, odd ends, no usage, a stream that nobody asked for, characters that no corpus can hold."""
    results, _ = _corrected(lambda *_: answer, PLAIN[:1])

    assert results[0].text == text


def test_correct_requests_hold_what_the_config_says():
    """The limit under its other name, no temperature, and keys of one's own."""
    _, served = _corrected(lambda *_: chat("Hi"), PLAIN[:1])
    assert {"max_tokens", "temperature", "model", "messages"} == set(served.bodies[0])

    settings = {"max_tokens_key": "max_completion_tokens", "temperature": None, "extra_body": {"reasoning_effort": "low"}}
    _, served = _corrected(lambda *_: chat("Hi"), PLAIN[:1], **settings)
    assert {"max_completion_tokens", "model", "messages", "reasoning_effort"} == set(served.bodies[0])

    with pytest.raises(ValueError, match="ocrray sets it itself"):
        HttpConfig(engine="http", base_url="http://x/v1", model="m", extra_body={"stream": True})


def test_correct_parameters_user_and_headers_are_sent(monkeypatch):
    """With each request, from the address, the environment or both."""
    monkeypatch.setenv("GATE_KEY", "gate-secret\n")
    with serving(lambda *_: chat("Hi")) as served:
        url = served.url
        served.url = url.replace("http://", "http://me:pass%40word@") + "?api-version=2024-06-01&key=abc"
        _corrector(served, headers={"X-Gate": "${GATE_KEY}"}).correct(PLAIN[:1])

    assert served.paths == ["/v1/chat/completions?api-version=2024-06-01&key=abc"]
    assert served.headers[0]["authorization"] == "Basic bWU6cGFzc0B3b3Jk"
    assert served.headers[0]["x-gate"] == "gate-secret"


def test_throttle_spreads_requests_and_tokens_over_the_minute():
    """Six requests at 6,000 a minute take 50 ms; tokens count as well, and a pause holds all back."""
    closing = threading.Event()

    def spent_s(throttle, tokens=0):
        begun = time.monotonic()
        for _ in range(6):
            throttle.wait(tokens, closing)
        return time.monotonic() - begun

    assert 0.05 <= spent_s(Throttle(6_000, None)) < 0.5
    assert 0.05 <= spent_s(Throttle(None, 60_000), tokens=10) < 0.5
    paused = Throttle(None, None)
    paused.pause(0.1)
    assert spent_s(paused) >= 0.1


def test_check_odd_key_is_named_by_its_variable_and_never_shown(monkeypatch):
    """A key of two lines, an unset variable, and a key written where its variable belongs."""
    monkeypatch.setenv("MYKEY", "sk-SECRET\nSECRET")
    for name in ("MYKEY", "sk-SECRETSECRETSECRET", "SECRETabc0123456789SECRETabc0123"):
        config = HttpConfig(engine="http", base_url="http://u:SECRET@/v1?key=SECRET", model="m", api_key_env=name)
        with pytest.raises(ConfigError) as caught:
            config.check("correct")
        assert "SECRET" not in str(caught.value)
        assert "correct.base_url" in str(caught.value)
        assert "correct.api_key_env" in str(caught.value)
