"""Fit the guard's scorer: on corrections made from clean text, or on corrections of your own.

    python jobs/fit_guard.py OUT --language novels.txt.gz --texts eltec_en.jsonl.gz [--noise out/ocr_pairs/noise.json]
                             [--pages out/guard_pages]
    python jobs/fit_guard.py OUT --language corpus.txt --pairs corrections.jsonl

A pairs file has `ocr`, `corrected` and `gt` in every line. OUT becomes a folder that `guard: {scorer: OUT}` takes.
"""

import argparse
from pathlib import Path

from ocrray.training.guard.config import CorrectionsConfig, LabelledConfig, SyntheticConfig
from ocrray.training.guard.fit import fit_guard


def main() -> None:
    """Write the folder and print the size of the data."""
    parser = argparse.ArgumentParser(description="Fit the guard's scorer.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--language", type=Path, nargs="+", required=True)
    parser.add_argument("--texts", type=Path, nargs="+", default=[])
    parser.add_argument("--noise", type=Path, help="a noise model that `ocrray synthesize` fitted; without it the general one")
    parser.add_argument("--pages", type=Path, nargs="+", default=[], help="folders of `ocrray synthesize` with pages")
    parser.add_argument("--pairs", type=Path, nargs="+", default=[])
    parser.add_argument("--records", type=int, default=15_000, help="made from --texts, for simulated correctors")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if not args.texts and not args.pairs:
        parser.error("nothing to fit on: give --texts or --pairs")
    synthetic = (
        SyntheticConfig(texts=args.texts, noise=args.noise, pages=args.pages, records=args.records) if args.texts else None
    )
    labelled = LabelledConfig(paths=args.pairs) if args.pairs else None
    fitted = fit_guard(
        CorrectionsConfig(language=args.language, synthetic=synthetic, labelled=labelled, seed=args.seed), args.out
    )
    print(f"{fitted.records} records, {fitted.spans} spans, of which {fitted.worse_frac:.1%} make the text worse")


if __name__ == "__main__":
    main()
