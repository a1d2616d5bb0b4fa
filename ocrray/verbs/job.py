"""Running any verb: load the config, lock the output, plan, resume or refuse, run, print."""

import time
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import cast

from ocrray.config import StrictModel, load
from ocrray.errors import Problems
from ocrray.storage import Location
from ocrray.storage.faults import wait_briefly
from ocrray.verbs import Verb, console, output
from ocrray.verbs.base import Plan, PlanModule, Result, RunModule, VerbConfig


def carry_out(
    verb: Verb, config_path: str, *, overrides: Sequence[str] = (), limit: int | None = None, dry_run: bool = False
) -> int:
    """Run `verb` with the config file at `config_path` and return the exit code; with `dry_run` only print the plan.

    Raises: ConfigError: when the run is impossible; other OcrrayErrors when it stopped and can be resumed.
    """
    config = load(config_path, _planner(verb).Config, overrides)
    if dry_run:
        wait_briefly()
        _print_plan(verb, config, limit)
        return 0
    result = run_config(verb, config, limit)
    console.print_result(result.output)
    return result.exit_code


def run_config(verb: Verb, config: StrictModel, limit: int | None = None) -> Result:
    """Run `verb` with a config that is loaded already; raises as `carry_out` does."""
    wait_briefly()
    folder = Location.at(_output_path(config))
    with output.locked(folder) as lock_problems:
        with console.working("Reading the input"):
            begun = time.monotonic()
            plan = _planned(verb, config, limit, Problems(lock_problems), dry_run=False)
            plan = replace(plan, planned_s=time.monotonic() - begun)
        runner = cast("RunModule", import_module(f"{verb.package}.run"))
        finished = verb.resumes and plan.previous is not None and output.is_finished(folder)
        return runner.show(plan, folder) if finished else runner.run(plan, folder)


def _print_plan(verb: Verb, config: StrictModel, limit: int | None) -> None:
    plan = _planned(verb, config, limit, Problems(), dry_run=True)
    rows = [*plan.rows(), ("output", f"{_output_path(config)}  ({'resumes an earlier run' if plan.previous else 'new'})")]
    if plan.settings:
        rows.append(("fingerprint", plan.fingerprint))
    console.print_plan(plan.resolved(), rows)


def _planned(verb: Verb, config: StrictModel, limit: int | None, problems: Problems, *, dry_run: bool) -> Plan:
    plan = _planner(verb).make_plan(config, limit, problems, dry_run=dry_run)
    if plan.previous:
        plan.require_resumable(plan.previous, Location.at(_output_path(config)))
    return plan


def _planner(verb: Verb) -> PlanModule:
    return cast("PlanModule", import_module(f"{verb.package}.plan"))


def _output_path(config: StrictModel) -> str:
    return cast("VerbConfig", config).output.path
