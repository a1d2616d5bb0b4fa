"""Planning `fit-guard`: its config, and the checks and checksums of the files that it reads."""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from pydantic import field_validator, model_validator

from ocrray.config import StrictModel
from ocrray.corpus.manifest import MANIFEST_NAME, require_whole
from ocrray.errors import Problems
from ocrray.storage import Location, LocationPath
from ocrray.training.guard.config import CorrectionsConfig
from ocrray.training.guard.corrections import shipped_correctors
from ocrray.training.guard.data import read_labelled
from ocrray.verbs import output
from ocrray.verbs.base import Plan
from ocrray.verbs.console import Rows
from ocrray.verbs.output import Run

_FORMAT_VERSION = 1  # of the files written; raise it when the same input gives another scorer


class GuardOutputConfig(StrictModel):
    """Location of the fitted scorer."""

    path: LocationPath
    """Local folder, to be used with `guard: {scorer: FOLDER}`; relative paths are relative to the working directory."""

    @field_validator("path")
    @classmethod
    def _local(cls, path: str) -> str:
        if "://" in path:
            raise ValueError(f"{path}: a scorer can be written to a local folder only")
        return path


class FitGuardConfig(CorrectionsConfig):
    """One complete run of `ocrray fit-guard`."""

    output: GuardOutputConfig

    @model_validator(mode="after")
    def _something_to_fit_on(self) -> Self:
        if not self.synthetic and not self.labelled:
            raise ValueError("set synthetic, labelled or both: there is nothing to fit on")
        return self


Config = FitGuardConfig


@dataclass(frozen=True, kw_only=True)
class FitGuardPlan(Plan):
    """Corrections to fit on."""

    config: FitGuardConfig
    limit: int | None
    labelled: int
    """Number of corrections that `labelled` names."""

    def rows(self) -> Rows:
        rows = [("language", ", ".join(map(str, self.config.language)) or "that of the default scorer")]
        if synthetic := self.config.synthetic:
            rows.append(("excerpts to make", f"{min(synthetic.records, self.limit or synthetic.records):,}"))
            rows += [
                ("corrector", f"{info['engine']} {info['model']} {info['revision']}") for info in self.settings["correctors"]
            ]
        if self.config.labelled:
            rows.append(("labelled corrections", f"{self.labelled:,}"))
        return rows


def make_plan(config: FitGuardConfig, limit: int | None, problems: Problems, *, dry_run: bool) -> FitGuardPlan:  # noqa: ARG001 - it writes nothing
    """Check that every file can be read; `limit` caps the excerpts, the pages and the labelled corrections of each file.

    Raises: ConfigError: with one line for each problem.
    """
    previous = problems.checked(lambda: _previous_run(config.output.path))
    if config.synthetic:
        problems.checked(require_whole, map(str, config.synthetic.pages), "synthetic.pages")
    checksums = problems.checked(lambda: _checksums(config)) or {}
    labelled = problems.checked(lambda: _count_labelled(config, limit)) if checksums else None
    problems.raise_if_any()
    settings = {
        **config.model_dump(mode="json", exclude={"output"}),
        "checksums": checksums,
        "correctors": [asdict(info) for info in shipped_correctors()] if config.synthetic else [],
        "limit": limit,
        "format_version": _FORMAT_VERSION,
    }
    return FitGuardPlan(config=config, limit=limit, labelled=labelled or 0, settings=settings, previous=previous)


def _previous_run(path: str) -> Run | None:
    folder = Location.at(path)
    output.require_writable(folder)
    return output.read_run(folder)


def _count_labelled(config: FitGuardConfig, limit: int | None) -> int:
    return sum(1 for _ in read_labelled(config.labelled, limit)) if config.labelled else 0


def _checksums(config: FitGuardConfig) -> dict[str, str]:
    """Return the sha256 of every file that is read; the manifest stands for a folder of pages.

    Raises: ConfigError: with one line for each file that cannot be read.
    """
    inputs: dict[str, Iterable[Path]] = {"language": config.language}
    if synthetic := config.synthetic:
        inputs["synthetic.texts"] = synthetic.texts
        inputs["synthetic.noise"] = [synthetic.noise] if synthetic.noise else []
        inputs["synthetic.pages"] = [folder / MANIFEST_NAME for folder in synthetic.pages]
    if config.labelled:
        inputs["labelled.paths"] = config.labelled.paths
    problems, checksums = Problems(), {}
    for key, paths in inputs.items():
        for path in paths:
            try:
                with path.open("rb") as file:
                    checksums[str(path)] = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                problems.append(f"{key}: {path} cannot be read: {error.strerror}")
    problems.raise_if_any()
    return checksums
