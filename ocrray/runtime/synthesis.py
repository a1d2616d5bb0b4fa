"""Pairs on Ray Data: a work list of passages through a pool of workers that each make one pair a row.

blocks of _work_list/pages   -> MakePages     -> _made/pages
blocks of _work_list/noise   -> MakeNoise     -> _made/noise
blocks of _work_list/corrupt -> MakeCorrupted -> _made/corrupt
                                (actor pool)
"""

import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from PIL import Image

from ocrray.corpus.blocks import Block, write_block
from ocrray.corpus.pairs import MADE_SCHEMA
from ocrray.errors import ConfigError, RecordError
from ocrray.records import Line
from ocrray.runtime import blocks
from ocrray.runtime.blocks import reporting_errors
from ocrray.runtime.monitor import MonitorHandle
from ocrray.stages.base import attempt
from ocrray.storage import Location
from ocrray.synth.config import NoiseConfig, PagesConfig
from ocrray.synth.corrupt_config import CorruptHfConfig, CorruptHttpConfig
from ocrray.synth.corrupt_prompt import Example
from ocrray.synth.corrupted import corrupt
from ocrray.synth.noise import NoiseModel
from ocrray.synth.noisy import make_noisy
from ocrray.synth.pages import ScannedPair, make_page, typefaces
from ocrray.text.metrics import distances
from ocrray.text.normalise import for_scoring

STATUSES = ("made", "dropped")
_IMAGES_A_FOLDER = 1000


def run_phase(
    name: str,
    worker: type[Any],
    arguments: tuple[Any, ...],
    output: Location,
    work: Sequence[Block],
    monitor: MonitorHandle,
    **pool: Any,
) -> None:
    """Make the pairs of these blocks of `output`'s work list `name`; `pool` as for `blocks.map_in_pool`."""
    ray.get(monitor.begin_phase.remote())
    rows = blocks.read_blocks(output.child("_work_list").child(name), work, monitor)
    rows = blocks.map_in_pool(rows, worker, (*arguments, monitor), **pool)
    made = output.child("_made").child(name)
    made.filesystem.create_dir(made.path)
    for _ in blocks.write_blocks(rows, blocks.Chain(()), partial(write_block, made), monitor):
        pass


class MakePages:
    """Worker process with a recognizer: makes one scanned pair of each passage."""

    def __init__(
        self,
        config: PagesConfig,
        font_names: Sequence[str],
        seed: int,
        output: Location,
        monitor: MonitorHandle,
    ) -> None:
        self.config, self.seed, self.output, self.monitor = config, seed, output, monitor
        with reporting_errors(monitor):
            self.fonts = [path for path in typefaces(config) if path.name in font_names]
            if len(self.fonts) < len(font_names):
                raise ConfigError(f"pages.script: not every machine has the same fonts installed ({', '.join(font_names)})")
            self.recognizer = config.recognizer[1].open()
            if config.keep_images:
                output.filesystem.create_dir(output.child("images").path)

    def __call__(self, work: pa.Table) -> pa.Table:
        with reporting_errors(self.monitor):
            return _made(work, self.seed, self._make, self.monitor)

    def _make(self, record_id: str, passage: str, rng: np.random.Generator) -> dict[str, Any]:
        outcome = attempt(partial(make_page, passage, self.config, self.fonts, rng, self._recognize), record_id)
        if isinstance(outcome, RecordError):
            return {"kind": "page", "drop_reason": outcome.kind, "drop_message": str(outcome)}
        image = self._keep(record_id, outcome) if self.config.keep_images else None
        texts = {"ocr": outcome.ocr, "gt": outcome.gt}
        details = {"severity": outcome.severity, "font": outcome.font, "word_confidences": outcome.word_confidences}
        return {"kind": "page", **texts, **details, "image": image}

    def _recognize(self, image: Image.Image) -> Sequence[Line]:
        """Return the lines of an image; raises its RecordError where it has none."""
        (read,) = self.recognizer.recognize_pages([image])
        if isinstance(read, RecordError):
            raise read
        if read.problem:
            raise read.problem
        return read.lines or ()

    def _keep(self, record_id: str, pair: ScannedPair) -> str:
        folder = f"images/{int(record_id.rpartition('-')[2]) // _IMAGES_A_FOLDER:06d}"
        _write_png(pair.image, self.output.child(folder), f"{record_id}.png")
        return f"{folder}/{record_id}.png"


