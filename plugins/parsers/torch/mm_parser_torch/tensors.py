"""Element types and tensors across the border: torch's and ours, without copying elements."""

from __future__ import annotations

import torch

from mm_core.errors import ParseError, UnsupportedOpError
from mm_core.types import BY_NAME, Array, DType, TensorData, as_dtype

_NAMES = {
    torch.bool: "bool", torch.int8: "int8", torch.int16: "int16", torch.int32: "int32", torch.int64: "int64",
    torch.uint8: "uint8", torch.uint16: "uint16", torch.uint32: "uint32", torch.uint64: "uint64",
    torch.float16: "float16", torch.bfloat16: "bfloat16", torch.float32: "float32", torch.float64: "float64",
    torch.float8_e4m3fn: "float8_e4m3fn", torch.float8_e4m3fnuz: "float8_e4m3fnuz",
    torch.float8_e5m2: "float8_e5m2", torch.float8_e5m2fnuz: "float8_e5m2fnuz",
    torch.float8_e8m0fnu: "float8_e8m0fnu",
    torch.complex64: "complex64", torch.complex128: "complex128",
}  # fmt: skip
DTYPES: dict[torch.dtype, DType] = {dtype: BY_NAME[name] for dtype, name in _NAMES.items()}
"""torch's element types that mm has."""
TORCH_DTYPES: dict[DType, torch.dtype] = {ours: theirs for theirs, ours in DTYPES.items()}
_BITS = {1: torch.uint8, 2: torch.uint16}


def dtype_of(dtype: torch.dtype, where: str = "") -> DType:
    """Our element type for torch's; UnsupportedOpError for one that we do not have."""
    if dtype not in DTYPES:
        raise UnsupportedOpError(
            f"the element type {dtype} is not offered", where=where, available=", ".join(map(str, DTYPES))
        )
    return DTYPES[dtype]


def array_of(tensor: torch.Tensor) -> Array:
    """The tensor's elements as an array that shares its memory where it lies in the host's."""
    ours = DTYPES[tensor.dtype]
    if _is_foreign(ours):
        return tensor.detach().view(_BITS[ours.itemsize]).numpy(force=True).view(ours.numpy)
    array: Array = tensor.numpy(force=True)
    return array


def tensor_of(array: Array) -> torch.Tensor:
    """An array as a tensor that shares its memory."""
    ours = as_dtype(array.dtype)
    if _is_foreign(ours):
        return torch.from_numpy(array.view(f"u{ours.itemsize}")).view(TORCH_DTYPES[ours])
    return torch.from_numpy(array)


def _is_foreign(dtype: DType) -> bool:
    """Whether numpy itself does not know the type: then bits cross the border."""
    return dtype.is_float and dtype.bits < 32 and dtype.name != "float16"


def weight_of(tensor: torch.Tensor, key: str) -> TensorData:
    """A parameter or buffer as a handle that shares its memory; elements are looked at when they are first read."""
    if tensor.layout is not torch.strided or tensor.is_quantized:
        raise UnsupportedOpError(
            f"the tensor is {'quantized' if tensor.is_quantized else tensor.layout}, a dense one is needed",
            where=key,
            remedy="use PT2E quantization" if tensor.is_quantized else "call to_dense()",
        )
    if tensor.is_meta or isinstance(tensor, torch._subclasses.FakeTensor):
        raise ParseError("the tensor has no data (it is on the meta device)", where=key, remedy="load the weights")
    return TensorData(dtype_of(tensor.dtype, key), tuple(tensor.shape), lambda: array_of(tensor), key=key)
