"""A run of `engine: http` against a server that misbehaves: nothing secret is written or printed."""

from pathlib import Path

import pyarrow.dataset
import pytest
import yaml
from misbehaving_server import SECRET, SERVER_KEY, chat, error, serving

from ocrray.cli import main


@pytest.mark.usefixtures("on_cluster")
def test_restore_secrets_are_nowhere_in_what_a_run_writes_and_prints(tmp_path, monkeypatch, capfd):
    """The server repeats the key, for one text and at the end for all; the address, a header, the body and a proxy hold others.

    The run stops with exit code 2, is resumed with other keys of patience, and asks again what a passing fault left.
    """
    (variable,) = SERVER_KEY
    monkeypatch.setenv(variable, SERVER_KEY[variable])
    monkeypatch.setenv("https_proxy", f"http://me:{SECRET}-proxy@127.0.0.1:9")
    state = {"is_out_of_credit": True, "is_broken": True}

    def answer(text, _):
        if "page 1" in text:
            return 422, error(f"the key {SECRET}-key, the header {SECRET}-header and page 1 do not go together")
        if "page 2" in text and state["is_broken"]:
            return 500, error(f"boom {SECRET}-key")
        if "page 3" in text and state["is_out_of_credit"]:
            return 402, error(f"key {SECRET}-key: no credit")
        return chat(text.replace("tbe", "the"))

    (tmp_path / "in.txt").write_text("".join(f"tbe page {number}\n" for number in range(4)))
    output = tmp_path / "out"
    with serving(answer) as served:
        address = served.url.replace("http://", f"http://me:{SECRET}-password@") + f"?token={SECRET}-token"
        config = {
            "input": {"paths": [str(tmp_path / "in.txt")]},
            "recognize": None,
            "guard": None,
            "correct": {
                "engine": "http",
                "base_url": address,
                "model": "m",
                "api_key_env": variable,
                "headers": {"X-Gate": f"{SECRET}-header"},
                "extra_body": {"api_key": f"{SECRET}-body"},
                "concurrency": 1,
                "max_retries": 0,
            },
            "output": {"path": str(output)},
            "workers": {"rows_per_block": 1, "correct": 1},
        }
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(config))

        assert main(["restore", str(path)]) == 2
        shown = capfd.readouterr()
        assert "no credit" in shown.err
        state.update(is_out_of_credit=False, is_broken=False)
        assert main(["restore", str(path), "--set", "correct.timeout_s=60", "--set", f"correct.base_url={address}"]) == 0
    last = capfd.readouterr()

    rows = {row["raw_text"]: row for row in pyarrow.dataset.dataset(output / "data").to_table().to_pylist()}
    reasons = [rows[f"tbe page {number}"]["guard_reason"] for number in range(4)]
    assert reasons == [None, "http_422", None, None]
    assert "do not go together" in rows["tbe page 1"]["error"]
    assert rows["tbe page 2"]["corrected_text"] == "the page 2"
    for text in (shown.err, shown.out, last.err, last.out, str(rows)):
        assert SECRET not in text
    for file in filter(Path.is_file, output.rglob("*")):
        assert SECRET.encode() not in file.read_bytes(), file
    for file in Path("/tmp/ray/session_latest/logs").glob("worker-*"):
        assert SECRET.encode() not in file.read_bytes(), file
