"""Element-wise operators on the emulated device: element types, special values, broadcasting, fused chains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mlu_networks import SPECIAL, check, floats, integers

import mm_core as mm

ACTIVATIONS = (
    "relu", "leaky_relu", "thresholded_relu", "sigmoid", "log_sigmoid", "silu", "swish", "hard_sigmoid", "hard_swish",
    "elu", "selu", "celu", "softplus", "softsign", "mish", "gelu", "shrink",
)  # fmt: skip
FUNCTIONS = (
    "neg", "abs", "sign", "floor", "ceil", "round", "trunc", "exp", "log", "sqrt", "rsqrt", "sin", "cos", "tan", "asin",
    "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "reciprocal", "square", "is_nan",
    "is_inf",
)  # fmt: skip
BINARY = (
    "add", "sub", "mul", "div", "pow", "mod", "fmod", "maximum", "minimum", "equal", "not_equal", "less",
    "less_or_equal", "greater", "greater_or_equal",
)  # fmt: skip
INTEGER = (
    "add", "sub", "mul", "div", "mod", "fmod", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor",
    "equal", "less",
)  # fmt: skip


def with_specials(dtype: Any) -> np.ndarray:
    return np.concatenate([SPECIAL, floats(90)]).astype(dtype)


@pytest.mark.parametrize("names", [ACTIVATIONS, FUNCTIONS], ids=["activations", "functions"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_unary(names: tuple[str, ...], dtype: Any) -> None:
    check(lambda n, x: [getattr(n, name)(x) for name in names], with_specials(dtype))


@pytest.mark.parametrize(("dtype", "absolute"), [(np.float32, 1e-5), (np.float16, 4e-3)])
def test_binary(dtype: Any, absolute: float) -> None:
    """Special values meet each other: the second operand is the first one, turned round and shifted."""
    x = with_specials(dtype)
    check(
        lambda n, x, y: [getattr(n, name)(x, y) for name in BINARY], x, np.roll(x[::-1], 3), tolerances=(1e-2, absolute)
    )


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
def test_integers(dtype: Any) -> None:
    """Divisors of zero, shifts by more than the width, and results that wrap."""
    low = 0 if np.dtype(dtype).kind == "u" else -9
    x, y = integers(7, 13, low=low, dtype=dtype), integers(7, 13, low=low, dtype=dtype, seed=1)
    x[0, :2] = np.iinfo(dtype).min, np.iinfo(dtype).max
    y[0, :2] = (-1, 2) if low else (1, 2)

    def build(n: Any, x: Any, y: Any, count: Any) -> list[Any]:
        made = [getattr(n, name)(x, y) for name in INTEGER]
        made += [getattr(n, name)(x) for name in ("neg", "abs", "sign", "bitwise_not")]
        return [*made, n.shift_left(x, count), n.shift_right(x, count), n.pow(x, count)]

    check(build, x, y, integers(7, 13, low=0, high=7, dtype=dtype, seed=2))


def test_truth_values() -> None:
    names = ("logical_and", "logical_or", "logical_xor", "equal")
    x, y = (integers(5, 9, low=0, high=2, dtype=np.bool_, seed=seed) for seed in (0, 1))
    check(lambda n, x, y: [*(getattr(n, name)(x, y) for name in names), n.logical_not(x)], x, y)


def test_tiles_of_bytes_are_whole_lines() -> None:
    """Tiles of 5 rows of 64 bytes: the second one of a pair begins at a line too."""
    x, y = integers(1, 4, 1, 6, low=0, high=2, dtype=np.bool_), integers(3, 1, 5, 6, low=0, high=2, dtype=np.bool_)
    check(lambda n, x, y: [n.logical_and(x, y), n.logical_xor(y, x)], x, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_conditions_are_computed_beside_the_numbers(dtype: Any) -> None:
    """Masks from comparisons and from memory, combined and chosen by; infinities stay where they belong."""
    x = with_specials(dtype)

    def build(n: Any, x: Any, y: Any, mask: Any) -> list[Any]:
        inner = n.logical_and(n.less(x, y), n.logical_not(n.equal(x, 0.0)))
        return [
            n.select(inner, x, y),
            n.select(mask, x, -1.5),
            n.select(n.logical_or(inner, mask), n.constant(np.array(np.inf, dtype)), y),
            n.logical_or(inner, n.is_nan(x)),
            n.cast(inner, to=mm.float32),
        ]

    check(build, x, x[::-1].copy(), integers(100, low=0, high=2, dtype=np.bool_))


@pytest.mark.parametrize(
    "dtype", [np.float32, np.float16, np.bool_, np.int8, np.uint8, np.int16, np.int32, np.int64, np.uint64]
)
def test_casts(dtype: Any) -> None:
    """Fractions are cut, what is out of range goes to its end, NaN is zero."""
    targets = [mm.float32, mm.float16, mm.bool_, mm.int8, mm.uint8, mm.int16, mm.int32, mm.uint32, mm.int64, mm.uint64]
    if np.dtype(dtype).kind == "f":
        numbers = [3.7, -3.7, 0, -0.0, 100, -100, np.nan, np.inf, -np.inf, 1e4, -1e4, 7e4, 3e9, -3e9, 1e20]
        with np.errstate(over="ignore"):
            x = np.array(numbers).astype(dtype)
    else:
        x = integers(15, low=0, high=100, dtype=dtype)
    check(lambda n, x: [n.cast(x, to=to) for to in targets], x)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((2, 3, 4), (4,)), ((2, 3, 4), (3, 1)), ((2, 3, 4), (2, 1, 1)), ((2, 1, 4), (3, 1)), ((5,), (4, 1)),
        ((2, 3, 5, 7), (3, 1, 7)), ((1, 40, 9, 9), (40, 1, 1)), ((300, 700), (700,)), ((4, 1, 1, 128), (1, 3, 64, 128)),
        ((3, 5000), (3, 1)), ((9, 5000), (5000,)),
    ],
)  # fmt: skip
def test_broadcasting(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    """By rows, columns and single elements of a tile, on either side, of floats and whole numbers."""

    def build(n: Any, x: Any, y: Any, i: Any, j: Any) -> list[Any]:
        h, k = n.cast(x, to=mm.float16), n.cast(y, to=mm.float16)
        chosen = n.select(n.less(x, y), n.tanh(x), y)
        return [n.add(x, y), n.sub(y, x), n.maximum(h, k), chosen, n.add(i, j), n.less(i, j)]

    check(build, floats(*left), floats(*right), integers(*left), integers(*right))


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint8, np.int16, np.float16])
def test_broadcasting_of_random_shapes(dtype: Any) -> None:
    """Tiles of elements of every width, whose last rows and columns are cut short anywhere."""
    rng = np.random.default_rng(np.dtype(dtype).num)
    shapes = [[*rng.integers(1, 4, rng.integers(0, 3)), *rng.choice([1, 3, 7, 17, 63, 65, 130], 2)] for _ in range(8)]
    arrays = [
        integers(*np.where(rng.random(len(shape)) < 0.6, shape, 1), low=0, high=2, dtype=kind, seed=seed)
        for shape in shapes
        for seed, kind in enumerate((np.bool_, np.bool_, dtype, dtype))
    ]

    def build(n: Any, *values: Any) -> list[Any]:
        made = []
        for p, q, x, y in zip(*(iter(values),) * 4):
            made += [n.logical_and(p, q), n.select(p, x, y), n.equal(x, y)]
        return made

    check(build, *arrays)


def test_tiles_of_a_large_tensor() -> None:
    """Several tiles for each task, and a last one that is no whole vector."""
    model = check(lambda n, x, y: n.add(n.mul(x, y), n.relu(x)), floats(1003, 1001), floats(1003, 1001, seed=1))
    assert [kernel.kernel for part in model.executables for kernel in part.kernels] == ["mul_relu_add"]


def test_chains_read_what_they_need_once() -> None:
    """A fused chain with two results, one of which the other reads."""

    def build(n: Any, x: Any, y: Any) -> list[Any]:
        first = n.exp(n.sub(x, y))
        return [first, n.div(first, n.add(n.square(first), 1.0))]

    check(build, floats(33, 65), floats(65, seed=1))


def test_operands_are_read_where_they_lie() -> None:
    """Rows of another value are; what has no neighbours, or runs backwards, is moved first."""

    def build(n: Any, x: Any) -> list[Any]:
        left, right = n.split(x, n.constant([35, 35]), axis=1)
        column = n.slice(x, [5], [6], [1], [1])
        return [
            n.mul(left, n.sigmoid(right)),
            n.add(column, x),
            n.abs(column),
            n.neg(n.slice(x, [0], [70], [1], [10])),
            n.add(n.reverse(x, axes=(0,)), x),
            n.exp(n.transpose(x, permutation=(1, 0))),
            n.sub(n.slice(x, [1, 3], [3, 4], [0, 1]), n.slice(x, [0], [2], [0])),
            n.add(n.transpose(n.reshape(left, n.constant([3, 5, 7])), permutation=(1, 0, 2)), 1.0),
        ]

    check(build, floats(3, 70))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0, 2)])
def test_nothing_to_do(shape: tuple[int, ...]) -> None:
    check(lambda n, x: [n.add(x, 1.0), n.exp(x)], floats(*shape))
