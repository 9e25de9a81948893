"""Elements moved from one set of strides to another, and memory filled with one value."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from mm_backend_mlu.codegen.dims import Strides, coalesce
from mm_backend_mlu.codegen.kernel import Kernel
from mm_backend_mlu.target import Target

UNITS = {1: "uint8_t", 2: "uint16_t", 4: "uint32_t", 8: "uint64_t"}
"""The C type in which elements are moved, by their bytes."""
_SMALLEST_TILE = 8192
_LARGEST_TILE = 65536
"""Bytes of a tile: enough for the DRAM, and small enough that all cores have some."""
_BOX = 3


@dataclass(frozen=True, slots=True)
class StridedCopy:
    """Elements of `itemsize` bytes: sizes of the axes, and steps and first element of both sides.

    Steps may be negative or, where a source repeats, zero.
    """

    shape: tuple[int, ...]
    itemsize: int
    source: Strides
    target: Strides
    source_offset: int = 0
    target_offset: int = 0


def strided_copy(spec: StridedCopy, name: str, target: Target) -> tuple[Kernel, int]:
    """The kernel of a copy, from its first buffer to its second, and how many tasks have work.

    The innermost three axes that one copy instruction can follow are a box; the others are loops.
    """
    outer, box, unit = _arranged(spec)
    ctype, parts = UNITS[unit], spec.itemsize // unit
    blocks, rows, columns = _tile(box, unit, target, prod(size for size, _, _ in outer))
    counts = [-(-axis[0] // size) for axis, size in zip(box, (blocks, rows, columns))]
    tiles = prod(size for size, _, _ in outer) * prod(counts)
    tile_bytes = -(-blocks * rows * columns * unit // 128) * 128
    places = []
    per = 1
    for letter, axis, count, size in zip("crb", box[::-1], counts[::-1], (columns, rows, blocks)):
        places.append((letter, axis, per, count, size))
        per *= count
    lines = [f"const int {letter}0 = step / {per_} % {count} * {size};" for letter, _, per_, count, size in places]
    source, destination = [], []
    for letter, (_, source_step, target_step), _, _, _ in places:
        source.append(f"{letter}0 * (int64_t){source_step}")
        destination.append(f"{letter}0 * (int64_t){target_step}")
    for number, (size, source_step, target_step) in enumerate(reversed(outer)):
        lines.append(f"const int64_t i{number} = step / {per} % {size};")
        source.append(f"i{number} * {source_step}")
        destination.append(f"i{number} * {target_step}")
        per *= size
    extents = ", ".join(
        f"mm::minimum({size}, {axis[0]} - {letter}0)" for letter, axis, size in zip("br", box, (blocks, rows))
    )
    extents += f", mm::minimum({columns}, {box[2][0]} - c0)"
    body = [
        *lines,
        f"Tile at = {{{extents}, {' + '.join(source)} + {spec.source_offset * parts},",
        f"           {' + '.join(destination)} + {spec.target_offset * parts}}};",
        "return at;",
    ]
    text = "\n".join(f"    {line}" for line in body)
    shape = " x ".join(map(str, spec.shape))
    note = f"{shape} elements of {spec.itemsize} bytes in {tiles} tiles"
    struct = f"""// {note}
struct $symbol_copy {{
  const {ctype} *x;
  {ctype} *y;
  char *nram;

