"""The guard refuses what no OCR error explains, span by span, and nothing else."""

import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ocrray.errors import ConfigError
from ocrray.guard import GuardConfig, check, judge
from ocrray.guard.conform import conformed_edits
from ocrray.guard.evidence import ExternalEvidence
from ocrray.guard.judge import CONFUSIONS_FILE, LANGUAGE_FILE, SCORER_FILE, load_scorer
from ocrray.guard.labels import LabelledCorrection, label_spans
from ocrray.guard.scorer import Scorer
from ocrray.guard.signals import FAMILIES, NAMES, signals
from ocrray.guard.spans import spans_of
from ocrray.guard.whole import is_unlike
from ocrray.text.edits import apply_edits, edits_between, with_probabilities
from ocrray.training.guard.scorer import fit_scorer

SENTENCE = "The ship arrived at Leith on Tuesday with 240 barrels of oil from tbe north, and sails again on tbe 14th."
TAIL = " The captain was a man of great courage and of much renown in the whole county."
RULES_ALONE = GuardConfig(max_wrong=None, min_similarity=0.25, max_length_change=1.0)


def judged(raw: str, corrected: str, config: GuardConfig | None = GuardConfig()):  # noqa: B008 - frozen
    return judge(raw, edits_between(raw, corrected), (0, len(raw)), config)


def reasons(raw: str, corrected: str, config: GuardConfig | None = GuardConfig()) -> set[str]:  # noqa: B008 - frozen
    return {verdict.reason for verdict in judged(raw, corrected, config).verdicts if not verdict.accepted}


@pytest.mark.parametrize("config", [GuardConfig(), RULES_ALONE], ids=["scorer", "rules"])
@pytest.mark.parametrize(
    ("raw", "corrected"),
    [
        (SENTENCE, SENTENCE.replace("tbe", "the")),
        ("Tbe", "The"),
        ("tbe fum of mouey was paid", "the sum of money was paid"),
        ("the high-9treet, where 1 stood", "the high-street, where I stood"),
    ],
)
def test_guard_honest_fix_is_accepted(raw: str, corrected: str, config: GuardConfig):
    """Local corrections stand, in long passages and in a word alone."""
    assert apply_edits(raw, judged(raw, corrected, config).accepted) == corrected
    assert reasons(raw, corrected, config) == set()


@pytest.mark.parametrize(("raw", "corrected"), [("in l85O", "in 1850"), ("1 8 5 0", "1850"), ("a 9treet", "a street")])
def test_guard_rules_letters_read_as_figures_may_be_put_right(raw: str, corrected: str):
    """No figure is lost where letters were taken for digits, or digits stood apart."""
    assert reasons(raw, corrected, RULES_ALONE) == set()


@pytest.mark.parametrize(
    ("corrected", "reason"),
    [
        (SENTENCE + TAIL, "length"),
        (SENTENCE[:40], "similarity"),
        (SENTENCE.replace("barrels", "hundredweights"), "similarity"),
        (SENTENCE[:-30] + " and the and the and the and the and the", "repetition"),
        (SENTENCE.replace("Leith", "Le" + "i" * 35 + "th"), "length"),
        (SENTENCE.replace("240", "250"), "digits"),
        (SENTENCE.replace("14th", "th"), "digits"),
    ],
)
def test_guard_rule_alone_refuses_an_invention_with_its_name(corrected: str, reason: str):
    """A runaway tail, a dropped clause, another word, a loop and a changed figure are each refused for what they are."""
    assert reason in reasons(SENTENCE, corrected, RULES_ALONE)


@pytest.mark.parametrize(
    ("corrected", "kept"),
    [
        (SENTENCE.replace("tbe", "the") + TAIL, SENTENCE.replace("tbe", "the")),
        (SENTENCE.replace("tbe", "the").replace("240", "250"), SENTENCE.replace("tbe", "the")),
        (SENTENCE.replace("tbe", "the").replace("arrived", "foundered"), SENTENCE.replace("tbe", "the")),
    ],
    ids=["tail", "figure", "word"],
)
def test_guard_invention_is_refused_while_the_honest_fixes_of_its_record_stand(corrected: str, kept: str):
    """A tail, a changed figure or another word does not take the rest of its passage with it."""
    # The tail is glued to the last word, which the corrector left as it was.
    assert apply_edits(SENTENCE, judged(SENTENCE, corrected).accepted) == kept


def test_guard_switched_off_accepts_everything():
    """`guard: null` takes the corrector at its word."""
    assert apply_edits(SENTENCE, judged(SENTENCE, "Nothing.", None).accepted) == "Nothing."


