"""Inputs for every device primitive: which forms a call takes, beside its element types. Data for `conformance`."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mm_core.ops import OpDef, Tier, Trait, dialect, lookup
from mm_core.types import DTYPES, Array, DType, as_dtype

SPECIAL = (np.nan, np.inf, -np.inf, -0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Fixed:
    """An operand that is a constant of the network, as shapes and weights are."""

    array: Array


@dataclass(frozen=True, slots=True)
class Form:
    """One way to call an operator: arrays, `Fixed` ones and None for absent operands; attributes."""

    inputs: tuple[Any, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Maker:
    """Makes arrays of one element type; `make(2, 3)` has arbitrary values."""

    def __init__(self, dtype: DType, seed: int) -> None:
        self.dtype = dtype
        self.generator = np.random.default_rng(seed)

    def __call__(self, *shape: int, low: float = -4, high: float = 5, special: bool = False) -> Array:
        """Values in [low, high), as far as the type has them; `special` strews NaN, infinities and zeros in."""
        generator, dtype = self.generator, self.dtype
        if dtype.kind == "string":
            return np.array(generator.integers(0, 100, shape).astype(str), dtype=object)
        if dtype.kind == "bool":
            return generator.random(shape) < 0.5
        if dtype.kind == "complex":
            return (generator.normal(size=shape) + 1j * generator.normal(size=shape)).astype(dtype.numpy)
        if dtype.is_integer:
            least = 0 if dtype.kind == "unsigned" else -(2 ** (min(dtype.bits, 8) - 1))
            most = 2 ** min(dtype.bits - (dtype.kind == "signed"), 7)
            return generator.integers(max(int(low), least), min(int(high), most), shape).astype(dtype.numpy)
        if dtype.name == "float8_e8m0fnu":  # has neither sign nor zero
            return (2.0 ** generator.integers(-1, np.ceil(np.log2(high)), shape)).astype(dtype.numpy)
        array = generator.uniform(low, high, shape).astype(np.float32)
        if special and dtype.bits >= 16 and array.size > len(SPECIAL):
            array.reshape(-1)[generator.choice(array.size, len(SPECIAL), replace=False)] = SPECIAL
        return array.astype(dtype.numpy)

    def places(self, limit: int, *shape: int, dtype: Any = np.int64) -> Array:
        """Indices into an axis of `limit` elements, negative ones too."""
        return self.generator.integers(-limit, limit, shape).astype(dtype)

    def distinct(self, limit: int, *shape: int) -> Array:
        """Indices of which no two along axis 0 are equal."""
        columns = [self.generator.permutation(limit)[: shape[0]] for _ in range(int(np.prod(shape[1:])))]
        return np.stack(columns, -1).reshape(shape).astype(np.int64)


def ints(*values: int) -> Fixed:
    """A constant vector of sizes or places."""
    return Fixed(np.array(values, np.int64))


def forms_of(definition: OpDef, dtype: DType, seed: int = 0) -> list[Form]:
    """The calls of an operator on an element type. LookupError for an operator that has no specimens."""
    make = Maker(dtype, seed + zlib.crc32(f"{definition.name} {dtype.name}".encode()))
    if definition.name in SPECIMENS:
        return list(SPECIMENS[definition.name](make))
    if Trait.ELEMENTWISE in definition.traits:
        return list(_elementwise(definition, make))
    if definition.name.startswith("mm.reduce_"):
        return list(_reductions(make))
    raise LookupError(f"{definition.name} has no specimens")


def device_primitives() -> tuple[OpDef, ...]:
    """The operators of the dialect `mm` that every backend should know, constants aside."""
    found = dialect("mm").values()
    return tuple(op for op in found if op.tier is Tier.DEVICE and op.name != "mm.constant")


def dtypes_of(definition: OpDef) -> tuple[DType, ...]:
    """The element types that an operator's specimens vary: those of its small numbers, else of its data."""
    variable = "Q" if "Q" in definition.dtypes else "T" if "T" in definition.dtypes else next(iter(definition.dtypes))
    return tuple(dtype for dtype in DTYPES if dtype in definition.dtypes[variable])


# ---- element by element ------------------------------------------------------------------------------------------


def _second_limits(name: str, dtype: DType) -> tuple[float, float]:
    """Values of the second operand for which the operator is defined."""
    if name in ("mm.div", "mm.mod", "mm.fmod") and dtype.is_integer:
        return 1, 5
    if name == "mm.pow" and dtype.is_integer:
        return 0, 3
    return (0, dtype.bits) if name.startswith("mm.shift_") else (-4, 5)


def _elementwise(definition: OpDef, make: Maker) -> Iterator[Form]:
    special = make.dtype.is_float
    if len(definition.operands) == 1:
        for shape in ((3, 5), (2, 3, 7), (), (0, 4)):
            yield Form((make(*shape, special=special),))
        return
    low, high = _second_limits(definition.name, make.dtype)
    for left, right in (((3, 5), (3, 5)), ((3, 5), (5,)), ((3, 1, 4), (3, 2, 1)), ((3, 4), ()), ((0, 4), (4,))):
        yield Form((make(*left, special=special), make(*right, low=low, high=high, special=special)))


