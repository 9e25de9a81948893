"""Operations that only move elements. Most become views; copies are made where somebody needs the elements in a row."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import groupby

import numpy as np

from mm_backend_cpu.codegen.assemble import ConcatSpec, PadSpec, concat, pad
from mm_backend_cpu.codegen.gather import GatherElementsSpec, GatherSpec, gather, gather_elements
from mm_backend_cpu.codegen.strides import product
from mm_backend_cpu.lowering.lowering import TYPE_SIZES, Lowering, constant_data, shape_of, tensor_type
from mm_backend_cpu.lowering.view import View, matching_groups
from mm_core.ir import Operation, Value, known_value
from mm_core.types import Array, Dim, Shape, dim_max, dim_min, is_non_negative


def always(operation: Operation) -> str:
    """No reason to refuse."""
    return ""


def _source(operation: Operation) -> Value:
    value = operation.operands[0]
    assert value is not None
    return value


def lower_identity(low: Lowering, operation: Operation) -> None:
    low.define(operation.result, low.view(_source(operation)))


def lower_transpose(low: Lowering, operation: Operation) -> None:
    view = low.view(_source(operation))
    permutation = operation.attributes["permutation"]
    if permutation is None:
        permutation = range(len(view.shape))[::-1]
    low.define(operation.result, view.transposed([axis % len(view.shape) for axis in permutation]))


def lower_reshape(low: Lowering, operation: Operation) -> None:
    """Reshape, squeeze, unsqueeze, flatten: the same elements in row-major order."""
    source, shape = _source(operation), shape_of(operation.result)
    view = None
    if low.isa is not None:
        lies = low.view(source)
        view = lies.reshaped(shape) or low.ordered(source, _order_for_reshape(low, lies, shape)).reshaped(shape)
    if view is None:
        view = View.dense(low.dense_alias(low.dense(source), shape), shape)
    low.define(operation.result, view)


def _order_for_reshape(low: Lowering, view: View, shape: Shape) -> tuple[int, ...]:
    """The order of axes to copy a view in before it is reshaped.

    Axes that become others together must follow one another. The order is row-major unless that moves what is
    innermost: then, where such groups already lie side by side in memory, or the innermost axis is one by itself as
    channels are, they keep their order.
    """
    groups = {axis: number for number, (mine, _) in enumerate(matching_groups(view.shape, shape)) for axis in mine}
    in_memory = _order_in_memory(low, view)
    if groups and in_memory is not None:
        inner_first = list(dict.fromkeys(groups[axis] for axis in reversed(in_memory)))
        runs = [key for key, _ in groupby(in_memory, key=lambda axis: groups[axis])]
        long = [axis for axis, dim in enumerate(view.shape) if dim != 1]
        alone = sum(groups[axis] == inner_first[0] for axis in long) == 1
        moves = bool(long) and groups[long[-1]] != inner_first[0]
        if moves and (len(runs) == len(inner_first) or alone):
            return tuple(axis for group in reversed(inner_first) for axis in sorted(groups) if groups[axis] == group)
    return tuple(range(len(view.shape)))


def _order_in_memory(low: Lowering, view: View) -> tuple[int, ...] | None:
    """The axes by how far their elements lie apart; None where elements are repeated or reversed."""
    steps = [low.estimate(stride) for stride in view.strides]
    if any(step <= 0 and dim != 1 for dim, step in zip(view.shape, steps)):
        return None
    return tuple(sorted(range(len(steps)), key=lambda axis: (view.shape[axis] != 1, -steps[axis])))


def check_expand(operation: Operation) -> str:
    if View.dense(0, shape_of(_source(operation))).broadcast(shape_of(operation.result)) is None:
        return "whether a dimension is broadcast is known only when running"
    return ""


def lower_expand(low: Lowering, operation: Operation) -> None:
    view = low.view(_source(operation)).broadcast(shape_of(operation.result))
    assert view is not None
    low.define(operation.result, view)


def slice_bounds(operation: Operation) -> tuple[list[Dim], list[int]] | str:
    """Starts and steps along every axis of a slice, or the reason why they are not known."""
    shape = shape_of(_source(operation))
    operands = (*operation.operands[1:], None, None)[:4]
    starts, _, axes, steps = map(known_value, operands)
    if any(value is not None and known_value(value) is None for value in (operands[0], *operands[2:])):
        return "bounds known only when running"
    assert starts is not None
    all_axes = range(len(starts)) if axes is None else [int(axis) % len(shape) for axis in axes]
    first: list[Dim] = [0] * len(shape)
    step = [1] * len(shape)
    for number, axis in enumerate(all_axes):
        begin, size = starts[number], shape[axis]
        stride = 1 if steps is None else steps[number]
        if not isinstance(stride, int) or begin is None or not (isinstance(begin, int) or is_non_negative(begin)):
            return "bounds known only when running"
        step[axis] = stride
        first[axis] = _first_element(begin, size, stride)
    return first, step


def _first_element(begin: Dim, size: Dim, step: int) -> Dim:
    """Where a slice of an axis starts by Python's rule; of an empty one any place will do."""
    if isinstance(begin, int) and isinstance(size, int):
        return slice(begin, None, step).indices(size)[0]
    if isinstance(begin, int) and begin < 0:
        return size + begin if step < 0 else dim_max(size + begin, 0)
    return dim_min(begin, size - 1) if step < 0 else begin


