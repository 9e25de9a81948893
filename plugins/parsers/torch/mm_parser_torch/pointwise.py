"""Element-wise calls under PyTorch's promotion: cast, compute, cast back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME
from mm_parser_torch.call import Call, Kind, as_value, cast, dtype

_UINT8 = BY_NAME["uint8"]


def pointwise(
    g: Graph, call: Call, build: Callable[..., Value], *operands: Any, kind: Kind = Kind.DEFAULT, single: bool = False
) -> Value:
    """`build` of the operands in the type that PyTorch computes in, cast to the result's.

    `single`: build is one operator, which itself computes halves in float32; then they need no casts. Bools are
    computed with as bytes.
    """
    compute, _ = call.promote(operands, kind)
    result = call.dtype()
    if single and compute is not result and all(isinstance(o, Value) and dtype(o) is result for o in operands):
        compute = result
    if compute.kind == "bool":
        compute = _UINT8
    values = [None if operand is None else as_value(g, operand, compute) for operand in operands]
    return cast(g, build(*values), result)
