"""Setting pages, damaging them, and the demo scans made that way."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from rapidfuzz.distance import Levenshtein

from ocrray.engines.tesseract import Tesseract, TesseractConfig
from ocrray.errors import ConfigError, RecordError
from ocrray.synth import demo, render
from ocrray.synth.degrade import binarise, bleed_through, degrade, lower_resolution, transfer_ink
from ocrray.synth.render import RenderedPage, fonts, render_page

DEMO = Path(__file__).parents[1] / demo.FOLDER
TEXT = (
    "The difference between a good harvest and a bad one—so the miller said—was commonly a matter of three wet mornings; and the "
    "whole parish, from the squire to the sexton, had been looking at the sky since Lammas-day with undisguised suspicion."
)


WORD = st.text(alphabet="aeiWtn—-.fl", min_size=1, max_size=40)
PROSE = st.lists(st.lists(WORD, max_size=30).map(" ".join), max_size=3).map("\n\n".join)


@pytest.fixture(scope="session")
def font_path() -> Path:
    """One period font; a machine without any cannot make data."""
    return _font("latin")


def _font(script: str) -> Path:
    try:
        return fonts(script)[0]
    except ConfigError as err:
        pytest.skip(str(err))


def _page(text: str, font_path: Path, width_px: int = 700, seed: int = 1, hyphenate: bool = False) -> RenderedPage:
    rng = np.random.default_rng(seed)
    return render_page(text, font_path=font_path, font_size_px=28, width_px=width_px, rng=rng, hyphenate=hyphenate)


def _sheet() -> Image.Image:
    """A page that needs no installed font."""
    image = Image.new("L", (500, 300), 255)
    words = "The quick brown fox\njumps over\nthe lazy dog"
    ImageDraw.Draw(image).multiline_text((30, 30), words, font=ImageFont.load_default(40))
    return image


def _ink_frac(image: Image.Image) -> float:
    return float(np.mean(np.asarray(image.convert("L")) < 128))


@settings(deadline=None, max_examples=40)
@given(text=PROSE, width_px=st.integers(280, 900), hyphenate=st.booleans())
def test_render_page_any_text_loses_no_character(font_path: Path, text: str, width_px: int, hyphenate: bool):
    """However lines break, the lines hold the text; only the hyphens of divided words are added."""
    page = _page(text, font_path, width_px, hyphenate=hyphenate)

    divided = "".join(line.removesuffix("-") if hyphenate else line for line in page.lines)
    given = "".join(text.split())
    assert divided.replace(" ", "").replace("-", "") == given.replace("-", "")
    assert hyphenate or "".join(page.lines).replace(" ", "") == given


def test_render_page_long_words_stay_inside_the_margins(font_path: Path):
    """A word wider than the line is broken, not cut off at the edge."""
    page = _page("W" * 300 + " end", font_path, width_px=400)

    ink = np.asarray(page.image) < 128
    assert not ink[:, :20].any()
    assert not ink[:, -20:].any()
    assert len(page.lines) > 10


def test_render_page_full_lines_are_justified_and_headings_centred(font_path: Path):
    """Full lines end at one right margin; a heading has the same room on either side."""
    image = np.asarray(_page(f"HEADING\n\n{TEXT}", font_path).image) < 128
    rows = np.flatnonzero(image.any(axis=1))
    lines = np.split(rows, np.flatnonzero(np.diff(rows) > 4) + 1)
    spans = [np.flatnonzero(image[line].any(axis=0))[[0, -1]] for line in lines if len(line) > 10]

    heading, *body = spans
    assert heading.sum() == pytest.approx(700, abs=6)
    assert np.ptp([right for _, right in body[:-1]]) <= 4
    assert body[-1][1] < body[0][1]


def test_render_page_hyphenate_divides_words_at_line_ends(font_path: Path):
    """Divided words end their line in a hyphen, and only when asked for."""
    text = "indubitable consequential misdemeanours " * 12

    divided = _page(text, font_path, 400, hyphenate=True).lines
    assert any(line.endswith("-") for line in divided)
    assert "".join(line.removesuffix("-") if line.endswith("-") else f"{line} " for line in divided).strip() == text.strip()
    assert not any("-" in line for line in _page(text, font_path, 400).lines)


def test_render_page_same_seed_gives_the_same_page(font_path: Path):
    """The page depends on the arguments and the seed alone."""
    assert _page(TEXT, font_path).image.tobytes() == _page(TEXT, font_path).image.tobytes()
    assert _page(TEXT, font_path).image.tobytes() != _page(TEXT, font_path, seed=2).image.tobytes()


def test_render_page_missing_glyph_fails_instead_of_drawing_boxes(font_path: Path):
    """A page that shows something else than its ground truth would teach errors."""
    with pytest.raises(RecordError, match=r"U\+6F22") as caught:
        _page("kanji 漢", font_path)
    assert caught.value.kind == "missing_glyph"


@pytest.mark.parametrize("text", ["word " * 200_000, "l" * 1_001])
def test_render_page_too_long_fails_before_drawing(font_path: Path, text: str):
    """A book is not one page, nor is a thousand characters one word; neither is cut short silently."""
    with pytest.raises(RecordError) as caught:
        _page(text, font_path, width_px=300)
    assert caught.value.kind == "too_long"


def test_render_page_too_narrow_is_refused(font_path: Path):
    """A page without room for a few letters a line would cut them off."""
    with pytest.raises(ValueError, match="narrow"):
        _page("text", font_path, width_px=100)


def test_render_page_devanagari_is_shaped_and_kept_whole():
    """Conjuncts and vowel signs form: the shaped word is narrower than its characters one by one."""
    path = _font("devanagari")
    page = _page("क्षत्रिय किताब " * 20, path)

    assert " ".join(page.lines) == " ".join(("क्षत्रिय किताब " * 20).split())
    font = ImageFont.truetype(path, 40)
    assert font.getlength("क्षत्रिय") < 0.8 * sum(map(font.getlength, "क्षत्रिय"))


def test_fonts_none_installed_names_the_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The error says what to install."""
    monkeypatch.setattr(render, "_FONT_FOLDERS", (tmp_path,))

    with pytest.raises(ConfigError, match=r"apt-get install .*fonts-oldstandard"):
        fonts()