def check_slice(operation: Operation) -> str:
    bounds = slice_bounds(operation)
    return bounds if isinstance(bounds, str) else ""


def lower_slice(low: Lowering, operation: Operation) -> None:
    bounds = slice_bounds(operation)
    assert not isinstance(bounds, str)
    low.define(operation.result, low.view(_source(operation)).sliced(*bounds, shape_of(operation.result)))


def check_split(operation: Operation) -> str:
    axis = operation.attributes["axis"]
    shape = shape_of(_source(operation))
    return "" if all(len(shape_of(value)) > axis % len(shape) for value in operation.results) else "unknown pieces"


def lower_split(low: Lowering, operation: Operation) -> None:
    view = low.view(_source(operation))
    axis = operation.attributes["axis"] % len(view.shape)
    start: Dim = 0
    for value in operation.results:
        starts: list[Dim] = [0] * len(view.shape)
        starts[axis] = start
        low.define(value, view.sliced(starts, [1] * len(view.shape), shape_of(value)))
        start = start + shape_of(value)[axis]


def check_concat(operation: Operation) -> str:
    size = TYPE_SIZES[tensor_type(operation.result).dtype.text]
    return "" if size in (1, 2, 4, 8, 16) else f"elements of {size} bytes"


def lower_concat(low: Lowering, operation: Operation) -> None:
    """Pieces of rows, read where they lie, in the order of axes in which the operands lie."""
    values = [value for value in operation.operands if value is not None]
    shape = shape_of(operation.result)
    axis = operation.attributes["axis"] % len(shape)
    order = _common_order(low, values, len(shape))
    position = order.index(axis)
    pieces = tuple(product([shape_of(value)[a] for a in order[position:]]) for value in values)
    views = [low.view(value) for value in values]
    steps = [view.row_step(order, position) for view in views]
    for k, (value, step, piece) in enumerate(zip(values, steps, pieces)):
        if step is None:
            views[k], steps[k] = low.ordered(value, order), piece
    spec = ConcatSpec(
        product([shape[a] for a in order[:position]]), pieces, TYPE_SIZES[tensor_type(operation.result).dtype.text],
        tuple(step for step in steps if step is not None), tuple(view.offset for view in views),
    )  # fmt: skip
    target = low.result(operation.result, order)
    low.generated(concat(spec), [view.buffer for view in views], [target], "concat")


def _common_order(low: Lowering, values: Sequence[Value], rank: int) -> tuple[int, ...]:
    """The order of axes in which the first of the values that is computed fills its buffer, or walks it."""
    views = [low.view(value) for value in values if constant_data(value) is None]
    for view in views:
        order = view.order()
        if order is not None:
            return order
    walked = (_order_in_memory(low, view) for view in views)
    return next((order for order in walked if order is not None), tuple(range(rank)))


def check_gather(operation: Operation) -> str:
    indices = operation.operands[1]
    assert indices is not None
    if tensor_type(indices).dtype.text not in ("i32", "i64"):
        return f"indices of {tensor_type(indices).dtype.name}"
    if shape_of(_source(operation))[operation.attributes["axis"]] == 0:
        return "a gather from an empty axis"
    return ""


def lower_gather(low: Lowering, operation: Operation) -> None:
    """A constant position is a view; else rows are looked up."""
    table, indices = operation.operands
    assert table is not None
    assert indices is not None
    shape = shape_of(table)
    axis = operation.attributes["axis"] % len(shape)
    size = shape[axis]
    data = constant_data(indices)
    if data is not None and data.size == 1 and isinstance(size, int):
        position = int(data.numpy().reshape(())[()])
        if -size <= position < size:
            low.define(operation.result, _position(low, table, axis, position % size, shape_of(operation.result)))
            return
    spec = GatherSpec(
        product(shape[:axis]), size, product(shape[axis + 1 :]), product(shape_of(indices)),
        tensor_type(indices).dtype.text,  # type: ignore[arg-type]
        TYPE_SIZES[tensor_type(table).dtype.text],
    )  # fmt: skip
    low.generated(gather(spec), [low.dense(table), low.dense(indices)], [low.result(operation.result)], "gather")


def _position(low: Lowering, table: Value, axis: int, position: int, shape: Shape) -> View:
    view = low.view(table)
    starts: list[Dim] = [0] * len(view.shape)
    starts[axis] = position
    one = (*view.shape[:axis], 1, *view.shape[axis + 1 :])
    cut = view.sliced(starts, [1] * len(view.shape), one)
    kept = [a for a in range(len(one)) if a != axis]
    rest = View(cut.buffer, tuple(one[a] for a in kept), tuple(cut.strides[a] for a in kept), cut.offset)
    extra = len(shape) - len(rest.shape)
    return View(
        rest.buffer, shape, (*rest.strides[:axis], *(0,) * extra, *rest.strides[axis:]), rest.offset
    )


