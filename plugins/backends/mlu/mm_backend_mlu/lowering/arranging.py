"""Weights of convolutions that only running tells, brought into the tensor unit's order by copies on the device.

What lowering/filters.py does when building: zeros first, then the elements, by as many copies as there are whole and
cut blocks of lanes and of channels. Blocks are of 64 lanes, so that a lane holds one row of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mm_backend_mlu.lowering.filters import LANES
from mm_backend_mlu.lowering.layout import round_up
from mm_backend_mlu.lowering.lowering import Lowering
from mm_backend_mlu.lowering.movement import copy, fill_buffer
from mm_backend_mlu.lowering.view import View


@dataclass(frozen=True, slots=True)
class Filters:
    """Weights [group, o, c, taps] and how a kernel wants them: lanes that are stored, channels of a chunk, by tap."""

    groups: int
    o: int
    c: int
    taps: int
    stored: int
    tile_c: int
    by_tap: bool

    @property
    def steps(self) -> tuple[int, int, int, int, int, int]:
        """Elements between groups, blocks of lanes, lanes, chunks, channels and taps."""
        chunks = -(-self.c // self.tile_c)
        block = LANES * chunks * self.taps * self.tile_c
        group = round_up(self.stored, LANES) // LANES * block
        if self.by_tap:
            return group, block, self.tile_c, LANES * self.tile_c, 1, LANES * chunks * self.tile_c
        return group, block, self.taps * self.tile_c, LANES * self.taps * self.tile_c, 1, self.tile_c


def arranged_filters(low: Lowering, weights: int, filters: Filters, itemsize: int) -> int:
    """A buffer with weights in the order of kernels/conv.h, from a dense one."""
    group, block, lane, chunk, channel, tap = filters.steps
    count = filters.groups * group
    buffer = low.temporary(count * itemsize)
    fill_buffer(low, buffer, count, itemsize, 0)
    dense = View.dense(weights, (filters.groups, filters.o, filters.c, filters.taps))
    strides = dense.strides
    for o, blocks, lanes in _runs(filters.o, LANES):
        for c, chunks, channels in _runs(filters.c, filters.tile_c):
            shape = (filters.groups, blocks, lanes, chunks, channels, filters.taps)
            source = View(
                weights, shape,
                (strides[0], LANES * strides[1], strides[1], filters.tile_c * strides[2], strides[2], strides[3]),
                o * strides[1] + c * strides[2],
            )  # fmt: skip
            offset = o // LANES * block + c // filters.tile_c * chunk
            target = View(buffer, shape, (group, block, lane, chunk, channel, tap), offset)
            copy(low, source, target, itemsize, "arrange")
    return buffer


def _runs(size: int, tile: int) -> Iterator[tuple[int, int, int]]:
    """Where the whole tiles and the cut one begin, how many there are, and their sizes."""
    whole, rest = divmod(size, tile)
    if whole:
        yield 0, whole, tile
    if rest:
        yield whole * tile, 1, rest
