"""Interfaces of a verb: its plan and its result, which can be printed, and the modules that make them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rich.console import RenderableType

from ocrray.config import StrictModel, fingerprint
from ocrray.errors import Problems
from ocrray.storage import Location
from ocrray.storage.faults import DEFAULT_MAX_WAIT_S
from ocrray.verbs.console import Rows
from ocrray.verbs.output import Run, require_same


class OutputSection(Protocol):
    """`output:` section of any config."""

    path: str


class VerbConfig(Protocol):
    """Config of any verb."""

    @property
    def output(self) -> OutputSection: ...


@dataclass(frozen=True, kw_only=True)
class Plan(ABC):
    """Checked settings of a run that can be started."""

    config: StrictModel
    settings: dict[str, Any]
    """Everything that determines the output: only a run with equal settings is resumed. Empty for a verb that does not resume."""
    previous: Run | None = None
    """Earlier run in the output folder, which this one continues; None for a new one."""
    planned_s: float = 0.0
    """Seconds that planning took."""

    @property
    def fingerprint(self) -> str:
        """Return the sha256 of `settings`."""
        return fingerprint(self.settings)

    @property
    def max_wait_s(self) -> float:
        """Return the seconds to wait for a store before the run ends."""
        return DEFAULT_MAX_WAIT_S

    def require_resumable(self, previous: Run, folder: Location) -> None:
        """Check that this plan can go on with the earlier run in `folder`.

        Raises: ConfigError: that lists the settings that differ.
        """
        require_same(folder, previous, self.fingerprint, self.settings)

    @abstractmethod
    def rows(self) -> Rows:
        """Return the rows that a dry run prints below the resolved config."""

    def input_samples(self) -> Sequence[Location]:
        """Return some of the files that workers read: all machines of a cluster must see them."""
        return ()

    def resolved(self) -> dict[str, Any]:
        """Return the config with all defaults filled in, as JSON types."""
        return self.config.model_dump(mode="json")


@dataclass(frozen=True, slots=True)
class Result:
    """Output for the terminal at the end of a run, and the exit code (0, or 1 where too many records failed)."""

    output: Sequence[RenderableType]
    exit_code: int = 0


class PlanModule(Protocol):
    """Module `plan` of a verb."""

    Config: type[StrictModel]

    def make_plan(self, config: Any, limit: int | None, problems: Problems, *, dry_run: bool) -> Plan:
        """Check the config and its input; `limit`: take only the first so many records.

        `dry_run`: write nothing. Otherwise the output folder is locked by this process.

        Raises: ConfigError: with one line for each of `problems` and for each that is found.
        """


class RunModule(Protocol):
    """Module `run` of a verb."""

    def run(self, plan: Any, folder: Location) -> Result:
        """Do the work that is not done yet; a verb that resumes writes `manifest.json` last."""

    def show(self, plan: Any, folder: Location) -> Result:
        """Return the result of a finished run, from its files; a verb that does not resume has no such function."""
