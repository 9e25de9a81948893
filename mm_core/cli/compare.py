"""Where two models begin to differ: intermediate results side by side, in the order in which they are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mm_core.cli.observe import Result, record_results
from mm_core.runtime import Engine
from mm_core.types import Array


@dataclass(frozen=True)
class Difference:
    """One pair of results. `relative` is ||a - b|| / ||b|| (L2, b the other model), `absolute` the largest |a - b|."""

    label: str
    nodes: tuple[str, ...]
    relative: float
    absolute: float


@dataclass(frozen=True)
class Comparison:
    """All pairs that could be told to be the same value, in order, and the outputs after them."""

    steps: tuple[Difference, ...]
    outputs: tuple[Difference, ...]

    def first(self, tolerance: float) -> Difference | None:
        """The first pair whose relative difference is above the tolerance, or not a number."""
        return next((found for found in (*self.steps, *self.outputs) if not found.relative <= tolerance), None)


def compare(engine: Engine, other: Engine, inputs: Mapping[str, Any]) -> Comparison:
    """Run one request on both and compare what can be told to be the same value."""
    ours, our_outputs = record_results(engine, inputs)
    theirs, their_outputs = record_results(other, inputs)
    steps = []
    for result in ours:
        partner = _partner(result, theirs)
        if partner is not None:
            steps.append(_difference(result.label, result.nodes, result.array, partner.array))
    outputs = [
        _difference(f"output {name}", (), np.asarray(value), np.asarray(their_outputs[name]))
        for name, value in our_outputs.items()
        if name in their_outputs
    ]
    return Comparison(tuple(steps), tuple(outputs))


def _partner(result: Result, others: Sequence[Result]) -> Result | None:
    """The other model's result for the same nodes of the user.

    One kernel may cover several nodes of which the other model computes each: then the last of them that has the
    same element type and shape holds the same value.
    """
    nodes = set(result.nodes)
    candidates = [
        other
        for other in others
        if nodes.issuperset(other.nodes)
        and other.nodes
        and other.array.shape == result.array.shape
        and other.array.dtype == result.array.dtype
    ]
    return candidates[-1] if candidates else None


def _difference(label: str, nodes: tuple[str, ...], ours: Array, theirs: Array) -> Difference:
    if ours.shape != theirs.shape:
        return Difference(label, nodes, float("inf"), float("inf"))
    if ours.dtype.kind in "OSU":
        equal = 0.0 if np.array_equal(ours, theirs) else float("inf")
        return Difference(label, nodes, equal, equal)
    wide = np.complex128 if ours.dtype.kind == "c" else np.float64
    a, b = ours.astype(wide).ravel(), theirs.astype(wide).ravel()
    # Equal infinities and NaNs in the same places are equal, though their difference is not a number.
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        gap = np.where(same, 0.0, np.abs(a - b))
    scale = float(np.linalg.norm(b[np.isfinite(b)]))
    absolute = float(gap.max(initial=0.0))
    distance = float(np.linalg.norm(gap))
    return Difference(label, nodes, distance / scale if scale else distance, absolute)
