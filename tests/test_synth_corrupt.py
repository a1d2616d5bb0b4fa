"""`corrupt` of `synthesize`: prompts, answers that are no corruption, a real HTTP server, a small model, and the verb."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
import tiny_models
import transformers
import yaml

from ocrray.cli import main
from ocrray.corpus.pairs_card import read_manifest
from ocrray.engines.server.answers import Answer
from ocrray.errors import ConfigError, EngineError, Problems
from ocrray.storage import Location
from ocrray.synth.corrupt_config import CorruptHfConfig, CorruptHttpConfig
from ocrray.synth.corrupt_prompt import EXAMPLES, Example, make_prompt
from ocrray.synth.corrupted import Dropped, choose_text, corrupt, read_answer
from ocrray.text.metrics import distance
from ocrray.verbs.synthesize.plan import SynthesizeConfig, make_plan

TEXT = (
    "The magistrates then read the charge, and the prisoner declined to say anything further in the matter. He was remanded "
    "until Monday, bail being refused on account of the gravity of the offence with which he stands charged."
)
GOOD = TEXT.replace("the charge", "tbe cbarge").replace("prisoner", "prisouer").replace("Monday,", "Monday.")
SENTENCE = " It was a dark and stormy night, and the rain fell in torrents upon the city."


def http_config(url: str = "http://127.0.0.1:1/v1", **keys: Any) -> CorruptHttpConfig:
    return CorruptHttpConfig(**{"count": 4, "engine": "http", "base_url": url, "model": "big", "max_wait_s": 0.0, **keys})


def corrupted_by_rule(prompt: str) -> str:
    """What the servers of these tests answer: the text of the prompt with its `h` misread."""
    return re.search(r"Original:\n((?:(?!Original:).)*)\n\nCorrupted:\n\Z", prompt, re.DOTALL)[1].replace("h", "b")


@contextmanager
def server(answer: Callable[[int, str], tuple[int, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A real HTTP server that answers the n-th prompt with a status and a text, or a body; yields its address and requests."""
    seen: list[dict[str, Any]] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(seen)
                seen.append(body)
            status, text = answer(number, body["messages"][-1]["content"])
            choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            tree = {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 10}} if status == 200 else text
            data = json.dumps(tree).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}/v1", seen
    finally:
        running.shutdown()
        running.server_close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (GOOD, ""),
        (f"```text\n{GOOD}\n```", ""),
        (f'"{GOOD}"', ""),
        (f"<think>The user wants OCR errors.</think>\n\nCorrupted text:\n{GOOD}", ""),
        (f"**Corrupted:** {GOOD}", ""),
        (GOOD.replace(" ", "\n", 9), ""),  # set in lines
        (TEXT, "equal"),
        (TEXT.replace(" ", "  ") + "\n", "equal"),
        (f"Here is the corrupted text:\n\n{GOOD}", ""),
        (f"Sure! {GOOD}", "chatter"),
        (f"{GOOD}\n\nLet me know if you want more errors.", ""),
        (f"{GOOD}{SENTENCE}", "chatter"),
        (f"{SENTENCE} {GOOD}", "chatter"),
        (GOOD[:100] + SENTENCE + GOOD[100:], "chatter"),
        (GOOD[:150], "left_out"),
        (GOOD[60:], "left_out"),
        (GOOD[:70] + GOOD[130:], "left_out"),
        ("I'm sorry, but I can't help with that.", "chatter"),
        ("As an AI model, I cannot corrupt texts.", "chatter"),
        ("Les magistrats ont ensuite lu l'acte d'accusation, et le prisonnier a refusé de dire quoi que ce soit.", "too_far"),
        ("A short summary.", "too_far"),
        ("", "too_far"),
        (f"{GOOD} Let me know if you want more.", "chatter"),
        (f"{GOOD}\n```\n{GOOD[:20]}", "wrapping"),
    ],
)
def test_read_answer_keeps_corruptions_alone(answer: str, reason: str) -> None:
    """Wrappings are taken off; answers that are equal, another text, talk or half a text are dropped by name."""
    found = read_answer(TEXT, Answer(answer), http_config())
    if reason:
        assert isinstance(found, Dropped)
        assert found.reason == reason
        assert "was answered with" in found.message
    else:
        assert distance(found, GOOD) == 0


