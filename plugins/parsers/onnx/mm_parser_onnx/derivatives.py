"""Derivatives of the primitives: for each operator and operand, its gradient from that of the result.

Operators that are not here are differentiated through their decompositions; see `gradient`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import reduce

from mm_core.errors import UnsupportedOpError
from mm_core.ir import Graph, Operation, Value
from mm_core.ops import Trait
from mm_core.types import Dim, TensorType

Derivative = Callable[[Graph, Value, Operation], Value]
"""The gradient of an operand from that of the operation's first result."""


def derivatives_of(operation: Operation) -> tuple[Derivative | None, ...] | None:
    """For each operand its derivative, None where it has none or the result is flat; None for unknown operators."""
    if operation.name == "mm.concat":
        return tuple(map(_part, range(len(operation.operands))))
    known = _DERIVATIVES.get(operation.name)
    if known is None and _moves_one_tensor(operation):
        return _moved_back, None
    return known


def _moves_one_tensor(operation: Operation) -> bool:
    """Whether the operation has one result, elements of its first operand, of whose type no other operand is."""
    definition = operation.definition
    kinds = [definition.operand_schema(place).dtype for place in range(len(operation.operands))]
    return Trait.MOVEMENT in definition.traits and kinds.count(kinds[0]) == 1 == len(operation.results)


def zeros_like(g: Graph, x: Value) -> Value:
    return g.expand(g.constant(0, _type(x).dtype), g.shape(x))  # type: ignore[no-any-return]


def _type(x: Value | None) -> TensorType:
    assert x is not None
    assert isinstance(x.type, TensorType)
    return x.type


def _shape(x: Value | None) -> tuple[Dim, ...]:
    shape = _type(x).shape
    if shape is None:
        raise UnsupportedOpError(
            f"the derivative needs the rank of {_type(x)}",
            remedy="state the shapes of the model's inputs with input_shapes",
        )
    return shape


# --- element-wise -----------------------------------------------------------------------------------------------------


def _summed_to(g: Graph, gradient: Value, operand: Value | None) -> Value:
    """The gradient of an operand that was broadcast: the sum over the axes along which it was repeated."""
    have, want = _shape(gradient), _shape(operand)
    added = len(have) - len(want)
    repeated = [axis for axis, dim in enumerate(want, start=added) if dim == 1 and have[axis] != 1]
    axes = (*range(added), *repeated)
    if not axes:
        return gradient
    total = g.reduce_sum(gradient, axes=axes, keepdims=True)
    return g.reshape(total, g.shape(operand)) if added else total  # type: ignore[no-any-return]


def _elementwise(*functions: Callable[..., Value] | None) -> tuple[Derivative | None, ...]:
    """Derivatives from functions (graph, gradient, result, *operands), one for each operand."""

    def make(place: int, function: Callable[..., Value]) -> Derivative:
        def derivative(g: Graph, dy: Value, operation: Operation) -> Value:
            found = function(g, dy, operation.results[0], *operation.operands)
            return _summed_to(g, found, operation.operands[place])

        return derivative

    return tuple(function and make(place, function) for place, function in enumerate(functions))


def _over_root(square: float, offset: float, sign: float = 1.0) -> Callable[..., Value]:
    """sign / sqrt(square * x * x + offset), times the gradient."""

    def function(g: Graph, dy: Value, y: Value, x: Value) -> Value:
        root = g.sqrt(g.add(g.mul(g.square(x), square), offset))
        return g.div(g.mul(dy, sign), root)  # type: ignore[no-any-return]

    return function


def _base(g: Graph, dy: Value, y: Value, a: Value, b: Value) -> Value:
    slope = g.mul(b, g.pow(a, g.sub(b, 1.0)))
    return g.mul(dy, g.select(g.equal(b, 0.0), 0.0, slope))  # type: ignore[no-any-return]


def _exponent(g: Graph, dy: Value, y: Value, a: Value, b: Value) -> Value:
    return g.mul(dy, g.mul(y, g.log(g.select(g.less(0.0, a), a, 1.0))))  # type: ignore[no-any-return]


