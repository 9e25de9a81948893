"""Convolutions and products between dequantization and quantization, computed on the bytes themselves.

A region of the kind "quantized_conv" or "quantized_matmul" dequantizes its first operand and its weights, contracts
them, and goes on element by element, perhaps to bytes again. Here the bytes are contracted, and everything else is
the epilogue: what zero points and an int32 bias contribute is one vector of int32, scales are one of float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mm_backend_cpu.codegen.conv import ConvSpec
from mm_backend_cpu.codegen.expression import Epilogue, Expression, Node, Ref
from mm_backend_cpu.codegen.gemm import GemmSpec
from mm_backend_cpu.codegen.integer import MOST_TERMS, refuse_byte_conv
from mm_backend_cpu.codegen.operations import BYTE_RANGES
from mm_backend_cpu.codegen.quads import ByteInput, centred, zero_point_share
from mm_backend_cpu.codegen.strides import product
from mm_backend_cpu.lowering.convolution import SMALL_CHANNELS
from mm_backend_cpu.lowering.elementwise import parts_of
from mm_backend_cpu.lowering.epilogue import EpilogueBuilder, refuse_tail, tail_of
from mm_backend_cpu.lowering.expressions import Grain, whole_tensor_grain
from mm_backend_cpu.lowering.lowering import Lowering, constant_data, outside, shape_of, tensor_type
from mm_backend_cpu.lowering.view import channels_last_order
from mm_backend_cpu.lowering.windows import Window, window_of
from mm_backend_cpu.tuning.problems import byte_conv_problem, byte_gemm_problem
from mm_core.ir import Operation, Value
from mm_core.types import Array, Shape, TensorData

_MOST_BIAS = 1 << 30
_BIAS_ERROR = 1e-6  # of a bias that came from int32, through float32


@dataclass(frozen=True)
class _Parts:
    """A region taken apart. `weights`, less their zero points, and their `scales` have the outputs first.

    `rest` follows the contraction.
    """

    root: Operation
    alias: dict[Value, Value | None]
    x: Value
    grain: Grain
    weights: NDArray[np.int8]
    weight: Value
    scales: NDArray[np.float32]
    outputs_axis: int
    bias: Value | None
    rest: tuple[Operation, ...]

    def form(self, channels: int) -> ByteInput:
        """The left operand as kernels see it."""
        return ByteInput(channels, tensor_type(self.x).dtype.text == "i8", self.grain.zero_point)


def _parts(operation: Operation) -> _Parts | str:
    """The region's parts, or why it is none that the kernels here can compute."""
    operations, alias, results = parts_of(operation)
    roots = [op for op in operations if op.name in ("mm.conv", "mm.matmul", "mm.gemm", "mm.linear")]
    if len(roots) != 1 or len(results) != 1:
        return "a quantized region has one contraction and one result"
    root = roots[0]
    left, right = (None if value is None else value.defining_op for value in root.operands[:2])
    if left is None or right is None or {left.name, right.name} != {"mm.dequantize"}:
        return "an operand that is not dequantized in the region"
    x, weight = (outside(op.operands[0], alias) for op in (left, right))  # type: ignore[arg-type]
    grain, weights = whole_tensor_grain(left, alias), constant_data(weight)
    if grain is None or tensor_type(x).dtype.text not in BYTE_RANGES or tensor_type(left.result).dtype.text != "f32":
        return "images other than bytes with one known scale in float32"
    if weights is None or weights.dtype.text not in BYTE_RANGES or 0 in (*weights.shape, *shape_of(x)):
        return "weights that are not constant bytes"
    axis = _outputs_axis(root, len(weights.shape))
    if isinstance(axis, str):
        return axis
    steps = _weight_steps(right, alias, weights, axis)
    if isinstance(steps, str):
        return steps
    bias = root.operands[2] if len(root.operands) > 2 else None
    bias = None if bias is None else outside(bias, alias)
    outputs = weights.shape[axis]
    if bias is not None and (shape_of(bias)[-1:] != (outputs,) or any(dim != 1 for dim in shape_of(bias)[:-1])):
        return "a bias that is not a vector over the outputs"
    rest = tuple(op for op in operations if op not in (root, left, right) and op.name != "mm.constant")
    scales, zeros = steps
    distances = centred(np.moveaxis(weights.numpy(), axis, 0), zeros)
    if distances is None:
        return "weights whose distances from their zero point need more than eight bits"
    return _Parts(root, alias, x, grain, distances, weight, scales, axis, bias, rest)


def _outputs_axis(root: Operation, rank: int) -> int | str:
    """The axis of the weights that counts outputs."""
    if root.name == "mm.conv":
        return 0
    if rank != 2:
        return "weights that are not one matrix"
    attributes = root.attributes
    if root.name == "mm.gemm":
        if attributes["trans_a"] or attributes["alpha"] != 1.0 or attributes["beta"] != 1.0:
            return "a gemm that scales or transposes its left operand"
        return 0 if attributes["trans_b"] else 1
    return 0 if root.name == "mm.linear" else 1


