"""One process at a time holds an output in an object store (moto's server stands in for S3)."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from ocrray.errors import OcrrayError
from ocrray.storage import Location
from ocrray.storage.lease import HeldError, Lease, held

HOLD = """
import sys, time
from ocrray.storage import Location
from ocrray.storage.lease import HeldError, held
try:
    with held(Location.at(sys.argv[1]), heartbeat_s=0.5):
        print("holding", flush=True)
        sys.stdin.read()
except HeldError as error:
    print("refused", error, flush=True)
"""


def holder(output: str) -> "subprocess.Popen[str]":
    """Start a process that holds `output` until its standard input ends."""
    command = [sys.executable, "-c", HOLD, output]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ))


def said(process: "subprocess.Popen[str]") -> str:
    """The next line that the process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def lease_keys(client: Any) -> list[str]:
    """The keys of all leases on `out`, held or asked for."""
    keys = [item["Key"] for item in client.list_objects_v2(Bucket="archive", Prefix="out/_lease/").get("Contents", [])]
    return [key for key in keys if not key.endswith("/")]


def elsewhere(client: Any) -> None:
    """Let the holder seem to run on another machine, where its process cannot be looked up."""
    (key,) = (key for key in lease_keys(client) if key.endswith(".holding"))
    owner = json.loads(client.get_object(Bucket="archive", Key=key)["Body"].read())
    body = json.dumps({**owner, "machine": "another", "host": "node-7"}).encode()
    client.put_object(Bucket="archive", Key=key, Body=body)


def test_lease_of_a_live_process_is_refused_and_ends_with_it(archive: tuple[Any, str]):
    """The refusal names the process; once it has ended, nothing is left of it."""
    client, options = archive
    with holder(f"s3://archive/out{options}") as process:
        assert said(process) == "holding"
        with pytest.raises(HeldError, match=f"process {process.pid} on "), held(Location.at(f"s3://archive/out{options}")):
            pass
        process.communicate("")
    with held(Location.at(f"s3://archive/out{options}")):
        pass
    assert lease_keys(client) == []


def test_lease_of_a_killed_process_on_this_machine_is_taken_over_at_once(archive: tuple[Any, str]):
    """Its process id says that it is dead: the same command can be given again immediately."""
    output = f"s3://archive/out{archive[1]}"
    with holder(output) as process:
        assert said(process) == "holding"
        process.kill()
        begun = time.monotonic()
        with held(Location.at(output)):
            assert time.monotonic() - begun < 10


def test_lease_of_a_process_elsewhere_is_taken_over_when_it_gives_no_sign_of_life(archive: tuple[Any, str]):
    """A dead one is waited for until it is stale, by the store's clock, and then removed."""
    client, options = archive
    with holder(f"s3://archive/out{options}") as process:
        assert said(process) == "holding"
        process.kill()
        process.wait()
    elsewhere(client)
    begun = time.monotonic()
    with held(Location.at(f"s3://archive/out{options}"), stale_s=4):
        assert 3 < time.monotonic() - begun < 20


def test_lease_of_a_live_process_elsewhere_is_refused_after_its_next_sign_of_life(archive: tuple[Any, str]):
    """Nobody waits until it would be stale: a process that is seen to live is told at once."""
    client, options = archive
    output = Location.at(f"s3://archive/out{options}")
    ended = threading.Event()
    Lease(output).acquire()
    elsewhere(client)

    def keep() -> None:
        while not ended.wait(1):
            elsewhere(client)

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        with pytest.raises(HeldError, match="node-7"), held(output, stale_s=30):
            pass
    finally:
        ended.set()
        thread.join()


def test_lease_that_several_ask_for_at_once_is_held_by_one(archive: tuple[Any, str]):
    """Neither by two nor by none of them."""
    output = f"s3://archive/out{archive[1]}"
    processes = [holder(output) for _ in range(4)]
    answers = [said(process).partition(" ")[0] for process in processes]
    for process in processes:
        process.communicate("")
    assert sorted(answers) == ["holding", "refused", "refused", "refused"]


def test_lease_that_was_taken_over_interrupts_the_run(archive: tuple[Any, str]):
    """A process that was suspended for longer than the lease lasts writes no more when it wakes up."""
    client, options = archive
    with holder(f"s3://archive/out{options}") as process:
        assert said(process) == "holding"
        process.send_signal(signal.SIGSTOP)
        elsewhere(client)
        with held(Location.at(f"s3://archive/out{options}"), stale_s=3):
            process.send_signal(signal.SIGCONT)
            assert process.wait(30) != 0
        assert said(process) == ""


def test_lease_taken_over_meanwhile_is_told_with_its_new_owner(archive: tuple[Any, str]):
    """The run ends with one line that says who writes there now."""
    client, options = archive
    output = Location.at(f"s3://archive/out{options}")

    def take_over() -> None:
        time.sleep(0.5)
        for key in lease_keys(client):
            client.delete_object(Bucket="archive", Key=key)
        Lease(output).acquire()

    thread = threading.Thread(target=take_over)
    thread.start()
    with pytest.raises(OcrrayError, match=f"taken over by process {os.getpid()}"), held(output, heartbeat_s=2):
        time.sleep(30)
    thread.join()


def test_evaluate_into_an_output_that_another_run_holds_is_refused(archive: tuple[Any, str], tmp_path: Path):
    """In one line, with exit code 2; the same command succeeds when the other has ended."""
    (tmp_path / "pairs.jsonl").write_text('{"ocr": "tbe", "fixed": "the", "gt": "the"}\n')
    columns = {"raw_column": "ocr", "corrected_column": "fixed", "ground_truth_column": "gt"}
    output = f"s3://archive/out{archive[1]}"
    config = {"input": {"paths": [str(tmp_path / "pairs.jsonl")], **columns}, "output": {"path": output}}
    (tmp_path / "evaluate.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "ocrray", "evaluate", str(tmp_path / "evaluate.yaml")]

    with holder(output) as process:
        assert said(process) == "holding"
        beside = subprocess.run(command, capture_output=True, text=True, check=False)
        process.communicate("")

    assert beside.returncode == 2
    assert len(beside.stderr.splitlines()) == 2
    assert f"process {process.pid} on " in beside.stderr
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
