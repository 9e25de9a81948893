"""Operations that the runtime performs itself: sequences, optionals and random streams. A sequence is a list, an
absent optional None.

Operators of the host tier that are not here call their definition's numpy reference, which needs the operator package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np

from mm_core.errors import InputError
from mm_core.types import Array, OptionalType, SequenceType, ValueType, normal_stream, uniform_stream


def _position(sequence: list[Any], position: Array | None, limit: int) -> int:
    index = limit if position is None else int(position)
    if not -len(sequence) <= index <= limit:
        raise InputError(f"position {index} is out of a sequence of {len(sequence)}")
    return index + len(sequence) if index < 0 else index


def sequence_at(sequence: list[Any], position: Array) -> Any:
    return sequence[_position(sequence, position, len(sequence) - 1)]


def sequence_insert(sequence: list[Any], tensor: Any, position: Array | None = None) -> list[Any]:
    index = _position(sequence, position, len(sequence))
    return [*sequence[:index], tensor, *sequence[index:]]


def sequence_erase(sequence: list[Any], position: Array | None = None) -> list[Any]:
    index = _position(sequence, position, len(sequence) - 1)
    return [*sequence[:index], *sequence[index + 1 :]]


def split_to_sequence(x: Array, split: Array | None = None, *, axis: int = 0, keepdims: bool = True) -> list[Array]:
    size = x.shape[axis]
    if split is None:
        pieces = np.split(x, size, axis) if size else []
        return [np.ascontiguousarray(piece if keepdims else piece.squeeze(axis)) for piece in pieces]
    sizes = [int(split)] * -(-size // max(int(split), 1)) if split.ndim == 0 else [int(n) for n in split]
    if (split.ndim == 0 and int(split) < 1) or (split.ndim and sum(sizes) != size):
        raise InputError(f"a split of {sizes} does not divide axis {axis} of size {size}")
    ends = np.cumsum(sizes)[:-1]
    return [np.ascontiguousarray(piece) for piece in np.split(x, ends, axis)]


def concat_from_sequence(sequence: list[Array], *, axis: int, new_axis: bool = False) -> Array:
    if not sequence:
        raise InputError("the sequence is empty, its concatenation has no shape")
    return np.stack(sequence, axis) if new_axis else np.concatenate(sequence, axis)


def optional_get_element(value: Any) -> Any:
    if value is None:
        raise InputError("the optional is absent", remedy="ask optional_has_element first")
    return value


HOST_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "mm.sequence_empty": lambda **_: [],
    "mm.sequence_construct": lambda *values: list(values),
    "mm.sequence_at": sequence_at,
    "mm.sequence_insert": sequence_insert,
    "mm.sequence_erase": sequence_erase,
    "mm.sequence_length": lambda sequence: np.array(len(sequence), np.int64),
    "mm.split_to_sequence": split_to_sequence,
    "mm.concat_from_sequence": concat_from_sequence,
    "mm.optional": lambda value=None, **_: value,
    "mm.optional_has_element": lambda value=None: np.array(value is not None),
    "mm.optional_get_element": optional_get_element,
    "mm.random_uniform": lambda shape, dtype, **how: uniform_stream(shape, **how),
    "mm.random_normal": lambda shape, dtype, **how: normal_stream(shape, **how),
}


def host_function(operator: str) -> Callable[..., Any]:
    """The function of an operator, called with host values and the attributes as keywords."""
    found = HOST_FUNCTIONS.get(operator)
    if found is not None:
        return found
    # Imported by name and late: running a model must not load operator definitions unless it needs one.
    lookup = import_module("mm_core.ops").lookup
    definition = lookup(operator)

    def reference(*values: Any, **attributes: Any) -> Any:
        return definition.reference(*values, **definition.normalize_attributes(attributes))

    return reference


def conformed(value: Any, type_: ValueType) -> Any:
    """A result of a host function as the plan's type of it: dense arrays of its element type, lists of them or None."""
    if isinstance(type_, OptionalType):
        return None if value is None else conformed(value, type_.element)
    if isinstance(type_, SequenceType):
        if not isinstance(value, list):
            raise InputError(f"the result is {type(value).__name__} where {type_} is expected")
        return [conformed(item, type_.element) for item in value]
    if value is None or isinstance(value, (list, tuple)):
        raise InputError(f"the result is {type(value).__name__} where {type_} is expected")
    return np.asarray(value, type_.dtype.numpy, order="C")
