"""Command line: `ocrray VERB CONFIG.yaml [--set a.b=value ...] [--limit N] [--dry-run]`, and `ocrray init [NAME]`.

Exit codes: 0 done · 1 finished, but more records failed than `max_failed_frac` allows · 2 bad config or input ·
130 interrupted, and resumable.
"""

import argparse
import shlex
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from ocrray import __version__
from ocrray.errors import ConfigError, OcrrayError, RecordError
from ocrray.redaction import hide
from ocrray.verbs import VERBS
from ocrray.verbs.streams import secure_standard_streams


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code. Nothing heavy is imported before the arguments are understood."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    secure_standard_streams()
    options = _parser().parse_args(arguments)
    _interrupt_at(signal.SIGTERM)  # of `ray job stop`
    _interrupt_at(signal.SIGHUP)  # of a terminal or connection that was lost
    try:
        if options.verb == "init":
            return _init(options.name)
        from ocrray.verbs.job import carry_out  # imported here to keep --help fast

        return carry_out(VERBS[options.verb], options.config, overrides=options.set, limit=options.limit, dry_run=options.dry_run)
    except (ConfigError, RecordError) as error:  # a RecordError of a path or URI in the config
        print(f"ocrray: cannot run:\n{_indented(hide(str(error)))}", file=sys.stderr)
        return 2
    except OcrrayError as error:
        print(f"ocrray: stopped: {hide(str(error))}\n{_hint(options.verb, arguments)}", file=sys.stderr)
        return 2
    except OSError as error:  # of any store or disk: what was not expected at one place is still told in one line
        print(f"ocrray: stopped: {hide(_one_line(error))}\n{_hint(options.verb, arguments)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        # A second signal would end this process with another code than promised.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        # Where the interruption came within any `exec` of a text (as dataclasses do), CPython would end this process by SIGINT at
        # its end, although it is handled here; another `exec` makes it forget that.
        exec("pass")
        print(f"\nocrray: interrupted. {_hint(options.verb, arguments)}", file=sys.stderr)
        return 130


def _interrupt_at(number: signal.Signals) -> None:
    if signal.getsignal(number) != signal.SIG_IGN:  # as `nohup` sets SIGHUP
        signal.signal(number, signal.default_int_handler)


def _parser() -> argparse.ArgumentParser:
    about = "Restore scans and old OCR text into a corpus that can be trusted."
    parser = argparse.ArgumentParser(prog="ocrray", description=about)
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS.values():
        sub = verbs.add_parser(verb.name, help=verb.summary, description=verb.summary)
        sub.add_argument("config", metavar="CONFIG.yaml", help="one file is one complete run")
        sub.add_argument("--set", action="append", default=[], metavar="a.b=value", help="override any key of the config")
        sub.add_argument("--limit", type=_positive, metavar="N", help="take only the first N records")
        sub.add_argument("--dry-run", action="store_true", help="validate everything, print the plan, start nothing")
    meaning = "a starter config for a verb or a recipe, written into the working directory; without a name, what there is"
    sub = verbs.add_parser("init", help=meaning, description=meaning)
    sub.add_argument("name", nargs="?", metavar="NAME", help="a verb, or a recipe such as llama31_8b_correction")
    return parser


def _init(name: str | None) -> int:
    from ocrray import starters

    if name is None:
        width = max(map(len, starters.names()))
        print("\n".join(f"{starter:<{width}}  {meaning}" for starter, meaning in starters.names().items()))
        return 0
    for path, settings in starters.write(name, Path()):
        print(f"{path}: adapt these settings to your data:\n{_indented(chr(10).join(settings))}")
        print(f"Then: ocrray {_verb_of(path)} {path} --dry-run")
    return 0


def _verb_of(path: Path) -> str:
    return path.stem.rpartition(".")[2]  # restore.yaml, or RECIPE.restore.yaml


def _hint(verb: str, arguments: Sequence[str]) -> str:
    resumes = verb in VERBS and VERBS[verb].resumes
    in_package = "/runtime_resources/working_dir_files/" in str(Path.cwd())  # of a job that was submitted to a cluster
    how = ", submit the job again" * in_package
    return f"{'What is done is kept; to go on' if resumes else 'To start again'}{how}: {hide(_command_line(arguments))}"


def _one_line(error: OSError) -> str:
    cause = getattr(error, "cause", error)  # the message of an error in a worker of Ray is a traceback
    if isinstance(cause, OSError) and cause.strerror:
        return f"{cause.filename}: {cause.strerror}" if cause.filename else cause.strerror
    return " ".join(str(cause).split()) or type(cause).__name__


def _command_line(arguments: Sequence[str]) -> str:
    """Return the command line that started this process, to be run again in the same working directory."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        return shlex.join([_on_path("python", sys.executable), "-m", "ocrray", *arguments])
    if program.suffix == ".py":  # jobs/VERB.py, which names the verb itself
        return shlex.join([_on_path("python", sys.executable), str(program), *arguments[1:]])
    return shlex.join([_on_path(program.name, str(program)), *arguments])


def _on_path(name: str, program: str) -> str:
    """Return the short `name` of `program` where a shell finds it by that, else its path."""
    found = shutil.which(name)
    return name if found and Path(found).resolve() == Path(program).resolve() else program


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