def test_render_page_file_that_is_no_font_is_a_config_error(tmp_path: Path):
    """A damaged font file is named, not a crash."""
    path = tmp_path / "broken.ttf"
    path.write_bytes(b"no font")

    with pytest.raises(ConfigError, match=r"broken\.ttf"):
        _page("text", path)


@pytest.mark.parametrize("severity", [0.0, 0.5, 1.0])
def test_degrade_same_seed_gives_the_same_scan_of_the_same_size(severity: float):
    """Damage is seeded, differs from seed to seed, and never changes the page's size."""
    one, again, other = (degrade(_sheet(), severity=severity, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))

    assert one.size == _sheet().size
    assert one.tobytes() == again.tobytes()
    assert one.tobytes() != other.tobytes()


@pytest.mark.parametrize("mode", ["1", "L"])
def test_degrade_mode_as_asked(mode: str):
    """The caller can fix whether scans are grey or black and white."""
    assert {degrade(_sheet(), severity=0.5, rng=np.random.default_rng(seed), mode=mode).mode for seed in range(4)} == {mode}


@pytest.mark.parametrize("size", [(300, 400), (1, 1), (3, 700)])
@pytest.mark.parametrize("severity", [0.0, 1.0])
def test_degrade_blank_page_stays_light(size: tuple[int, int], severity: float):
    """No ink appears where none was, whatever the size."""
    scan = degrade(Image.new("L", size, 255), severity=severity, rng=np.random.default_rng(3))

    assert scan.size == size
    assert _ink_frac(scan) < 0.01


@pytest.mark.parametrize("severity", [-0.1, 1.1, float("nan")])
def test_degrade_severity_out_of_range_is_refused(severity: float):
    """Severity is a fraction."""
    with pytest.raises(ValueError, match="severity"):
        degrade(_sheet(), severity=severity, rng=np.random.default_rng(1))


def test_transfer_ink_weight_sets_the_inked_area():
    """More ink than the type's own area at positive weight, less at negative, about as much as asked for."""
    before = _ink_frac(_sheet())
    thin, fat = (_ink_frac(transfer_ink(_sheet(), weight=w, roughness=0.3, rng=np.random.default_rng(1))) for w in (-0.2, 0.2))

    assert thin / before == pytest.approx(0.8, abs=0.05)
    assert fat / before == pytest.approx(1.2, abs=0.05)


