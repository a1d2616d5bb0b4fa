"""`engine: vlm`: tiny vision-language models of real architectures as recognizers, and runs with them, without Ray."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import tiny_vision
import yaml
from PIL import Image, ImageDraw, ImageFont
from pydantic import ValidationError

from ocrray.config import load
from ocrray.engines.base import Recognition
from ocrray.engines.tesseract import TesseractConfig
from ocrray.engines.vlm import VlmConfig
from ocrray.errors import ConfigError, EngineError, Problems, RecordError
from ocrray.sources.worklist import list_records
from ocrray.verbs.restore.config import RestoreConfig
from ocrray.verbs.restore.plan import make_plan
from ocrray.verbs.restore.stages import stage_specs

PIECES = ["Harbour", " at", "\nLeith"]
INVOICE = '{"id": 1.10, "total": 1.10}'
FIELDS = {"type": "object", "properties": {"id": {"type": "string"}, "total": {"type": "number"}}}


def printed(mode: str = "L", size: tuple[int, int] = (400, 120)) -> Image.Image:
    """A page with ink."""
    image = Image.new("L", size, 255)
    ImageDraw.Draw(image).text((20, 30), "Leith 1894", fill=0, font=ImageFont.load_default(48))
    return image.convert(mode)


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that writes PIECES to every image."""
    return str(tiny_vision.save_writing(tmp_path_factory.mktemp("writer"), PIECES))


@pytest.fixture(scope="module")
def clerk(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that writes INVOICE to every image."""
    return str(tiny_vision.save_writing(tmp_path_factory.mktemp("clerk"), [INVOICE]))


@pytest.fixture(scope="module")
def rambler(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that never comes to an end."""
    return str(tiny_vision.save_writing(tmp_path_factory.mktemp("rambler"), ["and ", "so ", "on "], ends=False))


def config(model: str, **settings: Any) -> VlmConfig:
    return VlmConfig.model_validate({"engine": "vlm", "model": model, "max_new_tokens": 60, **settings})


def read(settings: VlmConfig, *images: Image.Image) -> list[Recognition | RecordError]:
    engine = settings.open()
    assert engine.info == settings.check("recognize")
    found = engine.recognize_pages(images)
    engine.close()
    return found


@pytest.mark.parametrize("settings", [{}, {"engine": "vlm_padded"}, {"draft": "tesseract"}, {"batch_size_tokens": 100}])
def test_recognize_pages_become_lines_with_confidences(writer: str, settings: dict[str, Any]) -> None:
    """However it is decoded: the text of each page, words with the model's probabilities, and no boxes."""
    found = read(config(writer, **settings), printed(), printed("RGB", (300, 500)))

    for page in found:
        assert isinstance(page, Recognition)
        assert (page.text, page.problem, page.doubt) == ("Harbour at\nLeith", None, "")
        assert page.lines is not None
        assert [line.confidence for line in page.lines] == [pytest.approx(1, abs=1e-3)] * 2
        assert [[word.text for word in line.words] for line in page.lines] == [["Harbour", "at"], ["Leith"]]
        assert [line.left for line in page.lines] == [None, None]


def test_recognize_pages_of_any_form_have_an_outcome_each(writer: str) -> None:
    """CMYK, 16 bits, transparency, one pixel, 30,000 pixels, a palette: none ends the run, and each has its place."""
    grey = np.asarray(printed())
    images = [
        printed().convert("CMYK"),
        Image.fromarray(grey.astype(np.uint16) * 257),
        Image.merge("LA", (printed(), Image.new("L", (400, 120), 255))),
        printed("P"),
        printed("1"),
        printed("L", (30_000, 100)),
        Image.new("L", (1, 1), 0),
    ]

    found = read(config(writer, blank_below_ink_frac=0), *images)

    assert [page.text for page in found if isinstance(page, Recognition)] == ["Harbour at\nLeith"] * len(images)


def test_recognize_page_that_a_model_cannot_take_fails_alone(tmp_path: Path) -> None:
    """Qwen-VL refuses an image that is 300 times as wide as high."""
    model = str(tiny_vision.save(tmp_path, "qwen"))

    found = read(config(model, blank_below_ink_frac=0, max_new_tokens=1), printed(), printed("L", (30_000, 100)))

    assert isinstance(found[0], Recognition)
    assert isinstance(found[1], RecordError)
    assert found[1].kind == "bad_image"


@pytest.mark.parametrize(("limit", "kind"), [(60, "loop"), (5, "unfinished")])
def test_recognize_page_without_an_end_is_no_reading(rambler: str, limit: int, kind: str) -> None:
    """It loops, or its few tokens ran out."""
    (found,) = read(config(rambler, max_new_tokens=limit), printed())

    assert isinstance(found, Recognition)
    assert found.problem is not None
    assert found.problem.kind == kind
    assert found.text.startswith("and so on and")
    assert found.lines is None


def test_recognize_page_answer_has_the_room_that_the_context_leaves(rambler: str, tmp_path: Path) -> None:
    """A limit beyond the model's context is one of its context; a page that fills it fails, in one line, and no other."""
    for file in Path(rambler).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = (tmp_path / "config.json").read_text().replace('"max_position_embeddings": 1024', '"max_position_embeddings": 40')
    (tmp_path / "config.json").write_text(settings)

    (found,) = read(config(str(tmp_path), max_new_tokens=5_000), printed())
    (without_room,) = read(config(str(tmp_path), instruction="a long instruction that fills it"), printed())

    assert isinstance(found, Recognition)
    assert found.problem is not None
    assert found.problem.kind == "loop"
    assert isinstance(without_room, RecordError)
    assert without_room.kind == "too_long"


def test_recognize_json_becomes_fields(clerk: str) -> None:
    """Typed by the schema; the answer stays as written."""
    settings = config(clerk, output="json", fields=FIELDS, instruction="extract data in JSON format")

    (found,) = read(settings, printed())

    assert isinstance(found, Recognition)
    assert (found.fields, found.text, found.lines) == ({"id": "1.10", "total": 1.1}, INVOICE, None)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"output": "json", "fields": FIELDS}, "instruction"),
        ({"engine": "vlm_padded", "draft": "tesseract"}, "draft"),
        ({"prompt": "gpt"}, "prompt"),
    ],
)
def test_config_that_cannot_be_read_with_is_refused(settings: dict[str, Any], said: str) -> None:
    """Told before anything is loaded."""
    with pytest.raises(ValidationError, match=said):
        config("m", **settings)


