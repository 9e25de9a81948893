"""Reductions, pooling and softmax."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from mm_backend_cpu.codegen.elementwise import Operand
from mm_backend_cpu.codegen.operations import BYTE_RANGES
from mm_backend_cpu.codegen.pooling import PoolSpec, pool
from mm_backend_cpu.codegen.reduction import ReductionSpec, reduction
from mm_backend_cpu.codegen.softmax import SoftmaxSpec, softmax
from mm_backend_cpu.codegen.strides import product
from mm_backend_cpu.lowering.lowering import Lowering, shape_of, tensor_type
from mm_backend_cpu.lowering.view import View, channels_last_order
from mm_backend_cpu.lowering.windows import Window, window_of
from mm_core.ir import Operation, Value
from mm_core.types import Dim

_KINDS: dict[str, Literal["sum", "mean", "prod", "max", "min"]] = {
    "mm.reduce_sum": "sum", "mm.reduce_mean": "mean", "mm.reduce_prod": "prod", "mm.reduce_max": "max",
    "mm.reduce_min": "min", "mm.global_average_pool": "mean", "mm.global_max_pool": "max",
}  # fmt: skip
REDUCTIONS = tuple(_KINDS)


def check_float32(operation: Operation) -> str:
    """Kernels for float32 alone."""
    for value in operation.operands:
        if value is not None and tensor_type(value).dtype.text != "f32":
            return f"no generated code for {tensor_type(value).dtype.name}"
    return ""


def _source(operation: Operation) -> Value:
    value = operation.operands[0]
    assert value is not None
    return value


def _axes(operation: Operation) -> tuple[int, ...]:
    rank = len(shape_of(_source(operation)))
    if operation.name.startswith("mm.global"):
        return tuple(range(2, rank))
    axes = operation.attributes["axes"]
    return tuple(range(rank)) if axes is None else tuple(sorted({axis % rank for axis in axes}))


def check_reduction(operation: Operation) -> str:
    shape = shape_of(_source(operation))
    if not _axes(operation):
        return "no axis is reduced"
    if 0 in shape:
        return "an empty operand"
    return check_float32(operation)


def lower_reduction(low: Lowering, operation: Operation) -> None:
    """A reduction over the axes in the order in which the operand lies."""
    x, axes = _source(operation), _axes(operation)
    view = low.view(x)
    order = view.order()
    if order is None:
        order = tuple(range(len(view.shape)))
        view = low.ordered(x, order)
    physical = tuple(view.shape[axis] for axis in order)
    strides = tuple(view.strides[axis] for axis in order)
    spec = ReductionSpec(
        _KINDS[operation.name], physical, tuple(order.index(axis) for axis in axes), (Operand("f32", strides),)
    )
    kept = [axis for axis in order if axis not in axes]
    shape = shape_of(operation.result)
    if len(shape) == len(order):
        target_order = (*axes, *kept)
    else:
        remaining = sorted(kept)
        target_order = tuple(remaining.index(axis) for axis in kept)
    if View.in_order(0, shape, target_order).is_dense:
        target_order = tuple(range(len(shape)))
    low.generated(
        reduction(spec), [view.buffer], [low.result(operation.result, target_order)], operation.name.removeprefix("mm.")
    )


def check_pool(operation: Operation) -> str:
    shape = shape_of(_source(operation))
    if len(shape) not in (3, 4, 5):
        return f"pooling in {len(shape) - 2} dimensions"
    window = window_of(operation)
    if isinstance(window, str):
        return window
    if operation.name == "mm.max_pool" and tensor_type(operation.result).dtype.text in BYTE_RANGES:
        return ""
    return check_float32(operation)


def lower_pool(low: Lowering, operation: Operation) -> None:
    """Pooling in NHWC. Volumes are pooled in their planes, and what comes of it in depth: each axis counts alone."""
    x = _source(operation)
    window = window_of(operation)
    assert isinstance(window, Window)
    shape, result = shape_of(x), shape_of(operation.result)
    order = channels_last_order(len(shape))
    dtype = tensor_type(operation.result).dtype.text
    source, target, name = low.ordered(x, order).buffer, low.result(operation.result, order), operation.name[3:]
    spatial = slice(max(2, len(shape) - 2), None)
    plane = _pool_spec(operation, window.part(-2, None), shape[0], (*shape[spatial], shape[1]), result[spatial])
    if len(shape) < 5:
        low.generated(pool(plane), [source], [target], name)
        return
    planes = low.temporary(dtype, (shape[0], shape[2], *result[3:], shape[1]))
    low.generated(pool(replace(plane, batch=shape[0] * shape[2])), [source], [planes], name)
    row = (shape[2], result[3] * result[4] * shape[1])
    low.generated(pool(_pool_spec(operation, window.part(0, 1), shape[0], row, result[2:3])), [planes], [target], name)


def _pool_spec(
    operation: Operation, window: Window, batch: Dim, image: Sequence[Dim], result: Sequence[Dim]
) -> PoolSpec:
    """Pooling of images [*spatial, channels] in one or two dimensions."""
    *spatial, channels = image
    height, width = window.pair(spatial, 1)
    result_height, result_width = window.pair(result, 1)
    return PoolSpec(
        kind="max" if operation.name == "mm.max_pool" else "average",
        batch=batch,
        height=height,
        width=width,
        channels=channels,
        result_height=result_height,
        result_width=result_width,
        kernel=window.pair(window.kernel, 1),
        strides=window.pair(window.strides, 1),
        pads=window.four_pads(),
        dilations=window.pair(window.dilations, 1),
        count_pads=operation.attributes.get("count_include_pad", False),
        dtype=tensor_type(operation.result).dtype.text,
    )


def lower_softmax(low: Lowering, operation: Operation) -> None:
    x = _source(operation)
    shape = shape_of(x)
    axis = operation.attributes["axis"] % max(len(shape), 1)
    spec = SoftmaxSpec(
        product(shape[:axis]), shape[axis] if shape else 1, product(shape[axis + 1 :]),
        logarithm=operation.name == "mm.log_softmax",
    )  # fmt: skip
    low.generated(
        softmax(spec), [low.dense(x)], [low.result(operation.result)], operation.name.removeprefix("mm.")
    )
