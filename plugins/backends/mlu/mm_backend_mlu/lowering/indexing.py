"""Elements fetched from and put at places that integers name, and the best along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from mm_backend_mlu.codegen.dims import dense_strides
from mm_backend_mlu.codegen.expression import C_TYPES, FLOATS, INTEGERS
from mm_backend_mlu.codegen.kernel import Kernel
from mm_backend_mlu.codegen.strided_copy import UNITS
from mm_backend_mlu.lowering.layout import round_up
from mm_backend_mlu.lowering.lowering import Lowering
from mm_backend_mlu.lowering.movement import copy_bytes
from mm_backend_mlu.lowering.rule import Rule
from mm_backend_mlu.lowering.values import dtype_of, elements, shape_of, source
from mm_backend_mlu.target import Target
from mm_core.ir import Operation, Value, known_value

_COMBINE = {
    "none": "Replace", "add": "CombineAdd", "mul": "CombineMultiply", "max": "CombineLargest", "min": "CombineSmallest",
}  # fmt: skip
_TILE_BYTES = 32768
_INDEX_TYPES = ("i32", "i64")
_MOST_STEPS = 1 << 22
"""Elements that one task may put in place: beyond, the host is faster."""


def _operand(operation: Operation, number: int) -> Value:
    value = operation.operands[number]
    assert value is not None
    return value


def _check_places(operation: Operation) -> str:
    dtype, indices = dtype_of(source(operation)), dtype_of(_operand(operation, 1))
    if indices.text not in _INDEX_TYPES:
        return f"indices of {indices.name}"
    if not elements(source(operation)):
        return "a look-up in nothing"
    return "" if dtype.itemsize in UNITS else f"elements of {dtype.itemsize} bytes"


def _places(count: Sequence[int], base: Sequence[int], sizes: Sequence[int], strides: Sequence[int]) -> str:
    """The functor of places.

    Runs are numbered over the axes `count`, whose steps are `base`; a tuple of indices names axes of `sizes`.
    """
    terms = []
    per = prod(count)
    for size, step in zip(count, base):
        per //= max(size, 1)
        if step and size > 1:
            terms.append(f"(int64_t)(run / {per} % {size}) * {step}")
    terms += [
        f"mm::index_within(tuple[{number}], {size}) * {stride}"
        for number, (size, stride) in enumerate(zip(sizes, strides))
    ]
    return (
        "struct $symbol_place {\n  template <typename Index>\n"
        "  __mlu_device__ int64_t operator()(int run, const Index *tuple) const {\n"
        f"    return {' + '.join(terms) or '0'};\n  }}\n}};"
    )


def _element_places(operation: Operation) -> str:
    """Of `gather_elements` and `scatter_elements`: a run is one element."""
    x, indices = shape_of(source(operation)), shape_of(_operand(operation, 1))
    axis = operation.attributes["axis"] % len(x)
    strides = dense_strides(x)
    base = [0 if place == axis else stride for place, stride in enumerate(strides)]
    return _places(indices, base, [x[axis]], [strides[axis]])


def _tuple_places(x: Sequence[int], indices: Sequence[int], batch: int) -> tuple[str, int]:
    """Of `gather_nd` and `scatter_nd`: the functor, and the elements of a run."""
    depth = indices[-1]
    strides = dense_strides(x)
    count = indices[:-1]
    base = [*strides[:batch], *(0 for _ in count[batch:])]
    places = _places(count, base, x[batch : batch + depth], strides[batch : batch + depth])
    return places, prod(x[batch + depth :])


def _run_shape(count: int, depth: int, length: int, itemsize: int, target: Target, tasks: int) -> tuple[str, int, int]:
    """A `RunShape` in C, the bytes of NRAM for it, and how many tiles there are; they are dealt to so many tasks."""
    tile_length = max(1, min(length, _TILE_BYTES // itemsize))
    fitting = _TILE_BYTES // max(tile_length * itemsize, depth * 8, 1)
    tile_runs = max(1, min(fitting, -(-count // tasks)))
    pieces = (tile_runs * depth * 8, tile_runs * tile_length * itemsize, tile_length * itemsize)
    nram = sum(round_up(size, 128) for size in pieces)
    text = f"const mm::RunShape shape = {{{count}, {depth}, {length}, {tile_runs}, {tile_length}}};"
    return text, nram, -(-count // tile_runs)


def _gather(low: Lowering, operation: Operation, places: str, depth: int, length: int) -> None:
    value, indices = source(operation), _operand(operation, 1)
    unit = UNITS[dtype_of(value).itemsize]
    index = C_TYPES[dtype_of(indices).text]
    count = elements(operation.result) // max(length, 1)
    shape, nram, tasks = _run_shape(count, depth, length, dtype_of(value).itemsize, low.target, low.target.cores)
    body = f"{shape}\nmm::gather_runs(shape, $symbol_place(), x, indices, y, mm_nram);"
    kernel = Kernel(
        operation.name.removeprefix("mm."), (f"const {unit} *x", f"const {index} *indices", f"{unit} *y"), body,
        ("kernels/indexing.h",), (places,), nram=nram, note=f"{count} runs of {length} elements",
    )  # fmt: skip
    low.launch(kernel, [low.dense(value), low.dense(indices)], [low.result(operation.result)], tasks)


def check_gather(operation: Operation, target: Target) -> str:
    reason = _check_places(operation)
    return "" if reason.startswith("elements of") else reason


def lower_gather(low: Lowering, operation: Operation) -> None:
    """Slices along an axis, by the library kernel for rows of bytes."""
    value, indices = source(operation), _operand(operation, 1)
    x, count = shape_of(value), elements(indices)
    axis = operation.attributes["axis"] % len(x)
    outer, size, row = prod(x[:axis]), x[axis], prod(x[axis + 1 :]) * dtype_of(value).itemsize
    tile_bytes = min(row, _TILE_BYTES)
    pieces = -(-row // tile_bytes)
    tile_i = max(1, min(count, _TILE_BYTES // tile_bytes, -(-count * outer * pieces // low.target.cores)))
    index = C_TYPES[dtype_of(indices).text]
    body = (
        f"const mm::GatherShape shape = {{{outer}, {size}, {count}, {row}, {tile_i}, {tile_bytes}}};\n"
        "mm::gather(shape, x, indices, y, mm_nram);"
    )
    kernel = Kernel(
        "gather", ("const char *x", f"const {index} *indices", "char *y"), body, ("kernels/gather.h",),
        nram=2 * (round_up(tile_i * 8, 128) + round_up(tile_i * tile_bytes, 128)),
        note=f"{outer} x {count} rows of {row} bytes",
    )  # fmt: skip
    tasks = outer * -(-count // tile_i) * pieces
    low.launch(kernel, [low.dense(value), low.dense(indices)], [low.result(operation.result)], tasks)


def check_gather_elements(operation: Operation, target: Target) -> str:
    return _check_places(operation)


def lower_gather_elements(low: Lowering, operation: Operation) -> None:
    _gather(low, operation, _element_places(operation), 1, 1)


def check_gather_nd(operation: Operation, target: Target) -> str:
    if not shape_of(_operand(operation, 1))[-1]:
        return "tuples of no indices"
    return _check_places(operation)


def lower_gather_nd(low: Lowering, operation: Operation) -> None:
    x, indices = shape_of(source(operation)), shape_of(_operand(operation, 1))
    places, length = _tuple_places(x, indices, operation.attributes["batch_dims"])
    _gather(low, operation, places, indices[-1], length)


def check_scatter(operation: Operation, target: Target) -> str:
    dtype = dtype_of(source(operation))
    if operation.attributes["reduction"] != "none" and dtype.text not in (*FLOATS, *INTEGERS):
        return f"no code for {operation.name} of {dtype.name}"
    if operation.name == "mm.scatter_nd" and not shape_of(_operand(operation, 1))[-1]:
        return "tuples of no indices"
    if elements(_operand(operation, 2)) > _MOST_STEPS:
        return "more updates than one core should put in place"
    return _check_places(operation)


def lower_scatter(low: Lowering, operation: Operation) -> None:
    """The operand is copied, and then updated by one task."""
    value, indices, updates = (_operand(operation, number) for number in range(3))
    itemsize, reduction = dtype_of(value).itemsize, operation.attributes["reduction"]
    result = low.result(operation.result)
    copy_bytes(low, low.dense(value), result, elements(value) * itemsize)
    if not elements(updates):
        return
    if operation.name == "mm.scatter_nd":
        depth = shape_of(indices)[-1]
        places, length = _tuple_places(shape_of(value), shape_of(indices), 0)
    else:
        places, depth, length = _element_places(operation), 1, 1
    count = elements(updates) // max(length, 1)
    element = UNITS[itemsize] if reduction == "none" else C_TYPES[dtype_of(value).text]
    shape, nram, _ = _run_shape(count, depth, length, itemsize, low.target, 1)
    combine = f"mm::{_COMBINE[reduction]}<{element}>"
    body = (
        f"{shape}\nmm::scatter_runs<{element}, {combine}>(shape, $symbol_place(), indices, updates, y, mm_nram);"
    )
    index = C_TYPES[dtype_of(indices).text]
    parameters = (f"const {index} *indices", f"const {element} *updates", f"{element} *y")
    kernel = Kernel(
        operation.name.removeprefix("mm."), parameters, body, ("kernels/indexing.h",), (places,), nram=nram,
        note=f"{count} runs of {length} elements, by one task",
    )  # fmt: skip
    low.launch(kernel, [low.dense(indices), low.dense(updates)], [result], 1)


def check_top(operation: Operation, target: Target) -> str:
    dtype = dtype_of(source(operation))
    if dtype.text not in (*FLOATS, *INTEGERS):
        return f"no code for {operation.name} of {dtype.name}"
    if known_value(_operand(operation, 1)) is None:
        return "how many are wanted is known only when running"
    axis = operation.attributes["axis"] % len(shape_of(source(operation)))
    if _top_bytes(operation, axis) > target.nram_bytes:
        return "an axis that does not fit NRAM"
    return ""


def _top_bytes(operation: Operation, axis: int) -> int:
    length, kept = shape_of(source(operation))[axis], shape_of(operation.results[0])[axis]
    itemsize = dtype_of(source(operation)).itemsize
    return sum(round_up(size, 128) for size in (length * itemsize, kept * 8, kept * itemsize))


def lower_top(low: Lowering, operation: Operation) -> None:
    """The best along an axis, by a heap for each line."""
    value = source(operation)
    x = shape_of(value)
    axis = operation.attributes["axis"] % len(x)
    kept = shape_of(operation.results[0])[axis]
    ctype = C_TYPES[dtype_of(value).text]
    wide = "float" if dtype_of(value).text in FLOATS else ctype
    outer, length, inner = prod(x[:axis]), x[axis], prod(x[axis + 1 :])
    largest = str(operation.attributes["largest"]).lower()
    body = (
        f"const mm::TopShape shape = {{{outer}, {length}, {inner}, {kept}}};\n"
        f"mm::top<{ctype}, {wide}>(shape, {largest}, x, values, indices, mm_nram);"
    )
    kernel = Kernel(
        "topk", (f"const {ctype} *x", f"{ctype} *values", "int64_t *indices"), body, ("kernels/indexing.h",),
        nram=_top_bytes(operation, axis), note=f"{kept} of {length}, {outer * inner} times",
    )  # fmt: skip
    targets = [low.result(result) for result in operation.results]
    low.launch(kernel, [low.dense(value)], targets, outer * inner)


_SCATTER = Rule(check_scatter, lower_scatter)
RULES = {
    "mm.gather": Rule(check_gather, lower_gather),
    "mm.gather_elements": Rule(check_gather_elements, lower_gather_elements),
    "mm.gather_nd": Rule(check_gather_nd, lower_gather_nd),
    "mm.scatter_elements": _SCATTER,
    "mm.scatter_nd": _SCATTER,
    "mm.topk": Rule(check_top, lower_top),
}
