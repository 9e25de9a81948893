"""Bits read as another element type."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ops import ALL, STRINGS, Attribute, OpDef, Operand, Result, Tier
from mm_core.types import Array, DType, as_dtype
from mm_ops_standard.checks import require


class BitCast(OpDef):
    """The bits of x as elements of the type `to`, which has as many (ONNX BitCast). A bool has 8: all but 0 is true."""

    name = "mm.bit_cast"
    tier = Tier.DEVICE
    operands = (Operand("x"),)
    results = (Result("y", "@to"),)
    dtypes = {"T": ALL - STRINGS}
    attributes = (Attribute("to", DType),)

    def infer(self, types: Any, values: Any, *, to: DType) -> Any:
        source = types[0].dtype
        fits = to not in STRINGS and _bits(source) == _bits(to)
        require(fits, f"{self.name}: the bits of {source.name} are not those of {to.name}, which has another number")
        return types[0].shape

    def reference(self, x: Array, *, to: DType) -> Array:
        source = as_dtype(x.dtype)
        if to.kind == "bool":
            return np.asarray(x.view(np.uint8) != 0)
        if _bits(source) >= 8:
            return x.view(to.numpy)
        codes = x.view(np.uint8) & np.uint8(2 ** _bits(source) - 1)
        return codes.view(to.numpy) if to.is_float else codes.astype(to.numpy)


def _bits(dtype: DType) -> int:
    return 8 if dtype.kind == "bool" else dtype.bits


OPS: tuple[type[OpDef], ...] = (BitCast,)
