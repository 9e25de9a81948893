"""What a region reads from the graph around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mm_core.ir import Value
from mm_core.types import TensorData


@dataclass(frozen=True)
class Captures:
    """Constants are copied into the region, values become operands of its operation and arguments of the region."""

    constants: Mapping[str, TensorData]
    values: Mapping[str, Value]

    @property
    def operands(self) -> tuple[Value, ...]:
        return tuple(self.values.values())
