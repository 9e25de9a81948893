"""One type for a value that may come from several places: branches, iterations, elements of a sequence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mm_core.errors import VerifyError
from mm_core.types import OptionalType, SequenceType, TensorType, ValueType, symbols


def visible_symbols(types: Iterable[ValueType | None]) -> set[str]:
    """Names of the symbols in the operands' types: those that mean the same outside a region as inside."""
    found: set[str] = set()
    for type_ in types:
        while type_ is not None and not isinstance(type_, TensorType):
            type_ = type_.element
        for dim in (type_.shape or ()) if type_ is not None else ():
            found |= symbols(dim)
    return found


def join(types: Sequence[ValueType], what: str, visible: set[str] | None = None) -> Any:
    """The type that all have: sizes that differ are unknown, and so is the shape where ranks differ.

    With `visible`, sizes that depend on other symbols are unknown too. A value may stand where an optional is expected.
    VerifyError if element types or kinds differ otherwise.
    """
    if any(isinstance(type_, OptionalType) for type_ in types):
        return OptionalType(join([_present(type_) for type_ in types], what, visible))
    first = types[0]
    if not isinstance(first, TensorType):
        if any(type(type_) is not type(first) for type_ in types):
            raise VerifyError(f"{what} is {' or '.join(map(str, dict.fromkeys(types)))}")
        return SequenceType(join([type_.element for type_ in types], what, visible))  # type: ignore[union-attr]
    if any(not isinstance(type_, TensorType) or type_.dtype is not first.dtype for type_ in types):
        raise VerifyError(f"{what} is {' or '.join(map(str, dict.fromkeys(types)))}", remedy="cast one of them")
    shapes = [type_.shape for type_ in types]  # type: ignore[union-attr]
    if any(shape is None or len(shape) != len(shapes[0] or ()) for shape in shapes):
        return TensorType(first.dtype, None)
    dims = [
        column[0] if len(set(column)) == 1 and (visible is None or symbols(column[0]) <= visible) else None
        for column in zip(*shapes)
    ]
    return TensorType(first.dtype, tuple(dims))  # type: ignore[arg-type]


def _present(type_: ValueType) -> ValueType:
    return type_.element if isinstance(type_, OptionalType) else type_
