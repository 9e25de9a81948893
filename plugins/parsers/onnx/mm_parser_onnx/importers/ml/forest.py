"""Decision trees put together node by node, in whatever numbering a model has, for `ml.tree_ensemble`."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_core.types import Array
from mm_parser_onnx.node import Node

MODES = {
    "BRANCH_LEQ": ("less_or_equal", False), "BRANCH_LT": ("less", False), "BRANCH_GTE": ("less", True),
    "BRANCH_GT": ("less_or_equal", True), "BRANCH_EQ": ("equal", False), "BRANCH_NEQ": ("equal", True),
}  # fmt: skip
"""Each mode as a comparison of `ml.tree_ensemble`, and whether the two ways change places."""
MAX_VALUES = 2**28
"""Leaves times targets: a model may not ask for any amount of memory."""
MAX_DEPTH = 1024
"""Steps of a walk, each of which is some operations of the network; a longer one comes back to where it was."""


@dataclass(frozen=True)
class Branch:
    """An inner node: where the walk goes if the comparison holds, if it fails, and whether NaN counts as holding."""

    feature: int
    threshold: Any
    comparison: str
    holds: Hashable
    fails: Hashable
    missing: bool


@dataclass
class Forest:
    """Branches and leaves by key; a leaf has votes, each for one of `targets` with a weight."""

    targets: int
    branches: dict[Hashable, Branch] = field(default_factory=dict)
    leaves: dict[Hashable, Sequence[tuple[int, Any]]] = field(default_factory=dict)
    roots: list[Hashable] = field(default_factory=list)

    def add_branch(
        self, key: Hashable, feature: int, threshold: Any, mode: str, holds: Hashable, fails: Hashable, missing: bool
    ) -> None:
        comparison, turned = MODES[mode]
        if turned:
            # NaN fails the comparison that is made, so where it is turned round NaN must be said to hold.
            holds, fails, missing = fails, holds, not missing
        self.branches[key] = Branch(feature, threshold, comparison, holds, fails, missing)

    def add_search(
        self, key: Hashable, feature: int, members: Array, holds: Hashable, fails: Hashable, missing: bool
    ) -> None:
        """Branches that look for the feature in a sorted list."""
        if len(members) <= 1:
            wanted = members[0] if len(members) else np.nan  # Nothing equals NaN.
            self.add_branch(key, feature, wanted, "BRANCH_EQ", holds, fails, missing)
            return
        half = len(members) // 2
        self.add_branch(key, feature, members[half - 1], "BRANCH_LEQ", (key, "low"), (key, "high"), False)
        self.add_search((key, "low"), feature, members[:half], holds, fails, missing)
        self.add_search((key, "high"), feature, members[half:], holds, fails, missing)

    def build(self, g: Graph, node: Node, x: Value, aggregate: str) -> Value:
        """The scores [N, targets] of the rows of x, before base values and transforms."""
        numbers = {key: number for number, key in enumerate([*self.branches, *self.leaves])}
        if not self.roots or len(numbers) != len(self.branches) + len(self.leaves):
            raise node.unsupported("it has no trees, or two nodes of one name")
        try:
            ways = [(numbers[branch.fails], numbers[branch.holds]) for branch in self.branches.values()]
            roots = np.array([numbers[root] for root in self.roots], np.int64)
        except KeyError as error:
            raise node.unsupported(f"a way leads to the node {error.args[0]}, which is not there") from None
        inner, leaves = len(self.branches), len(self.leaves)
        if leaves * self.targets > MAX_VALUES:
            raise node.unsupported(f"{leaves} leaves for {self.targets} targets are more than it may have")
        stay = np.repeat(np.arange(inner, inner + leaves)[:, None], 2, axis=1)
        children = np.concatenate([np.array(ways, np.int64).reshape(-1, 2), stay])
        branches = list(self.branches.values())
        comparisons = tuple(dict.fromkeys(branch.comparison for branch in branches)) or ("less_or_equal",)
        storage = x.type.dtype.numpy  # type: ignore[union-attr]

        def column(items: list[Any], dtype: Any) -> Array:
            return np.array(items + [0] * leaves, dtype)

        tables: dict[str, Any] = {
            "roots": roots,
            "features": column([branch.feature for branch in branches], np.int64),
            "thresholds": column([branch.threshold for branch in branches], storage),
            "children": children,
            "values": self._values(storage, empty=np.nan if aggregate in ("min", "max") else 0),
        }
        if any(branch.missing for branch in branches):
            tables["missing"] = column([branch.missing for branch in branches], np.bool_)
        if len(comparisons) > 1:
            tables["kinds"] = column([comparisons.index(branch.comparison) for branch in branches], np.int64)
        depth = _depth(node, roots, children, inner)
        options = {"depth": depth, "comparisons": comparisons, "aggregate": aggregate}
        return g.op("ml.tree_ensemble", x, **tables, **options)  # type: ignore[no-any-return]

    def _values(self, storage: Any, empty: float) -> Array:
        """The votes of each leaf added up by target."""
        values = np.full((len(self.leaves), self.targets), empty, storage)
        for row, votes in zip(values, self.leaves.values()):
            for target, weight in votes:
                row[target] = weight + np.nan_to_num(row[target])
        return values


def _depth(node: Node, roots: Array, children: Array, inner: int) -> int:
    """Steps from a root to the farthest leaf."""
    reached, depth = roots[roots < inner], 0
    while reached.size:
        depth += 1
        if depth > MAX_DEPTH:
            raise node.unsupported(f"a tree is deeper than {MAX_DEPTH} nodes, or leads back to itself")
        below = np.unique(children[reached])
        reached = below[below < inner]
    return depth
