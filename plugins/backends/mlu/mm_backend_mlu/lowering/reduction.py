"""Reductions: by the vector unit on floats, by the scalar unit on whole numbers; positions and running sums."""

from __future__ import annotations

from math import prod

from mm_backend_mlu.codegen.expression import C_TYPES, FLOATS, INTEGERS, SIZES
from mm_backend_mlu.codegen.kernel import Kernel
from mm_backend_mlu.lowering.layout import Layout, physical_strides, round_up
from mm_backend_mlu.lowering.lowering import Lowering
from mm_backend_mlu.lowering.movement import copy_bytes
from mm_backend_mlu.lowering.rule import Rule
from mm_backend_mlu.lowering.values import dtype_of, elements, shape_of, source
from mm_backend_mlu.target import Target
from mm_core.ir import Operation, Value

_FOLDS = {
    "mm.reduce_sum": ("FoldSum", "IntegerSum"), "mm.reduce_mean": ("FoldSum", ""),
    "mm.reduce_prod": ("FoldProduct", "IntegerProduct"), "mm.reduce_max": ("FoldLargest", "IntegerLargest"),
    "mm.reduce_min": ("FoldSmallest", "IntegerSmallest"),
}  # fmt: skip
_LANES = 64
_LARGEST_TILE = 32768
"""Elements of one loaded tile at most, where NRAM is large enough."""
_SUMS = 65536
"""Bytes of NRAM that are kept for sums and results."""
_FEW = 4096
"""Bytes below which a tile of lines is not made smaller to keep more cores busy."""


def _axes(operation: Operation) -> tuple[int, ...]:
    rank = len(shape_of(source(operation)))
    axes = operation.attributes["axes"]
    return tuple(range(rank)) if axes is None else tuple(sorted({axis % rank for axis in axes}))


def check_reduction(operation: Operation, target: Target) -> str:
    dtype = dtype_of(source(operation)).text
    if not elements(source(operation)):
        return "a reduction of nothing"
    if dtype in FLOATS:
        return ""
    logical = dtype == "i1" and operation.name in ("mm.reduce_max", "mm.reduce_min")
    if _FOLDS[operation.name][1] and (dtype in INTEGERS or logical):
        return ""
    return f"no code for {operation.name} of {dtype_of(source(operation)).name}"


def lower_reduction(low: Lowering, operation: Operation) -> None:
    """One fold for each run of neighbouring axes, the last run first; what is between lies in the workspace."""
    value = source(operation)
    axes, shape = _axes(operation), shape_of(value)
    if not axes:
        copy_bytes(low, low.dense(value), low.result(operation.result), elements(value) * dtype_of(value).itemsize)
        return
    if low.layout(value) is Layout.CHANNELS_LAST and axes == (2, 3) and dtype_of(value).text in FLOATS:
        _reduce_pixels(low, operation, value)
        return
    scale = 1.0 / prod(shape[axis] for axis in axes) if operation.name == "mm.reduce_mean" else 1.0
    held, dtype = low.dense(value), dtype_of(value).text
    runs = _runs(axes, shape)
    for number, (first, last) in enumerate(reversed(runs)):
        done = number == len(runs) - 1
        outer, length, inner = prod(shape[:first]), prod(shape[first:last]), prod(shape[last:])
        size = outer * inner * dtype_of(value).itemsize
        target = low.result(operation.result) if done else low.temporary(size)
        if dtype in FLOATS:
            steps = (length * inner, inner, inner)
            kernel, tasks = _fold(
                low.target, operation.name, dtype, (outer, length, inner), steps, scale if done else 1.0
            )
        else:
            kernel, tasks = _fold_integers(low.target, operation.name, dtype, (outer, length, inner))
        low.launch(kernel, [held], [target], tasks)
        held, shape = target, (*shape[:first], *(1,) * (last - first), *shape[last:])


