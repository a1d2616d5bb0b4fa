"""Statistics of blocks: merged in any order they are those of the whole corpus, and JSON keeps them."""

import json
import random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrray.corpus.groups import GROUPS
from ocrray.corpus.summary import Summary, summarise
from ocrray.errors import OcrrayError
from ocrray.records import SCHEMA

Row = dict[str, Any]
SCHEMA_WITH_TITLE = SCHEMA.append(pa.field("title", pa.string()))


@st.composite
def row_lists(draw: st.DrawFn) -> list[Row]:
    """Rows of every status, with equal texts and ranks among them, and with values of every optional column."""
    number = draw(st.integers(0, 30))
    rng = random.Random(draw(st.integers(0, 2**32)))
    return [random_row(f"id-{n}-ä", rng) for n in range(number)]


def random_row(record_id: str, rng: random.Random) -> Row:
    """One row with few different values, so that ranks are often equal."""
    status = rng.choice(["corrected", "unchanged", "kept_raw", "failed", None])
    truth_chars = rng.choice([None, 0, 4, 7])
    return dict.fromkeys(SCHEMA_WITH_TITLE.names) | {
        "record_id": record_id,
        "status": status,
        "raw_text": rng.choice([None, "", "tbe", "tbé cat"]),
        "corrected_text": rng.choice([None, "the", "the cat"]),
        "ground_truth": None if truth_chars is None else "x" * truth_chars,
        "edits": [{"start": 1, "end": 2, "raw": "b", "corrected": "h" * rng.randint(0, 2)}] * rng.randint(0, 2),
        "tagger_edits": rng.choice([None, []]),
        "estimated_cer": rng.choice([None, 0.0, 0.25, float("nan")]),
        "guard_reason": rng.choice(["digits", "length", "language"]) if status == "kept_raw" else None,
        "failed_stage": "load" if status == "failed" else None,
        "error_kind": rng.choice(["bomb", "truncated"]) if status == "failed" else None,
        "source_kind": rng.choice(["image", "table"]),
        "corrector": rng.choice(["tagger", None]),
        "model": rng.choice(["a", "b"]),
        "input_tokens": rng.choice([None, 10]),
        "gone": rng.choice([None, False, True]),
        "recognize_s": rng.choice([None, 0.5]),
        "ground_truth_chars": truth_chars,
        "raw_distance": None if truth_chars is None else rng.randint(0, 3),
        "corrected_distance": None if truth_chars is None or status == "failed" else rng.randint(0, 3),
        "title": "t",
    }


def block(name: str, rows: list[Row]) -> Summary:
    return Summary.of_block(name, pa.Table.from_pylist(rows, schema=SCHEMA_WITH_TITLE))


def tree_of(summary: Summary) -> Row:
    """The statistics as a JSON object; sums of fractions approximately, because they depend on the order of addition."""
    tree: Row = json.loads(summary.to_json())
    return tree | {"quality": pytest.approx(tree["quality"])}


def merged(parts: list[Summary]) -> Summary:
    whole = Summary()
    for part in parts:
        whole.merge(part)
    return whole


@settings(max_examples=60, deadline=None)
@given(row_lists(), st.integers(1, 5), st.randoms(use_true_random=False))
def test_merge_blocks_in_any_order_and_grouping_gives_equal_statistics(rows: list[Row], files: int, rng: random.Random) -> None:
    """Blocks finish in any order, and a resumed run merges those that were there before."""
    parts = {f"part-{n}.parquet": rows[n::files] for n in range(files)}
    in_order = merged([block(name, part) for name, part in parts.items()])
    shuffled = [block(name, parts[name]) for name in rng.sample(list(parts), files)]
    cut = rng.randint(0, files)
    nested = merged([merged(shuffled[:cut]), merged(shuffled[cut:])])
    assert json.loads(nested.to_json()) == tree_of(in_order)


@settings(max_examples=60, deadline=None)
@given(row_lists())
def test_summary_json_any_rows_reads_back_the_same(rows: list[Row]) -> None:
    """JSON keeps every statistic to the last digit, and a summary read from it can be merged like any other."""
    summary = block("part-000001.parquet", rows)
    again = Summary.from_json(summary.to_json())
    assert again.to_json() == summary.to_json()
    assert again.places == summary.places
    assert again.columns == summary.columns
    assert merged([again, Summary()]).to_json() == summary.to_json()


