"""The three kinds of average of CER reduction, side by side, for each corrector whose outputs a file holds.

    python benchmarks/averages.py ../shared/data/llm_outputs/bln600.jsonl

Rows hold `ocr`, `gt`, `doc` and `outputs`, a mapping of corrector to text. Intervals (95 %) come from drawing documents anew.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from ocrray.evaluation.bootstrap import figures_of, totals
from ocrray.evaluation.counts import count
from ocrray.evaluation.figures import addends
from ocrray.evaluation.normalisation import Normalisation
from ocrray.evaluation.results import BootstrapConfig

REDUCTIONS = ("micro_cer_reduction", "macro_cer_reduction", "mean_relative_cer_reduction")
SHARES = ("made_worse_frac", "broke_clean_frac")


def main() -> None:
    """Print a Markdown table, and how much of all errors the worst records hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("outputs", type=Path)
    rows = [json.loads(line) for line in parser.parse_args().outputs.read_text(encoding="utf-8").splitlines()]
    units = np.unique([row["doc"] for row in rows], return_inverse=True)[1]
    raw, truth = [row["ocr"] for row in rows], [row["gt"] for row in rows]
    resampling = BootstrapConfig().over(units)
    print(
        "| corrector | micro | macro (ratio of mean CERs) | mean of ratios | made worse | broke clean | errors in the ten worst |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in rows[0]["outputs"]:
        counts = count(raw, [row["outputs"][name] for row in rows], truth, Normalisation())
        values = addends(counts)
        point, drawn = figures_of(totals(values)), figures_of(resampling.sums(values))
        cells = []
        for figure in REDUCTIONS:
            interval = resampling.interval(drawn[figure])
            cells.append(f"{point[figure]:+.1%} ({interval.low:+.0%} … {interval.high:+.0%})")
        cells += [f"{point[figure]:.1%}" for figure in SHARES]
        worst = np.sort(counts["corrected_distance"])[::-1]
        cells.append(f"{worst[:10].sum() / worst.sum():.0%}")
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"\n{len(rows)} records of {units.max() + 1} documents, {sum(map(len, truth)):,} characters of truth.")


if __name__ == "__main__":
    main()
