"""Tesseract reads rendered pages as it would by itself, and neither bad pages nor bad installations go unexplained."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image, ImageDraw, ImageFont
from pydantic import ValidationError

from ocrray.engines.tesseract import Tesseract, TesseractConfig, tessdata_folder
from ocrray.errors import ConfigError, EngineError, RecordError

VERSE = ["The owl and the pussycat went to sea", "In a beautiful green boat,", "They took some honey and plenty of money"]
DEVANAGARI_FONTS = ("noto/NotoSansDevanagari-Regular.ttf", "lohit-devanagari/Lohit-Devanagari.ttf")


@pytest.fixture(scope="module")
def english() -> Iterator[Tesseract]:
    """One engine for all tests that do not break it."""
    recognizer = TesseractConfig().open()
    yield recognizer
    recognizer.close()


@pytest.fixture
def opened() -> Iterator[Callable[..., Tesseract]]:
    """Opens engines with the given settings, and closes them after the test."""
    engines = []

    def open_with(**settings) -> Tesseract:
        engines.append(Tesseract(TesseractConfig(**settings)))
        return engines[-1]

    yield open_with
    for engine in engines:
        engine.close()


def rendered(lines: list[str], font: ImageFont.FreeTypeFont | None = None) -> Image.Image:
    """Black on white, 300 dpi."""
    font = font or ImageFont.load_default(42)
    image = Image.new("L", (1200, 120 + 80 * len(lines)), 255)
    for number, line in enumerate(lines):
        ImageDraw.Draw(image).text((60, 60 + 80 * number), line, fill=0, font=font)
    image.info["dpi"] = (300, 300)
    return image


def endless() -> Image.Image:
    """Specks that keep Tesseract's layout analysis, which looks at no deadline, busy for many minutes."""
    return Image.fromarray((np.random.default_rng(0).random((4000, 4000)) > 0.1).astype(np.uint8) * 255)


def texts(engine: Tesseract, image: Image.Image) -> list[str]:
    return [line.text for line in engine.recognize(image)]


def children(pid: int | None = None) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children() if "tesseract_process" in " ".join(child.cmdline())]


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_recognize_rendered_lines_are_read_in_order(english: Tesseract, mode: str):
    """The text of a clean page comes back whatever its pixels are like."""
    assert texts(english, rendered(VERSE).convert(mode)) == VERSE


def test_recognize_words_lie_in_their_line_and_on_the_page(english: Tesseract):
    """Boxes are in pixels from the top left, confidences are shares."""
    image = rendered(VERSE)
    lines = english.recognize(image)
    for number, line in enumerate(lines):
        assert [word.text for word in line.words] == VERSE[number].split()
        assert 0 < line.left < line.right < image.width
        assert 60 + 80 * number < line.top < line.bottom < 140 + 80 * number
        for item in (line, *line.words):
            assert 0.5 < item.confidence <= 1
            assert line.left <= item.left < item.right <= line.right
            assert line.top <= item.top < item.bottom <= line.bottom


def test_recognize_noisy_rotated_page_is_still_read(english: Tesseract):
    """A scan is never straight and clean."""
    image = rendered(VERSE).rotate(1.5, fillcolor=255)
    noise = np.random.default_rng(0).normal(0, 30, (image.height, image.width))
    assert texts(english, Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))) == VERSE


def test_recognize_blank_page_has_no_lines(english: Tesseract):
    """An empty page is a record without lines, not an error."""
    assert english.recognize(Image.new("L", (2480, 3508), 250)) == []


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (400, 3), (12, 12)])
def test_recognize_tiny_image_has_no_lines(opened: Callable[..., Tesseract], size: tuple[int, int]):
    """Nothing can be written on so few pixels, and Tesseract says so itself when the gate is open."""
    assert opened(blank_below_ink_frac=0).recognize(Image.new("L", size, 0)) == []


@pytest.mark.parametrize("dpi", [(0, 0), (float("nan"), float("nan")), (1e9, 1e9)])
def test_recognize_absurd_resolution_is_replaced(english: Tesseract, dpi: tuple[float, float]):
    """A tag that cannot be true changes nothing."""
    image = rendered(VERSE)
    image.info["dpi"] = dpi
    assert texts(english, image) == VERSE