class MakeNoise:
    """Worker process with the noise model: makes one noisy pair of each passage."""

    def __init__(self, config: NoiseConfig, model: NoiseModel, seed: int, monitor: MonitorHandle) -> None:
        self.config, self.model, self.seed, self.monitor = config, model, seed, monitor

    def __call__(self, work: pa.Table) -> pa.Table:
        return _made(work, self.seed, self._make, self.monitor)

    def _make(self, _: str, passage: str, rng: np.random.Generator) -> dict[str, Any]:
        ocr, gt, with_errors = make_noisy(passage, self.config, self.model, rng)
        return {"kind": "noise" if with_errors else "clean", "ocr": ocr, "gt": gt}


class MakeCorrupted:
    """Worker process with a language model: has it corrupt an excerpt of each passage; several threads may call it at once."""

    def __init__(
        self, config: CorruptHttpConfig | CorruptHfConfig, examples: Sequence[Example], seed: int, monitor: MonitorHandle
    ) -> None:
        self.config, self.examples, self.seed, self.monitor = config, examples, seed, monitor
        with reporting_errors(monitor):
            self.writer = config.open()

    def __call__(self, work: pa.Table) -> pa.Table:
        with reporting_errors(self.monitor):
            rows = work.to_pylist()
            seeds = [record_seed(self.seed, row["record_id"]) for row in rows]
            made = corrupt([row["text"] for row in rows], seeds, self.config, self.examples, self.writer)
            found = [
                {"record_id": row["record_id"], "source": row["source"], "seed": seed, "kind": "model", **values}
                for row, seed, values in zip(rows, seeds, made, strict=True)
            ]
            return _as_table(found, self.monitor)


def record_seed(seed: int, record_id: str) -> int:
    """Return the seed (63 bits) of one record of a run with this `seed`, independent of worker and order."""
    return int.from_bytes(hashlib.blake2b(f"{seed} {record_id}".encode(), digest_size=8).digest()) >> 1


def _made(
    work: pa.Table,
    seed: int,
    make: Callable[[str, str, np.random.Generator], dict[str, Any]],
    monitor: MonitorHandle,
) -> pa.Table:
    rows = []
    for row in work.to_pylist():
        own_seed = record_seed(seed, row["record_id"])
        made = make(row["record_id"], row["text"], np.random.default_rng(own_seed))
        rows.append({"record_id": row["record_id"], "source": row["source"], "seed": own_seed, **made})
    return _as_table(rows, monitor)


def _as_table(rows: Sequence[dict[str, Any]], monitor: MonitorHandle) -> pa.Table:
    """Return the rows with the character error rates of pairs, and tell the monitor their numbers."""
    pairs = [row for row in rows if not row.get("drop_reason")]
    for row, cer in zip(pairs, _cers(pairs), strict=True):
        row["cer"] = cer
    monitor.finish.remote({"made": len(pairs), "dropped": len(rows) - len(pairs)}, [])
    return pa.Table.from_pylist(rows, schema=MADE_SCHEMA)


def _cers(pairs: Sequence[dict[str, Any]]) -> Iterable[float]:
    truths = [row["gt"] for row in pairs]
    wrong = distances([row["ocr"] for row in pairs], truths)
    return [int(count) / max(1, len(for_scoring(text))) for count, text in zip(wrong, truths, strict=True)]


def _write_png(image: Image.Image, folder: Location, name: str) -> None:
    data = io.BytesIO()
    image.save(data, "PNG", dpi=(300, 300))
    folder.write_bytes(name, data.getvalue())
