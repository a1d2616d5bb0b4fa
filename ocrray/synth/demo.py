"""Regenerate the demo scans of `configs/restore/demo` from `texts.md`: `python -m ocrray.synth.demo [FOLDER]`."""

import argparse
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from ocrray.errors import ConfigError
from ocrray.synth.degrade import degrade
from ocrray.synth.render import fonts, render_page

FOLDER = Path("configs/restore/demo")


@dataclass(frozen=True, slots=True)
class DemoPage:
    """Section in `texts.md` (`name`, or `name.0` in a multi-page file), typesetting and damage of one demo page."""

    section: str
    font: str
    font_size_px: int
    severity: float
    seed: int
    width_px: int
    mode: Literal["1", "L"] = "1"
    suffix: str = ".png"


PAGES = [
    DemoPage("shipping-intelligence", "OldStandard-Regular.ttf", 30, 0.8, 4, 900),
    DemoPage("police-court", "GFSDidot.otf", 29, 0.8, 1, 900, "L"),
    DemoPage("railway-notice", "Century-Catalogue.ttf", 32, 0.6, 1, 1000),
    DemoPage("agricultural-show", "BaskervaldADFStd.otf", 30, 0.8, 1, 900, "L"),
    DemoPage("letter-gas", "OldStandard-Regular.ttf", 29, 1.0, 6, 900),
    DemoPage("novel-chapter", "EBGaramond12-Regular.otf", 34, 0.2, 3, 1000),
    DemoPage("advertisements", "Century-Catalogue.ttf", 29, 0.5, 4, 860),
    DemoPage("inquest", "GFSDidot.otf", 30, 0.8, 6, 900),
    DemoPage("town-council", "LinLibertine_R.otf", 29, 0.9, 5, 900),
    DemoPage("travels", "Essays1743.ttf", 34, 0.5, 1, 1000),
    DemoPage("court-circular", "BaskervaldADFStd.otf", 31, 0.7, 3, 900),
    DemoPage("market-report", "OldStandard-Regular.ttf", 29, 0.7, 4, 860, "L"),
    DemoPage("theatre", "JunicodeTwoBeta-Regular.otf", 32, 0.8, 4, 960, "L", suffix=".jpg"),
    DemoPage("parish-magazine.0", "EBGaramond08-Regular.otf", 33, 0.8, 1, 900, suffix=".tif"),
    DemoPage("parish-magazine.1", "EBGaramond08-Regular.otf", 33, 0.8, 2, 900, suffix=".tif"),
    DemoPage("blank-leaf", "GFSDidot.otf", 30, 0.4, 8, 900, "L"),
]


def generate(folder: str | Path = FOLDER) -> list[Path]:
    """Write the scans and their ground truths to `folder`/scans from `folder`/texts.md; return the paths of the scans.

    Raises: ConfigError: when a font or the text is missing.
    """
    texts = _read_texts(Path(folder) / "texts.md")
    installed = {path.name: path for path in fonts()}
    if missing := sorted({page.font for page in PAGES} - installed.keys()):
        raise ConfigError(f"not installed: {' '.join(missing)}; see the packages at the top of ocrray/synth/render.py")
    scans = Path(folder) / "scans"
    scans.mkdir(exist_ok=True)
    files: dict[Path, list[Image.Image]] = {}
    verso = Image.new("L", (1, 1), 255)
    for page in PAGES:
        image, lines, verso = _scan(page, texts.get(page.section, ""), installed[page.font], verso)
        (scans / f"{page.section}.gt.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        name = re.sub(r"\.\d+$", "", page.section) + page.suffix
        files.setdefault(scans / name, []).append(image)
    for path, images in files.items():
        _save(path, images)
    return list(files)


def _scan(page: DemoPage, text: str, font_path: Path, verso: Image.Image) -> tuple[Image.Image, list[str], Image.Image]:
    """Return the scan, its lines, and the clean page, which is the `verso` of the next scan."""
    rng = np.random.default_rng(page.seed)
    rendered = render_page(text, font_path=font_path, font_size_px=page.font_size_px, width_px=page.width_px, rng=rng)
    clean = rendered.image if text else Image.new("L", verso.size, 255)
    return degrade(clean, severity=page.severity, rng=rng, mode=page.mode, verso=verso), rendered.lines, clean


def _read_texts(path: Path) -> dict[str, str]:
    """Return a mapping from section name to text; a section starts with a line `## name`."""
    try:
        _, *sections = re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    except OSError as err:
        raise ConfigError(f"{path}: the demo texts cannot be read: {err.strerror}") from None
    return {name.strip(): body.strip() for name, _, body in (section.partition("\n") for section in sections)}


def _save(path: Path, images: list[Image.Image]) -> None:
    first, *rest = images
    options: dict[str, dict[str, Any]] = {
        ".png": {"optimize": True},
        ".jpg": {"quality": 50},
        ".tif": {"save_all": True, "append_images": rest, "compression": "group4"},
    }
    first.save(path, dpi=(200, 200), **options[path.suffix])


def main() -> None:
    parser = argparse.ArgumentParser(description="Regenerate the demo scans from texts.md.")
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    for path in generate(parser.parse_args().folder):
        print(path)


if __name__ == "__main__":
    main()
