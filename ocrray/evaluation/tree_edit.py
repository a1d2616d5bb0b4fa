"""Edit distance of ordered labelled trees (Zhang and Shasha, 1989), one tree in NumPy's columns.

Python's libraries for it compute cell by cell: for two invoices of 40 rows zss takes 6 s and apted 1.4 s.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Tree:
    """A label and ordered subtrees."""

    label: str
    children: Sequence["Tree"] = ()


class Postorder:
    """A tree's nodes in postorder, numbered from 0: children come before their parent."""

    def __init__(self, tree: Tree) -> None:
        self.labels: list[str] = []
        leftmost: list[int] = []
        self._add(tree, leftmost)
        self.leftmost = np.array(leftmost)
        """Number of each node's leftmost leaf: its subtree is the nodes from there to itself."""
        self.keyroots = np.array(sorted({leaf: node for node, leaf in enumerate(leftmost)}.values()))
        """Nodes with a left sibling, and the root: the uppermost of all that share a leftmost leaf."""

    def __len__(self) -> int:
        return len(self.labels)

    def _add(self, tree: Tree, leftmost: list[int]) -> int:
        leaves = [self._add(child, leftmost) for child in tree.children]
        leftmost.append(leaves[0] if leaves else len(leftmost))
        self.labels.append(tree.label)
        return leftmost[-1]


def tree_distance(rows: Postorder, columns: Postorder, delete: np.ndarray, insert: np.ndarray, update: np.ndarray) -> int:
    """Return the least cost of turning one tree into the other by deleting, inserting and relabelling nodes.

    Costs are integers: `delete` of each node of `rows`, `insert` of each node of `columns`, `update` shaped (rows, columns).
    """
    between = np.zeros((len(rows), len(columns)), dtype=np.int64)  # distance of each pair of subtrees
    far = int(delete.sum() + insert.sum()) + 1
    levels = [_Forests(columns, keyroots, insert, far) for keyroots in _by_height(columns)]
    for keyroot in rows.keyroots:
        for forests in levels:  # inner subtrees first: the outer ones are made of them
            _add_distances(between, rows, keyroot, forests, delete, update)
    return int(between[-1, -1])


def _by_height(tree: Postorder) -> Iterator[np.ndarray]:
    """Yield the keyroots without others below them, then those with one more level below, up to the root."""
    keyroots = tree.keyroots
    height = np.zeros(len(keyroots), dtype=np.int64)
    below = np.searchsorted(keyroots, tree.leftmost[keyroots])
    for number, first in enumerate(below):
        height[number] = height[first:number].max(initial=-1) + 1
    return (keyroots[height == level] for level in range(int(height.max()) + 1))


class _Forests:
    """Columns of the subtrees of several keyroots side by side: of each the empty forest, then one forest up to each node."""

    def __init__(self, tree: Postorder, keyroots: np.ndarray, insert: np.ndarray, far: int) -> None:
        leaves = tree.leftmost[keyroots]
        sizes = keyroots - leaves + 2
        starts = np.cumsum(sizes) - sizes
        start, leaf = np.repeat(starts, sizes), np.repeat(leaves, sizes)
        number = np.arange(len(start)) - start
        self.empty = number == 0
        self.node = np.where(self.empty, 0, leaf + number - 1)
        own_leaf = tree.leftmost[self.node]
        self.before = np.where(self.empty, 0, start + own_leaf - leaf)
        """Column of the forest that ends before the node's subtree."""
        self.is_tree = ~self.empty & (own_leaf == leaf)
        """True where the forest is the subtree of its last node."""
        total = np.cumsum(np.where(self.empty, 0, insert[self.node]))
        self.inserted = total - total[start]
        """Cost of the forest from nothing."""
        # Each subtree's columns lie so far below those to its left that a running minimum does not reach over from them.
        self.offset = self.inserted + np.repeat(np.arange(len(keyroots)), sizes) * far
        self.far = far


def _add_distances(
    between: np.ndarray, rows: Postorder, keyroot: int, forests: _Forests, delete: np.ndarray, update: np.ndarray
) -> None:
    """Add the distances of subtrees of one keyroot's rows, along its leftmost path, to those of the keyroots of `forests`."""
    leaf = int(rows.leftmost[keyroot])
    distance = np.empty((keyroot - leaf + 2, len(forests.node)), dtype=np.int64)
    distance[0] = forests.inserted
    for node in range(leaf, keyroot + 1):
        row, own_leaf = node - leaf + 1, int(rows.leftmost[node])
        replaced = distance[own_leaf - leaf, forests.before] + between[node, forests.node]
        is_tree = own_leaf == leaf
        if is_tree:
            relabelled = distance[row - 1, :-1] + update[node, forests.node[1:]]
            replaced[1:] = np.where(forests.is_tree[1:], relabelled, replaced[1:])
        replaced[forests.empty] = forests.far
        best = np.minimum(distance[row - 1] + delete[node], replaced)
        distance[row] = np.minimum.accumulate(best - forests.offset) + forests.offset
        if is_tree:
            between[node, forests.node[forests.is_tree]] = distance[row, forests.is_tree]
