"""Pages per second of the Tesseract engine, beside pytesseract and beside Tesseract's own limit.

    python benchmarks/recognize.py [--pages 24] [--rounds 3] [--workers 2] [--folder ../shared/data/pages]

Every system reads the same files with the same language data, `--workers` pages at a time, one OpenMP thread a page:
- engine: one process a worker, with one `ocrray.engines.tesseract.Tesseract` each; lines and words with boxes and confidences
- pytesseract image_to_data: the same information, by one `tesseract` program a page
- pytesseract image_to_string: text only, likewise
- raw threads: one tesserocr API a thread of this process, file to `GetUTF8Text`; text only: the limit
Workers are started and language data is loaded before the clock runs (pytesseract's program loads it for every page). The systems
take turns; medians and ranges over the rounds are printed. Exit code 1 when the engine's CER is not that of Tesseract itself.
"""

import argparse
import json
import multiprocessing
import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.table import Table

from ocrray.engines.tesseract import Tesseract, TesseractConfig, tessdata_folder
from ocrray.text.metrics import distance
from ocrray.text.normalise import for_scoring

DEFAULT_FOLDER = Path(__file__).parents[1].parent / "shared" / "data" / "pages"
MAX_CER_DIFFERENCE = 0.001  # 0.1 point

worker = threading.local()  # what a worker, process or thread, keeps between pages


@dataclass
class System:
    """One way to read pages: its pool of workers, and the function from a file to its text that runs there."""

    name: str
    pool: Executor
    read: Callable[[str], str]
    round_s: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def run(self, paths: list[str]) -> None:
        """Read all pages, and note how long that took."""
        started = time.perf_counter()
        self.texts = list(self.pool.map(self.read, paths))
        self.round_s.append(time.perf_counter() - started)


def main() -> int:
    """Let the systems take turns, and print the table."""
    arguments = parsed()
    # For tesseract programs and raw threads; the engine sees to itself. Without it, Debian's use 3.5 times the CPU time.
    os.environ["OMP_THREAD_LIMIT"] = "1"
    pages = read_pages(arguments.folder, arguments.pages)
    paths = [page["path"] for page in pages]
    with systems(arguments.workers) as contenders:
        for system in contenders:
            list(system.pool.map(system.read, paths[: arguments.workers]))
        for round_number in range(arguments.rounds):
            for system in contenders if round_number % 2 == 0 else contenders[::-1]:
                system.run(paths)
                print(f"round {round_number + 1}: {system.name}, {system.round_s[-1]:.1f} s", file=sys.stderr, flush=True)
    cers = {system.name: cer(system.texts, pages) for system in contenders}
    report(contenders, cers, len(pages), arguments.workers)
    return int(abs(cers["engine"] - cers["raw threads"]) > MAX_CER_DIFFERENCE)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="holds pages.jsonl: image, gt")
    return parser.parse_args()


def read_pages(folder: Path, count: int) -> list[dict[str, str]]:
    """A random sample of the pages, the same in every run, with their ground truth."""
    lines = (folder / "pages.jsonl").read_text(encoding="utf-8").splitlines()
    pages = [json.loads(line) for line in random.Random(0).sample(lines, count)]
    return [{"path": str(folder / page["image"]), "gt": page["gt"]} for page in pages]


@contextmanager
def systems(workers: int) -> Iterator[list[System]]:
    """Return the systems to compare, the engine first, with their workers."""
    spawn = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        engines = stack.enter_context(ProcessPoolExecutor(workers, spawn, initializer=open_engine))
        programs = stack.enter_context(ThreadPoolExecutor(workers))  # their threads only wait for the program
        raw = stack.enter_context(ThreadPoolExecutor(workers, initializer=open_raw))
        yield [
            System("engine", engines, read_with_engine),
            System("pytesseract image_to_data", programs, read_as_data),
            System("pytesseract image_to_string", programs, read_as_string),
            System("raw threads", raw, read_raw),
        ]


def open_engine() -> None:
    worker.engine = Tesseract(TesseractConfig())


def read_with_engine(path: str) -> str:
    with Image.open(path) as image:
        return "\n".join(line.text for line in worker.engine.recognize(image))


def read_as_data(path: str) -> str:
    import pytesseract

    data = pytesseract.image_to_data(path, config=program_options(), output_type=pytesseract.Output.DICT)
    return " ".join(data["text"])


def read_as_string(path: str) -> str:
    import pytesseract

    return pytesseract.image_to_string(path, config=program_options())


def program_options() -> str:
    return f"--tessdata-dir {tessdata_folder(TesseractConfig())}"


def open_raw() -> None:
    import tesserocr

    worker.api = tesserocr.PyTessBaseAPI(path=f"{tessdata_folder(TesseractConfig())}/", lang="eng")


def read_raw(path: str) -> str:
    worker.api.SetImageFile(path)
    return worker.api.GetUTF8Text()


def cer(texts: list[str], pages: list[dict[str, str]]) -> float:
    """Micro CER, a fraction."""
    wrong = sum(distance(text, page["gt"]) for text, page in zip(texts, pages, strict=True))
    return wrong / sum(len(for_scoring(page["gt"])) for page in pages)


def report(contenders: list[System], cers: dict[str, float], pages: int, workers: int) -> None:
    engine_s = statistics.median(contenders[0].round_s)
    rounds = len(contenders[0].round_s)
    table = Table(title=f"{pages} pages, {workers} at a time, median of {rounds} rounds (slowest to fastest)")
    for heading in ("system", "pages/s", "range", "the engine is", "CER %"):
        table.add_column(heading, justify="left" if heading == "system" else "right")
    for system in contenders:
        median_s, spread = (
            statistics.median(system.round_s),
            f"{pages / max(system.round_s):.2f} to {pages / min(system.round_s):.2f}",
        )
        table.add_row(
            system.name, f"{pages / median_s:.2f}", spread, f"{median_s / engine_s:.2f} x", f"{100 * cers[system.name]:.3f}"
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    sys.exit(main())
