"""Expected cycles of a kernel on a processor with two vector units: arithmetic, memory, transforms and imbalance.

Arithmetic is `tile_cycles` of the blocking: FMAs at the efficiency of the register tile, weights in the second level of
cache. Memory is what crosses the second level: weights come from memory once, and again for every block of rows from
the level of cache that they fit; inputs likewise for every panel. The smaller of arithmetic and memory is mostly hidden
behind the larger, and nearly all of what is prefetched. All is multiplied with the imbalance of tasks over threads. The
figures are those of a typical server core; they are constants, so that a choice does not depend on the machine that
builds.
"""

from __future__ import annotations

from itertools import pairwise

from mm_backend_cpu.codegen.blocking import (
    ASSUMED_IMAGES,
    Blocking,
    Extent,
    TileShape,
    assume,
    assumed_columns,
    assumed_extent,
    assumed_sizes,
    divide_up,
    tile_cycles,
)
from mm_backend_cpu.codegen.conv import ConvSpec
from mm_backend_cpu.codegen.inverted_residual import InvertedResidualSpec, StripCut, product_extent
from mm_backend_cpu.codegen.isa import Isa
from mm_backend_cpu.codegen.quads import QUAD
from mm_backend_cpu.codegen.winograd import WinogradCut, component_extent, tile_count

CLOCK_HZ = 2.5e9
"""Cycles of a second, to state estimates in seconds."""
_SECOND_LEVEL_BYTES = 1 << 20
_THIRD_LEVEL_BYTES = 8 << 20  # that stay there, whatever else the machine does
_SECOND_LEVEL = 32.0  # bytes a cycle, of one thread
_THIRD_LEVEL = 10.0
_MEMORY = 10.0  # of all threads together
_HIDDEN = 0.7  # of the smaller of arithmetic and memory
_PREFETCHED = 0.9  # of what tiles prefetch, behind arithmetic
_TASK_CYCLES = 150.0  # to set out on a task
_PARTIAL_CYCLES = 2.0  # to store and load a vector of sums between pieces of the reduction
# Winograd: cycles to transform one component of a tile in a vector of channels. F(4x4, 3x3) has 36 loads and stores
# with some 170 operations, and 36 loads, 120 operations and 16 stores with the epilogue.
_INPUT_TRANSFORM = 4.7
_OUTPUT_TRANSFORM = 3.6
# Depthwise: a tile takes some cycles to begin and to end; the compiler wants some registers for itself, and what does
# not fit into the others is stored and loaded once for each kernel row.
_DEPTHWISE_TILE = 12.0
_DEPTHWISE_STORE = 2.0
_DEPTHWISE_REGISTERS = 0.75
_WEAVE = 1.0  # of bytes: to load a vector of a row and put it beside the others of its column


