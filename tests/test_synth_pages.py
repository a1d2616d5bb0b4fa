"""One pair at a time: by way of paper and Tesseract, and by way of the noise model."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ocrray.engines.tesseract import Tesseract, TesseractConfig
from ocrray.errors import ConfigError, RecordError
from ocrray.records import Line
from ocrray.synth.config import PAGE_SEGMENTATION, NoiseConfig, PagesConfig
from ocrray.synth.noise import NoiseModel
from ocrray.synth.noisy import make_noisy
from ocrray.synth.pages import ScannedPair, make_page, typefaces
from ocrray.synth.render import fonts, render_line
from ocrray.text.metrics import distance

PROSE = "It was the best of times, it was the worst of times, said the magistrate to the prisoner at the bar.\n" * 16
HINDI = "बड़े शहर में सुबह की धूप और पुराने बाज़ार की गलियों में लोग अपने काम पर जा रहे थे। " * 8


def installed(script: str) -> list[Path]:
    try:
        return fonts(script)
    except ConfigError as err:
        pytest.skip(str(err))


def made(config: PagesConfig, passage: str, seed: int, recognize) -> ScannedPair:
    return make_page(passage, config, installed(config.script), np.random.default_rng(seed), recognize)


@pytest.fixture(params=[("latin", "eng", "page", PROSE), ("devanagari", "hin", "line", HINDI)], ids=lambda param: param[2])
def case(request: pytest.FixtureRequest) -> Iterator[tuple[PagesConfig, str, Tesseract]]:
    """A kind of page, a text for it, and the Tesseract that reads it."""
    script, language, unit, passage = request.param
    config = PagesConfig(count=1, script=script, languages=[language], unit=unit, severity=(0, 0.2))
    try:
        engine = Tesseract(TesseractConfig(languages=[language], page_segmentation=PAGE_SEGMENTATION[unit]))
    except ConfigError as err:
        pytest.skip(str(err))
    yield config, passage, engine
    engine.close()


def test_make_page_reads_what_was_printed(case) -> None:
    """A page comes back as text close to its truth, and another time, for the same seed, as the very same."""
    config, passage, engine = case
    first, again = (made(config, passage, 3, engine.recognize) for _ in range(2))
    assert (first.ocr, first.gt, first.font, first.severity) == (again.ocr, again.gt, again.font, again.severity)
    assert first.image.tobytes() == again.image.tobytes()
    words = first.gt.replace("-\n", "").split()
    assert set(words[:3]) <= set(passage.split())
    assert distance(first.ocr, first.gt) < 0.15 * len(first.gt)
    assert config.char_range[0] * 0.7 < len(first.gt) < config.char_range[1] * 1.1
    assert first.severity <= 0.2
    assert ("\n" in first.gt) == (config.unit == "page")
    assert len(first.word_confidences) == len(first.ocr.split())
    assert all(0 <= share <= 1 for share in first.word_confidences)


def nothing(_: Image.Image) -> Sequence[Line]:
    return []


def nonsense(_: Image.Image) -> Sequence[Line]:
    return [Line("xyzzy " * 80)]


@pytest.mark.parametrize(
    ("passage", "recognize", "kind"),
    [
        (PROSE, nothing, "unread"),
        (PROSE, nonsense, "too_wrong"),
        ("漢字 " * 500, nonsense, "missing_glyph"),
        ("x" * 1500, nonsense, "too_long"),
    ],
)
def test_make_page_without_a_good_pair_says_why(passage: str, recognize, kind: str) -> None:
    """Each way to fail has its reason, by which such pages are counted."""
    with pytest.raises(RecordError) as caught:
        made(PagesConfig(count=1), passage, 0, recognize)
    assert caught.value.kind == kind


def test_make_page_takes_a_font_that_has_every_character() -> None:
    """Of the fonts only Junicode has the r rotunda: the others are passed over, whichever the seed tries first."""
    if "JunicodeTwoBeta-Regular.otf" not in {path.name for path in installed("latin")}:
        pytest.skip("Junicode is not installed")
    config = PagesConfig(count=1, unit="line", max_cer=99)
    used = {made(config, PROSE.replace("r", "ꝛ"), seed, nonsense).font for seed in range(6)}
    assert used == {"JunicodeTwoBeta-Regular.otf"}


def test_render_line_leaves_no_ink_at_the_edges() -> None:
    """Whatever the script and the font, marks above and below the line are on the image."""
    for script, text in (("latin", "Ågypt’s quay"), ("devanagari", "बड़े कृष्ण की र्त्रू")):
        for path in installed(script):
            try:
                page = render_line(text, font_path=path, font_size_px=40, rng=np.random.default_rng(0))
            except RecordError:
                continue
            ink = np.asarray(page.image) < 128
            assert ink.any()
            assert not np.concatenate([ink[0], ink[-1], ink[:, 0], ink[:, -1]]).any(), path
            assert page.lines == [text]


def test_render_line_of_a_page_of_text_is_refused() -> None:
    """A line wider than any scan is told, not drawn."""
    with pytest.raises(RecordError, match="wide"):
        render_line("word " * 5000, font_path=installed("latin")[0], font_size_px=40, rng=np.random.default_rng(0))


@pytest.mark.parametrize("vary", [True, False])
def test_make_noisy_makes_about_the_errors_asked_for(vary: bool) -> None:
    """The median pair is about as wrong as asked for, none is far beyond the limit, and the truth is a piece of the passage."""
    model = NoiseModel.fit([(PROSE, PROSE.replace("e", "c", 100))])
    config = NoiseConfig(count=1, median_cer=0.06, max_cer=0.1, clean_frac=0, vary=vary)
    pairs = [make_noisy(PROSE, config, model, np.random.default_rng(seed)) for seed in range(80)]
    cers = [distance(ocr, gt) / len(gt) for ocr, gt, _ in pairs]
    assert 0.03 < np.median(cers) < 0.09
    assert max(cers) < 0.2
    assert vary or all(gt in PROSE for _, gt, _ in pairs)


def test_make_noisy_leaves_the_share_asked_for_clean() -> None:
    """Clean pairs are the same on both sides, and are said to be so."""
    model = NoiseModel.fit([(PROSE, PROSE)])
    config = NoiseConfig(count=1, clean_frac=0.3)
    pairs = [make_noisy(PROSE, config, model, np.random.default_rng(seed)) for seed in range(200)]
    clean = [(ocr, gt) for ocr, gt, with_errors in pairs if not with_errors]
    assert 40 < len(clean) < 80
    assert all(ocr == gt for ocr, gt in clean)


def test_typefaces_are_those_of_the_config_where_it_names_any(tmp_path: Path) -> None:
    """Another script than the two that are known needs but its font; a file that is missing is named before the run."""
    face = installed("devanagari")[0]
    assert typefaces(PagesConfig(count=1, fonts=[face])) == [face]
    with pytest.raises(ConfigError, match=r"gone\.ttf"):
        typefaces(PagesConfig(count=1, fonts=[face, tmp_path / "gone.ttf"]))