_UNARY: Mapping[str, Callable[..., Value]] = {
    "neg": lambda g, dy, y, x: g.neg(dy),
    "abs": lambda g, dy, y, x: g.mul(dy, g.sign(x)),
    "cast": lambda g, dy, y, x: g.cast(dy, to=x.type.dtype),
    "exp": lambda g, dy, y, x: g.mul(dy, y),
    "log": lambda g, dy, y, x: g.div(dy, x),
    "sqrt": lambda g, dy, y, x: g.div(g.mul(dy, 0.5), y),
    "sin": lambda g, dy, y, x: g.mul(dy, g.cos(x)),
    "cos": lambda g, dy, y, x: g.neg(g.mul(dy, g.sin(x))),
    "tan": lambda g, dy, y, x: g.mul(dy, g.add(g.square(y), 1.0)),
    "asin": _over_root(-1.0, 1.0),
    "acos": _over_root(-1.0, 1.0, -1.0),
    "atan": lambda g, dy, y, x: g.div(dy, g.add(g.square(x), 1.0)),
    "sinh": lambda g, dy, y, x: g.mul(dy, g.cosh(x)),
    "cosh": lambda g, dy, y, x: g.mul(dy, g.sinh(x)),
    "tanh": lambda g, dy, y, x: g.mul(dy, g.sub(1.0, g.square(y))),
    "asinh": _over_root(1.0, 1.0),
    "acosh": _over_root(1.0, -1.0),
    "atanh": lambda g, dy, y, x: g.div(dy, g.sub(1.0, g.square(x))),
    "erf": lambda g, dy, y, x: g.mul(dy, g.mul(g.exp(g.neg(g.square(x))), 2 / math.sqrt(math.pi))),
}
_BINARY: Mapping[str, tuple[Callable[..., Value], Callable[..., Value]]] = {
    "add": (lambda g, dy, y, a, b: dy, lambda g, dy, y, a, b: dy),
    "sub": (lambda g, dy, y, a, b: dy, lambda g, dy, y, a, b: g.neg(dy)),
    "mul": (lambda g, dy, y, a, b: g.mul(dy, b), lambda g, dy, y, a, b: g.mul(dy, a)),
    "div": (lambda g, dy, y, a, b: g.div(dy, b), lambda g, dy, y, a, b: g.neg(g.div(g.mul(dy, y), b))),
    "pow": (_base, _exponent),
    "mod": (lambda g, dy, y, a, b: dy, lambda g, dy, y, a, b: g.neg(g.mul(dy, g.floor(g.div(a, b))))),
    "fmod": (lambda g, dy, y, a, b: dy, lambda g, dy, y, a, b: g.neg(g.mul(dy, g.trunc(g.div(a, b))))),
    # Of two equals the second is the one that counts, so that relu, a maximum with 0, has no slope at 0.
    "maximum": (
        lambda g, dy, y, a, b: g.select(g.less(b, a), dy, 0.0),
        lambda g, dy, y, a, b: g.select(g.less(b, a), 0.0, dy),
    ),
    "minimum": (
        lambda g, dy, y, a, b: g.select(g.less(a, b), dy, 0.0),
        lambda g, dy, y, a, b: g.select(g.less(a, b), 0.0, dy),
    ),
}
_FLAT = ("floor", "ceil", "round", "sign", "shape")


# --- elements moved ---------------------------------------------------------------------------------------------------


def _moved_back(g: Graph, dy: Value, operation: Operation) -> Value:
    """Each element's gradients added up where it came from: the operation moves the elements' places to tell."""
    return _put_back(g, dy, operation, operation.operands[1:])


def _padding(g: Graph, dy: Value, operation: Operation) -> Value:
    x, pads = operation.operands[:2]
    beyond = g.reduce_prod(g.shape(x), axes=(0,), keepdims=False)  # A place after the last: what is filled in.
    return _put_back(g, dy, operation, (pads, beyond if operation.attributes["mode"] == "constant" else None))


def _filling(g: Graph, dy: Value, operation: Operation) -> Value:
    """What of the gradient does not go to x."""
    inside = g.reduce_sum(_padding(g, dy, operation), axes=None, keepdims=False)
    return g.sub(g.reduce_sum(dy, axes=None, keepdims=False), inside)  # type: ignore[no-any-return]