def test_recognize_more_pixels_than_tesseract_takes_is_too_large(english: Tesseract):
    """Tesseract would read nothing there, without a word."""
    with pytest.raises(RecordError) as caught:
        english.recognize(Image.new("1", (40_000, 20)))
    assert caught.value.kind == "too_large"


def test_recognize_hindi_is_read(opened: Callable[..., Tesseract]):
    """A second language, in another script, beside the first."""
    fonts = [Path("/usr/share/fonts/truetype") / name for name in DEVANAGARI_FONTS]
    font = next((path for path in fonts if path.is_file()), None)
    if font is None:
        pytest.skip("no Devanagari font: apt-get install fonts-noto-core")
    try:
        engine = opened(languages=["hin", "eng"])
    except ConfigError as err:
        pytest.skip(str(err))
    assert texts(engine, rendered(["भारत कमल नमक"], ImageFont.truetype(str(font), 48))) == ["भारत कमल नमक"]
    assert engine.info.model == "hin+eng"


def test_recognize_page_segmentation_is_obeyed(english: Tesseract, opened: Callable[..., Tesseract]):
    """Mode 3 finds two columns and reads one after the other; mode 6 reads across them."""
    column = rendered(VERSE * 3)
    page = Image.new("L", (2600, column.height), 255)
    page.paste(column, (0, 0))
    page.paste(column, (1400, 0))
    assert texts(english, page) == VERSE * 6
    assert texts(opened(page_segmentation=6), page) == [f"{line} {line}" for line in VERSE * 3]


def test_recognize_below_the_ink_threshold_is_not_read(opened: Callable[..., Tesseract]):
    """Whoever has dirty scans may raise the threshold."""
    assert opened(blank_below_ink_frac=0.9).recognize(rendered(VERSE)) == []


@pytest.mark.shared
def test_recognize_real_pages_equals_tesseract_on_the_file(english: Tesseract, shared_data: Path):
    """Ours is Tesseract's own text, apart from blank lines and white space at line ends, whatever page came before."""
    import tesserocr

    paths = sorted((shared_data / "pages" / "images").glob("*.png"))[::72]
    with tesserocr.PyTessBaseAPI(path=str(tessdata_folder(TesseractConfig())), lang="eng") as api:
        for path in paths:
            api.SetImageFile(str(path))
            theirs = [line.strip() for line in api.GetUTF8Text().split("\n") if line.strip()]
            assert texts(english, Image.open(path)) == theirs


def test_recognize_endless_page_times_out_and_the_next_is_read(opened: Callable[..., Tesseract]):
    """The deadline holds inside layout analysis, too, and the engine survives it."""
    engine = opened(timeout_s=1)
    started = time.monotonic()
    with pytest.raises(RecordError) as caught:
        engine.recognize(endless())
    assert caught.value.kind == "timeout"
    assert time.monotonic() - started < 5
    assert texts(engine, rendered(VERSE)) == VERSE


def test_recognize_crash_costs_one_page(opened: Callable[..., Tesseract]):
    """When Tesseract's process dies, its page fails, and the next page has a new one."""
    before = set(children())
    engine = opened()
    (child,) = set(children()) - before
    threading.Timer(0.5, child.send_signal, [signal.SIGSEGV]).start()
    with pytest.raises(RecordError) as caught:
        engine.recognize(endless())
    assert caught.value.kind == "crashed"
    assert "SIGSEGV" in str(caught.value)
    assert texts(engine, rendered(VERSE)) == VERSE


def test_recognize_process_killed_from_outside_costs_no_page(opened: Callable[..., Tesseract]):
    """The out-of-memory killer says nothing about the page, which is read again."""
    before = set(children())
    engine = opened()
    (child,) = set(children()) - before
    child.suspend()
    threading.Timer(0.3, child.kill).start()

    assert texts(engine, rendered(VERSE)) == VERSE


