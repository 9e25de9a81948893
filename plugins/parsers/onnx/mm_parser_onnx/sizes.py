"""Sizes of axes while a graph is built: an int where the size is static, else a value of shape [1] that reads it."""

from __future__ import annotations

from collections.abc import Sequence

from mm_core.ir import Graph, Value

Size = int | Value


def size_of(g: Graph, value: Value, axis: int) -> Size:
    """The size of one axis of a ranked tensor."""
    dim = value.type.shape[axis]  # type: ignore[union-attr, index]
    return dim if isinstance(dim, int) else g.shape(value, start=axis, end=axis + 1)


def sizes_of(g: Graph, value: Value) -> list[Size]:
    """The sizes of all axes of a ranked tensor."""
    return [size_of(g, value, axis) for axis in range(len(value.type.shape))]  # type: ignore[union-attr, arg-type]


def product(g: Graph, sizes: Sequence[Size]) -> Size:
    """The product of sizes."""
    total: Size = 1
    for size in sizes:
        if isinstance(total, int) and isinstance(size, int):
            total = total * size
        elif total == 1 and isinstance(total, int):
            total = size
        else:
            total = g.mul(*(g.constant([s], "int64") if isinstance(s, int) else s for s in (total, size)))
    return total


def reshape(g: Graph, value: Value, sizes: Sequence[Size]) -> Value:
    """A value in a shape of these sizes."""
    if all(isinstance(size, int) for size in sizes):
        return g.reshape(value, list(sizes))  # type: ignore[no-any-return]
    parts = [g.constant([size], "int64") if isinstance(size, int) else size for size in sizes]
    return g.reshape(value, g.concat(*parts, axis=0))  # type: ignore[no-any-return]
