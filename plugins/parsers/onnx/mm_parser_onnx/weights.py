"""TensorProtos as weight handles. Elements are decoded when they are first read; sizes are checked at once."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from mm_core.errors import ParseError
from mm_core.types import Array, DType, TensorData
from mm_parser_onnx.elements import dtype_of
from mm_parser_onnx.external import ExternalFiles
from mm_parser_onnx.types import is_impossible

EXTERNAL = 1
_BITS = {16: np.uint16, 8: np.uint8}
_TYPED: dict[str, tuple[str, Any]] = {
    "float32": ("float_data", np.float32), "float64": ("double_data", np.float64),
    "complex64": ("float_data", np.float32), "complex128": ("double_data", np.float64),
    "int64": ("int64_data", np.int64), "uint64": ("uint64_data", np.uint64), "uint32": ("uint64_data", np.uint64),
}  # fmt: skip
"""Element type -> the field that holds it where it is not raw; all others are in int32_data."""


class Weights:
    """Makes handles of one model's tensors; `key`s are unique within the model."""

    def __init__(self, external: ExternalFiles) -> None:
        self.external = external
        self._keys: set[str] = set()

    def key(self, name: str) -> str:
        """`name`, or a new one made of it if it is taken."""
        key, count = name, 1
        while key in self._keys:
            count += 1
            key = f"{name}.{count}"
        self._keys.add(key)
        return key

    def initializer(self, tensor: Any, prefix: str, raw: memoryview | None = None) -> TensorData:
        """The handle of a named tensor; `raw` are its bytes where the message does not hold them."""
        return self.tensor(tensor, f"the initializer {tensor.name!r}", self.key(prefix + tensor.name), raw)

    def tensor(self, tensor: Any, what: str, key: str | None = None, raw: memoryview | None = None) -> TensorData:
        """The handle of any TensorProto; `what` names it in messages."""
        dtype, shape = dtype_of(tensor.data_type, what), shape_of(tensor.dims, what)
        if tensor.HasField("segment"):
            raise ParseError(f"{what} is only a segment of a tensor", remedy="save the model with whole tensors")
        if tensor.data_location == EXTERNAL:
            raw = self._external_bytes(tensor, raw_size(dtype, shape), what)
        elif raw is None and tensor.HasField("raw_data"):
            raw = memoryview(tensor.raw_data)
        load = _typed(tensor, dtype, shape, what) if raw is None else _raw(raw, dtype, shape, what)
        return TensorData(dtype, shape, load, key=key)

    def _external_bytes(self, tensor: Any, size: int, what: str) -> memoryview:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        unknown = set(entries) - {"location", "offset", "length", "checksum", "basepath"}
        if unknown:
            raise ParseError(f"{what}: external data has the unknown key {min(unknown)!r}")
        try:
            offset, length = int(entries.get("offset") or 0), int(entries.get("length") or size)
        except ValueError:
            raise ParseError(f"{what}: offset and length of external data must be numbers") from None
        _check(length, size, f"{what}: external data")
        return self.external.read(entries.get("location", ""), offset, length, what)

    def sparse(self, tensor: Any, prefix: str) -> TensorData:
        """A SparseTensorProto as a dense tensor, filled in when it is first read."""
        what = f"the sparse initializer {tensor.values.name!r}"
        shape = shape_of(tensor.dims, what)
        values, indices = self.tensor(tensor.values, what), self.tensor(tensor.indices, f"{what}: indices")
        count = values.size
        if len(values.shape) != 1 or indices.shape not in ((count,), (count, len(shape))):
            raise ParseError(f"{what}: {list(values.shape)} values do not fit indices {list(indices.shape)}")
        if count > prod(shape):
            raise ParseError(f"{what}: {count} values for {prod(shape)} elements")

        def load() -> Array:
            places = indices.numpy()
            if places.ndim == 2:
                limits = np.asarray(shape, np.int64)
            else:
                limits = np.asarray(prod(shape), np.int64)
            if ((places < 0) | (places >= limits)).any():
                raise ParseError(f"{what}: an index is outside the shape {list(shape)}")
            dense = np.zeros(shape, values.dtype.numpy)
            if places.ndim == 2:
                dense[tuple(places.T)] = values.numpy()
            else:
                dense.reshape(-1)[places] = values.numpy()
            return dense

        return TensorData(values.dtype, shape, load, key=self.key(prefix + tensor.values.name))


