"""Counts of a record: against jiwer, against the definitions written out, and by hand."""

import json
import re
from pathlib import Path

import jiwer
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from ocrray.evaluation.counts import COUNTS, concatenated, count
from ocrray.evaluation.detection import detect
from ocrray.evaluation.normalisation import Normalisation
from ocrray.evaluation.text import correction_metrics
from ocrray.text.metrics import word_distances
from ocrray.text.normalise import for_hipe, for_scoring
from ocrray.text.words import words

TEXTS = st.text(alphabet="ab 1-#\n", max_size=24)
TRIPLES = st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=6)


def counted(raw: str, corrected: str, truth: str) -> dict[str, int]:
    """The counts of one record under the usual normalisation."""
    return {name: int(values[0]) for name, values in count([raw], [corrected], [truth], Normalisation()).items()}


@given(st.lists(st.tuples(TEXTS, TEXTS.filter(str.strip)), min_size=1, max_size=6))
def test_rates_any_pairs_equal_jiwers(pairs: list[tuple[str, str]]) -> None:
    """Our sums of distances give jiwer's CER and WER over the same texts."""
    texts, truths = zip(*pairs, strict=True)
    found = count(texts, texts, truths, Normalisation())
    scored, true = [for_scoring(text) for text in texts], [for_scoring(text) for text in truths]
    assert found["raw_distance"].sum() / found["truth_chars"].sum() == pytest.approx(jiwer.cer(true, scored))
    assert found["raw_word_distance"].sum() / found["truth_words"].sum() == pytest.approx(jiwer.wer(true, scored))
    assert correction_metrics(texts, texts, truths)["wer"] == pytest.approx(jiwer.wer(true, scored))


@given(TEXTS, TEXTS)
def test_hipe_counts_any_pair_are_those_of_jiwers_alignment(text: str, truth: str) -> None:
    """The official scorer takes its hits and errors from jiwer, after its own normalisation; so do we, by rapidfuzz."""
    assume(for_hipe(truth))
    found = counted(text, truth, truth)
    output = jiwer.process_characters(for_hipe(truth), for_hipe(text))
    errors = output.substitutions + output.deletions + output.insertions
    assert (found["hipe_raw_errors"], found["hipe_raw_length"]) == (errors, errors + output.hits)
    assert (found["hipe_corrected_errors"], found["hipe_corrected_length"]) == (0, len(for_hipe(truth)))


def test_hipe_normalisation_follows_the_published_rule() -> None:
    """Case and punctuation count as nothing, accents do, and historical letters are written out."""
    assert for_hipe("  Der Fluß_des—Lebens, 1848!  ") == "der fluss des lebens 1848"
    assert for_hipe("zuſam¬\nmen") == "zuſammen"
    assert for_hipe("œuvre æther E\u0301te\u0301") == "oeuvre aether e te"
    assert for_hipe("Été") == "été"


def detected_by_windows(raw: str, corrected: str, truth: str) -> tuple[int, int, int]:
    """ICDAR's rule on aligned texts, `@` for a gap: a token differs where its window, a character wider each way, does."""

    def windows(text: str, other: str) -> dict[int, tuple[str, str]]:
        left = right = ""
        for op in Levenshtein.opcodes(text, other):
            ours, theirs = text[op.src_start : op.src_end], other[op.dest_start : op.dest_end]
            width = max(len(ours), len(theirs))
            left, right = left + ours.ljust(width, "@"), right + theirs.ljust(width, "@")
        found, start = {}, 0
        for token in [*left.split(" ")]:
            end = start + len(token)
            window = slice(max(0, start - 1), end + 1)
            found[len(left[:start].replace("@", ""))] = (left[window].replace("@", ""), right[window].replace("@", ""))
            start = end + 1
        return found

    hyphenated = {
        place
        for match in re.finditer(r"[^ ]*(( ?-[^ ])|([^ ]-\ ?))[^ ]*", raw)
        for place in range(match.start(), match.end())
        if raw[place] != " "
    }
    to_truth, to_corrected = windows(raw, truth), windows(raw, corrected)
    tokens = {match.start(): match.end() for match in re.finditer(r"[^ ]+", raw)}
    kept = {
        start for start, end in tokens.items() if "#" not in to_truth[start][1] and not hyphenated.intersection(range(start, end))
    }
    wrong = {start for start in kept if to_truth[start][0] != to_truth[start][1]}
    changed = {start for start in kept if to_corrected[start][0] != to_corrected[start][1]}
    return len(wrong), len(changed), len(wrong & changed)


