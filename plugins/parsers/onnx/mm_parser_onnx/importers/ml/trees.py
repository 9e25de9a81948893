"""Decision trees: ensembles whose nodes are numbered by tree, and those with one numbering for all."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_core.types import Array
from mm_parser_onnx.importers.ml.forest import MODES, Forest
from mm_parser_onnx.importers.ml.scores import (
    TRANSFORMS,
    as_rows,
    binary_label,
    class_labels,
    numbers,
    paired,
    post_transform,
    top_label,
    transformed,
)
from mm_parser_onnx.node import REQUIRED, Node
from mm_parser_onnx.table import CLASSICAL, Family

FAMILY = Family(CLASSICAL)
op = FAMILY.op
_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
_MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")
"""The numbers by which TreeEnsemble calls them."""


def _by_tree(node: Node, x: Value, votes_for: str, targets: int) -> tuple[Forest, Array]:
    """The forest of a model that numbers nodes by tree, and the weights of its votes (`votes_for` target or class)."""
    names = ("treeids", "nodeids", "featureids", "truenodeids", "falsenodeids")
    trees, ids, features, holds, fails = (node.ints(f"nodes_{name}", ()) for name in names)
    modes, thresholds = node.texts("nodes_modes", ()), numbers(node, "nodes_values", x)
    missing = node.ints("nodes_missing_value_tracks_true", ()) or (0,) * len(trees)
    node.ignore("nodes_hitrates", "nodes_hitrates_as_tensor")
    voters = [node.ints(f"{votes_for}_{name}", ()) for name in ("treeids", "nodeids", "ids")]
    weights = numbers(node, f"{votes_for}_weights", x)
    columns = (trees, ids, features, holds, fails, modes, thresholds, missing)
    if len({*map(len, columns)}) != 1 or {*map(len, voters)} != {len(weights)}:
        raise node.unsupported(f"the lists nodes_*, or the lists {votes_for}_*, are not of one length")
    votes: dict[tuple[int, int], list[tuple[int, Any]]] = {}
    for tree, place, target, weight in zip(*voters, weights):
        if not 0 <= target < targets:
            raise node.unsupported(f"a vote is for {votes_for} {target}, there are {targets}")
        votes.setdefault((tree, place), []).append((target, weight))
    forest, roots = Forest(targets), dict[int, tuple[int, int]]()
    for tree, place, feature, way, other, mode, threshold, tracks in zip(*columns):
        key = (tree, place)
        roots.setdefault(tree, key)
        if key in forest.branches or key in forest.leaves:
            raise node.unsupported(f"tree {tree} has two nodes {place}")
        if mode == "LEAF":
            forest.leaves[key] = votes.get(key, ())
        elif mode in MODES:
            forest.add_branch(key, feature, threshold, mode, (tree, way), (tree, other), bool(tracks))
        else:
            raise node.unsupported(f"the mode {mode!r} of a node is none of LEAF, {', '.join(MODES)}")
    forest.roots = list(roots.values())
    return forest, weights


def _with_base(g: Graph, node: Node, scores: Value) -> Value:
    base = numbers(node, "base_values", scores)
    if base.size not in (0, 1, scores.type.shape[1]):  # type: ignore[union-attr,index]
        raise node.unsupported(f"{base.size} base values do not fit scores of type {scores.type}")
    return g.add(scores, base) if base.size else scores


@op("TreeEnsembleRegressor")
def tree_ensemble_regressor(g: Graph, node: Node) -> Any:
    x, aggregate = as_rows(g, node), node.choice("aggregate_function", _AGGREGATES, "SUM")
    forest, _ = _by_tree(node, x, "target", node.int("n_targets", 1))
    scores = _with_base(g, node, forest.build(g, node, x, aggregate.lower()))
    return transformed(g, scores, post_transform(node))


@op("TreeEnsembleClassifier")
def tree_ensemble_classifier(g: Graph, node: Node) -> Any:
    """Two classes may have one score: that of the second, around 0.5 if no weight is negative, else around 0.

    Of these the first column speaks for both classes, as gradient boosting is exported; the second for its own.
    """
    x, labels, transform = as_rows(g, node), class_labels(node, "classlabels_int64s"), post_transform(node)
    voted = set(node.ints("class_ids", ()))
    forest, weights = _by_tree(node, x, "class", len(labels))
    scores = forest.build(g, node, x, "sum")
    if len(labels) != 2 or len(voted) != 1:
        scores = _with_base(g, node, scores)
        return top_label(g, scores, labels), transformed(g, scores, transform)
    (column,) = voted
    score = _with_base(g, node, g.slice(scores, [column], [column + 1], [1]))
    centred = bool((weights < 0).any())
    label = binary_label(g, score, 0.0 if centred else 0.5, labels)
    if column == 0:
        return label, paired(g, score, transform, centred)
    return label, transformed(g, g.pad(score, [0, 1, 0, 0], 0.0), transform)


@op("TreeEnsemble")
def tree_ensemble(g: Graph, node: Node) -> Any:
    x, targets = as_rows(g, node), node.int("n_targets", 1)
    names = ("featureids", "truenodeids", "trueleafs", "falsenodeids", "falseleafs")
    features, holds, holds_leaf, fails, fails_leaf = (node.ints(f"nodes_{name}", REQUIRED) for name in names)
    missing = node.ints("nodes_missing_value_tracks_true", ()) or (0,) * len(features)
    thresholds, modes, weights = (_array(node, name) for name in ("nodes_splits", "nodes_modes", "leaf_weights"))
    node.ignore("nodes_hitrates")
    owners = node.ints("leaf_targetids", REQUIRED)
    columns = (features, holds, holds_leaf, fails, fails_leaf, missing, thresholds, modes)
    if (
        len({*map(len, columns)}) != 1
        or len(owners) != len(weights)
        or not all(0 <= owner < targets for owner in owners)
    ):
        raise node.unsupported("the lists nodes_* or leaf_* are not of one length, or a leaf has no such target")
    if not {*modes.tolist()} <= {*range(len(_MODES))}:
        raise node.unsupported(f"nodes_modes are {sorted({*modes.tolist()})}, the highest mode is {len(_MODES) - 1}")
    forest = Forest(targets, roots=[("node", root) for root in node.ints("tree_roots", REQUIRED)])
    forest.leaves = {("leaf", place): ((owner, weight),) for place, (owner, weight) in enumerate(zip(owners, weights))}
    sets = _member_sets(node, int((modes == _MODES.index("BRANCH_MEMBER")).sum()))
    for place, (feature, way, is_leaf, other, other_is_leaf, tracks, threshold, mode) in enumerate(zip(*columns)):
        ways = ("leaf" if is_leaf else "node", way), ("leaf" if other_is_leaf else "node", other)
        if _MODES[mode] == "BRANCH_MEMBER":
            forest.add_search(("node", place), feature, sets.pop(0), *ways, bool(tracks))
        else:
            forest.add_branch(("node", place), feature, threshold, _MODES[mode], *ways, bool(tracks))
    aggregate, transform = node.int("aggregate_function", 1), node.int("post_transform", 0)
    if not 0 <= aggregate < len(_AGGREGATES) or not 0 <= transform < len(TRANSFORMS):
        raise node.unsupported(f"aggregate_function {aggregate} or post_transform {transform} is unknown")
    scores = forest.build(g, node, x, _AGGREGATES[aggregate].lower())
    return g.cast(transformed(g, scores, TRANSFORMS[transform]), to=node.type().dtype)


def _array(node: Node, name: str) -> Array:
    tensor = node.tensor(name)
    if tensor is None:
        raise node.unsupported(f"it needs the attribute {name!r}")
    return tensor.numpy().reshape(-1)


def _member_sets(node: Node, count: int) -> list[Array]:
    """The sets of the nodes that test membership, in their order, each sorted; NaN ends one."""
    tensor = node.tensor("membership_values")
    values = np.zeros(0) if tensor is None else tensor.numpy().reshape(-1)
    sets = np.split(values, np.flatnonzero(np.isnan(values)) + 1)
    found = [np.unique(part[~np.isnan(part)]) for part in sets if part.size]
    if len(found) != count:
        raise node.unsupported(f"{count} nodes test membership in {len(found)} sets")
    return found