def test_guard_verdicts_name_every_span_with_its_score():
    """Each verdict covers whole words, and says how likely they are wrong: the invention more than the fix."""
    verdicts = judged(SENTENCE, SENTENCE.replace("from tbe", "from the").replace("arrived", "foundered")).verdicts

    assert [SENTENCE[verdict.start : verdict.end] for verdict in verdicts] == ["arrived", "tbe"]
    assert [verdict.accepted for verdict in verdicts] == [False, True]
    assert 0 <= verdicts[1].score < 0.1 < 0.5 < verdicts[0].score <= 1
    assert verdicts[0].reason in FAMILIES


def test_guard_max_wrong_accepts_more_the_higher_it_is():
    """The one number goes from nothing to everything that no rule forbids."""
    corrected = SENTENCE.replace("tbe", "the").replace("arrived", "anchored")

    counts = [len(judged(SENTENCE, corrected, GuardConfig(max_wrong=limit)).accepted) for limit in (0.0, 0.3, 1.0)]

    assert counts[0] == 0
    assert counts == sorted(counts)
    assert counts[2] == len(edits_between(SENTENCE, corrected))


def test_guard_passage_offsets_are_those_of_the_row():
    """A passage in the middle of a row is judged by itself; edits and verdicts keep the row's offsets."""
    raw = "Before. " + SENTENCE
    edits = edits_between(raw, raw.replace("from tbe", "from the"))

    judgement = judge(raw, edits, (8, len(raw)), GuardConfig())

    assert judgement.accepted == edits
    assert [raw[verdict.start : verdict.end] for verdict in judgement.verdicts] == ["tbe"]


@given(st.text(max_size=80), st.text(max_size=80))
def test_guard_any_texts_every_edit_is_accepted_or_refused_once(raw: str, corrected: str):
    """The judgement sorts the edits that it was given, except those of white space and style: none is lost, none invented."""
    config = GuardConfig()
    edits = edits_between(raw, corrected)
    judgement = judge(raw, edits, (0, len(raw)), config)

    if not is_unlike(raw, edits):
        edits = conformed_edits(raw, edits, config.keep)
    assert sorted([*judgement.accepted, *judgement.refused], key=lambda edit: edit.start) == edits
    assert bool(judgement.refused) == any(not verdict.accepted for verdict in judgement.verdicts)


@given(st.text(alphabet="ab 1,\n", max_size=60), st.text(alphabet="ab 1,\n", max_size=60))
def test_spans_of_any_texts_hold_every_edit_and_touch_no_other(raw: str, corrected: str):
    """Spans come in order, apart, at the edges of words, and say what they read before and after."""
    edits = edits_between(raw, corrected)
    spans = spans_of(raw, edits)

    assert [edit for span in spans for edit in span.edits] == edits
    assert all(raw[span.start : span.end] == span.raw for span in spans)
    assert all(corrected[span.new_start : span.new_end] == span.corrected for span in spans)
    assert all(left.end < right.start for left, right in itertools.pairwise(spans))
    assert all(place in (0, len(raw)) or raw[place - 1].isspace() for place in (span.start for span in spans))


def test_guard_word_that_the_recognizer_read_surely_is_less_lightly_changed():
    """The same doubtful change of the same text is the likelier wrong, the surer the recognizer was of the word."""
    raw, corrected = "He went to the hause by the river.", "He went to the horse by the river."
    edits = edits_between(raw, corrected)
    unsure, sure = (
        judge(raw, edits, (0, len(raw)), GuardConfig(), ExternalEvidence(np.full(len(raw), share))).verdicts[0].score
        for share in (0.2, 0.97)
    )
    assert unsure < sure


def test_guard_change_that_the_tagger_makes_too_is_more_believed():
    """Two who agree are likelier right than one whom the other does not follow."""
    raw, corrected = "He went to the hause by the river.", "He went to the house by the river."
    edits = edits_between(raw, corrected)
    followed, alone = (
        judge(raw, edits, (0, len(raw)), GuardConfig(), ExternalEvidence(tagger_edits=tagger_edits)).verdicts[0].score
        for tagger_edits in (edits, [])
    )
    assert followed < alone


def test_guard_change_that_the_engine_doubts_is_less_believed():
    """The tagger's own probability has a say, under a name that can be silenced."""
    raw, corrected = "in tbe old honse", "in the old house"
    scores = []
    for share in (0.66, 0.999):
        edits = with_probabilities(edits_between(raw, corrected), {4: share, 13: share})
        scores.append(judge(raw, edits, (0, len(raw)), GuardConfig()).verdicts[1].score)
        silent = judge(raw, edits, (0, len(raw)), GuardConfig(ignore=("engine",))).verdicts[1].score
    assert scores[0] > scores[1]
    assert silent == judge(raw, edits_between(raw, corrected), (0, len(raw)), GuardConfig(ignore=("engine",))).verdicts[1].score


