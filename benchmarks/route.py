"""Measure a cascade: the part of a language model's CER reduction that it keeps, by the fraction of characters sent to the model.

    python benchmarks/route.py [--above 0.02] [--picture docs/routing.png]    # published corrections: minutes
    python benchmarks/route.py --threshold 0.65                      # the tagger's own default threshold
    python benchmarks/route.py --causal --limit 100                  # the small model that ships, on every source: an hour

Made elsewhere are the outputs of four published correctors on 60 documents of BLN600 (../shared/data/llm_outputs) and of a
commercial one on articles of the Sydney Morning Herald (../shared/data/pairs). All goes through the stages of `restore`: tagger,
model, guard, score. The share sent is of the characters of raw text; `kept` is the cascade's micro CER reduction by that of the
model with the guard on every record and no tagger at all. `errors known` sends records in the order of the CER that the tagger
truly leaves: what an estimate without fault would reach.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from tagger import PAIRS, SOURCES, read_pairs

from ocrray.engines.base import EngineInfo
from ocrray.engines.hf import HfConfig, HfCorrector
from ocrray.engines.tagger import RouteConfig, Tagger
from ocrray.guard import GuardConfig
from ocrray.records import SCHEMA
from ocrray.stages.correct import Correct, Route, TakeGiven
from ocrray.stages.guard import Guard
from ocrray.stages.score import Score
from ocrray.stages.tables import add_run_columns
from ocrray.text.metrics import CerTotals, cer_totals
from ocrray.text.normalise import sanitise

OUTPUTS = Path(__file__).parents[2] / "shared" / "data" / "llm_outputs" / "bln600.jsonl"
ARTICLES = PAIRS / "overproof_smh_articles.jsonl"
ALL = -1.0  # no estimate is below
LEAST_KEPT, MOST_SENT = 0.97, 0.6  # targets of a cascade
COLUMNS = ("model, source", "records", "tagger alone", "model alone", "sent", "kept", "made worse", "broke clean")
Second = Callable[[pa.Table], pa.Table]
"""The stage after the tagger and `Route`."""


@dataclass(frozen=True)
class Curve:
    """Cascade at every threshold: records in the order in which they are sent to the model, the highest `rank` first."""

    name: str
    rank: np.ndarray  # the estimated CER
    chars: np.ndarray  # of raw text
    truth_chars: np.ndarray
    raw: np.ndarray  # these four are distances from the truth
    tagged: np.ndarray
    routed: np.ndarray  # if the record is sent on
    alone: np.ndarray  # the model and the guard without a tagger

    @classmethod
    def measure(cls, name: str, rows: pa.Table, tagger: Tagger, second: Second) -> "Curve":
        """Run the stages over `rows` with nothing sent to the model, with everything, and without the tagger."""
        tagged = Correct(tagger)(rows)
        kept, routed, alone = (
            Score()(Guard(GuardConfig())(table)) for table in (tagged, second(Route(ALL)(tagged)), second(rows))
        )
        distances = [kept["raw_distance"], *(table["corrected_distance"] for table in (kept, routed, alone))]
        columns = [tagged["estimated_cer"], pc.utf8_length(rows["raw_text"]), kept["ground_truth_chars"], *distances]
        arrays = [column.to_numpy() for column in columns]
        return cls(name, *arrays).by(arrays[0])

    def by(self, rank: np.ndarray) -> "Curve":
        """Return the same records in the order of another rank."""
        order = np.argsort(-rank, kind="stable")
        arrays = ("chars", "truth_chars", "raw", "tagged", "routed", "alone")
        return replace(self, rank=rank[order], **{name: getattr(self, name)[order] for name in arrays})

    def most_sent(self) -> int:
        """Return the number of records that hold at most MOST_SENT of the characters."""
        return int((self.sent_frac <= MOST_SENT).sum()) - 1

    @property
    def sent_frac(self) -> np.ndarray:
        """Fraction of the characters sent with the first 0, 1, ... records."""
        return np.concatenate([[0], self.chars.cumsum() / self.chars.sum()])

    @property
    def reduction(self) -> np.ndarray:
        """Micro CER reduction at each of these fractions."""
        gains = (self.raw - self.tagged).sum() + np.concatenate([[0], (self.tagged - self.routed).cumsum()])
        return gains / self.raw.sum()

    @property
    def model_reduction(self) -> float:
        """Micro CER reduction of the model with the guard on every record."""
        return float((self.raw - self.alone).sum() / self.raw.sum())

    def at(self, sent: int) -> CerTotals:
        """Return the totals with the first `sent` records sent to the model."""
        return cer_totals(self.truth_chars, self.raw, np.concatenate([self.routed[:sent], self.tagged[sent:]]))

    def row(self, label: str, sent: int) -> str:
        """Return a row of the table."""
        totals, kept = self.at(sent), self.reduction[sent] / self.model_reduction
        rates = (
            self.reduction[0],
            self.model_reduction,
            self.sent_frac[sent],
            kept,
            totals.made_worse_frac,
            totals.broke_clean_frac,
        )
        cells = ("–" if rate is None else f"{100 * rate:.1f} %" for rate in rates)
        return f"| {self.name}, {label} | {len(self.raw):,} | {' | '.join(cells)} |"


def as_rows(records: list[tuple[str, str, str]]) -> pa.Table:
    """Return (raw, corrected, truth) as rows of `restore` before the corrector, with the correction in the column `given`."""
    raw, given, truth = ([sanitise(text) for text in texts] for texts in zip(*records, strict=True))
    columns = {"raw_text": raw, "ground_truth": truth, "record_id": [str(number) for number in range(len(raw))]}
    rows = pa.table({name: columns.get(name, [None] * len(raw)) for name in SCHEMA.names}, schema=SCHEMA)
    return add_run_columns(rows.append_column("given", pa.array(given)))


def made_elsewhere() -> Iterator[tuple[str, pa.Table]]:
    """Yield the name and the corrections of each published corrector."""
    rows = [json.loads(line) for line in OUTPUTS.read_text(encoding="utf-8").splitlines()]
    for name in rows[0]["outputs"]:
        yield name, as_rows([(row["ocr"], row["outputs"][name], row["gt"]) for row in rows])
    rows = [json.loads(line) for line in ARTICLES.read_text(encoding="utf-8").splitlines()]
    yield "overproof (SMH)", as_rows([(row["ocr"], row["overproof_output"], row["gt"]) for row in rows])


def curves(args: argparse.Namespace) -> Iterator[Curve]:
    """Yield each curve as soon as it is measured."""
    tagger = Tagger(RouteConfig(dtype="float32", threshold=args.threshold))
    if args.causal:
        model = HfCorrector(HfConfig(engine="hf", dtype="float32"))
        for source in SOURCES:
            rows = read_pairs(PAIRS / f"{source}.jsonl", args.limit)
            yield Curve.measure(source, rows, tagger, Correct(model))
    else:
        for name, rows in made_elsewhere():
            yield Curve.measure(name, rows, tagger, TakeGiven("given", EngineInfo("given")))


def draw(measured: list[Curve], path: Path, above: float) -> None:
    """Draw the curves to `path`, with a dot at the threshold `above`."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for curve in measured:
        (line,) = axes.plot(curve.sent_frac, curve.reduction / curve.model_reduction, label=curve.name)
        cut = int((curve.rank > above).sum())
        axes.plot(curve.sent_frac[cut], curve.reduction[cut] / curve.model_reduction, "o", color=line.get_color())
    axes.axhline(LEAST_KEPT, color="grey", linewidth=0.8, linestyle=":")
    axes.axvline(MOST_SENT, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xlabel="characters sent on to the language model", ylabel="CER reduction, by that of the model alone", xlim=(0, 1))
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(title=f"dots: above {above:.1%} estimated CER", fontsize="small", title_fontsize="small", frameon=False)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Print the table, and draw the curves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--above", type=float, default=RouteConfig().above)
    parser.add_argument("--threshold", type=float, default=RouteConfig().threshold, help="of the tagger's edits")
    parser.add_argument("--causal", action="store_true", help="the small model that ships instead of corrections made elsewhere")
    parser.add_argument("--limit", type=int, default=100, help="records of each source; for --causal")
    parser.add_argument("--picture", type=Path)
    args = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |\n{'| --- ' * len(COLUMNS)}|", flush=True)
    measured = []
    for curve in curves(args):
        measured.append(curve)
        kept, known = curve.reduction / curve.model_reduction, curve.by(curve.tagged / curve.chars)
        print(curve.row(f"above {args.above:.1%}", int((curve.rank > args.above).sum())))
        print(curve.row(f"at most {MOST_SENT:.0%} sent", curve.most_sent()))
        print(known.row(f"at most {MOST_SENT:.0%} sent, errors known", known.most_sent()))
        print(curve.row(f"at least {LEAST_KEPT:.0%} kept", int((kept >= LEAST_KEPT).argmax())), flush=True)
    if args.picture:
        draw(measured, args.picture, args.above)


if __name__ == "__main__":
    main()
