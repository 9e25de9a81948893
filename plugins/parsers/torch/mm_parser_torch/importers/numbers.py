"""Python numbers of the program: sizes that are read, arithmetic on them, numbers taken out of tensors."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import torch

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME, DType, is_non_negative
from mm_parser_torch.call import Call, as_value, cast, dtype
from mm_parser_torch.sizes import known_size, product, size_of, sizes_of
from mm_parser_torch.table import Family

FAMILY = Family()
op = FAMILY.op
_INT, _FLOAT, _BOOL = BY_NAME["int64"], BY_NAME["float64"], BY_NAME["bool"]
_WIDTH = {_BOOL: 0, _INT: 1, _FLOAT: 2}


@op("sym_size.int")
def sym_size(g: Graph, call: Call, value: Value, dim: int) -> Any:
    return size_of(g, value, dim)


@op("sym_numel")
def sym_numel(g: Graph, call: Call, value: Value) -> Any:
    return product(g, sizes_of(g, value))


@op("sym_stride.int")
def sym_stride(g: Graph, call: Call, value: Value, dim: int) -> Any:
    """Strides of the tensor as it lies here: row-major."""
    sizes = sizes_of(g, value)
    return product(g, sizes[dim % len(sizes) + 1 :])


@op("sym_storage_offset")
def sym_storage_offset(g: Graph, call: Call, value: Value) -> Any:
    return 0


@op("sym_is_contiguous")
def sym_is_contiguous(g: Graph, call: Call, value: Value, **layout: Any) -> Any:
    return True


@op("_local_scalar_dense", "item")
def item(g: Graph, call: Call, value: Value) -> Any:
    """A number of int64, float64 or bool, as Python has it."""
    own = dtype(value)
    wide = own if own is _BOOL else _FLOAT if own.is_float else _INT
    return g.identity(g.reshape(cast(g, value, wide), []))


@op(
    "_assert_scalar", "_assert_async", "_assert_async.msg", "_assert_tensor_metadata", "sym_constrain_range",
    "sym_constrain_range_for_size", "_functional_assert_scalar", "_functional_assert_async.msg",
)  # fmt: skip
def assertion(g: Graph, call: Call, *arguments: Any) -> Any:
    """What a program asserts about its numbers changes none: the engine checks sizes itself."""
    return None


# --- functions of Python numbers --------------------------------------------------------------------------------------


def _wider(*operands: Any) -> DType:
    return max((_kind(operand) for operand in operands), key=_WIDTH.__getitem__)


def _kind(operand: Any) -> DType:
    if isinstance(operand, Value):
        return dtype(operand)
    return _BOOL if isinstance(operand, bool) else _FLOAT if isinstance(operand, float) else _INT


def _arithmetic(name: str, least: DType = _INT) -> Callable[..., Any]:
    def build(g: Graph, *operands: Any) -> Any:
        common = max(_wider(*operands), least, key=_WIDTH.__getitem__)
        return g.op(f"mm.{name}", *(as_value(g, operand, common) for operand in operands))

    return build


def floor_div(g: Graph, left: Any, right: Any) -> Any:
    """Python's //: the engine's division truncates, which is the same where neither is negative."""
    common = _wider(left, right)
    a, b = as_value(g, left, common), as_value(g, right, common)
    if common is _FLOAT:
        return g.floor(g.div(a, b))
    sizes = known_size(a), known_size(b)
    if all(size is not None and is_non_negative(size) for size in sizes):
        return g.div(a, b)
    return g.div(g.sub(a, g.mod(a, b)), b)


def _power(g: Graph, base: Any, exponent: Any) -> Any:
    if isinstance(exponent, int) and 0 <= exponent <= 8 and exponent:
        return product(g, [base] * exponent)
    return _arithmetic("pow")(g, base, exponent)


def _to_int(name: str) -> Callable[..., Any]:
    def build(g: Graph, operand: Any) -> Any:
        value = as_value(g, operand, _kind(operand))
        return value if dtype(value) is _INT else g.cast(g.op(f"mm.{name}", value), to=_INT)

    return build


def _choice(g: Graph, condition: Any, then: Any, other: Any) -> Any:
    common = _wider(then, other)
    return g.select(as_value(g, condition, _BOOL), as_value(g, then, common), as_value(g, other, common))


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    operator.add: _arithmetic("add"),
    operator.sub: _arithmetic("sub"),
    operator.mul: _arithmetic("mul"),
    operator.mod: _arithmetic("mod"),
    operator.neg: _arithmetic("neg"),
    operator.pow: _power,
    operator.floordiv: floor_div,
    operator.truediv: _arithmetic("div", _FLOAT),
    operator.eq: _arithmetic("equal"),
    operator.ne: _arithmetic("not_equal"),
    operator.lt: _arithmetic("less"),
    operator.le: _arithmetic("less_or_equal"),
    operator.gt: _arithmetic("greater"),
    operator.ge: _arithmetic("greater_or_equal"),
    operator.and_: lambda g, a, b: g.logical_and(as_value(g, a, _BOOL), as_value(g, b, _BOOL)),
    operator.or_: lambda g, a, b: g.logical_or(as_value(g, a, _BOOL), as_value(g, b, _BOOL)),
    torch.sym_not: lambda g, a: g.logical_not(as_value(g, a, _BOOL)),
    torch.sym_max: _arithmetic("maximum"),
    torch.sym_min: _arithmetic("minimum"),
    torch.sym_float: lambda g, a: as_value(g, a, _FLOAT),
    torch.sym_int: _to_int("trunc"),
    torch.sym_ite: _choice,
    torch._sym_sqrt: _arithmetic("sqrt", _FLOAT),  # type: ignore[attr-defined]
    math.ceil: _to_int("ceil"),
    math.floor: _to_int("floor"),
    math.trunc: _to_int("trunc"),
    round: _to_int("round"),
}
"""What export writes on symbolic numbers: Python's own functions and torch's variants of them."""