def check_gather_elements(operation: Operation) -> str:
    size = TYPE_SIZES[tensor_type(operation.result).dtype.text]
    return check_gather(operation) or ("" if size in (1, 2, 4, 8) else f"elements of {size} bytes")


def lower_gather_elements(low: Lowering, operation: Operation) -> None:
    """Source and indices are read where they lie; known indices are checked now."""
    source, indices = operation.operands
    assert source is not None
    assert indices is not None
    shape = shape_of(indices)
    axis = operation.attributes["axis"] % len(shape)
    rows = shape_of(source)[axis]
    view = _from_start(low, source)
    data = constant_data(indices)
    known = None if data is None or not isinstance(rows, int) else _indices_from_start(data.numpy(), rows)
    if known is not None:
        chosen = View.dense(low.packed(indices, ("rows", rows), lambda _: known), shape)
    else:
        chosen = _from_start(low, indices)
    index_dtype = "i32" if known is not None else tensor_type(indices).dtype.text
    spec = GatherElementsSpec(
        shape, (*view.strides[:axis], 0, *view.strides[axis + 1 :]), chosen.strides, rows, view.strides[axis],
        index_dtype,  # type: ignore[arg-type]
        TYPE_SIZES[tensor_type(source).dtype.text], known is None,
    )  # fmt: skip
    output = low.result(operation.result)
    low.generated(gather_elements(spec), [view.buffer, chosen.buffer], [output], "gather_elements")


def _from_start(low: Lowering, value: Value) -> View:
    """A view that begins where its buffer does."""
    view = low.view(value)
    return view if view.offset == 0 else low.ordered(value, range(len(view.shape)))


def _indices_from_start(indices: Array, rows: int) -> Array | None:
    """Indices of which negative ones count from the end, all counted from the start; None if one is outside."""
    counted = np.where(indices < 0, indices + rows, indices)
    inside = ((counted >= 0) & (counted < rows)).all() and rows <= np.iinfo(np.int32).max
    return counted.astype(np.int32) if inside else None


def _padding(operation: Operation) -> tuple[tuple[int, ...], tuple[int, ...], int] | str:
    """Elements before and after each axis and the bits of the value, or why the generated kernel does not apply."""
    value = operation.operand("value")
    fill = constant_data(value)
    pads = known_value(operation.operand("pads"))
    if operation.attributes["mode"] != "constant" or (value is not None and fill is None):
        return "padding by another rule than one constant"
    if pads is None or not all(isinstance(pad, int) and pad >= 0 for pad in pads):
        return "pads that are negative or known only when running"
    size = TYPE_SIZES[tensor_type(operation.result).dtype.text]
    rank = len(shape_of(_source(operation)))
    if size not in (1, 2, 4, 8) or rank == 0:
        return f"elements of {size} bytes, or a scalar"
    axes = operation.attributes["axes"]
    before, after = [0] * rank, [0] * rank
    for number, axis in enumerate(range(rank) if axes is None else axes):
        before[axis % rank] = int(pads[number])
        after[axis % rank] = int(pads[number + len(pads) // 2])
    bits = 0 if fill is None else int.from_bytes(fill.numpy().tobytes(), "little")
    return tuple(before), tuple(after), bits


def check_pad(operation: Operation) -> str:
    padding = _padding(operation)
    return padding if isinstance(padding, str) else ""


def lower_pad(low: Lowering, operation: Operation) -> None:
    """Padding in the order of axes in which the operand lies."""
    x = _source(operation)
    padding = _padding(operation)
    assert not isinstance(padding, str)
    before, after, bits = padding
    shape = shape_of(x)
    order = low.view(x).order() or tuple(range(len(shape)))
    spec = PadSpec(
        tuple(shape[axis] for axis in order),
        tuple(before[axis] for axis in order),
        tuple(after[axis] for axis in order),
        TYPE_SIZES[tensor_type(x).dtype.text],
        bits,
    )
    low.generated(pad(spec), [low.ordered(x, order).buffer], [low.result(operation.result, order)], "pad")


def lower_reverse(low: Lowering, operation: Operation) -> None:
    """Reversed axes are read backwards where they lie."""
    view = low.view(_source(operation))
    rank = len(view.shape)
    axes = operation.attributes["axes"]
    reversed_axes = set(range(rank)) if axes is None else {axis % rank for axis in axes}
    starts = [dim - 1 if axis in reversed_axes else 0 for axis, dim in enumerate(view.shape)]
    steps = [-1 if axis in reversed_axes else 1 for axis in range(rank)]
    low.define(operation.result, view.sliced(starts, steps, view.shape))


def double_bits(value: float) -> int:
    """A double as the integer parameter that the library's kernels read."""
    bits: int = struct.unpack("<q", struct.pack("<d", value))[0]
    return bits
