"""Checking a request's inputs against the model, and finding the sizes that the symbols stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mm_core.errors import InputError
from mm_core.types import Array, Dim, Guard, TensorSpec, TensorType, ValueType, evaluate, symbol, symbols


def as_value(value: Any, spec: TensorSpec) -> Any:
    """A request's value as the runtime holds it: C-contiguous, aligned, native-endian arrays, lists of them, or None.

    Arrays are not copied where they can be read in place. DLPack objects are accepted. InputError says what was
    expected and what came.
    """
    return _convert(value, spec.type, spec)


def _convert(value: Any, type_: ValueType, spec: TensorSpec) -> Any:
    if not isinstance(type_, TensorType):
        if type(type_).__name__ == "OptionalType":
            return None if value is None else _convert(value, type_.element, spec)
        if not isinstance(value, (list, tuple)):
            raise InputError(f"a list is expected, got {type(value).__name__}", where=f"input '{spec.name}'")
        return [_convert(item, type_.element, spec) for item in value]
    if value is None:
        raise InputError("the value is None", where=f"input '{spec.name}'", remedy=f"pass {type_}")
    if not isinstance(value, np.ndarray):
        if hasattr(value, "__dlpack__") and not isinstance(value, np.generic):
            try:
                value = np.from_dlpack(value)
            except (BufferError, RuntimeError, TypeError) as error:
                raise InputError(f"the DLPack object cannot be read: {error}", where=f"input '{spec.name}'") from error
        else:
            try:
                value = np.asarray(value)
            except (ValueError, TypeError) as error:
                raise InputError(f"the value is no array: {error}", where=f"input '{spec.name}'") from error
            if value.dtype != type_.dtype.numpy and value.dtype.kind in "biuf" and type_.dtype.kind != "string":
                value = _exact(value, type_, spec)
    array: Array = value
    if type_.dtype.kind == "string" and array.dtype.kind in "SUT":
        array = array.astype(object)
    elif not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype != type_.dtype.numpy:
        raise InputError(
            f"the element type is {array.dtype}, expected {type_.dtype.name}",
            where=f"input '{spec.name}'",
            remedy=f"convert it with .astype({str(type_.dtype.numpy)!r})",
        )
    shape = type_.shape
    if shape is not None and (
        len(shape) != array.ndim or any(type(d) is int and d != n for d, n in zip(shape, array.shape))
    ):
        raise InputError(
            f"the shape is {list(array.shape)}, expected [{', '.join(map(str, shape))}]", where=f"input '{spec.name}'"
        )
    return array if array.flags.c_contiguous and array.flags.aligned else np.array(array, order="C")


def _exact(value: Array, type_: TensorType, spec: TensorSpec) -> Array:
    """Python numbers and lists of them take the model's element type if it holds them exactly enough."""
    converted = value.astype(type_.dtype.numpy)
    if not type_.dtype.is_float and not np.array_equal(converted, value):
        raise InputError(f"the numbers do not fit {type_.dtype.name}", where=f"input '{spec.name}'")
    return converted


def bind_symbols(specs: Sequence[TensorSpec], values: Sequence[Any]) -> dict[str, int]:
    """Sizes of the symbols from the shapes of the inputs. InputError where two inputs disagree."""
    sizes = [
        (dim, size, f"dimension {axis} of input '{spec.name}'")
        for spec, value in zip(specs, values)
        if isinstance(spec.type, TensorType)
        for axis, (dim, size) in enumerate(zip(spec.shape or (), value.shape))
        if type(dim) is not int
    ]
    return solve_sizes(sizes, {})


def solve_sizes(sizes: Sequence[tuple[Dim, int, str]], known: Mapping[str, int]) -> dict[str, int]:
    """`known` and the symbols of dimensions whose size is given, with a name for messages. InputError if none fits."""
    bound = dict(known)
    pending = sorted(sizes, key=lambda item: (len(symbols(item[0])), len(str(item[0]))))
    while pending:
        left = []
        for dim, size, where in pending:
            value = evaluate(dim, bound)
            if isinstance(value, int):
                if value != size:
                    raise InputError(
                        f"{dim} is {value} here, the size is {size}",
                        where=where,
                        available=", ".join(f"{name}={number}" for name, number in bound.items()),
                    )
                continue
            name, *others = sorted(symbols(value))
            found = None if others else _solve(value, name, size)
            if found is None:
                left.append((dim, size, where))
            else:
                bound[name] = found
        if len(left) == len(pending):
            dim, size, where = left[0]
            raise InputError(f"no size of {', '.join(sorted(symbols(dim)))} makes {dim} equal to {size}", where=where)
        pending = left
    return bound


def _solve(dim: Dim, name: str, size: int) -> int | None:
    """The value of a symbol that occurs linearly in `dim`."""
    if dim == symbol(name):
        return size
    zero, one = evaluate(dim, {name: 0}), evaluate(dim, {name: 1})
    if not isinstance(zero, int) or not isinstance(one, int) or one == zero:
        return None
    candidate = (size - zero) // (one - zero)
    return candidate if candidate >= 0 and evaluate(dim, {name: candidate}) == size else None


def check_limits(
    bound: Mapping[str, int], dim_range: Mapping[str, tuple[int, int]], guards: Sequence[tuple[Guard, str]]
) -> None:
    """InputError where a size is out of the range that the model was built for, or breaks a guard."""
    for name, (least, largest) in dim_range.items():
        if name in bound and not least <= bound[name] <= largest:
            raise InputError(f"{name} is {bound[name]}, the model was built for {least} to {largest}")
    for guard, where in guards:
        left, right = evaluate(guard.left, bound), evaluate(guard.right, bound)
        if isinstance(left, int) and isinstance(right, int) and not guard.holds(left, right):
            raise InputError(guard.broken(left, right), where=where)
