"""The builder's interface over numpy arrays: every operator is computed at once by its reference.

A routine that only builds (`a.add(x, y)`) then means the same in a reference and in a decomposition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mm_core.ops import lookup
from mm_core.types import Array


class Eager:
    """`Eager().add(x, y)` is the sum. Scalars take the element type of the first array."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        definition = lookup(f"mm.{name}")

        def compute(*operands: Any, **attributes: Any) -> Any:
            dtype = next((operand.dtype for operand in operands if isinstance(operand, (np.ndarray, np.generic))), None)
            arrays: list[Array | None] = [
                operand if operand is None or isinstance(operand, np.ndarray) else np.asarray(operand, dtype)
                for operand in operands
            ]
            return definition.reference(*arrays, **definition.normalize_attributes(attributes))

        return compute