def shape_of(dims: Any, what: str) -> tuple[int, ...]:
    """The shape of a tensor with data. ParseError for sizes that no tensor has."""
    shape = tuple(map(int, dims))
    if min(shape, default=0) < 0 or is_impossible(shape):
        raise ParseError(f"{what} has the impossible shape {list(shape)}")
    return shape


def raw_size(dtype: DType, shape: tuple[int, ...]) -> int:
    """Bytes of the serialised elements; those of less than 8 bits are packed."""
    count = prod(shape)
    return -(-count * dtype.bits // 8) if _is_packed(dtype) else count * dtype.itemsize


def _is_packed(dtype: DType) -> bool:
    return dtype.bits < 8 and dtype.kind not in ("bool", "string")


def _check(given: int, wanted: int, what: str) -> None:
    if given != wanted:
        raise ParseError(f"{what}: {given} given, the shape and element type need {wanted}")


def _typed(tensor: Any, dtype: DType, shape: tuple[int, ...], what: str) -> Callable[[], Array]:
    """Elements in the field that ONNX has for their type."""
    if dtype.kind == "string":
        return _strings(tensor.string_data, shape, what)
    field, storage = _TYPED.get(dtype.name, ("int32_data", np.int32))
    items = getattr(tensor, field)
    count = prod(shape) * (2 if dtype.kind == "complex" else 1)
    if _is_packed(dtype):
        count = raw_size(dtype, shape)
    _check(len(items), count, f"{what}: {field}")
    return lambda: _decode(np.fromiter(items, storage, count), dtype, shape)


def _raw(data: memoryview, dtype: DType, shape: tuple[int, ...], what: str) -> Callable[[], Array]:
    if dtype.kind == "string":
        raise ParseError(f"{what}: strings cannot be raw bytes")
    _check(len(data), raw_size(dtype, shape), f"{what}: bytes")
    if _is_packed(dtype):
        return lambda: unpack(np.frombuffer(data, np.uint8), dtype, shape)
    return lambda: np.frombuffer(data, dtype.numpy).reshape(shape)


def unpack(packed: Array, dtype: DType, shape: tuple[int, ...]) -> Array:
    """Elements of 2 or 4 bits, the first one in the lowest bits of a byte."""
    places = np.arange(0, 8, dtype.bits).astype(np.uint8)
    codes: Array = (packed[:, None] >> places) & np.uint8(2**dtype.bits - 1)
    codes = codes.reshape(-1)[: prod(shape)].reshape(shape)
    if dtype.is_float:
        return codes.view(dtype.numpy)
    if dtype.kind == "signed":
        sign = np.int8(2 ** (dtype.bits - 1))
        codes = (codes.astype(np.int8) ^ sign) - sign
    return np.asarray(codes).astype(dtype.numpy)


def _decode(items: Array, dtype: DType, shape: tuple[int, ...]) -> Array:
    if _is_packed(dtype):
        return unpack(items.astype(np.uint8), dtype, shape)
    if dtype.kind == "complex":
        return items.view(dtype.numpy).reshape(shape)
    if dtype.is_float and dtype.bits <= 16:
        return items.astype(_BITS[dtype.bits]).view(dtype.numpy).reshape(shape)
    return items.astype(dtype.numpy, copy=False).reshape(shape)


def _strings(items: Any, shape: tuple[int, ...], what: str) -> Callable[[], Array]:
    _check(len(items), prod(shape), f"{what}: string_data")

    def load() -> Array:
        array = np.empty(len(items), object)
        array[:] = [item.decode("utf-8", "replace") for item in items]
        return array.reshape(shape)

    return load
