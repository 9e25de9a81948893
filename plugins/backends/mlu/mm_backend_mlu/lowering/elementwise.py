"""Element-wise operations, alone or fused, as one generated loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from mm_backend_mlu.codegen.dims import spread_strides
from mm_backend_mlu.codegen.elementwise import Elementwise, elementwise
from mm_backend_mlu.codegen.expression import C_TYPES
from mm_backend_mlu.lowering.expressions import ExpressionBuilder, refusal
from mm_backend_mlu.lowering.layout import IMAGE_RANK, Layout, physical_shape, with_rank
from mm_backend_mlu.lowering.lowering import Lowering
from mm_backend_mlu.lowering.rule import Preference, Rule
from mm_backend_mlu.lowering.values import dtype_of, elements, outside, parts_of, shape_of
from mm_backend_mlu.lowering.view import View
from mm_backend_mlu.target import Target
from mm_core.ir import Operation, Value

MOST_INPUTS = 24
"""Operands of one loop. More leave too little of NRAM to each."""
_NAMED = 3


def check_elementwise(operation: Operation, target: Target) -> str:
    """Why an operation, or a fused region of element-wise ones, has no generated loop."""
    operations, alias, results = parts_of(operation)
    shape = shape_of(results[0])
    if any(shape_of(value) != shape for value in results):
        return "results of different shapes"
    reason = refusal(operations, alias)
    if reason:
        return reason
    inside = {value for op in operations for value in op.results}
    read = {outside(value, alias) for op in operations for value in op.operands if value is not None} - inside
    if len(read) > MOST_INPUTS:
        return f"more than {MOST_INPUTS} operands in one loop"
    return ""


def lower_elementwise(low: Lowering, operation: Operation) -> None:
    """One loop for an operation or a fused region."""
    operations, alias, results = parts_of(operation)
    builder = ExpressionBuilder(alias)
    names = []
    for op in operations:
        if op.name != "mm.constant":
            builder.add(op)
            names.append(op.name.removeprefix("mm."))
    emit_loop(low, builder, results, operation.results, loop_name(names))


def loop_name(names: Sequence[str]) -> str:
    """The name of a kernel that does these operations."""
    return "_".join(names[:_NAMED]) + ("_etc" if len(names) > _NAMED else "")


def emit_loop(
    low: Lowering,
    builder: ExpressionBuilder,
    results: Sequence[Value],
    targets: Sequence[Value],
    name: str,
    shapes: Mapping[Value, tuple[int, ...]] = MappingProxyType({}),
) -> None:
    """A loop over an expression; `results` are the values inside it that `targets` stand for outside.

    `shapes` are those as which operands broadcast, for results that lie dense, where they are not their own.
    """
    expression = builder.expression(results)
    layout = low.layout(targets[0])
    shape = shape_of(targets[0])
    physical = physical_shape(shape, dtype_of(targets[0]).itemsize, layout)
    views = [
        View.dense(low.dense(value), shapes[value]) if value in shapes else _operand(low, value, layout, physical)
        for value in builder.inputs
    ]
    operands = [
        (C_TYPES[dtype_of(value).text], spread_strides(view.shape, view.strides, physical))
        for value, view in zip(builder.inputs, views)
    ]
    types = tuple(C_TYPES[dtype_of(value).text] for value in targets)
    offsets = tuple(view.offset for view in views)
    spec = Elementwise(physical, tuple(operands), types, expression, offsets)
    kernel, tasks = elementwise(spec, name, low.target)
    low.launch(kernel, [view.buffer for view in views], [low.result(value) for value in targets], tasks)


def _has_rows(view: View, physical: tuple[int, ...]) -> bool:
    """Whether a view, read for a result of that shape, has neighbours along the innermost axis, or one element."""
    strides = spread_strides(view.shape, view.strides, physical)
    inner = next((stride for size, stride in zip(reversed(physical), reversed(strides)) if size != 1), 1)
    return inner in (0, 1) and min(strides, default=0) >= 0


def _operand(low: Lowering, value: Value, layout: Layout, physical: tuple[int, ...]) -> View:
    """Where an operand is read, for a result that lies in `layout`. Dense ones read views that have rows."""
    shape = shape_of(value)
    if layout is Layout.DENSE or elements(value) == 1:
        view = low.view(value)
        return view if _has_rows(view, physical) and layout is Layout.DENSE else View.dense(low.dense(value), shape)
    batch, channels, height, width = with_rank(shape, IMAGE_RANK)
    if channels == 1:  # The same for all channels: its pixels lie in the same order in both layouts.
        return View.dense(low.dense(value), (batch, height, width, 1))
    image = (batch, channels, height, width)
    return View.dense(low.channels_last(value), physical_shape(image, dtype_of(value).itemsize, layout))


ELEMENTWISE = Rule(check_elementwise, lower_elementwise, Preference.FOLLOW)
OPERATORS = (
    "neg", "abs", "logical_not", "is_nan", "is_inf", "cast", "sign", "floor", "ceil", "round", "exp", "log", "sqrt",
    "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf",
    "bitwise_not", "reciprocal", "square", "rsqrt", "trunc",
    "add", "sub", "mul", "div", "pow", "mod", "fmod", "maximum", "minimum", "logical_and", "logical_or", "logical_xor",
    "bitwise_and", "bitwise_or", "bitwise_xor", "shift_left", "shift_right",
    "equal", "less", "less_or_equal", "greater", "greater_or_equal", "not_equal", "select", "clip",
    "sum", "max", "min", "mean",
    "relu", "leaky_relu", "thresholded_relu", "sigmoid", "log_sigmoid", "silu", "swish", "hard_sigmoid", "hard_swish",
    "elu", "selu", "celu", "softplus", "softsign", "mish", "gelu", "shrink", "prelu",
)  # fmt: skip
RULES = {**{f"mm.{name}": ELEMENTWISE for name in OPERATORS}, "fused:elementwise": ELEMENTWISE}
