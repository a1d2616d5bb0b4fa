"""Time to go on: a run is killed half-way, then started again; a finished run is started once more.

    python benchmarks/resume.py [--records 2000000] [--s3-latency-ms MS] [--scratch FOLDER]

Tables of 1,000,000 OCR lines go through `ocrray restore` with a corrector that changes nothing. All processes of the run are
killed with SIGKILL when half of the records are committed. Printed: seconds from the second start to its first new data file
and to its end, whether every id is there once, and seconds of a third start, which finds a finished run. With `--s3-latency-ms`
the output lies in an S3 server (moto, in this process) that waits so long before each answer after the kill.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pyarrow.compute as pc
import pyarrow.dataset as ds
from data_plane import write_input

from ocrray.corpus.blocks import read_index
from ocrray.storage import Location

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from faulty_s3 import KEYS, Fault, FaultyS3

RECORDS_PER_TABLE = 1_000_000
FINISHED_ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=2_000_000)
    parser.add_argument("--s3-latency-ms", type=float, help="put the output into an S3 server with this latency")
    parser.add_argument("--scratch", help="folder for inputs and outputs, 1 GB a million records")
    arguments = parser.parse_args()
    print(f"{psutil.cpu_count()} cores, {time.strftime('%Y-%m-%d')}, load {os.getloadavg()[0]:.1f}")
    os.environ.update(KEYS)
    folder = Path(tempfile.mkdtemp(prefix="ocrray-resume-", dir=arguments.scratch))
    server = FaultyS3() if arguments.s3_latency_ms is not None else None
    try:
        output = server.uri(f"{server.bucket}/out") if server else str(folder / "out")
        measure(write_config(folder, arguments.records, output), Location.at(output), server, arguments.s3_latency_ms)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_config(folder: Path, records: int, output: str) -> Path:
    table = write_input(folder / "lines-000.parquet", min(records, RECORDS_PER_TABLE))
    for number in range(1, records // RECORDS_PER_TABLE):
        os.link(table, folder / f"lines-{number:03}.parquet")
    columns = {"text_column": "ocr", "ground_truth_column": "gt"}  # ids come from file and row
    settings = {
        "input": {"kind": "table", "paths": [f"{folder}/lines-*.parquet"], **columns},
        "recognize": None,
        "correct": {"engine": "fake"},
        "output": {"path": output},
    }
    config = folder / "config.yaml"
    config.write_text(json.dumps(settings))
    return config


def measure(config: Path, output: Location, server: FaultyS3 | None, latency_ms: float | None) -> None:
    command = [sys.executable, "-m", "ocrray", "restore", str(config)]
    first = start(command)
    wait_for_files(first, output, 1)
    blocks = len(read_index(output.child("_work_list")) or ())
    wait_for_files(first, output, blocks // 2)
    kill(first)
    if server:
        server.fault = Fault(match="", latency_s=(latency_ms or 0) / 1000)  # fails nothing, but waits
    done = len(names(output))
    began = time.perf_counter()
    second = start(command)
    wait_for_files(second, output, done + 1)
    print(f"killed with {done} of {blocks} blocks; first new data file after {time.perf_counter() - began:.1f} s", flush=True)
    ended(second)
    print(f"end after {time.perf_counter() - began:.1f} s")
    for _ in range(FINISHED_ROUNDS):
        began = time.perf_counter()
        ended(start(command))
        print(f"finished run: {time.perf_counter() - began:.2f} s")
    if server:
        server.fault = None
    data = output.child("data")
    ids = ds.dataset(data.path, filesystem=data.filesystem).to_table(columns=["record_id"])["record_id"]
    print(f"{len(ids):,} rows, {pc.count_distinct(ids).as_py():,} ids")


def start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def ended(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"exit {process.returncode}:\n{errors.decode()[-2000:]}")


def kill(process: subprocess.Popen[bytes]) -> None:
    for each in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        each.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(3)  # until Ray's processes are gone


def wait_for_files(process: subprocess.Popen[bytes], output: Location, count: int) -> None:
    while len(names(output)) < count:
        if process.poll() is not None:
            ended(process)
            raise SystemExit("the run ended before it could be killed: use more records")
        time.sleep(0.05 if output.is_local else 0.5)


def names(output: Location) -> list[str]:
    return [info.base_name for info in output.child("data").files(".parquet")]


if __name__ == "__main__":
    main()
