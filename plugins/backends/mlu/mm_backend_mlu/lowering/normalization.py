"""Softmax over an axis and normalisations over the last ones: each row of a matrix by itself."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

import numpy as np

from mm_backend_mlu.codegen.kernel import Kernel
from mm_backend_mlu.lowering.layout import LINE_BYTES, round_up
from mm_backend_mlu.lowering.library import ctype_of, not_float, shape_text
from mm_backend_mlu.lowering.lowering import Lowering
from mm_backend_mlu.lowering.movement import move
from mm_backend_mlu.lowering.rule import Rule
from mm_backend_mlu.lowering.tiling import FOLD_COLUMNS
from mm_backend_mlu.lowering.values import constant_data, dtype_of, elements, shape_of, source
from mm_backend_mlu.lowering.view import View, inverse
from mm_backend_mlu.target import Target
from mm_core.ir import Operation, Value
from mm_core.types import Array

_STATISTICS = 4 * (1 + 2 * FOLD_COLUMNS)
"""Bytes for each row beside its elements: one number, and what kernels/rows.h folds through."""


@dataclass(frozen=True, slots=True)
class RowTiles:
    """Rows that are worked on at once."""

    rows: int
    nram: int
    tasks: int


def _tiles(value: Value, columns: int, vectors: int, target: Target) -> RowTiles | None:
    """Rows at once: stored type in and out, two slots each; one copy in float, and one more of halves as they come."""
    size, pitch = dtype_of(value).itemsize, round_up(columns, FOLD_COLUMNS)
    row = pitch * (4 * size + 4 + (4 if size < 4 else 0)) + _STATISTICS
    return row_tiles(elements(value) // columns, row, vectors * pitch * 4 + 16 * LINE_BYTES, target)


def row_tiles(rows: int, row_bytes: int, fixed_bytes: int, target: Target) -> RowTiles | None:
    """As many rows at once as fit beside `fixed_bytes` and leave work for every core; None where not one fits."""
    most = (target.nram_bytes - fixed_bytes) // row_bytes
    if most < 1:
        return None
    share = ceil(rows / target.cores)
    count = min(most, ceil(share / 2) if share > 32 else share)
    count = ceil(rows / ceil(rows / count))
    return RowTiles(count, fixed_bytes + count * row_bytes, -(-rows // count))


# --- softmax ----------------------------------------------------------------------------------------------------------


def check_softmax(operation: Operation, target: Target) -> str:
    """Why a softmax has no kernel."""
    x = source(operation)
    reason = not_float(x)
    if reason:
        return reason
    if not shape_of(x):
        return "a scalar"
    columns = shape_of(x)[_axis(operation)]
    return "" if _tiles(x, columns, 0, target) is not None else _too_long(columns, target)


def _axis(operation: Operation) -> int:
    axis: int = operation.attributes["axis"]
    return axis % len(shape_of(source(operation)))


def lower_softmax(low: Lowering, operation: Operation) -> None:
    """A softmax, or its logarithm, as one launch. An axis that is not the last is brought there first."""
    x, axis = source(operation), _axis(operation)
    shape, itemsize = shape_of(x), dtype_of(x).itemsize
    columns = shape[axis]
    rows = elements(x) // columns
    tiles = _tiles(x, columns, 0, low.target)
    assert tiles is not None
    ctype = ctype_of(x)
    logarithm = operation.name == "mm.log_softmax"
    text = shape_text("SoftmaxShape", {"rows": rows, "columns": columns, "tile_r": tiles.rows, "logarithm": logarithm})
    kernel = Kernel(
        operation.name.removeprefix("mm."),
        (f"const {ctype} *x", f"{ctype} *y"),
        f"{text}\nmm::softmax<{ctype}>(shape, x, y, mm_nram);",
        ("kernels/softmax.h",),
        nram=tiles.nram,
        note=f"[{rows}, {columns}], {tiles.rows} rows at once",
    )
    if prod(shape[axis + 1 :]) == 1:
        low.launch(kernel, [low.dense(x)], [low.result(operation.result)], tiles.tasks)
        return
    order = [*(other for other in range(len(shape)) if other != axis), axis]
    turned = low.view(x).transposed(order)
    given, target = (low.temporary(elements(x) * itemsize) for _ in range(2))
    move(low, turned, given, itemsize)
    low.launch(kernel, [given], [target], tiles.tasks)
    low.define(operation.result, View.dense(target, turned.shape).transposed(inverse(order)))


# --- normalisations ---------------------------------------------------------------------------------------------------


def _vectors(operation: Operation) -> list[Value | None]:
    """Scale and bias."""
    return (list(operation.operands[1:]) + [None, None])[:2]


def _columns(operation: Operation) -> tuple[int, ...]:
    """Sizes of the axes that are normalised."""
    shape = shape_of(source(operation))
    return shape[operation.attributes["axis"] % len(shape) :]


def check_normalization(operation: Operation, target: Target) -> str:
    """Why a normalisation has no kernel."""
    x = source(operation)
    reason = not_float(x, *_vectors(operation))
    if reason:
        return reason
    columns = _columns(operation)
    if not prod(columns):
        return "axes without elements"
    for value in _vectors(operation):
        if value is None:
            continue
        own = shape_of(value)
        if own != (1,) * (len(own) - len(columns)) + columns:
            return "a scale or bias that does not cover the normalised axes"
        if dtype_of(value).text != "f32" and constant_data(value) is None:
            return f"a scale or bias of type {dtype_of(value).name} that is known only when running"
    return "" if _tiles(x, prod(columns), 3, target) is not None else _too_long(prod(columns), target)


def lower_normalization(low: Lowering, operation: Operation) -> None:
    """A normalisation as one launch. Scale and bias are handed over in float."""
    x = source(operation)
    columns = prod(_columns(operation))
    rows = elements(x) // columns
    tiles = _tiles(x, columns, 3, low.target)
    assert tiles is not None
    ctype = ctype_of(x)
    text = shape_text(
        "NormalizationShape",
        {
            "rows": rows, "columns": columns, "tile_r": tiles.rows,
            "centred": operation.name == "mm.layer_norm", "epsilon": operation.attributes["epsilon"],
        },
    )  # fmt: skip
    parameters, buffers, handed = [f"const {ctype} *x"], [low.dense(x)], []
    for name, value in zip(("scale", "bias"), _vectors(operation)):
        handed.append("nullptr" if value is None else name)
        if value is not None:
            parameters.append(f"const float *{name}")
            is_constant = constant_data(value) is not None
            buffers.append(low.packed(value, "float", _as_float) if is_constant else low.dense(value))
    kernel = Kernel(
        operation.name.removeprefix("mm."),
        (*parameters, f"{ctype} *y"),
        f"{text}\nmm::normalize<{ctype}>(shape, x, {', '.join(handed)}, y, mm_nram);",
        ("kernels/normalization.h",),
        nram=tiles.nram,
        note=f"[{rows}, {columns}], {tiles.rows} rows at once",
    )
    low.launch(kernel, buffers, [low.result(operation.result)], tiles.tasks)


def _as_float(array: Array) -> Array:
    return array.astype(np.float32)


def _too_long(columns: int, target: Target) -> str:
    return f"a row of {columns} elements fits no tiling of {target.arch}"


_SOFTMAX = Rule(check_softmax, lower_softmax)
_NORMALIZATION = Rule(check_normalization, lower_normalization)
RULES = {
    "mm.softmax": _SOFTMAX,
    "mm.log_softmax": _SOFTMAX,
    "mm.layer_norm": _NORMALIZATION,
    "mm.rms_norm": _NORMALIZATION,
}
