"""One spelling for products with weights: `mm.matmul` by a [K, N] matrix, then `mm.add` of the bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mm_core.ir import Operation, Value
from mm_core.passes import Phase, RewritePass
from mm_core.rewrite import Reason, Rewriter, Rule, constant_of, rule
from mm_core.types import TensorData


@rule("mm.gemm", "mm.linear")
def product_and_bias(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """What follows a product (bias, activation, residual) is then fused by one rule, whoever wrote the model."""
    made = operation.definition.decompose(rewriter, *_padded(operation), **operation.attributes)
    if not isinstance(made, Value):
        return "these factors have no decomposition"
    rewriter.replace(operation, [made])
    return None


def _padded(operation: Operation) -> list[Value | None]:
    operands = list(operation.operands)
    return operands + [None] * (len(operation.definition.operands) - len(operands))


@rule("mm.transpose")
def transposed_weight(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """A constant matrix is transposed now."""
    data = constant_of(operation.operands[0])
    if data is None or len(data.shape) != 2:
        return None
    array = np.ascontiguousarray(data.numpy().transpose(operation.attributes["permutation"]))
    rewriter.replace(operation, [rewriter.constant(TensorData.of(array))])
    return None


@dataclass(frozen=True)
class UnifyProducts(RewritePass):
    """`mm.gemm` and `mm.linear` become `mm.matmul` and `mm.add`, their weights transposed where that is needed."""

    name: ClassVar[str] = "unify-products"
    phase: ClassVar[Phase] = Phase.FOLD
    before: ClassVar[tuple[str, ...]] = ("fold-affine", "fold-constants")
    opt_level: ClassVar[int] = 2
    rules: ClassVar[tuple[Rule, ...]] = (product_and_bias, transposed_weight)
