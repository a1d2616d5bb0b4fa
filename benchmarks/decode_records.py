"""Data of benchmarks/decode.py, split into passages as by `restore`, and the speed of `restore` itself."""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds
import torch

from ocrray.decoding import Request
from ocrray.engines.hf import HfCorrector
from ocrray.evaluation.results import BUCKETS, raw_cer_buckets
from ocrray.text.metrics import distances
from ocrray.text.normalise import for_scoring, sanitise
from ocrray.text.passages import frame, split

PAIRS = Path(__file__).resolve().parents[2] / "shared" / "data" / "pairs"
SOURCES = ("bln600_train", "mibio_lines", "icdar2017_en_monograph", "overproof_smh_articles")
RESTORE_REPEATS = 4


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a record, and the CER bucket of the whole record."""

    text: str
    bucket: str
    request: Request


@dataclass(frozen=True, slots=True)
class Record:
    """One record's OCR text with its CER bucket."""

    text: str
    bucket: str


def read_records(paths: Sequence[Path], limit: int) -> list[Record]:
    """Return about `limit` records, equally many from each file, evenly spaced."""
    rows = []
    for path in paths:
        with path.open(encoding="utf-8") as lines:
            every = [json.loads(line) for line in lines]
        rows += every[:: -(-len(every) * len(paths) // limit)]
    texts, truths = ([sanitise(row[name]) for row in rows] for name in ("ocr", "gt"))
    lengths = np.array([len(for_scoring(truth)) for truth in truths])
    buckets = raw_cer_buckets({"raw_distance": distances(texts, truths), "truth_chars": lengths})
    return [Record(text, BUCKETS[bucket]) for text, bucket in zip(texts, buckets, strict=True)]


def cut(records: Iterable[Record], corrector: HfCorrector) -> list[Passage]:
    """Return the passages that the corrector would get from `restore`, with their requests."""
    pieces = [(frame(piece)[1], record.bucket) for record in records for piece in split(record.text, corrector.fits)]
    pieces = [(text, bucket) for text, bucket in pieces if text and corrector.fits(text)]
    requests = corrector.requests([text for text, _ in pieces])
    return [Passage(text, bucket, request) for (text, bucket), request in zip(pieces, requests, strict=True)]


def shared_prefix(prompts: Sequence[list[int]]) -> list[int]:
    """Return the tokens that all prompts begin with: the common prefix of the first and the last in sorted order."""
    pairs = zip(min(prompts), max(prompts), strict=False)
    return [token for token, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]


def restore_rate(records: Sequence[Record], correct: dict[str, Any], threads: int, temporary: Path) -> float:
    """Return characters per second of `ocrray restore`: the difference of one and several passes, which excludes start-up."""
    sizes, seconds, chars = (1, 1 + RESTORE_REPEATS), [], []
    for repeats in sizes:
        table, output, config = (temporary / f"{name}{repeats}" for name in ("table.jsonl", "out", "config.yaml"))
        table = table.with_suffix(".jsonl")
        rows = [{"id": f"{number}-{row}", "ocr": record.text} for number in range(repeats) for row, record in enumerate(records)]
        table.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        settings = {
            "input": {"kind": "table", "paths": [str(table)], "id_column": "id", "text_column": "ocr"},
            "recognize": None,
            "correct": correct,
            "guard": None,
            "output": {"path": str(output)},
            "workers": {"correct": 1, "correct_cpus": threads, "correct_gpus": int(torch.cuda.is_available())},
        }
        config.write_text(json.dumps(settings))
        done = subprocess.run([sys.executable, "-m", "ocrray", "restore", config], capture_output=True, text=True, check=False)
        pace = re.search(r"([\d,.]+)\s+s,\s+workers", done.stdout)
        if done.returncode or not pace:
            raise SystemExit(f"restore failed:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
        seconds.append(float(pace[1].replace(",", "")))
        texts = ds.dataset(output / "data", format="parquet").to_table(columns=["corrected_text"])["corrected_text"]
        chars.append(pc.sum(pc.utf8_length(texts)).as_py())
    return (chars[1] - chars[0]) / (seconds[1] - seconds[0])
