"""Fit the guard's scorer: on what a careless model makes of clean text, or on real corrections whose truth is known.

    python jobs/fit_guard.py OUT --language novels.txt.gz --texts eltec_en.jsonl.gz [--noise out/ocr_pairs/noise.json]
    python jobs/fit_guard.py OUT --language corpus.txt --pairs corrections.jsonl

`--language` is clean text from which n-grams and words are counted; `--texts` other clean text, in which errors are made by the
noise model and then corrected badly (the two must not be the same, or every true word would be a known one). A pairs file has
`ocr`, `corrected` and `gt` in every line. OUT becomes a folder that `guard: {scorer: OUT}` takes.
"""

import argparse
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ocrray.guard.confusion import Confusions
from ocrray.guard.judge import CONFUSIONS_FILE, LANGUAGE_FILE, SCORER_FILE
from ocrray.guard.language import Language
from ocrray.guard.learning import labelled
from ocrray.guard.scorer import Scorer
from ocrray.guard.signals import Knowledge
from ocrray.synth.careless import CarelessCorrector, Habits
from ocrray.synth.clean import excerpt, passages, vary
from ocrray.synth.noise import NoiseModel

Triple = tuple[str, str, str]  # raw, corrected, truth


def read_texts(path: Path) -> Iterator[tuple[str, str]]:
    """(source, text) of a text file, or of the `text` of every line of a JSONL file; gzipped or not."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        if ".jsonl" in path.name:
            yield from ((path.name, json.loads(line)["text"]) for line in file)
        else:
            yield path.name, file.read()


def made_up(texts: list[str], noise: NoiseModel, records: int, rng: np.random.Generator) -> Iterator[Triple]:
    """Records of clean text, misread and then corrected by models of many habits, twenty records each."""
    corrector = CarelessCorrector(texts, rng)
    for number in range(records):
        if number % 20 == 0:
            habits = Habits.draw(rng)
        most_chars = int(rng.choice([100, 200, 400, 900]))
        printed = excerpt(texts[rng.integers(len(texts))], (20, most_chars), rng)
        printed = vary(printed, rng) if rng.random() < 0.6 else printed
        cer = 0.0 if rng.random() < 0.15 else min(0.35, float(rng.lognormal(np.log(0.06), 0.8)))
        read = noise.corrupt(printed, cer, rng)
        yield read, corrector.correct(printed, read, habits), printed


def main() -> None:
    """Write the folder and say what it was fitted on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--language", type=Path, nargs="+", required=True)
    parser.add_argument("--texts", type=Path, nargs="+", default=[])
    parser.add_argument("--noise", type=Path, help="a noise model that `ocrray synthesize` fitted; without it the general one")
    parser.add_argument("--pairs", type=Path, nargs="+", default=[])
    parser.add_argument("--records", type=int, default=6_000, help="made from --texts")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)

    triples: list[Triple] = []
    if args.texts:
        noise = NoiseModel.load(args.noise) if args.noise else NoiseModel.fit(())
        texts = [passage.text for passage in passages(text for path in args.texts for text in read_texts(path))]
        triples += made_up(texts, noise, args.records, rng)
    for path in args.pairs:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        triples += [(row["ocr"], row["corrected"], row["gt"]) for row in rows]
    if not triples:
        parser.error("nothing to fit on: give --texts or --pairs")

    args.out.mkdir(parents=True, exist_ok=True)
    language = Language.fit(text for path in args.language for _, text in read_texts(path))
    language.save(args.out / LANGUAGE_FILE)
    Confusions.fit((truth, raw) for raw, _, truth in triples).save(args.out / CONFUSIONS_FILE)
    # What was saved is rounded: the scorer is fitted on what will be loaded.
    knowledge = Knowledge(Language.load(args.out / LANGUAGE_FILE), Confusions.load(args.out / CONFUSIONS_FILE))
    edits = labelled(triples, knowledge)
    Scorer.fit(edits.signals, edits.gains > 0, edits.importance).save(args.out / SCORER_FILE)
    print(f"{len(triples)} records, {len(edits.gains)} spans, of which {np.mean(edits.gains < 0):.1%} make the text worse")


if __name__ == "__main__":
    main()
