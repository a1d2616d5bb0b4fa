"""Accuracy of a document by tree edit distance (nTED), as the evaluation of Donut (Kim et al., 2022) defines it.

A document is a tree of its names, in order, with a node for each row and a leaf for each text. Rows are matched in their order.
"""

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from ocrray.evaluation.field_values import Document
from ocrray.evaluation.tree_edit import Postorder, Tree, tree_distance

MAX_NODE_PAIRS = 25_000_000
"""Largest product of both trees' nodes that is compared: two documents of about 700 rows, which take some 10 s."""
_LEAF, _NAME = "=", "."


def tree_accuracy(predicted: Document, true: Document) -> float | None:
    """Return 1 - tree edit distance / cost of the truth from nothing, at least 0; None where the trees are too large.

    Deleting or inserting a text costs its length, any other node 1; a changed text costs its Levenshtein distance.
    """
    if predicted == true:
        return 1.0
    left, right = (Postorder(_tree(document, "root")) for document in (predicted, true))
    if len(left) * len(right) > MAX_NODE_PAIRS:
        return None
    whole = int(_costs(right).sum()) - 1  # the root is in nothing, too
    if not whole:
        return 0.0
    if len(left) > len(right):  # the distance is symmetric, and takes time mostly by the rows
        left, right = right, left
    return max(0.0, 1 - tree_distance(left, right, _costs(left), _costs(right), _relabelling(left, right)) / whole)


def _tree(document: Document, name: str) -> Tree:
    children = []
    for key in sorted(document, key=lambda key: (len(key), key)):
        items = [Tree(_LEAF + item) if isinstance(item, str) else _tree(item, "") for item in document[key]]
        children.append(Tree(_NAME + key, items))
    return Tree(name, children)


def _costs(tree: Postorder) -> np.ndarray:
    return np.array([len(label) - 1 if label.startswith(_LEAF) else 1 for label in tree.labels], dtype=np.int64)


def _relabelling(left: Postorder, right: Postorder) -> np.ndarray:
    """Return the cost of making each node of one tree each of the other: of a text another node, its length and 1."""
    sides = [np.array(tree.labels, dtype=object) for tree in (left, right)]
    is_text = [np.array([label.startswith(_LEAF) for label in tree.labels]) for tree in (left, right)]
    costs: np.ndarray = (sides[0][:, None] != sides[1]).astype(np.int64)
    costs += np.where(is_text[0], _costs(left), 0)[:, None] + np.where(is_text[1], _costs(right), 0)
    texts = np.ix_(*is_text)
    costs[texts] = process.cdist(*(side[text] for side, text in zip(sides, is_text, strict=True)), scorer=Levenshtein.distance)
    return costs
