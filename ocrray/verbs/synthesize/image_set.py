"""End of a run that makes a set of images: the set, its card and its manifest."""

from collections import Counter

from ocrray.corpus.image_set_card import ImageSetManifest, Origin, read_manifest, write_card, write_manifest
from ocrray.corpus.image_sets import write_set
from ocrray.storage import Location
from ocrray.verbs.console import Rows
from ocrray.verbs.session import started_at
from ocrray.verbs.synthesize.plan import SynthesizePlan


def finish(plan: SynthesizePlan, folder: Location) -> Rows:
    """Write the set, its card and, last, the manifest: a folder that has one is complete. Return the rows to print."""
    assert plan.config.image_set is not None
    name, part = plan.config.image_set
    summary = write_set(folder.child("_made").child(name), folder, name, part.format, part.instruction)
    resolved, text = plan.resolved(), plan.text
    origin = Origin(plan.passages, text.files, text.unusable) if text else Origin(0, 0, Counter())
    write_card(folder, name=name, summary=summary, about=plan.config.output, config=resolved, origin=origin)
    manifest = write_manifest(
        folder,
        summary=summary,
        requested=plan.counts[name],
        fingerprint=plan.fingerprint,
        config=resolved,
        started=started_at(folder),
    )
    return _rows(manifest, plan)


def result_rows(plan: SynthesizePlan, folder: Location) -> Rows:
    """Return the rows to print for a finished run."""
    return _rows(read_manifest(folder), plan)


def _rows(manifest: ImageSetManifest, plan: SynthesizePlan) -> Rows:
    assert plan.config.image_set is not None
    name, part = plan.config.image_set
    rows = [(kind, f"{images:,} images, {manifest.chars[kind]:,} characters of text") for kind, images in manifest.images.items()]
    rows += [
        (f"dropped: {reason}", f"{count:,}  (for instance: {manifest.drop_examples[reason]})")
        for reason, count in manifest.dropped.items()
    ]
    folder = plan.config.output.path
    places = (
        [f"{folder}/data"] if part.format == "parquet" else [f"{folder}/{kind}/{name}.{part.format}" for kind in manifest.images]
    )
    return [*rows, (name, ", ".join(places)), ("card", f"{folder}/README.md")]