def test_scorer_beside_wrong_neighbours_a_span_is_likelier_wrong():
    """The same span is less believed beside inventions than beside honest fixes of the same passage."""
    knowledge, scorer = load_scorer("default")
    raw = "He was seeu near tbe old bridge"
    corrected = raw.replace("seeu", "seen").replace("tbe", "the").replace("bridge", "palace")
    doubtful, honest, invented = signals(raw, corrected, spans_of(raw, edits_between(raw, corrected)), knowledge)

    beside_honest, beside_invented = (scorer.score(np.stack([doubtful, other, other]))[0][0] for other in (honest, invented))

    assert beside_honest < beside_invented


def test_guard_passage_without_misread_letters_is_left_in_its_style():
    """A corrector that only lowers capitals where nothing was misread is not believed."""
    raw = "The Infant Royal Family will remain at Osborne during the absence of the Court."
    lowered = raw.replace("Infant Royal Family", "infant royal family").replace("Court", "court")
    assert judged(raw, lowered).accepted == []


def test_scorer_fitted_on_labelled_spans_tells_them_apart_and_survives_the_file(tmp_path: Path):
    """A scorer learns from corrections whose truth is known, also a signal that speaks in few of them."""
    knowledge = load_scorer("default")[0]
    honest = [LabelledCorrection(SENTENCE.replace("oil", "oii"), SENTENCE, SENTENCE)] * 60
    invented = [LabelledCorrection(SENTENCE, SENTENCE.replace("240", "270"), SENTENCE)] * 4
    spans = label_spans(honest + invented, knowledge)
    assert (spans.gains > 0).tolist() == [True] * 60 + [False] * 4

    fitted = fit_scorer(spans)
    fitted.save(tmp_path / SCORER_FILE)
    wrong, families = Scorer.load(tmp_path / SCORER_FILE).score(spans.signals)

    assert wrong[:60].max() < wrong[60:].min()
    assert np.array_equal(wrong, fitted.score(spans.signals)[0])
    assert set(families) <= set(FAMILIES)


def test_scorer_ignored_family_has_no_say():
    """With a family ignored, its signals may be anything."""
    knowledge, scorer = load_scorer("default")
    row = signals(
        SENTENCE,
        SENTENCE.replace("oil", "ale"),
        spans_of(SENTENCE, edits_between(SENTENCE, SENTENCE.replace("oil", "ale"))),
        knowledge,
    )
    other = row.copy()
    other[:, [NAMES.index(name) for name in FAMILIES["words"]]] = 0.0

    assert scorer.score(row)[0] != scorer.score(other)[0]
    assert scorer.score(row, ["words"])[0] == scorer.score(other, ["words"])[0]
    assert "words" not in scorer.score(row, ["words"])[1]


def test_guard_config_unknown_family_is_refused():
    """A misspelt name of a family is an error with the names that there are."""
    with pytest.raises(ValidationError, match="language"):
        GuardConfig(ignore=("langauge",))


def test_guard_check_missing_or_broken_scorer_is_one_line(tmp_path: Path):
    """A folder that is no scorer's is found before anything starts, and two scorers are told apart."""
    with pytest.raises(ConfigError, match=r"guard\.scorer"):
        check(GuardConfig(scorer=str(tmp_path)))
    knowledge, scorer = load_scorer("default")
    knowledge.language.save(tmp_path / LANGUAGE_FILE)
    knowledge.confusions.save(tmp_path / CONFUSIONS_FILE)
    replace(scorer, intercept=0.5).save(tmp_path / SCORER_FILE)

    assert check(GuardConfig(scorer=str(tmp_path))) != check(GuardConfig())
    assert check(RULES_ALONE) is None

    (tmp_path / SCORER_FILE).write_text("{}")
    load_scorer.cache_clear()
    with pytest.raises(ConfigError, match="not a scorer"):
        check(GuardConfig(scorer=str(tmp_path)))


def test_guard_judging_loads_no_fitting_library():
    """Scikit-learn and SciPy fit a scorer; judging needs neither."""
    code = (
        "import sys; from ocrray.guard import GuardConfig, judge; from ocrray.records import Edit\n"
        "judge('tbe', [Edit(1, 2, 'b', 'h')], (0, 3), GuardConfig())\n"
        "sys.exit(' '.join(name for name in ('sklearn', 'scipy') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