def test_bleed_through_shows_the_other_page_mirrored():
    """What shows through is the back's left on the front's right."""
    verso = Image.new("L", (200, 100), 255)
    verso.paste(0, (0, 0, 60, 60))
    front = np.asarray(bleed_through(Image.new("L", (200, 100), 255), verso, opacity=0.5), dtype=float)

    assert front[:, 120:].mean() < front[:, :80].mean() == 255


def test_binarise_shadow_does_not_turn_black():
    """The threshold follows the light: the dark side of a page keeps its letters apart from its paper."""
    sheet = np.asarray(_sheet(), dtype=float)
    sheet *= np.linspace(1, 0.4, 500)

    scan = binarise(Image.fromarray(sheet.astype(np.uint8)), window_px=30)
    assert _ink_frac(scan) == pytest.approx(_ink_frac(_sheet()), rel=0.2)


def test_lower_resolution_takes_detail_away():
    """A pattern finer than the lower resolution becomes an even grey."""
    stripes = Image.fromarray(np.tile(np.array([0, 255], dtype=np.uint8), (100, 50)))

    assert np.asarray(lower_resolution(stripes, scale=0.25)).std() < 20


@pytest.fixture(scope="module")
def tesseract() -> Iterator[Tesseract]:
    try:
        engine = Tesseract(TesseractConfig())
    except ConfigError as err:
        pytest.skip(str(err))
    yield engine
    engine.close()


def _error_frac(tesseract: Tesseract, scan: Image.Image, lines: list[str]) -> float:
    read = " ".join(line.text for line in tesseract.recognize(scan))
    return Levenshtein.distance(read, " ".join(lines)) / len(" ".join(lines))


def test_degrade_more_severity_more_ocr_errors(tesseract: Tesseract, font_path: Path):
    """Tesseract reads a lightly damaged page nearly right, a badly damaged one with many errors, but still reads it."""
    page = _page(f"{TEXT}\n\n{TEXT}", font_path)
    light, heavy = (
        np.mean(
            [
                _error_frac(tesseract, degrade(page.image, severity=severity, rng=np.random.default_rng(seed)), page.lines)
                for seed in range(4)
            ]
        )
        for severity in (0.2, 1.0)
    )

    assert light < 0.03
    assert 0.04 < heavy < 0.4


def test_demo_scans_are_complete_and_small():
    """Every page has its ground truth, one page is blank, and a clone of the repository stays small."""
    scans = [path for path in (DEMO / "scans").iterdir() if path.suffix != ".txt"]
    truths = {path.name for path in (DEMO / "scans").glob("*.gt.txt")}

    wanted = {f"{page.section}.gt.txt" for page in demo.PAGES}
    assert truths == wanted
    assert sum(getattr(Image.open(path), "n_frames", 1) for path in scans) == len(demo.PAGES) == 16
    assert [path.name for path in (DEMO / "scans").glob("*.gt.txt") if not path.read_text()] == ["blank-leaf.gt.txt"]
    assert sum(path.stat().st_size for path in scans) < 3e6


def test_demo_generate_gives_the_committed_scans(tmp_path: Path):
    """The scans in the repository are what the code makes of the texts; pixels may differ a little between library versions."""
    (tmp_path / "texts.md").write_bytes((DEMO / "texts.md").read_bytes())
    try:
        scans = demo.generate(tmp_path)
    except ConfigError as err:
        pytest.skip(str(err))

    for path in scans:
        made, committed = (np.asarray(Image.open(file).convert("L"), dtype=float) for file in (path, DEMO / "scans" / path.name))
        assert np.abs(made - committed).mean() < 3
    for truth in (DEMO / "scans").glob("*.gt.txt"):
        assert (tmp_path / "scans" / truth.name).read_text() == truth.read_text()


def test_demo_generate_without_texts_is_a_config_error(tmp_path: Path):
    """A folder without texts is named."""
    with pytest.raises(ConfigError, match=r"texts\.md"):
        demo.generate(tmp_path)
