"""The verb `restore` with `extract:`, on real Ray, real Tesseract and a tiny model."""

import csv
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
import tiny_models
import yaml
from photo_format import PROMPT
from PIL import Image, ImageDraw, ImageFont

from ocrray.cli import main
from ocrray.config import load
from ocrray.engines.extract import Extractor
from ocrray.errors import ConfigError, Problems
from ocrray.sources.open_page import open_image
from ocrray.sources.worklist import list_records
from ocrray.stages.extract import Extract
from ocrray.stages.load import Load
from ocrray.stages.recognize import Recognize
from ocrray.verbs.restore.config import RestoreConfig
from ocrray.verbs.restore.plan import make_plan

CONFIG = Path(__file__).parents[1] / "configs" / "restore" / "gptj_6b_photo_metadata.yaml"
FIELDS = {"description": "Hi", "title": None, "agency": None, "photographer": None, "date": "1"}


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers every photo with the same description and date."""
    answer = pairwise(["<END>", "<rewrite>", "H", "i", "<date>", "1", tiny_models.EOS])
    return tiny_models.save_transitions(tmp_path_factory.mktemp("writer"), answer, PROMPT.tokens)


@pytest.fixture
def on_this_machine(monkeypatch: pytest.MonkeyPatch, writer: Path, tmp_path: Path) -> list[str]:
    """What the shipped config needs to run here: the tiny model, no GPU, an output of its own."""
    monkeypatch.chdir(CONFIG.parents[2])
    small = {"extract.model": writer, "extract.dtype": "float32", "workers": "{correct: 1}", "output.path": tmp_path / "out"}
    return [part for key, value in small.items() for part in ("--set", f"{key}={value}")]


def corpus(path: Path) -> pa.Table:
    return pyarrow.dataset.dataset(path / "data").to_table().sort_by("record_id")


@pytest.mark.usefixtures("on_cluster")
def test_restore_photo_metadata_config_makes_fields_of_every_photo(on_this_machine: list[str], tmp_path: Path):
    """Every row of the table is in the corpus: those with text on either side with five typed fields, the blank one without."""
    assert main(["restore", str(CONFIG), *on_this_machine]) == 0

    table = corpus(tmp_path / "out")
    assert table.schema.field("fields").type == pa.struct([(name, pa.string()) for name in FIELDS])
    rows = table.to_pylist()
    assert len(rows) == 8
    assert {row["record_id"]: row["status"] for row in rows if row["fields"] is None} == {"blank-08": "unchanged"}
    described = [row for row in rows if row["fields"]]
    assert all(row["fields"] == FIELDS and row["corrected_text"] == "Hi" for row in described)
    assert {row["status"] for row in described} == {"corrected"}
    assert {row["record_id"]: (row["raw_text"], row["front"].split("\n")[0]) for row in rows}["school-07"] == ("", "BOARD SCH00L")
    assert all(row["prompt_version"] == "photo_metadata/1" for row in described)
    assert "field_candidates" in (tmp_path / "out" / "README.md").read_text()
    assert "fields.description" in (tmp_path / "out" / "report.html").read_text()


def side(folder: Path, name: str, text: str) -> str:
    image = Image.new("L", (900, 160), 255)
    ImageDraw.Draw(image).text((40, 40), text, fill=0, font=ImageFont.load_default(48))
    image.save(folder / name, dpi=(300, 300))
    return name


def recognized(config: RestoreConfig) -> pa.Table:
    """The corpus of a run that only recognizes, by its stages alone: Ray is tried above."""
    (work,) = list_records(config.input, images=True)

    def open_within_limits(uri: str, page: int) -> tuple[Image.Image, str]:
        return open_image(uri, page, max_pixels=config.input.max_pixels, max_file_bytes=config.input.max_file_bytes)

    return Recognize(config.recognize.open(), open_within_limits, lambda _: 1)(Load(config.input)(work))


@pytest.mark.usefixtures("on_this_machine")
def test_two_scans_of_a_photo_are_recognized_and_joined_into_a_table_to_extract_from(writer: Path, tmp_path: Path):
    """The way from scans that the config's comment shows: each side a corpus, the two joined by id, the fields from both."""
    scans = tmp_path / "photos.csv"
    sides = [side(tmp_path, "back.png", "Harbour at Leith"), side(tmp_path, "front.png", "LEITH 1894")]
    scans.write_text(f"id,back_scan,front_scan\na,{sides[0]},{sides[1]}\n")
    tables = []
    for name in ("back", "front"):
        section = f"input={{paths: [{scans}], id_column: id, image_column: {name}_scan}}"
        read = recognized(load("configs/restore/recognize_only.yaml", RestoreConfig, [section]))
        tables.append(read.select(["record_id", "raw_text"]).rename_columns(["id", name]))
    pq.write_table(tables[0].join(tables[1], "id"), tmp_path / "photos.parquet")

    section = f"input={{paths: [{tmp_path / 'photos.parquet'}], id_column: id}}"
    changes = [section, f"extract.model={writer}", f"output.path={tmp_path / 'out'}", "workers.correct_gpus=0"]
    plan = make_plan(load(CONFIG, RestoreConfig, changes), None, Problems(), dry_run=True)

    (work,) = list_records(plan.config.input, images=False)
    assert work.select(["record_id", "text", "front"]).to_pylist() == [
        {"record_id": "a", "text": "Harbour at Leith", "front": "LEITH 1894"}
    ]
    extract = plan.config.extract
    loaded = Load(plan.config.input, extract.fields.arrow_type())(work)
    (row,) = Extract(Extractor(extract), "front", "description")(loaded).to_pylist()
    assert row["fields"] == FIELDS


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("correct={engine: tagger}", "correct"),
        ("input.text_column=front", "columns.back"),
        ("input.image_column=front", "columns.back"),
        ("extract.temperature=0", "num_return_sequences"),
        ("extract.columns.front=page", "page"),
    ],
)
def test_config_extract_that_contradicts_the_rest_is_refused(change: str, said: str):
    """Two that rewrite the same text, two texts for one record, three answers without a draw: one readable line each."""
    with pytest.raises(ConfigError, match=said) as caught:
        load(CONFIG, RestoreConfig, [change])

    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.usefixtures("on_this_machine")
def test_config_extract_needs_its_columns_and_its_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A column that the table lacks and a model that nobody trained yet are told together, before anything starts."""
    changes = {"extract.columns.front": "recto", "extract.model": "out/no/model", "output.path": tmp_path / "out"}

    assert main(["restore", str(CONFIG), "--dry-run", *(f"--set={key}={value}" for key, value in changes.items())]) == 2
    error = capsys.readouterr().err
    assert "recto" in error
    assert "out/no/model" in error


def test_config_photo_metadata_reads_the_columns_that_training_reads():
    """The bundled table has the columns that the prompt names, so that it can be trained on and measured as well."""
    table = Path(yaml.safe_load(CONFIG.read_text())["input"]["paths"][0])
    with (CONFIG.parents[2] / table).open() as file:
        header = next(csv.reader(file))

    assert header == ["id", "language", "back", "front", *FIELDS]
