"""Groups of records that the report shows as examples; the summary finds them, the report makes a filter of each."""

from collections.abc import Callable
from typing import NamedTuple

from ocrray.corpus.batch import Batch, Flags, Floats, Integers


class ExampleGroup(NamedTuple):
    """Records of a corpus that rank highest by some value."""

    name: str
    title: str
    description: str
    rank: Callable[[Batch], tuple[Flags, Floats | Integers]]
    """Returns a mask of the rows in the group, and the value of each row by which they are ranked."""
    stratum: str = ""
    """Column of strings: each of its values gets an equal share of the group; empty for one ranking."""


GROUPS = (
    ExampleGroup(
        "worst",
        "Worst",
        "Highest character error rate after correction.",
        lambda batch: (batch.has_cer & (batch.integers("corrected_distance") > 0), batch.corrected_cer),
    ),
    ExampleGroup(
        "made_worse",
        "Made worse",
        "Further from the ground truth after correction than before.",
        lambda batch: (batch.has_cer & (_added_errors(batch) > 0), _added_errors(batch)),
    ),
    ExampleGroup(
        "kept_raw",
        "Kept raw",
        "The correction was refused, or none could be made; the raw text is kept.",
        lambda batch: (batch.equals("status", "kept_raw"), batch.random),
        stratum="guard_reason",
    ),
    ExampleGroup(
        "warnings",
        "With warnings",
        "Read, but with something to look at.",
        lambda batch: (batch.given("warnings"), batch.random),
    ),
    ExampleGroup(
        "changed",
        "Most changed",
        "Largest share of the text changed by correction.",
        lambda batch: (batch.changed_frac > 0, batch.changed_frac),
    ),
    ExampleGroup(
        "doubtful",
        "Highest estimated error",
        "Highest error rate that the edit tagger estimates for its own result.",
        lambda batch: (batch.given("estimated_cer") & ~batch.failed, batch.estimated_cer),
    ),
    ExampleGroup(
        "sample",
        "Random sample",
        "Random records among those that did not fail.",
        lambda batch: (~batch.failed, batch.random),
    ),
)
"""All groups, in the order of the report's filters."""


def _added_errors(batch: Batch) -> Integers:
    return batch.integers("corrected_distance") - batch.integers("raw_distance")