def _weight_steps(
    right: Operation, alias: dict[Value, Value | None], weights: TensorData, axis: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]] | str:
    """Scales and zero points, one for each output."""
    values = [None if value is None else constant_data(outside(value, alias)) for value in right.operands]
    scale, zero = values[1], values[2] if len(values) > 2 else None
    if scale is None or scale.dtype.text != "f32" or right.attributes["block_size"]:
        return "weights without known scales for each output"
    if len(right.operands) > 2 and right.operands[2] is not None and zero is None:
        return "zero points of weights known only when running"
    if scale.size != 1 and right.attributes["axis"] % len(weights.shape) != axis:
        return "weights scaled along another axis than the outputs"
    outputs = weights.shape[axis]
    zeros = np.zeros(1, np.int32) if zero is None else zero.numpy().reshape(-1).astype(np.int32)
    return (
        np.ascontiguousarray(np.broadcast_to(scale.numpy().reshape(-1), (outputs,))),
        np.broadcast_to(zeros, (outputs,)),
    )


# ---- the epilogue -----------------------------------------------------------------------------------------------


def _check_rest(parts: _Parts, operation: Operation, channel_axis: int) -> str:
    """Why what follows cannot be computed with the contraction; empty if it can."""
    shape = shape_of(parts.root.result)
    if shape_of(operation.result) != shape:
        return "a quantized region whose result has another shape"
    return refuse_tail(parts.root.result, parts.rest, parts.alias, channel_axis)


def _epilogue(
    low: Lowering, parts: _Parts, shape: Shape, channel_axis: int, tensor: Callable[[Value], int]
) -> tuple[Epilogue, list[int]]:
    """What is done to sums in int32, which still hold the zero point's share, and the buffers that it reads."""
    tail = tail_of(parts.root.result, parts.rest, parts.alias)
    data = None if parts.bias is None else constant_data(parts.bias)
    expression, factor = tail.expression, 1.0
    if parts.bias is None or data is not None:
        expression, factor = leading_factor(expression)
    scales = np.float32(parts.grain.scale) * parts.scales
    offsets = zero_point_share(parts.weights, parts.form(1).unsigned_zero)
    whole = None if data is None else _whole_bias(data.numpy().reshape(-1), scales)
    if whole is not None:
        offsets = offsets + whole
    builder = EpilogueBuilder(low, shape, channel_axis, tensor)
    if offsets.any():
        builder.apply("add", builder.vector(low.constant(offsets)))
    builder.apply("cast", to="f32")
    builder.apply("mul", builder.vector(low.constant(scales * np.float32(factor))))
    if parts.bias is not None and whole is None:
        known = None if data is None else low.constant(data.numpy().reshape(-1) * np.float32(factor))
        builder.apply("add", builder.vector(low.dense(parts.bias) if known is None else known))
    return builder.finish(expression, tail.inputs[1:], low.dense)


def _whole_bias(bias: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.int32] | None:
    """A bias in steps of the scales, if it was made of int32 in these steps, as quantizers do."""
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.rint(bias.astype(np.float64) / scales)
    if not (np.abs(steps) < _MOST_BIAS).all() or (np.abs(steps * scales - bias) > _BIAS_ERROR * np.abs(bias)).any():
        return None
    return steps.astype(np.int32)


def leading_factor(expression: Expression) -> tuple[Expression, float]:
    """What remains of an expression once the scales have taken in a factor that it begins with.

    Limits before a quantization that its range implies are left out first.
    """
    uses = sum(ref == ("input", 0) for node in expression for ref in node.args)
    if len(expression) >= 3 and uses == 1 and _is_implied(*expression[:3]):
        expression = _without_first(expression)
    if not expression or uses != 1:
        return expression, 1.0
    first = expression[0]
    if first.op not in ("mul", "div") or first.args[0] != ("input", 0) or first.args[1][0] != "scalar":
        return expression, 1.0
    number = first.args[1][1]
    return _without_first(expression), number if first.op == "mul" else 1.0 / number


def _without_first(expression: Expression) -> Expression:
    """The expression whose first node was its input."""

    def moved(ref: Ref) -> Ref:
        if ref == ("node", 0):
            return ("input", 0)
        return ("node", int(ref[1]) - 1) if ref[0] == "node" else ref

    return tuple(Node(node.op, tuple(map(moved, node.args)), node.attributes) for node in expression[1:])


def _is_implied(limit: Node, factor: Node, quantize: Node) -> bool:
    """Whether the range of the bytes that numbers become limits them no less than the first node does."""
    if limit.op not in ("relu", "clip") or factor.op not in ("mul", "div"):
        return False
    if quantize.op not in ("quantize", "whole_steps"):
        return False
    if factor.args[0] != ("node", 0) or factor.args[1][0] != "scalar" or quantize.args != (("node", 1),):
        return False
    bounds = {"min": 0.0} if limit.op == "relu" else dict(limit.attributes)
    attributes = dict(quantize.attributes)
    zero, (low, high) = int(attributes["zero_point"] or 0), BYTE_RANGES[str(attributes["to"])]
    steps = factor.args[1][1] if factor.op == "mul" else 1.0 / factor.args[1][1]
    least, most = bounds.get("min"), bounds.get("max")
    below = least is None or float(least) * steps + zero <= low
    return below and (most is None or float(most) * steps + zero >= high)


