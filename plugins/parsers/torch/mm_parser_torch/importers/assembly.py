"""Tensors made from nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME
from mm_parser_torch.call import Call, as_value, cast
from mm_parser_torch.complexes import Complex
from mm_parser_torch.sizes import Size, full, sizes_of
from mm_parser_torch.table import Family

FAMILY = Family()
op = FAMILY.op
_INT, _WIDE = BY_NAME["int64"], BY_NAME["float64"]


@op("full")
def full_(g: Graph, call: Call, sizes: Sequence[Size], value: Any, dtype: Any) -> Any:
    return full(g, as_value(g, value, call.dtype()), sizes)


@op("full_like", "fill.Scalar", "fill.Tensor")
def full_like(g: Graph, call: Call, x: Value, value: Any, *dtype: Any) -> Any:
    return full(g, as_value(g, value, call.dtype()), sizes_of(g, x))


@op("zeros", "ones", "empty.memory_format", "empty_strided", "empty_permuted")
def filled(g: Graph, call: Call, sizes: Sequence[Size], *ignored: Any) -> Any:
    """What PyTorch leaves to chance is zero."""
    return full(g, g.constant(1 if "ones" in str(call.target) else 0, call.dtype()), sizes)


@op("zeros_like", "ones_like", "empty_like")
def filled_like(g: Graph, call: Call, x: Value, *ignored: Any) -> Any:
    return full(g, g.constant(1 if "ones" in str(call.target) else 0, call.dtype()), sizes_of(g, x))


@op("scalar_tensor")
def scalar_tensor(g: Graph, call: Call, value: Any, *dtype: Any) -> Any:
    if call.examples[0].dtype.is_complex:
        return Complex(*(as_value(g, part, call.dtype()) for part in (complex(value).real, complex(value).imag)))
    return g.identity(as_value(g, value, call.dtype()))


@op("arange.start_step")
def arange(g: Graph, call: Call, start: Any, end: Any, step: Any, *dtype: Any) -> Any:
    """Counted in whole numbers where the result's are, else in float64; then cast, so that no rounding adds up."""
    result = call.dtype()
    numbers = (start, end, step)
    if result.is_float:
        ends = (as_value(g, number, _WIDE) for number in numbers)
        return cast(g, g.range(*ends), result)
    if any(isinstance(number, Value) for number in numbers):
        return cast(g, g.range(*(as_value(g, number, _INT) for number in numbers)), result)
    # PyTorch counts in int64 for int64 and in floats for narrower types, whose elements are whole all the same.
    first, last, stride = map(int, numbers) if result is _INT else numbers
    count = max(math.ceil((last - first) / stride), 0)
    return g.constant([int(start) + index * int(step) for index in range(count)], result)
