"""Sets of images: the parts and forms that they are written in, their card, and a manifest only when all adds up."""

import csv
import io
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from PIL import Image
from ray.exceptions import RayError

from ocrray.config import load
from ocrray.corpus import image_sets
from ocrray.corpus.about import About
from ocrray.corpus.image_set_card import Origin, read_manifest, write_card, write_manifest
from ocrray.corpus.image_sets import MADE_SCHEMA, SCHEMA, write_set
from ocrray.errors import ConfigError, OcrrayError, Problems
from ocrray.runtime.image_synthesis import MakeImages
from ocrray.storage import Location
from ocrray.training.data import Reader
from ocrray.training.image_rows import ImageRows
from ocrray.training.images import open_image
from ocrray.training.settings import DataConfig
from ocrray.verbs.synthesize.plan import SynthesizeConfig, make_plan
from ocrray.verbs.synthesize.text import IMAGE_WORK_SCHEMA


def png(grey: int) -> bytes:
    data = io.BytesIO()
    Image.new("L", (9, 3), grey).save(data, "PNG")
    return data.getvalue()


def row(number: int, part: str = "train", **values: Any) -> dict[str, Any]:
    record_id = f"line-{number:09d}"
    image = {"bytes": png(number), "path": f"{record_id}.png"}
    facts = {"kind": "line", "font": "A_b.ttf", "severity": 0.5, "seed": number, "source": "a.txt#0"}
    return {"record_id": record_id, "image": image, "text": f'say "{number}", twice', "part": part, **facts, **values}


@pytest.fixture
def made(tmp_path: Path) -> Location:
    """Five rows in two files, whose names do not tell their order; one was dropped, one is held out."""
    folder = tmp_path / "_made"
    folder.mkdir()
    lost = row(
        1, image=None, text=None, kind=None, font=None, severity=None, drop_reason="missing_glyph", drop_message="<b>x|y</b>"
    )
    for name, rows in {"z": [row(0), lost], "a": [row(2, "validation"), row(3), row(1004)]}.items():
        pq.write_table(pa.Table.from_pylist(rows, MADE_SCHEMA), folder / f"{name}.parquet")
    return Location.at(folder)


def test_set_as_parquet_has_its_parts_in_files_of_bounded_size(made: Location, tmp_path: Path, monkeypatch) -> None:
    """Rows come by their ids, the images in them are files; what an interrupted call left behind is gone."""
    monkeypatch.setattr(image_sets, "_FILE_BYTES", 1)
    monkeypatch.setattr(image_sets, "_BATCH_ROWS", 2)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-00009.parquet").write_bytes(b"half a file")

    summary = write_set(made, Location.at(tmp_path), "lines", "parquet", "")

    files = [file.name for file in summary.files]
    assert files == ["train-00000.parquet", "train-00001.parquet", "train-00002.parquet", "validation-00000.parquet"]
    assert {path.name for path in (tmp_path / "data").iterdir()} == set(files)
    table = pyarrow.dataset.dataset([tmp_path / "data" / name for name in files[:3]]).to_table()
    assert table.schema == SCHEMA
    assert table["seed"].to_pylist() == [0, 3, 1004]
    assert Image.open(io.BytesIO(table["image"][1].as_py()["bytes"])).getpixel((0, 0)) == 3
    assert summary.images == {"train": 3, "validation": 1}
    assert summary.dropped == {"missing_glyph": 1}


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_set_as_files_has_images_beside_its_tables(made: Location, tmp_path: Path, form: str) -> None:
    """Each part is a folder that can be moved: its table names images relative to itself."""
    summary = write_set(made, Location.at(tmp_path), "lines", form, "Read this")

    found = []
    for part in ("train", "validation"):
        text = (tmp_path / part / f"lines.{form}").read_text()
        if form == "csv":
            rows = list(csv.DictReader(io.StringIO(text)))
            found += [(part, entry["image_file"], entry["text"]) for entry in rows]
        else:
            rows = [json.loads(line) for line in text.splitlines()]
            found += [(part, entry["image"], entry["suffix"]) for entry in rows]
            assert all(entry["prefix"] == "Read this" for entry in rows)
    ids = {0: "train", 3: "train", 1004: "train", 2: "validation"}
    paths = {n: f"images/{n // 1000:06d}/line-{n:09d}.png" for n in ids}
    assert found == [(part, paths[n], f'say "{n}", twice') for n, part in ids.items()]
    for part, path, text in found:
        with Image.open(tmp_path / part / path) as image:
            assert f'say "{image.getpixel((0, 0))}", twice' == text or "1004" in text
    assert summary.files == []


def test_set_in_every_form_gives_training_the_same_samples(made: Location, tmp_path: Path) -> None:
    """What `synthesize` writes is what `train` reads, without a key that names a column."""
    samples = []
    for form, table in (("parquet", "data/train-00000.parquet"), ("csv", "train/lines.csv"), ("jsonl", "train/lines.jsonl")):
        out = tmp_path / form
        out.mkdir()
        write_set(made, Location.at(out), "lines", form, "Read this")
        path = str(out / table)
        rows = pa.concat_tables(Reader(ImageRows(DataConfig(train=[path]), json_answers=False)).read(path, 0)).to_pylist()
        assert [row["problem"] for row in rows] == [None] * 3
        samples.append([(row["answer"], open_image(row["image"]).tobytes()) for row in rows])
    assert samples[0] == samples[1] == samples[2]
    assert [answer for answer, _ in samples[0]] == [f'say "{number}", twice' for number in (0, 3, 1004)]


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_card_and_manifest_of_a_set_say_what_is_in_it(made: Location, tmp_path: Path, form: str) -> None:
    """Counts, fonts, form and dropped ones; the manifest comes back as written, and only when all images are accounted for."""
    out = Location.at(tmp_path)
    summary = write_set(made, out, "lines", form, "")
    config = load_lines(tmp_path, format=form).model_dump(mode="json")
    write_card(out, name="lines", summary=summary, about=About(title="My *lines*"), config=config, origin=Origin(0, 0, Counter()))
    card = (tmp_path / "README.md").read_text()
    assert all(
        part in card for part in ("| train | 3 |", "A\\_b.ttf (4)", "missing\\_glyph (1)", "My \\*lines\\*", "image-to-text")
    )
    assert ("data/train-*.parquet" in card) == (form == "parquet")
    assert ("image_file,text" in card) == (form == "csv")

    facts = {"summary": summary, "fingerprint": "f", "config": config, "started": "2026-11-29T02:00:00Z"}
    with pytest.raises(OcrrayError, match="run again"):
        write_manifest(out, requested=6, **facts)
    assert write_manifest(out, requested=5, **facts) == read_manifest(out)
    assert len(read_manifest(out).data_files) == (2 if form == "parquet" else 0)


