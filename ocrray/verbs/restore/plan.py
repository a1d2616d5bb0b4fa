"""Planning `restore`: the checks that need no process."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from ocrray.config import StrictModel, fingerprint
from ocrray.corpus.blocks import read_index, read_update
from ocrray.corpus.export.corpus import ExportConfig
from ocrray.corpus.manifest import require_whole
from ocrray.corpus.replay import Selection
from ocrray.engines.base import EngineConfig, EngineInfo
from ocrray.engines.tesseract import TesseractConfig
from ocrray.errors import Problems
from ocrray.guard import check as check_guard
from ocrray.records import SCHEMA_VERSION
from ocrray.sources.input_changes import require_unchanged
from ocrray.sources.input_files import InputFiles, walk_input
from ocrray.sources.kinds import KINDS
from ocrray.sources.walk import Walk
from ocrray.sources.worklist import Listing, count_records
from ocrray.storage import Location
from ocrray.storage.files import FileStat
from ocrray.verbs import console, output
from ocrray.verbs.base import Plan
from ocrray.verbs.console import Rows
from ocrray.verbs.output import Run, require_same
from ocrray.verbs.restore.config import RestoreConfig

Config = RestoreConfig

_KEPT_IN_REPLAY = ("input", "limit", "schema_version")
_SAMPLED_PATHS = 16


@dataclass(frozen=True, kw_only=True)
class RestorePlan(Plan):
    """Records that will be read, and the engines that read and correct them."""

    config: RestoreConfig
    limit: int | None
    files: InputFiles | None
    """Input to be listed, or to go on with; None for a finished run, which is not walked again."""
    listing: Listing | None
    """Counts of the records: None until they are listed, except in a dry run, which counts them itself."""
    recognizer: EngineInfo | None
    router: EngineInfo | None
    corrector: EngineInfo | None

    @property
    def engines(self) -> list[EngineConfig]:
        """Return the configs of the engines that process all records, or some."""
        recognize = self.config.recognize if self.recognizer else None
        return [config for config in (recognize, self.config.route, self.config.extract or self.config.correct) if config]

    @property
    def selection(self) -> Selection | None:
        """Return which records are processed again: those asked for, or else those that failed for a passing reason."""
        if self.config.replay:
            return Selection.parse(self.config.replay)
        return Selection.transient() if self.previous else None

    def require_resumable(self, previous: Run, folder: Location) -> None:
        """Check that the settings are those of the earlier run; a replay may change all that does not define rows and columns."""
        if not self.config.replay and not self.config.update:
            super().require_resumable(previous, folder)
            return
        before, now = (self._kept(settings) for settings in (previous.settings, self.settings))
        require_same(folder, replace(previous, fingerprint=fingerprint(before), settings=before), fingerprint(now), now)

    def _kept(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        kept = {**{key: settings[key] for key in _KEPT_IN_REPLAY}, **_columns_of(settings)}
        return kept | {"input": {**kept["input"], "paths": None}} if self.config.update else kept

    @property
    def unit(self) -> str:
        """Return the word for one record in messages: page or record."""
        return "page" if self.recognizer else "record"

    def require_usable(self, listing: Listing) -> None:
        """Check that the records that were listed can be processed.

        Raises: ConfigError: with one line for each problem that the names of the files did not show.
        """
        problems = Problems(_problems_of_records(self.config, listing))
        problems.checked(output.require_space, Location.at(self.config.output.path), listing.records)
        if not self.recognizer and any(listing.counts[kind] for kind in self.config.input.recognized_kinds):
            problems.append("input.paths: a METS file names scans, which its name does not show: put `mets` into its name")
        problems.raise_if_any()

    @property
    def max_wait_s(self) -> float:
        return self.config.workers.max_wait_s

    def input_samples(self) -> Sequence[Location]:
        """Return the first file of each of the first few paths."""
        firsts = (next(Walk([path]).batches(Counter()))[0] for path in self.config.input.paths[:_SAMPLED_PATHS])
        return [found.location for found in firsts if isinstance(found.stat, FileStat)]

    def rows(self) -> Rows:
        config, listing = self.config, self.listing or Listing()
        rows = [(f"input: {kind}", f"{count:,}") for kind, count in listing.counts.items()]
        rows += [("input: CSV and TSV", listing.tables)] if listing.tables else []
        rows += [
            ("input: skipped files", f"{listing.skipped:,}"),
            ("records", f"{listing.records:,}  ({listing.size_bytes:,} bytes in files)"),
            ("recognize", _engine(self.recognizer)),
        ]
        if config.route:
            rows.append(("route", f"{_engine(self.router)}, sends on records above {config.route.above:.1%} estimated CER"))
        return [
            *rows,
            ("correct", _engine(self.corrector)),
            ("guard", guard_row(config, self.recognizer)),
            ("dehyphenate", "on" if config.dehyphenate else "off"),
            ("export", _export_row(config.export)),
        ]


def make_plan(config: RestoreConfig, limit: int | None, problems: Problems, *, dry_run: bool) -> RestorePlan:
    """Check the config and walk the input, without reading records, except that a dry run counts them.

    The input of a finished run is not even walked.

    Raises: ConfigError: with one line for each problem.
    """
    config = _with_columns_read(config)
    folder = Location.at(config.output.path)
    problems.checked(output.require_writable, folder)
    problems.checked(output.require_apart, folder, config.input.paths)
    previous = problems.checked(_previous_run, folder)
    problems.checked(require_whole, config.input.paths, "input.paths")
    router = _check(problems, config.route, "route")
    corrector = _check(problems, config.extract, "extract") or _check(problems, config.correct, "correct")
    scorer = problems.checked(check_guard, config.guard) if config.guard else None
    is_finished = previous is not None and output.is_finished(folder) and not config.update
    images = config.recognize is not None
    known_mets = _known_mets(folder) if previous else []
    walk = partial(walk_input, config.input, images=images, limit=limit, known_mets=known_mets)
    files = None if is_finished else problems.checked(walk)
    recognizer = _check(problems, config.recognize, "recognize") if _reads_images(config, files, previous) else None
    if files:
        problems += _problems_of_files(config, files)
    if config.update and limit is not None:
        problems.append("update: leave out --limit, an update is of the whole input")
    if config.replay and not previous:
        problems.append(f"replay: there is no earlier run in {config.output.path}")
    problems += config.workers.gpu_problems(config.recognize, config.extract or config.correct)
    problems.raise_if_any()
    listing = _counted(config, limit) if dry_run else None
    engines = {"recognizer": recognizer, "router": router, "corrector": corrector}
    plan = RestorePlan(
        config=config,
        limit=limit,
        files=files,
        listing=listing,
        recognizer=recognizer,
        router=router,
        corrector=corrector,
        settings=_settings(config, engines, scorer, limit),
        previous=previous,
    )
    if files and previous and not config.update and previous.fingerprint == plan.fingerprint:
        _require_unchanged(files, folder, config.output.path)
    return plan


def _settings(
    config: RestoreConfig, engines: Mapping[str, EngineInfo | None], scorer: str | None, limit: int | None
) -> dict[str, Any]:
    """Return everything that determines the output, except the files of the input, which the work list records."""
    sections = ("input", "recognize", "route", "correct", "extract", "guard")
    return {
        **{name: _dumped(getattr(config, name)) for name in sections},
        **{name: info and asdict(info) for name, info in engines.items()},
        "dehyphenate": config.dehyphenate,
        "scorer": scorer,
        "limit": limit,
        "schema_version": SCHEMA_VERSION,
    }


def _previous_run(folder: Location) -> Run | None:
    """Return the run of this folder; None also where it was stopped before its input was listed, for it then has no records."""
    run = output.read_run(folder)
    is_begun = run and (output.is_finished(folder) or read_index(folder.child("_work_list")) or folder.child("data").files(""))
    return run if is_begun else None


def _known_mets(folder: Location) -> list[str]:
    work_list = folder.child("_work_list")
    listing = Listing.load(work_list, read_update(work_list).version)
    return listing.known_mets if listing else []


def _reads_images(config: RestoreConfig, files: InputFiles | None, previous: Run | None) -> bool:
    if files is None:  # of a finished run, unless there are problems anyway
        return bool(previous and previous.settings.get("recognizer"))
    return files.holds_scans(config.input) or bool(config.input.image_column)


def _problems_of_files(config: RestoreConfig, files: InputFiles) -> list[str]:
    """Return what the names of the files show to be wrong; a file's family may be that of several kinds."""
    counts = Counter({kind.name: files.families[kind.family] for kind in KINDS.values()})
    return _problems_of_records(config, Listing(files.count, counts))


