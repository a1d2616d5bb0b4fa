"""Cost of `restore` beside its engines: core seconds and memory for tables of short lines, and the same work written by hand.

    python benchmarks/data_plane.py [--records 1000000 4000000 16000000] [--rounds 1] [--peers-up-to 1000000]

Parquet tables of OCR lines with ground truth go through (ours) `ocrray restore` with a corrector that changes nothing, from the
reading to manifest, card and report; (no corrector) the same without one; (plain_ray) a plain Ray Data script:
`read_parquet().map(row function).write_parquet()`; (pyarrow) a loop over pyarrow batches in one process. The last two do the same
work per row with the same functions and write the same columns; they list, check, resume and report nothing.
Every run is a process of its own, Ray's start included; the order alternates; medians are printed.
"""

import argparse
import hashlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from ocrray.corpus.blocks import write_block
from ocrray.corpus.summary import Summary
from ocrray.engines.fake import FakeConfig
from ocrray.guard import GuardConfig
from ocrray.records import SCHEMA, WORK_LIST_SCHEMA, edits_to_rows
from ocrray.sources.input import InputConfig
from ocrray.stages.correct import Correct
from ocrray.stages.guard import Guard
from ocrray.stages.load import Load
from ocrray.stages.score import Score
from ocrray.stages.tables import to_corpus_schema
from ocrray.storage import Location
from ocrray.text.edits import edits_between
from ocrray.text.metrics import distance
from ocrray.text.normalise import for_scoring, sanitise

WORDS = (
    *("the", "of", "and", "to", "in", "a", "that", "was", "his", "he", "with", "which", "from", "were"),
    *("parliament", "yesterday"),
)
DISTINCT_LINES = 100_000
BLOCK_ROWS = 1 << 15
MIB = 2**20
_AFTER_S = 0.1  # from the end of the last phase to that of the process


@dataclass
class Run:
    """One process that was measured; `cpu_s` is that of all its descendants too, at moments after its start."""

    elapsed_s: float
    peak_mib: float
    driver_mib: float
    cpu_s: list[tuple[float, float]]
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def total_cpu_s(self) -> float:
        return self.cpu_s[-1][1]

    def phases(self) -> Iterator[tuple[str, float, float]]:
        """Yield each phase of a restore, last first, with its seconds, and the core seconds that all processes used in them."""
        moments, cpu = np.array(self.cpu_s).T
        end = self.elapsed_s - _AFTER_S
        for name, seconds in reversed(self.timings.items()):
            used = np.interp([end - seconds, end], moments, cpu)
            yield name, seconds, float(used[1] - used[0])
            end -= seconds


