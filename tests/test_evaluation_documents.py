"""Scores of whole documents: against Donut's and ANLS*'s own programs, and what must hold for any documents."""

import json
import random
from typing import Any

import pytest
import zss
from anls_star import anls_score
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from ocrray.evaluation.documents import score_answers
from ocrray.evaluation.field_matching import anls
from ocrray.evaluation.field_values import Document
from ocrray.evaluation.tree_accuracy import tree_accuracy

few = settings(max_examples=25, deadline=None)  # zss takes its time, and so does the first import of SciPy
texts = st.text(alphabet="abAB .1é", min_size=1, max_size=6).filter(str.strip).map(str.strip)
rows = st.dictionaries(st.sampled_from(["name", "no", "x"]), st.lists(texts, min_size=1, max_size=2), min_size=1)
documents = st.dictionaries(
    st.sampled_from(["total", "date", "items", "a"]),
    st.lists(texts, min_size=1, max_size=3) | st.lists(rows, min_size=1, max_size=3),
    max_size=4,
)
products = st.fixed_dictionaries({name: texts.map(lambda text: [text]) for name in ("description", "cases")})
invoices = st.fixed_dictionaries({"no": texts.map(lambda text: [text]), "products": st.lists(products, min_size=1, max_size=4)})


def donut_accuracy(predicted: Document, true: Document) -> float:
    """Accuracy as Donut's JSONParseEvaluator computes it, with zss."""

    def tree(items: Any, label: str) -> zss.Node:
        node = zss.Node(label)
        for key in sorted(items, key=lambda key: (len(key), key)) if isinstance(items, dict) else ():
            node.addkid(tree(items[key], key))
        for item in items if isinstance(items, list) else ():
            node.addkid(zss.Node(f"<leaf>{item}") if isinstance(item, str) else tree(item, "<subtree>"))
        return node

    def cost(node: zss.Node) -> int:
        return len(node.label) - 6 if "<leaf>" in node.label else 1

    def update(left: zss.Node, right: zss.Node) -> int:
        if "<leaf>" in left.label and "<leaf>" in right.label:
            return Levenshtein.distance(left.label, right.label)
        longer = [cost(node) for node in (left, right) if "<leaf>" in node.label]
        return 1 + longer[0] if longer else int(left.label != right.label)

    def distance(left: Document) -> int:
        return zss.distance(tree(left, "<root>"), tree(true, "<root>"), zss.Node.get_children, cost, cost, update)

    return max(0, 1 - distance(predicted) / distance({}))


def shuffled(value: Any, rng: random.Random, *, lists: bool) -> Any:
    """The same with names, and if `lists` rows, in another order."""
    if isinstance(value, dict):
        return {name: shuffled(value[name], rng, lists=lists) for name in rng.sample(list(value), len(value))}
    if isinstance(value, list):
        items = [shuffled(item, rng, lists=lists) for item in value]
        return rng.sample(items, len(items)) if lists else items
    return value


@few
@given(documents, documents.filter(bool))
def test_tree_accuracy_any_documents_equals_donuts(predicted: Document, true: Document) -> None:
    """The published definition, node for node; a perfect answer is 1, nothing at all 0."""
    assert tree_accuracy(predicted, true) == pytest.approx(donut_accuracy(predicted, true))
    assert tree_accuracy(true, true) == 1
    assert tree_accuracy({}, true) == 0


@few
@given(invoices, invoices)
def test_anls_of_rows_equals_its_authors_program(predicted: Document, true: Document) -> None:
    """Threshold, case, rows and what is missing count as in `anls_star`."""
    assert anls(predicted, true) == pytest.approx(anls_score(true, predicted), abs=1e-3)


@few
@given(documents, documents, st.randoms(use_true_random=False))
def test_score_answers_any_documents_keep_bounds_and_ignore_the_order_of_names(
    predicted: Document, true: Document, rng: random.Random
) -> None:
    """Every rate is a share, the order of names changes nothing, and that of rows nothing of a right answer but its tree."""
    answer, truth = json.dumps(predicted), json.dumps(true)
    scores = score_answers([(answer, truth)])
    assert all(0 <= rate <= 1 for rate in scores.metrics().values())
    other = shuffled(predicted, rng, lists=False), shuffled(true, rng, lists=False)
    again = score_answers([(json.dumps(other[0]), json.dumps(other[1], indent=2))])
    assert again.metrics() == pytest.approx(scores.metrics())
    right = score_answers([(json.dumps(shuffled(true, rng, lists=True)), truth)])
    assert right.records_exact == 1
    assert right.documents[0].anls == 1


@few
@given(documents, documents)
def test_score_answers_swapped_sides_swap_precision_and_recall(left: Document, right: Document) -> None:
    """F1 and ANLS are symmetric; what one side misses the other invents."""
    there, back = (
        score_answers([pair]) for pair in ((json.dumps(left), json.dumps(right)), (json.dumps(right), json.dumps(left)))
    )
    assert there.metrics().get("field_f1") == pytest.approx(back.metrics().get("field_f1"))
    assert there.metrics().get("field_precision") == pytest.approx(back.metrics().get("field_recall"))
    assert there.documents[0].anls == pytest.approx(back.documents[0].anls)


def test_score_answers_malformed_ones_count_and_are_never_dropped() -> None:
    """Valid JSON with wrong values, broken JSON and no answer at all: each is a document in every mean."""
    truth = '{"no": "A-17", "products": [{"description": "tea bags", "cases": "4"}]}'
    answers = [truth, truth.replace('"4"', '"5"'), truth[:-1], "", None, "[]", truth.replace('"no"', '"no": "x", "no"')]
    scores = score_answers([(answer, truth) for answer in answers])
    found = scores.metrics()
    assert found["valid_frac"] == pytest.approx(2 / 7)
    assert found["records_exact"] == pytest.approx(1 / 7)
    assert (found["field_precision"], found["field_recall"]) == (pytest.approx(5 / 6), pytest.approx(5 / 21))
    assert found["field_f1"] == pytest.approx(2 * 5 / (6 + 21))
    one_wrong = 1 - 1 / (2 + 4 + 1 + 1 + 1 + 1 + 8 + 1)
    assert found["nted_accuracy"] == pytest.approx((1 + one_wrong) / 7, abs=0.02)
    assert found["anls"] == pytest.approx((1 + 2 / 3) / 7)
    with pytest.raises(ValueError, match="truth 1"):
        score_answers([(truth, truth), (truth, "prose")])


def test_score_answers_a_hundred_rows_are_compared_within_a_second() -> None:
    """zss takes most of a minute for it."""
    rng = random.Random(1)
    true = {"products": [{name: str(rng.randrange(10**6)) for name in ("description", "cases", "units")} for _ in range(100)]}
    predicted = {"products": [row for row in true["products"] if rng.random() < 0.9]}
    scores = score_answers([(json.dumps(predicted), json.dumps(true))])
    share = len(predicted["products"]) / 100
    assert scores.metrics()["field_recall"] == scores.documents[0].anls == pytest.approx(share)
    assert scores.documents[0].nted == pytest.approx(share, abs=0.01)
