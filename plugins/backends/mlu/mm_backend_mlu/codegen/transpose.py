"""Matrices turned round by the library kernel of kernels/transpose.h."""

from __future__ import annotations

from mm_backend_mlu.codegen.kernel import Kernel
from mm_backend_mlu.target import Target

TYPES = {1: "char", 2: "half", 4: "float"}
"""The C type in which elements are turned round, by their bytes."""
_LARGEST_TILE = 16384
_SMALLEST_TILE = 2048
"""Elements of a tile at most, and those below which it is not made smaller to keep more cores busy."""
_LINE = 128
_MOST_ROWS = 128


def transpose(
    batch: int, rows: int, columns: int, x_pitch: int, y_pitch: int, itemsize: int, name: str, target: Target
) -> tuple[Kernel, int]:
    """The kernel that brings [batch][rows][columns] to [batch][columns][rows], and its tasks; pitches are in elements.

    Where `y_pitch` is more than `rows` the rest of each row becomes zeros.
    """
    limit = min(_LARGEST_TILE, max(_SMALLEST_TILE, batch * y_pitch * columns // (2 * target.cores)))
    tile_r = min(y_pitch, _MOST_ROWS)
    tile_c = max(1, min(columns, limit // tile_r))
    tile_r = min(y_pitch, max(tile_r, limit // tile_c))
    ctype = TYPES[itemsize]
    tasks = batch * -(-y_pitch // tile_r) * -(-columns // tile_c)
    body = (
        f"const mm::TransposeShape shape = {{{batch}, {rows}, {columns}, {x_pitch}, {y_pitch}, {tile_r}, {tile_c}}};\n"
        f"mm::transpose<{ctype}>(shape, x, y, mm_nram);"
    )
    nram = 4 * -(-tile_r * tile_c * itemsize // _LINE) * _LINE
    note = f"{batch} x [{rows}, {columns}], tiles of {tile_r} x {tile_c}"
    parameters = (f"const {ctype} *x", f"{ctype} *y")
    return Kernel(name, parameters, body, ("kernels/transpose.h",), nram=nram, note=note), tasks
