"""Export of a finished corpus: in this process where there are few documents, else in tasks on Ray."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ocrray.corpus.export.corpus import Exported, export_corpus, read_export
from ocrray.corpus.export.documents import InOrder
from ocrray.corpus.manifest import read_manifest
from ocrray.corpus.summary import Summary
from ocrray.sources.kinds import EXPORTED_KINDS, IMAGE_KINDS
from ocrray.storage import Location
from ocrray.verbs import console
from ocrray.verbs.restore.config import RestoreConfig

_MAX_PAGES_HERE = 4_000  # written in the time that Ray takes to start, and two cores to write them then
_SCAN_WEIGHT = 5  # a file of a scan takes as long as so many corrected copies of OCR files
_TASKS = 64
_LEAST_PER_TASK, _MOST_PER_TASK = 32, 1_024


def export(config: RestoreConfig, folder: Location, summary: Summary) -> Exported | None:
    """Write the export, unless the config has none or an earlier call wrote it; the corpus in `folder` must be finished.

    Raises: OcrrayError: when the corpus cannot be read; ConfigError: when Ray cannot be reached or started.
    """
    if config.export is None:
        return None
    if (exported := read_export(folder, config.export)) is not None:
        return exported
    manifest = read_manifest(folder)
    assert manifest is not None
    copies = sum(summary.source_kinds[kind] for kind in EXPORTED_KINDS)
    scans = sum(summary.source_kinds[kind] for kind in IMAGE_KINDS) if config.export.scans else 0
    pages = copies + _SCAN_WEIGHT * len(config.export.scans) * scans
    with console.working("Writing the exported files"), _in_order(pages) as in_order:
        return export_corpus(
            folder,
            config.export,
            finished=manifest.finished,
            max_file_bytes=config.input.max_file_bytes,
            max_pixels=config.input.max_pixels,
            documents_per_task=max(_LEAST_PER_TASK, min(_MOST_PER_TASK, pages // _TASKS)),
            in_order=in_order,
        )


@contextmanager
def _in_order(pages: int) -> Iterator[InOrder]:
    if pages <= _MAX_PAGES_HERE:
        yield map
        return
    # Late, because Ray takes a second to import.
    from ocrray.runtime import cluster
    from ocrray.runtime.listing import in_tasks

    with cluster.connected(os.cpu_count() or 1):
        yield in_tasks
