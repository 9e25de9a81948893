"""Element-wise expressions: what fused chains and epilogues compute, in SSA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Number = float | int
Ref = tuple[Literal["input", "node", "scalar"], Number]
"""("input", i), ("node", i) or ("scalar", value). A scalar has the element type of the operands beside it."""

C_TYPES: dict[str, str] = {
    "f32": "float", "f16": "half", "i1": "uint8_t",
    "i8": "int8_t", "i16": "int16_t", "i32": "int32_t", "i64": "int64_t",
    "ui8": "uint8_t", "ui16": "uint16_t", "ui32": "uint32_t", "ui64": "uint64_t",
}  # fmt: skip
"""The type in which an element lies in memory, by the text name of its element type: what expressions know."""

FLOATS = ("f32", "f16")
INTEGERS = tuple(name for name in C_TYPES if name not in (*FLOATS, "i1"))
SIZES: dict[str, int] = {"float": 4, "half": 2} | {
    f"{sign}int{bits}_t": bits // 8 for sign in ("", "u") for bits in (8, 16, 32, 64)
}
"""Bytes of each C type."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operation, named as in dialect `mm`: its operands, the element type of its result, `cast`'s source type.

    `dtype` is what its operands have, `result` what it gives. `flags` are those of `is_inf`.
    """

    op: str
    args: tuple[Ref, ...]
    dtype: str
    result: str
    flags: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Expression:
    """Nodes in order, the element types of the inputs that they read, and what is kept."""

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    results: tuple[Ref, ...]

    def dtype(self, ref: Ref) -> str:
        """The element type of an input or node."""
        kind, index = ref
        return self.inputs[int(index)] if kind == "input" else self.nodes[int(index)].result

    @property
    def result_dtypes(self) -> tuple[str, ...]:
        return tuple(map(self.dtype, self.results))
