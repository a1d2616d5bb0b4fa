"""The verb `synthesize`: clean text in, pairs of it and of the same text with OCR errors out."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import yaml
from rich.console import Console
from rich.table import Table

from ocrray.corpus.pairs import gather, made_batches
from ocrray.corpus.pairs_card import Origin, PairsManifest, read_manifest, write_card, write_manifest
from ocrray.errors import OcrrayError
from ocrray.folder import Folder
from ocrray.runtime import output as output_folder
from ocrray.runtime import terminal
from ocrray.runtime.output import Run
from ocrray.runtime.resources import block_rows
from ocrray.runtime.synthesize_plan import (
    Plan,
    SynthesizeConfig,
    fit_pairs,
    make_plan,
    recognizer_config,
    write_work_lists,
)
from ocrray.synth.clean import straighten
from ocrray.synth.noise import NoiseModel

if TYPE_CHECKING:
    import ray

_NOISE_FILE = "noise.json"
_BLOCK_ROWS = {"pages": (1, 16), "noise": (64, 512)}  # least and most that are committed together: seconds of one worker's work
_MAX_FIT_CHARS = 5_000_000  # more teaches the noise model hardly anything new
_SCRATCH = ("_made", "_checkpoint", "_work_list")


def synthesize(config: SynthesizeConfig, limit: int | None) -> int:
    """Run `config` to its end, or go on with it where an earlier run stopped; returns the exit code 0."""
    folder = Folder.at(config.output.path)
    with output_folder.locked(folder, lambda problem: make_plan(config, limit, known_problems=[problem])):
        with terminal.working("Reading the input"):
            plan = make_plan(config, limit)
            manifest = read_manifest(folder) if plan.previous else None
            if not plan.previous:
                write_work_lists(plan, folder)
        elapsed_s = None
        if not manifest:
            begun = time.monotonic()
            _run(plan, folder)
            with terminal.working("Gathering the pairs"):
                manifest = _finish(plan, folder)
            elapsed_s = time.monotonic() - begun
        for name in _SCRATCH:
            _delete(folder.child(name))
    _print_result(manifest, config.output.path, elapsed_s=elapsed_s)
    return 0


def _run(plan: Plan, folder: Folder) -> None:
    # Late, because Ray takes a second to import and a plan needs none of it.
    from ocrray.runtime import cluster
    from ocrray.runtime.monitor import monitored

    previous = plan.previous
    if previous:
        cluster.end_session(previous.session)
    started_at = previous.started_at if previous else datetime.now(UTC).isoformat(timespec="seconds")
    # One CPU for tasks that read and write beside the pool, and one for the filter that Ray Data starts to resume.
    with cluster.connected((plan.config.workers or os.cpu_count() or 1) + 2) as session, monitored(folder) as monitor:
        output_folder.write_run(folder, Run(plan.fingerprint, plan.settings, started_at, session))
        if "pages" in plan.counts:
            _make_pages(plan, folder, monitor)
        if "noise" in plan.counts:
            _make_noise(plan, folder, monitor)


def _make_pages(plan: Plan, folder: Folder, monitor: "ray.actor.ActorHandle") -> None:
    from ocrray.runtime.pairs import MakePages

    config = plan.config
    arguments = (config.pages, recognizer_config(config.pages), plan.fonts, config.seed, folder)
    _run_phase("pages", MakePages, arguments, plan, folder, monitor)


def _make_noise(plan: Plan, folder: Folder, monitor: "ray.actor.ActorHandle") -> None:
    from ocrray.runtime.pairs import MakeNoise

    with terminal.working("Fitting the noise model"):
        model = _noise_model(plan, folder)
    _run_phase("noise", MakeNoise, (plan.config.noise, model, plan.config.seed), plan, folder, monitor)


def _run_phase(phase: str, worker: type, arguments: tuple, plan: Plan, folder: Folder, monitor: "ray.actor.ActorHandle") -> None:
    import ray

    from ocrray.runtime import cluster, pairs
    from ocrray.runtime.monitor import ProgressDisplay

    count = plan.counts[phase]
    done = output_folder.committed_records(folder.child("_checkpoint").child(phase))
    if done == count:
        return
    ray.get(monitor.begin_phase.remote())
    least, most = _BLOCK_ROWS[phase]
    with ProgressDisplay(monitor, count, done, phase, statuses=pairs.STATUSES):
        pairs.run_phase(
            phase,
            worker,
            arguments,
            folder,
            monitor,
            rows_per_block=max(least, block_rows(count, most)),
            workers=plan.config.workers,
            on_cluster=cluster.is_remote(),
        )


def _noise_model(plan: Plan, folder: Folder) -> NoiseModel:
    """The model of this run, written down when it is first needed, so that a resumed run goes on with the very same."""
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / _NOISE_FILE
        try:
            path.write_text(folder.read_text(_NOISE_FILE), encoding="utf-8")
        except FileNotFoundError:
            config = plan.config.noise
            if config.model:
                model = NoiseModel.load(config.model)
            else:
                model = _fitted(fit_pairs(config.fit) if config.fit else _page_pairs(folder))
            model.save(path)
            folder.write_text(_NOISE_FILE, path.read_text(encoding="utf-8"))
        return NoiseModel.load(path)


def _fitted(pairs: Iterable[tuple[str, str]]) -> NoiseModel:
    # Which quotation marks a printer or a transcriber used is no error of recognition.
    straight = [(straighten(clean), straighten(read)) for clean, read in _first_chars(pairs)]
    if not straight:
        raise OcrrayError("noise: there is no pair to fit the noise model on; look at why pages were dropped, or at noise.fit")
    return NoiseModel.fit(straight)


def _first_chars(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    chars = 0
    for clean, read in pairs:
        yield clean, read
        chars += len(clean)
        if chars >= _MAX_FIT_CHARS:
            return


def _page_pairs(folder: Folder) -> Iterator[tuple[str, str]]:
    for rows in made_batches(folder.child("_made").child("pages")):
        made = rows.filter(pc.is_null(rows["drop_reason"]))
        yield from zip(made["gt"].to_pylist(), made["ocr"].to_pylist(), strict=True)


def _finish(plan: Plan, folder: Folder) -> PairsManifest:
    """Gather the pairs, and write the card and, last, the manifest: its presence means that all else is there."""
    made = folder.child("_made")
    summary = gather({phase: made.child(phase) for phase in plan.counts}, folder)
    resolved = plan.config.model_dump(mode="json")
    origin = Origin(
        passages=plan.passages,
        files=plan.text.files,
        unusable=plan.text.unusable,
        recognizer=" ".join(filter(None, (plan.recognizer.engine, plan.recognizer.model))) if plan.recognizer else "",
        noise_origin=_noise_origin(plan),
        asked=plan.counts,
    )
    write_card(folder, summary=summary, config=resolved, origin=origin)
    started = datetime.fromisoformat(output_folder.read_run(folder).started_at)
    return write_manifest(
        folder, summary=summary, asked=plan.counts, fingerprint=plan.fingerprint, config=resolved, started=started
    )


def _noise_origin(plan: Plan) -> str:
    config = plan.config.noise
    if not config:
        return ""
    if config.fit:
        return f"fitted on pairs of {', '.join(config.fit.paths)}"
    return f"loaded from {config.model}" if config.model else "fitted on the pages above"


def _delete(folder: Folder) -> None:
    with suppress(FileNotFoundError):  # when the run was finished before
        folder.filesystem.delete_dir(folder.path)


def _two_columns() -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def print_plan(plan: Plan) -> None:
    """Print what a run of this plan would do."""
    table = _two_columns()
    table.add_row("input: files", f"{plan.text.files:,}")
    table.add_row("input: passages", f"{plan.passages:,}")
    for reason, records in plan.text.unusable.most_common():
        table.add_row(f"input: unusable, {reason}", f"{records:,}")
    for phase, count in plan.counts.items():
        table.add_row(phase, f"{count:,}")
    if plan.recognizer:
        table.add_row("recognizer", f"{plan.recognizer.engine} {plan.recognizer.model} {plan.recognizer.revision}")
        table.add_row("fonts", ", ".join(plan.fonts))
    if plan.config.noise:
        table.add_row("noise model", _noise_origin(plan))
    table.add_row("output", f"{plan.config.output.path}  ({'goes on with an earlier run' if plan.previous else 'new'})")
    table.add_row("fingerprint", plan.fingerprint)
    console = Console(soft_wrap=True)
    console.print(yaml.safe_dump(plan.config.model_dump(mode="json"), sort_keys=False, allow_unicode=True), markup=False)
    console.print(table)


def _print_result(manifest: PairsManifest, output: str, *, elapsed_s: float | None) -> None:
    table = _two_columns()
    for kind, made in manifest.kinds.items():
        table.add_row(kind, f"{made.pairs:,} pairs, {made.chars:,} characters, CER {made.cer or 0:.2%}")
    for reason, count in manifest.dropped.items():
        table.add_row(f"dropped: {reason}", f"{count:,}  ({manifest.drop_examples[reason]}, for instance)")
    if elapsed_s:
        table.add_row("time", f"{elapsed_s:,.1f} s (workers' start included)")
    table.add_row("pairs", f"{output}/data")
    table.add_row("card", f"{output}/README.md")
    Console(soft_wrap=True).print(table)
