"""Choose how sure a tagger must be before it edits: the least threshold that does no harm to held-out pages.

`python -m ocrray.training.threshold FOLDER --pairs heldout.jsonl` writes it into the folder's config.json. The pages are read
as they were recognized, and again as they were printed: clean text, which must come back as it went in.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from ocrray.engines.tagger import THRESHOLD_KEY, Tagger, TaggerConfig
from ocrray.text.metrics import CerTotals, cer_totals, distances
from ocrray.text.normalise import for_scoring
from ocrray.text.passages import split
from ocrray.training.clean import straighten
from ocrray.training.tagger import read_pairs

THRESHOLDS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
MAX_BROKE_CLEAN = 0.01
MAX_MADE_WORSE = 0.04


def measure(tagger: Tagger, pairs: Sequence[tuple[str, str]]) -> CerTotals:
    """Totals over (truth, read) pairs; a text too long for the model is corrected in passages."""
    parts = [split(read, tagger.fits) for _, read in pairs]
    corrections = iter(tagger.correct([part for text in parts for part in text]))
    outputs = ["".join(next(corrections).text or "" for _ in text) for text in parts]
    truth = [clean for clean, _ in pairs]
    raw = distances([read for _, read in pairs], truth)
    return cer_totals([len(for_scoring(text)) for text in truth], raw, distances(outputs, truth))


def main() -> None:
    parser = argparse.ArgumentParser(description="Choose a tagger's threshold on held-out pages.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=Path, required=True, help="JSONL with gt and ocr that the tagger was not trained on")
    args = parser.parse_args()
    pages = [(straighten(clean), straighten(read)) for clean, read in read_pairs(args.pairs)]
    clean = [(passage, passage) for page, _ in pages for passage in split(page, lambda text: len(text) <= 256)]
    chosen = 1.0
    for threshold in sorted(THRESHOLDS, reverse=True):
        tagger = Tagger(TaggerConfig(engine="tagger", model=str(args.folder), threshold=threshold))
        noisy, unharmed = measure(tagger, pages), measure(tagger, clean)
        print(
            f"threshold {threshold}: CER {100 * noisy.micro_raw_cer:.2f} % -> {100 * noisy.micro_corrected_cer:.2f} %, "
            f"made worse {100 * noisy.made_worse_frac:.1f} %, broke clean {100 * unharmed.broke_clean_frac:.1f} %",
            flush=True,
        )
        if unharmed.broke_clean_frac > MAX_BROKE_CLEAN or noisy.made_worse_frac > MAX_MADE_WORSE:
            break
        chosen = threshold
    path = args.folder / "config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**settings, THRESHOLD_KEY: chosen}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{THRESHOLD_KEY}: {chosen}")


if __name__ == "__main__":
    main()