  struct Tile {{
    int blocks, rows, columns;
    int64_t source, target;
  }};
  __mlu_device__ Tile place(int step) const {{
{text}
  }}
  __mlu_device__ {ctype} *tile(int step) const {{ return ({ctype} *)(nram + step % 2 * {tile_bytes}); }}
  __mlu_device__ void load(int step) {{
    const Tile at = place(step);
    const mm::Box box = {{at.blocks, at.rows, at.columns, {box[1][1]}, {box[0][1]}, at.columns, at.rows * at.columns}};
    mm::copy_box(tile(step), x + at.source, box, GDRAM2NRAM);
  }}
  // There is nothing to compute: what has been loaded is stored while the next tile is loaded.
  __mlu_device__ void compute(int step) {{
    const Tile at = place(step);
    const mm::Box box = {{at.blocks, at.rows, at.columns, {box[1][2]}, {box[0][2]}, at.columns, at.rows * at.columns}};
    mm::copy_box(y + at.target, tile(step), box, NRAM2GDRAM);
  }}
  __mlu_device__ void store(int) {{}}
}};"""
    start = (
        "$symbol_copy copy = {x, y, mm_nram};\n"
        f"const mm::Share share = mm::task_share({tiles});\n"
        "mm::run_pipeline(copy, share.begin, share.end);"
    )
    parameters = (f"const {ctype} *x", f"{ctype} *y")
    return Kernel(name, parameters, start, ("kernels/common.h",), (struct,), nram=2 * tile_bytes, note=note), tiles


Axis = tuple[int, int, int]
"""Size, step of the source and step of the target, in elements."""


def _arranged(spec: StridedCopy) -> tuple[list[Axis], tuple[Axis, Axis, Axis], int]:
    """Axes of the loops, the box inside them (blocks, rows, columns), and bytes of an element as it is moved."""
    axes = list(zip(spec.shape, spec.source, spec.target))
    unit = spec.itemsize
    if unit not in UNITS:  # Elements of 16 bytes are two of 8.
        unit = 8
        parts = spec.itemsize // unit
        axes = [(size, source * parts, target * parts) for size, source, target in axes] + [(parts, 1, 1)]
    axes.sort(key=lambda axis: -axis[2])
    sizes, (source, target) = coalesce(
        [axis[0] for axis in axes], [tuple(axis[1] for axis in axes), tuple(axis[2] for axis in axes)]
    )
    axes = list(zip(sizes, source, target))
    columns = axes.pop() if axes and axes[-1][1:] == (1, 1) else (1, 1, 1)
    backward = [axis for axis in axes if axis[1] < 0]
    forward = [axis for axis in axes if axis[1] >= 0]
    inner = [(1, 0, 0)] * max(0, _BOX - 1 - len(forward)) + forward[-2:]
    return backward + forward[:-2], (inner[0], inner[1], columns), unit


def _tile(box: tuple[Axis, Axis, Axis], unit: int, target: Target, outer: int) -> tuple[int, int, int]:
    """Sizes of a tile: the box, cut along its outermost axes first."""
    total = outer * prod(size for size, _, _ in box) * unit
    limit = min(max(total // target.cores, _SMALLEST_TILE), _LARGEST_TILE) // unit
    columns = min(box[2][0], limit)
    rows = min(box[1][0], max(1, limit // columns))
    blocks = min(box[0][0], max(1, limit // (columns * rows))) if rows == box[1][0] else 1
    return blocks, rows, columns


def fill(count: int, itemsize: int, bits: int, target: Target) -> tuple[Kernel, int]:
    """A kernel that fills its buffer with `count` elements whose bytes are those of `bits`, and its tasks."""
    unit = itemsize if itemsize in UNITS else 8
    count *= itemsize // unit
    ctype = UNITS[unit]
    tile = min(max(count // target.cores, _SMALLEST_TILE // unit), _LARGEST_TILE // unit)
    tile = -(-tile // 128) * 128
    tiles = -(-count // tile)
    body = f"""{ctype} *tile = ({ctype} *)mm_nram;
mm::fill_bits(tile, {tile}, ({ctype}){bits}ULL);
__sync_compute();
const mm::Share share = mm::task_share({tiles});
for (int step = share.begin; step < share.end; ++step) {{
  const int count = mm::minimum({tile}, {count} - step * {tile});
  __memcpy_async(y + (int64_t)step * {tile}, tile, count * {unit}, NRAM2GDRAM);
}}
__sync_io();"""
    note = f"{count} elements of {unit} bytes in {tiles} tiles"
    includes = ("kernels/common.h", "kernels/vector.h")
    return Kernel("fill", (f"{ctype} *y",), body, includes, nram=tile * unit, note=note), tiles