def _problems_of_records(config: RestoreConfig, listing: Listing) -> list[str]:
    if not listing.records:
        return ["input.paths: the input holds no records"]
    if config.export and not any(listing.counts[kind] for kind in config.export.kinds):
        scans = " and no scans" if config.export.scans else "; set export.scans for new files of scans"
        return [f"export: the input holds no ALTO, PAGE or hOCR to write corrections into{scans}"]
    return []


def _counted(config: RestoreConfig, limit: int | None) -> Listing:
    with console.working("Counting the records"):
        listing = count_records(config.input, images=config.recognize is not None, limit=limit)
    Problems(_problems_of_records(config, listing)).raise_if_any()
    return listing


def _require_unchanged(files: InputFiles, folder: Location, path: str) -> None:
    work_list = folder.child("_work_list")
    version = read_update(work_list).version
    if listing := Listing.load(work_list, version):
        require_unchanged(files, listing.digest, work_list, path, version)


def _columns_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that define the columns of fields and of the input's table."""
    extract, recognize = settings["extract"], settings["recognize"] or {}
    return {
        "extract": extract and {"fields": extract["fields"], "columns": extract["columns"]},
        "recognize": {"fields": recognize.get("fields")},
    }


def _check(problems: Problems, engine: EngineConfig | None, section: str) -> EngineInfo | None:
    return problems.checked(engine.check, section) if engine else None


