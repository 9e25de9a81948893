"""Operations that only move elements. What is a contiguous, aligned piece of another value is no copy at all."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, product
from math import prod

from mm_backend_mlu.codegen.dims import broadcast_strides, coalesce
from mm_backend_mlu.codegen.elementwise import Elementwise, elementwise
from mm_backend_mlu.codegen.expression import C_TYPES, Expression, Node
from mm_backend_mlu.codegen.strided_copy import StridedCopy, fill, strided_copy
from mm_backend_mlu.codegen.transpose import TYPES, transpose
from mm_backend_mlu.lowering.layout import Layout, physical_shape, physical_strides
from mm_backend_mlu.lowering.lowering import Lowering
from mm_backend_mlu.lowering.rule import Preference, Rule
from mm_backend_mlu.lowering.values import ALIASES, constant_data, dtype_of, elements, shape_of, source
from mm_backend_mlu.lowering.view import View
from mm_backend_mlu.target import Target
from mm_core.ir import Operation, Value, known_value


def view_in(low: Lowering, value: Value, layout: Layout) -> View:
    """Where a value lies, once it is in that layout."""
    return low.view(value) if layout is Layout.DENSE else placed(low.channels_last(value), value, layout)


def placed(buffer: int, value: Value, layout: Layout) -> View:
    """A buffer that holds a value in that layout."""
    shape = shape_of(value)
    return View(buffer, shape, physical_strides(shape, dtype_of(value).itemsize, layout))


def copy(low: Lowering, source: View, target: View, itemsize: int, name: str) -> None:
    """Append a copy between two views of one shape."""
    if not prod(source.shape):
        return
    spec = StridedCopy(source.shape, itemsize, source.strides, target.strides, source.offset, target.offset)
    kernel, tasks = strided_copy(spec, name, low.target)
    low.launch(kernel, [source.buffer], [target.buffer], tasks)


def materialise(low: Lowering, value: Value, view: View) -> None:
    """Append what moves a view to where its value shall lie, dense."""
    move(low, view, low.dense_result(value), dtype_of(value).itemsize)


def move(low: Lowering, view: View, target: int, itemsize: int) -> None:
    """Append what fills a buffer with the elements of a view in a row. Matrices are turned round on the chip."""
    sizes, (steps,) = coalesce(view.shape, [view.strides])
    matrices = ((1, *sizes), (0, *steps)) if len(sizes) == _MATRICES - 1 else (sizes, steps)
    if len(matrices[0]) == _MATRICES and itemsize in TYPES and not view.offset:
        batch, columns, rows = matrices[0]
        if matrices[1][1:] == (1, columns) and matrices[1][0] in (0, rows * columns):
            kernel, tasks = transpose(batch, rows, columns, columns, rows, itemsize, "transpose", low.target)
            low.launch(kernel, [view.buffer], [target], tasks)
            return
    copy(low, view, View.dense(target, view.shape), itemsize, "copy")


_MATRICES = 3


def define(low: Lowering, value: Value, view: View, name: str) -> None:
    """State that a result is a view. One that shall lie channels last is copied there."""
    if low.layout(value) is Layout.DENSE:
        low.define(value, view)
    else:
        copy(low, view, whole_result(low, value), dtype_of(value).itemsize, name)


def whole_result(low: Lowering, value: Value) -> View:
    """A result to be filled; where it has padding between its channels, that is initialised first."""
    layout, itemsize = low.layout(value), dtype_of(value).itemsize
    target = placed(low.result(value), value, layout)
    count = prod(physical_shape(shape_of(value), itemsize, layout))
    if count != elements(value):
        fill_buffer(low, target.buffer, count, itemsize, 0)
    return target


def fill_buffer(low: Lowering, buffer: int, count: int, itemsize: int, bits: int) -> None:
    """Append what fills a buffer with one element."""
    kernel, tasks = fill(count, itemsize, bits, low.target)
    low.launch(kernel, [], [buffer], tasks)


def copy_bytes(low: Lowering, source: int, target: int, size: int) -> None:
    """Append a copy of whole buffers."""
    copy(low, View.dense(source, (size,)), View.dense(target, (size,)), 1, "copy")


# --- operators ------------------------------------------------------------------------------------------------------


def always(operation: Operation, target: Target) -> str:
    """No reason to refuse."""
    return ""


def lower_reshape(low: Lowering, operation: Operation) -> None:
    """Reshape and what is like it: the same elements in the same order."""
    value, shape = source(operation), shape_of(operation.result)
    view = low.view(value).reshaped(shape) if elements(value) else None
    low.define(operation.result, view or View.dense(low.dense(value), shape))


def check_bit_cast(operation: Operation, target: Target) -> str:
    kinds = dtype_of(source(operation)), dtype_of(operation.result)
    if kinds[1].kind == "bool" or any(dtype.bits < 8 and dtype.kind != "bool" for dtype in kinds):
        return f"bits of {kinds[0].name} as {kinds[1].name}"
    return ""


def lower_bit_cast(low: Lowering, operation: Operation) -> None:
    """The same bytes, of another type."""
    low.define(operation.result, low.view(source(operation)))


def lower_transpose(low: Lowering, operation: Operation) -> None:
    view = low.view(source(operation))
    rank = len(view.shape)
    permutation = operation.attributes["permutation"]
    order = range(rank)[::-1] if permutation is None else [axis % rank for axis in permutation]
    low.define(operation.result, view.transposed(order))


def lower_expand(low: Lowering, operation: Operation) -> None:
    """A loop that repeats elements on the chip; elements are moved as whole numbers of their size."""
    value, result = source(operation), operation.result
    itemsize = dtype_of(value).itemsize
    shape = shape_of(result)
    own = (1,) * (len(shape) - len(shape_of(value))) + shape_of(value)
    if itemsize not in _MOVED:  # Elements of 16 bytes are two of 8.
        shape, own, itemsize = (*shape, itemsize // 8), (*own, itemsize // 8), 8
    dtype = _MOVED[itemsize]
    expression = Expression((Node("identity", (("input", 0),), dtype, dtype),), (dtype,), (("node", 0),))
    operands = ((C_TYPES[dtype], broadcast_strides(own, shape)),)
    kernel, tasks = elementwise(Elementwise(shape, operands, (C_TYPES[dtype],), expression), "expand", low.target)
    low.launch(kernel, [low.dense(value)], [low.result(result)], tasks)


_MOVED = {1: "ui8", 2: "i16", 4: "i32", 8: "i64"}


def lower_concat(low: Lowering, operation: Operation) -> None:
    values = [value for value in operation.operands if value is not None]
    result = operation.result
    axis = operation.attributes["axis"] % len(shape_of(result))
    whole = whole_result(low, result)
    start = 0
    for value in values:
        place = View(
            whole.buffer, shape_of(value), whole.strides, whole.offset + start * whole.strides[axis]
        )
        if elements(value):
            copy(low, view_in(low, value, low.layout(result)), place, dtype_of(value).itemsize, "concat")
        start += shape_of(value)[axis]


def _slice_bounds(operation: Operation) -> tuple[list[int], list[int]] | str:
    """Starts and steps along every axis of a slice, or the reason why they are not known."""
    shape = shape_of(source(operation))
    operands = (*operation.operands[1:], None, None)[:4]
    starts, _, axes, steps = map(known_value, operands)
    if any(value is not None and known_value(value) is None for value in (operands[0], *operands[2:])):
        return "bounds known only when running"
    assert starts is not None
    first, step = [0] * len(shape), [1] * len(shape)
    for number, axis in enumerate(range(len(starts)) if axes is None else axes):
        begin, stride = starts[number], 1 if steps is None else steps[number]
        if not isinstance(begin, int) or not isinstance(stride, int) or not isinstance(axis, int):
            return "bounds known only when running"
        axis %= len(shape)
        first[axis], step[axis] = slice(begin, None, stride).indices(shape[axis])[0], stride
    return first, step


def check_slice(operation: Operation, target: Target) -> str:
    bounds = _slice_bounds(operation)
    return bounds if isinstance(bounds, str) else ""


def lower_slice(low: Lowering, operation: Operation) -> None:
    bounds = _slice_bounds(operation)
    assert not isinstance(bounds, str)
    view = view_in(low, source(operation), low.layout(operation.result))
    define(low, operation.result, view.sliced(*bounds, shape_of(operation.result)), "slice")


def lower_split(low: Lowering, operation: Operation) -> None:
    value = source(operation)
    axis = operation.attributes["axis"] % len(shape_of(value))
    sizes = [shape_of(result)[axis] for result in operation.results]
    for result, start in zip(operation.results, accumulate(sizes, initial=0)):
        view = view_in(low, value, low.layout(result))
        starts = [start if place == axis else 0 for place in range(len(view.shape))]
        if elements(result):
            define(low, result, view.sliced(starts, [1] * len(view.shape), shape_of(result)), "split")
        else:
            low.result(result)


def lower_reverse(low: Lowering, operation: Operation) -> None:
    """Reversed axes are read backwards."""
    view = view_in(low, source(operation), low.layout(operation.result))
    rank = len(view.shape)
    axes = operation.attributes["axes"]
    reversed_axes = set(range(rank)) if axes is None else {axis % rank for axis in axes}
    starts = [size - 1 if axis in reversed_axes else 0 for axis, size in enumerate(view.shape)]
    steps = [-1 if axis in reversed_axes else 1 for axis in range(rank)]
    define(low, operation.result, view.sliced(starts, steps, view.shape), "reverse")


@dataclass(frozen=True, slots=True)
class _Piece:
    """Part of a padded axis: where it is written, where it is read from and by which step, and how long it is."""

    target: int
    source: int
    step: int
    count: int


def _padding(operation: Operation) -> tuple[list[int], list[int]] | str:
    """Elements before and after each axis, negative where some are cut off, or the reason why they are not known."""
    pads = known_value(operation.operand("pads"))
    value = operation.operand("value")
    if pads is None or not all(isinstance(pad, int) for pad in pads):
        return "pads known only when running"
    if value is not None and constant_data(value) is None:
        return "a value to pad with that is known only when running"
    rank = len(shape_of(source(operation)))
    axes = operation.attributes["axes"]
    before, after = [0] * rank, [0] * rank
    for number, axis in enumerate(range(rank) if axes is None else axes):
        before[axis % rank], after[axis % rank] = int(pads[number]), int(pads[number + len(pads) // 2])
    return before, after


def _pieces(mode: str, size: int, before: int, after: int) -> list[_Piece] | str:
    """What fills a padded axis beside the constant; or why that takes more than one turn at the border."""
    inside = size + min(before, 0) + min(after, 0)
    pieces = [_Piece(max(before, 0), max(-before, 0), 1, inside)]
    if mode == "constant":
        return pieces
    reach = {"reflect": size - 1, "wrap": size}.get(mode, before + after)
    if max(before, after) > reach or min(before, after) < 0 or not size:
        return f"padding by {mode} further than the tensor is wide"
    end = before + size
    sides = {
        "edge": (_Piece(0, 0, 0, before), _Piece(end, size - 1, 0, after)),
        "reflect": (_Piece(0, before, -1, before), _Piece(end, size - 2, -1, after)),
        "wrap": (_Piece(0, size - before, 1, before), _Piece(end, 0, 1, after)),
    }[mode]
    return [*pieces, *(piece for piece in sides if piece.count)]


def _pad_bits(operation: Operation) -> int:
    data = constant_data(operation.operand("value"))
    return 0 if data is None else int.from_bytes(data.numpy().tobytes(), "little")


def check_pad(operation: Operation, target: Target) -> str:
    padding = _padding(operation)
    if isinstance(padding, str):
        return padding
    if _pad_bits(operation) >> 64:
        return "padding with a number of more than 8 bytes"
    for size, before, after in zip(shape_of(source(operation)), *padding):
        pieces = _pieces(operation.attributes["mode"], size, before, after)
        if isinstance(pieces, str):
            return pieces
    return ""


def lower_pad(low: Lowering, operation: Operation) -> None:
    """The constant first, then each box that comes from the operand: the inside, and in other modes what is around."""
    value, result = source(operation), operation.result
    padding = _padding(operation)
    assert not isinstance(padding, str)
    mode, itemsize = operation.attributes["mode"], dtype_of(value).itemsize
    layout = low.layout(result)
    view = view_in(low, value, layout)
    if mode == "constant":
        target = placed(low.result(result), result, layout)
        count = prod(physical_shape(shape_of(result), itemsize, layout))
        fill_buffer(low, target.buffer, count, itemsize, _pad_bits(operation))
    else:
        target = whole_result(low, result)
    axes = []
    for size, before, after in zip(view.shape, *padding):
        pieces = _pieces(mode, size, before, after)
        assert not isinstance(pieces, str)
        axes.append(pieces)
    for box in product(*axes):
        shape = tuple(piece.count for piece in box)
        if min(shape, default=1) < 1:
            continue
        part = view.sliced([piece.source for piece in box], [piece.step for piece in box], shape)
        place = target.sliced([piece.target for piece in box], [1] * len(box), shape)
        copy(low, part, place, itemsize, "pad")


RULES = {
    **{name: Rule(always, lower_reshape) for name in ALIASES},
    "mm.bit_cast": Rule(check_bit_cast, lower_bit_cast),
    "mm.transpose": Rule(always, lower_transpose),
    "mm.expand": Rule(always, lower_expand),
    "mm.concat": Rule(always, lower_concat, Preference.FOLLOW),
    "mm.slice": Rule(check_slice, lower_slice, Preference.FOLLOW),
    "mm.split": Rule(always, lower_split, Preference.FOLLOW),
    "mm.reverse": Rule(always, lower_reverse, Preference.FOLLOW),
    "mm.pad": Rule(check_pad, lower_pad, Preference.FOLLOW),
}
