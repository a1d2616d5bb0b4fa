"""Worker on Ray Data that makes labelled images: blocks of _work_list/<set> -> MakeImages -> _made/<set>."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from ocrray.corpus.image_sets import MADE_SCHEMA, record_number
from ocrray.errors import ConfigError, RecordError
from ocrray.runtime.blocks import reporting_errors
from ocrray.runtime.monitor import MonitorHandle
from ocrray.runtime.synthesis import record_seed
from ocrray.stages.base import attempt
from ocrray.synth.image_set import ImageSetConfig


class MakeImages:
    """Worker process: makes one image of each row of the work list."""

    def __init__(self, config: ImageSetConfig, font_names: Sequence[str], seed: int, monitor: MonitorHandle) -> None:
        self.config, self.seed, self.monitor = config, seed, monitor
        with reporting_errors(monitor):
            self.fonts = [path for path in config.font_files() if path.name in font_names]
            if len(self.fonts) < len(font_names):
                raise ConfigError(f"not every machine has the same fonts installed ({', '.join(font_names)})")

    def __call__(self, work: pa.Table) -> pa.Table:
        with reporting_errors(self.monitor):
            rows = [self._make(row) for row in work.to_pylist()]
        dropped = sum(bool(row.get("drop_reason")) for row in rows)
        self.monitor.finish.remote({"made": len(rows) - dropped, "dropped": dropped}, [])
        return pa.Table.from_pylist(rows, schema=MADE_SCHEMA)

    def _make(self, row: dict[str, Any]) -> dict[str, Any]:
        record_id = row["record_id"]
        seed = record_seed(self.seed, record_id)
        # Images that measure a reader are as difficult as those at the end.
        progress = min(1.0, record_number(record_id) / self.config.count) if row["part"] == "train" else 1.0
        make = partial(self.config.make_at, progress, row["text"], self.fonts, np.random.default_rng(seed))
        made = attempt(make, record_id)
        origin = {"record_id": record_id, "part": row["part"], "source": row["source"], "seed": seed}
        if isinstance(made, RecordError):
            return {**origin, "drop_reason": made.kind, "drop_message": str(made)}
        suffix, data = made.encoded()
        image = {"bytes": data, "path": record_id + suffix}
        return {**origin, "image": image, "text": made.text, "kind": made.kind, "font": made.font, "severity": made.severity}
