"""Sizes while a graph is built: an int where the size is static, else an int64 scalar that reads or computes it."""

from __future__ import annotations

from collections.abc import Sequence

from mm_core.ir import Graph, Value, known_value
from mm_core.types import BY_NAME, SymDim
from mm_parser_torch.call import cast, rank, shape

_INT = BY_NAME["int64"]
Size = int | Value


def size_of(g: Graph, value: Value, axis: int) -> Size:
    """The size of one axis."""
    dim = shape(value)[axis]
    if isinstance(dim, int):
        return dim
    axis %= rank(value)
    return g.reshape(g.shape(value, start=axis, end=axis + 1), [])  # type: ignore[no-any-return]


def sizes_of(g: Graph, value: Value) -> list[Size]:
    """The sizes of all axes."""
    return [size_of(g, value, axis) for axis in range(rank(value))]


def vector(g: Graph, sizes: Sequence[Size]) -> Value:
    """Sizes as one int64 vector; numbers that follow from data are made sizes."""
    if all(isinstance(size, int) for size in sizes):
        return g.constant(list(sizes), "int64")
    parts = [
        g.constant([size], "int64") if isinstance(size, int) else g.reshape(g.sizes(cast(g, size, _INT)), [1])
        for size in sizes
    ]
    return parts[0] if len(parts) == 1 else g.concat(*parts, axis=0)


def reshape(g: Graph, value: Value, sizes: Sequence[Size]) -> Value:
    """A value in another shape; one size may be -1."""
    if list(sizes) == list(shape(value)):
        return value
    return g.reshape(value, vector(g, sizes))  # type: ignore[no-any-return]


def expand(g: Graph, value: Value, sizes: Sequence[Size]) -> Value:
    """A value repeated along axes of size 1, and along new first axes."""
    if list(sizes) == list(shape(value)):
        return value
    return g.expand(value, vector(g, sizes))  # type: ignore[no-any-return]


def full(g: Graph, number: Value, sizes: Sequence[Size]) -> Value:
    """A tensor filled with one scalar."""
    return expand(g, number, sizes)


def product(g: Graph, sizes: Sequence[Size]) -> Size:
    """The product of sizes."""
    known, unknown = 1, [size for size in sizes if not isinstance(size, int)]
    for size in sizes:
        known *= size if isinstance(size, int) else 1
    if not unknown:
        return known
    total = unknown[0]
    for size in unknown[1:]:
        total = g.mul(total, size)
    return total if known == 1 else g.mul(total, known)


def known_size(value: Size) -> int | SymDim | None:
    """What is known of a size while parsing."""
    if isinstance(value, int):
        return value
    known = known_value(value)
    return None if known is None else known.reshape(-1)[0]