def _put_back(g: Graph, dy: Value, operation: Operation, others: tuple[Value | None, ...]) -> Value:
    x = operation.operands[0]
    shape = g.shape(x)
    count = g.reduce_prod(shape, axes=(0,), keepdims=True)
    places = g.reshape(g.range(0, g.reshape(count, []), 1), shape)
    moved = g.create(operation.definition, (places, *others), operation.attributes).results[0]
    empty = g.expand(g.constant(0, _type(dy).dtype), g.add(count, 1))
    total = g.scatter_elements(empty, g.reshape(moved, [-1]), g.reshape(dy, [-1]), axis=0, reduction="add")
    return g.reshape(g.slice(total, [0], count, [0]), shape)  # type: ignore[no-any-return]


def _reshaped(g: Graph, dy: Value, operation: Operation) -> Value:
    return g.reshape(dy, g.shape(operation.operands[0]))  # type: ignore[no-any-return]


def _expanded(g: Graph, dy: Value, operation: Operation) -> Value:
    return _summed_to(g, dy, operation.operands[0])


def _transposed(g: Graph, dy: Value, operation: Operation) -> Value:
    rank = len(_shape(dy))
    order = operation.attributes["permutation"] or tuple(reversed(range(rank)))
    return g.transpose(dy, permutation=tuple(order.index(axis) for axis in range(rank)))  # type: ignore[no-any-return]


def _part(place: int) -> Derivative:
    """The part of a concatenation's gradient that belongs to an operand."""

    def derivative(g: Graph, dy: Value, operation: Operation) -> Value:
        axis = operation.attributes["axis"] % len(_shape(dy))
        sizes = [g.shape(x, start=axis, end=axis + 1) for x in operation.operands[: place + 1]]
        begin = reduce(g.add, sizes[:-1], g.constant([0]))
        return g.slice(dy, begin, g.add(begin, sizes[-1]), [axis])  # type: ignore[no-any-return]

    return derivative


# --- sums and products ------------------------------------------------------------------------------------------------


def _spread(g: Graph, value: Value, operation: Operation) -> Value:
    """The result of a reduction, or its gradient, in the operand's shape."""
    x, axes = operation.operands[0], operation.attributes["axes"]
    if not operation.attributes["keepdims"]:
        value = g.unsqueeze(value, axes=tuple(range(len(_shape(x)))) if axes is None else axes)
    return g.expand(value, g.shape(x))  # type: ignore[no-any-return]


def _extreme(g: Graph, dy: Value, operation: Operation) -> Value:
    """Shared by the elements that are the largest or smallest."""
    best = g.equal(operation.operands[0], _spread(g, operation.results[0], operation))
    chosen = g.cast(best, to=_type(dy).dtype)
    total = g.reduce_sum(chosen, **operation.attributes)
    return g.mul(chosen, _spread(g, g.div(dy, total), operation))  # type: ignore[no-any-return]


def _scanned(g: Graph, dy: Value, operation: Operation) -> Value:
    attributes = dict(operation.attributes)
    return g.cumsum(dy, **{**attributes, "reverse": not attributes["reverse"]})  # type: ignore[no-any-return]


def _product(side: int) -> Derivative:
    """Of a @ b: dy @ b transposed, and a transposed @ dy. Vectors are matrices of one row, or of one column."""

    def derivative(g: Graph, dy: Value, operation: Operation) -> Value:
        a, b = operation.operands
        ranks = len(_shape(a)), len(_shape(b))
        if ranks[1] == 1:
            b, dy = g.unsqueeze(b, axes=(1,)), g.unsqueeze(dy, axes=(-1,))
        if ranks[0] == 1:
            a, dy = g.unsqueeze(a, axes=(0,)), g.unsqueeze(dy, axes=(-2,))
        gradient = g.matmul(dy, _turned(g, b)) if side == 0 else g.matmul(_turned(g, a), dy)
        gradient = _summed_to(g, gradient, (a, b)[side])
        return g.reshape(gradient, [-1]) if ranks[side] == 1 else gradient

    return derivative


def _turned(g: Graph, matrix: Value | None) -> Value:
    rank = len(_shape(matrix))
    return g.transpose(matrix, permutation=(*range(rank - 2), rank - 1, rank - 2))  # type: ignore[no-any-return]


