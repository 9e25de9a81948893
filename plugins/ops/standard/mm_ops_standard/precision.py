"""Sixteen-bit floats are computed in float32 and rounded once, in references and in decompositions alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mm_core.types import BY_NAME, Array

_NARROW = (BY_NAME["float16"], BY_NAME["bfloat16"])


def wide(array: Array) -> Array:
    """The array, 16-bit floats as float32."""
    return array.astype(np.float32) if any(array.dtype == dtype.numpy for dtype in _NARROW) else array


def in_float32(graph: Any, build: Callable[..., Any], *values: Any) -> Any:
    """`build(*values)` with 16-bit floats cast to float32 before and results cast back. None passes through."""
    dtype = values[0].type.dtype
    if dtype not in _NARROW:
        return build(*values)
    widened = (None if value is None else graph.cast(value, to="float32") for value in values)
    result = build(*widened)
    if isinstance(result, tuple):
        return tuple(graph.cast(item, to=dtype) for item in result)
    return None if result is None else graph.cast(result, to=dtype)
