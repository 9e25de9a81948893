"""Sizes of tiles: what fits the memories of a core, and of that what the time model of the target likes best.

The sums of bytes are those of the kernels' `prepare` functions. A kernel for which nothing fits is refused when the
model is partitioned. Times are estimates to choose by, in cycles: the larger of what the units and the memory take, as
pipelines overlap them, and what fills and empties the pipeline. This is what the kinds of kernels share.
"""

from __future__ import annotations

from dataclasses import dataclass

from mm_backend_mlu.lowering.layout import LINE_BYTES, round_up
from mm_backend_mlu.target import Target

LANES = 64
TENSOR_BYTES = 64
FOLD_COLUMNS = 64
_NARROWEST = 8
"""Results of a row that a tile has at least, where rows are cut."""


@dataclass(frozen=True, slots=True)
class EpilogueCost:
    """What an epilogue wants: bytes for each channel (`channels`) and each element of a tile (`tensors`, `scratch`).

    `bias`: the kernel itself adds one float for each channel first.
    """

    channels: int = 0
    tensors: int = 0
    scratch: int = 0
    bias: bool = False

    def on_chip(self, elements: int, channels: int) -> int:
        """Bytes for the largest tile."""
        return 2 * (self.channels + 4 * self.bias) * channels + (2 * self.tensors + self.scratch) * elements

    def sizes(self, elements: int, channels: int) -> dict[str, int]:
        """The fields of `mm::EpilogueBytes` for the largest tile."""
        return {
            "channels": self.channels * channels,
            "tensors": self.tensors * elements,
            "scratch": self.scratch * elements,
        }


NO_EPILOGUE = EpilogueCost()


def piece(elements: int, itemsize: int) -> int:
    """Bytes of one piece that `mm::Carver` hands out."""
    return round_up(elements * itemsize, LINE_BYTES)


def sizes_up_to(most: int) -> list[int]:
    """Sizes to try: equal shares of `most` that double, the largest first."""
    parts = 1
    sizes: list[int] = []
    while True:
        size = -(-most // parts)
        if not sizes or size < sizes[-1]:
            sizes.append(size)
        if size <= 1:
            return sizes
        parts = parts + 1 if parts < 8 else parts * 5 // 4


def row_widths(row: int) -> list[int]:
    """Results of a row to try, for tiles of images with rows of so many."""
    return [size for size in sizes_up_to(row) if size == row or size >= _NARROWEST]


def dram_rate(tasks: int, target: Target) -> float:
    """Bytes of device memory for each core and cycle when a launch has so many tasks, which fill cluster by cluster."""
    active = min(target.cores, round_up(tasks, target.cores_per_cluster))
    in_cluster = target.cluster_dram_bytes_per_second / target.cores_per_cluster
    return min(in_cluster, target.dram_bytes_per_second / active) / target.clock_hz


def pipelined(rounds: int, copying: float, computing: float, edges: float, target: Target) -> float:
    """Cycles of a pipeline whose rounds copy and compute beside each other; `edges` fill and empty it."""
    slower = max(copying + target.dram_latency_cycles, computing + target.tensor_latency_cycles)
    return rounds * slower + edges + 2 * target.dram_latency_cycles
