"""What the tagger trains on: passages of clean text, pages really recognized, and the threshold chosen on them."""

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ocrray.engines.tagger import DEFAULT_FOLDER
from ocrray.errors import ConfigError
from ocrray.synth.render import fonts
from ocrray.training.clean import PASSAGE_CHARS, read_passages, straighten, vary
from ocrray.training.pairs import make_pair

PARAGRAPH = "It was the best of times, it was the _worst_ of times,\nsaid the magistrate to the prisoner at the bar."
PRINTED = PARAGRAPH.replace("_", "").replace("\n", " ")


def test_read_passages_of_text_and_jsonl_gives_whole_paragraphs(tmp_path: Path) -> None:
    """Both forms give the same paragraphs, one a line, without line ends and marks of emphasis of their own."""
    (tmp_path / "a.txt").write_text("\n\n".join([PARAGRAPH] * 40), encoding="utf-8")
    with gzip.open(tmp_path / "b.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": PARAGRAPH}) + "\n" for _ in range(40))
    plain, zipped = (read_passages([tmp_path / name]) for name in ("a.txt", "b.jsonl.gz"))
    assert plain == zipped
    assert {line for passage in plain for line in passage.split("\n")} == {PRINTED}
    assert sum(passage.count("\n") + 1 for passage in plain) == 40
    assert all(PASSAGE_CHARS <= len(passage) < PASSAGE_CHARS + 200 for passage in plain[:-1])


def test_vary_keeps_every_letter_of_a_passage_without_figures() -> None:
    """However it is set, wrapped or divided, the text stays the text."""
    letters = straighten(PRINTED).replace(" ", "").lower()
    for seed in range(40):
        varied = vary(PRINTED, np.random.default_rng(seed)).replace("-\n", "").replace("\n", "").replace(" ", "").lower()
        figures = len(varied) - len(letters)
        assert figures > 0 or varied == letters


def test_make_pair_reads_what_was_printed() -> None:
    """A page comes back as text close to its truth, the same for the same seed."""
    try:
        fonts()
    except ConfigError as err:
        pytest.skip(str(err))
    passage = "\n".join([PRINTED] * 20)
    pair = make_pair(passage, seed=3)
    assert pair == make_pair(passage, seed=3)
    assert pair["gt"].split()[5] in PRINTED
    assert len(pair["ocr"]) > 0.5 * len(pair["gt"])


def test_threshold_is_written_where_the_engine_looks_for_it(tmp_path: Path) -> None:
    """Choosing ends in a folder whose config.json says how sure the tagger must be."""
    folder = tmp_path / "tagger"
    shutil.copytree(DEFAULT_FOLDER, folder)
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"gt": PRINTED, "ocr": PRINTED.replace("the", "tbe", 1)}) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "ocrray.training.threshold", str(folder), "--pairs", str(pairs)]
    subprocess.run(command, check=True, capture_output=True)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert 0.4 <= config["edit_threshold"] <= 1
    assert config["id2label"] == json.loads((DEFAULT_FOLDER / "config.json").read_text(encoding="utf-8"))["id2label"]
