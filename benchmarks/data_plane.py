"""Records per second and peak memory of `restore` with a corrector that changes nothing, beside what a user would write instead.

    python benchmarks/data_plane.py [--records 1000000] [--rounds 3]

The same Parquet table of OCR lines with ground truth goes through (ours) `ocrray restore`, from reading to manifest, card and
report; (a) a plain Ray Data script: `read_parquet().map(row function).write_parquet()`; (b) a loop over pyarrow batches in one
process. (a) and (b) do the same work per row with the same functions and write the same columns; they list, check, resume and
report nothing.
Every run is a process of its own, Ray's start included; the order alternates; medians and ranges are printed.
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
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from ocrray.records import SCHEMA, edits_to_rows
from ocrray.text.edits import edits_between
from ocrray.text.metrics import distance
from ocrray.text.normalise import for_scoring, sanitise

WORDS = (
    "the",
    "of",
    "and",
    "to",
    "in",
    "a",
    "that",
    "was",
    "his",
    "he",
    "with",
    "which",
    "from",
    "were",
    "parliament",
    "yesterday",
)


def main() -> None:
    """Run every system in turn, and print the table."""
    arguments = parsed()
    if arguments.worker:
        {"plain_ray": plain_ray, "pyarrow": pyarrow_loop}[arguments.worker](arguments.input, arguments.output)
        return
    folder = Path(tempfile.mkdtemp(prefix="ocrray-data-plane-"))
    try:
        small = write_input(folder / "small.parquet", arguments.records // 10)
        large = write_input(folder / "large.parquet", arguments.records)
        results: dict[str, list[tuple[float, float]]] = {}
        for round_number in range(arguments.rounds):
            runs = [
                ("ours", large),
                ("plain_ray", large),
                ("pyarrow", large),
                ("ours, a tenth", small),
                ("plain_ray, a tenth", small),
            ]
            for name, table in runs if round_number % 2 == 0 else reversed(runs):
                results.setdefault(name, []).append(measured(command(name.split(",")[0], table, folder / "out")))
                shutil.rmtree(folder / "out", ignore_errors=True)
                print(f"{name}: {results[name][-1][0]:.1f} s, {results[name][-1][1]:.0f} MiB", file=sys.stderr, flush=True)
        report(results, arguments.records)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", choices=["plain_ray", "pyarrow"], help=argparse.SUPPRESS)
    parser.add_argument("--input", help=argparse.SUPPRESS)
    parser.add_argument("--output", help=argparse.SUPPRESS)
    return parser.parse_args()


def write_input(path: Path, records: int) -> Path:
    """Lines of ten to fourteen words, one character in twenty wrong, with their truth."""
    rng = np.random.default_rng(0)
    truths, texts = [], []
    for _ in range(records):
        truth = " ".join(WORDS[i] for i in rng.integers(len(WORDS), size=rng.integers(10, 15)))
        letters = list(truth)
        for position in rng.integers(len(letters), size=len(letters) // 20):
            letters[position] = "tbcli1"[rng.integers(6)]
        truths.append(truth)
        texts.append("".join(letters))
    table = pa.table({"id": [f"line-{i:08d}" for i in range(records)], "ocr": texts, "gt": truths})
    pq.write_table(table, path, row_group_size=100_000)
    return path


def command(name: str, table: Path, output: Path) -> list[str]:
    if name != "ours":
        return [sys.executable, __file__, "--worker", name, "--input", str(table), "--output", str(output)]
    config = output.with_suffix(".yaml")
    columns = {"id_column": "id", "text_column": "ocr", "ground_truth_column": "gt"}
    settings = {
        "input": {"kind": "table", "paths": [str(table)], **columns},
        "recognize": None,
        "correct": {"engine": "fake"},
        "output": {"path": str(output)},
    }
    config.write_text(json.dumps(settings))
    return [sys.executable, "-m", "ocrray", "restore", str(config)]


def measured(arguments: list[str]) -> tuple[float, float]:
    """Seconds, and the highest sum of proportional memory (PSS, MiB) of the process and all its descendants."""
    started = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peak_bytes = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak_bytes
        root = psutil.Process(process.pid)
        while not done.wait(0.5):
            peak_bytes = max(peak_bytes, sum(pss_bytes(child) for child in tree(root)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, errors = process.communicate()
    done.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{errors.decode()[-2000:]}")
    return time.perf_counter() - started, peak_bytes / 2**20


def tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def pss_bytes(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
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


def plain_ray(table: str, output: str) -> None:
    """(a)"""
    import ray

    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    ray.data.read_parquet(table).map(restored_row).write_parquet(output)


def pyarrow_loop(table: str, output: str) -> None:
    """(b)"""
    Path(output).mkdir()
    with pq.ParquetWriter(f"{output}/part.parquet", SCHEMA) as writer:
        for batch in pq.ParquetFile(table).iter_batches(10_000):
            writer.write_table(pa.Table.from_pylist([restored_row(row) for row in batch.to_pylist()], schema=SCHEMA))


def report(results: dict[str, list[tuple[float, float]]], records: int) -> None:
    seconds = {name: statistics.median(elapsed for elapsed, _ in runs) for name, runs in results.items()}
    memory = {name: statistics.median(mib for _, mib in runs) for name, runs in results.items()}
    print(f"{records:,} records, {len(results['ours'])} rounds, {psutil.cpu_count()} cores, {time.strftime('%Y-%m-%d')}\n")
    print(f"{'system':<20}{'records/s':>12}{'range':>18}{'peak MiB':>10}{'ours is':>10}")
    for name, runs in results.items():
        count = records // 10 if "tenth" in name else records
        rates = sorted(count / elapsed for elapsed, _ in runs)
        spread = f"{rates[0]:,.0f}-{rates[-1]:,.0f}"
        ratio = f"{seconds[name] / seconds['ours']:.2f} x" if count == records else ""
        print(f"{name:<20}{count / seconds[name]:>12,.0f}{spread:>18}{memory[name]:>10,.0f}{ratio:>10}")
    # What the last nine tenths took: start-up, which is the same for both sizes, falls out.
    ours, theirs = (seconds[name] - seconds[f"{name}, a tenth"] for name in ("ours", "plain_ray"))
    rates = f"ours {0.9 * records / ours:,.0f}, plain_ray {0.9 * records / theirs:,.0f} records/s"
    print(f"\nwithout start-up: {rates}, {theirs / ours:.2f} x")
    print(f"peak memory of ours, all records against a tenth: {memory['ours'] / memory['ours, a tenth']:.2f} x")


if __name__ == "__main__":
    main()
