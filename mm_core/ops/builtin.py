"""The four operators that the IR itself is made of. They join the `mm` dialect of the installed operator set."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.errors import InputError, UnsupportedOpError
from mm_core.ops.definition import (
    INDEX,
    Arity,
    Attribute,
    KnownValues,
    OpDef,
    Operand,
    RegionView,
    Result,
    Tier,
)
from mm_core.types import TensorData, TensorType, symbol

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


class Sizes(OpDef):
    """The integers of x as sizes: from here on they may stand in shapes, under the names given, one an element.

    This is where data become dimensions. The runtime reads x on the host, refuses negative numbers, and binds the
    names for all that follows in the same block. `Builder.sizes` makes one with names that are new to the graph.
    """

    name = "mm.sizes"
    tier = Tier.HOST
    operands = (Operand("x", "I"),)
    results = (Result("y", "I"),)
    dtypes = {"I": INDEX}
    attributes = (Attribute("names", (str,)),)

    def infer(self, types: Any, values: KnownValues, *, names: tuple[str, ...]) -> Any:
        shape = types[0].shape
        if len(shape) > 1 or types[0].element_count() != len(names):
            raise UnsupportedOpError(
                f"{self.name}: {len(names)} names for {types[0]}", remedy="give a scalar or vector of static length"
            )
        return shape

    def known(self, types: Any, values: KnownValues, *, names: tuple[str, ...]) -> Any:
        given = values[0]
        before = [None] * len(names) if given is None else given.reshape(-1).tolist()
        known = [symbol(name) if element is None else element for name, element in zip(names, before)]
        return np.array([*known, None], object)[:-1].reshape(types[0].shape)

    def reference(self, x: Any, *, names: tuple[str, ...]) -> Any:
        if x.size and x.min() < 0:
            raise InputError(f"a size is {x.min()}", remedy="sizes are at least 0: check what they are computed from")
        return x


BUILTIN: tuple[type[OpDef], ...] = (Constant, Yield, Fused, Sizes)
