"""Tiles of matrix products and convolutions on the tensor unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import ceil

from mm_backend_mlu.lowering.layout import LINE_BYTES, round_up
from mm_backend_mlu.lowering.tiling import (
    LANES,
    TENSOR_BYTES,
    EpilogueCost,
    dram_rate,
    piece,
    pipelined,
    row_widths,
    sizes_up_to,
)
from mm_backend_mlu.target import Target

_MOST_CHUNKS = 64


@dataclass(frozen=True, slots=True)
class ContractionMemory:
    """Bytes that a contraction takes of each memory, and how many tasks have work.

    With `sram`, the cores of a cluster share the blocks of the right operand: the launch is a union of one cluster.
    """

    nram: int
    wram: int
    sram: int
    tasks: int

    @property
    def together(self) -> bool:
        return bool(self.sram)


@dataclass(frozen=True, slots=True)
class MatmulTiles:
    """Tiles of a matrix product, and what they take."""

    m: int
    n: int
    k: int
    on_chip: ContractionMemory


@dataclass(frozen=True, slots=True)
class ConvTiles:
    """Tiles of a convolution: rows and columns of the result, lanes, input channels of a chunk; and what they take."""

    h: int
    w: int
    o: int
    c: int
    by_tap: bool
    on_chip: ContractionMemory


@dataclass(frozen=True, slots=True)
class _Work:
    """One candidate of tiles of a contraction, for the estimate. Counts of elements, of the largest tile."""

    left: int
    right: int
    results: int
    chunks: int
    macs: int
    tiles: int
    column_tiles: int


def _sums(chunks: int, itemsize: int, epilogue: EpilogueCost) -> int:
    """Tiles of results in float that a contraction holds: a sum and a partial product, or what a bias is added to."""
    return 2 if chunks > 1 else int(itemsize < 4 and epilogue.bias)


def _estimate(work: _Work, together: bool, itemsize: int, epilogue: EpilogueCost, target: Target) -> float:
    """Cycles of the slowest core; `together`, of the slowest cluster."""
    columns = work.tiles // work.column_tiles
    if together:
        turns, workers = columns * ceil(work.column_tiles / target.cores_per_cluster), target.clusters
        column_turns, tasks = ceil(work.column_tiles / target.cores_per_cluster), turns * target.cores_per_cluster
    else:
        turns, workers, column_turns, tasks = work.tiles, target.cores, work.column_tiles, work.tiles
    mine = ceil(turns / workers)
    rounds = mine * work.chunks
    rate = dram_rate(tasks, target)
    kind = "half" if itemsize == 2 else "float"
    macs_per_cycle = target.tensor_operations_per_cycle[kind, kind] / 2
    blocks = rounds if work.chunks > 1 else 1 + (mine - 1) / column_turns
    own = rounds * work.left + mine * work.results * (1 + epilogue.tensors / itemsize)
    weights = blocks * work.right
    copied = own + (weights / target.cores_per_cluster if together else weights)
    sums = 2 + 4 * work.chunks if work.chunks > 1 else 4 * _sums(1, itemsize, epilogue)
    passes = epilogue.scratch + epilogue.tensors + epilogue.channels + 4 * epilogue.bias + sums
    computing = mine * (work.macs / macs_per_cycle + work.results * passes * 2 / target.vector_bytes_per_cycle)
    edges = (work.left + work.right + work.results) * itemsize / rate
    if together:
        moved = weights * itemsize / target.move_bytes_per_cycle
        computing = max(computing, moved)
        edges += rounds * target.barrier_cycles + 2 * target.dram_latency_cycles
    return pipelined(rounds, copied * itemsize / rate / rounds, computing / rounds, edges, target)


def _ways(
    work: _Work, nram: int, itemsize: int, may_share: bool, epilogue: EpilogueCost, target: Target
) -> Iterator[tuple[float, ContractionMemory]]:
    """The ways to run a contraction, with their estimates: each core by itself, or those of a cluster together."""
    right = 2 * work.right * itemsize
    yield _estimate(work, False, itemsize, epilogue, target), ContractionMemory(nram, right, 0, work.tiles)
    if may_share and right <= target.sram_bytes and work.column_tiles >= target.cores_per_cluster:
        turns = work.tiles // work.column_tiles * ceil(work.column_tiles / target.cores_per_cluster)
        memory = ContractionMemory(nram, right, right, turns * target.cores_per_cluster)
        yield _estimate(work, True, itemsize, epilogue, target), memory


def matmul_tiles(
    m: int, n: int, k: int, batch: int, itemsize: int, arranged: int, epilogue: EpilogueCost, target: Target
) -> MatmulTiles | None:
    """Tiles of `batch` products of [m, k] and [k, n]; None where none fit.

    `arranged` is how many blocks of the right operand lie in NRAM on their way to WRAM.
    """
    best: tuple[float, MatmulTiles] | None = None
    lanes, align = round_up(n, LANES), TENSOR_BYTES // itemsize
    for chunks, tile_n in product(range(1, _MOST_CHUNKS), _lane_blocks(lanes)):
        tile_k = round_up(-(-k // chunks), align)
        if 2 * tile_n * tile_k * itemsize > target.wram_bytes or -(-k // tile_k) != chunks:
            continue
        for tile_m in sizes_up_to(min(m, 2048)):
            results = tile_m * tile_n
            nram = (
                2 * piece(tile_m * tile_k, itemsize) + 2 * piece(results, itemsize)
                + _sums(chunks, itemsize, epilogue) * piece(results, 4)
                + arranged * piece(tile_n * tile_k, itemsize) + epilogue.on_chip(results, tile_n)
            )  # fmt: skip
            if nram > target.nram_bytes:
                continue
            column = -(-m // tile_m)
            tiles = batch * -(-lanes // tile_n) * column
            left, right = tile_m * tile_k, tile_n * tile_k
            work = _Work(left, right, results, chunks, results * tile_k * chunks, tiles, column)
            for cost, memory in _ways(work, nram, itemsize, not arranged, epilogue, target):
                if best is None or cost < best[0]:
                    best = cost, MatmulTiles(tile_m, tile_n, tile_k, memory)
        if best is not None and chunks > 3:
            break
    return None if best is None else best[1]


def _lane_blocks(lanes: int) -> Iterator[int]:
    """Widths of blocks of lanes to try."""
    for size in sizes_up_to(lanes // LANES):
        if size * LANES <= 1024:
            yield size * LANES


@dataclass(frozen=True, slots=True)
class ConvProblem:
    """What tiles of a convolution depend on: its shape without the pads. `c` and `stored` are those of a group."""

    n: int
    oh: int
    ow: int
    c: int
    stored: int
    groups: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    itemsize: int
    one_block: bool = False
    """Blocks of 64 lanes, for weights that are arranged when running."""
    planar: bool = False
    """Images are read channels first and turned round on chip, as one chunk."""

    @property
    def must_go_by_tap(self) -> bool:
        """Windows with gaps, and those smaller than the strides."""
        gaps = any(d > 1 and k > 1 for d, k in zip(self.dilations, self.kernel))
        return gaps or any(s > k for s, k in zip(self.strides, self.kernel)) or self.kernel == (1, 1)


def conv_tiles(problem: ConvProblem, epilogue: EpilogueCost, target: Target) -> ConvTiles | None:
    """Tiles of a convolution; None where none fit."""
    ways = [True] if problem.must_go_by_tap else [False, True]
    for by_tap in ways[:1] if problem.planar else ways:
        found = _conv_tiles(problem, by_tap, epilogue, target)
        if found is not None:
            return found
    return None


def _conv_tiles(problem: ConvProblem, by_tap: bool, epilogue: EpilogueCost, target: Target) -> ConvTiles | None:
    best: tuple[float, ConvTiles] | None = None
    itemsize, (kh, kw), (sy, sx) = problem.itemsize, problem.kernel, problem.strides
    align = TENSOR_BYTES // itemsize
    lanes = round_up(problem.stored, LANES)
    taps, tap_chunks = (1, kh * kw) if by_tap else (kh * kw, 1)
    widths = row_widths(problem.ow)
    blocks = [LANES] if problem.one_block else list(_lane_blocks(lanes))
    for depth_chunks, tile_o in product(range(1, _MOST_CHUNKS), blocks):
        tile_c = round_up(-(-problem.c // depth_chunks), align)
        chunks = depth_chunks * tap_chunks
        if problem.planar and (by_tap or chunks > 1):
            break
        right = tile_o * taps * tile_c
        if 2 * right * itemsize > target.wram_bytes or -(-problem.c // tile_c) != depth_chunks:
            continue
        for tile_w, tile_h in product(widths, sizes_up_to(problem.oh)):
            if tile_w < problem.ow and tile_h > 16:
                continue
            extents = (tile_h, tile_w) if by_tap else ((tile_h - 1) * sy + kh, (tile_w - 1) * sx + kw)
            left, results = extents[0] * extents[1] * tile_c, tile_h * tile_w * tile_o
            if problem.planar:
                left = round_up(extents[0] * extents[1], LINE_BYTES // itemsize) * tile_c
            nram = (
                (4 if problem.planar else 2) * piece(left, itemsize) + 2 * piece(results, itemsize)
                + _sums(chunks, itemsize, epilogue) * piece(results, 4) + epilogue.on_chip(results, tile_o)
            )  # fmt: skip
            if nram > target.nram_bytes:
                continue
            column = problem.n * -(-problem.oh // tile_h) * -(-problem.ow // tile_w)
            tiles = problem.groups * -(-lanes // tile_o) * column
            copied = extents[0] * extents[1] * problem.c if problem.planar else left
            work = _Work(copied, right, results, chunks, results * taps * tile_c * chunks, tiles, column)
            for cost, memory in _ways(work, nram, itemsize, True, epilogue, target):
                if best is None or cost < best[0]:
                    best = cost, ConvTiles(tile_h, tile_w, tile_o, tile_c, by_tap, memory)
        if best is not None and depth_chunks > 3:
            break
    return None if best is None else best[1]