def test_read_answer_old_text_that_talks_is_no_chatter() -> None:
    """A text that itself begins like a model, stands in quotation marks or holds short lines of noise is left alone."""
    text = f'"Here is the man," said he. {TEXT}"'
    found = read_answer(text, Answer(text.replace("he", "be") + "\n.,' ;"), http_config())
    assert found == text.replace("he", "be") + "\n.,' ;"


def test_read_answer_without_text_is_dropped_for_its_reason() -> None:
    """What the server refused or cut off is counted as such, with its sentence."""
    found = read_answer(TEXT, Answer(None, "refused", "flagged by the content filter"), http_config())
    assert found == Dropped("refused", "flagged by the content filter")


def test_read_answer_limits_are_the_configs() -> None:
    """`max_cer` and `min_cer` are set by the user."""
    assert read_answer(TEXT, Answer(GOOD), http_config(max_cer=0.01)).reason == "too_far"
    assert read_answer(TEXT, Answer(GOOD), http_config(min_cer=0.1)).reason == "equal"


@pytest.mark.parametrize(
    "marked", ["see <b>here</b> now", "at https://example.org/a", "www.example.org", "a &amp; b", "[[Link]]", "me@example.org"]
)
def test_choose_text_avoids_markup_and_links(marked: str) -> None:
    """An excerpt beside them is taken; a passage full of them gives none, by name."""
    rng = np.random.default_rng(1)
    mixed = f"{TEXT} {marked} {TEXT}"
    found = choose_text(mixed, (100, 150), rng)
    assert isinstance(found, str)
    assert marked not in found
    assert 90 <= len(found) <= 150
    assert choose_text(f"{marked} " * 60, (250, 400), rng).reason == "markup"
    assert choose_text("Too short.", (250, 400), rng).reason == "too_short"


def test_make_prompt_shows_the_examples_and_the_text_once() -> None:
    """Three of the examples, in an order of its own for each text; braces in texts are left alone."""
    examples = [Example(f"text {n} {{text}}", f"tcxt {n} {{examples}}") for n in range(9)]
    prompts = [make_prompt("a {examples} b", http_config(), examples, np.random.default_rng(seed)) for seed in range(3)]
    assert len(set(prompts)) == 3
    for prompt in prompts:
        assert prompt.count("Original:") == prompt.count("Corrupted:") == 4
        assert prompt.endswith("Original:\na {examples} b\n\nCorrupted:\n")
    own = http_config(prompt="{examples}Now: {text}", examples_per_request=1)
    assert make_prompt("x", own, examples[:1], np.random.default_rng(1)) == (
        "Original:\ntext 0 {text}\n\nCorrupted:\ntcxt 0 {examples}\n\nNow: x"
    )
    assert all(0.02 < distance(one.text, one.corrupted) / len(one.text) < 0.1 for one in EXAMPLES)


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"prompt": "no place"}, "{text}"),
        ({"prompt": "{text}", "examples": {"paths": ["a.csv"]}}, "examples"),
        ({"min_cer": 0.5}, "min_cer"),
    ],
)
def test_corrupt_config_contradictions_are_refused(keys: dict[str, Any], named: str) -> None:
    """What could not work is said before anything is asked."""
    with pytest.raises(ValueError, match=named):
        http_config(**keys)


def test_corrupt_server_gives_pairs_in_order_with_tokens_and_temperature() -> None:
    """Requests that fail in passing are repeated, flagged texts are dropped, and each answer goes to its own text."""
    passages = [f"{number} {TEXT}" for number in range(6)]

    def answer(number: int, prompt: str) -> tuple[int, Any]:
        if number == 0:
            return 503, {"error": {"message": "loading"}}
        if "3 The magistrates" in prompt:
            return 400, {"error": {"message": "The prompt was flagged by the content filter", "code": "content_filter"}}
        return 200, corrupted_by_rule(prompt)

    with server(answer) as (url, seen):
        config = http_config(url, chars=(len(passages[0]), len(passages[0])), concurrency=2, max_wait_s=30.0)
        writer = config.open()
        rows = corrupt(passages, list(range(6)), config, EXAMPLES, writer)
        writer.close()

    assert [row.get("drop_reason") for row in rows] == [None, None, None, "refused", None, None]
    assert all(row["ocr"] == row["gt"].replace("h", "b") and row["gt"] in passages for row in rows if "gt" in row)
    assert (rows[0]["input_tokens"], rows[0]["output_tokens"]) == (100, 10)
    assert len(seen) == 7
    assert {body["temperature"] for body in seen} == {1.0}
    assert {body["max_tokens"] for body in seen} == {len(passages[0]) + 16}


