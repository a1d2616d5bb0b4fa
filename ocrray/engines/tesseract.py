"""`engine: tesseract`: page images to lines and words, by a Tesseract that is loaded once and runs in a process of its own."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from PIL import Image
from pydantic import Field

from ocrray.config import FolderOrName
from ocrray.engines.base import EngineInfo, LineRecognizer, RecognizerConfig
from ocrray.engines.blank import is_blank
from ocrray.errors import ConfigError, EngineError, RecordError
from ocrray.records import Line, Word
from ocrray.text.normalise import sanitise

if TYPE_CHECKING:
    from ocrray.engines.tesseract_process import LineItems, Page

_MAX_SIDE_PX = 32_767  # Tesseract keeps coordinates in 16 bits
_MIN_DPI, _MAX_DPI = 70, 2400  # what Tesseract itself finds credible
_BYTES_PER_PIXEL = {"1": 0, "L": 1, "RGB": 3}  # as Tesseract counts
_KILLED_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM)  # by the out-of-memory killer, or a machine that is shut down
_MAX_KILLS = 3
_OSD_MODES = (1, 12)  # those that find out the page's orientation first


class TesseractConfig(RecognizerConfig):
    """Read pages with Tesseract."""

    rows_per_block: ClassVar[int] = 16

    engine: Literal["tesseract"] = "tesseract"
    languages: list[Annotated[str, Field(pattern=r"^[A-Za-z]\w*(/\w+)?$")]] = Field(default=["eng"], min_length=1)
    """Tesseract's names (`eng`, `frk`, `script/Fraktur`); each must be installed. The first counts most."""
    page_segmentation: Literal[1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13] = 3
    """Tesseract's `--psm`: 3 finds the layout of a page, 4 assumes one column, 6 one block, 7 one line."""
    tessdata: FolderOrName | None = None
    """Folder with the `.traineddata` files; null looks in $TESSDATA_PREFIX and where packages put them."""
    timeout_s: float = Field(default=120, gt=0)
    """Seconds after which a page fails."""
    default_dpi: int = Field(default=300, ge=_MIN_DPI, le=_MAX_DPI)
    """Resolution (dots per inch) of images that state none, or an absurd one."""
    blank_below_ink_frac: float = Field(default=1e-6, ge=0, lt=1)
    """Share of ink (0..1) below which a page is blank and not read; specks and borders are no ink. 0 reads every page."""

    @property
    def reads_english(self) -> bool:
        return self.languages == ["eng"]

    def check(self, section: str) -> EngineInfo:
        try:
            import tesserocr
        except ImportError as err:
            raise ConfigError(f"{section}.engine: tesserocr cannot be loaded: {err}") from None
        needed = _data_files(self, section)
        missing = [language for language, file in needed.items() if not file.is_file()]
        if missing:
            raise ConfigError("\n".join(_missing_line(section, language, needed[language].parent) for language in missing))
        hashes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in needed.values()]
        return EngineInfo(
            engine="tesseract",
            model="+".join(self.languages),
            revision=f"{tesserocr.tesseract_version().split()[1]}-{hashlib.sha256(' '.join(hashes).encode()).hexdigest()[:12]}",
        )

    def open(self) -> "Tesseract":
        return Tesseract(self)


