"""Running `synthesize`: pairs or images are made on Ray, then gathered; card and manifest come last."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from ocrray.corpus.blocks import cut_blocks, part_rows, read_footers, read_index, write_index
from ocrray.corpus.pairs import gather, made_batches
from ocrray.corpus.pairs_card import Origin, PairsManifest, read_manifest, write_card, write_manifest
from ocrray.errors import ConfigError
from ocrray.runtime.resources import block_rows
from ocrray.storage import Location
from ocrray.synth.config import NoiseConfig, PagesConfig
from ocrray.synth.corrupt_config import CorruptConfig
from ocrray.synth.corrupt_prompt import EXAMPLES, Example
from ocrray.synth.image_set import ImageSetConfig
from ocrray.synth.noise import NoiseModel, fit_recognition_errors
from ocrray.verbs import console
from ocrray.verbs.base import Result
from ocrray.verbs.session import ray_session, started_at
from ocrray.verbs.synthesize import image_set
from ocrray.verbs.synthesize.plan import SynthesizePlan
from ocrray.verbs.synthesize.text import fit_pairs

if TYPE_CHECKING:
    from ocrray.runtime.monitor import MonitorHandle

_NOISE_FILE = "noise.json"
_BLOCK_ROWS = {
    "pages": (1, 16),
    "noise": (64, 512),
    "corrupt": (3, 32),
    "lines": (32, 256),
    "documents": (2, 32),
}  # minimum and maximum committed together: seconds of one worker's time
_MAX_EXAMPLES = 2_000  # they travel to every worker
_SCRATCH = ("_made", "_work_list")


def run(plan: SynthesizePlan, folder: Location) -> Result:
    """Make the pairs that are not committed yet, then write data, card and manifest."""
    begun = time.monotonic()
    # One CPU for tasks that read and write beside the pool.
    with ray_session(plan, folder, (plan.config.workers or os.cpu_count() or 1) + 1) as monitor:
        if plan.config.pages:
            _make_pages(plan, plan.config.pages, folder, monitor)
        if plan.config.noise:
            _make_noise(plan, plan.config.noise, folder, monitor)
        if plan.config.corrupt:
            _make_corrupted(plan, plan.config.corrupt, folder, monitor)
        if plan.config.image_set:
            _make_images(plan, *plan.config.image_set, folder, monitor)
    with console.working("Gathering what was made"):
        rows = image_set.finish(plan, folder) if plan.config.image_set else _result_rows(_finish(plan, folder), plan)
    return _result(rows, folder, elapsed_s=time.monotonic() - begun)


def show(plan: SynthesizePlan, folder: Location) -> Result:
    """Return the counts of a finished run."""
    if plan.config.image_set:
        return _result(image_set.result_rows(plan, folder), folder, elapsed_s=None)
    manifest = read_manifest(folder)
    assert manifest is not None
    return _result(_result_rows(manifest, plan), folder, elapsed_s=None)


def _result(rows: console.Rows, folder: Location, *, elapsed_s: float | None) -> Result:
    for name in _SCRATCH:
        with suppress(FileNotFoundError):  # an earlier call may have deleted it
            folder.filesystem.delete_dir(folder.child(name).path)
    if elapsed_s:
        rows = [*rows, ("time", f"{elapsed_s:,.1f} s (workers' start included)")]
    return Result([console.two_columns(rows)])


def _make_pages(plan: SynthesizePlan, config: PagesConfig, folder: Location, monitor: "MonitorHandle") -> None:
    from ocrray.runtime.synthesis import MakePages

    arguments = (config, plan.fonts, plan.config.seed, folder)
    _run_phase("pages", MakePages, arguments, plan, folder, monitor)


def _make_noise(plan: SynthesizePlan, config: NoiseConfig, folder: Location, monitor: "MonitorHandle") -> None:
    from ocrray.runtime.synthesis import MakeNoise

    with console.working("Fitting the noise model"):
        model = _noise_model(config, folder)
    _run_phase("noise", MakeNoise, (config, model, plan.config.seed), plan, folder, monitor)


def _make_corrupted(plan: SynthesizePlan, config: CorruptConfig, folder: Location, monitor: "MonitorHandle") -> None:
    from ocrray.runtime.synthesis import MakeCorrupted

    pool = {
        "workers": config.pool_workers(plan.config.workers),
        "num_gpus": config.gpus,
        "blocks_at_once": config.blocks_at_once,
    }
    _run_phase("corrupt", MakeCorrupted, (config, _examples(config), plan.config.seed), plan, folder, monitor, **pool)


def _make_images(plan: SynthesizePlan, name: str, config: ImageSetConfig, folder: Location, monitor: "MonitorHandle") -> None:
    from ocrray.runtime.image_synthesis import MakeImages

    _run_phase(name, MakeImages, (config, plan.fonts, plan.config.seed), plan, folder, monitor)


def _examples(config: CorruptConfig) -> Sequence[Example]:
    """Return the examples to show, at most `_MAX_EXAMPLES` of the user's own, drawn evenly from all of them.

    Raises: ConfigError: when the user's own are none.
    """
    if not config.examples:
        return EXAMPLES
    longest = config.chars[1]
    usable = [Example(text, read) for text, read in fit_pairs(config.examples) if max(len(text), len(read)) <= longest]
    if not usable:
        raise ConfigError(
            f"corrupt.examples: no pair of at most {longest:,} characters (corrupt.chars) in {config.examples.paths}"
        )
    return usable[:: -(-len(usable) // _MAX_EXAMPLES)]


def _run_phase(
    phase: str,
    worker: type[Any],
    arguments: tuple[Any, ...],
    plan: SynthesizePlan,
    folder: Location,
    monitor: "MonitorHandle",
    **pool: Any,
) -> None:
    """Make the missing pairs of a phase; `pool` is how many workers make them, and with what, unless with a CPU each."""
    from ocrray.runtime import cluster, synthesis
    from ocrray.runtime.monitor import ProgressDisplay

    count = plan.counts[phase]
    work_list = folder.child("_work_list").child(phase)
    if (blocks := read_index(work_list)) is None:
        least, most = _BLOCK_ROWS[phase]
        blocks = cut_blocks(part_rows(work_list), max(least, block_rows(count, most)))
        write_index(work_list, blocks)
    made = folder.child("_made").child(phase)
    if not (missing := [block for block, footer in read_footers(made, blocks) if footer is None]):
        return
    done = count - sum(block.rows for block in missing)
    with ProgressDisplay(monitor, count, done, phase, statuses=synthesis.STATUSES):
        pool = {"workers": plan.config.workers, "num_cpus": 1, "on_cluster": cluster.is_remote(), **pool}
        synthesis.run_phase(phase, worker, arguments, folder, missing, monitor, **pool)


def _noise_model(config: NoiseConfig, folder: Location) -> NoiseModel:
    """Return the model of this run, saved when it is first needed so that a resumed run uses the same."""
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / _NOISE_FILE
        try:
            path.write_text(folder.read_text(_NOISE_FILE), encoding="utf-8")
        except FileNotFoundError:
            if config.model:
                model = NoiseModel.load(config.model)
            else:
                model = fit_recognition_errors(fit_pairs(config.fit) if config.fit else _page_pairs(folder))
            model.save(path)
            folder.write_text(_NOISE_FILE, path.read_text(encoding="utf-8"))
        return NoiseModel.load(path)


def _page_pairs(folder: Location) -> Iterator[tuple[str, str]]:
    for rows in made_batches(folder.child("_made").child("pages")):
        made = rows.filter(pc.is_null(rows["drop_reason"]))
        yield from zip(made["gt"].to_pylist(), made["ocr"].to_pylist(), strict=True)


def _finish(plan: SynthesizePlan, folder: Location) -> PairsManifest:
    """Gather the pairs and write the card and, last, the manifest: a folder that has one is complete."""
    assert plan.text is not None
    made = folder.child("_made")
    summary = gather({phase: made.child(phase) for phase in plan.counts}, folder)
    resolved = plan.resolved()
    origin = Origin(
        passages=plan.passages,
        files=plan.text.files,
        unusable=plan.text.unusable,
        recognizer=" ".join(filter(None, (plan.recognizer.engine, plan.recognizer.model))) if plan.recognizer else "",
        noise_origin=plan.noise_origin(),
        language_model=plan.corruptor.model if plan.corruptor else "",
        requested=plan.counts,
    )
    write_card(folder, summary=summary, about=plan.config.output, config=resolved, origin=origin)
    return write_manifest(
        folder,
        summary=summary,
        requested=plan.counts,
        fingerprint=plan.fingerprint,
        config=resolved,
        started=started_at(folder),
    )


def _result_rows(manifest: PairsManifest, plan: SynthesizePlan) -> console.Rows:
    rows = [
        (kind, f"{made.pairs:,} pairs, {made.chars:,} characters, CER {made.cer or 0:.2%}")
        for kind, made in manifest.kinds.items()
    ]
    rows += [
        (f"dropped: {reason}", f"{count:,}  (for instance: {manifest.drop_examples[reason]})")
        for reason, count in manifest.dropped.items()
    ]
    folder = plan.config.output.path
    return [*rows, ("pairs", f"{folder}/data"), ("card", f"{folder}/README.md")]
