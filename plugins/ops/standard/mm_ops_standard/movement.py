"""Elements moved or repeated without being read: transpose, expand, tile, reverse, blocks and sequences."""

from __future__ import annotations

from math import prod
from typing import Any, ClassVar

import numpy as np

from mm_core.errors import UnsupportedOpError
from mm_core.ops import ALL, INDEX, Attribute, OpDef, Operand, Tier, Trait
from mm_core.types import SymDim, broadcast_dims, floordiv, repeat_dim
from mm_ops_standard.known import dims, fits, integers
from mm_ops_standard.shapes import (
    axes_of,
    int64_vector,
    is_settled,
    over,
    read_sizes,
    reshape,
    shape_operand,
    sizes_of,
    times,
)


class Movement(OpDef):
    """Results hold the operand's elements, of any type."""

    operands: ClassVar[tuple[Operand, ...]] = (Operand("x"),)
    dtypes = {"T": ALL, "I": INDEX}
    traits = frozenset({Trait.MOVEMENT})


class Transpose(Movement):
    """Axes in another order: axis i of the result is axis `permutation[i]` of x. Without it, the order is reversed."""

    name = "mm.transpose"
    tier = Tier.DEVICE
    attributes = (Attribute("permutation", (int,), None),)

    def infer(self, types: Any, values: Any, *, permutation: Any) -> Any:
        shape = types[0].shape
        order = self._order(permutation, len(shape))
        return tuple(shape[axis] for axis in order)

    def _order(self, permutation: Any, rank: int) -> tuple[int, ...]:
        if permutation is None:
            return tuple(range(rank))[::-1]
        if len(permutation) != rank:
            raise UnsupportedOpError(f"{self.name}: the permutation {list(permutation)} is not one of {rank} axes")
        return axes_of(self.name, permutation, rank)

    def known(self, types: Any, values: Any, *, permutation: Any) -> Any:
        known = values[0]
        return None if known is None else known.transpose(permutation)

    def reference(self, x: Any, *, permutation: Any) -> Any:
        return x.transpose(permutation)


class Expand(Movement):
    """x repeated along axes of size 1: its shape broadcast with `shape`, both ways."""

    name = "mm.expand"
    tier = Tier.DEVICE
    operands = (Operand("x"), Operand("shape", "I"))

    def infer(self, types: Any, values: Any) -> Any:
        wanted = dims(values[1], types[1])
        if wanted is None:
            return None
        rank = max(len(wanted), len(types[0].shape))
        pairs = zip((1,) * (rank - len(types[0].shape)) + types[0].shape, (1,) * (rank - len(wanted)) + wanted)
        return tuple(self._dim(mine, theirs) for mine, theirs in pairs)

    def _dim(self, mine: Any, wanted: Any) -> Any:
        if wanted is None:
            return None  # Even where x's own size leaves one answer only, running must look at what is asked for.
        if isinstance(wanted, int) and wanted < 0:
            raise UnsupportedOpError(f"{self.name}: a size is {wanted}", remedy="sizes must not be negative")
        if isinstance(mine, SymDim) and isinstance(wanted, SymDim) and mine != wanted:
            return repeat_dim(mine, wanted)
        return broadcast_dims(mine, wanted)

    def known(self, types: Any, values: Any) -> Any:
        known, wanted = values[0], integers(values[1])
        if known is None or wanted is None:
            return None
        shape = np.broadcast_shapes(known.shape, wanted)
        return np.broadcast_to(known, shape) if fits(shape) else None

    def reference(self, x: Any, shape: Any) -> Any:
        return np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(map(int, shape))))

    def decompose(self, graph: Any, x: Any, shape: Any) -> Any:
        """A shape that only running tells is read there, broadcast with x's own."""
        length, rank = shape.type.shape[0], len(x.type.shape)
        if not isinstance(length, int) or is_settled(self, x, shape):
            return None
        own, wanted = graph.shape(x), int64_vector(graph, shape)
        if length > rank:
            own = graph.concat(np.ones(length - rank, np.int64), own, axis=0)
        elif rank > length:
            wanted = graph.concat(np.ones(rank - length, np.int64), wanted, axis=0)
        return graph.expand(x, graph.sizes(graph.select(graph.equal(wanted, 1), own, wanted)))


