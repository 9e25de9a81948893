"""Weights as handles. Shape and element type are known at once; the bytes are fetched only when they are needed.

A handle stands for an array, which may be memory-mapped, or for a function that makes it when it is first read. A model
of many gigabytes is held without a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from mm_core.errors import InputError
from mm_core.types.dtypes import DType, as_dtype

Array = np.ndarray[Any, np.dtype[Any]]


class TensorData:
    """A constant tensor of static shape. `dtype`, `shape` and `nbytes` never cost I/O; `numpy()` may.

    `key` names the tensor in printed IR when it is too large to stand inline; equal keys mean equal data within one
    network. Arrays handed out are read-only.
    """

    __slots__ = ("_array", "_load", "dtype", "key", "shape")

    def __init__(
        self, dtype: DType, shape: tuple[int, ...], load: Callable[[], Array], *, key: str | None = None
    ) -> None:
        self.dtype = dtype
        self.shape = shape
        self.key = key
        self._load: Callable[[], Array] | None = load
        self._array: Array | None = None

    @classmethod
    def of(cls, array: Any, dtype: DType | None = None, *, key: str | None = None) -> TensorData:
        """A handle to an array in memory, which is not copied. Must not be changed afterwards."""
        values = np.asarray(array, dtype=None if dtype is None else dtype.numpy)
        if values.dtype.kind in "SUT":
            values = values.astype(object)
        data = cls(as_dtype(values.dtype), values.shape, lambda: values, key=key)
        data._accept(values)
        return data

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def is_loaded(self) -> bool:
        """Whether `numpy()` is free of I/O and computation."""
        return self._array is not None

    def numpy(self) -> Array:
        """The elements as a read-only array of the storage type."""
        if self._array is None:
            assert self._load is not None
            self._accept(self._load())
        assert self._array is not None
        return self._array

    def _accept(self, array: Array) -> None:
        if array.shape != self.shape or array.dtype != self.dtype.numpy:
            raise InputError(
                f"weight {self.key or 'without a key'} was declared {self.dtype}{list(self.shape)} "
                f"but its data is {array.dtype}{list(array.shape)}"
            )
        view = array.view()
        view.flags.writeable = False
        self._array, self._load = view, None

    def __eq__(self, other: object) -> bool:
        """Equality of contents, bit by bit; handles with one array or key need no look at the data."""
        if self is other:
            return True
        if not isinstance(other, TensorData) or (self.dtype, self.shape) != (other.dtype, other.shape):
            return False
        if self.key is not None and self.key == other.key and not (self.is_loaded and other.is_loaded):
            return True
        mine, theirs = self.numpy(), other.numpy()
        if mine is theirs:
            return True
        if mine.dtype == object:
            return bool((mine == theirs).all())
        return mine.tobytes() == theirs.tobytes()

    def __hash__(self) -> int:
        return hash((self.dtype.name, self.shape))

    def __repr__(self) -> str:
        return f"TensorData({self.dtype}{list(self.shape)}{f', {self.key!r}' if self.key else ''})"
