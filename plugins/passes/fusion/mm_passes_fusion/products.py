"""One spelling for products with weights: `mm.matmul` by a [K, N] matrix, then `mm.add` of the bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mm_core.ir import Operation, Value
from mm_core.passes import Phase, RewritePass
from mm_core.rewrite import Reason, Rewriter, Rule, constant_of, rule, shape_of
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
    # A view, made when it is first read: backends pack weights anyway, and a copy of all of them is large.
    permutation = operation.attributes["permutation"]
    shape = tuple(data.shape[axis] for axis in permutation)
    turned = TensorData(data.dtype, shape, lambda: data.numpy().transpose(permutation))
    rewriter.replace(operation, [rewriter.constant(turned)])
    return None


@rule("mm.reshape")
def axes_through_product(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """Exporters flatten [B, S, K] to rows for a product by a matrix, and unflatten [B, S, N]; nothing needs that.

    The reshape after the product moves before it, where it meets the one that flattened.
    """
    rows, target = operation.operands
    product, bias = _product(rows)
    if rows is None or target is None or product is None:
        return None
    x, weight = product.operands
    shape, matrix = shape_of(operation.result), shape_of(weight)
    if not shape or not matrix or len(matrix) != 2 or len(shape_of(x) or ()) != 2 or constant_of(weight) is None:
        return None
    if len(shape) < 3 or shape[-1] != matrix[1]:
        return "the reshape does more than give the rows their axes back"
    if len(rows.uses) > 1 or len(product.result.uses) > 1:
        return "the rows are used elsewhere too"
    leading = rewriter.slice(target, [0], [-1], [0])
    depth = np.array([matrix[0]], target.type.dtype.numpy)  # type: ignore[union-attr]
    made = rewriter.matmul(rewriter.reshape(x, rewriter.concat(leading, depth, axis=0)), weight)
    rewriter.absorb(product, *filter(None, [rows.defining_op]))
    rewriter.replace(operation, [made if bias is None else rewriter.add(made, bias)])
    return None


def _product(rows: Value | None) -> tuple[Operation | None, Value | None]:
    """The product that made a value, and the bias vector that was added to it, if any."""
    maker = None if rows is None else rows.defining_op
    if maker is None or maker.name != "mm.add":
        return (maker, None) if maker is not None and maker.name == "mm.matmul" else (None, None)
    for value, other in (maker.operands, maker.operands[::-1]):
        inner = None if value is None else value.defining_op
        if inner is not None and inner.name == "mm.matmul" and len(shape_of(other) or ()) == 1:
            return inner, other
    return None, None


@dataclass(frozen=True)
class UnifyProducts(RewritePass):
    """`mm.gemm` and `mm.linear` become `mm.matmul` and `mm.add`, their weights transposed where that is needed.

    Operands that were flattened to rows keep their axes, so that what follows has the product's shape and can be fused.
    """

    name: ClassVar[str] = "unify-products"
    phase: ClassVar[Phase] = Phase.FOLD
    before: ClassVar[tuple[str, ...]] = ("fold-affine", "fold-constants", "simplify")
    opt_level: ClassVar[int] = 2
    rules: ClassVar[tuple[Rule, ...]] = (
        product_and_bias,
        transposed_weight,
        axes_through_product,
    )