def test_corrupt_server_is_asked_no_faster_than_said() -> None:
    """`requests_per_minute` holds for the whole run, whatever the concurrency."""
    with server(lambda _, prompt: (200, corrupted_by_rule(prompt))) as (url, _):
        config = http_config(url, chars=(100, 120), requests_per_minute=1200)
        writer, begun = config.open(), time.monotonic()
        corrupt([TEXT] * 6, list(range(6)), config, EXAMPLES, writer)
        writer.close()
    assert time.monotonic() - begun >= 5 * 60 / 1200


def test_corrupt_server_that_refuses_all_ends_the_run() -> None:
    """No credit is no fault of a text: the server's sentence, and nothing is counted as dropped."""
    with server(lambda *_: (402, {"error": {"message": "Insufficient credits"}})) as (url, _):
        config = http_config(url, chars=(100, 120))
        writer = config.open()
        with pytest.raises(EngineError, match="Insufficient credits"):
            corrupt([TEXT], [1], config, EXAMPLES, writer)
        writer.close()


def test_corrupt_loaded_model_is_sampled_by_the_seed_alone(tmp_path: Path) -> None:
    """A small model writes what it was made to write, whatever the batch; too long an answer is `unfinished`."""
    answer = "abcdefg6ijklmnopqrstuvwxyz"
    folder = tiny_models.save_writing(tmp_path / "model", after="\x1e", answer=answer)
    text = "abcdefghijklmnopqrstuvwxyz"
    base = {"count": 2, "engine": "hf", "model": str(folder), "prompt": "{examples}{text}\x1e", "device": "cpu", "chat": False}
    config = CorruptHfConfig(**base, chars=(26, 26), temperature=0.01)
    writer = config.open()
    rows = corrupt([text, text], [1, 2], config, (), writer)
    writer.close()
    assert [(row["gt"], row["ocr"]) for row in rows] == [(text, answer)] * 2
    assert rows[0]["output_tokens"] == len(answer) + 1
    hot = CorruptHfConfig(**base, chars=(26, 26), temperature=5.0, max_cer=1.0)
    writer = hot.open()
    together = corrupt([text, text], [1, 2], hot, (), writer)
    assert corrupt([text], [2], hot, (), writer) == together[1:] != together[:1]
    writer.close()
    short = CorruptHfConfig(**base, chars=(26, 26), temperature=0.01, max_output_tokens_per_char=0.1)
    writer = short.open()
    assert corrupt([text], [1], short, (), writer)[0]["drop_reason"] == "unfinished"
    writer.close()
    with pytest.raises(ConfigError, match=r"corrupt\.chat: .* has no chat template"):
        CorruptHfConfig(**{**base, "chat": True}).open()
    words = transformers.AutoTokenizer.from_pretrained(folder)
    words.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}\x1e"
    words.save_pretrained(folder)
    chat = CorruptHfConfig(**{**base, "chat": None, "prompt": "{examples}{text}"}, chars=(26, 26), temperature=0.01)
    writer = chat.open()
    assert [row["ocr"] for row in corrupt([text], [1], chat, (), writer)] == [answer]
    writer.close()


def test_corrupt_plan_ignores_how_the_server_is_asked_and_names_problems(tmp_path: Path) -> None:
    """A run is resumed at another pace and address; without `corrupt` the settings are those of versions that had none."""
    (tmp_path / "a.txt").write_text(TEXT * 20)

    def settings(corrupt: dict[str, Any] | None) -> dict[str, Any]:
        keys = {"input": {"paths": [str(tmp_path / "a.txt")]}, "output": {"path": str(tmp_path / "out")}, "corrupt": corrupt}
        config = SynthesizeConfig.model_validate(keys if corrupt else keys | {"noise": {"count": 3, "fit": {"paths": [pairs]}}})
        return make_plan(config, None, Problems(), dry_run=True).settings

    pairs = str(tmp_path / "pairs.jsonl")
    Path(pairs).write_text(json.dumps({"ocr": GOOD, "gt": TEXT}))
    base = {"count": 3, "engine": "http", "base_url": "http://127.0.0.1:1/v1", "model": "big"}
    assert settings(base) == settings(base | {"requests_per_minute": 5, "concurrency": 2, "base_url": "http://127.0.0.1:2/v1"})
    assert settings(base) != settings(base | {"model": "small"})
    assert settings(base) != settings(base | {"examples": {"paths": [pairs]}})
    assert "corrupt" not in settings(None)
    with pytest.raises(ConfigError, match=r"corrupt\.api_key_env: .*NO_SUCH_KEY"):
        settings(base | {"api_key_env": "NO_SUCH_KEY"})
    with pytest.raises(ConfigError, match=r"corrupt\.model"):
        settings({"count": 3, "engine": "hf", "model": str(tmp_path / "no_model")})


