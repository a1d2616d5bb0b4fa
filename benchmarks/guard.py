"""Measure the guard on corrections of real OCR whose ground truth is known, beside the best choice possible with that truth.

    python benchmarks/guard.py                                  # four published correctors on 60 documents of BLN600
    python benchmarks/guard.py --scorer out/guard --max-wrong 0.1 0.2 0.3
    python benchmarks/guard.py --half 1    # documents not looked at during development; 0: the others
    python benchmarks/guard.py --cross-validate   # a scorer fitted on these documents, which does not ship
    python benchmarks/guard.py --ignore language --ignore confusion   # without some families of signals
    python benchmarks/guard.py --tagger ../shared/data/pairs/*.jsonl  # the shipped tagger's own corrections of pairs
    python benchmarks/guard.py --scans     # real book scans, read here, corrected by both shipped correctors: minutes
    python benchmarks/guard.py --scans --ignore recognizer            # without the recognizer's confidences

CER is micro, case-sensitive, after NFC and white-space collapse. A refused span is rightly refused when it alone would bring its
record no nearer to the truth and would take it further away; recall is of all such spans. `accepted wrong` is the share of
accepted spans that are such.
"""

import argparse
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ocrray.evaluation.guard_spans import GuardSpans
from ocrray.guard import GuardConfig, judge
from ocrray.guard.evidence import NO_EVIDENCE, ExternalEvidence
from ocrray.guard.judge import DEFAULT_FOLDER, load_scorer
from ocrray.guard.labels import LabelledCorrection, label_spans, span_gains
from ocrray.guard.signals import FAMILIES, signals
from ocrray.guard.spans import Span, spans_of
from ocrray.records import Edit
from ocrray.text.confidences import char_confidences
from ocrray.text.edits import apply_edits, edits_between
from ocrray.text.metrics import CerTotals, cer_totals, distances
from ocrray.text.normalise import for_scoring, sanitise
from ocrray.training.guard.scorer import fit_scorer

DATA = Path(__file__).parents[2] / "shared" / "data"
OUTPUTS, PAGES = DATA / "llm_outputs" / "bln600.jsonl", DATA / "pages"
FOLDS = 6
SURFACE_RULES = {"min_similarity": 0.25, "max_length_change": 1.0}  # where there is no scorer
HEADER = ("corrector", "guard", "micro CER reduction %", "made worse %", "broke clean %")
REFUSAL_HEADER = ("refused spans %", "rightly refused %", "wrong spans refused %", "accepted wrong %")


@dataclass(frozen=True)
class Record:
    """One correction, with its ground truth and document."""

    document: str
    raw: str
    corrected: str
    truth: str
    probabilities: Mapping[int, float] = field(default_factory=dict)
    evidence: ExternalEvidence = NO_EVIDENCE

    @property
    def known(self) -> LabelledCorrection:
        """Correction in the form that a scorer is fitted on."""
        return LabelledCorrection(self.raw, self.corrected, self.truth, self.probabilities, self.evidence)

    @property
    def edits(self) -> list[Edit]:
        """Edits that the corrector made."""
        return self.known.edits

    @property
    def spans(self) -> list[Span]:
        """Spans of these edits, as the guard judges them."""
        return spans_of(self.raw, self.edits)


