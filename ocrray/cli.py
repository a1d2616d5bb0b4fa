"""The command line: `ocrray VERB CONFIG.yaml [--set a.b=value ...] [--limit N] [--dry-run]`.

Exit codes: 0 done · 1 finished, but more records failed than `max_failed_frac` allows · 2 bad config or input ·
130 interrupted, and resumable.
"""

import argparse
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ocrray import __version__
from ocrray.errors import ConfigError, OcrrayError

VERBS = {
    "restore": "scans or old OCR in, a corpus with raw and corrected text out",
    "synthesize": "clean text in, pairs of it and of the same text with OCR errors out",
    "train": "pairs of OCR and truth in, a fine-tuned corrector with its card out",
    "evaluate": "a finished run, or pairs with their truth, in; what was gained and what was made worse, out",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code. Nothing heavy is imported before the arguments are understood."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `ray job stop` asks with SIGTERM
    try:
        return _RUN[options.verb](options)
    except ConfigError as error:
        print(f"ocrray: cannot run:\n{_indented(str(error))}", file=sys.stderr)
        return 2
    except OcrrayError as error:
        print(f"ocrray: stopped: {error}\nWhat is done is kept; to go on: {_resuming(options, arguments)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nocrray: interrupted. What is done is kept; to go on: {_resuming(options, arguments)}", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    about = "Restore scans and old OCR text into a corpus that can be trusted."
    parser = argparse.ArgumentParser(prog="ocrray", description=about)
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, meaning in VERBS.items():
        sub = verbs.add_parser(verb, help=meaning, description=meaning)
        sub.add_argument("config", metavar="CONFIG.yaml", help="one file is one complete run")
        sub.add_argument("--set", action="append", default=[], metavar="a.b=value", help="override any key of the config")
        sub.add_argument("--limit", type=_positive, metavar="N", help="take only the first N records")
        sub.add_argument("--dry-run", action="store_true", help="validate everything, print the plan, start nothing")
    return parser


def _carry_out(options: argparse.Namespace, schema: Any, make_plan: Callable, print_plan: Callable, run: Callable) -> int:
    """What every verb does with its config: plan it, and with --dry-run no more."""
    from ocrray.config import load

    config = load(options.config, schema, options.set)
    if options.dry_run:
        print_plan(make_plan(config, options.limit))
        return 0
    return run(config, options.limit)


def _restore(options: argparse.Namespace) -> int:
    from ocrray.runtime.restore import RestoreConfig, make_plan, restore
    from ocrray.runtime.terminal import print_plan

    return _carry_out(options, RestoreConfig, make_plan, print_plan, restore)


def _synthesize(options: argparse.Namespace) -> int:
    from ocrray.runtime.synthesize import SynthesizeConfig, make_plan, print_plan, synthesize

    return _carry_out(options, SynthesizeConfig, make_plan, print_plan, synthesize)


def _train(options: argparse.Namespace) -> int:
    from ocrray.runtime.train import train
    from ocrray.runtime.train_plan import make_plan, print_plan
    from ocrray.training.config import TrainConfig

    return _carry_out(options, TrainConfig, make_plan, print_plan, train)


def _evaluate(options: argparse.Namespace) -> int:
    from ocrray.runtime.evaluate import EvaluateConfig, evaluate, make_plan, print_plan

    return _carry_out(options, EvaluateConfig, make_plan, print_plan, evaluate)


_RUN = {"restore": _restore, "synthesize": _synthesize, "train": _train, "evaluate": _evaluate}
_RESUME = "resume=true"  # training goes on only where it is told to


def _resuming(options: argparse.Namespace, arguments: Sequence[str]) -> str:
    """The command that goes on with this one's run."""
    flag = ["--set", _RESUME] if options.verb == "train" and _RESUME not in options.set else []
    return shlex.join([Path(sys.argv[0]).name, *arguments, *flag])


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
