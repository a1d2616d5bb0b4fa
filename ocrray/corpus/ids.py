"""Search for duplicate record ids: exact, in 8 bytes a record."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow.parquet as pq

from ocrray.corpus.examples import BATCH_ROWS
from ocrray.storage import Location


def duplicate_ids(folder: Location, names: Sequence[str], limit: int = 5) -> list[str]:
    """Return up to `limit` record ids that occur more than once in the Parquet files `names`; empty if all are unique.

    Ids are hashed to 64 bits and sorted; ids whose hashes are equal are read again and compared.
    """
    rows = sum(pq.read_metadata(f"{folder.path}/{name}", filesystem=folder.filesystem).num_rows for name in names)
    hashes = np.empty(rows, dtype=np.int64)
    start = 0
    for ids in _batches(folder, names):
        hashes[start : start + len(ids)] = np.fromiter(map(hash, ids), np.int64, len(ids))
        start += len(ids)
    hashes.sort()
    suspects = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    # Nearly every suspect is a real duplicate, so the first thousand suffice.
    for first in range(0, len(suspects), 1000):
        chosen = set(suspects[first : first + 1000].tolist())
        seen = Counter(record_id for ids in _batches(folder, names) for record_id in ids if hash(record_id) in chosen)
        if duplicates := sorted(record_id for record_id, times in seen.items() if times > 1):
            return duplicates[:limit]
    return []


def _batches(folder: Location, names: Sequence[str]) -> Iterator[list[str]]:
    for name in names:
        with pq.ParquetFile(f"{folder.path}/{name}", filesystem=folder.filesystem) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=["record_id"]):
                yield batch["record_id"].fill_null("").to_pylist()