def main() -> None:
    arguments = parsed()
    if arguments.worker:
        {"plain_ray": plain_ray, "pyarrow": pyarrow_loop}[arguments.worker](arguments.input, arguments.output)
        return
    print(f"{psutil.cpu_count()} cores, {time.strftime('%Y-%m-%d')}, {arguments.rounds} rounds\n")
    folder = Path(tempfile.mkdtemp(prefix="ocrray-data-plane-", dir=arguments.scratch))
    driver_mib: dict[int, float] = {}
    try:
        report_stages(Location.at(folder))
        for records in arguments.records:
            results = measure_all(folder, records, arguments.rounds, with_peers=records <= arguments.peers_up_to)
            report(results, records)
            driver_mib[records] = statistics.median(run.driver_mib for run in results["ours"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    least, most = min(driver_mib), max(driver_mib)
    print(f"driver's peak memory, {most:,} records against {least:,}: {driver_mib[most] / driver_mib[least]:.2f} x")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, nargs="+", default=[1_000_000, 4_000_000, 16_000_000])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--peers-up-to", type=int, default=1_000_000, help="most records that the other systems get")
    parser.add_argument("--scratch", help="folder for inputs and outputs, 1 GB a million records")
    parser.add_argument("--worker", choices=["plain_ray", "pyarrow"], help=argparse.SUPPRESS)
    parser.add_argument("--input", help=argparse.SUPPRESS)
    parser.add_argument("--output", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure_all(folder: Path, records: int, rounds: int, *, with_peers: bool) -> dict[str, list[Run]]:
    table = write_input(folder / "input.parquet", records)
    systems = ["ours", *(["no corrector", "plain_ray", "pyarrow"] if with_peers else [])]
    results: dict[str, list[Run]] = {name: [] for name in systems}
    for round_number in range(rounds):
        for name in systems if round_number % 2 == 0 else reversed(systems):
            run = measured(command(name, table, folder / "out"))
            manifest = folder / "out" / "manifest.json"
            if manifest.exists():
                run.timings = json.loads(manifest.read_text())["timings"]
            results[name].append(run)
            shutil.rmtree(folder / "out", ignore_errors=True)
            print(f"{records:,} {name}: {run.elapsed_s:.1f} s, driver {run.driver_mib:.0f} MiB", file=sys.stderr, flush=True)
    return results


def lines(count: int) -> tuple[list[str], list[str]]:
    """Return lines of ten to fourteen words, one character in twenty wrong, and their truths."""
    rng = np.random.default_rng(0)
    truths, texts = [], []
    for _ in range(count):
        truth = " ".join(WORDS[i] for i in rng.integers(len(WORDS), size=rng.integers(10, 15)))
        letters = list(truth)
        for position in rng.integers(len(letters), size=len(letters) // 20):
            letters[position] = "tbcli1"[rng.integers(6)]
        truths.append(truth)
        texts.append("".join(letters))
    return texts, truths


def write_input(path: Path, records: int) -> Path:
    """Write a table of lines with unique ids; the texts repeat after DISTINCT_LINES."""
    texts, truths = lines(min(records, DISTINCT_LINES))
    table = pa.table({"ocr": texts, "gt": truths})
    with pq.ParquetWriter(path, pa.schema([("id", pa.string()), *table.schema])) as writer:
        for start in range(0, records, DISTINCT_LINES):
            rows = table.slice(0, records - start)
            ids = pa.array([f"line-{i:09d}" for i in range(start, start + len(rows))])
            writer.write_table(rows.add_column(0, "id", ids))
    return path


def command(name: str, table: Path, output: Path) -> list[str]:
    if name in ("plain_ray", "pyarrow"):
        return [sys.executable, __file__, "--worker", name, "--input", str(table), "--output", str(output)]
    config = output.with_suffix(".yaml")
    columns = {"id_column": "id", "text_column": "ocr", "ground_truth_column": "gt"}
    settings = {
        "input": {"kind": "table", "paths": [str(table)], **columns},
        "recognize": None,
        "correct": {"engine": "fake"} if name == "ours" else None,
        "output": {"path": str(output)},
    }
    config.write_text(json.dumps(settings))
    return [sys.executable, "-m", "ocrray", "restore", str(config)]


def measured(arguments: list[str]) -> Run:
    """Run a process, and sample its core seconds and proportional memory (PSS) with those of its descendants."""
    started = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    samples = [(0.0, 0.0)]
    peaks = {"tree": 0, "driver": 0}
    used: dict[int, float] = {}
    done = threading.Event()

    def watch() -> None:
        root = psutil.Process(process.pid)
        for number in range(1_000_000):
            processes = tree(root)
            used.update({each.pid: seconds for each in processes if (seconds := cpu_seconds(each)) is not None})
            samples.append((time.perf_counter() - started, sum(used.values())))
            if number % 4 == 0:  # reading PSS takes milliseconds of a core
                peaks["driver"] = max(peaks["driver"], pss_bytes(root))
            if number % 16 == 0:
                peaks["tree"] = max(peaks["tree"], sum(map(pss_bytes, processes)))
            if done.wait(0.25):
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, errors = process.communicate()
    elapsed_s = time.perf_counter() - started
    done.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{errors.decode()[-2000:]}")
    return Run(elapsed_s, peaks["tree"] / MIB, peaks["driver"] / MIB, samples)


def tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_seconds(process: psutil.Process) -> float | None:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system)


def pss_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def restored_row(row: dict[str, str]) -> dict[str, object]:
    """Return the columns that `restore` writes for one line, computed as a script without ocrray would."""
    raw = sanitise(row["ocr"])
    corrected = raw
    return {
        **dict.fromkeys(SCHEMA.names),
        "record_id": row["id"],
        "status": "unchanged" if corrected == raw else "corrected",
        "raw_text": raw,
        "corrected_text": corrected,
        "ground_truth": row["gt"],
        "edits": edits_to_rows(edits_between(raw, corrected)),
        "content_hash": hashlib.sha256(raw.encode()).hexdigest(),
        "source_kind": "table",
        "corrector": "fake",
        "ground_truth_chars": len(for_scoring(row["gt"])),
        "raw_distance": distance(raw, row["gt"]),
        "corrected_distance": distance(corrected, row["gt"]),
    }


def row_function(texts: list[str], truths: list[str]) -> None:
    """Compute for each row what no restoration can do without, and build no row."""
    for raw, truth in zip(texts, truths, strict=True):
        text = sanitise(raw)
        edits_between(text, text)
        hashlib.sha256(text.encode()).hexdigest()
        len(for_scoring(truth))
        distance(text, truth)
        distance(text, truth)


def plain_ray(table: str, output: str) -> None:
    import ray

    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    ray.data.read_parquet(table).map(restored_row).write_parquet(output)


def pyarrow_loop(table: str, output: str) -> None:
    Path(output).mkdir()
    with pq.ParquetWriter(f"{output}/part.parquet", SCHEMA) as writer:
        for batch in pq.ParquetFile(table).iter_batches(10_000):
            writer.write_table(pa.Table.from_pylist([restored_row(row) for row in batch.to_pylist()], schema=SCHEMA))


def report_stages(folder: Location) -> None:
    """Print the core time of each step of a block, called in this process without Ray; its file goes into `folder`."""
    texts, truths = lines(BLOCK_ROWS)
    rows = {
        **dict.fromkeys(WORK_LIST_SCHEMA.names),
        "record_id": [f"line-{i:09d}" for i in range(BLOCK_ROWS)],
        "uri": ["/data/input.parquet"] * BLOCK_ROWS,
        "kind": ["table"] * BLOCK_ROWS,
        "page": list(range(BLOCK_ROWS)),
        "text": texts,
        "ground_truth": truths,
    }
    work = pa.table({column.name: pa.array(rows[column.name] or [None] * BLOCK_ROWS, column.type) for column in WORK_LIST_SCHEMA})
    config = InputConfig(kind="table", paths=["unused"])
    stages: dict[str, Callable[[pa.Table], pa.Table]] = {
        "load": Load(config),
        "correct (no change)": Correct(FakeConfig(engine="fake").open()),
        "guard": Guard(GuardConfig()),
        "score": Score(),
        "to the corpus's schema": to_corpus_schema,
    }
    spent_us: dict[str, float] = {}

    def timed(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        began = time.process_time()
        result = function(*arguments)
        spent = (time.process_time() - began) / BLOCK_ROWS * 1e6
        spent_us[name] = min(spent, spent_us.get(name, spent))
        return result

    for _ in range(7):
        table = work
        for name, stage in stages.items():
            table = timed(name, stage, table)
        timed("statistics", lambda rows: Summary.of_block("part-000000.parquet", rows).to_json(), table)
        timed("write", write_block, folder, 0, table)
        timed("the row function alone", row_function, texts, truths)
    alone = spent_us.pop("the row function alone")
    print(f"microseconds of one core a record, blocks of {BLOCK_ROWS:,} rows, called without Ray")
    for name, microseconds in spent_us.items():
        print(f"  {name:<26}{microseconds:>8.2f}")
    print(f"  {'together':<26}{sum(spent_us.values()):>8.2f}")
    print(f"  {'row function alone':<26}{alone:>8.2f}   (sanitise, edits_between, distance twice, sha256)\n")


def report(results: dict[str, list[Run]], records: int) -> None:
    ours = statistics.median(run.elapsed_s for run in results["ours"])
    print(f"{records:,} records")
    print(f"{'system':<16}{'records/s':>12}{'core µs a record':>18}{'peak MiB':>10}{'driver MiB':>12}{'ours is':>10}")
    for name, runs in results.items():
        elapsed, cpu, peak, driver = (
            statistics.median(getattr(run, key) for run in runs) for key in ("elapsed_s", "total_cpu_s", "peak_mib", "driver_mib")
        )
        ratio = f"{elapsed / ours:.2f} x"
        print(f"{name:<16}{records / elapsed:>12,.0f}{cpu / records * 1e6:>18.1f}{peak:>10,.0f}{driver:>12,.0f}{ratio:>10}")
    run = sorted(results["ours"], key=lambda run: run.elapsed_s)[len(results["ours"]) // 2]
    print(f"\n{'phase of ours':<16}{'wall s':>10}{'share':>10}{'core µs a record':>18}")
    for name, seconds, cpu_s in reversed(list(run.phases())):
        print(f"{name:<16}{seconds:>10.2f}{seconds / run.elapsed_s:>10.1%}{cpu_s / records * 1e6:>18.2f}")
    serial = sum(run.timings.get(name, 0.0) for name in ("plan", "report"))
    print(f"driver alone (plan, report): {serial / run.elapsed_s:.1%} of the wall time\n", flush=True)


if __name__ == "__main__":
    main()
