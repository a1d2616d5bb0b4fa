"""Fit the guard's scorer: on misread clean text, corrected by careless models and by those that ship, or on real corrections.

    python jobs/fit_guard.py OUT --language novels.txt.gz --texts eltec_en.jsonl.gz [--noise out/ocr_pairs/noise.json]
    python jobs/fit_guard.py OUT --language corpus.txt --pairs corrections.jsonl

`--language` is clean text from which n-grams and words are counted; `--texts` other clean text, in which errors are made by the
noise model and then corrected, well and badly (the two must not be the same, or every true word would be a known one). A pairs
file has `ocr`, `corrected` and `gt` in every line. OUT becomes a folder that `guard: {scorer: OUT}` takes.
"""

import argparse
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ocrray.engines.correctors import open_corrector
from ocrray.engines.hf import HfConfig
from ocrray.engines.tagger import TaggerConfig
from ocrray.guard.learning import Corrected
from ocrray.synth.clean import passages
from ocrray.synth.corrections import carelessly_corrected, misread
from ocrray.synth.noise import NoiseModel
from ocrray.training.guard import corrected_by, fit

# Each shipped corrector, and the tagger less sure than it ships, for more of its mistakes; shares of --records.
SHIPPED = (
    (TaggerConfig(engine="tagger"), 0.1),
    (TaggerConfig(engine="tagger", threshold=0.5), 0.1),
    (TaggerConfig(engine="tagger", threshold=0.3), 0.1),
    (HfConfig(engine="hf"), 0.15),
)


def read_texts(path: Path) -> Iterator[tuple[str, str]]:
    """(source, text) of a text file, or of the `text` of every line of a JSONL file; gzipped or not."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        if ".jsonl" in path.name:
            yield from ((path.name, json.loads(line)["text"]) for line in file)
        else:
            yield path.name, file.read()


def made_up(paths: list[Path], noise: NoiseModel, records: int, rng: np.random.Generator) -> Iterator[Corrected]:
    """Misread pieces of these texts: `records` corrected by careless models, and more by those that ship."""
    texts = [passage.text for passage in passages(text for path in paths for text in read_texts(path))]
    yield from (Corrected(*one) for one in carelessly_corrected(list(misread(texts, noise, records, rng)), texts, rng))
    for config, share in SHIPPED:
        corrector = open_corrector(config)
        yield from corrected_by(corrector, list(misread(texts, noise, round(share * records), rng)))
        corrector.close()


def main() -> None:
    """Write the folder and say what it was fitted on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--language", type=Path, nargs="+", required=True)
    parser.add_argument("--texts", type=Path, nargs="+", default=[])
    parser.add_argument("--noise", type=Path, help="a noise model that `ocrray synthesize` fitted; without it the general one")
    parser.add_argument("--pairs", type=Path, nargs="+", default=[])
    parser.add_argument("--records", type=int, default=15_000, help="made from --texts, for careless models")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    known: list[Corrected] = []
    if args.texts:
        noise = NoiseModel.load(args.noise) if args.noise else NoiseModel.fit(())
        known += made_up(args.texts, noise, args.records, np.random.default_rng(args.seed))
    for path in args.pairs:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        known += [Corrected(row["ocr"], row["corrected"], row["gt"]) for row in rows]
    if not known:
        parser.error("nothing to fit on: give --texts or --pairs")
    fitted = fit(args.out, known, (text for path in args.language for _, text in read_texts(path)))
    print(f"{len(known)} records, {fitted.spans} spans, of which {fitted.worse_frac:.1%} make the text worse")


if __name__ == "__main__":
    main()
