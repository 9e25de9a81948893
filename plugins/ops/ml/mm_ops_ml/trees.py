"""Decision trees, many of them walked at once: forests and boosted trees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mm_core.errors import UnsupportedOpError
from mm_core.ops import BOOL, FLOATS, Arity, Attribute, OpDef, Operand, Result
from mm_core.types import BY_NAME, Array

_INT64 = frozenset({BY_NAME["int64"]})
COMPARISONS: Mapping[str, np.ufunc] = {"less_or_equal": np.less_equal, "less": np.less, "equal": np.equal}


class TreeEnsemble(OpDef):
    """The values of the leaves that the rows of x [N, F] reach in R trees, taken together by `aggregate`: [N, M].

    The trees share one numbering of K nodes; the last L of them are leaves, whose children are they themselves. At a
    node the walk goes to `children[node, 1]` if x[`features[node]`] compares with `thresholds[node]`, or is NaN and
    `missing[node]` holds, else to `children[node, 0]`. `kinds`, where nodes compare differently, gives each node's
    place in `comparisons`. From `roots` [R] the walk takes `depth` steps. `values` [L, M] are the leaves'; NaN among
    them is no value for min and max, which give 0 if there is none.
    """

    name = "ml.tree_ensemble"
    operands = (
        Operand("x"), Operand("roots", _INT64), Operand("features", _INT64), Operand("thresholds"),
        Operand("children", _INT64), Operand("values", "V"), Operand("missing", BOOL, Arity.OPTIONAL),
        Operand("kinds", _INT64, Arity.OPTIONAL),
    )  # fmt: skip
    results = (Result("y", "V"),)
    dtypes = {"T": FLOATS, "V": FLOATS}
    attributes = (
        Attribute("depth", int),
        Attribute("comparisons", (str,), ("less_or_equal",)),
        Attribute("aggregate", str, "sum", ("sum", "average", "min", "max")),
    )

    def infer(self, types: Any, values: Any, **attributes: Any) -> Any:
        x, roots, features, thresholds, children, leaves = (type_.shape for type_ in types[:6])
        nodes = features[0] if len(features) == 1 else None
        whole = len(x) == 2 and len(roots) == 1 and len(leaves) == 2
        rest = [type_.shape for type_ in types[6:] if type_ is not None]
        if not (whole and isinstance(nodes, int) and children == (nodes, 2)) or {*rest, thresholds} != {(nodes,)}:
            raise UnsupportedOpError(
                f"{self.name} takes x [N, F], roots [R], then [K], [K], [K, 2], [L, M] and up to two [K]; got "
                + ", ".join(str(type_) for type_ in types)
            )
        comparisons = attributes["comparisons"]
        if not set(comparisons) <= set(COMPARISONS) or (types[7] is None) != (len(comparisons) == 1):
            raise UnsupportedOpError(f"{self.name}: nodes of {comparisons} need `kinds` if they are several")
        return (x[0], leaves[1])

    def reference(
        self, x: Array, roots: Array, features: Array, thresholds: Array, children: Array, values: Array,
        missing: Array | None = None, kinds: Array | None = None, *, depth: int, comparisons: tuple[str, ...],
        aggregate: str,
    ) -> Array:  # fmt: skip
        node = np.broadcast_to(roots, (len(x), len(roots)))
        for _ in range(depth):
            seen, limit = np.take_along_axis(x, features[node], 1), thresholds[node]
            goes = COMPARISONS[comparisons[0]](seen, limit)
            for kind, name in enumerate(comparisons[1:], start=1):
                goes = np.where(kinds[node] == kind, COMPARISONS[name](seen, limit), goes)  # type: ignore[index]
            if missing is not None:
                goes |= np.isnan(seen) & missing[node]
            node = children[node, goes.astype(np.int64)]
        reached = values[node - (len(features) - len(values))]
        if aggregate in ("sum", "average"):
            total = reached.sum(1)
            return np.asarray(total / len(roots) if aggregate == "average" else total).astype(values.dtype)
        absent = np.isnan(reached)
        best = (
            reached.min(1, initial=np.inf, where=~absent)
            if aggregate == "min"
            else reached.max(1, initial=-np.inf, where=~absent)
        )
        return np.where(absent.all(1), 0, best).astype(values.dtype)

    def decompose(
        self, graph: Any, x: Any, roots: Any, features: Any, thresholds: Any, children: Any, values: Any,
        missing: Any, kinds: Any, *, depth: int, comparisons: tuple[str, ...], aggregate: str,
    ) -> Any:  # fmt: skip
        trees, (nodes,), (leaves, _) = roots.type.shape, features.type.shape, values.type.shape
        rows = graph.concat(graph.shape(x, end=1), graph.shape(roots), axis=0)
        node = graph.expand(roots, rows)
        children = graph.reshape(children, [2 * nodes])
        for _ in range(depth):
            seen = graph.gather_elements(x, graph.gather(features, node), axis=1)
            limit = graph.gather(thresholds, node)
            goes = graph.op(f"mm.{comparisons[0]}", seen, limit)
            kind = graph.gather(kinds, node) if kinds is not None else None
            for place, name in enumerate(comparisons[1:], start=1):
                goes = graph.select(graph.equal(kind, place), graph.op(f"mm.{name}", seen, limit), goes)
            if missing is not None:
                goes = graph.logical_or(goes, graph.logical_and(graph.is_nan(seen), graph.gather(missing, node)))
            node = graph.gather(children, graph.add(graph.mul(node, 2), graph.cast(goes, to="int64")))
        reached = graph.gather(values, graph.sub(node, nodes - leaves))
        if aggregate in ("sum", "average"):
            total = graph.reduce_sum(reached, axes=(1,), keepdims=False)
            return graph.div(total, trees[0]) if aggregate == "average" else total
        absent = graph.is_nan(reached)
        worst = np.inf if aggregate == "min" else -np.inf
        found = graph.select(absent, worst, reached)
        best = graph.op(f"mm.reduce_{aggregate}", found, axes=(1,), keepdims=False)
        voted = graph.cast(graph.logical_not(absent), to="int64")
        return graph.select(graph.less(0, graph.reduce_sum(voted, axes=(1,), keepdims=False)), best, 0)


OPS: tuple[type[OpDef], ...] = (TreeEnsemble,)