def test_check_names_model_adapter_and_languages_that_cannot_be_used(tmp_path: Path) -> None:
    """A text model, an empty adapter and a language that is not installed: one line each, with its key."""
    model = str(tiny_models.save(tmp_path / "text", "llama"))
    (tmp_path / "adapter").mkdir()
    second = {"languages": ["xx_none"], "tessdata": str(tmp_path)}

    with pytest.raises(ConfigError) as caught:
        config(model, adapter=str(tmp_path / "adapter"), fallback=second, draft=second).check("recognize")

    lines = str(caught.value).splitlines()
    for key in ("model", "adapter", "fallback.tessdata", "draft.tessdata"):
        assert any(line.startswith(f"recognize.{key}: ") for line in lines), key


def test_open_special_token_in_the_instruction_or_adapter_of_another_model_ends_the_run_in_one_line(
    writer: str, tmp_path: Path
) -> None:
    """Before the first page, not page after page."""
    with pytest.raises(ConfigError, match="<image>"):
        config(writer, instruction="read <image>").open()
    text = tiny_models.save(tmp_path / "text", "llama")
    adapter = tiny_models.save_lora(tmp_path / "adapter", text)
    with pytest.raises(EngineError, match="another base") as caught:
        config(writer, adapter=str(adapter)).open()
    assert len(str(caught.value).splitlines()) == 1