# --- convolutions -----------------------------------------------------------------------------------------------------


def _image(g: Graph, dy: Value, operation: Operation) -> Value:
    """The gradient convolved back, with the padding that gives x's size."""
    x, w = operation.operands[:2]
    window = _window(operation)
    rests = [
        size - ((out - 1) * stride + (kernel - 1) * dilation + 1 - begin - end)
        for size, out, kernel, stride, dilation, begin, end in zip(_spatial(x), _spatial(dy), _spatial(w), *window)
    ]
    attributes = {name: operation.attributes[name] for name in ("strides", "pads", "dilations", "group")}
    return g.conv_transpose(dy, w, **attributes, output_padding=rests)  # type: ignore[no-any-return]


def _weight(g: Graph, dy: Value, operation: Operation) -> Value:
    """x convolved with the gradient, images and channels exchanged, strides and dilations too; group by group."""
    x, w = operation.operands[:2]
    strides, dilations, begins, ends = _window(operation)
    group, kernel = operation.attributes["group"], _spatial(w)
    swap = (1, 0, *range(2, 2 + len(kernel)))
    channels, outputs = (_shape(value)[1] // group for value in (x, dy))
    parts = []
    for place in range(group):
        image, filters = (
            g.transpose(g.slice(value, [place * width], [(place + 1) * width], [1]), permutation=swap)
            for value, width in ((x, channels), (dy, outputs))
        )
        found = g.conv(image, filters, strides=dilations, dilations=strides, pads=(*begins, *ends))
        # Columns that the stride left out at the end are no part of the kernel.
        parts.append(g.slice(found, [0] * len(kernel), kernel, list(range(2, 2 + len(kernel)))))
    return g.concat(*(g.transpose(part, permutation=swap) for part in parts), axis=0)  # type: ignore[no-any-return]


def _bias(g: Graph, dy: Value, operation: Operation) -> Value:
    rank = len(_shape(dy))
    return g.reduce_sum(dy, axes=(0, *range(2, rank)), keepdims=False)  # type: ignore[no-any-return]


def _window(operation: Operation) -> tuple[tuple[int, ...], ...]:
    """Strides, dilations, padding before and after, for each spatial axis."""
    attributes, rank = operation.attributes, len(_spatial(operation.operands[0]))
    pads = attributes["pads"] or (0,) * (2 * rank)
    if attributes["auto_pad"] not in ("notset", "valid"):
        raise UnsupportedOpError(f"{operation.name} with automatic padding has no derivative", remedy="state the pads")
    return attributes["strides"] or (1,) * rank, attributes["dilations"] or (1,) * rank, pads[:rank], pads[rank:]


def _spatial(x: Value | None) -> list[int]:
    """The sizes of an image's or a kernel's spatial axes."""
    sizes = [dim for dim in _shape(x)[1:] if isinstance(dim, int)]
    if len(sizes) < len(_shape(x)) - 1:
        raise UnsupportedOpError(
            f"the derivative of a convolution needs fixed sizes, not {_type(x)}",
            remedy="state the shapes of the model's inputs with input_shapes",
        )
    return sizes[1:]


_DERIVATIVES: Mapping[str, tuple[Derivative | None, ...]] = {
    **{f"mm.{name}": _elementwise(function) for name, function in _UNARY.items()},
    **{f"mm.{name}": _elementwise(*functions) for name, functions in _BINARY.items()},
    **{f"mm.{name}": (None,) for name in _FLAT},
    **{f"mm.{name}": (_reshaped, None) for name in ("reshape", "squeeze", "unsqueeze", "flatten", "identity")},
    "mm.select": _elementwise(
        None,
        lambda g, dy, y, condition, a, b: g.select(condition, dy, 0.0),
        lambda g, dy, y, condition, a, b: g.select(condition, 0.0, dy),
    ),
    "mm.expand": (_expanded, None),
    "mm.transpose": (_transposed,),
    "mm.pad": (_padding, None, _filling),
    "mm.reduce_sum": (_spread,),
    "mm.reduce_max": (_extreme,),
    "mm.reduce_min": (_extreme,),
    "mm.cumsum": (_scanned,),
    "mm.matmul": (_product(0), _product(1)),
    "mm.conv": (_image, _weight, _bias),
}