@settings(max_examples=40, deadline=None)
@given(row_lists())
def test_of_block_groups_hold_the_highest_ranks_of_all_rows(rows: list[Row]) -> None:
    """Candidates of a block are those that sorting all rows would give: rank, then length, then the later row."""
    summary = block("a", rows)
    changes = [sum(max(1, len(edit["corrected"])) for edit in row["edits"]) for row in rows]
    longer = [max(len(row["raw_text"] or ""), len(row["corrected_text"] or ""), 1) for row in rows]
    rates = [min(changed / length, 1.0) for changed, length in zip(changes, longer, strict=True)]
    best = sorted(
        ((rate, len(row["raw_text"] or ""), n) for n, (rate, row) in enumerate(zip(rates, rows, strict=True)) if rate),
        reverse=True,
    )
    assert [place.row for place in summary.groups["changed"].places] == [n for _, _, n in best[:12]]


def test_of_block_files_of_a_corpus_equal_summarise(corpus, rows) -> None:
    """The statistics that a run merges are those that a pass over the finished files gives."""
    mixed = rows.newspaper(300)
    data = corpus(mixed, files=3) / "data"
    parts = [Summary.of_block(path.name, pa.parquet.read_table(path)) for path in sorted(data.iterdir())]
    assert json.loads(merged(parts).to_json()) == tree_of(summarise(data))


def test_of_block_random_sample_is_the_same_records_however_rows_are_cut(rows) -> None:
    """The random sample depends on ids alone: another number of rows a block, or another order, shows the same records."""
    mixed = [row | {"title": "t"} for row in rows.newspaper(200)]
    samples = []
    for size, order in ((200, mixed), (7, mixed), (64, mixed[::-1])):
        cut = {f"{start:03d}": order[start : start + size] for start in range(0, 200, size)}
        summary = merged([block(name, part) for name, part in cut.items()])
        samples.append({cut[place.file][place.row]["record_id"] for place in summary.groups["sample"].places})
    assert samples[0] == samples[1] == samples[2]
    assert len(samples[0]) == 12


def test_of_block_random_of_consecutive_ids_is_uniform() -> None:
    """Ids that differ in a digit only do not crowd together: of 20,000, each tenth of 0..1 gets about 2,000."""
    rows = [dict.fromkeys(SCHEMA_WITH_TITLE.names) | {"record_id": f"line-{n:08d}", "status": "failed"} for n in range(20_000)]
    ranks = [rank for rank, _, _ in block("a", rows).failed_rows["", ""].best]
    assert all(0.9995 < rank < 1 for rank in ranks)  # the 3 highest of 20,000: below 0.9995 once in 2,000 seeds


def test_to_json_of_a_block_with_every_group_filled_is_small(rows) -> None:
    """A footer stays small: 16,000 blocks of a corpus of 256 million rows are merged by one process."""
    reasons = [f"reason-{n}" for n in range(15)]
    refusals = [rows.refusal(f"r{n}", "tbe cat", "the cat", reason=reasons[n % 15], title="t") for n in range(600)]
    failures = [rows.failure(f"f{n}", kind=f"kind-{n % 10}", title="t") for n in range(100)]
    mixed = [row | {"estimated_cer": n / 7000, "warnings": ["no_text"]} for n, row in enumerate(rows.newspaper(600))]
    text = block("part-000123.parquet", [*refusals, *failures, *mixed]).to_json()
    assert len(text) < 12_000
    assert all(Summary.from_json(text).groups[group.name].places for group in GROUPS)


@pytest.mark.parametrize("text", ["", "{}", '{"version": 1}', '{"version": 99}', "[]", "3"])
def test_from_json_damaged_or_of_another_version_raises_one_line(text: str) -> None:
    """Statistics that cannot be read are not taken for an empty corpus."""
    with pytest.raises(OcrrayError, match="statistics") as caught:
        Summary.from_json(text)
    assert "\n" not in str(caught.value)


def test_of_block_without_columns_of_a_corpus_raises_naming_them() -> None:
    """A table that is no corpus has no statistics."""
    with pytest.raises(OcrrayError, match=r"part-1.*raw_text"):
        Summary.of_block("part-1", pa.table({"record_id": ["a"]}))
