"""Axes and sizes: checking axes, and building shape operands that stay right when sizes are symbolic.

A *size* is an int where the dimension is static, else a Value of shape [1] that reads it while running.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import groupby
from typing import Any

from mm_core.ir import OperandValues, known_value
from mm_core.ops import OpDef
from mm_core.types import BY_NAME
from mm_ops_standard.checks import require

Size = Any
_INT64 = BY_NAME["int64"]


def axis_of(op: str, axis: int, rank: int, name: str = "axis") -> int:
    """The axis counted from the front; VerifyError if the rank has no such axis."""
    require(-rank <= axis < rank, f"{op}: {name} {axis} is outside a tensor of rank {rank}")
    return axis % rank


def axes_of(op: str, axes: Sequence[int] | None, rank: int) -> tuple[int, ...]:
    """Axes counted from the front, in the order given; None means all. Repeated ones are refused."""
    if axes is None:
        return tuple(range(rank))
    found = tuple(axis_of(op, axis, rank) for axis in axes)
    require(len(set(found)) == len(found), f"{op}: axes {list(axes)} name an axis twice")
    return found


def shapes_of(types: Any) -> list[Any]:
    """The shapes of operands; None for one that is absent."""
    return [None if type_ is None else type_.shape for type_ in types]


def sizes_of(graph: Any, x: Any) -> list[Size]:
    """The sizes of all axes of a value."""
    return [
        dim if isinstance(dim, int) else graph.shape(x, start=axis, end=axis + 1)
        for axis, dim in enumerate(x.type.shape)
    ]


def scalar(graph: Any, size: Size) -> Any:
    """A size as an int64 scalar."""
    return graph.constant(size, _INT64) if isinstance(size, int) else graph.reshape(size, [])


def plus(graph: Any, left: Size, right: Size) -> Size:
    """The sum of two sizes."""
    return left + right if _static(left, right) else graph.add(*_operands(graph, left, right))


def minus(graph: Any, left: Size, right: Size) -> Size:
    """The difference of two sizes."""
    return left - right if _static(left, right) else graph.sub(*_operands(graph, left, right))


def over(graph: Any, left: Size, right: Size) -> Size:
    """The quotient of two sizes, without its fraction."""
    if _static(left, right):
        return left // right
    # Where the dividend is not provably a size, a difference for instance, running tells the quotient.
    return graph.sizes(graph.div(*_operands(graph, left, right)))


def _static(*sizes: Size) -> bool:
    return all(isinstance(size, int) for size in sizes)


def _operands(graph: Any, *sizes: Size) -> list[Any]:
    return [graph.constant([size], _INT64) if isinstance(size, int) else size for size in sizes]


def times(graph: Any, *sizes: Size) -> Size:
    """The product of sizes; static factors are multiplied at once."""
    static = reduce(lambda a, b: a * b, (size for size in sizes if isinstance(size, int)), 1)
    dynamic = [size for size in sizes if not isinstance(size, int)]
    if not dynamic:
        return static
    product = reduce(graph.mul, dynamic)
    return product if static == 1 else graph.mul(product, [static])


def is_settled(definition: OpDef, *operands: Any, **attributes: Any) -> bool:
    """Whether inference tells the sizes of all results, so that nothing must be read for them while running."""
    types = [None if operand is None else operand.type for operand in operands]
    inferred = definition.infer(types, OperandValues(operands), **attributes)
    shapes = inferred if isinstance(inferred, list) else [inferred]
    return all(shape is not None and None not in shape for shape in shapes)


def int64_vector(graph: Any, operand: Any, length: int | None = None) -> Any:
    """An integer operand as int64; with `length`, of that static length."""
    if operand.type.dtype is not _INT64:
        operand = graph.cast(operand, to=_INT64)
    return operand if length is None or operand.type.shape == (length,) else graph.reshape(operand, [length])


def read_sizes(graph: Any, operand: Any, length: int) -> list[Size]:
    """The elements of an integer operand as sizes; those that only running tells are checked to be sizes there."""
    vector = graph.sizes(int64_vector(graph, operand, length))
    known = known_value(vector)
    items = [None] * length if known is None else list(known)
    return [
        item if isinstance(item, int) else graph.slice(vector, [place], [place + 1]) for place, item in enumerate(items)
    ]


def shape_operand(graph: Any, sizes: Sequence[Size]) -> Any:
    """Sizes as one 1-D int64 operand."""
    if all(isinstance(size, int) for size in sizes):
        return list(sizes)
    parts: list[Any] = []
    for is_static, group in groupby(sizes, lambda size: isinstance(size, int)):
        run = list(group)
        parts.extend([graph.constant(run, "int64")] if is_static else run)
    return parts[0] if len(parts) == 1 else graph.concat(*parts, axis=0)


def reshape(graph: Any, x: Any, sizes: Sequence[Size]) -> Any:
    """x in a shape of these sizes. A single unknown size is written as -1, where that is safe."""
    dynamic = [index for index, size in enumerate(sizes) if not isinstance(size, int)]
    if len(dynamic) == 1 and all(sizes[: dynamic[0]]) and all(sizes[dynamic[0] + 1 :]):
        return graph.reshape(x, [-1 if index == dynamic[0] else size for index, size in enumerate(sizes)])
    return graph.reshape(x, shape_operand(graph, sizes))