def restored(folder: Path, **sections: Any) -> list[dict[str, Any]]:
    """The rows of a run on the scans in `folder`, by its stages alone."""
    path = folder / "config.yaml"
    sections = {"correct": None, "guard": None, **sections}
    path.write_text(
        yaml.safe_dump({"input": {"paths": [str(folder / "*.png")]}, "output": {"path": str(folder / "out")}} | sections)
    )
    plan = make_plan(load(path, RestoreConfig, []), None, Problems(), dry_run=True)
    (rows,) = list_records(plan.config.input, images=True)
    for spec in stage_specs(plan):
        for stage in spec.open(lambda _: 1):
            rows = stage(rows)
    return sorted(rows.to_pylist(), key=lambda row: row["source_uri"])


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Two printed pages, a blank one, one that is no image, and one of a single pixel."""
    for name, image in (
        ("a", printed()),
        ("b", printed("RGB")),
        ("c", Image.new("L", (400, 400), 255)),
        ("e", Image.new("L", (1, 1))),
    ):
        image.save(tmp_path / f"{name}.png")
    (tmp_path / "d.png").write_bytes(b"no image")
    return tmp_path


def test_restore_reads_pages_with_a_model_and_loses_none(scans: Path, writer: str) -> None:
    """Rows in = rows out: read, blank and unreadable pages each have their status; the corrector gets the text of those read."""
    recognize = {"engine": "vlm", "model": writer, "max_new_tokens": 60}
    rows = restored(scans, recognize=recognize, correct={"engine": "fake", "replace": {"Leith": "LEITH"}})

    assert [row["status"] for row in rows] == ["corrected", "corrected", "unchanged", "failed", "failed"]
    assert [row["corrected_text"] for row in rows] == ["Harbour at\nLEITH"] * 2 + ["", None, None]
    assert {row["error_kind"] for row in rows[3:]} == {"not_an_image", "too_small"}
    assert rows[0]["recognizer"].startswith(f"vlm {writer} ")
    assert rows[0]["warnings"] is None


def test_restore_loop_fails_without_a_fallback_and_is_read_by_it_with_one(scans: Path, rambler: str) -> None:
    """The failed row shows what was written; with a fallback the row names it, and the reason."""
    recognize = {"engine": "vlm", "model": rambler, "max_new_tokens": 60}
    without = restored(scans, recognize=recognize)[0]
    assert (without["status"], without["failed_stage"], without["error_kind"]) == ("failed", "recognize", "loop")
    assert without["raw_text"].startswith("and so on")
    assert without["corrected_text"] is None

    row = restored(scans, recognize={**recognize, "fallback": "tesseract"})[0]
    assert (row["status"], row["raw_text"], row["warnings"]) == ("unchanged", "Leith 1894", ["read_by_fallback"])
    assert row["recognizer"].startswith("tesseract eng")
    assert row["error"].startswith("loop: ")


def test_restore_documents_into_typed_fields(scans: Path, clerk: str) -> None:
    """The column has the type of the schema; a blank page has no fields, and its row is there."""
    recognize = {
        "engine": "vlm",
        "model": clerk,
        "output": "json",
        "fields": FIELDS,
        "instruction": "extract",
        "max_new_tokens": 60,
    }
    rows = restored(scans, recognize=recognize)

    assert [row["fields"] for row in rows] == [{"id": "1.10", "total": 1.1}] * 2 + [None] * 3
    assert [row["status"] for row in rows[:3]] == ["unchanged"] * 3
    assert rows[0]["raw_text"] == INVOICE


@pytest.mark.parametrize("sections", [{"correct": {"engine": "tagger"}}, {"export": {}}])
def test_restore_fields_of_pages_are_neither_corrected_nor_exported(scans: Path, clerk: str, sections: dict[str, Any]) -> None:
    """JSON is no text."""
    recognize = {"engine": "vlm", "model": clerk, "output": "json", "fields": FIELDS, "instruction": "extract"}
    with pytest.raises(ConfigError, match=r"recognize\.output: json"):
        restored(scans, recognize=recognize, **sections)


def test_second_engines_are_named_or_configured() -> None:
    """`tesseract` stands for its defaults, a mapping for its keys."""
    assert config("m", fallback="tesseract").fallback == TesseractConfig()
    assert config("m", fallback={"languages": ["hin"]}).fallback == TesseractConfig(languages=["hin"])