class Tesseract(LineRecognizer):
    """One loaded Tesseract, for one thread. A page that makes it hang or crash costs a restart of 0.2 s."""

    def __init__(self, config: TesseractConfig) -> None:
        """Start the process and load the language data.

        Raises:
            ConfigError: as `TesseractConfig.check` does.
            EngineError: when the language data cannot be loaded.
        """
        self.info = config.check("recognize")
        self._config = config
        self._start()

    def recognize(self, image: Image.Image) -> list[Line]:
        """Return lines in reading order with their words, boxes in pixels of `image` (any mode that converts to RGB).

        Raises:
            RecordError: `too_large`, `timeout` or `crashed`.
        """
        if max(image.size) > _MAX_SIDE_PX:
            size = f"{image.width:,} x {image.height:,} pixels"
            raise RecordError(f"{size}, and Tesseract reads no side over {_MAX_SIDE_PX:,}; cut the page up", kind="too_large")
        if is_blank(image, self._config.blank_below_ink_frac):
            return []
        page = _page(image, self._config.default_dpi)
        for _ in range(_MAX_KILLS):
            if self._process.poll() is not None:
                self._start()
            try:
                self._connection.send(page)
                return [line for items in self._connection.recv() if (line := _line(items)).text]
            except (EOFError, OSError):
                death = self._death()
            except BaseException:  # Ctrl-C: what is still being read must not become the answer for the next page
                self.close()
                raise
            if -self._process.returncode not in _KILLED_FROM_OUTSIDE:
                break
        raise death

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def _start(self) -> None:
        config = self._config
        self._connection, theirs = Pipe()
        arguments = (
            theirs.fileno(),
            tessdata_folder(config),
            "+".join(config.languages),
            config.page_segmentation,
            config.timeout_s,
        )
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", f"{__package__}.tesseract_process", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            # PYTHONPATH: what this process can import, that one can. OMP_THREAD_LIMIT: a Tesseract built with OpenMP (Debian's;
            # not the one in tesserocr's wheel) starts four threads a page that mostly wait for each other; on 2 cores they used
            # 3.5 times the CPU time of one thread.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_THREAD_LIMIT": "1"},
        )
        theirs.close()
        try:
            self._connection.recv()
        except EOFError:
            self.close()
            raise EngineError(
                f"Tesseract cannot load {self.info.model} from {tessdata_folder(config)}; are the files whole?"
            ) from None

    def _death(self) -> RecordError:
        """Return the reason why the process ended, as the error of its page."""
        self._connection.close()
        code = self._process.wait()
        if code == -signal.SIGALRM:
            seconds = f"{self._config.timeout_s:g} s"
            return RecordError(f"Tesseract was not done after {seconds}; look at the scan or raise timeout_s", kind="timeout")
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return RecordError(f"Tesseract's process died on the page ({how}); look at the scan", kind="crashed")


def _page(image: Image.Image, default_dpi: int) -> "Page":
    # Tesseract takes bits as they are, which saves it 3 % of a page's time, and looks for a threshold in each of the colours.
    plain = image if image.mode in _BYTES_PER_PIXEL else image.convert("RGB")
    tag = image.info.get("dpi", (0, 0))[1]
    dpi = round(tag) if _MIN_DPI <= tag <= _MAX_DPI else default_dpi
    return plain.tobytes(), plain.width, plain.height, _BYTES_PER_PIXEL[plain.mode], dpi


def _line(items: "LineItems") -> Line:
    (text, (left, top, right, bottom), confidence), word_items = items
    words = [Word(sanitise(text), *box, percent / 100) for text, box, percent in word_items if text.strip()]
    return Line(sanitise(text.strip()), left, top, right, bottom, confidence / 100, words)


def _data_files(config: TesseractConfig, section: str) -> dict[str, Path]:
    """Return the `.traineddata` file of each language, whether it exists or not."""
    folder = tessdata_folder(config, section)
    languages = [*config.languages, *(["osd"] if config.page_segmentation in _OSD_MODES else [])]
    return {language: folder / f"{language}.traineddata" for language in languages}


def tessdata_folder(config: TesseractConfig, section: str = "recognize") -> Path:
    """Return the first folder that has data for every language, or else any data at all.

    Raises:
        ConfigError: when no folder has any data.
    """
    folders = [Path(config.tessdata)] if config.tessdata else list(_known_folders())
    with_data = [folder for folder in folders if any(folder.glob("*.traineddata"))]
    complete = [folder for folder in with_data if all((folder / f"{name}.traineddata").is_file() for name in config.languages)]
    if with_data:
        return (complete or with_data)[0]
    places = ", ".join(map(str, folders))
    raise ConfigError(
        f"{section}.tessdata: no Tesseract language data in {places}; "
        f"apt-get install {' '.join(map(_package, config.languages))}, or name the folder that has it"
    )


def _known_folders() -> Iterator[Path]:
    prefix = os.environ.get("TESSDATA_PREFIX")
    if prefix:
        yield from (Path(prefix), Path(prefix, "tessdata"))
    yield from sorted(Path("/usr/share/tesseract-ocr").glob("*/tessdata"), reverse=True)
    program = shutil.which("tesseract")
    if program:  # conda, Homebrew and builds from source keep their data beside the program
        yield Path(program).resolve().parents[1] / "share" / "tessdata"
    yield Path("/usr/share/tessdata")


def _missing_line(section: str, language: str, folder: Path) -> str:
    return f"{section}.languages: no data for {language} in {folder}; apt-get install {_package(language)}"


def _package(language: str) -> str:
    """Return Debian's package for a language; its packages of whole scripts have names of their own."""
    return "tesseract-ocr-all" if "/" in language else f"tesseract-ocr-{language.replace('_', '-').lower()}"
