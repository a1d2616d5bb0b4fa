"""Fit the guard's scorer: on misread clean text, corrected by careless models and by those that ship, or on real corrections.

    python jobs/fit_guard.py OUT --language novels.txt.gz --texts eltec_en.jsonl.gz [--noise out/ocr_pairs/noise.json]
                             [--pages out/guard_pages]
    python jobs/fit_guard.py OUT --language corpus.txt --pairs corrections.jsonl

`--language` is clean text from which n-grams and words are counted; `--texts` other clean text, in which errors are made by the
noise model and then corrected, well and badly (the two must not be the same, or every true word would be a known one); `--pages`
are pages that `ocrray synthesize` set and really read, with how sure the recognizer was of each word. A pairs file has `ocr`,
`corrected` and `gt` in every line. OUT becomes a folder that `guard: {scorer: OUT}` takes.
"""

import argparse
import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.dataset

from ocrray.engines.base import Corrector
from ocrray.engines.correctors import open_corrector
from ocrray.engines.hf import HfConfig
from ocrray.engines.tagger import TaggerConfig
from ocrray.guard.learning import Corrected
from ocrray.guard.opinions import NONE, Opinions
from ocrray.synth.clean import passages
from ocrray.synth.corrections import carelessly_corrected, misread
from ocrray.synth.noise import NoiseModel
from ocrray.text.confidences import spread
from ocrray.training.guard import asked, corrected_by, fit

Page = tuple[str, str, Opinions]  # printed, read, how sure the recognizer was

TAGGER = TaggerConfig(engine="tagger")
# Each shipped corrector, and the tagger less sure than it ships, for more of its mistakes; shares of --records, and of the pages.
SHIPPED = (
    (TAGGER, 0.1, 0.11),
    (TaggerConfig(engine="tagger", threshold=0.5), 0.1, 0.11),
    (TaggerConfig(engine="tagger", threshold=0.3), 0.1, 0.11),
    (HfConfig(engine="hf"), 0.15, 0.25),
)
ASKED_FRAC = 0.25  # of the other models' corrections, for how many the tagger is asked first


def read_texts(path: Path) -> Iterator[tuple[str, str]]:
    """(source, text) of a text file, or of the `text` of every line of a JSONL file; gzipped or not."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        if ".jsonl" in path.name:
            yield from ((path.name, json.loads(line)["text"]) for line in file)
        else:
            yield path.name, file.read()


def read_pages(folder: Path) -> Iterator[Page]:
    """The pages among the pairs that `ocrray synthesize` wrote to `folder`."""
    pages = pyarrow.dataset.dataset(folder / "data").to_table(filter=pyarrow.dataset.field("kind") == "page")
    for row in pages.to_pylist():
        yield row["gt"], row["ocr"], Opinions(spread(row["ocr"], row["word_confidences"]))


def made_up(
    texts: Sequence[str], pages: Sequence[Page], noise: NoiseModel, records: int, rng: np.random.Generator
) -> Iterator[Corrected]:
    """Misread pieces of these texts, and pages: `records` and all pages corrected by careless models, more by those that ship."""
    tagger = open_corrector(TAGGER)
    made = [(*pair, NONE) for pair in misread(texts, noise, records, rng)]
    # Careless models know no lines; a line feed is as long as a space, so that confidences stay in their places.
    made += [(printed.replace("\n", " "), read.replace("\n", " "), opinions) for printed, read, opinions in pages]
    corrections = carelessly_corrected([(printed, read) for printed, read, _ in made], texts, rng)
    careless = [Corrected(*one, opinions=page[-1]) for one, page in zip(corrections, made, strict=True)]
    yield from some_asked(tagger, careless, rng)
    for config, share, share_of_pages in SHIPPED:
        chosen = rng.permutation(len(pages))[: round(share_of_pages * len(pages))]
        made = [(*pair, NONE) for pair in misread(texts, noise, round(share * records), rng)] + [pages[one] for one in chosen]
        corrector = open_corrector(config)
        corrections = corrected_by(corrector, [(printed, read) for printed, read, _ in made])
        by_tagger = config.engine == "tagger"
        corrected = [
            one._replace(opinions=replace(page[-1], by_tagger=by_tagger)) for one, page in zip(corrections, made, strict=True)
        ]
        yield from corrected if by_tagger else some_asked(tagger, corrected, rng)
        corrector.close()


def some_asked(tagger: Corrector, records: Sequence[Corrected], rng: np.random.Generator) -> list[Corrected]:
    """All of these, ASKED_FRAC of them as if a tagger had sent them on."""
    chosen = rng.random(len(records)) < ASKED_FRAC
    heard = asked(tagger, [record for record, one in zip(records, chosen, strict=True) if one])
    return [next(heard) if one else record for record, one in zip(records, chosen, strict=True)]


def main() -> None:
    """Write the folder and say what it was fitted on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--language", type=Path, nargs="+", required=True)
    parser.add_argument("--texts", type=Path, nargs="+", default=[])
    parser.add_argument("--noise", type=Path, help="a noise model that `ocrray synthesize` fitted; without it the general one")
    parser.add_argument("--pages", type=Path, nargs="+", default=[], help="folders of `ocrray synthesize` with pages")
    parser.add_argument("--pairs", type=Path, nargs="+", default=[])
    parser.add_argument("--records", type=int, default=15_000, help="made from --texts, for careless models")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    known: list[Corrected] = []
    if args.texts:
        noise = NoiseModel.load(args.noise) if args.noise else NoiseModel.fit(())
        texts = [passage.text for passage in passages(text for path in args.texts for text in read_texts(path))]
        pages = [page for folder in args.pages for page in read_pages(folder)]
        known += made_up(texts, pages, noise, args.records, np.random.default_rng(args.seed))
    for path in args.pairs:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        known += [Corrected(row["ocr"], row["corrected"], row["gt"]) for row in rows]
    if not known:
        parser.error("nothing to fit on: give --texts or --pairs")
    fitted = fit(args.out, known, (text for path in args.language for _, text in read_texts(path)))
    print(f"{len(known)} records, {fitted.spans} spans, of which {fitted.worse_frac:.1%} make the text worse")


if __name__ == "__main__":
    main()