@given(TEXTS, TEXTS, TEXTS)
def test_detection_any_texts_equals_the_rule_written_out(raw: str, corrected: str, truth: str) -> None:
    """Positions by opcodes are those of windows on the aligned texts."""
    texts = tuple(for_scoring(text) for text in (raw, corrected, truth))
    assume(texts[0])
    assert detect(*texts) == detected_by_windows(*texts)


@pytest.mark.parametrize(
    ("raw", "corrected", "truth", "expected"),
    [
        ("tbe cat sat", "the cat sat", "the cat sat", (1, 1, 1)),
        ("tbe cat sat", "tbe cat sits", "the cat sat", (1, 1, 0)),
        ("the ca t sat", "the ca t sat", "the cat sat", (2, 0, 0)),  # torn apart: both parts are wrong
        ("thecat sat", "the cat sat", "the cat sat", (1, 1, 1)),
        ("half-tlme sat", "half-time sat", "half-time sat", (0, 0, 0)),  # hyphenated: left out
        ("xyq sat", "abc sat", "### sat", (0, 0, 0)),  # illegible: left out
        ("", "a", "b", (0, 0, 0)),
    ],
)
def test_detection_worked_examples(raw: str, corrected: str, truth: str, expected: tuple[int, int, int]) -> None:
    """Wrong, changed and both, counted by hand."""
    assert detect(raw, corrected, truth) == expected


def test_count_digits_are_counted_apart_from_letters() -> None:
    """A year put right and a sum made up show in the digits, whatever happens to the words."""
    found = counted("In l871 he pald £14.", "In 1871 he paid £140.", "In 1871 he paid £14.")
    assert [found[f"{name}_digit{rest}"] for name, rest in (("raw", "_distance"), ("corrected", "_distance"))] == [1, 1]
    assert (found["changed_digits"], found["truth_digits"]) == (2, 6)


@given(TRIPLES)
def test_count_of_parts_concatenated_is_count_of_all(triples: list[tuple[str, str, str]]) -> None:
    """Records are counted one by one, whichever batch they come in, and what is left alone is counted as it was."""
    columns = [[texts[i] for texts in triples] for i in range(3)]
    whole = count(*columns, Normalisation())
    parts = concatenated([count(*([text] for text in texts), Normalisation()) for texts in triples])
    assert set(whole) == set(COUNTS)
    assert all(np.array_equal(whole[name], parts[name]) for name in COUNTS)


@given(st.text(max_size=30))
def test_normalisation_by_default_is_that_of_scoring(text: str) -> None:
    """A run's own metrics and its evaluation compare the same texts."""
    assert Normalisation()(text) == for_scoring(text)


@pytest.mark.parametrize(
    ("choice", "left", "right"),
    [
        ({"fold_case": True}, "LONDON", "London"),
        ({"long_s": True}, "ſaid", "said"),
        ({"ligatures": True}, "ﬁre", "fire"),
        ({"quotes": True}, "“so”, ‘he’", "\"so\", 'he'"),
        ({"dashes": True}, "1848–49", "1848-49"),
        ({"join_lines": True}, "news-\npaper", "newspaper"),
        ({"ignore_punctuation": True}, "No, no!", "No no"),
        ({"unicode_form": "NFKC"}, "ſﬁ２", "sfi2"),
    ],
)
def test_normalisation_each_choice_makes_alike_only_what_it_names(choice: dict, left: str, right: str) -> None:
    """Each switch, alone, takes two spellings for one; without it they differ."""
    assert Normalisation(**choice)(left) == Normalisation(**choice)(right)
    assert Normalisation()(left) != Normalisation()(right)
    assert Normalisation(**choice).description() != Normalisation().description()


