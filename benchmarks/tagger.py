"""What the edit tagger gains and breaks, by threshold: on pairs that it never learned from.

`python benchmarks/tagger.py [--model FOLDER] [--thresholds 0.5 0.7 0.9] [--records 500] [PAIRS.jsonl ...]`. A pairs file has
one JSON object a line with `ocr` and `gt`; without any, the development pairs in ../shared/data. CER is micro, case-sensitive,
after NFC and white-space collapse. Longer texts than the model takes are split as `restore` splits them.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from ocrray.engines.tagger import Tagger, TaggerConfig
from ocrray.text.metrics import CerTotals, cer_totals, distances
from ocrray.text.normalise import for_scoring
from ocrray.text.passages import split

PAIRS = Path(__file__).parents[2] / "shared" / "data" / "pairs"
SOURCES = ("bln600_train", "overproof_smh_articles", "icdar2017_en_*", "mibio_lines", "hipe2026_train_*_en")


def read_pairs(path: Path, records: int) -> list[tuple[str, str]]:
    """At most `records` (read, truth) pairs, taken evenly from the whole file."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    step = max(1, len(rows) // records)
    return [(row["ocr"], row["gt"]) for row in rows[::step][:records]]


def correct(tagger: Tagger, texts: Sequence[str]) -> tuple[list[str], float]:
    """Corrected texts, and the seconds that it took."""
    passages = [split(text, tagger.fits) for text in texts]
    started = time.perf_counter()
    corrections = iter(tagger.correct([passage for parts in passages for passage in parts]))
    outputs = ["".join(next(corrections).text or passage for passage in parts) for parts in passages]
    return outputs, time.perf_counter() - started


def measure(pairs: Sequence[tuple[str, str]], outputs: Sequence[str]) -> CerTotals:
    """Totals of one source: distances before and after, and what was broken."""
    truth = [gt for _, gt in pairs]
    return cer_totals(
        [len(for_scoring(text)) for text in truth], distances([ocr for ocr, _ in pairs], truth), distances(outputs, truth)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path, nargs="*")
    parser.add_argument("--model", default="default")
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.5, 0.7, 0.9])
    parser.add_argument("--records", type=int, default=500, help="of each file")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    files = args.pairs or sorted({path for name in SOURCES for path in PAIRS.glob(f"{name}.jsonl")})
    print("| source | threshold | raw CER % | CER % | micro CER reduction % | made worse % | broke clean % | chars/s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for file in files:
        pairs = read_pairs(file, args.records)
        chars = sum(len(ocr) for ocr, _ in pairs)
        for threshold in args.thresholds:
            tagger = Tagger(TaggerConfig(engine="tagger", model=args.model, threshold=threshold, passes=args.passes))
            outputs, seconds = correct(tagger, [ocr for ocr, _ in pairs])
            totals = measure(pairs, outputs)
            rates = (
                totals.micro_raw_cer,
                totals.micro_corrected_cer,
                totals.micro_cer_reduction,
                totals.made_worse_frac,
                totals.broke_clean_frac,
            )
            cells = " | ".join("–" if rate is None else f"{100 * rate:.2f}" for rate in rates)
            print(f"| {file.stem} ({len(pairs)}) | {threshold} | {cells} | {chars / seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