# ---- convolution ------------------------------------------------------------------------------------------------


def check_quantized_conv(operation: Operation) -> str:
    """Why a quantized convolution has no kernel on bytes."""
    parts = _parts(operation)
    if isinstance(parts, str):
        return parts
    shape, result = shape_of(parts.x), shape_of(parts.root.result)
    if len(shape) not in (3, 4):
        return f"a convolution in {len(shape) - 2} dimensions"
    if not all(isinstance(dim, int) and dim > 0 for dim in (*shape[1:], *result[1:])):
        return "an image size known only when running"
    window = window_of(parts.root)
    if isinstance(window, str):
        return window
    return refuse_byte_conv(_conv_spec(parts, window)) or _check_rest(parts, operation, 1)


def _conv_spec(parts: _Parts, window: Window) -> ConvSpec:
    shape, weights = shape_of(parts.x), parts.weights.shape
    spatial: Any = shape[2:] if len(shape) == 4 else (1, shape[2])
    channels: Any = shape[1]
    return ConvSpec(
        images=shape[0],
        channels=channels,
        height=spatial[0],
        width=spatial[1],
        outputs=weights[0],
        kernel=window.pair(window.kernel, 1),
        strides=window.pair(window.strides, 1),
        pads=window.four_pads(),
        dilations=window.pair(window.dilations, 1),
        groups=parts.root.attributes["group"],
        bytes=parts.form(channels),
    )


def lower_quantized_conv(low: Lowering, operation: Operation) -> None:
    """A convolution of bytes in NHWC."""
    assert low.isa is not None
    parts, order = _checked(operation), channels_last_order(len(shape_of(operation.result)))
    window = window_of(parts.root)
    assert isinstance(window, Window)
    spec = _conv_spec(parts, window)
    few = low.view(parts.x).is_dense and spec.channels < SMALL_CHANNELS and spec.groups == 1

    def nhwc(value: Value) -> int:
        return low.ordered(value, order).buffer

    spec = replace(spec, input_layout="NCHW" if few else "NHWC")
    epilogue, buffers = _epilogue(low, parts, shape_of(operation.result), 1, nhwc)
    problem = byte_conv_problem(replace(spec, epilogue=epilogue), low.isa, low.chooser.threads)
    choice = low.chooser.choose(problem)
    kernel = choice.kernel

    def pack(_: Array) -> Array:
        return kernel.pack(parts.weights.reshape(*parts.weights.shape[:2], *spec.kernel))

    packed = low.packed(parts.weight, kernel.source.symbol, pack)
    source = low.view(parts.x).buffer if few else nhwc(parts.x)
    output = low.result(operation.result, order)
    low.generated(kernel.source, [source, packed, *buffers], [output], _name("conv", parts), choice)


# ---- matrix product ---------------------------------------------------------------------------------------------


def check_quantized_matmul(operation: Operation) -> str:
    """Why a quantized product has no kernel on bytes."""
    parts = _parts(operation)
    if isinstance(parts, str):
        return parts
    shape, reduction = shape_of(parts.x), parts.weights.shape[1]
    if len(shape) < 2 or not isinstance(reduction, int):
        return "an operand that is a vector"
    if reduction > MOST_TERMS:
        return f"sums of {reduction} products of bytes may not fit int32"
    return _check_rest(parts, operation, len(shape) - 1)


def lower_quantized_matmul(low: Lowering, operation: Operation) -> None:
    """A product of bytes with constant weights."""
    assert low.isa is not None
    parts, shape = _checked(operation), shape_of(operation.result)
    reduction: Any = parts.weights.shape[1]
    outputs: Any = shape[-1]
    epilogue, buffers = _epilogue(low, parts, shape, len(shape) - 1, low.dense)
    spec = GemmSpec(product(shape[:-1]), outputs, reduction, epilogue, parts.form(reduction))
    choice = low.chooser.choose(byte_gemm_problem(spec, low.isa, low.chooser.threads))
    kernel = choice.kernel

    def pack(_: Array) -> Array:
        return kernel.pack(parts.weights.T)

    packed = low.packed(parts.weight, kernel.source.symbol + f"/{parts.outputs_axis}", pack)
    left = low.dense(parts.x)
    output = low.result(operation.result)
    low.generated(kernel.source, [left, packed, *buffers], [output], _name("gemm", parts), choice)


def _checked(operation: Operation) -> _Parts:
    parts = _parts(operation)
    assert isinstance(parts, _Parts)
    return parts


def _name(kind: str, parts: _Parts) -> str:
    return "+".join([f"{tensor_type(parts.x).dtype.text}_{kind}", *(op.name.removeprefix("mm.") for op in parts.rest)])
