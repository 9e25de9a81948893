"""How a contraction is cut: register tiles, blocks of rows, panels of outputs and pieces of the reduction.

A contraction computes, for each image, a grid of `rows` x `columns` output pixels with `outputs` channels a group. Each
pixel is a sum of `runs` products of a contiguous run of `run_length` inputs with the packed weights (a batch-reduce
GEMM, arXiv 1906.06440). A matrix product is the case of one column and one run; a convolution has a run a kernel row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd

from mm_core.types import Dim

from .isa import Isa

# Sizes assumed where they are only known at run time.
ASSUMED_IMAGES = 1
_ASSUMED_ROWS = 192
_ASSUMED_CHANNELS = 256
_ASSUMED_SIDE = 40  # rows and columns of an image

_MAX_PIXELS = 14
_MAX_VECTORS = 4
_TASK_FLOP = 250_000
_MAX_TASKS = 64
_PANEL_BYTES = 128 << 10  # of weights that stay in cache while the rows of a block pass by
_WEIGHTS_BYTES = 640 << 10  # weights up to here stay in cache as a whole while blocks of rows pass by
_BLOCK_BYTES = 256 << 10  # inputs of one block, for one piece of the reduction
_PARTIAL_BYTES = 128 << 10
_HALO_FACTOR = 2  # rows of a block for each row that is copied twice
# Costs in cycles: two vector FMAs and two loads a cycle, a chain of FMAs takes four; weights come from the second
# level of cache at half a vector a cycle, if all goes well; then what a tile costs to begin and end.
_FMA_LATENCY = 4.0
_WEIGHT_VECTOR = 2.05
_LOAD_COST = 0.03  # of a load that hides behind FMAs: hyper-threads and older cores have few to spare
_CONFLICT_COST = 1.3  # inputs of a tile evict each other from the first level of cache
_TILE_OVERHEAD = 20.0
_VECTOR_OVERHEAD = 1.5
# Sets of a first-level cache repeat every 4 KiB; of the eight ways that it may have, one is left to the weights.
_SET_PERIOD = 4096
_SAFE_WAYS = 7


@dataclass(frozen=True)
class Extent:
    """Sizes of a contraction that blocking depends on.

    `input_row_bytes` is what one output row newly reads, `pixel_bytes` the distance of neighbouring pixels' inputs;
    `halo_rows` are the rows that every block copies again, if its input is copied at all (`copies`).
    """

    images: Dim
    rows: Dim
    columns: Dim
    groups: int
    outputs: Dim
    runs: int
    run_length: Dim
    input_row_bytes: Dim = 0
    pixel_bytes: Dim = 0
    halo_rows: int = 0
    copies: bool = False


@dataclass(frozen=True)
class Blocking:
    """Choices for one contraction.

    A register tile is `tile_rows` full rows of pixels, or, if `column_tiles` is set, pieces of one row of those sizes,
    times `vectors` vectors of outputs. Where only running tells the columns, a row is cut into as many pieces of the
    first size as fit, then of the next. `tail_rows` are the tile heights for the rows that are left over, or, where
    running tells these, heights of which each is used at most once. A task is at most `block_rows` rows times one
    panel; blocks are as many as these make, and nearly equal. The reduction goes in pieces of `piece_runs` runs of
    `piece_length`, so that a panel's piece stays in cache. `panels_first` orders tasks with the panels outermost.
    """

    vectors: int
    tile_rows: int
    column_tiles: tuple[int, ...]
    tail_rows: tuple[int, ...]
    block_rows: int
    piece_runs: int
    piece_length: int | None
    panels_first: bool

    @property
    def note(self) -> str:
        """For example "tile 12 rows x 2 vectors, 36 rows a task, rows outermost"."""
        pixels = "+".join(map(str, sorted(set(self.column_tiles), reverse=True))) or f"{self.tile_rows} rows"
        outermost = "panels" if self.panels_first else "rows"
        return f"tile {pixels} x {self.vectors} vectors, {self.block_rows} rows a task, {outermost} outermost"


@dataclass(frozen=True)
class TileShape:
    """Pixels and vectors of a register tile."""

    pixels: int
    vectors: int


def choose_blocking(extent: Extent, isa: Isa, tile: TileShape | None = None) -> Blocking:
    """Cut a contraction by rule for an instruction set, with the `tile` of least cost if none is given."""
    if tile is None:
        tile = min(tile_shapes(extent, isa), key=lambda shape: tile_cycles(extent, isa, shape))
    return cut(extent, isa, tile)


def cut(
    extent: Extent, isa: Isa, tile: TileShape, panels_first: bool | None = None, tasks: int | None = None
) -> Blocking:
    """Cut a contraction into tiles of one shape; the order of tasks and about how many there are, if given."""
    outputs, rows, length = assumed_sizes(extent)
    columns = assumed_columns(extent)
    tile_rows, column_tiles = _arrange(extent.columns, tile.pixels)
    panel_width = tile.vectors * isa.lanes
    panels = extent.groups * divide_up(outputs, panel_width)
    weight_bytes = 4 * extent.groups * outputs * extent.runs * length
    if panels_first is None:
        panels_first = weight_bytes > _WEIGHTS_BYTES

    piece_runs, piece_length = extent.runs, None
    run_bytes = 4 * panel_width * length
    if run_bytes > _PANEL_BYTES:
        pieces = divide_up(run_bytes, _PANEL_BYTES)
        piece_runs, piece_length = 1, divide_up(length, pieces)
    elif run_bytes * extent.runs > _PANEL_BYTES:
        piece_runs = max(1, _PANEL_BYTES // run_bytes)
    if not isinstance(extent.run_length, int):
        piece_runs, piece_length = 1, _PANEL_BYTES // (4 * panel_width)

    images = assume(extent.images, ASSUMED_IMAGES)
    if tasks is None:
        flop = 2 * images * rows * columns * outputs * extent.groups * extent.runs * length
        tasks = min(_MAX_TASKS, max(1, flop // _TASK_FLOP))
    blocks = max(1, divide_up(tasks, (panels * max(images, 1))))
    blocks = min(blocks, max(1, rows // (_HALO_FACTOR * extent.halo_rows or 1)))
    limit = rows
    if not panels_first and (row_bytes := assume(extent.input_row_bytes, 0)):
        # Only what a piece of the reduction reads must stay in cache until the next tile of rows.
        share = (piece_runs * (piece_length or length)) / (extent.runs * length) if length else 1.0
        limit = min(limit, max(1, int(_BLOCK_BYTES / (row_bytes * share))))
    if piece_length is not None or piece_runs < extent.runs:
        limit = min(limit, max(1, _PARTIAL_BYTES // (4 * panel_width * columns)))
    blocks = max(blocks, divide_up(rows, max(limit, 1)), 1)
    block_rows = divide_up(max(rows, 1), blocks)
    block_rows = divide_up(block_rows, tile_rows) * tile_rows
    return Blocking(
        tile.vectors, tile_rows, column_tiles, _tail_rows(extent.rows, tile_rows, block_rows), block_rows,
        piece_runs, piece_length, panels_first,
    )  # fmt: skip


def divide_up(dividend: int, divisor: int) -> int:
    """The quotient of two integers, rounded up."""
    return -(-dividend // divisor)


def assume(dim: Dim, otherwise: int) -> int:
    """A size, or what it is taken for where only running tells it."""
    return dim if isinstance(dim, int) else otherwise


def assumed_sizes(extent: Extent) -> tuple[int, int, int]:
    """(outputs, rows, run length), as costs are estimated with them."""
    return (
        assume(extent.outputs, _ASSUMED_CHANNELS),
        assume(extent.rows, _ASSUMED_ROWS if isinstance(extent.columns, int) else _ASSUMED_SIDE),
        assume(extent.run_length, _ASSUMED_CHANNELS),
    )


def assumed_extent(dim: Dim) -> int:
    """Rows or columns of an image, as costs are estimated with them."""
    return assume(dim, _ASSUMED_SIDE)


def assumed_columns(extent: Extent) -> int:
    """Columns, as costs are estimated with them."""
    return assumed_extent(extent.columns)


def tile_shapes(extent: Extent, isa: Isa) -> Iterator[TileShape]:
    """Register tiles that fit the registers and the rows of a contraction."""
    outputs, _, _ = assumed_sizes(extent)
    columns = assumed_columns(extent)
    for vectors in range(1, min(_MAX_VECTORS, max(1, divide_up(outputs, isa.lanes))) + 1):
        for pixels in range(1, min(_MAX_PIXELS, (isa.registers - vectors - 1) // vectors) + 1):
            if pixels < columns or pixels % columns == 0:
                yield TileShape(pixels, vectors)


def _arrange(columns: Dim, pixels: int) -> tuple[int, tuple[int, ...]]:
    """(rows of a tile, sizes of the pieces of a row): whole rows where they fit, else a row in nearly equal pieces."""
    if not isinstance(columns, int):
        return 1, (pixels, *powers_below(pixels))
    if pixels >= columns:
        return max(1, pixels // max(columns, 1)), ()
    return 1, equal_pieces(columns, pixels)


def equal_pieces(count: int, most: int) -> tuple[int, ...]:
    """Nearly equal parts of `count`, the larger first, as few as are no larger than `most`."""
    pieces = divide_up(count, most)
    small, larger = divmod(count, max(pieces, 1))
    return (small + 1,) * larger + (small,) * (pieces - larger)


def _lines_in_a_set(pixels: int, pixel_bytes: Dim) -> int:
    """How many inputs of a tile fall into one set of the first level of cache."""
    if not isinstance(pixel_bytes, int) or not pixel_bytes:
        return 1
    return divide_up(pixels, _SET_PERIOD // gcd(pixel_bytes, _SET_PERIOD))


def _tail_rows(rows: Dim, tile_rows: int, block_rows: int) -> tuple[int, ...]:
    """Heights of the last tiles. A low tile costs nearly as much as a high one: it shares the rows of its neighbour."""
    if not isinstance(rows, int):
        return powers_below(tile_rows)
    tail = rows % tile_rows
    if not tail:
        return ()
    high = divide_up(rows, tile_rows)
    neighbours = high // divide_up(rows, block_rows) > 1  # in every block
    return equal_pieces(tile_rows + tail, tile_rows) if neighbours and 2 * tail < tile_rows else (tail,)


def powers_below(size: int) -> tuple[int, ...]:
    """The powers of two below a size, the largest first: of each at most one is needed for what is left over."""
    return tuple(1 << bit for bit in reversed(range(8)) if 1 << bit < size)


def _pieces(columns: Dim, column_tiles: tuple[int, ...]) -> list[tuple[int, int]]:
    """(size, count) of the pieces of a row."""
    if isinstance(columns, int):
        return [(size, column_tiles.count(size)) for size in set(column_tiles)]
    pieces, left = [], _ASSUMED_SIDE
    for size in column_tiles:
        pieces.append((size, left // size))
        left %= size
    return pieces


def tile_cycles(extent: Extent, isa: Isa, shape: TileShape) -> float:
    """Cycles of one thread for one image and one group in tiles of one shape, weights in the second level of cache."""
    outputs, rows, length = assumed_sizes(extent)
    reduction = extent.runs * length
    tile_rows, column_tiles = _arrange(extent.columns, shape.pixels)
    if column_tiles:
        tiles = [(size, rows * count) for size, count in _pieces(extent.columns, column_tiles)]
    else:
        columns = assumed_columns(extent)
        tails = _tail_rows(rows, tile_rows, rows)
        tiles = [(tile_rows * columns, (rows - sum(tails)) // tile_rows)]
        tiles += [(tail * columns, 1) for tail in tails]
    weight_bytes = 4 * shape.vectors * isa.lanes * reduction
    total = 0.0
    for pixels, count in tiles:
        step = max(
            pixels * shape.vectors / 2,
            (pixels + shape.vectors) / 2,
            _FMA_LATENCY,
            _WEIGHT_VECTOR * shape.vectors if weight_bytes > _PANEL_BYTES // 4 else 0.0,
        )
        step += _LOAD_COST * (pixels + shape.vectors)
        if _lines_in_a_set(pixels, extent.pixel_bytes) > _SAFE_WAYS:
            step *= _CONFLICT_COST
        total += count * (reduction * step + _TILE_OVERHEAD + _VECTOR_OVERHEAD * pixels * shape.vectors)
    return total * divide_up(outputs, shape.vectors * isa.lanes)
