"""Whether results are the expected ones: names, kinds, element types, shapes, values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mm_core.testing.case import Tolerance
from mm_core.types import Array, as_dtype


def difference(expected: Mapping[str, Any], found: Mapping[str, Any], tolerance: Tolerance) -> str:
    """The first thing that is different, as a sentence; empty if nothing is."""
    if list(expected) != list(found):
        return f"the outputs are {', '.join(found) or 'none'}, expected {', '.join(expected)}"
    differences = (_value(expected[name], found[name], name, tolerance) for name in expected)
    return next(filter(None, differences), "")


def _value(expected: Any, found: Any, where: str, tolerance: Tolerance) -> str:
    if expected is None or found is None:
        return "" if expected is found else f"{where} is {_kind(found)}, expected {_kind(expected)}"
    if isinstance(expected, (list, tuple)):
        return _sequence(expected, found, where, tolerance)
    wanted = np.asarray(expected)
    if not isinstance(found, np.ndarray):
        return f"{where} is {_kind(found)}, expected {_kind(wanted)}"
    if (found.dtype, found.shape) != (wanted.dtype, wanted.shape):
        return f"{where} is {_kind(found)}, expected {_kind(wanted)}"
    wrong = ~_close(wanted, found, tolerance)
    if not wrong.any():
        return ""
    place = tuple(int(index) for index in np.argwhere(wrong)[0])
    return (
        f"{where}{list(place) if place else ''} is {found[place]}, expected {wanted[place]}; "
        f"{int(wrong.sum())} of {wrong.size} elements differ"
    )


def _sequence(expected: Sequence[Any], found: Any, where: str, tolerance: Tolerance) -> str:
    if not isinstance(found, (list, tuple)) or len(found) != len(expected):
        return f"{where} is {_kind(found)}, expected {_kind(expected)}"
    items = enumerate(zip(expected, found))
    return next(filter(None, (_value(a, b, f"{where}[{index}]", tolerance) for index, (a, b) in items)), "")


def _close(expected: Array, found: Array, tolerance: Tolerance) -> Array:
    """Where the arrays agree, element by element; NaN agrees with NaN."""
    dtype = as_dtype(expected.dtype)
    if not (dtype.is_float or dtype.kind == "complex"):
        return np.asarray(expected == found)
    wide = np.complex128 if dtype.kind == "complex" else np.float64
    relative = max(tolerance.relative, tolerance.least_relative.get(dtype.name, 0.0))
    return np.isclose(found.astype(wide), expected.astype(wide), relative, tolerance.absolute, equal_nan=True)


def _kind(value: Any) -> str:
    if value is None:
        return "absent"
    if isinstance(value, (list, tuple)):
        return f"a sequence of {len(value)}"
    return f"{value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
