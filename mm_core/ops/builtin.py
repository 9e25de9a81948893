"""The three operators that the IR itself is made of. They join the `mm` dialect of the installed operator set."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ops.definition import (
    Arity,
    Attribute,
    KnownValues,
    OpDef,
    Operand,
    RegionView,
    Result,
    Tier,
)
from mm_core.types import TensorData, TensorType

MAX_KNOWN_ELEMENTS = 1024
"""Integer and bool tensors up to this size are followed by inference as partially known values."""


class Constant(OpDef):
    """A weight: the tensor held by the attribute `value`."""

    name = "mm.constant"
    tier = Tier.DEVICE
    results = (Result("y", None),)
    attributes = (Attribute("value", TensorData),)

    def infer(self, types: Any, values: KnownValues, *, value: TensorData) -> TensorType:
        return TensorType(value.dtype, value.shape)

    def known(self, types: Any, values: KnownValues, *, value: TensorData) -> Any:
        if value.dtype.name not in ("int32", "int64", "bool") or value.size > MAX_KNOWN_ELEMENTS:
            return None
        return np.array(value.numpy().reshape(-1).tolist(), object).reshape(value.shape)

    def reference(self, *, value: TensorData) -> Any:
        return value.numpy()


class Yield(OpDef):
    """The terminator of every graph: its operands are the graph's outputs."""

    name = "mm.yield"
    tier = Tier.HOST
    operands = (Operand("values", None, Arity.VARIADIC),)
    results = ()

    def infer(self, types: Any, values: KnownValues) -> list[Any]:
        return []


class Fused(OpDef):
    """Operations that belong together, such as a convolution and what follows it. Its parts are the region's.

    The region's arguments are the operands, its outputs the results; `kind` names the operation that leads
    (`conv`, `matmul`, `elementwise`, ...). A backend may claim the whole; else the region is inlined.
    """

    name = "mm.fused"
    operands = (Operand("inputs", None, Arity.VARIADIC),)
    results = (Result("outputs", None, variadic=True),)
    attributes = (Attribute("kind", str),)
    regions = 1

    def infer(self, types: Any, values: KnownValues, *, kind: str, regions: tuple[RegionView, ...]) -> list[Any]:
        return list(regions[0].output_types)

    def decompose(self, graph: Any, *operands: Any, kind: str, regions: Any) -> Any:
        return graph.inline(regions[0], operands)


BUILTIN: tuple[type[OpDef], ...] = (Constant, Yield, Fused)
