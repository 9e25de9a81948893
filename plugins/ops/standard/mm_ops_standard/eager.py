"""The builder's interface over numpy arrays: every operator is computed at once by its reference.

A routine that only builds (`g.add(x, y)`) then means the same in a reference and in a decomposition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mm_core.ops import lookup
from mm_core.types import Array
from mm_ops_standard.places import places
from mm_ops_standard.shapes import Size, sizes_of


class Eager:
    """`Eager().add(x, y)` is the sum. Numbers take the element type of the arrays that must have the same."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        definition = lookup(f"mm.{name}")

        def compute(*operands: Any, **attributes: Any) -> Any:
            variables = [definition.operand_schema(index).dtype for index in range(len(operands))]
            bound = {
                variable: operand.dtype
                for variable, operand in zip(variables, operands)
                if isinstance(operand, (np.ndarray, np.generic))
            }
            arrays = [
                None if operand is None else _as_array(operand, bound.get(variable))
                for variable, operand in zip(variables, operands)
            ]
            return definition.reference(*arrays, **definition.normalize_attributes(attributes))

        return compute


def _as_array(operand: Any, dtype: Any) -> Array:
    if isinstance(operand, (np.ndarray, np.generic)):
        return np.asarray(operand)
    array = np.asarray(operand, dtype)
    if dtype is None and (array.dtype == np.float64 or not array.size):
        return array.astype(np.float32 if array.size else np.int64)
    return array


def sizes(g: Any, x: Any) -> list[Size]:
    """The sizes of all axes, of an array or of a value."""
    return list(x.shape) if isinstance(g, Eager) else sizes_of(g, x)


def number(g: Any, size: Size, dtype: Any) -> Any:
    """A size as a float: a Python number where it is static."""
    return float(size) if isinstance(size, int) else g.cast(g.reshape(size, []), to=dtype)


def element_type(g: Any, x: Any) -> Any:
    """The numpy type of an array's or a value's elements."""
    return x.dtype if isinstance(g, Eager) else x.type.dtype.numpy


def counted(g: Any, size: Size) -> Any:
    """0, 1, ... size - 1."""
    return np.arange(size) if isinstance(size, int) else places(g, size)
