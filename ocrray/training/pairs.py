"""Pairs of clean text and what Tesseract reads: passages set in period type, degraded as scans are, recognized again.

`python -m ocrray.training.pairs TEXT... --out pairs.jsonl --pages 600`
"""

import argparse
import json
import os
from multiprocessing import Pool
from pathlib import Path

import numpy as np

from ocrray.engines.tesseract import TesseractConfig, tessdata_folder
from ocrray.errors import RecordError
from ocrray.synth.degrade import degrade
from ocrray.synth.render import fonts, render_page
from ocrray.training.clean import read_passages


def make_pair(passage: str, seed: int) -> dict[str, object] | None:
    """One page's `ocr` and `gt`, lines ended by line feeds; None where the font lacks a character of the passage."""
    from tesserocr import PSM, PyTessBaseAPI

    rng = np.random.default_rng(seed)
    start = int(rng.integers(max(1, len(passage) - 900)))
    text = passage[passage.find(" ", start) + 1 :][: int(rng.integers(400, 1200))].replace("\n", "\n\n")
    choices = fonts()
    font_size_px = int(rng.integers(22, 40))
    severity = float(rng.beta(1.5, 1.5))
    try:
        page = render_page(
            text,
            font_path=choices[int(rng.integers(len(choices)))],
            font_size_px=font_size_px,
            width_px=int(font_size_px * rng.uniform(16, 34)),
            rng=rng,
            hyphenate=bool(rng.random() < 0.6),
        )
    except RecordError:
        return None
    image = degrade(page.image, severity=severity, rng=rng)
    tessdata = str(tessdata_folder(TesseractConfig()))
    with PyTessBaseAPI(path=tessdata, lang="eng", psm=PSM.SINGLE_BLOCK) as engine:
        engine.SetImage(image)
        engine.SetSourceResolution(300)
        lines = [line.strip() for line in engine.GetUTF8Text().splitlines()]
    return {"ocr": "\n".join(filter(None, lines)), "gt": "\n".join(page.lines), "severity": round(severity, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Make pairs of clean text and what Tesseract reads of it.")
    parser.add_argument("text", type=Path, nargs="+", help="plain text or JSONL with a text key, gzipped or not")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pages", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    os.environ["OMP_THREAD_LIMIT"] = "1"
    passages = read_passages(args.text)
    chosen = np.random.default_rng(args.seed).integers(len(passages), size=args.pages)
    jobs = [(passages[index], args.seed * 1_000_000 + number) for number, index in enumerate(chosen)]
    with Pool(2) as pool, args.out.open("w", encoding="utf-8") as out:
        for number, pair in enumerate(pool.starmap(make_pair, jobs, chunksize=1)):
            if pair:
                out.write(json.dumps({"id": f"page-{number}", **pair}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