class Tile(Movement):
    """x repeated as a whole, `repeats[i]` times along axis i."""

    name = "mm.tile"
    operands = (Operand("x"), Operand("repeats", "I"))

    def infer(self, types: Any, values: Any) -> Any:
        shape, repeats = types[0].shape, dims(values[1], types[1])
        if repeats is not None and len(repeats) != len(shape):
            raise UnsupportedOpError(f"{self.name}: {len(repeats)} repeats for a tensor of rank {len(shape)}")
        if repeats is None:
            return (None,) * len(shape)
        return tuple(None if count is None else dim * count for dim, count in zip(shape, repeats))

    def known(self, types: Any, values: Any) -> Any:
        known, repeats = values[0], integers(values[1])
        if known is None or repeats is None or known.size * prod(repeats) > known.size * 64:
            return None
        return np.tile(known, repeats)

    def reference(self, x: Any, repeats: Any) -> Any:
        return np.tile(x, repeats)

    def decompose(self, graph: Any, x: Any, repeats: Any) -> Any:
        sizes = sizes_of(graph, x)
        counts = read_sizes(graph, repeats, len(sizes))
        apart = reshape(graph, x, [size for pair in zip([1] * len(sizes), sizes) for size in pair])
        wide = graph.expand(apart, shape_operand(graph, [size for pair in zip(counts, sizes) for size in pair]))
        return reshape(graph, wide, [times(graph, count, size) for count, size in zip(counts, sizes)])


class Reverse(Movement):
    """x backwards along `axes`; None reverses all."""

    name = "mm.reverse"
    tier = Tier.DEVICE
    attributes = (Attribute("axes", (int,), None),)

    def infer(self, types: Any, values: Any, *, axes: Any) -> Any:
        axes_of(self.name, axes, len(types[0].shape))
        return types[0].shape

    def known(self, types: Any, values: Any, *, axes: Any) -> Any:
        return None if values[0] is None else np.flip(values[0], axes)

    def reference(self, x: Any, *, axes: Any) -> Any:
        return np.flip(x, axes)


class ReverseSequence(Movement):
    """The first `lengths[b]` elements along `time_axis` reversed, for each b along `batch_axis`; the rest stays."""

    name = "mm.reverse_sequence"
    operands = (Operand("x"), Operand("lengths", "I"))
    attributes = (Attribute("time_axis", int, 0), Attribute("batch_axis", int, 1))

    def infer(self, types: Any, values: Any, *, time_axis: int, batch_axis: int) -> Any:
        rank = len(types[0].shape)
        axes_of(self.name, (time_axis, batch_axis), rank)
        return types[0].shape

    def reference(self, x: Any, lengths: Any, *, time_axis: int, batch_axis: int) -> Any:
        time = np.arange(x.shape[time_axis])
        source = np.where(time < lengths[:, None], lengths[:, None] - 1 - time, time)
        moved = np.moveaxis(x, (batch_axis, time_axis), (0, 1))
        picked = moved[np.arange(len(lengths))[:, None], source]
        return np.moveaxis(picked, (0, 1), (batch_axis, time_axis))

    def decompose(self, graph: Any, x: Any, lengths: Any, *, time_axis: int, batch_axis: int) -> Any:
        rank, sizes = len(x.type.shape), sizes_of(graph, x)
        time_axis, batch_axis = time_axis % rank, batch_axis % rank
        lengths = reshape(graph, graph.cast(lengths, to="int64"), [sizes[batch_axis], 1])
        time = graph.iota(shape_operand(graph, [sizes[time_axis]]))
        source = graph.select(graph.less(time, lengths), graph.sub(graph.sub(lengths, 1), time), time)
        if time_axis < batch_axis:
            source = graph.transpose(source, permutation=(1, 0))
        places = [size if axis in (time_axis, batch_axis) else 1 for axis, size in enumerate(sizes)]
        index = graph.expand(reshape(graph, source, places), shape_operand(graph, sizes))
        return graph.gather_elements(x, index, axis=time_axis)


