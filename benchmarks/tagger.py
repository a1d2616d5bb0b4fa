"""Measure errors removed and added by a corrector, by threshold, with and without the guard, on pairs it was not trained on.

    python benchmarks/tagger.py [--model FOLDER] [--thresholds 0.5 0.7 0.9] [--passes 2] [--limit 500] [PAIRS.jsonl ...]
    python benchmarks/tagger.py --engine hf --model FOLDER [--adapter FOLDER] [--prompt NAME]

A pairs file has one JSON object a line with `ocr` and `gt`; without any, the development pairs in ../shared/data. Records go
through the stages of `restore`: passages, corrector, guard, score. CER is micro, case-sensitive, after NFC and white-space
collapse; characters per second are those of the corrector stage, once per source, its first texts included.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import torch

from ocrray.engines.base import Corrector
from ocrray.engines.hf import HfConfig, HfCorrector
from ocrray.engines.tagger import Tagger, TaggerConfig, Tags
from ocrray.guard import GuardConfig
from ocrray.records import SCHEMA
from ocrray.stages.correct import Correct
from ocrray.stages.guard import Guard
from ocrray.stages.score import Score
from ocrray.stages.tables import add_run_columns
from ocrray.text.metrics import CerTotals, cer_totals
from ocrray.text.normalise import sanitise

PAIRS = Path(__file__).parents[2] / "shared" / "data" / "pairs"
SOURCES = (
    "bln600_train",
    "overproof_smh_articles",
    "icdar2017_en_monograph",
    "icdar2017_en_periodical",
    "mibio_lines",
    "hipe2026_train_icdar2017_en",
    "hipe2026_train_snippets_en",
)
COLUMNS = ("threshold", "guard", "raw CER %", "CER %", "micro CER reduction %", "made worse %", "broke clean %")


class RememberingTagger(Tagger):
    """A tagger that reads each text once: the tags of one forward pass serve every threshold."""

    def __init__(self, config: TaggerConfig) -> None:
        super().__init__(config)
        self._known: dict[str, Tags] = {}

    def tag(self, texts: Sequence[str]) -> list[Tags]:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known.update(zip(new, super().tag(new), strict=True))
        return [self._known[text] for text in texts]


def read_pairs(path: Path, limit: int) -> pa.Table:
    """At most `limit` records, taken evenly from the whole file, as `restore` holds them before the corrector."""
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    rows = rows[:: -(-len(rows) // limit)]
    columns = {"raw_text": [sanitise(row["ocr"]) for row in rows], "ground_truth": [sanitise(row["gt"]) for row in rows]}
    columns["record_id"] = [str(number) for number in range(len(rows))]
    empty = SCHEMA.empty_table().to_pydict()
    return add_run_columns(pa.table({name: columns.get(name, [None] * len(rows)) for name in empty}, schema=SCHEMA))


def measure(table: pa.Table, guard: GuardConfig | None) -> CerTotals:
    """Return the rows of the corpus after `guard` has judged the proposals in `table`."""
    scored = Score()(Guard(guard)(table))
    return cer_totals(*(scored[name].to_pylist() for name in ("ground_truth_chars", "raw_distance", "corrected_distance")))


def table_rows(name: str, table: pa.Table, corrector: Corrector, thresholds: Sequence[float | None]) -> Iterator[str]:
    """Return the Markdown rows of one source; the first one has the characters per second."""
    speed = None
    for threshold in thresholds:
        if threshold is not None:
            corrector.threshold = threshold
        started = time.perf_counter()
        proposed = Correct(corrector)(table)
        seconds = time.perf_counter() - started
        speed = pc.sum(pc.utf8_length(table["raw_text"])).as_py() / seconds if speed is None else ""
        for guard in (None, GuardConfig()):
            totals = measure(proposed, guard)
            rates = (
                totals.micro_raw_cer,
                totals.micro_corrected_cer,
                totals.micro_cer_reduction,
                totals.made_worse_frac,
                totals.broke_clean_frac,
            )
            cells = ["–" if threshold is None else f"{threshold:.2f}", "on" if guard else "off"]
            cells += ["–" if rate is None else f"{100 * rate:.2f}" for rate in rates]
            shown = f"{speed:,.0f}" if speed else ""
            speed = ""
            yield " | ".join(["", name, str(totals.records), *cells, shown, ""]).strip()


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path, nargs="*")
    parser.add_argument("--engine", choices=("tagger", "hf"), default="tagger")
    parser.add_argument("--model", default="default")
    parser.add_argument("--adapter", help="hf: a PEFT adapter")
    parser.add_argument("--prompt", help="hf: the name of a prompt, or a template; the default model knows its own")
    parser.add_argument("--thresholds", type=float, nargs="+", help="tagger: without it, the folder's own")
    parser.add_argument("--passes", type=int, default=1, help="tagger")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--limit", type=int, default=500, help="records of each source")
    parser.add_argument("--threads", type=int, default=1, help="restore gives each worker one")
    return parser.parse_args()


def main() -> None:
    """Print the table, row by row."""
    args = parsed()
    torch.set_num_threads(args.threads)
    if args.engine == "tagger":
        corrector = RememberingTagger(TaggerConfig(engine="tagger", model=args.model, passes=args.passes, dtype=args.dtype))
        thresholds = args.thresholds or [corrector.threshold]
    else:
        config = HfConfig(engine="hf", model=args.model, adapter=args.adapter, prompt=args.prompt, dtype=args.dtype)
        corrector, thresholds = HfCorrector(config), [None]
    print(f"`{corrector.info}`\n")
    print(" | ".join(["", "source", "n", *COLUMNS, "characters/s", ""]).strip())
    print("| --- " * (len(COLUMNS) + 3) + "|", flush=True)
    for path in args.pairs or [PAIRS / f"{name}.jsonl" for name in SOURCES]:
        for row in table_rows(path.stem, read_pairs(path, args.limit), corrector, thresholds):
            print(row, flush=True)


if __name__ == "__main__":
    main()