def contraction_seconds(extent: Extent, blocking: Blocking, tile: TileShape, isa: Isa, threads: int) -> float:
    """A matrix product or direct convolution in tiles of shape `tile`, cut as `blocking` says."""
    outputs, rows, length = assumed_sizes(extent)
    images, columns = assume(extent.images, ASSUMED_IMAGES), assumed_columns(extent)
    reduction = extent.runs * length
    width = blocking.vectors * isa.lanes
    panels = extent.groups * divide_up(outputs, width)
    blocks = divide_up(rows, blocking.block_rows)
    units = images * blocks
    weight_bytes = 4 * panels * width * reduction
    row_bytes = assume(extent.input_row_bytes, 0) or 4 * length
    input_bytes = images * (rows + blocks * extent.halo_rows) * row_bytes

    arithmetic = tile_cycles(extent, isa, tile) * images * extent.groups
    pieces = divide_up(extent.runs, blocking.piece_runs)
    if blocking.piece_length is not None:
        pieces *= divide_up(max(length, 1), blocking.piece_length)
    arithmetic += (pieces - 1) * images * rows * columns * panels * blocking.vectors * _PARTIAL_CYCLES
    if extent.copies:
        arithmetic += input_bytes * (panels if blocking.panels_first else 1) / _SECOND_LEVEL
    arithmetic += units * panels * _TASK_CYCLES

    output_bytes = 4 * images * rows * columns * extent.groups * outputs
    inputs, weights = (input_bytes + output_bytes) / _THIRD_LEVEL, threads * weight_bytes / _MEMORY
    if blocking.panels_first:
        inputs += _again(panels, input_bytes, input_bytes, threads)
    else:
        inputs += _again(panels, input_bytes, input_bytes // max(units, 1), threads)
        weights += _again(units, weight_bytes, weight_bytes, threads)
    high = divide_up(rows, blocking.tile_rows)
    share = _share(images, high, blocks, panels, blocking.panels_first, threads)
    return _longest(arithmetic, inputs, share, weights)


def winograd_seconds(spec: ConvSpec, cut: WinogradCut, isa: Isa, threads: int) -> float:
    """A convolution by Winograd's algorithm."""
    images, tiles = assume(spec.images, ASSUMED_IMAGES), tile_count(spec, cut.algorithm)
    components = cut.algorithm.components
    width = cut.blocking.vectors * isa.lanes
    panels = divide_up(spec.outputs, width)
    units = images * divide_up(tiles, cut.block)
    shape = TileShape(cut.blocking.tile_rows, cut.blocking.vectors)
    arithmetic = components * units * tile_cycles(component_extent(spec, cut.block), isa, shape)
    # A thread that begins with a block in the middle of its panels transforms the inputs of that block again.
    transformed = (units + (threads - 1) * (units % threads > 0)) * cut.block * components
    arithmetic += transformed * (spec.channels // isa.lanes) * _INPUT_TRANSFORM
    arithmetic += units * cut.block * components * divide_up(spec.outputs, isa.lanes) * _OUTPUT_TRANSFORM
    # What the stages hand to each other is written and read, in a part of the second level that weights leave.
    scratch = components * 4 * cut.block * (spec.channels + width)
    passed = units * components * 4 * cut.block * 2 * (spec.channels + panels * width)
    arithmetic += passed / (_SECOND_LEVEL if scratch <= _SECOND_LEVEL_BYTES // 4 else _SECOND_LEVEL / 2)
    arithmetic += units * panels * _TASK_CYCLES
    weight_bytes = components * 4 * spec.channels * panels * width
    pixels = assumed_extent(spec.height) * assumed_extent(spec.width)
    moved = 4 * images * (pixels * spec.channels + cut.algorithm.tile**2 * tiles * spec.outputs)
    memory = threads * weight_bytes / _MEMORY + ((units - 1) * weight_bytes + moved) / _THIRD_LEVEL
    return _longest(arithmetic, memory, _share(images, tiles, units // max(images, 1), panels, False, threads))


def depthwise_seconds(spec: ConvSpec, pixels: int, isa: Isa, threads: int) -> float:
    """A depthwise convolution in tiles of so many pixels of a row."""
    images = assume(spec.images, ASSUMED_IMAGES) * assumed_extent(spec.depth.output)
    rows, columns = assumed_extent(spec.output_height), assumed_extent(spec.output_width)
    arithmetic = images * rows * _depthwise_row_cycles(spec, pixels, isa)
    inputs_read = assumed_extent(spec.height) * assumed_extent(spec.width)
    moved = 4 * images * spec.channels * (inputs_read + rows * columns)
    return _on_threads(arithmetic, moved / _THIRD_LEVEL, images * rows, threads)


def _depthwise_row_cycles(spec: ConvSpec, pixels: int, isa: Isa) -> float:
    """Cycles of one output row."""
    pieces = max(divide_up(assumed_extent(spec.output_width), pixels), 1)
    pixels = divide_up(assumed_extent(spec.output_width), pieces)
    rows, columns = spec.depth.kernel * spec.kernel[0], spec.kernel[1]
    inputs = (pixels - 1) * spec.strides[1] + spec.window[1]
    spilled = max(0, pixels + inputs + columns - _DEPTHWISE_REGISTERS * isa.registers)
    tile = rows * (max(pixels * columns, inputs + columns) / 2 + spilled) + _DEPTHWISE_TILE + _DEPTHWISE_STORE * pixels
    return pieces * divide_up(spec.channels, isa.lanes) * tile


def byte_depthwise_seconds(spec: ConvSpec, pixels: int, isa: Isa, threads: int) -> float:
    """The same of bytes, where the rows of a column are woven once for all pixels over it."""
    images, rows = assume(spec.images, ASSUMED_IMAGES), assumed_extent(spec.output_height)
    pieces = max(divide_up(assumed_extent(spec.output_width), pixels), 1)
    pixels = divide_up(assumed_extent(spec.output_width), pieces)
    inputs = (pixels - 1) * spec.strides[1] + spec.window[1]
    quads = divide_up(spec.kernel[0], QUAD)
    spilled = max(0, pixels + spec.kernel[1] - _DEPTHWISE_REGISTERS * isa.registers)
    tile = inputs * spec.kernel[0] * _WEAVE + quads * (pixels * spec.kernel[1] / 2 + spilled)
    tile += _DEPTHWISE_TILE + _DEPTHWISE_STORE * pixels
    arithmetic = images * rows * pieces * divide_up(spec.channels, isa.lanes) * tile
    outputs = rows * assumed_extent(spec.output_width)
    moved = images * spec.channels * (assumed_extent(spec.height) * assumed_extent(spec.width) + outputs)
    return _on_threads(arithmetic, moved / _THIRD_LEVEL, images * rows, threads)


def inverted_residual_seconds(spec: InvertedResidualSpec, cut: StripCut, isa: Isa, threads: int) -> float:
    """A depthwise convolution and the 1x1 convolutions beside it, in strips of output rows."""
    images, depthwise = assume(spec.depthwise.images, ASSUMED_IMAGES), spec.depthwise
    (input_rows, input_columns), (rows, columns) = spec.size, spec.output_size
    arithmetic = images * rows * _depthwise_row_cycles(depthwise, cut.pixels, isa)
    passed = 0  # bytes that the stages hand to each other through scratch
    if spec.expand is not None and cut.expand is not None:
        expanded = images * input_rows + (threads - 1) * max(0, depthwise.window[0] - depthwise.strides[0])
        arithmetic += expanded * tile_cycles(product_extent(spec.expand, input_columns), isa, cut.expand)
        passed += 8 * expanded * input_columns * depthwise.channels
    if spec.project is not None and cut.project is not None:
        extent = product_extent(spec.project, cut.rows * columns)
        arithmetic += images * rows / cut.rows * tile_cycles(extent, isa, cut.project)
        passed += 8 * images * rows * columns * depthwise.outputs
    scratch_bytes = 4 * (spec.ring_elements(cut.rows) + spec.filtered_elements(cut.rows))
    level = _SECOND_LEVEL if scratch_bytes <= _SECOND_LEVEL_BYTES // 2 else _THIRD_LEVEL
    tasks = images * divide_up(rows, cut.rows)
    arithmetic += (1 - _HIDDEN) * passed / level + tasks * _TASK_CYCLES

    weight_bytes = 4 * sum(stage.outputs * (stage.channels // stage.groups) * stage.taps for stage in spec.stages)
    again = max(0, tasks - threads) * weight_bytes if weight_bytes + scratch_bytes > _SECOND_LEVEL_BYTES else 0
    entering = input_rows * input_columns * spec.stages[0].channels
    leaving = rows * columns * spec.stages[-1].outputs
    memory = threads * weight_bytes / _MEMORY + (again + 4 * images * (entering + leaving)) / _THIRD_LEVEL
    return _on_threads(arithmetic, memory, tasks, threads)


def _on_threads(arithmetic: float, memory: float, tasks: int, threads: int) -> float:
    """Seconds of the slowest thread of equal tasks; `arithmetic` and `memory` are cycles of all threads together."""
    return _longest(arithmetic, memory, divide_up(max(tasks, 1), threads) / max(tasks, 1))


def _again(times: int, total: int, between: int, threads: int) -> float:
    """Cycles to read `total` bytes once more, `times` in all, after `between` bytes have passed through the caches."""
    if between <= _SECOND_LEVEL_BYTES * 3 // 4:
        level = _SECOND_LEVEL
    else:
        level = _THIRD_LEVEL if between <= _THIRD_LEVEL_BYTES else _MEMORY / threads
    return max(times - 1, 0) * total / level


def _longest(arithmetic: float, memory: float, share: float, prefetched: float = 0.0) -> float:
    """Seconds of the thread that has this share of all cycles; `prefetched` are those of memory that tiles ask for."""
    if memory + prefetched > arithmetic:
        cycles = memory + prefetched + (1 - _HIDDEN) * arithmetic
    else:
        cycles = arithmetic + (1 - _HIDDEN) * memory + (1 - _PREFETCHED) * prefetched
    return cycles * share / CLOCK_HZ


def _share(images: int, high: int, blocks: int, panels: int, panels_first: bool, threads: int) -> float:
    """What the busiest thread has of all tiles. `high` of an image are above each other, in nearly equal blocks."""
    units = images * blocks

    def above(unit: int) -> int:  # tiles of one panel before this block
        image, block = divmod(unit, blocks)
        return image * high + block * high // blocks

    def before(task: int) -> int:
        if panels_first:
            panel, unit = divmod(task, units)
            return panel * above(units) + above(unit)
        unit, panel = divmod(task, panels)
        return panels * above(unit) + panel * (above(unit + 1) - above(unit))

    tasks = units * panels
    if not tasks or not high:
        return 1.0
    ends = [before(part * (tasks // threads) + min(part, tasks % threads)) for part in range(threads + 1)]
    return max(end - begin for begin, end in pairwise(ends)) / ends[-1]