def read_outputs(path: Path, half: int | None = None) -> dict[str, list[Record]]:
    """Return the records of each corrector; with `half` (0 or 1) those of every other document."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    chosen = sorted({row["doc"] for row in rows})[half::2] if half is not None else None
    rows = [row for row in rows if chosen is None or row["doc"] in chosen]
    return {
        name: [Record(row["doc"], *map(sanitise, (row["ocr"], row["outputs"][name], row["gt"]))) for row in rows]
        for name in rows[0]["outputs"]
    }


def tagged(paths: Iterable[Path], limit: int) -> dict[str, list[Record]]:
    """Return the shipped tagger's corrections of at most `limit` records of each file, evenly spaced; print its speed."""
    from ocrray.engines.tagger import Tagger, TaggerConfig
    from ocrray.training.guard.corrections import apply_corrector

    tagger = Tagger(TaggerConfig(engine="tagger", num_threads=1))
    corrected = {}
    for path in paths:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        rows = rows[:: -(-len(rows) // limit)]
        pairs = [(sanitise(row["gt"]), sanitise(row["ocr"])) for row in rows]
        started = time.perf_counter()
        found = list(apply_corrector(tagger, pairs))
        seconds = time.perf_counter() - started
        print(f"tagger: {path.stem}: {sum(len(raw) for _, raw in pairs) / seconds:,.0f} characters/s", flush=True)
        corrected[path.stem] = [
            Record(str(row.get("doc", number)), *one[:4], ExternalEvidence(by_tagger=True))
            for number, (row, one) in enumerate(zip(rows, found, strict=True))
        ]
    return corrected


def scanned(limit: int) -> dict[str, list[Record]]:
    """Return at most `limit` real pages, evenly spaced, read by Tesseract and corrected by the shipped correctors."""
    from PIL import Image

    from ocrray.engines.hf import HfConfig
    from ocrray.engines.tagger import TaggerConfig
    from ocrray.engines.tesseract import Tesseract, TesseractConfig
    from ocrray.training.guard.corrections import apply_corrector

    rows = [json.loads(line) for line in (PAGES / "pages.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = rows[:: -(-len(rows) // limit)]
    tesseract = Tesseract(TesseractConfig())
    read = [tesseract.recognize(Image.open(PAGES / row["image"])) for row in rows]
    tesseract.close()
    evidence = [ExternalEvidence(char_confidences(lines)) for lines in read]
    pairs = [(sanitise(row["gt"]), "\n".join(line.text for line in lines)) for row, lines in zip(rows, read, strict=True)]
    found = {}
    for config in (TaggerConfig(engine="tagger"), TaggerConfig(engine="tagger", threshold=0.3), HfConfig(engine="hf")):
        name = f"{config.engine} {getattr(config, 'threshold', None) or ''}".strip()
        corrections = apply_corrector(config.open(), pairs)
        found[name] = [
            Record(row["id"], *one[:4], replace(said, by_tagger=config.tags_characters))
            for row, one, said in zip(rows, corrections, evidence, strict=True)
        ]
    return found


def totals(records: Sequence[Record], texts: Sequence[str]) -> CerTotals:
    """Return the totals of `texts` against the ground truth of `records`."""
    raw, truth = [record.raw for record in records], [record.truth for record in records]
    return cer_totals([len(for_scoring(text)) for text in truth], distances(raw, truth), distances(texts, truth))


def best_records(records: Sequence[Record]) -> list[str]:
    """Return, for each record, the text nearer to the ground truth."""
    raw, corrected = [record.raw for record in records], [record.corrected for record in records]
    truth = [record.truth for record in records]
    nearer = distances(corrected, truth) < distances(raw, truth)
    return [new if better else old for new, old, better in zip(corrected, raw, nearer, strict=True)]


def best_spans(records: Sequence[Record]) -> list[str]:
    """Return the texts with every span applied that helps by itself."""
    texts = []
    for record in records:
        spans = record.spans
        gains = span_gains(record.raw, spans, record.truth)
        texts.append(
            apply_edits(record.raw, [e for span, gain in zip(spans, gains, strict=True) if gain > 0 for e in span.edits])
        )
    return texts


def guarded(records: Sequence[Record], config: GuardConfig) -> tuple[list[str], list[str], float]:
    """Return the texts after the guard, the rates of its refusals, and the characters of raw text judged per second."""
    edits = [record.edits for record in records]
    judge("tbe", edits_between("tbe", "the"), (0, 3), config)  # loads the scorer
    started = time.perf_counter()
    judgements = [judge(one.raw, made, (0, len(one.raw)), config, one.evidence) for one, made in zip(records, edits, strict=True)]
    seconds = time.perf_counter() - started
    texts = [apply_edits(record.raw, judgement.accepted) for record, judgement in zip(records, judgements, strict=True)]
    spans = GuardSpans()
    for record, judgement in zip(records, judgements, strict=True):
        spans.add(span_gains(record.raw, spans_of(record.raw, judgement.accepted), record.truth), accepted=True)
        spans.add(span_gains(record.raw, spans_of(record.raw, judgement.refused), record.truth), accepted=False)
    return texts, refusals(spans), sum(len(record.raw) for record in records) / seconds


def refusals(spans: GuardSpans) -> list[str]:
    """Return the cells of REFUSAL_HEADER."""
    total = spans.refused + spans.accepted
    rates = (spans.refused / total if total else None, spans.precision, spans.recall, spans.accepted_wrong_frac)
    return ["–" if rate is None else f"{100 * rate:.1f}" for rate in rates]


def cross_validated(
    outputs: dict[str, list[Record]], limits: Sequence[float]
) -> dict[tuple[str, float], tuple[list[str], list[str]]]:
    """Return texts and refusals by corrector and limit, with scorers fitted on other documents' corrections by all correctors."""
    knowledge, _ = load_scorer("default")
    documents = sorted({record.document for records in outputs.values() for record in records})
    fold_of = {document: number % FOLDS for number, document in enumerate(documents)}
    scorers = []
    for fold in range(FOLDS):
        known = [record for records in outputs.values() for record in records if fold_of[record.document] != fold]
        spans = label_spans((record.known for record in known), knowledge)
        scorers.append(fit_scorer(spans))
    found = {}
    for name, records in outputs.items():
        judged = []
        for record in records:
            spans = record.spans
            rows = signals(record.raw, record.corrected, spans, knowledge, record.evidence)
            judged.append((record, spans, scorers[fold_of[record.document]].score(rows)[0] if spans else np.zeros(0)))
        gains = np.array([gain for record, spans, _ in judged for gain in span_gains(record.raw, spans, record.truth)])
        wrong = np.concatenate([share for *_, share in judged])
        for limit in limits:
            texts = [
                apply_edits(
                    record.raw, [e for span, share in zip(spans, shares, strict=True) if share <= limit for e in span.edits]
                )
                for record, spans, shares in judged
            ]
            counts = GuardSpans()
            counts.add(gains[wrong <= limit], accepted=True)
            counts.add(gains[wrong > limit], accepted=False)
            found[name, limit] = texts, refusals(counts)
    return found


def show(name: str, guard: str, figures: CerTotals, more: Sequence[str] = ()) -> None:
    """Print one row of the table."""
    rates = (figures.micro_cer_reduction, figures.made_worse_frac, figures.broke_clean_frac)
    cells = [
        name,
        guard,
        *("–" if rate is None else f"{100 * rate:.1f}" for rate in rates),
        *(more or ["–"] * (len(REFUSAL_HEADER) + 1)),
    ]
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--outputs", type=Path, default=OUTPUTS)
    parser.add_argument("--half", type=int, choices=(0, 1))
    parser.add_argument("--tagger", type=Path, nargs="+", help="pairs, corrected by the shipped tagger first")
    parser.add_argument("--scans", action="store_true", help="real book pages, read and corrected first")
    parser.add_argument("--limit", type=int, default=300, help="records of each file of pairs, or pages")
    parser.add_argument("--scorer", default="default", help=f"a folder; default: {DEFAULT_FOLDER}")
    parser.add_argument("--max-wrong", type=float, nargs="+", default=[GuardConfig().max_wrong])
    parser.add_argument("--ignore", action="append", default=[], choices=FAMILIES)
    parser.add_argument("--no-rules", action="store_true", help="the scorer alone")
    parser.add_argument("--cross-validate", action="store_true")
    args = parser.parse_args()
    no_rules = {"max_repeats": None, "keep_digits": False}
    if args.tagger or args.scans:
        outputs = tagged(args.tagger, args.limit) if args.tagger else scanned(args.limit)
    else:
        outputs = read_outputs(args.outputs, args.half)
    fitted = cross_validated(outputs, args.max_wrong) if args.cross_validate else {}

    header = [*HEADER, *REFUSAL_HEADER, "characters/s"]
    print(f"| {' | '.join(header)} |\n{'| --- ' * len(header)}|")
    for name, records in outputs.items():
        show(name, "none", totals(records, [record.corrected for record in records]))
        show(name, "best per record, knowing the truth", totals(records, best_records(records)))
        show(name, "best per span, knowing the truth", totals(records, best_spans(records)))
        for limit in (None, *args.max_wrong):
            rules = SURFACE_RULES if limit is None else no_rules if args.no_rules else {}
            config = GuardConfig(scorer=args.scorer, max_wrong=limit, ignore=tuple(args.ignore), **rules)
            texts, figures, speed = guarded(records, config)
            label = "rules alone" if limit is None else f"max_wrong {limit:g}"
            show(name, label, totals(records, texts), [*figures, f"{speed:,.0f}"])
        for limit in args.max_wrong if fitted else ():
            texts, figures = fitted[name, limit]
            show(name, f"fitted here, cross-validated, {limit:g}", totals(records, texts), [*figures, "–"])


if __name__ == "__main__":
    main()