def test_corrupt_config_that_is_recorded_holds_no_secret(tmp_path: Path) -> None:
    """Address, headers and body may hold passwords and keys; manifest, card and plan are made of the config."""
    (tmp_path / "a.txt").write_text(TEXT * 20)
    corrupt = {
        "count": 3,
        "engine": "http",
        "base_url": "http://me:hunter2secret@127.0.0.1:1/v1?api-key=hunter2secret",
        "headers": {"X-Key": "hunter2secret"},
        "extra_body": {"api_key": "hunter2secret"},
        "model": "big",
    }
    keys = {"input": {"paths": [str(tmp_path / "a.txt")]}, "output": {"path": str(tmp_path / "out")}, "corrupt": corrupt}
    plan = make_plan(SynthesizeConfig.model_validate(keys), None, Problems(), dry_run=True)
    assert "hunter2" not in json.dumps([plan.resolved(), plan.settings, list(map(str, plan.rows()))])


@pytest.mark.usefixtures("on_cluster")
def test_corrupt_run_that_was_stopped_goes_on_and_has_every_row_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The credit ends in the middle; the next call asks for what is not written alone; card and manifest say what was dropped."""
    (tmp_path / "news.txt").write_text("\n\n".join(f"Number {n}. {TEXT}" for n in range(60)), encoding="utf-8")
    made, has_credit = tmp_path / "out" / "_made" / "corrupt", threading.Event()

    def answer(number: int, prompt: str) -> tuple[int, Any]:
        if number >= 22 and not has_credit.is_set():
            deadline = time.monotonic() + 60
            while not list(made.glob("part-*.parquet")) and time.monotonic() < deadline:
                time.sleep(0.05)
            return 402, {"error": {"message": "Insufficient credits"}}
        corrupted = corrupted_by_rule(prompt)
        return 200, f"Sure! {corrupted}" if number % 10 == 7 else corrupted

    with server(answer) as (url, seen):
        config = {
            "input": {"paths": [str(tmp_path / "news.txt")]},
            "corrupt": {"count": 40, "engine": "http", "base_url": url, "model": "big", "chars": [250, 400], "concurrency": 2},
            "output": {"path": str(tmp_path / "out")},
        }
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        assert main(["synthesize", str(tmp_path / "config.yaml")]) != 0
        assert "Insufficient credits" in capsys.readouterr().err
        first = len(seen)
        written = sum(pq.read_metadata(part).num_rows for part in made.glob("part-*.parquet"))
        has_credit.set()
        assert main(["synthesize", str(tmp_path / "config.yaml")]) == 0
        asked_again = len(seen) - first

    rows = pyarrow.dataset.dataset(tmp_path / "out" / "data").to_table().to_pylist()
    manifest = read_manifest(Location.at(tmp_path / "out"))
    ids = Counter(row["record_id"] for row in rows)
    assert max(ids.values()) == 1
    assert manifest.requested == {"corrupt": 40}
    assert len(rows) + manifest.dropped["chatter"] == 40
    assert 1 <= manifest.dropped["chatter"] <= 8
    assert written >= 1
    assert asked_again == 40 - written
    assert {row["kind"] for row in rows} == {"model"}
    assert all(row["ocr"] == row["gt"].replace("h", "b") and 0 < row["cer"] < 0.1 for row in rows)
    assert manifest.tokens == {"input_tokens": 4000, "output_tokens": 400}
    card = (tmp_path / "out" / "README.md").read_text()
    assert "language model big" in card
    assert "chatter" in card
    assert "4,000 tokens" in card
    assert "chatter" in capsys.readouterr().out
