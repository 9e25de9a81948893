"""What follows a convolution or product element by element, and its bias, as the epilogue of its kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mm_backend_mlu.codegen.epilogue import NO_EPILOGUE, EpilogueCode, epilogue_code
from mm_backend_mlu.codegen.expression import FLOATS
from mm_backend_mlu.lowering.expressions import ExpressionBuilder, refusal
from mm_backend_mlu.lowering.tiling import EpilogueCost
from mm_backend_mlu.lowering.values import constant_data, dtype_of, outside, parts_of, shape_of
from mm_core.ir import Operation, Value


@dataclass(frozen=True)
class Contraction:
    """A contraction and what is computed with it: plain, or the first operation of a fused region.

    `bias` is a vector over the channels of the result, on `channel_axis` from the front. A constant one is added
    by the kernel in float, before its results are rounded; another one is part of the epilogue.
    """

    root: Operation
    rest: tuple[Operation, ...]
    alias: Mapping[Value, Value | None]
    results: tuple[Value, ...]
    bias: Value | None
    channel_axis: int

    @property
    def kernel_bias(self) -> Value | None:
        """The bias that the kernel adds."""
        return self.bias if constant_data(self.bias) is not None else None

    @property
    def epilogue_bias(self) -> Value | None:
        """The bias that the epilogue adds."""
        return self.bias if self.kernel_bias is None else None

    def operand(self, number: int) -> Value | None:
        """An operand of the contraction, as it is called outside of the region."""
        value = self.root.operands[number] if number < len(self.root.operands) else None
        return None if value is None else outside(value, self.alias)


_BIAS = {"mm.conv": 2, "mm.gemm": 2, "mm.linear": 2}
"""Which operand is a vector over the channels of the result."""
_CHANNEL_AXIS = {"mm.conv": 1}
"""Which axis of the result counts channels, where it is not the last."""


def contraction_of(operation: Operation) -> Contraction:
    """Take an operation apart that is a contraction, or a fused region that begins with one."""
    operations, alias, results = parts_of(operation)
    root, *rest = (op for op in operations if op.name != "mm.constant")
    contraction = Contraction(root, tuple(rest), alias, tuple(results), None, _channel_axis(root))
    place = _BIAS.get(root.name)
    return contraction if place is None else replace(contraction, bias=contraction.operand(place))


def _channel_axis(root: Operation) -> int:
    return _CHANNEL_AXIS.get(root.name, len(shape_of(root.result)) - 1)


@dataclass(frozen=True)
class Epilogue:
    """The functor of a contraction, and the values it reads beside the tile: vectors over channels or whole tensors."""

    code: EpilogueCode
    values: tuple[Value, ...]
    along_channels: tuple[bool, ...]
    has_kernel_bias: bool

    @property
    def cost(self) -> EpilogueCost:
        return EpilogueCost(self.code.channels, self.code.tensors, self.code.scratch, self.has_kernel_bias)


def check_epilogue(contraction: Contraction) -> str:
    """Why the epilogue cannot run with its contraction; empty if it can."""
    shape = shape_of(contraction.root.result)
    if len(contraction.results) != 1 or shape_of(contraction.results[0]) != shape:
        return "the fused region has more than one result, or one of another shape"
    reason = refusal(contraction.rest, contraction.alias)
    if reason:
        return reason
    builder = _builder(contraction)
    dtype = dtype_of(contraction.root.result)
    if dtype_of(contraction.results[0]) is not dtype:
        return "a fused region whose result has another element type than what it begins with"
    for value in builder.inputs[1:]:
        if dtype_of(value).text not in FLOATS or dtype_of(value) is not dtype:
            return f"an operand of type {dtype_of(value).name} beside results of type {dtype.name}"
        if not _varies_along_channels(contraction, value) and shape_of(value) != shape:
            return "an operand that is neither of the result's shape nor a vector over its channels"
    return ""


def is_channel_vector(value: Value, shape: Sequence[int], axis: int) -> bool:
    """Whether a value varies along one axis of `shape` at most. One whole tensor of that shape that does is one too."""
    own = shape_of(value)
    position = axis - (len(shape) - len(own))
    if not 0 <= position < len(own):
        return False
    return own[position] == shape[axis] and all(size == 1 for place, size in enumerate(own) if place != position)


def _varies_along_channels(contraction: Contraction, value: Value) -> bool:
    shape = shape_of(contraction.root.result)
    return value is contraction.epilogue_bias or is_channel_vector(value, shape, contraction.channel_axis)


def epilogue_of(contraction: Contraction) -> Epilogue:
    """The functor of an epilogue that `check_epilogue` accepted."""
    builder = _builder(contraction)
    values = tuple(builder.inputs[1:])
    expression = builder.expression(contraction.results)
    if not expression.nodes:
        return Epilogue(NO_EPILOGUE, (), (), contraction.kernel_bias is not None)
    along = tuple(_varies_along_channels(contraction, value) for value in values)
    names = [op.name.removeprefix("mm.") for op in contraction.rest]
    note = ", ".join((["bias"] if contraction.epilogue_bias is not None else []) + names)
    return Epilogue(epilogue_code(expression, along, note), values, along, contraction.kernel_bias is not None)


def _builder(contraction: Contraction) -> ExpressionBuilder:
    """The expression of following operations, and a bias that the kernel does not add; input 0 is its result."""
    root = contraction.root.result
    builder = ExpressionBuilder(contraction.alias)
    builder.input(root)
    if contraction.epilogue_bias is not None:
        dtype = dtype_of(root).text
        bias = builder.input(contraction.epilogue_bias)
        builder.refs[root] = builder.node("add", (("input", 0), bias), dtype, dtype)
    for operation in contraction.rest:
        builder.add(operation)
    return builder
