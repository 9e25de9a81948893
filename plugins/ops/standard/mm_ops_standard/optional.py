"""Optionals: values that may be absent. An absent one is None on the host, a present one the value itself."""

from __future__ import annotations

from typing import Any

from mm_core.errors import VerifyError
from mm_core.ops import Arity, Attribute, OpDef, Operand, Result
from mm_core.types import OptionalType, TensorType
from mm_core.types.dtypes import bool_
from mm_ops_standard.sequence import HostOp


class OptionalMake(HostOp):
    """The value as an optional; without one, an absent value of the type in `type`."""

    name = "mm.optional"
    operands = (Operand("value", None, Arity.OPTIONAL),)
    results = (Result("y", None),)
    attributes = (Attribute("type", object, None),)
    accepts_unranked = True

    def infer(self, types: Any, values: Any, *, type: Any) -> Any:
        if types[0] is None and type is None:
            raise VerifyError(f"{self.name} needs a value or a type")
        return OptionalType(type if types[0] is None else types[0])


class OptionalHasElement(HostOp):
    """Whether the value is there, as a bool scalar. What is not an optional always is."""

    name = "mm.optional_has_element"
    operands = (Operand("value", None, Arity.OPTIONAL),)
    results = (Result("y", bool_),)
    accepts_unranked = True

    def infer(self, types: Any, values: Any) -> Any:
        return TensorType(bool_, ())


class OptionalGetElement(HostOp):
    """The value inside. Asking an absent one is an error while running."""

    name = "mm.optional_get_element"
    operands = (Operand("value", None),)
    results = (Result("y", None),)
    accepts_unranked = True

    def infer(self, types: Any, values: Any) -> Any:
        return types[0].element if isinstance(types[0], OptionalType) else types[0]


OPS: tuple[type[OpDef], ...] = (OptionalMake, OptionalHasElement, OptionalGetElement)
