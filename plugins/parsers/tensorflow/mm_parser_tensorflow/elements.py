"""Element types and tensors across the border: TensorFlow's and ours, without copying elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import tensor_util

from mm_core.device import PAGE_BYTES
from mm_core.errors import ParseError, UnsupportedOpError
from mm_core.types import BY_NAME, Array, DType, TensorData

_ALIGNMENT = 64
"""Of a tensor's first byte: TensorFlow ends the process where a tensor has less."""
_EAGER = 4096
"""Constants up to this many bytes are read at once: shapes, axes and the like, which importers look at."""


def dtype_of(code: Any, where: str = "") -> DType:
    """Our element type for TensorFlow's (its enum or DType). UnsupportedOpError for one that we do not have."""
    name = str(tf.as_dtype(code).name)
    if name not in BY_NAME:
        raise UnsupportedOpError(f"the element type {name} is not offered", where=where, available=", ".join(BY_NAME))
    return BY_NAME[name]


def constant_of(proto: Any, key: str) -> TensorData:
    """A TensorProto as a handle. It keeps the message, not a copy; elements of large ones are read when needed."""
    dtype = dtype_of(proto.dtype, key)
    shape = tuple(int(dim.size) for dim in proto.tensor_shape.dim)
    if proto.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise ParseError("a constant's shape is not known", where=key, remedy="the graph is damaged: save it again")

    def load() -> Array:
        if dtype.name == "string":
            return np.array([_text(item) for item in proto.string_val] or [""], object).reshape(shape)
        try:
            return np.asarray(tensor_util.MakeNdarray(proto)).reshape(shape)
        except (ValueError, TypeError) as error:
            raise ParseError(f"a constant cannot be read: {error}", where=key) from error

    data = TensorData(dtype, shape, load, key=key)
    if data.nbytes > _EAGER:
        return data
    return TensorData.of(load(), dtype)


def array_of(tensor: Any) -> Array:
    """The elements of an eager tensor, in its own memory where it lies in the host's."""
    if tensor.dtype == tf.string:
        array = np.asarray(tensor.numpy(), object)
        return np.array([_text(item) for item in array.reshape(-1)], object).reshape(array.shape)
    try:
        return np.asarray(memoryview(tensor))
    except (TypeError, ValueError, BufferError):
        return np.asarray(tensor.numpy())


def tensor_of(array: Array) -> Any:
    """An array that nobody else has as a tensor. Large ones, which lie as TensorFlow wants them, are shared."""
    if array.nbytes >= PAGE_BYTES and array.dtype.isbuiltin and array.ctypes.data % _ALIGNMENT == 0:
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    return tf.convert_to_tensor(array)


def weight_of(tensor: Any, key: str) -> TensorData:
    """An eager tensor, such as a variable's value, as a handle that shares its memory."""
    dtype = dtype_of(tensor.dtype, key)

    def load() -> Array:
        array = array_of(tensor)
        return array if array.dtype == dtype.numpy else np.asarray(tensor.numpy()).astype(dtype.numpy)

    return TensorData(dtype, tuple(tensor.shape.as_list()), load, key=key)


def _text(item: bytes | str) -> str:
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else item