def load_lines(folder: Path, **keys: Any) -> SynthesizeConfig:
    path = folder / "config.yaml"
    path.write_text(json.dumps({"lines": {"count": 10, **keys}, "output": {"path": str(folder / "out")}}))
    return load(path, SynthesizeConfig)


@pytest.mark.parametrize("count", [1, 20, 2050])
def test_passages_are_held_out_whole_and_evenly(tmp_path: Path, count: int) -> None:
    """A tenth of the passages in use, all of their images; the same rows for the same config."""
    (tmp_path / "text.txt").write_text("".join(f"Passage {number} {'word ' * 90}\n\n" for number in range(200)))
    config = load_lines(tmp_path, count=count)
    config = config.model_copy(update={"input": SynthesizeConfig.model_validate(
        {"input": {"paths": [str(tmp_path / "text.txt")]}, "lines": {"count": 1}, "output": {"path": "x"}}).input})  # fmt: skip
    make_plan(config, None, Problems(), dry_run=False)
    rows = pyarrow.dataset.dataset(tmp_path / "out" / "_work_list" / "lines").to_table().to_pylist()
    assert [row["record_id"] for row in rows] == [f"line-{number:09d}" for number in range(count)]
    parts = {part: {row["text"] for row in rows if row["part"] == part} for part in ("train", "validation")}
    assert not parts["train"] & parts["validation"]
    assert len(parts["validation"]) == min(count, 200) // 10


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"lines": {"count": 1}, "noise": {"count": 1, "model": "noise.json"}}, "noise and lines"),
        ({"pages": {"count": 1}}, "input: pages needs clean text"),
        ({}, "lines"),
        ({"lines": {"count": 1, "colour": "red"}}, "lines.colour"),
        ({"lines": {"count": 0}}, "lines.count"),
    ],
)
def test_config_of_sets_that_cannot_run_is_refused(tmp_path: Path, config: dict, named: str) -> None:
    """One line says which key is wrong."""
    (tmp_path / "c.yaml").write_text(json.dumps({**config, "output": {"path": str(tmp_path / "out")}}))
    with pytest.raises(ConfigError, match=named):
        load(tmp_path / "c.yaml", SynthesizeConfig)


def test_plan_names_the_font_that_is_missing_and_the_input_without_text(tmp_path: Path) -> None:
    """Both are told before anything starts."""
    (tmp_path / "empty.txt").write_text("")
    config = load_lines(tmp_path, fonts=[str(tmp_path / "gone.ttf")])
    with pytest.raises(ConfigError, match=r"lines\.fonts: no such file: .*gone\.ttf"):
        make_plan(config, None, Problems(), dry_run=True)


def test_other_form_of_a_finished_set_is_another_run(tmp_path: Path) -> None:
    """A set is not written in another form into the same folder; the title may change."""
    plans = [make_plan(load_lines(tmp_path, **keys), None, Problems(), dry_run=True) for keys in ({}, {}, {"format": "csv"})]
    assert plans[0].fingerprint == plans[1].fingerprint != plans[2].fingerprint


class Monitor:
    """What a worker tells the monitor, called as an actor is."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.finish = SimpleNamespace(remote=lambda counts, _: self.counts.update(counts))
        self.report_waiting = self.report_error = SimpleNamespace(remote=self._gone)

    def _gone(self, *_: object) -> None:
        raise RayError


def test_worker_makes_the_same_images_whatever_the_blocks(tmp_path: Path) -> None:
    """Twelve rows at once, or in blocks as a resumed run has them; a text that no font can set is the row's own failure."""
    rows = [
        {"record_id": f"line-{n:09d}", "text": "漢字 " * 9 if n == 7 else "", "source": "", "part": "train"} for n in range(12)
    ]
    part = load_lines(tmp_path, chars=[1, 6], made_up_frac=0).lines
    assert part is not None
    found = []
    for size in (12, 5):
        monitor = Monitor()
        worker = MakeImages(part, [path.name for path in part.font_files()], 3, cast("Any", monitor))
        work = [pa.Table.from_pylist(rows[n : n + size], IMAGE_WORK_SCHEMA) for n in range(0, 12, size)]
        found.append(pa.concat_tables(map(worker, work)))
        assert monitor.counts == {"made": 11, "dropped": 1}
    assert found[0].equals(found[1])
    assert found[0].schema == MADE_SCHEMA
    assert [row["record_id"] for row in found[0].to_pylist() if row["drop_reason"] == "missing_glyph"] == ["line-000000007"]
    assert len(set(found[0]["seed"].to_pylist())) == 12
    with pytest.raises(ConfigError, match="same fonts"):
        MakeImages(part, ["gone.ttf"] * 99, 3, cast("Any", Monitor()))
