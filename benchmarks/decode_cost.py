"""Cost of decoding as the batch, the texts and the model grow: `ocrray/decoding` beside `generate` in padded batches.

    python benchmarks/decode_cost.py [--records 60] [--rounds 3] [--dtype float32] [--picture decode_cost.png]

One thing varies at a time; the rest stays as in `decode.py`: 16,384 tokens held at once, all lengths, the model that ships.
Larger models are that model with more layers, wider layers and wider MLPs, whose new weights have no effect: their output is the
same. The engines take turns; characters/s are medians over the rounds.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from decode_model import grown, saved
from decode_peers import ENGINES, Setting
from decode_records import PAIRS, SOURCES, Passage, cut, read_records, shared_prefix
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, StrMethodFormatter
from transformers.utils import logging

from ocrray.engines.hf import DEFAULT_FOLDER, HfConfig, HfCorrector
from ocrray.models.loading import load_generator

NAMES = {"b": "generate, padded batches", "ours": "ocrray"}
COLORS = {"b": "#9ecae1", "ours": "#08519c"}
BATCH_SIZES_TOKENS = (512, 2_048, 8_192, 32_768)
LENGTHS_TOKENS = ((1, 36), (37, 72), (73, 108), (109, 144))
SIZES = ({}, {"intermediate": 2_048}, {"hidden": 384, "intermediate": 2_048}, {"hidden": 768, "intermediate": 2_048})


@dataclass
class Case:
    """One point of a curve: a setting, its passages, and what every round of each engine measured, characters/s."""

    label: str
    x: float
    setting: Setting
    passages: Sequence[Passage]
    rates: dict[str, list[float]]

    def measure(self, name: str) -> None:
        """One round; the engine is started and warmed up first."""
        engine = ENGINES[name](self.setting)
        requests = [passage.request for passage in self.passages]
        engine.run(requests[:4])
        run = engine.run(requests)
        chars = sum(len(self.setting.generator.decode(tokens)) for tokens in run.tokens)
        self.rates.setdefault(name, []).append(chars / run.seconds)


def main() -> None:
    """Measure, print three tables, draw a picture of them."""
    args = parsed()
    torch.set_num_threads(args.threads)
    logging.set_verbosity_error()
    passages = cut(
        read_records([PAIRS / f"{name}.jsonl" for name in SOURCES], args.records),
        HfCorrector(HfConfig(engine="padded", device="cpu")),
    )
    generator = load_generator(str(DEFAULT_FOLDER), dtype=args.dtype)
    start = shared_prefix([passage.request.prompt for passage in passages])
    base = Setting(generator, DEFAULT_FOLDER, args.dtype, args.threads, 16_384, start)
    with tempfile.TemporaryDirectory(prefix="ocrray-decode-cost-") as temporary:
        curves = {
            "tokens held at once": by_batch(base, passages),
            "tokens of the source": by_length(base, passages),
            "parameters, millions": by_model(base, passages, Path(temporary)),
        }
        for number in range(args.rounds):
            for about, cases in curves.items():
                for case in cases if number % 2 == 0 else reversed(cases):
                    for name in NAMES:
                        case.measure(name)
                        print(f"{about} {case.label}, {name}: {case.rates[name][-1]:,.0f}", file=sys.stderr, flush=True)
    for about, cases in curves.items():
        print(f"| {about} | passages | {NAMES['b']}, characters/s | {NAMES['ours']} | ratio |")
        print("| ---: | ---: | ---: | ---: | ---: |")
        for case in cases:
            theirs, ours = (statistics.median(case.rates[name]) for name in NAMES)
            print(f"| {case.label} | {len(case.passages):,} | {theirs:,.0f} | {ours:,.0f} | {ours / theirs:.1f} × |")
        print()
    draw(curves, args.picture)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--picture", type=Path, default=Path("decode_cost.png"))
    return parser.parse_args()


def by_batch(base: Setting, passages: Sequence[Passage]) -> list[Case]:
    return [Case(f"{size:,}", size, replace(base, batch_size_tokens=size), passages, {}) for size in BATCH_SIZES_TOKENS]


def by_length(base: Setting, passages: Sequence[Passage]) -> list[Case]:
    """As many passages of each length as there are of the rarest."""
    groups = {
        (low, high): [passage for passage in passages if low <= len(passage.request.source) <= high]
        for low, high in LENGTHS_TOKENS
    }
    count = min(map(len, groups.values()))
    return [Case(f"{low}–{high}", (low + high) / 2, base, group[:count], {}) for (low, high), group in groups.items()]


def by_model(base: Setting, passages: Sequence[Passage], temporary: Path) -> list[Case]:
    """Every eighth passage: the larger models take long."""
    small, cases = load_generator(str(base.folder), dtype="float32", device="cpu"), []
    for number, size in enumerate(SIZES):
        large = grown(small, **{"hidden": 0, "layers": 0, "intermediate": 0} | size)
        folder = saved(large, base.dtype, temporary / str(number))
        setting = replace(base, folder=folder, generator=load_generator(str(folder), dtype=base.dtype))
        millions = large.model.num_parameters() / 1e6
        cases.append(Case(f"{millions:,.1f}", millions, setting, passages[::8], {}))
    return cases


def draw(curves: dict[str, list[Case]], path: Path) -> None:
    """Characters/s of both engines against what varies, as a PNG."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    for axes, (about, cases) in zip(figure.subplots(1, len(curves), sharey=True), curves.items(), strict=True):
        for name, label in NAMES.items():
            middle = [statistics.median(case.rates[name]) for case in cases]
            low, high = ([end(case.rates[name]) for case in cases] for end in (min, max))
            axes.plot([case.x for case in cases], middle, color=COLORS[name], label=label, marker="o", markersize=4)
            axes.fill_between([case.x for case in cases], low, high, color=COLORS[name], alpha=0.2, linewidth=0)
        axes.set(xlabel=about, yscale="log", xscale="linear" if "source" in about else "log")
        axes.set_xticks([case.x for case in cases], [case.label for case in cases])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("characters a second")
    figure.axes[0].legend(frameon=False)
    figure.savefig(path, dpi=144)


if __name__ == "__main__":
    main()
