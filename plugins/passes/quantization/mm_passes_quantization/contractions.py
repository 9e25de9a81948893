"""Convolutions and products of dequantized tensors with dequantized weights become one operation each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from mm_passes_fusion.regions import fuse

from mm_core.ir import Builder, Network, Operation, Value
from mm_core.passes import Pass, PassContext, PassResult, Phase
from mm_core.rewrite import constant_of, operations_to_rewrite
from mm_passes_quantization.grain import BYTES, FLOAT32, dequantized, distances_are_bytes, own
from mm_passes_quantization.postpone import RESHAPES

KINDS = {
    "mm.conv": "quantized_conv",
    "mm.gemm": "quantized_matmul",
    "mm.linear": "quantized_matmul",
    "mm.matmul": "quantized_matmul",
}
PRODUCT = "quantized_product"


@dataclass(frozen=True)
class RecognizeQuantized(Pass):
    """Dequantize, then `mm.conv`, `mm.matmul`, `mm.gemm` or `mm.linear` with dequantized weights, become `mm.fused`.

    The left operand is bytes with one known scale; the weights are constant bytes whose distances from their zero
    points are bytes too. So does an `mm.matmul` of two operands of bytes with one known scale each. It runs before
    constants are folded, which would make floats of small weights.
    """

    name: ClassVar[str] = "recognize-quantized"
    phase: ClassVar[Phase] = Phase.CANONICALIZE
    before: ClassVar[tuple[str, ...]] = ("fold-constants",)
    opt_level: ClassVar[int] = 2

    def run(self, network: Network, context: PassContext) -> PassResult:
        counts: dict[str, int] = {}
        for operation in operations_to_rewrite(network):
            kind = KINDS.get(operation.name)
            if kind is None:
                continue
            _reshape_before(operation)
            left, right = dequantized(operation.operands[0]), _maker(operation.operands[1])
            if left is None or right is None:
                continue
            if operation.name == "mm.matmul" and _is_computed(operation.operands[1]):
                kind = PRODUCT
            elif not _are_weights(right):
                continue
            fuse([own(left, operation, 0), own(right, operation, 1), operation], kind)
            counts[kind] = counts.get(kind, 0) + 1
        return PassResult(bool(counts), counts)


def _reshape_before(operation: Operation) -> None:
    """Integers that are dequantized and then reshaped for a contraction are reshaped first."""
    reshape = _maker(operation.operands[0])
    maker = dequantized(reshape.operands[0]) if reshape is not None and reshape.name in RESHAPES else None
    if reshape is None or maker is None:
        return
    assert operation.parent is not None
    builder = Builder(operation.parent, operation, maker.locations | reshape.locations)
    moved = builder.op(reshape.name, maker.operands[0], *reshape.operands[1:], **reshape.attributes)
    operation.set_operand(0, builder.dequantize(moved, *maker.operands[1:], **maker.attributes))


def _maker(value: Value | None) -> Operation | None:
    return None if value is None else value.defining_op


def _is_computed(value: Value | None) -> bool:
    """Whether a value is made of bytes, with one known scale, that are no constant."""
    maker = dequantized(value)
    return maker is not None and constant_of(maker.operands[0]) is None


def _are_weights(operation: Operation) -> bool:
    """Whether an operation dequantizes constant bytes whose distances from their zero points are bytes too."""
    if operation.name != "mm.dequantize" or operation.attributes["block_size"]:
        return False
    data, scale, *rest = operation.operands
    weights, zero = constant_of(data), constant_of(rest[0]) if rest else None
    if weights is None or weights.dtype not in BYTES or constant_of(scale) is None:
        return False
    if operation.result.type.dtype is not FLOAT32:  # type: ignore[union-attr]  # it is a tensor
        return False
    if rest and rest[0] is not None and zero is None:
        return False
    zeros = np.zeros(1, np.int16) if zero is None else zero.numpy().reshape(-1)
    return distances_are_bytes(weights, zeros, operation.attributes["axis"])
