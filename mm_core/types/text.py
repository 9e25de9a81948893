"""Types from their text: the inverse of `str` on a type."""

from __future__ import annotations

import re
from functools import lru_cache

from mm_core.errors import ParseError
from mm_core.types.dims import Dim, parse_dim
from mm_core.types.dtypes import BY_TEXT
from mm_core.types.tensor import OptionalType, SequenceType, TensorType, ValueType

_TENSOR = re.compile(
    r'tensor<(?P<dims>\*x|(?:(?:\?|\d+)x)*)(?P<dtype>![\w.]+|\w+(?:<\w+>)?)'
    r'(?:, \[(?P<names>"[^"]*"(?:, "[^"]*")*)\])?>'
)


_MAX_NESTING = 16
_MAX_DIGITS = 19


@lru_cache(maxsize=4096)
def parse_type(text: str) -> ValueType:
    """A type from its text; ParseError if it is none."""
    return _parse(text, 0)


def _parse(text: str, depth: int) -> ValueType:
    if depth > _MAX_NESTING:
        raise ParseError(f"a type nests deeper than {_MAX_NESTING}")
    for prefix, kind in (("!mm.sequence<", SequenceType), ("!mm.optional<", OptionalType)):
        if text.startswith(prefix):
            if not text.endswith(">"):
                raise ParseError(f"{text[:80]!r} is not a type")
            return kind(_parse(text[len(prefix) : -1].strip(), depth + 1))
    match = _TENSOR.fullmatch(text)
    dtype = BY_TEXT.get(match["dtype"]) if match else None
    if match is None or dtype is None:
        raise ParseError(f"{text[:80]!r} is not a type")
    if match["dims"] == "*x":
        return TensorType(dtype, None)
    names = iter(re.findall(r'"([^"]*)"', match["names"] or ""))
    shape: list[Dim] = []
    try:
        for dim in match["dims"].split("x")[:-1]:
            if len(dim) > _MAX_DIGITS:
                raise ParseError(f"the dimension {dim[:30]}... is beyond any memory")
            shape.append(parse_dim(next(names)) if dim == "?" else int(dim))
        if next(names, None) is not None:
            raise StopIteration
    except StopIteration:
        raise ParseError(f"{text[:80]!r} must name each '?' dimension once") from None
    return TensorType(dtype, tuple(shape))