class DepthToSpace(Movement):
    """Channels to blocks of `blocksize` squared pixels: [N, C, H, W] to [N, C/b², H*b, W*b].

    Mode DCR takes the block's place from the outer part of the channel number, CRD from the inner.
    """

    name = "mm.depth_to_space"
    attributes = (Attribute("blocksize", int), Attribute("mode", str, "DCR", ("DCR", "CRD")))

    def infer(self, types: Any, values: Any, *, blocksize: int, mode: str) -> Any:
        batch, channels, height, width = _image_shape(self.name, types[0], blocksize)
        if isinstance(channels, int) and channels % blocksize**2:
            raise UnsupportedOpError(f"{self.name}: {channels} channels do not divide by {blocksize}²")
        return batch, floordiv(channels, blocksize**2), height * blocksize, width * blocksize

    def reference(self, x: Any, *, blocksize: int, mode: str) -> Any:
        (batch, channels, height, width), b = x.shape, blocksize
        inner = (b, b, channels // b**2) if mode == "DCR" else (channels // b**2, b, b)
        order = (0, 3, 4, 1, 5, 2) if mode == "DCR" else (0, 1, 4, 2, 5, 3)
        blocks = x.reshape(batch, *inner, height, width).transpose(order)
        return blocks.reshape(batch, channels // b**2, height * b, width * b)

    def decompose(self, graph: Any, x: Any, *, blocksize: int, mode: str) -> Any:
        (batch, channels, height, width), b = sizes_of(graph, x), blocksize
        depth = over(graph, channels, b**2)
        inner = (b, b, depth) if mode == "DCR" else (depth, b, b)
        order = (0, 3, 4, 1, 5, 2) if mode == "DCR" else (0, 1, 4, 2, 5, 3)
        blocks = graph.transpose(reshape(graph, x, [batch, *inner, height, width]), permutation=order)
        return reshape(graph, blocks, [batch, depth, times(graph, height, b), times(graph, width, b)])


class SpaceToDepth(Movement):
    """Blocks of `blocksize` squared pixels to channels: [N, C, H, W] to [N, C*b², H/b, W/b]."""

    name = "mm.space_to_depth"
    attributes = (Attribute("blocksize", int),)

    def infer(self, types: Any, values: Any, *, blocksize: int) -> Any:
        batch, channels, height, width = _image_shape(self.name, types[0], blocksize)
        for size in (height, width):
            if isinstance(size, int) and size % blocksize:
                raise UnsupportedOpError(f"{self.name}: an image of {height} by {width} has no blocks of {blocksize}")
        return batch, channels * blocksize**2, floordiv(height, blocksize), floordiv(width, blocksize)

    def reference(self, x: Any, *, blocksize: int) -> Any:
        (batch, channels, height, width), b = x.shape, blocksize
        blocks = x.reshape(batch, channels, height // b, b, width // b, b).transpose(0, 3, 5, 1, 2, 4)
        return blocks.reshape(batch, channels * b**2, height // b, width // b)

    def decompose(self, graph: Any, x: Any, *, blocksize: int) -> Any:
        (batch, channels, height, width), b = sizes_of(graph, x), blocksize
        rows, columns = over(graph, height, b), over(graph, width, b)
        blocks = reshape(graph, x, [batch, channels, rows, b, columns, b])
        blocks = graph.transpose(blocks, permutation=(0, 3, 5, 1, 2, 4))
        return reshape(graph, blocks, [batch, times(graph, channels, b**2), rows, columns])


def _image_shape(op: str, type_: Any, blocksize: int) -> Any:
    if len(type_.shape) != 4 or blocksize < 1:
        raise UnsupportedOpError(f"{op} takes [N, C, H, W] and a positive blocksize, got {type_} and {blocksize}")
    return type_.shape


OPS: tuple[type[OpDef], ...] = (Transpose, Expand, Tile, Reverse, ReverseSequence, DepthToSpace, SpaceToDepth)
