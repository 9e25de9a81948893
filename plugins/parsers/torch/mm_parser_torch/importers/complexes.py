"""Complex arithmetic and Fourier transforms, on pairs of real values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME, DType
from mm_parser_torch.call import Call, as_value, axes_of, cast, dtype, rank
from mm_parser_torch.complexes import Complex, by_parts
from mm_parser_torch.importers import elementwise, indexing, movement, numbers, reduction
from mm_parser_torch.sizes import expand, product, size_of, sizes_of
from mm_parser_torch.table import Family, full_name

FAMILY = Family()
"""Importers whose arguments are real."""
COMPLEX: dict[str, Callable[..., Any]] = {}
"""Importers of calls that have a complex argument."""
_BOOL = BY_NAME["bool"]
_PRODUCTS = 4
"""The largest power that is a chain of products."""

_ALIKE = (
    (movement, (
        "view", "_unsafe_view", "reshape", "expand", "permute", "transpose.int", "t", "squeeze.dim", "squeeze.dims",
        "unsqueeze", "select.int", "slice.Tensor", "split_with_sizes", "split.Tensor", "unbind.int", "cat", "stack",
        "flip", "repeat", "diagonal", "select_scatter", "slice_scatter", "constant_pad_nd", "unfold",
    )),
    (elementwise, ("clone", "alias", "detach", "contiguous", "neg", "_neg_view", "copy", "lift_fresh_copy")),
    (indexing, ("index.Tensor", "index_select", "gather", "embedding")),
    (reduction, ("sum", "sum.dim_IntList", "mean", "mean.dim", "cumsum")),
)  # fmt: skip
for _module, _names in _ALIKE:
    for _name in map(full_name, _names):
        COMPLEX[_name] = by_parts(_module.FAMILY.importers[_name])
COMPLEX[full_name("_assert_tensor_metadata")] = numbers.assertion


def on(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare the importer of operators for complex arguments."""

    def declare(importer: Callable[..., Any]) -> Callable[..., Any]:
        COMPLEX.update(dict.fromkeys(map(full_name, names), importer))
        return importer

    return declare


def _pair(g: Graph, call: Call, operand: Any) -> tuple[Value, Value]:
    """Both parts of an operand in the result's type."""
    return _parts(g, operand, call.dtype())


def _parts(g: Graph, operand: Any, to: DType) -> tuple[Value, Value]:
    """Both parts of an operand in a type; a real one has no imaginary part."""
    if isinstance(operand, Complex):
        return cast(g, operand.real, to), cast(g, operand.imaginary, to)
    if isinstance(operand, Value):
        return cast(g, operand, to), as_value(g, 0, to)
    return as_value(g, complex(operand).real, to), as_value(g, complex(operand).imag, to)


# --- parts ------------------------------------------------------------------------------------------------------------


@FAMILY.op("view_as_complex")
def view_as_complex(g: Graph, call: Call, x: Value) -> Any:
    return _parted(g, x)


@FAMILY.op("complex")
def make_complex(g: Graph, call: Call, real: Value, imaginary: Value) -> Any:
    sizes = sizes_of(g, g.add(real, imaginary))
    return Complex(expand(g, real, sizes), expand(g, imaginary, sizes))


@FAMILY.op("polar")
def polar(g: Graph, call: Call, size: Value, angle: Value) -> Any:
    return Complex(g.mul(size, g.cos(angle)), g.mul(size, g.sin(angle)))


@on("view_as_real", "view_as_real_copy")
def view_as_real(g: Graph, call: Call, x: Complex) -> Any:
    return _joined(g, x)


@on("real")
def real(g: Graph, call: Call, x: Complex) -> Any:
    return g.identity(x.real)


@on("imag")
def imag(g: Graph, call: Call, x: Complex) -> Any:
    return g.identity(x.imaginary)


@on("_conj", "conj", "_conj_physical", "conj_physical", "resolve_conj")
def conj(g: Graph, call: Call, x: Complex) -> Any:
    return x if "resolve" in str(call.target) else Complex(x.real, g.neg(x.imaginary))


@on("abs")
def abs_(g: Graph, call: Call, x: Complex) -> Any:
    return elementwise.length(g, x.real, x.imaginary)


@on("angle")
def angle(g: Graph, call: Call, x: Complex) -> Any:
    return elementwise.atan2(g, call, x.imaginary, x.real)


@on("_to_copy", "to.dtype", "prims.convert_element_type.default")
def to_copy(g: Graph, call: Call, x: Complex, *ignored: Any) -> Any:
    if call.examples[0].dtype.is_complex:
        return Complex(*_pair(g, call, x))
    return cast(g, x.real, call.dtype())


# --- arithmetic -------------------------------------------------------------------------------------------------------


@on("add.Tensor", "add.Scalar")
def add(g: Graph, call: Call, a: Any, b: Any, alpha: Any) -> Any:
    return _sum(g, call, "add", a, b, alpha)


@on("sub.Tensor", "sub.Scalar")
def sub(g: Graph, call: Call, a: Any, b: Any, alpha: Any) -> Any:
    return _sum(g, call, "sub", a, b, alpha)


