"""Labelled images of single lines: their text, their ink, and that equal seeds make equal images."""

import time
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from ocrray.errors import ConfigError, RecordError
from ocrray.synth.image_set import LabelledImage
from ocrray.synth.lines import LinesConfig
from ocrray.synth.made_up import made_up
from ocrray.synth.render import fonts, render_line

PROSE = "“It was the best of times, it was the worst of times,” said the magistrate to the prisoner at the bar. " * 8
HINDI = "बड़े शहर में सुबह की धूप और पुराने बाज़ार की गलियों में लोग अपने काम पर जा रहे थे। " * 8


def made(config: LinesConfig, passage: str, seed: int) -> LabelledImage:
    try:
        return config.make(passage, config.font_files(), np.random.default_rng(seed))
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(("script", "passage"), [("latin", PROSE), ("latin", ""), ("devanagari", HINDI), ("devanagari", "")])
def test_line_has_the_text_of_its_label_and_the_shape_asked_for(script: str, passage: str) -> None:
    """Labels are pieces of the passage or made up, as long as asked for; images are as high, and at least as wide, as asked."""
    config = LinesConfig(count=1, script=script, chars=(2, 20), made_up_frac=0, height_px=32, min_aspect=8)
    images = [made(config, passage, seed) for seed in range(20)]
    for line in images:
        assert line.text == unicodedata.normalize("NFC", line.text).strip()
        assert len(line.text) <= 20
        assert line.text.casefold() in passage.casefold() or not passage
        assert (line.image.mode, line.image.height, line.kind) == ("L", 32, "line")
        assert line.image.width >= 256
        assert np.asarray(line.image).min() < np.asarray(line.image).max() - 50
    assert len({line.text for line in images}) > 10
    again = made(config, passage, 7)
    assert (again.text, again.font, again.encoded()) == (images[7].text, images[7].font, images[7].encoded())


def test_spaced_letters_stand_in_cells_at_first_and_at_their_places_at_last() -> None:
    """The first lines of a set have a letter every half height from the left edge on; behind the spaced ones, all is as ever."""
    config = LinesConfig(count=1, chars=(12, 12), made_up_frac=0, height_px=32, min_aspect=12, spaced_frac=0.5)
    fonts = config.font_files()
    for seed in range(5):
        line = config.make_at(0.0, "aeo" * 200, fonts, np.random.default_rng(seed))
        ink = np.asarray(line.image, float).min(axis=0)
        dark = ink < (ink.min() + ink.max()) / 2
        cells = dark[: 16 * len(line.text)].reshape(-1, 16)
        assert (line.image.size, len(line.text)) == ((384, 32), 12)
        assert cells[:, 5:11].any(axis=1).all()
        assert not dark[16 * len(line.text) :].any()
    first, last = (config.make_at(at, PROSE, fonts, np.random.default_rng(1)).image for at in (0.0, 0.5))
    assert last == config.make(PROSE, fonts, np.random.default_rng(1)).image != first


def test_lines_are_made_up_in_the_fraction_asked_for() -> None:
    """Half of the lines are no piece of the passage."""
    config = LinesConfig(count=1, chars=(5, 20), made_up_frac=0.5)
    own = sum(made(config, PROSE, seed).text.casefold() in PROSE.casefold() for seed in range(40))
    assert 10 < own < 30


@pytest.mark.parametrize("script", ["latin", "devanagari"])
def test_made_up_strings_fit_and_cover_the_script(script: str) -> None:
    """No string is longer than asked for, none begins with a sign that belongs to a letter before it, all digits occur."""
    rng = np.random.default_rng(0)
    strings = [made_up(int(chars), script, rng) for chars in rng.integers(1, 40, size=500)]
    assert all(0 < len(text) <= 40 and text == text.strip() for text in strings)
    assert not any(unicodedata.category(text[0]).startswith("M") or text.endswith("्") for text in strings)
    letters = set("".join(strings))
    assert set("0123456789") <= letters
    assert script == "latin" or set("०१२३४५६७८९कषज्ािीुूेैोौंँृ") <= letters


def test_tight_line_shows_where_a_comma_stands() -> None:
    """A comma and an apostrophe are as high images, with their ink at different heights, and no ink is cut off."""
    face = fonts("latin", ("period", "modern"))[0]
    heights = []
    for text in (",", "'"):
        image, loose = (
            render_line(text, font_path=face, font_size_px=40, rng=np.random.default_rng(1), tight=tight).image
            for tight in (True, False)
        )
        assert image.height < loose.height
        rows = np.flatnonzero((np.asarray(image) < 128).any(axis=1))
        assert 0 < rows[0] <= rows[-1] < image.height - 1
        heights.append((image.height, rows.mean() / image.height))
    assert heights[0][1] > 0.6 > 0.5 > heights[1][1]
    assert abs(heights[0][0] - heights[1][0]) < 12


def test_line_that_no_font_can_set_says_why() -> None:
    """The reason is the row's, as for pages."""
    with pytest.raises(RecordError, match="no glyph") as caught:
        made(LinesConfig(count=1, made_up_frac=0, chars=(5, 9)), "漢字 " * 200, 0)
    assert caught.value.kind == "missing_glyph"


@pytest.mark.parametrize(
    ("keys", "named"),
    [({"chars": (5, 500)}, "200"), ({"typefaces": ["gothic"]}, "typefaces"), ({"validation_frac": 1}, "validation_frac")],
)
def test_lines_config_that_cannot_be_is_refused(keys: dict, named: str) -> None:
    """The message names the key or its bound."""
    with pytest.raises(ValidationError, match=named):
        LinesConfig(count=1, **keys)


def test_line_fonts_that_are_missing_are_named(tmp_path: Path) -> None:
    """A font file of one's own that is not there is told before the run."""
    with pytest.raises(ConfigError, match=r"gone\.ttf"):
        LinesConfig(count=1, fonts=[tmp_path / "gone.ttf"]).font_files()


@pytest.mark.slow
def test_lines_are_made_at_a_hundred_a_second() -> None:
    """Seconds of CPU, so that a busy machine does not matter; a reader needs ten thousands of lines."""
    config = LinesConfig(count=1, chars=(1, 60), height_px=32, min_aspect=8)
    made(config, PROSE, 0)
    begun = time.process_time()
    for seed in range(200):
        made(config, PROSE, seed).encoded()
    assert 200 / (time.process_time() - begun) > 70
