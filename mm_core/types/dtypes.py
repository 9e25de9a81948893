"""Element types. One table states, for each, its text name, storage in numpy and kind."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from mm_core.errors import InputError


class DType:
    """An element type. Instances are singletons, compared by identity.

    `name` is what users type (`mm.float32`), `text` the MLIR spelling (`f32`), `bits` the logical width (storage may
    be wider: sub-byte types take a byte an element in memory), `numpy` the numpy dtype that stores one element.
    """

    __slots__ = ("bits", "kind", "name", "numpy", "text")

    def __init__(self, name: str, text: str, storage: Any, bits: int, kind: str) -> None:
        self.name = name
        self.text = text
        self.numpy: np.dtype[Any] = np.dtype(storage)
        self.bits = bits
        self.kind = kind

    @property
    def itemsize(self) -> int:
        """Bytes of one element in memory."""
        return self.numpy.itemsize

    @property
    def is_float(self) -> bool:
        return self.kind == "float"

    @property
    def is_integer(self) -> bool:
        return self.kind in ("signed", "unsigned")

    def __repr__(self) -> str:
        return f"mm.{self.name}"

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> str:
        return self.name if self.name != "bool" else "bool_"


bool_ = DType("bool", "i1", np.bool_, 1, "bool")
int2 = DType("int2", "i2", ml_dtypes.int2, 2, "signed")
int4 = DType("int4", "i4", ml_dtypes.int4, 4, "signed")
int8 = DType("int8", "i8", np.int8, 8, "signed")
int16 = DType("int16", "i16", np.int16, 16, "signed")
int32 = DType("int32", "i32", np.int32, 32, "signed")
int64 = DType("int64", "i64", np.int64, 64, "signed")
uint2 = DType("uint2", "ui2", ml_dtypes.uint2, 2, "unsigned")
uint4 = DType("uint4", "ui4", ml_dtypes.uint4, 4, "unsigned")
uint8 = DType("uint8", "ui8", np.uint8, 8, "unsigned")
uint16 = DType("uint16", "ui16", np.uint16, 16, "unsigned")
uint32 = DType("uint32", "ui32", np.uint32, 32, "unsigned")
uint64 = DType("uint64", "ui64", np.uint64, 64, "unsigned")
float16 = DType("float16", "f16", np.float16, 16, "float")
bfloat16 = DType("bfloat16", "bf16", ml_dtypes.bfloat16, 16, "float")
float32 = DType("float32", "f32", np.float32, 32, "float")
float64 = DType("float64", "f64", np.float64, 64, "float")
float8_e4m3fn = DType("float8_e4m3fn", "f8E4M3FN", ml_dtypes.float8_e4m3fn, 8, "float")
float8_e4m3fnuz = DType("float8_e4m3fnuz", "f8E4M3FNUZ", ml_dtypes.float8_e4m3fnuz, 8, "float")
float8_e5m2 = DType("float8_e5m2", "f8E5M2", ml_dtypes.float8_e5m2, 8, "float")
float8_e5m2fnuz = DType("float8_e5m2fnuz", "f8E5M2FNUZ", ml_dtypes.float8_e5m2fnuz, 8, "float")
float8_e8m0fnu = DType("float8_e8m0fnu", "f8E8M0FNU", ml_dtypes.float8_e8m0fnu, 8, "float")
float4_e2m1fn = DType("float4_e2m1fn", "f4E2M1FN", ml_dtypes.float4_e2m1fn, 4, "float")
complex64 = DType("complex64", "complex<f32>", np.complex64, 64, "complex")
complex128 = DType("complex128", "complex<f64>", np.complex128, 128, "complex")
string = DType("string", "!mm.string", object, 0, "string")

DTYPES: tuple[DType, ...] = (
    bool_, int2, int4, int8, int16, int32, int64, uint2, uint4, uint8, uint16, uint32, uint64, float16, bfloat16,
    float32, float64, float8_e4m3fn, float8_e4m3fnuz, float8_e5m2, float8_e5m2fnuz, float8_e8m0fnu, float4_e2m1fn,
    complex64, complex128, string,
)  # fmt: skip
BY_NAME: dict[str, DType] = {dtype.name: dtype for dtype in DTYPES}
BY_TEXT: dict[str, DType] = {dtype.text: dtype for dtype in DTYPES}
_BY_NUMPY: dict[np.dtype[Any], DType] = {dtype.numpy: dtype for dtype in DTYPES}


def as_dtype(value: object) -> DType:
    """The DType that a DType, its name or text, a numpy dtype or a Python scalar type stands for.

    Raises InputError for anything else.
    """
    if isinstance(value, DType):
        return value
    if isinstance(value, np.dtype) and value in _BY_NUMPY:
        return _BY_NUMPY[value]
    if isinstance(value, str):
        found = BY_NAME.get(value) or BY_TEXT.get(value)
        if found is not None:
            return found
    try:
        storage = None if value is None else np.dtype(value)  # type: ignore[call-overload]
    except TypeError:
        storage = None
    if storage is not None:
        if storage.kind in "SUT":
            return string
        found = _BY_NUMPY.get(storage.newbyteorder("="))
        if found is not None:
            return found
    raise InputError(
        f"{value!r} is not an element type", available=", ".join(BY_NAME), remedy="pass a name such as 'float32'"
    )