def _cast(make: Maker) -> Iterator[Form]:
    """Values beyond the range of the type cast to as well, but for text."""
    for target in DTYPES:
        if {make.dtype.kind, target.kind} == {"complex", "string"}:
            continue
        if make.dtype.kind == "string":
            low, high = 0 if target.kind == "unsigned" else -2, 2 if target.bits == 2 else 5
            yield Form((make.generator.integers(low, high, (3, 4)).astype(str).astype(object),), {"to": target})
        else:
            yield Form((make(3, 4, low=-300, high=300, special=True),), {"to": target})


def _bit_cast(make: Maker) -> Iterator[Form]:
    for target in (make.dtype, *DTYPES):
        bits = [8 if dtype.kind == "bool" else dtype.bits for dtype in (make.dtype, target)]
        if bits[0] == bits[1]:
            yield Form((make(3, 4),), {"to": target})


def _select(make: Maker) -> Iterator[Form]:
    for shapes in (((3, 4), (3, 4), (3, 4)), ((3, 1), (4,), (3, 4)), ((), (3, 4), (3, 4))):
        condition = make.generator.random(shapes[0]) < 0.5
        yield Form((condition, make(*shapes[1]), make(*shapes[2])))


# ---- movement ----------------------------------------------------------------------------------------------------


def _gather(make: Maker) -> Iterator[Form]:
    for dtype in (np.int32, np.int64):
        yield Form((make(3, 4), make.places(3, 2, 2, dtype=dtype)))
    yield Form((make(3, 4), make.places(4, 3)), {"axis": -1})


def _scatter(name: str, make: Maker) -> Iterator[Form]:
    """Distinct places without a reduction, for then the order would matter; repeated ones with."""
    nd = name == "mm.scatter_nd"
    distinct = make.distinct(4, 3, 1) if nd else make.distinct(4, 3, 3)
    updates = make(3, 3)
    yield Form((make(4, 3), distinct, updates))
    if make.dtype.kind not in ("string", "complex", "bool") and make.dtype.bits >= 8:
        repeated = make.places(4, 3, 1) if nd else make.places(4, 3, 3)
        for reduction in ("add", "mul", "max", "min"):
            yield Form((make(4, 3), repeated, updates), {"reduction": reduction})


def _pad(make: Maker) -> Iterator[Form]:
    zero_exists = make.dtype.name != "float8_e8m0fnu"
    for mode in ("constant", "reflect", "edge", "wrap")[not zero_exists :]:
        yield Form((make(3, 4), ints(1, 0, 0, 2)), {"mode": mode})
    yield Form((make(3, 4), ints(-1, 2, 1, 0), make()), {})


# ---- windows and products ----------------------------------------------------------------------------------------


def _conv(make: Maker) -> Iterator[Form]:
    yield Form((make(2, 3, 6), Fixed(make(4, 3, 3))))
    yield Form((make(2, 3, 6, 5), Fixed(make(4, 3, 3, 3)), Fixed(make(4))), {"strides": (2, 1), "pads": (1, 1, 1, 1)})
    yield Form((make(1, 4, 5, 5), Fixed(make(4, 1, 3, 3))), {"group": 4, "dilations": (2, 2), "pads": (2, 2, 2, 2)})
    yield Form((make(1, 2, 5, 5), make(3, 2, 1, 1), make(3)))


def _conv_transpose(make: Maker) -> Iterator[Form]:
    yield Form((make(2, 3, 4, 4), Fixed(make(3, 2, 3, 3)), Fixed(make(2))), {"strides": (2, 2), "pads": (1, 1, 1, 1)})
    yield Form((make(1, 4, 5), make(4, 1, 2)), {"group": 4})


def _pool(make: Maker) -> Iterator[Form]:
    window = {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)}
    yield Form((make(2, 3, 6, 6),), window)
    yield Form((make(2, 3, 6, 6),), {**window, "ceil_mode": True})
    yield Form((make(2, 3, 7),), {"kernel_shape": (2,), "dilations": (2,)})


def _resize(make: Maker) -> Iterator[Form]:
    choices = {attribute.name: attribute.choices for attribute in lookup("mm.resize").attributes}
    region = Fixed(np.array([0.1, 0.0, 0.9, 1.2], np.float32))
    for mode in choices["mode"]:
        for place in choices["coordinate_transformation_mode"]:
            how = {"axes": (2, 3), "mode": mode, "coordinate_transformation_mode": place}
            yield Form((make(2, 3, 4, 5), ints(7, 3), region), how)
    yield Form((make(2, 3, 4, 4),), {"axes": (2, 3), "scales": (2.0, 2.0), "mode": "linear"})
    yield Form((make(1, 1, 8, 8), ints(3, 3)), {"axes": (2, 3), "mode": "cubic", "antialias": True})