def _sum(g: Graph, call: Call, name: str, a: Any, b: Any, alpha: Any) -> Any:
    if alpha != 1:
        b = _times(g, call, b, alpha)
    return Complex(*(g.op(f"mm.{name}", x, y) for x, y in zip(_pair(g, call, a), _pair(g, call, b))))


@on("mul.Tensor", "mul.Scalar")
def mul(g: Graph, call: Call, a: Any, b: Any) -> Any:
    return _times(g, call, a, b)


def _times(g: Graph, call: Call, a: Any, b: Any) -> Complex:
    (a_real, a_imaginary), (b_real, b_imaginary) = _pair(g, call, a), _pair(g, call, b)
    return Complex(
        g.sub(g.mul(a_real, b_real), g.mul(a_imaginary, b_imaginary)),
        g.add(g.mul(a_real, b_imaginary), g.mul(a_imaginary, b_real)),
    )


@on("div.Tensor", "div.Scalar", "true_divide.Tensor")
def div(g: Graph, call: Call, a: Any, b: Any) -> Any:
    (a_real, a_imaginary), (b_real, b_imaginary) = _pair(g, call, a), _pair(g, call, b)
    size = g.add(g.square(b_real), g.square(b_imaginary))
    real = g.add(g.mul(a_real, b_real), g.mul(a_imaginary, b_imaginary))
    imaginary = g.sub(g.mul(a_imaginary, b_real), g.mul(a_real, b_imaginary))
    return Complex(g.div(real, size), g.div(imaginary, size))


@on("mm", "bmm", "matmul")
def matmul(g: Graph, call: Call, a: Any, b: Any) -> Any:
    parts = {
        (i, j): g.matmul(x, y)
        for i, x in enumerate((a.real, a.imaginary) if isinstance(a, Complex) else (a,))
        for j, y in enumerate((b.real, b.imaginary) if isinstance(b, Complex) else (b,))
    }
    if (1, 1) in parts:
        return Complex(g.sub(parts[0, 0], parts[1, 1]), g.add(parts[0, 1], parts[1, 0]))
    return Complex(parts[0, 0], parts.get((0, 1), parts.get((1, 0))))  # type: ignore[arg-type]


@on("exp")
def exp(g: Graph, call: Call, x: Complex) -> Any:
    return polar(g, call, g.exp(x.real), x.imaginary)


@on("reciprocal")
def reciprocal(g: Graph, call: Call, x: Complex) -> Any:
    return div(g, call, 1, x)


@on("square")
def square(g: Graph, call: Call, x: Complex) -> Any:
    return _times(g, call, x, x)


@on("log")
def log(g: Graph, call: Call, x: Complex) -> Any:
    return Complex(g.log(abs_(g, call, x)), angle(g, call, x))


@on("sqrt")
def sqrt(g: Graph, call: Call, x: Complex) -> Any:
    """The root with a real part that is not negative; the smaller part is made from the larger one."""
    large = g.sqrt(g.mul(g.add(abs_(g, call, x), g.abs(x.real)), 0.5))
    small = g.select(g.equal(large, 0.0), large, g.div(g.abs(x.imaginary), g.mul(large, 2.0)))
    right = g.greater_or_equal(x.real, 0.0)
    size = g.select(right, small, large)
    return Complex(g.select(right, large, small), g.select(elementwise.is_negative(g, x.imaginary), g.neg(size), size))


@on("pow.Tensor_Scalar")
def power(g: Graph, call: Call, x: Complex, exponent: Any) -> Any:
    """Small whole powers are products; others, e^(exponent * log x)."""
    if isinstance(exponent, int) and 0 < exponent <= _PRODUCTS:
        y = x
        for _ in range(exponent - 1):
            y = _times(g, call, y, x)
        return y
    return exp(g, call, _times(g, call, log(g, call, x), exponent))


@on("sin")
def sin(g: Graph, call: Call, x: Complex) -> Any:
    return Complex(g.mul(g.sin(x.real), g.cosh(x.imaginary)), g.mul(g.cos(x.real), g.sinh(x.imaginary)))


@on("cos")
def cos(g: Graph, call: Call, x: Complex) -> Any:
    return Complex(g.mul(g.cos(x.real), g.cosh(x.imaginary)), g.neg(g.mul(g.sin(x.real), g.sinh(x.imaginary))))


@on("tanh")
def tanh(g: Graph, call: Call, x: Complex) -> Any:
    """By tanh of the real part and tan of the other, which do not overflow."""
    t, s = g.tanh(x.real), g.tan(x.imaginary)
    size = g.add(g.square(g.mul(t, s)), 1.0)
    rest = g.sub(1.0, g.square(t))
    return Complex(g.div(g.mul(t, g.add(g.square(s), 1.0)), size), g.div(g.mul(s, rest), size))


@on("sigmoid")
def sigmoid(g: Graph, call: Call, x: Complex) -> Any:
    power = exp(g, call, Complex(g.neg(x.real), g.neg(x.imaginary)))
    return div(g, call, 1, Complex(g.add(power.real, 1.0), power.imaginary))


