"""From tables to prepared samples: files, split, order, and counts of dropped rows."""

import csv
import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny_runs
from hypothesis import given, settings
from hypothesis import strategies as st

from ocrray.errors import ConfigError
from ocrray.training import prepared
from ocrray.training.config import TrainConfig
from ocrray.training.data import draws, find_files
from ocrray.training.history import DataPart
from ocrray.training.layouts import PlainLayout
from ocrray.training.packing import Packed
from ocrray.training.samples import SAMPLES, Column
from ocrray.training.settings import DataConfig

COLUMNS = (Column("source", "ocr"), Column("target", "gt"))
PAIRS = [{"ocr": f"tbe {number} dogs", "gt": f"the {number} dogs", "doc": f"d{number // 10}"} for number in range(300)]


def run(**about: Any) -> TrainConfig:
    """A run of a byte-level model on these data."""
    return tiny_runs.config(
        Path("out"),
        task={"kind": "correction", "prompt": "plain"},
        model={"architecture": {"model_type": "llama"}, "tokenizer": "bytes"},
        method={"kind": "from_scratch"},
        data=about,
    )


def write(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    """The rows as the format that the name says; returns the path."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=50)
        return str(path)
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w", encoding="utf-8", newline="") as file:
        if ".jsonl" in path.name:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            table = csv.DictWriter(file, rows[0], delimiter="\t" if ".tsv" in path.name else ",")
            table.writeheader()
            table.writerows(rows)
    return str(path)


@pytest.fixture(scope="module")
def connection(ray_cluster: str) -> Iterator[None]:
    """One connection for all tests here, so that they share their worker processes."""
    from ocrray.runtime import cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", ray_cluster)
        with cluster.connected(2):
            yield


@pytest.fixture
def prepare(connection: None, tmp_path: Path) -> Any:  # noqa: ARG001
    """`prepare(config, limit)`, in the session's cluster, into the folder that `prepare.folder` is."""
    from ocrray.runtime import samples

    def call(config: TrainConfig, limit: int | None = None) -> prepared.Prepared:
        return samples.prepare(config, call.folder, limit)

    call.folder = tmp_path / "prepared"
    return call


def texts(folder: Path, part: str) -> list[str]:
    """The sources of a part's samples, in their order."""
    return prepared.read_part(folder, part)["source"].to_pylist()


def test_prepare_reads_every_format_in_the_order_of_the_files(prepare, tmp_path):
    """JSON lines, CSV, TSV and Parquet, plain and gzipped, give their rows one after another; a validation file is held out."""
    names = ["a.jsonl", "b.csv", "c.parquet", "d.tsv.gz", "e.jsonl.gz"]
    files = [write(tmp_path / name, PAIRS[60 * i : 60 * i + 60]) for i, name in enumerate(names)]
    held_out = write(tmp_path / "held_out.jsonl", [{"ocr": "a b", "gt": "a b"}])

    result = prepare(run(train=files, validation=[held_out]))

    assert texts(prepare.folder, "train") == [pair["ocr"] for pair in PAIRS]
    assert texts(prepare.folder, "validation") == ["a b"]
    assert [(part.rows, part.samples, part.dropped) for part in result.parts] == [(300, 300, {}), (1, 1, {})]
    assert result.parts[0].tokens == sum(len(pair["ocr"]) + 1 + len(pair["gt"]) + 1 for pair in PAIRS)


def test_prepare_split_holds_out_whole_groups_however_the_work_is_divided(prepare, tmp_path, monkeypatch):
    """The same rows are held out, and in one order, be they one block or dozens; no document is on both sides."""
    config = run(train=[write(tmp_path / "a.parquet", PAIRS)], validation_frac=0.2, group_column="doc")
    prepare(config)
    first = {part: texts(prepare.folder, part) for part in prepared.PARTS}
    monkeypatch.setattr("ocrray.runtime.samples._BLOCK_BYTES", 4_000)
    prepare.folder = tmp_path / "again"
    prepare(config)

    documents = {part: {int(text.split()[1]) // 10 for text in first[part]} for part in prepared.PARTS}
    assert {part: texts(prepare.folder, part) for part in prepared.PARTS} == first
    assert len(list((prepare.folder / "train").glob("*.parquet"))) > 1
    assert 2 <= len(documents["validation"]) <= 12
    assert not documents["train"] & documents["validation"]
    assert len(first["train"]) + len(first["validation"]) == 300


def test_prepare_counts_what_it_drops_and_refuses_to_drop_much(prepare, tmp_path):
    """Each reason is in the table; what was prepared then is not taken for complete."""
    lines = [json.dumps(pair) for pair in PAIRS[:90]]
    bad = [
        "not json",
        '{"ocr": 5, "gt": "five"}',
        '{"ocr": "", "gt": "x"}',
        '{"ocr": "x"}',
        json.dumps({"ocr": "x" * 2000, "gt": "x"}),
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join([*lines, *bad]), encoding="utf-8")
    held_out = write(tmp_path / "held_out.jsonl", PAIRS[:2])
    about = {"train": [str(path)], "validation": [held_out]}

    with pytest.raises(ConfigError) as refusal:
        prepare(run(**about, max_dropped_frac=0.05))
    assert prepared.read_prepared(prepare.folder) is None
    result = prepare(run(**about, max_dropped_frac=0.06))
    assert len(texts(prepare.folder, "train")) == 90
    with pytest.raises(ConfigError):  # also of samples that a laxer run left behind
        prepare(run(**about, max_dropped_frac=0.05))
    reasons = {"bad_json": 1, "wrong_type": 1, "empty_source": 1, "empty_target": 1, "too_long": 1}
    assert result.parts[0].dropped == reasons
    assert (result.parts[0].rows, result.parts[0].samples) == (95, 90)
    assert all(reason in str(refusal.value) for reason in ["max_dropped_frac", "5.3%", *reasons])


def test_prepare_again_reuses_what_still_holds(prepare, tmp_path):
    """Nothing is made anew for the same rows; another file, limit or prompt makes all anew."""
    path = write(tmp_path / "a.jsonl", PAIRS)
    config = run(train=[path], validation_frac=0.3)
    first = prepare(config)
    made = (prepare.folder / "summary.json").stat().st_mtime_ns
    assert prepare(config) == first
    assert (prepare.folder / "summary.json").stat().st_mtime_ns == made

    limited = prepare(config, limit=100)
    assert sum(part.rows for part in limited.parts) == 100
    write(Path(path), PAIRS[:200])
    assert sum(part.rows for part in prepare(config).parts) == 200
    assert {int(text.split()[1]) for part in prepared.PARTS for text in texts(prepare.folder, part)} == set(range(200))


def test_prepare_edit_tagging_chooses_the_same_labels_however_the_work_is_divided(prepare, tmp_path, monkeypatch):
    """The survey of the training rows gives the facts, and every text its windows."""
    config = tiny_runs.tagging(Path("out"), data={"train": [write(tmp_path / "a.jsonl", PAIRS)], "validation_frac": 0.1})
    facts = prepare(config).facts
    monkeypatch.setattr("ocrray.runtime.samples._BLOCK_BYTES", 4_000)
    prepare.folder = tmp_path / "again"

    assert prepare(config).facts == facts == {"labels": ["keep", "write:h"]}


def test_read_samples_puts_files_in_any_order_into_that_of_the_rows(tmp_path):
    """Names of files say nothing; dropped rows are no samples; packing keeps all tokens."""
    rows = [{"input_ids": [n] * 5, "labels": [n] * 5, "length": 5, "row": n, "dropped": None} for n in range(8)]
    rows[2] = {"row": 2, "dropped": "too_long"}
    (tmp_path / "train").mkdir()
    for name, part in (("a", rows[4:]), ("b", rows[:4])):
        pq.write_table(pa.Table.from_pylist(part, schema=SAMPLES), tmp_path / "train" / f"{name}.parquet")

    plain = prepared.read_samples(run(train=["x"]), tmp_path, "train", tmp_path / "cache")
    packed = prepared.read_samples(
        run(train=["x"], grouping="packed", max_length_tokens=12), tmp_path, "train", tmp_path / "cache"
    )

    assert [int(sample["input_ids"][0]) for sample in plain] == [0, 1, 3, 4, 5, 6, 7]
    assert isinstance(packed, Packed)
    assert [sorted(set(packed[i]["input_ids"].tolist())) for i in range(len(packed))] == [[0, 1], [3, 4], [5, 6], [7]]


def test_read_samples_of_a_task_without_images_has_no_image_column(tmp_path):
    """Text tasks do not carry an empty column into every batch."""
    (tmp_path / "train").mkdir()
    row = {"input_ids": [1], "labels": [1], "length": 1, "row": 0}
    pq.write_table(pa.Table.from_pylist([row], schema=SAMPLES), tmp_path / "train" / "a.parquet")

    samples = prepared.read_samples(run(train=["x"]), tmp_path, "train", tmp_path / "cache")

    assert set(samples[0]) == {"input_ids", "labels", "length"}


def test_read_samples_of_a_task_with_images_keeps_references_undecoded(tmp_path, monkeypatch):
    """The collator gets bytes or a path for each image, as `open_image` takes them."""
    (tmp_path / "train").mkdir()
    images = [{"bytes": b"png", "path": None}, {"bytes": None, "path": "/a.png"}]
    row = {"input_ids": [1], "labels": [1], "length": 1, "row": 0, "images": images}
    pq.write_table(pa.Table.from_pylist([row], schema=SAMPLES), tmp_path / "train" / "a.parquet")
    monkeypatch.setattr("ocrray.training.tasks.correction.CorrectionTask.columns", lambda _: (Column("image", "image", "image"),))

    samples = prepared.read_samples(run(train=["x"]), tmp_path, "train", tmp_path / "cache")

    assert list(samples[0]["images"]) == images


def test_summarise_counts_a_lost_piece_as_its_part_of_the_row(tmp_path):
    """Of two rows, one lost whole and the other by a half, three quarters are lost."""
    rows = [{"row": 0, "dropped": "x"}, {"row": 1, "dropped": "y"}, {"row": 1, "dropped": None, "length": 7}]
    (tmp_path / "train").mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=SAMPLES), tmp_path / "train" / "a.parquet")

    part, lost = prepared.summarise(tmp_path, "train")

    assert lost == 0.75
    assert (part.rows, part.samples, part.tokens, part.dropped) == (2, 1, 7, {"x": 1, "y": 1})


def test_find_files_tells_every_problem_at_once(tmp_path):
    """Missing files, files that are no tables, and missing columns are each a line that names them."""
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "broken.parquet").write_text("x")
    write(tmp_path / "other.csv", [{"ocr": "a", "truth": "b"}])
    config = DataConfig(
        train=[str(tmp_path / "*.csv"), str(tmp_path / "broken.parquet")],
        validation=[str(tmp_path / "none.jsonl"), str(tmp_path / "notes.txt")],
        group_column="doc",
    )

    with pytest.raises(ConfigError) as error:
        find_files(config, PlainLayout(COLUMNS))

    lines = str(error.value).splitlines()
    assert "no column gt, doc" in lines[0]
    assert "truth" in lines[0]
    assert "broken.parquet" in lines[1]
    assert "none.jsonl" in lines[2]
    assert all(line.startswith("data.") for line in lines)