def test_recognize_process_killed_again_and_again_is_a_crash(opened: Callable[..., Tesseract], monkeypatch: pytest.MonkeyPatch):
    """A page that takes all memory each time is failed in the end."""
    engine = opened()

    class Dying:
        def send(self, _page):
            engine._process.kill()
            raise BrokenPipeError

        def close(self):
            pass

    monkeypatch.setattr(engine, "_start", lambda: None)
    monkeypatch.setattr(engine, "_connection", Dying())
    with pytest.raises(RecordError, match="SIGKILL"):
        engine.recognize(rendered(VERSE))


def test_recognize_interrupted_page_does_not_answer_the_next(opened: Callable[..., Tesseract]):
    """After Ctrl-C the engine still gives each page its own text."""
    engine = opened()
    threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        engine.recognize(endless())
    assert texts(engine, rendered(VERSE)) == VERSE


def test_close_ends_the_process():
    """Nothing is left behind."""
    before = set(children())
    engine = Tesseract(TesseractConfig())
    (child,) = set(children()) - before
    engine.close()
    assert not child.is_running()


def test_process_ends_with_its_killed_parent():
    """A SIGKILLed worker leaves no Tesseract running."""
    script = "from ocrray.engines.tesseract import *; engine = Tesseract(TesseractConfig()); input(print('ready', flush=True))"
    parent = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout.readline() == b"ready\n"
    (child,) = children(parent.pid)
    parent.kill()
    parent.communicate()
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_check_names_engine_languages_and_data(tmp_path: Path):
    """The revision changes with the data's bytes, so that a corpus says what it was read with."""
    info = TesseractConfig().check("recognize")
    assert (info.engine, info.model) == ("tesseract", "eng")
    assert info.revision.startswith("5.")
    (tmp_path / "eng.traineddata").write_bytes(b"other bytes")
    assert TesseractConfig(tessdata=str(tmp_path)).check("recognize").revision != info.revision


def test_check_missing_languages_are_all_named_with_their_packages():
    """One line a problem, with what to install."""
    with pytest.raises(ConfigError) as caught:
        TesseractConfig(languages=["xx_one", "eng", "yy"]).check("recognize")
    first, second = str(caught.value).splitlines()
    assert "tesseract-ocr-xx-one" in first
    assert "tesseract-ocr-yy" in second


def test_check_orientation_mode_needs_its_data(tmp_path: Path):
    """Modes that find a page's orientation read osd.traineddata."""
    (tmp_path / "eng.traineddata").write_bytes(b"any bytes")
    TesseractConfig(tessdata=str(tmp_path)).check("recognize")
    with pytest.raises(ConfigError, match="tesseract-ocr-osd"):
        TesseractConfig(tessdata=str(tmp_path), page_segmentation=1).check("recognize")


def test_check_folder_without_data_is_refused(tmp_path: Path):
    """A folder that is named is the only one that counts."""
    with pytest.raises(ConfigError, match="tesseract-ocr-eng"):
        TesseractConfig(tessdata=str(tmp_path)).check("recognize")


def test_check_tessdata_prefix_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """$TESSDATA_PREFIX may name the folder or its parent, and comes before the system's."""
    folder = tmp_path / "tessdata"
    folder.mkdir()
    (folder / "eng.traineddata").write_bytes(b"other bytes")
    system = TesseractConfig().check("recognize")
    monkeypatch.setenv("TESSDATA_PREFIX", str(tmp_path))
    assert TesseractConfig().check("recognize").revision != system.revision


def test_open_with_broken_data_is_an_engine_error(tmp_path: Path):
    """A truncated download shows when the engine is opened."""
    (tmp_path / "eng.traineddata").write_bytes(b"<html>404</html>")
    with pytest.raises(EngineError, match="eng"):
        Tesseract(TesseractConfig(tessdata=str(tmp_path)))


@pytest.mark.parametrize(
    "settings",
    [
        {"languages": []},
        {"languages": ["../eng"]},
        {"languages": ["eng+deu"]},
        {"page_segmentation": 0},
        {"timeout_s": 0},
        {"psm": 3},
    ],
)
def test_config_that_makes_no_sense_is_refused(settings: dict):
    """Before anything is opened."""
    with pytest.raises(ValidationError):
        TesseractConfig(**settings)
