"""Secrets stay out of everything that is shown or recorded."""

import pytest

from ocrray.cli import main
from ocrray.engines.http import HttpConfig
from ocrray.redaction import hide, hide_values, spellings

SECRET = "SEKRIT0815"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"http://me:{SECRET}@host/v1", "http://***@host/v1"),
        (f"proxy http://{SECRET}@host:3128 refuses", "proxy http://***@host:3128 refuses"),
        (f"https://host/v1?api_key={SECRET}&api-version=2024-06-01", "https://host/v1?api_key=***&api-version=2024-06-01"),
        (f"Illegal header value b'Bearer {SECRET}\\n'", "Illegal header value b'Bearer ***\\n'"),
        (f"Incorrect API key provided: sk-{SECRET}.", "Incorrect API key provided: ***."),
        ("nothing secret: a@b.example, 5 tokens? yes = no", "nothing secret: a@b.example, 5 tokens? yes = no"),
    ],
)
def test_hide_takes_secrets_out_of_a_sentence(text, shown):
    """By their places in URLs and headers, and by their look."""
    assert hide(text) == shown


def test_hide_takes_out_all_spellings_of_known_secrets():
    """Of two lines, escaped in a URL, or in basic authentication."""
    secrets = spellings("first@part\nsecond")

    assert hide("a first@part b second c first%40part", secrets) == "a *** b *** c ***"
    assert hide("Zmlyc3RAcGFydA==", secrets) == "***=="


def test_hide_values_of_keys_that_name_secrets():
    """At any depth; limits of tokens are no secrets."""
    tree = {
        "api_key": SECRET,
        "deep": [{"authToken": SECRET}],
        "max_tokens": 5,
        "stop_tokens": "x",
        "url": f"http://u:{SECRET}@h",
    }

    assert hide_values(tree) == {
        "api_key": "***",
        "deep": [{"authToken": "***"}],
        "max_tokens": 5,
        "stop_tokens": "x",
        "url": "http://***@h",
    }


def test_dump_of_a_server_config_holds_no_secret():
    """Manifest, report, `_run.json` and the fingerprint are made of it."""
    config = HttpConfig(
        engine="http",
        base_url=f"http://me:{SECRET}@host/v1?key={SECRET}",
        model="m",
        headers={"X-Gate": SECRET},
        extra_body={"api_key": SECRET, "nested": {"token": SECRET}},
    )

    assert SECRET not in str(config.model_dump(mode="json"))
    assert SECRET not in config.model_dump_json()
    assert SECRET in config.base_url


def test_secrets_of_a_server_config_are_all_that_are_sent(monkeypatch):
    """Key, password, parameters, headers, body, and the password of a proxy."""
    monkeypatch.setenv("MY_KEY", "key-one\n")
    monkeypatch.setenv("GATE", "gate-two")
    monkeypatch.setenv("https_proxy", "http://me:proxy-three@proxy:3128")
    config = HttpConfig(
        engine="http",
        base_url="http://me:pass%40four@host/v1?api-version=2024-06-01&token=token-five",
        model="m",
        api_key_env="MY_KEY",
        headers={"X-Gate": "${GATE}"},
        extra_body={"api_key": "body-six", "mode": "harmless"},
    )

    told = "key-one gate-two proxy-three pass@four pass%40four token-five body-six harmless 2024-06-01"
    assert hide(told, config.secrets()) == "*** *** *** *** *** *** *** harmless 2024-06-01"


@pytest.mark.parametrize(
    "override",
    [
        f"correct.base_url=ftp://me:{SECRET}@host",
        f"correct.base_url=http://me:{SECRET}@/v1",
        f"correct.base_url=http://me:{SECRET}@host:port/v1",
        f"correct.api_key_env=sk-{SECRET}",
        f"correct.api_key_env={SECRET * 3}",
        f"correct.base_url.x=http://me:{SECRET}@host",
        f'correct.headers={{X-Gate: "{SECRET}\\n"}}',
        f"correct.no_such_key=http://me:{SECRET}@host",
        f"http://me:{SECRET}@host",
    ],
)
def test_restore_config_that_cannot_run_is_refused_without_its_secrets(override, tmp_path, capfd):
    """Whatever is wrong, in a dry run and before a run."""
    (tmp_path / "t.jsonl").write_text('{"text": "tbe"}\n')
    path = tmp_path / "run.yaml"
    path.write_text(
        f"input: {{paths: [{tmp_path}/t.jsonl], kind: table}}\nrecognize: null\nguard: null\n"
        f"correct: {{engine: http, base_url: 'http://me:{SECRET}@127.0.0.1:9/v1', model: m}}\noutput: {{path: {tmp_path}/out}}\n"
    )

    assert main(["restore", str(path), "--set", override, "--dry-run"]) == 2
    shown = capfd.readouterr()
    assert shown.err
    assert SECRET not in shown.err + shown.out
    assert main(["restore", str(path), "--dry-run"]) == 0
    shown = capfd.readouterr()
    assert SECRET not in shown.err + shown.out
