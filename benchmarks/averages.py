"""Compare the three averages of CER reduction for each corrector whose outputs a file holds.

    python benchmarks/averages.py ../shared/data/llm_outputs/bln600.jsonl

Rows hold `ocr`, `gt`, `doc` and `outputs`, a mapping of corrector to text. Intervals (95 %) come from resampling documents.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from ocrray.evaluation.bootstrap import BootstrapConfig
from ocrray.evaluation.counts import count
from ocrray.evaluation.metrics import summands
from ocrray.evaluation.normalisation import Normalisation
from ocrray.evaluation.results import metrics_with_intervals

REDUCTIONS = ("micro_cer_reduction", "macro_cer_reduction", "mean_relative_cer_reduction")
SHARES = ("made_worse_frac", "broke_clean_frac")


def main() -> None:
    """Print a Markdown table, and how much of all errors the worst records hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("outputs", type=Path)
    rows = [json.loads(line) for line in parser.parse_args().outputs.read_text(encoding="utf-8").splitlines()]
    units = np.unique([row["doc"] for row in rows], return_inverse=True)[1]
    raw, truth = [row["ocr"] for row in rows], [row["gt"] for row in rows]
    print(
        "| corrector | micro | macro (ratio of mean CERs) | mean of ratios | made worse | broke clean | errors in the ten worst |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in rows[0]["outputs"]:
        counts = count(raw, [row["outputs"][name] for row in rows], truth, Normalisation())
        metrics = metrics_with_intervals(summands(counts), units, BootstrapConfig())
        cells = []
        for reduction in REDUCTIONS:
            interval = metrics[reduction].interval
            cells.append(f"{metrics[reduction].value:+.1%} ({interval.low:+.0%} … {interval.high:+.0%})")
        cells += [f"{metrics[share].value:.1%}" for share in SHARES]
        worst = np.sort(counts["corrected_distance"])[::-1]
        cells.append(f"{worst[:10].sum() / worst.sum():.0%}")
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"\n{len(rows)} records of {units.max() + 1} documents, {sum(map(len, truth)):,} characters of truth.")


if __name__ == "__main__":
    main()
