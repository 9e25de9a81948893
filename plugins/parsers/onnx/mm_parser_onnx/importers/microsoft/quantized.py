"""Products of quantized tensors whose results are floats, and activations quantized on the way."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME
from mm_parser_onnx.importers.microsoft.activation import biased
from mm_parser_onnx.importers.microsoft.attention import self_attention
from mm_parser_onnx.importers.microsoft.normalization import embedded
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import MICROSOFT, Family

FAMILY = Family(MICROSOFT)
op = FAMILY.op


@op("QuantizeLinear")
def quantize(g: Graph, node: Node) -> Any:
    zero = node.optional(2)
    to = BY_NAME["uint8"] if zero is None else node.type(2).dtype
    return g.quantize(node.input(0), node.input(1), zero, to=to, axis=_axis(node))


@op("DequantizeLinear")
def dequantize(g: Graph, node: Node) -> Any:
    return g.dequantize(node.input(0), node.input(1), node.optional(2), axis=_axis(node))


def _axis(node: Node) -> int:
    """The axis that has a scale for each index; without one the scale is for the whole tensor."""
    axis: int = node.int("axis", 0)
    return axis if node.rank(1) and -node.rank() <= axis < node.rank() else 0


def integer_product(g: Graph, a: Value, b: Value, a_zero: Value | None, b_zero: Value | None, *, scale: Value) -> Value:
    """a @ b with the zero points taken off, exact in int32, then times a scale: float32."""
    return g.mul(g.cast(g.matmul_integer(a, b, a_zero, b_zero), to="float32"), scale)  # type: ignore[no-any-return]


@op("DynamicQuantizeMatMul")
def dynamic_quantize_matmul(g: Graph, node: Node) -> Any:
    a, scale, zero = g.dynamic_quantize(node.input(0))
    y = integer_product(g, a, node.input(1), zero, node.optional(3), scale=g.mul(scale, node.input(2)))
    return biased(g, y, node.optional(4))


@op("MatMulIntegerToFloat")
def matmul_integer_to_float(g: Graph, node: Node) -> Any:
    dtype = node.type(2).dtype
    scale = g.cast(g.mul(node.scalar(2), node.input(3)), to="float32")
    y = integer_product(g, node.input(0), node.input(1), node.optional(4), node.optional(5), scale=scale)
    return biased(g, g.cast(y, to=dtype), node.optional(6))


@op("MatMulInteger16")
def matmul_integer_16(g: Graph, node: Node) -> Any:
    kinds = [node.type(index).dtype.kind for index in range(2)]
    wide = "uint32" if kinds == ["unsigned", "unsigned"] else "int32"
    return g.matmul(*(g.cast(value, to=wide) for value in node.operands()))


@op("MulInteger")
def mul_integer(g: Graph, node: Node) -> Any:
    return g.mul(*(_from_zero(g, node, index) for index in (0, 2)))


def _from_zero(g: Graph, node: Node, index: int) -> Value:
    """An operand less the zero point behind it, as int32."""
    wide = g.cast(node.input(index), to="int32")
    if node.optional(index + 1) is None:
        return wide  # type: ignore[no-any-return]
    return g.sub(wide, g.cast(node.scalar(index + 1), to="int32"))  # type: ignore[no-any-return]


@op("ReduceSumInteger")
def reduce_sum_integer(g: Graph, node: Node) -> Any:
    wide = "uint32" if node.type().dtype.kind == "unsigned" else "int32"
    axes = node.ints("axes") or None
    return g.reduce_sum(g.cast(node.input(), to=wide), axes=axes, keepdims=node.flag("keepdims", True))


@op("QGemm")
def qgemm(g: Graph, node: Node) -> Any:
    """alpha * a @ b; `C` is int32 in steps of the product. Quantized again where an output scale is given."""
    a, a_scale, a_zero, b, b_scale, b_zero = (node.optional(index) for index in range(6))
    if node.flag("transA"):
        a = g.transpose(a, permutation=(1, 0))
    if node.flag("transB"):
        b = g.transpose(b, permutation=(1, 0))
    total = biased(g, g.matmul_integer(a, b, a_zero, b_zero), node.optional(6))
    scale = g.mul(g.mul(a_scale, b_scale), node.float("alpha", 1.0))
    y = g.mul(g.cast(total, to="float32"), scale)
    if node.optional(7) is None:
        return y
    zero = node.optional(8)
    to = BY_NAME["uint8"] if zero is None else node.type(8).dtype
    return g.quantize(y, node.scalar(7), None if zero is None else node.scalar(8), to=to)


@op("QAttention")
def qattention(g: Graph, node: Node) -> Any:
    """Attention whose projection is a product of quantized tensors."""
    if node.flag("do_rotary") or node.flag("past_present_share_buffer"):
        raise node.unsupported("do_rotary and past_present_share_buffer are not offered")
    dtype = node.type(2).dtype
    scale = g.cast(g.mul(node.scalar(3), node.input(4)), to="float32")
    y = integer_product(g, node.input(0), node.input(1), node.optional(6), node.optional(7), scale=scale)
    projected = g.add(g.cast(y, to=dtype), node.input(2))
    return self_attention(g, node, projected, None, mask=5, past=8, bias=None)


@op("QEmbedLayerNormalization")
def qembed_layer_norm(g: Graph, node: Node) -> Any:
    """Inputs 2 to 6 are tables and norm, 8 to 12 their scales, 13 to 17 their zero points."""

    def real(index: int) -> Value | None:
        if node.optional(index) is None:
            return None
        return g.dequantize(node.input(index), node.scalar(index + 6), node.scalar(index + 11))  # type: ignore[no-any-return]

    tables = [real(index) for index in (2, 3, 4)]
    scale, bias = (g.dequantize(node.input(i), node.scalar(i + 6), node.scalar(i + 11)) for i in (5, 6))
    return embedded(g, node, tables, (scale, bias), mask=node.optional(7), positions=None)[:2]
