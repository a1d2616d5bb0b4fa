"""Characters per second of correcting with a language model: `ocrray/decoding` beside every other way to run the same model.

    python benchmarks/decode.py [--records 120] [--rounds 3] [--engines a b c d e ours] [--dtype float32] [--restore]
    python benchmarks/decode.py --deepen 4 --widen 8192 --hidden 3072 --dtype bfloat16      # 1.1B parameters, for a GPU

Records of the development sets are cut into passages as `restore` cuts them. In one process, every engine gets the same token
ids, bounds and model, and gives back token ids; the engines take turns, the order alternates, medians and ranges over the rounds
are printed. Characters are those of what an engine wrote.
- (a) `generate` for one record after the other, as published recipes do; (b) in padded batches of similar length;
  (c) as (a) with `prompt_lookup_num_tokens=10`; (d) transformers' continuous batching; (e) CTranslate2, which `pip install
  ctranslate2` adds; (f) a plain Ray Data script over (b)
- (a), (c) and (d) get every n-th passage only; equal tokens are counted against (a) on these
- `--deepen`, `--widen` and `--hidden` enlarge the model with random weights that have no effect (`decode_model.grown`): its
  output, and so the share of drafts that hold, stays that of the small one, and only the arithmetic grows
- the limit is the arithmetic alone: every token once (or as often as it passed) through the matrices, at the speed that this
  machine reaches at their shapes
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from decode_model import arithmetic, bytes_per_second, gap_where_parted, grown, saved
from decode_peers import ENGINES, Engine, Padded, Run, Setting
from decode_records import BUCKETS, PAIRS, SOURCES, Passage, Record, cut, read_records, restore_rate, shared_prefix
from transformers.utils import logging

from ocrray.engines.hf import DEFAULT_FOLDER, DEFAULT_PROMPT, HfConfig, HfCorrector
from ocrray.models.loading import load_generator

TARGETS = {"a": 20, "b": 5, "c": 2, "d": 2, "e": 2}  # times as fast, on a CPU


def main() -> None:
    """Run every engine in turn, and print the tables."""
    args = parsed()
    torch.set_num_threads(args.threads)
    logging.set_verbosity_error()
    with tempfile.TemporaryDirectory(prefix="ocrray-decode-") as temporary:
        records = read_records(args.pairs or [PAIRS / f"{name}.jsonl" for name in SOURCES], args.records)
        own = {} if args.model == "default" else {"model": args.model, "prompt": args.prompt}
        passages = cut(records, HfCorrector(HfConfig(engine="padded", device="cpu", **own)))
        folder = enlarged(args, Path(temporary)) if args.deepen or args.widen or args.hidden else folder_of(args.model)
        generator = load_generator(str(folder), dtype=args.dtype, device=args.device)
        start = shared_prefix([passage.request.prompt for passage in passages])
        setting = Setting(generator, folder, args.dtype, args.threads, args.batch_size_tokens, start)
        describe(setting, records, passages)
        if setting.folder != folder_of(args.model):
            print_same(args, setting, passages)
        measured = Measured(setting, passages, every=max(1, -(-len(passages) // args.slow_passages)))
        for name in args.engines:
            measured.open(name)
        for number in range(args.rounds):
            measured.round(reverse=number % 2 == 1)
        print_engines(measured)
        print_partings(measured)
        print_buckets(measured)
        if "ours" in measured.engines:
            print_limit(measured)
        if args.restore:
            print_restore(args, measured, records, Path(temporary))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path, nargs="*", help="JSON lines with ocr and gt")
    parser.add_argument("--engines", choices=list(ENGINES), nargs="+", default=["a", "b", "c", "d", "e", "ours"])
    parser.add_argument("--records", type=int, default=120, help="of all sources together")
    parser.add_argument("--slow-passages", type=int, default=64, help="at most so many for the slow engines (a), (c) and (d)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="default", help="the one that ships, or a folder")
    parser.add_argument("--prompt", help="the name of a prompt, or a template; the default model knows its own")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size-tokens", type=int, default=16_384, help="held at once, padding included")
    parser.add_argument("--deepen", type=int, default=0, help="so many more layers")
    parser.add_argument("--widen", type=int, default=0, help="at least so wide inside the MLPs")
    parser.add_argument("--hidden", type=int, default=0, help="at least so wide between layers; 4 or 16 times as wide is exact")
    parser.add_argument("--restore", action="store_true", help="also `ocrray restore` over the same records, on Ray")
    return parser.parse_args()


def folder_of(model: str) -> Path:
    return DEFAULT_FOLDER if model == "default" else Path(model)


def enlarged(args: argparse.Namespace, temporary: Path) -> Path:
    """Return the folder of a larger model with the same output."""
    small = load_generator(str(folder_of(args.model)), dtype="float32", device="cpu")
    layers = small.model.config.num_hidden_layers + args.deepen
    return saved(grown(small, args.hidden, layers, args.widen), args.dtype, temporary / "enlarged")


class Measured:
    """Engines that started, the reasons of those that did not, and the runs of each."""

    def __init__(self, setting: Setting, passages: Sequence[Passage], every: int) -> None:
        self.setting = setting
        self.passages = passages
        self.some = range(0, len(passages), every)
        self.engines: dict[str, Engine] = {}
        self.refused: dict[str, str] = {}
        self.runs: dict[tuple[str, str], list[Run]] = {}
        self.stats: dict[str, list[dict[str, float]]] = {}

    def open(self, name: str) -> None:
        """Start and warm up an engine; a peer that fails is listed in the table with its reason."""
        try:
            engine = ENGINES[name](self.setting)
            engine.run([passage.request for passage in self.passages[:4]])
        except Exception as err:  # a peer's library may raise anything; the table shows it
            if name == "ours":
                raise
            self.refused[name] = f"{type(err).__name__}: {err}".splitlines()[0]
            return
        self.engines[name] = engine

    def round(self, *, reverse: bool) -> None:
        """Every engine on all its passages; (b) and ours also on those of each bucket."""
        turns = [(name, "all") for name in self.engines]
        turns += [(name, bucket) for bucket in BUCKETS for name in self.engines if name in ("b", "ours")]
        for name, part in reversed(turns) if reverse else turns:
            engine = self.engines[name]
            requests = [self.passages[row].request for row in self.rows(name, part)]
            if not requests:
                continue
            run = engine.run(requests)
            self.runs.setdefault((name, part), []).append(run)
            if name == "ours":
                self.stats.setdefault(part, []).append(engine.stats)
            print(f"{name}, {part}: {run.seconds:.1f} s", file=sys.stderr, flush=True)

    def rows(self, name: str, part: str) -> list[int]:
        """Return the indices of the passages that an engine gets."""
        if part != "all":
            return [row for row, passage in enumerate(self.passages) if passage.bucket == part]
        return list(self.some if self.engines[name].is_slow else range(len(self.passages)))

    def once(self, name: str) -> float:
        """Characters per second of one more run over all passages."""
        return self.speed(self.engines[name].run([passage.request for passage in self.passages]))

    def speed(self, run: Run) -> float:
        return sum(len(self.setting.generator.decode(tokens)) for tokens in run.tokens) / run.seconds

    def rates(self, name: str, part: str = "all") -> list[float]:
        """Characters per second of each round."""
        return [self.speed(run) for run in self.runs[name, part]]

    def rate(self, name: str, part: str = "all") -> float:
        return statistics.median(self.rates(name, part))

    def stat(self, name: str, part: str = "all") -> float:
        """A count of ours, the median of the rounds."""
        return statistics.median(stats[name] for stats in self.stats[part])

    def unlike_a(self, name: str) -> dict[int, tuple[list[int], list[int]]]:
        """Return the outputs of (a) and of an engine, by passage, where they differ."""
        runs = {other: self.runs[other, "all"][0].tokens for other in ("a", name)}
        written = {other: dict(zip(self.rows(other, "all"), runs[other], strict=True)) for other in runs}
        pairs = {row: (tokens, written[name][row]) for row, tokens in written["a"].items()}
        return {row: pair for row, pair in pairs.items() if pair[0] != pair[1]}


def describe(setting: Setting, records: Sequence[Record], passages: Sequence[Passage]) -> None:
    model = setting.generator.model
    device = torch.cuda.get_device_name() if model.device.type == "cuda" else f"CPU, {setting.threads} threads"
    print(f"{model.config.model_type}, {model.num_parameters() / 1e6:,.1f}M parameters, {setting.dtype}, {device};")
    chars = sum(len(passage.text) for passage in passages)
    print(f"{len(records):,} records, {len(passages):,} passages, {chars:,} characters;")
    print(f"torch {torch.__version__}, {time.strftime('%Y-%m-%d')}\n", flush=True)


def print_engines(measured: Measured) -> None:
    """Print one row per engine; `ours is` is the speed-up, beside its target on a CPU."""
    print("| engine | passages | characters/s | range | against (a) | against (b) | ours is | target | equal to (a) |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    base = {name: measured.rate(name) for name in ("a", "b", "ours") if name in measured.engines}
    for name, engine in measured.engines.items():
        rates, rate = measured.rates(name), measured.rate(name)
        equal = f"{100 * (1 - len(measured.unlike_a(name)) / len(measured.some)):.1f} %" if "a" in base else "–"
        ratio = {other: f"{rate / base[other]:.2f} ×" if other in base else "–" for other in ("a", "b")}
        ours = f"{base['ours'] / rate:.2f} ×" if "ours" in base and name != "ours" else "–"
        target = f"≥ {TARGETS[name]} ×" if name in TARGETS else "–"
        cells = [
            f"({name}) {engine.label}",
            f"{len(measured.rows(name, 'all')):,}",
            f"{rate:,.0f}",
            f"{min(rates):,.0f}–{max(rates):,.0f}",
        ]
        cells += [ratio["a"], ratio["b"], ours, target, equal]
        print(row_of(cells))
    for name, reason in measured.refused.items():
        print(row_of([f"({name})", f"not run: {reason}", *[""] * 7]))
    print(flush=True)


def print_partings(measured: Measured) -> None:
    """Print how near a tie it was where an engine's tokens differ from (a)'s: in bfloat16 the order of sums decides some."""
    for name in measured.engines if "a" in measured.engines else ():
        generator, prompt_of = measured.setting.generator, [passage.request.prompt for passage in measured.passages]
        gaps = [gap_where_parted(generator, prompt_of[row], *pair) for row, pair in measured.unlike_a(name).items()]
        if gaps:
            likelier = f"{statistics.median(gaps):.3f} nats (median; most {max(gaps):.3f})"
            print(f"({name}) parts from (a) in {len(gaps)}: the token that (a) wrote is likelier by {likelier}\n")


def print_same(args: argparse.Namespace, setting: Setting, passages: Sequence[Passage]) -> None:
    """Print how often the enlarged model's output equals the small one's."""
    small = load_generator(str(folder_of(args.model)), dtype=args.dtype, device=args.device)
    requests = [passage.request for passage in passages[:: -(-len(passages) // args.slow_passages)]]
    pairs = zip(Padded(setting).run(requests).tokens, Padded(replace(setting, generator=small)).run(requests).tokens, strict=True)
    same = sum(one == two for one, two in pairs)
    print(f"The larger model writes the same as the small one for {same} of {len(requests)} passages.\n", flush=True)


def print_buckets(measured: Measured) -> None:
    """(b) and ours by the CER of the records that passages come from."""
    names = [name for name in ("b", "ours") if name in measured.engines]
    if not names:
        return
    speeds = [f"({name}) characters/s" for name in names]
    print(row_of(["CER of the input, %", "passages", *speeds, "tokens per forward and sequence"]))
    print("| --- |" + " ---: |" * (len(names) + 2))
    for part in (*BUCKETS, "all"):
        rows = measured.rows("b", part) if part != "all" else measured.passages
        if not rows:
            continue
        steps = f"{tokens_per_step(measured, part):.2f}" if "ours" in names else "–"
        print(row_of([part, f"{len(rows):,}", *(f"{measured.rate(name, part):,.0f}" for name in names), steps]))
    print(flush=True)


def tokens_per_step(measured: Measured, part: str) -> float:
    return measured.stat("output_tokens", part) / max(1, measured.stat("sequence_steps", part))


def row_of(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def print_limit(measured: Measured) -> None:
    """Print the time that the arithmetic alone would take, and our time."""
    generator, run = measured.setting.generator, measured.runs["ours", "all"][0]
    prompts_lengths = [len(passage.request.prompt) for passage in measured.passages]
    output_lengths = [len(tokens) + 1 for tokens in run.tokens]  # and the end of the text
    lengths = [prompt + output for prompt, output in zip(prompts_lengths, output_lengths, strict=True)]
    needed = arithmetic(generator.model, lengths)
    once_s = needed.seconds(sum(lengths), sum(output_lengths))
    passed = measured.stat("forward_tokens")  # refused drafts among them
    passed_s = needed.seconds(passed, passed - sum(prompts_lengths))
    seconds = statistics.median(one.seconds for one in measured.runs["ours", "all"])
    forward_s, forwards = measured.stat("forward_s"), measured.stat("forwards")
    figures = {
        "tokens per forward and sequence": f"{tokens_per_step(measured, 'all'):.2f}",
        "forward passes": f"{forwards:,.0f}",
        "time outside the model's forward": f"{100 * (1 - forward_s / measured.stat('total_s')):.1f} %",
        "prompt + output tokens": f"{sum(prompts_lengths):,} + {sum(output_lengths):,}",
        "arithmetic of a token": f"{needed.token_flop / 1e6:,.2f} MFLOP, {needed.head_flop / 1e6:,.2f} more for the last matrix",
        "matrices at these shapes": f"{needed.flops / 1e9:,.1f} GFLOP/s",
        "arithmetic alone, every token once": f"{once_s:.2f} s",
        "arithmetic alone, every token that passed": f"{passed_s:.2f} s for {passed:,.0f} tokens, refused drafts among them",
        "ours": f"{seconds:.2f} s, of which in forward passes {forward_s:.2f} s",
        "distance": f"{seconds / once_s:.2f} × every token once, {seconds / passed_s:.2f} × every token that passed",
    }
    device = generator.model.device
    if device.type == "cuda":
        weight_bytes = sum(weight.numel() * weight.element_size() for weight in generator.model.parameters())
        floor_s = forwards * weight_bytes / bytes_per_second(device)
        figures["reading the weights in every pass"] = f"{floor_s:.2f} s at the memory's speed"
    print("| ours | |\n| --- | ---: |")
    for name, value in figures.items():
        print(row_of([name, value]))
    print(flush=True)


def print_restore(args: argparse.Namespace, measured: Measured, records: Sequence[Record], temporary: Path) -> None:
    """`ocrray restore` on Ray, beside the engine alone."""
    if "f" in measured.engines:  # its processes would take part of the cores
        import ray

        ray.shutdown()
    correct = {"engine": "hf", "dtype": args.dtype, "batch_size_tokens": args.batch_size_tokens, "device": args.device}
    if measured.setting.folder != DEFAULT_FOLDER:
        correct |= {"model": str(measured.setting.folder), "prompt": args.prompt or DEFAULT_PROMPT}
    name = "ours" if "ours" in measured.engines else "b"
    alone = [measured.once(name)]
    rate = restore_rate(records, correct, args.threads, temporary)
    alone_rate = statistics.mean([*alone, measured.once(name)])
    print(f"`restore`, start-up excluded: {rate:,.0f} characters/s; the engine alone ({name}), just before and after:", end=" ")
    print(f"{alone_rate:,.0f}; {rate / alone_rate:.2f} of it (target >= 0.95)")


if __name__ == "__main__":
    main()
