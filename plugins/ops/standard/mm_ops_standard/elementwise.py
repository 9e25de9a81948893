"""What element-wise operators share: broadcasting, known values, and rows of a table made into definitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from mm_core.ops import OpDef, Tier, Trait
from mm_core.types import DType, broadcast_shapes
from mm_ops_standard.known import combine


class Elementwise(OpDef):
    """Operands broadcast by numpy's rule; `function` maps their elements.

    `known_function`, if any, does the same for partially known integers, on one element of each operand.
    """

    tier = Tier.DEVICE
    traits = frozenset({Trait.ELEMENTWISE})
    function: ClassVar[Callable[..., Any]]
    known_function: ClassVar[Callable[..., Any] | None] = None

    def infer(self, types: Any, values: Any, **attributes: Any) -> Any:
        return broadcast_shapes([type_.shape for type_ in types if type_ is not None])

    def known(self, types: Any, values: Any, **attributes: Any) -> Any:
        if self.known_function is None:
            return None
        return combine(self.known_function, *(values[index] for index in range(len(types))))

    def reference(self, *operands: Any, **attributes: Any) -> Any:
        with np.errstate(all="ignore"):
            return self.function(*operands, **attributes)


def define(
    base: type[OpDef], name: str, summary: str, function: Callable[..., Any], dtypes: frozenset[DType], **members: Any
) -> type[OpDef]:
    """A definition from one row of a table: `mm.<name>`, its numpy function and the element types it takes."""
    for member in ("known_function", "expand"):
        if callable(members.get(member)):
            members[member] = staticmethod(members[member])
    body = {
        "name": f"mm.{name}",
        "__doc__": summary,
        "__module__": base.__module__,
        "function": staticmethod(function),
        "dtypes": {"T": dtypes},
        **members,
    }
    return type("".join(word.title() for word in name.split("_")), (base,), body)