def test_find_files_of_a_folder_takes_its_tables(tmp_path):
    """Other files that `synthesize` writes are skipped; a folder without a table is an error."""
    (tmp_path / "README.md").write_text("x")
    with pytest.raises(ConfigError, match="no table"):
        find_files(DataConfig(train=[str(tmp_path)]), PlainLayout(COLUMNS))
    write(tmp_path / "b.parquet", PAIRS[:2])
    write(tmp_path / "a.jsonl", PAIRS[:2])

    found = find_files(DataConfig(train=[str(tmp_path)]), PlainLayout(COLUMNS))

    assert [Path(file.name).name for file in found["train"]] == ["a.jsonl", "b.parquet"]
    assert found["validation"] == []


def test_require_enough_refuses_a_file_that_breaks_off():
    """One unreadable place may hide any number of rows, so no share of dropped rows allows it."""
    part = DataPart("train", rows=100, samples=99, tokens=999, dropped={"bad_table": 1})

    with pytest.raises(ConfigError, match="breaks off"):
        prepared.require_enough([(part, 0.01)], max_dropped_frac=1.0)


def test_require_enough_says_what_to_do_where_nothing_is_held_out():
    """A share of very few rows may be no row."""
    with pytest.raises(ConfigError, match=r"data\.validation_frac"):
        prepared.require_enough([(DataPart("train", 3, 3, 9), 0.0), (DataPart("validation", 0, 0, 0), 0.0)], 0.05)
    with pytest.raises(ConfigError, match=r"data\.train"):
        prepared.require_enough([(DataPart("train", 3, 0, 0, {"empty_target": 3}), 1.0)], 1.0)


ROWS = st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3), st.sampled_from(["a", "b", None])), min_size=1, max_size=40)


@given(rows=ROWS)
@settings(deadline=None)
def test_draws_depend_on_what_a_row_holds_alone(rows):
    """Equal rows, or equal groups, draw the same; another salt draws anew; every draw is in [0, 1)."""
    columns = zip(("s", "t", "group"), zip(*rows, strict=True), strict=True)
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns})
    drawn = draws(table, ["s", "t"], "salt").tolist()
    by_group = draws(table, ["s", "t"], "salt", by_group=True).tolist()

    assert all(0 <= draw < 1 for draw in drawn)
    assert len(set(drawn)) == len(set(zip(drawn, (row[:2] for row in rows), strict=True))) == len({row[:2] for row in rows})
    assert len(set(by_group)) == len({row[2] or row[:2] for row in rows})
    assert not set(drawn) & set(draws(table, ["s", "t"], "pepper").tolist())
