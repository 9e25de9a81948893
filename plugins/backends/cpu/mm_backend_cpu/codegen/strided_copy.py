"""Strided copies: transposition, slices with any step, reversal and expansion are one kernel with different strides."""

from __future__ import annotations

from dataclasses import dataclass

from mm_core.types import Dim, ceildiv

from .indices import dot_index, split_index
from .kernel_source import KernelSource, Parameters, kernel_source
from .strides import collapse, dense_strides, product

_ROW_BLOCK = 16384  # elements of a task that copies one long row
_TILE = 64  # a transposed tile of 4-byte elements and its source fit the first-level cache
_FEW = 8  # an axis so short is written out instead of looped over

ELEMENT_TYPES = {1: "uint8_t", 2: "uint16_t", 4: "float", 8: "uint64_t", 16: "mm_pair"}
"""The C type that moves an element of so many bytes (float by plain moves, which keep every bit)."""


@dataclass(frozen=True)
class CopySpec:
    """output[i, j, ...] = input[offset + i * strides[0] + j * strides[1] + ...], the output dense in `shape`."""

    shape: tuple[Dim, ...]
    strides: tuple[Dim, ...]
    element_bytes: int
    offset: Dim = 0


def copy(spec: CopySpec) -> KernelSource:
    """One input, one output. A task is a piece of a row, or a tile where rows of the input run across the output."""
    extents, (strides, results) = collapse(spec.shape, [spec.strides, dense_strides(spec.shape)])
    unit = next((axis for axis, stride in enumerate(strides[:-1]) if stride == 1), None)
    if strides[-1] != 1 and unit is not None:
        return _tiles(spec, extents, strides, results, unit)
    return _rows(spec, extents, strides, results)


def _header(spec: CopySpec, parameters: Parameters) -> str:
    element = ELEMENT_TYPES[spec.element_bytes]
    pair = "typedef struct { uint64_t words[2]; } mm_pair;\n" if element == "mm_pair" else ""
    return f"""{pair}static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const {element}* source = (const {element}*)call->data[0] + {parameters.c(spec.offset)};
  {element}* target = ({element}*)call->data[1];"""


def _rows(spec: CopySpec, extents: list[Dim], strides: list[Dim], results: list[Dim]) -> KernelSource:
    parameters = Parameters()
    stride = strides[-1]
    if stride == 1:
        body = f"__builtin_memcpy(y, x, (uint64_t)count * {spec.element_bytes});"
    elif stride == 0:
        body = "for (int64_t i = 0; i < count; i++) y[i] = *x;"
    else:
        body = f"for (int64_t i = 0; i < count; i++) y[i] = x[i * {parameters.c(stride)}];"
    element, blocks = ELEMENT_TYPES[spec.element_bytes], ceildiv(extents[-1], _ROW_BLOCK)
    text = f"""{_header(spec, parameters)}
  const int64_t extent = {parameters.c(extents[-1])}, blocks = {parameters.c(blocks)};
  for (int64_t task = begin; task < end; task++) {{
    const int64_t start = task % blocks * {_ROW_BLOCK};
    const int64_t count = extent - start < {_ROW_BLOCK} ? extent - start : {_ROW_BLOCK};
    {split_index("task / blocks", extents[:-1], parameters)}
    const {element}* x = source + {dot_index(strides[:-1], parameters)} + start * {parameters.c(stride)};
    {element}* y = target + {dot_index(results[:-1], parameters)} + start;
    {body}
  }}
}}
"""
    return kernel_source(
        "copy", text, tasks=product(extents[:-1]) * blocks, params=tuple(parameters.dims), note="copies rows"
    )


def _tiles(spec: CopySpec, extents: list[Dim], strides: list[Dim], results: list[Dim], unit: int) -> KernelSource:
    """The input is contiguous along axis `unit` (columns), the output along its last (rows)."""
    parameters, element = Parameters(), ELEMENT_TYPES[spec.element_bytes]
    outer = [axis for axis in range(len(extents) - 1) if axis != unit]
    rows, columns = extents[-1], extents[unit]
    x_stride, y_stride = parameters.c(strides[-1]), parameters.c(results[unit])
    x_offset, y_offset = (dot_index([steps[axis] for axis in outer], parameters) for steps in (strides, results))
    few = isinstance(rows, int) and rows <= _FEW
    tile_columns = _TILE * _TILE if few else _TILE
    row_tiles, column_tiles = (1 if few else ceildiv(rows, _TILE)), ceildiv(columns, tile_columns)
    if isinstance(rows, int) and few:
        moves = " ".join(f"y[c * {y_stride} + {r}] = x[{r} * {x_stride} + c];" for r in range(rows))
        body = f"for (int64_t c = 0; c < columns; c++) {{ {moves} }}"
    elif element == "float":
        body = f"mm_transpose(x, {x_stride}, y, {y_stride}, rows, columns);"
    else:
        body = (
            f"for (int64_t c = 0; c < columns; c++) for (int64_t r = 0; r < rows; r++) "
            f"y[c * {y_stride} + r] = x[r * {x_stride} + c];"
        )
    tile_rows = parameters.c(rows) if few else str(_TILE)
    text = f"""{_header(spec, parameters)}
  const int64_t all_rows = {parameters.c(rows)}, all_columns = {parameters.c(columns)};
  const int64_t row_tiles = {parameters.c(row_tiles)}, column_tiles = {parameters.c(column_tiles)};
  for (int64_t task = begin; task < end; task++) {{
    const int64_t row = task % row_tiles * {tile_rows}, column = task / row_tiles % column_tiles * {tile_columns};
    const int64_t rows = all_rows - row < {tile_rows} ? all_rows - row : {tile_rows};
    const int64_t columns = all_columns - column < {tile_columns} ? all_columns - column : {tile_columns};
    (void)rows;
    {split_index("task / row_tiles / column_tiles", [extents[axis] for axis in outer], parameters)}
    const {element}* x = source + {x_offset} + row * {x_stride} + column;
    {element}* y = target + {y_offset} + column * {y_stride} + row;
    {body}
  }}
}}
"""
    tasks = product([extents[axis] for axis in outer]) * row_tiles * column_tiles
    return kernel_source("transpose", text, tasks=tasks, params=tuple(parameters.dims), note="transposes tiles")
