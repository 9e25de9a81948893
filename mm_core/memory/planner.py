"""The one memory planner: buffers with lifetimes share an arena wherever their lifetimes do not meet.

Greedy by size with best fit (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference",
2020): the largest buffer comes first, each goes into the smallest gap that holds it between the buffers that
live at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mm_core.errors import BuildError

_LARGEST_ARENA = 2**63 - 1
_Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A buffer of `size` bytes, in use from step `first` to step `last`, both included.

    `alias` is the index of an interval whose memory it shares (an operation in place). Intervals that share
    memory are planned as one, as large as the largest and live from the first step of any to the last of any.
    """

    size: int
    first: int
    last: int
    alias: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The byte offset of each interval, in the order given, and the bytes of the arena that holds them."""

    offsets: tuple[int, ...]
    size: int


def plan(intervals: Sequence[Interval], alignment: int = 64) -> Plan:
    """Place every interval so that no two that are live at one step overlap. Equal inputs give equal plans.

    Offsets and arena size are multiples of `alignment`, a power of two. Raises BuildError for an
    interval that ends before it begins, has a negative size or an alias that does not exist, and for an arena
    beyond 63 bits.
    """
    if alignment < 1 or alignment & (alignment - 1):
        raise BuildError(f"alignment {alignment} is not a power of two")
    roots = _alias_roots(intervals)
    buffers = _merged(intervals, roots, alignment)
    if sum(size for size, _, _ in buffers.values()) > _LARGEST_ARENA:
        raise BuildError(
            "the buffers of this plan exceed 63 bits of bytes", remedy="check the dimensions that size them"
        )
    arena = _Arena(len(buffers))
    order = sorted(buffers.items(), key=lambda item: (-item[1][0], item[1][1], item[0]))
    placed = {root: arena.place(*buffer) for root, buffer in order}
    return Plan(tuple(placed[root] for root in roots), arena.size)


def _alias_roots(intervals: Sequence[Interval]) -> list[int]:
    """For each interval one representative of all that share its memory: union-find over the aliases."""
    parents = list(range(len(intervals)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    for index, interval in enumerate(intervals):
        if interval.size < 0 or interval.last < interval.first:
            raise BuildError(
                f"{interval} has a negative size or ends before it begins", where=f"interval {index}"
            )
        if interval.alias is None:
            continue
        if not 0 <= interval.alias < len(intervals):
            raise BuildError(
                f"alias {interval.alias} names no interval",
                where=f"interval {index}",
                available=f"0 to {len(intervals) - 1}",
            )
        low, high = sorted((root(index), root(interval.alias)))
        parents[high] = low
    return [root(index) for index in range(len(intervals))]


def _merged(
    intervals: Sequence[Interval], roots: Sequence[int], alignment: int
) -> dict[int, tuple[int, int, int]]:
    """Root to (aligned size, first step, last step) of everything that shares the root's memory."""
    buffers: dict[int, tuple[int, int, int]] = {}
    for root, interval in zip(roots, intervals):
        aligned = -(-interval.size // alignment) * alignment
        size, first, last = buffers.get(root, (0, interval.first, interval.last))
        buffers[root] = (max(size, aligned), min(first, interval.first), max(last, interval.last))
    return buffers


class _Arena:
    """Placed buffers in the order of their offsets, as arrays: each search is a few vector operations."""

    __slots__ = ("_count", "_table", "size")

    def __init__(self, capacity: int) -> None:
        self._table = np.empty((4, capacity), np.int64)  # rows: offset, end, first step, last step
        self._count = 0
        self.size = 0

    def place(self, size: int, first: int, last: int) -> int:
        """Choose an offset for a buffer and keep it."""
        if size == 0:
            return 0
        offsets, ends, firsts, lasts = self._table[:, : self._count]
        live = np.flatnonzero((firsts <= last) & (lasts >= first))
        offset = _best_fit(offsets[live], np.maximum.accumulate(ends[live]), size) if live.size else 0
        self._insert(int(np.searchsorted(offsets, offset)), (offset, offset + size, first, last))
        self.size = max(self.size, offset + size)
        return offset

    def _insert(self, position: int, row: tuple[int, int, int, int]) -> None:
        self._table[:, position + 1 : self._count + 1] = self._table[:, position : self._count]
        self._table[:, position] = row
        self._count += 1


def _best_fit(offsets: _Integers, tops: _Integers, size: int) -> int:
    """The start of the smallest gap of at least `size` bytes below the buffers at `offsets`, else their end.

    `tops[i]` is the highest end among the first i + 1 buffers.
    """
    floors = np.concatenate(([0], tops[:-1]))
    gaps = offsets - floors
    fitting = np.flatnonzero(gaps >= size)
    if fitting.size == 0:
        return int(tops[-1])
    return int(floors[fitting[np.argmin(gaps[fitting])]])
