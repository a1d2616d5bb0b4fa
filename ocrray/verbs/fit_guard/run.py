"""Running `fit-guard`: make and read the corrections, fit the models, and write them with a manifest."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import ocrray
from ocrray.corpus.manifest import MANIFEST_NAME
from ocrray.storage import Location
from ocrray.training.guard.fit import GuardFit, fit_guard
from ocrray.verbs import console
from ocrray.verbs.base import Result
from ocrray.verbs.fit_guard.plan import FitGuardPlan
from ocrray.verbs.output import Run, write_run


def run(plan: FitGuardPlan, folder: Location) -> Result:
    """Fit the scorer and write its models, then the manifest; an interrupted run starts anew."""
    started = datetime.now(UTC)
    write_run(folder, Run(plan.fingerprint, plan.settings, started.isoformat(timespec="seconds"), session=""))
    with console.working("Correcting and fitting"):
        fitted = fit_guard(plan.config, Path(folder.path), plan.limit)
    manifest = {
        "ocrray": ocrray.__version__,
        "fingerprint": plan.fingerprint,
        "started_at": started.isoformat(timespec="seconds"),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": plan.resolved(),
        "fitted_on": asdict(fitted),
    }
    folder.write_text(MANIFEST_NAME, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    return _result(plan, fitted)


def show(plan: FitGuardPlan, folder: Location) -> Result:
    """Return the results of a finished run."""
    return _result(plan, GuardFit(**json.loads(folder.read_text(MANIFEST_NAME))["fitted_on"]))


def _result(plan: FitGuardPlan, fitted: GuardFit) -> Result:
    rows = [
        ("corrections", f"{fitted.records:,}"),
        ("spans", f"{fitted.spans:,}, of which {fitted.worse_frac:.1%} make the text worse"),
        ("scorer", f"{plan.config.output.path}  (use it with guard: {{scorer: {plan.config.output.path}}})"),
    ]
    return Result([console.two_columns(rows)])