def _runs(axes: tuple[int, ...], shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """First axis and the one after the last of each run of folded axes; axes of size 1 do not part two runs."""
    runs: list[tuple[int, int]] = []
    for axis in axes:
        if runs and prod(shape[runs[-1][1] : axis]) == 1:
            runs[-1] = runs[-1][0], axis + 1
        else:
            runs.append((axis, axis + 1))
    return runs


def _reduce_pixels(low: Lowering, operation: Operation, value: Value) -> None:
    """The pixels of images that lie channels last, where they lie."""
    batch, channels, height, width = shape_of(value)
    dtype = dtype_of(value)
    pitch = physical_strides(shape_of(value), dtype.itemsize, Layout.CHANNELS_LAST)[3]
    scale = 1.0 / (height * width) if operation.name == "mm.reduce_mean" else 1.0
    kernel, tasks = _fold(
        low.target, operation.name, dtype.text, (batch, height * width, channels),
        (height * width * pitch, pitch, channels), scale,
    )  # fmt: skip
    low.launch(kernel, [low.channels_last(value)], [low.result(operation.result)], tasks)


def _fold(
    target: Target, name: str, dtype: str, sizes: tuple[int, int, int], steps: tuple[int, int, int], scale: float
) -> tuple[Kernel, int]:
    """The kernel that folds the middle axis.

    `steps` are elements of X between outer indices and along the axis, and of Y between outer indices.
    """
    outer, length, inner = sizes
    ctype, fold = C_TYPES[dtype], _FOLDS[name][0]
    x_outer, x_pitch, y_outer = steps
    # A tile is there twice as it is loaded, and once in float.
    largest = min(_LARGEST_TILE, (target.nram_bytes - _SUMS) // (3 * 4))
    if inner == 1 and x_pitch == 1:
        tile_inner = _LANES
        tile_length = min(round_up(length, _LANES), largest // _LANES // _LANES * _LANES)
        tasks, kind, sums = -(-outer // tile_inner), "rows", 2 * tile_inner * _LANES
    else:
        tile_inner = min(round_up(inner, _LANES), max(_LANES, round_up(outer * inner // target.cores, _LANES)), 1024)
        tile_length = max(1, min(length, largest // tile_inner))
        tasks, kind, sums = outer * -(-inner // tile_inner), "columns", tile_inner
    tile = tile_inner * tile_length
    nram = 2 * tile * SIZES[ctype] + tile * 4 + sums * 4 + tile_inner * SIZES[ctype]
    shape = f"{{{outer}, {length}, {inner}, {x_outer}, {x_pitch}, {y_outer}, {tile_length}, {tile_inner}, {scale!r}f}}"
    body = (
        f"const mm::ReduceShape shape = {shape};\nmm::reduce_{kind}<{ctype}, mm::{fold}>(shape, x, y, mm_nram);"
    )
    note = f"{outer} x {length} x {inner} by {kind}, tiles of {tile_length} x {tile_inner}"
    parameters = (f"const {ctype} *x", f"{ctype} *y")
    return Kernel(
        name.removeprefix("mm."), parameters, body, ("kernels/reduce.h",), nram=round_up(nram, 128) + 1024, note=note
    ), tasks


def _scan_shape(
    target: Target, sizes: tuple[int, int, int], itemsize: int, state: int
) -> tuple[str, int, int, str]:
    """A `ScanShape` in C, tasks, bytes of NRAM and what to note; `state` are bytes kept for each line."""
    outer, length, inner = sizes
    lines = outer if inner == 1 else inner
    per_core = -(-outer * inner // target.cores)
    tile_lines = max(1, min(lines, max(per_core, _FEW // (length * itemsize + state)), 4096))
    tile_length = max(1, min(length, _LARGEST_TILE * 4 // (tile_lines * itemsize)))
    tasks = -(-outer // tile_lines) if inner == 1 else outer * -(-inner // tile_lines)
    nram = round_up(tile_lines * tile_length, 128) * itemsize + round_up(tile_lines, 128) * state
    note = f"{outer} x {length} x {inner}, tiles of {tile_lines} lines by {tile_length}"
    return f"{{{outer}, {length}, {inner}, {tile_lines}, {tile_length}}}", tasks, round_up(nram, 128), note


def _fold_integers(target: Target, name: str, dtype: str, sizes: tuple[int, int, int]) -> tuple[Kernel, int]:
    ctype = C_TYPES[dtype]
    shape, tasks, nram, note = _scan_shape(target, sizes, SIZES[ctype], SIZES[ctype])
    body = (
        f"const mm::ScanShape shape = {shape};\n"
        f"mm::fold_integers<{ctype}, mm::{_FOLDS[name][1]}<{ctype}>>(shape, x, y, mm_nram);"
    )
    parameters = (f"const {ctype} *x", f"{ctype} *y")
    return Kernel(name.removeprefix("mm."), parameters, body, ("kernels/scan.h",), nram=nram, note=note), tasks


def _along(operation: Operation) -> tuple[int, int, int]:
    """Elements before, along and after the axis that an operation walks."""
    shape = shape_of(source(operation))
    axis = operation.attributes["axis"] % max(len(shape), 1)
    return prod(shape[:axis]), prod(shape[axis : axis + 1]), prod(shape[axis + 1 :])


def check_scan(operation: Operation, target: Target) -> str:
    dtype = dtype_of(source(operation))
    if dtype.text not in (*FLOATS, *INTEGERS):
        return f"no code for {operation.name} of {dtype.name}"
    return "" if elements(source(operation)) else "an axis of no elements"


def lower_extreme(low: Lowering, operation: Operation) -> None:
    """The position of the largest or smallest element along an axis."""
    value = source(operation)
    ctype = C_TYPES[dtype_of(value).text]
    wide = "float" if dtype_of(value).text in FLOATS else ctype
    shape, tasks, nram, note = _scan_shape(low.target, _along(operation), SIZES[ctype], 8 + SIZES[wide])
    largest = str(operation.name == "mm.argmax").lower()
    last = str(operation.attributes["select_last_index"]).lower()
    body = (
        f"const mm::ScanShape shape = {shape};\n"
        f"mm::extreme_position<{ctype}, {wide}>(shape, {largest}, {last}, x, y, mm_nram);"
    )
    name, parameters = operation.name.removeprefix("mm."), (f"const {ctype} *x", "int64_t *y")
    kernel = Kernel(name, parameters, body, ("kernels/scan.h",), nram=nram, note=note)
    low.launch(kernel, [low.dense(value)], [low.result(operation.result)], tasks)


def lower_running_sum(low: Lowering, operation: Operation) -> None:
    value = source(operation)
    ctype = C_TYPES[dtype_of(value).text]
    state = "float" if dtype_of(value).text in FLOATS else "uint64_t"
    shape, tasks, nram, note = _scan_shape(low.target, _along(operation), SIZES[ctype], SIZES[state])
    exclusive, backward = (str(operation.attributes[name]).lower() for name in ("exclusive", "reverse"))
    body = (
        f"const mm::ScanShape shape = {shape};\n"
        f"mm::running_sum<{ctype}, {state}>(shape, {exclusive}, {backward}, x, y, mm_nram);"
    )
    kernel = Kernel(
        "cumsum", (f"const {ctype} *x", f"{ctype} *y"), body, ("kernels/scan.h",), nram=nram, note=note
    )
    low.launch(kernel, [low.dense(value)], [low.result(operation.result)], tasks)


RULES = {
    **dict.fromkeys(_FOLDS, Rule(check_reduction, lower_reduction)),
    **dict.fromkeys(("mm.argmax", "mm.argmin"), Rule(check_scan, lower_extreme)),
    "mm.cumsum": Rule(check_scan, lower_running_sum),
}