@pytest.mark.parametrize("mark", [*"-¬=‐‑‒–—−⸗⹀\xad"])
@pytest.mark.parametrize("line_end", ["\n", " \n", "\t\n", "\r\n", "\n  ", "\u2028"])
def test_normalisation_join_lines_joins_over_every_mark(mark: str, line_end: str) -> None:
    """Newspapers divide words by a hyphen, Fraktur by `=` or `⸗`, DTA by a dash, HIPE by `¬`; OCR leaves spaces behind."""
    joined = Normalisation(join_lines=True)
    assert joined(f"die news{mark}{line_end}paper") == "die newspaper"
    assert joined(f"का{mark}{line_end}र्य") == "कार्य"  # a vowel sign is no letter, but part of the word


def test_normalisation_join_lines_joins_nothing_else() -> None:
    """Marks between words, within lines and between figures stay; a soft hyphen is never printed within a line."""
    joined = Normalisation(join_lines=True)
    for text in ("he said - and", "well-known", "1848-\n49", "a = b", "he said —\nand", 'so-\n"called"'):
        assert joined(text) == " ".join(text.split())
    assert joined("news\xadpaper") == "newspaper"
    assert Normalisation()("news\xadpaper") == "news\xadpaper"


def test_normalisation_own_equivalences_count_as_the_same() -> None:
    """Strings of one group are alike, inside words too and in whatever composition and case; the longest comes first."""
    groups = [["s", "ſ"], ["w", "vv"], ["ä", "a\u0364"], ["und", "&", "vnd"], ["", "[", "]"], [";", " ;"], ["vvv", "xxx"]]
    own = Normalisation(equivalences=groups)
    assert own("vvaſſer & fewer [ſic] ; xxx") == "wasser und fewer sic; vvv"
    assert own("a\u0364 ä") == "ä ä"
    assert own("VNd") == "VNd"
    assert Normalisation(equivalences=groups, fold_case=True)("VNd ẞ") == "und ss"
    assert "s = ſ; w = vv" in own.description()


@pytest.mark.parametrize("groups", [[["a"]], [["a", "b"], ["b", "c"]], [["a", ""]], [["é", "a"], ["e\u0301", "b"]]])
def test_normalisation_equivalences_that_contradict_are_refused(groups: list[list[str]]) -> None:
    """A string in two groups has no one meaning, an empty one cannot be found."""
    with pytest.raises(ValueError, match="equivalences"):
        Normalisation(equivalences=groups)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("今日は天気。", ["今", "日", "は", "天", "気", "。"]),
        ("ABC 中華abc\u3000民", ["ABC", "中", "華", "abc", "民"]),
        ("ที่นี่ ok", ["ที่", "นี่", "ok"]),  # letters with their marks
        ("한국어 문장", ["한국어", "문장"]),
        ("naïve—dash two", ["naïve—dash", "two"]),
    ],
)
def test_words_of_scripts_without_spaces_are_characters(text: str, expected: list[str]) -> None:
    """One wrong character in a line is no word error rate of 100 %."""
    assert words(text) == expected
    assert counted(text, text, text)["truth_words"] == len(expected)


def test_normalisation_space_may_count() -> None:
    """With white space kept, a doubled space is an error like any other."""
    kept = Normalisation(collapse_space=False)
    assert count(["a  b"], ["a b"], ["a b"], kept)["raw_distance"].tolist() == [1]


def test_word_distances_unequal_lengths_raises() -> None:
    """A record lost on one side is found out, in words as in characters."""
    with pytest.raises(ValueError, match="1 texts on the left, 2 on the right"):
        word_distances(["a"], ["a", "b"])


@pytest.mark.shared
def test_count_real_outputs_give_the_known_reductions(shared_data: Path) -> None:
    """The micro CER reductions of four published correctors on 60 documents of BLN600, as the data's owner measured them."""
    lines = (shared_data / "llm_outputs" / "bln600.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    reductions = {}
    for name in rows[0]["outputs"]:
        found = count([row["ocr"] for row in rows], [row["outputs"][name] for row in rows], [row["gt"] for row in rows], str)
        reductions[name] = 1 - found["corrected_distance"].sum() / found["raw_distance"].sum()
    expected = {"llama-2-13b": -0.03, "llama-2-7b": 0.42, "bart-large": 0.12, "bart-base": 0.10}
    assert reductions == pytest.approx(expected, abs=0.006)