# ---- reductions, order, quantization -----------------------------------------------------------------------------


def _reductions(make: Maker) -> Iterator[Form]:
    for axes, keepdims in ((None, True), ((1,), False), ((0, -1), True)):
        yield Form((make(3, 4, 5, low=-2, high=3),), {"axes": axes, "keepdims": keepdims})


def _arg(make: Maker) -> Iterator[Form]:
    for attributes in ({}, {"axis": -1, "keepdims": False}, {"axis": 1, "select_last_index": True}):
        yield Form((make(3, 5),), attributes)


def _scales(*shape: int) -> Array:
    return np.linspace(0.25, 1.5, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def _quantize(make: Maker) -> Iterator[Form]:
    target = {"to": make.dtype}
    reals = Maker(as_dtype("float32"), 1)
    zero = () if make.dtype.is_float else (make(4, low=0, high=2),)
    yield Form((reals(3, 4), _scales()), target)
    yield Form((reals(3, 4), _scales(4), *zero), {**target, "axis": 1})
    yield Form((reals(3, 6), _scales(3, 2)), {**target, "block_size": 3})
    for name in ("float16", "bfloat16", "float64"):
        dtype = as_dtype(name)
        yield Form((Maker(dtype, 1)(3, 4), _scales().astype(dtype.numpy)), target)


def _dequantize(make: Maker) -> Iterator[Form]:
    yield Form((make(3, 4), _scales()))
    yield Form((make(3, 4), _scales(4), make(4)), {"axis": 1})
    yield Form((make(3, 6), _scales(3, 2)), {"block_size": 3})
    for name in ("float16", "bfloat16", "float64"):
        yield Form((make(3, 4), _scales().astype(as_dtype(name).numpy)))


SPECIMENS: Mapping[str, Callable[[Maker], Iterator[Form] | Sequence[Form]]] = {
    "mm.cast": _cast,
    "mm.bit_cast": _bit_cast,
    "mm.select": _select,
    "mm.concat": lambda m: (Form((m(2, 3), m(2, 1)), {"axis": 1}), Form((m(2, 3), m(1, 3), m(2, 3)), {"axis": -2})),
    "mm.expand": lambda m: (Form((m(3, 1), ints(2, 3, 4))), Form((m(), ints(2, 2)))),
    "mm.gather": _gather,
    "mm.gather_elements": lambda m: (
        Form((m(4, 3), m.places(4, 2, 3))), Form((m(4, 3), m.places(3, 4, 5)), {"axis": 1}),
    ),
    "mm.gather_nd": lambda m: (
        Form((m(3, 4), m.places(3, 5, 2))), Form((m(3, 4), m.places(4, 3, 1)), {"batch_dims": 1}),
    ),
    "mm.pad": _pad,
    "mm.range": lambda m: (Form((Fixed(m(low=0, high=1)), Fixed(m(low=4, high=5)), Fixed(m(low=1, high=2)))),),
    "mm.reshape": lambda m: (Form((m(3, 4), ints(2, 6))), Form((m(3, 4), ints(2, -1, 1)))),
    "mm.reverse": lambda m: (Form((m(3, 4),), {"axes": (1,)}), Form((m(3, 4),))),
    "mm.scatter_elements": lambda m: _scatter("mm.scatter_elements", m),
    "mm.scatter_nd": lambda m: _scatter("mm.scatter_nd", m),
    "mm.shape": lambda m: (Form((m(3, 4),)), Form((m(3, 4, 2),), {"start": -2})),
    "mm.slice": lambda m: (
        Form((m(4, 6), ints(1, 1), ints(3, 9))), Form((m(4, 6), ints(-1), ints(-9), ints(1), ints(-2))),
    ),
    "mm.transpose": lambda m: (Form((m(2, 3, 4),), {"permutation": (2, 0, 1)}), Form((m(2, 3),))),
    "mm.argmax": _arg,
    "mm.argmin": _arg,
    "mm.cumsum": lambda m: (
        Form((m(3, 5),), {"axis": 1}), Form((m(3, 5),), {"axis": 0, "exclusive": True, "reverse": True}),
    ),
    "mm.topk": lambda m: (Form((m(3, 9), ints(2))), Form((m(9, 3), ints(4)), {"axis": 0, "largest": False})),
    "mm.matmul": lambda m: (
        Form((m(3, 4), m(4, 5))), Form((m(2, 3, 4), Fixed(m(4, 5)))), Form((m(2, 1, 3, 4), m(5, 4, 2))),
        Form((m(4), m(4))),
    ),
    "mm.conv": _conv,
    "mm.conv_transpose": _conv_transpose,
    "mm.max_pool": _pool,
    "mm.max_pool_with_indices": _pool,
    "mm.average_pool": _pool,
    "mm.resize": _resize,
    "mm.quantize": _quantize,
    "mm.dequantize": _dequantize,
}  # fmt: skip

__all__ = ["Fixed", "Form", "Maker", "device_primitives", "dtypes_of", "forms_of", "ints"]
