"""Tiles of windows over single channels: depthwise convolutions and pools."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import ceil

from mm_backend_mlu.lowering.layout import LINE_BYTES
from mm_backend_mlu.lowering.tiling import EpilogueCost, dram_rate, piece, pipelined, row_widths, sizes_up_to
from mm_backend_mlu.target import Target


@dataclass(frozen=True, slots=True)
class WindowTiles:
    """Tiles of a depthwise convolution or pool: rows, columns and channels of the result."""

    h: int
    w: int
    c: int
    nram: int
    tasks: int


@dataclass(frozen=True, slots=True)
class WindowProblem:
    """What tiles of windows over single channels depend on. `pitch` counts the channels, padding included."""

    n: int
    oh: int
    ow: int
    pitch: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    itemsize: int

    def phases(self, h: int, w: int, c: int) -> tuple[int, int]:
        """Elements of one phase of a patch, and of all of them."""
        extents = (
            -(-((results - 1) * stride + (window - 1) * dilation + 1) // stride)
            for results, window, stride, dilation in zip((h, w), self.kernel, self.strides, self.dilations)
        )
        rows, columns = extents
        return rows * columns * c, rows * columns * c * self.strides[0] * self.strides[1]


def window_tiles(
    problem: WindowProblem, wide: bool, sums: int, weights: bool, epilogue: EpilogueCost, target: Target
) -> WindowTiles | None:
    """Tiles of a depthwise convolution or pool; None where none fit.

    `wide`: patches of half are computed in float. `sums` are the phases that are held in the type that is computed in.
    `weights`: one in float for each tap and channel, in two slots.
    """
    best: tuple[float, WindowTiles] | None = None
    itemsize, taps = problem.itemsize, problem.kernel[0] * problem.kernel[1]
    line = LINE_BYTES // itemsize
    sum_size = 4 if wide else itemsize
    widths = row_widths(problem.ow)
    for lines, tile_w, tile_h in product(sizes_up_to(problem.pitch // line), widths, sizes_up_to(problem.oh)):
        tile_c = lines * line
        phase, patch = problem.phases(tile_h, tile_w, tile_c)
        results = tile_h * tile_w * tile_c
        nram = (
            2 * piece(patch, itemsize) + 2 * piece(results, itemsize)
            + (piece(patch, 4) if wide and itemsize < 4 else 0) + sums * piece(phase, sum_size)
            + (2 * piece(taps * tile_c, 4) if weights else 0) + epilogue.on_chip(results, tile_c)
        )  # fmt: skip
        if nram > target.nram_bytes:
            continue
        tiles = problem.n * -(-problem.oh // tile_h) * -(-problem.ow // tile_w) * -(-problem.pitch // tile_c)
        mine = ceil(tiles / target.cores)
        vector = phase * taps * sums * sum_size / target.vector_bytes_per_cycle + taps * sums * target.issue_cycles
        copying = (patch + results * (1 + epilogue.tensors / itemsize)) * itemsize / dram_rate(tiles, target)
        cost = pipelined(mine, copying, vector, copying, target)
        if best is None or cost < best[0]:
            best = cost, WindowTiles(tile_h, tile_w, tile_c, nram, tiles)
    return None if best is None else best[1]
