"""Optionals: values that may be absent. An absent one is None on the host, a present one the value itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.errors import InputError, VerifyError
from mm_core.ops import Arity, Attribute, OpDef, Operand, Result, Tier
from mm_core.types import OptionalType, TensorType
from mm_core.types.dtypes import bool_


class OptionalMake(OpDef):
    """The value as an optional; without one, an absent value of the type in `type`."""

    name = "mm.optional"
    tier = Tier.HOST
    operands = (Operand("value", None, Arity.OPTIONAL),)
    results = (Result("y", None),)
    attributes = (Attribute("type", object, None),)
    accepts_unranked = True

    def infer(self, types: Any, values: Any, *, type: Any) -> Any:
        if types[0] is None and type is None:
            raise VerifyError(f"{self.name} needs a value or a type")
        return OptionalType(type if types[0] is None else types[0])

    def reference(self, value: Any = None, *, type: Any) -> Any:
        return value


class OptionalHasElement(OpDef):
    """Whether the value is there, as a bool scalar. What is not an optional always is."""

    name = "mm.optional_has_element"
    tier = Tier.HOST
    operands = (Operand("value", None, Arity.OPTIONAL),)
    results = (Result("y", bool_),)
    accepts_unranked = True

    def infer(self, types: Any, values: Any) -> Any:
        return TensorType(bool_, ())

    def reference(self, value: Any = None) -> Any:
        return np.array(value is not None)


class OptionalGetElement(OpDef):
    """The value inside. Asking an absent one is an error while running."""

    name = "mm.optional_get_element"
    tier = Tier.HOST
    operands = (Operand("value", None),)
    results = (Result("y", None),)
    accepts_unranked = True

    def infer(self, types: Any, values: Any) -> Any:
        return types[0].element if isinstance(types[0], OptionalType) else types[0]

    def reference(self, value: Any) -> Any:
        if value is None:
            raise InputError(f"{self.name}: the optional is absent", remedy="ask optional_has_element first")
        return value


OPS: tuple[type[OpDef], ...] = (OptionalMake, OptionalHasElement, OptionalGetElement)
