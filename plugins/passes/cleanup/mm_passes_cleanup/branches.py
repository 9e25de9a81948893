"""Control flow whose way is known while building."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mm_core.ir import Operation, Value
from mm_core.passes import Phase, RewritePass
from mm_core.rewrite import Reason, Rewriter, Rule, constant_of, rule, shape_of, uniform_number

SINK_BYTES = 1024


@rule("mm.if")
def branch_known(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """A constant condition leaves one branch, which runs in place."""
    condition = uniform_number(operation.operands[0])
    if condition is None:
        return None
    region = operation.regions[0 if condition else 1]
    rewriter.replace(operation, rewriter.inline(region, operation.operands[1:]))
    return None


@rule("mm.loop")
def loop_never_runs(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """Zero trips, or a condition that is false at first: carried values stay, nothing is collected."""
    trips, condition, *values = operation.operands
    limit = uniform_number(trips)
    if (limit is None or limit > 0) and uniform_number(condition) != 0:
        return None
    carried = operation.attributes["carried"]
    results = [value for value in values[:carried] if value is not None]
    for result in operation.results[carried:]:
        shape = shape_of(result)
        if shape is None or not all(isinstance(dim, int) for dim in shape[1:]):
            return "the shape of what would be collected is not known"
        results.append(rewriter.constant(np.empty((0, *shape[1:]), result.type.dtype.numpy)))  # type: ignore[union-attr]
    rewriter.replace(operation, results)
    return None


@rule("mm.loop")
def loop_runs_once(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """One trip that certainly happens runs in place."""
    trips, condition, *values = operation.operands
    if uniform_number(trips) != 1 or not (condition is None or uniform_number(condition) == 1):
        return None
    carried = operation.attributes["carried"]
    start = [rewriter.constant(np.array(0, np.int64)), rewriter.constant(np.array(True))]
    outputs = rewriter.inline(operation.regions[0], [*start, *values])
    collected = [rewriter.unsqueeze(value, axes=(0,)) for value in outputs[1 + carried :]]
    rewriter.replace(operation, [*outputs[1 : 1 + carried], *collected])
    return None


@rule("mm.if", "mm.loop")
def sink_constants(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """Small constants that come into a region from outside are written inside, where they can be folded."""
    for region in operation.regions:
        for argument, value in _fixed_inputs(operation, region.arguments):
            data = constant_of(value)
            if data is None or data.nbytes > SINK_BYTES or not argument.is_used:
                continue
            first = next(iter(region.operations), region.terminator)
            with rewriter.in_front_of(first):
                argument.replace_all_uses_with(rewriter.constant(data))
            rewriter.modified(operation)
    return None


def _fixed_inputs(operation: Operation, arguments: list[Value]) -> list[tuple[Value, Value | None]]:
    """Arguments of a region that hold one operand during the whole operation."""
    if operation.name == "mm.if":
        return list(zip(arguments, operation.operands[1:]))
    carried: int = operation.attributes["carried"]
    return list(zip(arguments[2 + carried :], operation.operands[2 + carried :]))


@dataclass(frozen=True)
class PruneBranches(RewritePass):
    """`mm.if` with a constant condition, and `mm.loop` with no or one certain trip, become plain operations."""

    name: ClassVar[str] = "prune-branches"
    phase: ClassVar[Phase] = Phase.CANONICALIZE
    before: ClassVar[tuple[str, ...]] = ("simplify",)
    rules: ClassVar[tuple[Rule, ...]] = (branch_known, loop_never_runs, loop_runs_once, sink_constants)
