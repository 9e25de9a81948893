"""Epilogues of contractions of bytes, put together step by step, with the buffers that they read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mm_backend_cpu.codegen.expression import Epilogue, Expression, Node, Ref, vectorizable
from mm_backend_cpu.codegen.operations import VECTOR_TYPES, Attribute
from mm_backend_cpu.lowering.contraction import is_channel_vector
from mm_backend_cpu.lowering.expressions import ExpressionBuilder, refusal
from mm_backend_cpu.lowering.lowering import Lowering, shape_of, tensor_type
from mm_core.ir import Operation, Value
from mm_core.types import Shape


def tail_of(result: Value, operations: Sequence[Operation], alias: Mapping[Value, Value | None]) -> ExpressionBuilder:
    """What `operations` make of a contraction's `result`, which is input 0 of the expression."""
    builder = ExpressionBuilder(alias)
    builder.input(result)
    for operation in operations:
        builder.add(operation)
    if operations:
        builder.read(operations[-1].result)
    return builder


def refuse_tail(
    result: Value,
    operations: Sequence[Operation],
    alias: Mapping[Value, Value | None],
    channel_axis: int,
    *,
    spread: bool = False,
) -> str:
    """Why `operations` cannot be computed with the contraction that gives `result`; empty if they can.

    Their operands are tensors of the result's shape or vectors over its channels, or single numbers if these are
    `spread`.
    """
    if operations and (reason := refusal(operations, alias)):
        return reason
    tail, shape = tail_of(result, operations, alias), shape_of(result)
    if not vectorizable(tail.expression, [tensor_type(value).dtype.text for value in tail.inputs]):
        return "what follows the contraction has no vector form"
    for value in tail.inputs[1:]:
        if shape_of(value) == shape or is_channel_vector(value, shape, channel_axis):
            continue
        if not spread or any(dim != 1 for dim in shape_of(value)) or tensor_type(value).dtype.text not in VECTOR_TYPES:
            return "an operand of what follows is neither a tensor of the result's shape nor a vector over channels"
    return ""


class EpilogueBuilder:
    """What is done to sums in int32 of a result's `shape`, whose channels an axis counts.

    `number` stands for what the sums have become. Vectors over the channels are read from buffers as they are; `tensor`
    gives the buffer of a value of the result's shape in the order in which the contraction stores.
    """

    __slots__ = ("_channel_axis", "_dtypes", "_nodes", "_shape", "_tensor", "_vectors", "low", "number")

    def __init__(self, low: Lowering, shape: Shape, channel_axis: int, tensor: Callable[[Value], int]) -> None:
        self.low = low
        self.number: Ref = ("input", 0)
        self._shape, self._channel_axis, self._tensor = shape, channel_axis, tensor
        self._nodes: list[Node] = []
        self._vectors: list[int] = []
        self._dtypes = ["i32"]

    def vector(self, buffer: int) -> Ref:
        """A buffer with a number for each channel."""
        self._vectors.append(buffer)
        self._dtypes.append(self.low.buffers[buffer].dtype)
        return ("input", len(self._vectors))

    def apply(self, op: str, *others: Ref, **attributes: Attribute) -> None:
        """One operation more on `number`."""
        self._nodes.append(Node(op, (self.number, *others), attributes))
        self.number = ("node", len(self._nodes) - 1)

    def finish(
        self, tail: Expression, inputs: Sequence[Value], spread: Callable[[Value], int]
    ) -> tuple[Epilogue, list[int]]:
        """The epilogue with `tail` at its end, and its buffers. Input 0 of `tail` is `number`, the others are `inputs`.

        `spread` gives the buffer of a vector for a value that is neither of the result's shape nor such a vector.
        """
        tensors: list[Value] = []
        places: list[Ref | int] = [self.number]
        for value in inputs:
            if is_channel_vector(value, self._shape, self._channel_axis):
                places.append(self.vector(self.low.dense(value)))
            elif shape_of(value) == self._shape:
                places.append(len(tensors))
                tensors.append(value)
            else:
                places.append(self.vector(spread(value)))
        before, vectors = len(self._nodes), len(self._vectors)

        def moved(ref: Ref) -> Ref:
            kind, position = ref
            if kind == "scalar":
                return ref
            if kind == "node":
                return ("node", int(position) + before)
            place = places[int(position)]
            return ("input", 1 + vectors + place) if isinstance(place, int) else place

        nodes = (*self._nodes, *(Node(node.op, tuple(map(moved, node.args)), node.attributes) for node in tail))
        dtypes = (*self._dtypes, *(tensor_type(value).dtype.text for value in tensors))
        buffers = self._vectors + [self._tensor(value) for value in tensors]
        return Epilogue(nodes, vectors, len(tensors), dtypes), buffers