def _with_columns_read(config: RestoreConfig) -> RestoreConfig:
    """Return the config with the columns that a stage reads added to `input.passthrough`."""
    engine = config.extract or config.correct
    back = config.extract.columns.back if config.extract else None
    passthrough = dict.fromkeys([*config.input.passthrough, *(engine.input_columns if engine else ())])
    columns = {"passthrough": list(passthrough), "text_column": back or config.input.text_column}
    given = config.correct.given_column if config.correct else None
    source = config.input.model_copy(update=columns).with_answers([given] if given else [])
    return config.model_copy(update={"input": source})


def _dumped(model: StrictModel | None) -> dict[str, Any] | None:
    exclude = set(model.without_effect) if isinstance(model, EngineConfig) else None
    return model.model_dump(mode="json", exclude=exclude) if model else None


def _export_row(config: ExportConfig | None) -> str:
    if config is None:
        return "off"
    return "ALTO, PAGE and hOCR files" + (f"; scans as {', '.join(config.scans)}" if config.scans else "")


def guard_row(config: RestoreConfig, recognizer: EngineInfo | None) -> str:
    """Return what the plan says of the guard: off, on, or which languages of the recognizer its scorer does not know."""
    if config.guard is None:
        return "off"
    languages = config.recognize.languages if recognizer and isinstance(config.recognize, TesseractConfig) else []
    foreign = [language for language in languages if language != "eng"]
    if config.guard.scorer != "default" or config.guard.max_wrong is None or not foreign:
        return "on"
    return f"on; its scorer knows English only: rules and script-neutral signals judge {', '.join(foreign)} (docs/guard.md)"


def _engine(info: EngineInfo | None) -> str:
    return " ".join(filter(None, (info.engine, info.model, info.revision[:12], info.adapter))) if info else "nothing to do"
