"""BLEU and TER: sacrebleu's own figures, with a tokenizer that fits the script, and the form of published systems."""

import json
import math
from collections import Counter

import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.ter import TER

from ocrray.evaluation.published_format import published_scores
from ocrray.evaluation.translation import SampledTexts, tokenizer_name, translation_scores

ENGLISH = [
    SampledTexts("Tbe cat, 'sat'.", "The cat, 'sat'.", "The cat, 'sat'."),
    SampledTexts("a dog bites", "a god bites", "a dog bit me"),
]
JAPANESE = [
    SampledTexts(
        "今日は天氣がよいので散步に出かけた。", "今日は天気がよいので散歩に出かけた。", "今日は天気がよいので散歩に出かけた。"
    ),
    SampledTexts("春はあけばの。やうやう白く", "春はあけぼの。やうやう白く", "春はあけぼの。やうやう白く"),
]
CHINESE = [
    SampledTexts("中華民國三十七年五月二十日星期日", "中華民國三十七年五月二十日星期四", "中華民國三十七年五月二十日星期四")
]


@pytest.mark.parametrize(("texts", "tokenizer"), [(ENGLISH, "13a"), (CHINESE, "zh"), (JAPANESE, "char")])
def test_translation_scores_equal_sacrebleus_with_the_named_tokenizer(texts: list[SampledTexts], tokenizer: str) -> None:
    """The signature that is reported gives these figures again."""
    found = translation_scores(texts)
    bleu = BLEU(tokenize=tokenizer)
    raw, new, truth = ([text[column] for text in texts] for column in range(3))
    assert found.raw_bleu == pytest.approx(bleu.corpus_score(raw, [truth]).score)
    assert found.bleu == pytest.approx(bleu.corpus_score(new, [truth]).score)
    assert found.bleu_signature == str(bleu.get_signature())
    assert found.tokenizers == {tokenizer: len(texts)}
    if tokenizer == "13a":
        ter = TER(case_sensitive=True)
        assert (found.raw_ter, found.ter) == tuple(pytest.approx(ter.corpus_score(side, [truth]).score) for side in (raw, new))
        assert found.ter_signature == str(ter.get_signature())


def test_translation_scores_of_lines_without_spaces_rise_and_reach_100() -> None:
    """With sacrebleu's default a line is one word: BLEU 0 before and after, TER 100 for one wrong character."""
    found = translation_scores(JAPANESE + CHINESE)
    assert 60 < found.raw_bleu < 95 < found.bleu == pytest.approx(100)
    assert 0 == found.ter < found.raw_ter < 15
    half = translation_scores([*JAPANESE, *CHINESE, *(text._replace(corrected=text.raw) for text in JAPANESE)])
    assert half.raw_bleu < half.bleu < 100


def test_translation_scores_of_mixed_scripts_name_every_tokenizer() -> None:
    """Each record is tokenized by its own script; the signatures and the counts say so."""
    found = translation_scores([*ENGLISH, *ENGLISH, *CHINESE])
    assert found.tokenizers == {"13a": 4, "zh": 1}
    assert "|tok:13a+zh|" in found.bleu_signature
    assert "|tok:tercom+zh|" in found.ter_signature


@pytest.mark.parametrize(
    ("truth", "language", "expected"),
    [
        ("the cat", None, "13a"),
        ("the cat (中)", "zh", "13a"),  # mostly Latin, whatever the catalogue says
        ("中華民國", None, "zh"),
        ("中華民國", "chi_tra", "zh"),
        ("昭和三年", "jpn", "char"),  # Japanese may be written in Han characters alone
        ("昭和三年", "ja-JP", "char"),
        ("春はあけぼの", "zh", "char"),  # kana is Japanese
        ("ที่นี่ กรุงเทพ", None, "char"),
        ("한국어 문장", "ko", "13a"),
        ("", None, "13a"),
    ],
)
def test_tokenizer_name_follows_script_then_language(truth: str, language: str | None, expected: str) -> None:
    """The script decides; the language only tells Chinese from Japanese in Han characters."""
    assert tokenizer_name(truth, language) == expected


def test_published_scores_are_counts_of_the_texts_as_they_stand() -> None:
    """JSON answers by hand: n-grams of all records together, no smoothing, one edit for each wrong word."""
    truths = [json.dumps({"invoice": f"A-{n}", "products": [{"description": "tea bags", "cases": str(n)}]}) for n in range(5)]
    answers = [truths[0], truths[1].replace("bags", "BAGS"), truths[2].replace("tea bags", "tea big bags"), "", *truths[4:]]
    found = published_scores(answers, truths)
    tokenize = BLEU().tokenizer
    matched, total = Counter(), Counter()
    for answer, truth in zip(answers, truths, strict=True):
        for size in range(1, 5):
            grams = [
                Counter(zip(*(words[n:] for n in range(size)), strict=False))
                for words in (tokenize(answer).split(), tokenize(truth).split())
            ]
            matched[size] += (grams[0] & grams[1]).total()
            total[size] += grams[0].total()
    assert found.bleu.precisions == pytest.approx([matched[size] / total[size] for size in range(1, 5)])
    length = [sum(len(tokenize(text).split()) for text in texts) for texts in (answers, truths)]
    assert [found.bleu.translation_length, found.bleu.reference_length] == length
    assert found.bleu.length_ratio == pytest.approx(length[0] / length[1])
    assert found.bleu.brevity_penalty == pytest.approx(math.exp(1 - length[1] / length[0]))
    geometric = math.exp(sum(map(math.log, found.bleu.precisions)) / 4)
    assert found.bleu.bleu == pytest.approx(found.bleu.brevity_penalty * geometric)
    words = len(truths[0].split())
    assert (found.ter.num_edits, found.ter.ref_length) == (1 + words, 5 * words)  # case is no edit; nothing is one for each word
    assert found.ter.score == pytest.approx(100 * found.ter.num_edits / found.ter.ref_length)
    assert published_scores([], []) is None
    assert published_scores([""], ["a b"]).bleu.bleu == 0
