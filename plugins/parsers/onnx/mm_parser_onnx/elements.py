"""ONNX element types and ours."""

from __future__ import annotations

from mm_core.errors import ParseError, UnsupportedOpError
from mm_core.types import BY_NAME, DType

_NAMES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16",
    17: "float8_e4m3fn", 18: "float8_e4m3fnuz", 19: "float8_e5m2", 20: "float8_e5m2fnuz", 21: "uint4", 22: "int4",
    23: "float4_e2m1fn", 24: "float8_e8m0fnu", 25: "uint2", 26: "int2",
}  # fmt: skip
DTYPES: dict[int, DType] = {code: BY_NAME[name] for code, name in _NAMES.items()}
CODES: dict[DType, int] = {dtype: code for code, dtype in DTYPES.items()}
_NOT_OURS = {27: "FLOAT6E2M3", 28: "FLOAT6E3M2"}


def dtype_of(code: int, what: str) -> DType:
    """The element type that ONNX writes as `code`; `what` has it, for messages."""
    if code in DTYPES:
        return DTYPES[code]
    available = ", ".join(_NAMES.values())
    if code in _NOT_OURS:
        raise UnsupportedOpError(f"{what} has the element type {_NOT_OURS[code]}", available=available)
    raise ParseError(f"{what} has no element type: its code is {code}", available=available)