@on("sgn")
def sgn(g: Graph, call: Call, x: Complex) -> Any:
    """x over its length; 0 stays."""
    size = abs_(g, call, x)
    size = g.select(g.equal(size, 0.0), 1.0, size)
    return Complex(g.div(x.real, size), g.div(x.imaginary, size))


@on("eq.Tensor", "eq.Scalar")
def eq(g: Graph, call: Call, a: Any, b: Any) -> Any:
    return g.logical_and(*_compared(g, a, b))


@on("ne.Tensor", "ne.Scalar")
def ne(g: Graph, call: Call, a: Any, b: Any) -> Any:
    return g.logical_not(g.logical_and(*_compared(g, a, b)))


def _compared(g: Graph, a: Any, b: Any) -> list[Value]:
    """Which real and which imaginary parts are equal, in the wider type of both."""
    kinds = [dtype(x.real) if isinstance(x, Complex) else dtype(x) for x in (a, b) if isinstance(x, (Complex, Value))]
    to = max((kind for kind in kinds if kind.is_float), key=lambda kind: kind.bits)
    return [g.equal(x, y) for x, y in zip(_parts(g, a, to), _parts(g, b, to))]


@on("isnan")
def isnan(g: Graph, call: Call, x: Complex) -> Any:
    return g.logical_or(g.is_nan(x.real), g.is_nan(x.imaginary))


@on("where.self")
def where(g: Graph, call: Call, condition: Value, a: Any, b: Any) -> Any:
    truth = cast(g, condition, _BOOL)
    return Complex(*(g.select(truth, x, y) for x, y in zip(_pair(g, call, a), _pair(g, call, b))))


@on("scalar_tensor")
def scalar_tensor(g: Graph, call: Call, value: complex, *ignored: Any) -> Any:
    return Complex(*(as_value(g, part, call.dtype()) for part in (value.real, value.imag)))


@on("full", "full_like", "fill.Scalar")
def full(g: Graph, call: Call, first: Any, value: complex, *ignored: Any) -> Any:
    sizes = sizes_of(g, first.real) if isinstance(first, Complex) else first
    return Complex(*(expand(g, as_value(g, part, call.dtype()), sizes) for part in (value.real, value.imag)))


# --- Fourier transforms -----------------------------------------------------------------------------------------------


def _scaled(g: Graph, call: Call, parts: Value, x: Value, axes: Sequence[int], mode: int, done: bool) -> Any:
    """A transform's values times what the normalization asks: nothing, 1 / sqrt(n) or 1 / n; `done`: 1 / n was."""
    if mode == (2 if done else 0):
        return parts
    count = product(g, [size_of(g, x, axis) for axis in axes])
    number: Any = float(count) if isinstance(count, int) else g.cast(count, to=dtype(parts))
    factor: Any = number if done else (1 / number if isinstance(number, float) else g.reciprocal(number))
    if mode == 1:
        factor = math.sqrt(factor) if isinstance(factor, float) else g.sqrt(factor)
    return g.mul(parts, factor)


def _joined(g: Graph, x: Complex) -> Value:
    """Both parts along a new last axis."""
    last = rank(x.real)
    parts = (g.unsqueeze(part, axes=(last,)) for part in (x.real, x.imaginary))
    return g.concat(*parts, axis=last)  # type: ignore[no-any-return]


def _parted(g: Graph, parts: Value) -> Complex:
    """The parts that lie along the last axis."""
    last = rank(parts) - 1
    return Complex(*(g.gather(parts, g.constant(part, "int64"), axis=last) for part in (0, 1)))


@FAMILY.op("_fft_r2c")
def fft_r2c(g: Graph, call: Call, x: Value, dims: Sequence[int], mode: int, onesided: bool) -> Any:
    """The last axis named is halved; the others are transformed as complex numbers."""
    axes = axes_of(x, dims)
    parts = g.dft(g.unsqueeze(x, axes=(rank(x),)), axis=axes[-1], onesided=onesided)
    for axis in axes[:-1]:
        parts = g.dft(parts, axis=axis)
    return _parted(g, _scaled(g, call, parts, x, axes, mode, done=False))


@on("_fft_c2c")
def fft_c2c(g: Graph, call: Call, x: Complex, dims: Sequence[int], mode: int, forward: bool) -> Any:
    parts, axes = _joined(g, x), axes_of(x.real, dims)
    for axis in axes:
        parts = g.dft(parts, axis=axis, inverse=not forward)
    return _parted(g, _scaled(g, call, parts, x.real, axes, mode, done=not forward))


@on("_fft_c2r")
def fft_c2r(g: Graph, call: Call, x: Complex, dims: Sequence[int], mode: int, last: Any) -> Any:
    parts, axes = _joined(g, x), axes_of(x.real, dims)
    for axis in axes[:-1]:
        parts = g.dft(parts, axis=axis, inverse=True)
    length = g.constant(last, "int64") if isinstance(last, int) else last
    y = g.dft(parts, length, axis=axes[-1], inverse=True, onesided=True)
    y = g.squeeze(y, axes=(rank(x.real),))
    return _scaled(g, call, y, y, axes, mode, done=True)
