"""Library kernels that work element by element, against NumPy, over types, shapes and special values."""

from __future__ import annotations

import struct
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from mm_backend_cpu.program import run_kernel

from mm_core.errors import DeviceError
from mm_core.types import DTYPES

FLOATS = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
INTEGERS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
SHAPES = [(), (1,), (7,), (0,), (3, 0, 2), (2, 33), (2, 1, 3, 1, 5), (3, 1, 2, 2, 1, 2)]
TOLERANCE = {
    np.dtype(np.float16): 1e-3,
    np.dtype(ml_dtypes.bfloat16): 8e-3,
    np.dtype(np.float32): 4e-7,
    np.dtype(np.float64): 1e-14,
}
SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    np.inf,
    -np.inf,
    np.nan,
    1e-40,
    -1e-40,
    88.5,
    -87.5,
    1e30,
    -1e30,
    0.5,
    1.5,
    2.5,
    -0.5,
    1e-8,
]


def double(value: float) -> int:
    return struct.unpack("<q", struct.pack("<d", value))[0]


def values(dtype: Any, shape: tuple[int, ...], seed: int = 0, *, low: int = -9, high: int = 9) -> np.ndarray:
    generator = np.random.default_rng(seed)
    if np.dtype(dtype) == np.bool_:
        return generator.integers(0, 2, shape).astype(bool)
    if np.dtype(dtype).kind == "u":
        low = 0
    if np.dtype(dtype).kind in "iu":
        return generator.integers(low, high, shape).astype(dtype)
    return np.asarray(generator.uniform(low, high, shape)).astype(dtype)


def assert_close(actual: np.ndarray, expected: np.ndarray, *, ulps: float = 1) -> None:
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    wide = np.complex128 if actual.dtype.kind == "c" else np.float64
    if actual.dtype not in TOLERANCE:
        np.testing.assert_array_equal(actual.astype(wide), expected.astype(wide))
        return
    tolerance = TOLERANCE[actual.dtype] * ulps
    np.testing.assert_allclose(actual.astype(wide), expected.astype(wide), rtol=tolerance, atol=tolerance * 1e-2)


UNARY = {
    "floor": np.floor, "ceil": np.ceil, "round": np.rint, "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "sin": np.sin,
    "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh,
    "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "silu": lambda x: x / (1 + np.exp(-x)),
    "erf": lambda x: torch.erf(torch.from_numpy(x)).numpy(), "neg": np.negative, "abs": np.abs, "sign": np.sign,
    "relu": lambda x: np.maximum(x, 0),
}  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", UNARY)
@np.errstate(all="ignore")
def test_unary_floats(name: str, dtype: Any) -> None:
    for shape in SHAPES:
        x = values(dtype, shape)
        expected = np.asarray(UNARY[name](x.astype(np.float64)), np.float64).reshape(shape).astype(dtype)
        assert_close(run_kernel(name, [x], [(dtype, shape)])[0], expected, ulps=2)
    x = np.array(SPECIAL).astype(dtype)
    expected = np.asarray(UNARY[name](x.astype(np.float64))).astype(dtype)
    if name == "silu":
        expected[5] = np.nan  # -inf * 0, as the formula says
    skip = 1e-30 if dtype != np.float64 else 0.0  # the sign of zero and denormals: compared apart
    actual = run_kernel(name, [x], [(dtype, x.shape)])[0]
    np.testing.assert_allclose(
        actual.astype(np.float64), expected.astype(np.float64), rtol=2 * TOLERANCE[np.dtype(dtype)], atol=skip
    )


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("name", ["neg", "abs", "sign", "relu", "bitwise_not"])
def test_unary_integers(name: str, dtype: Any) -> None:
    reference = {**UNARY, "bitwise_not": np.invert}[name]
    x = np.concatenate([values(dtype, (37,)), [np.iinfo(dtype).min, np.iinfo(dtype).max]]).astype(dtype)
    assert_close(run_kernel(name, [x], [(dtype, x.shape)])[0], reference(x).astype(dtype))


def test_vector_functions_are_accurate_over_their_range() -> None:
    x = np.concatenate([np.linspace(-105, 90, 200_001), np.linspace(-1, 1, 100_001)]).astype(np.float32)
    wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        exp = np.exp(wide)
        expected = {"exp": exp, "tanh": np.tanh(wide), "sigmoid": 1 / (1 + np.exp(-wide)), "erf": UNARY["erf"](wide)}
    for name, exact in expected.items():
        actual = run_kernel(name, [x], [(np.float32, x.shape)])[0].astype(np.float64)
        with np.errstate(all="ignore"):
            rounded = exact.astype(np.float32)
            if name == "sigmoid":  # below, 1 / (1 + exp(-x)) is 0 and the exact value denormal
                rounded[x < -87] = np.nan
            spacing = np.spacing(np.abs(rounded)).astype(np.float64)
            error = np.abs(actual - exact)[np.isfinite(rounded)] / spacing[np.isfinite(rounded)]
        assert error.max() < 4, (name, x[np.isfinite(rounded)][error.argmax()], error.max())
        np.testing.assert_array_equal(np.isinf(actual), np.isinf(rounded), err_msg=name)


def test_parametrised_functions() -> None:
    x = np.concatenate([values(np.float32, (100,)), np.float32([np.nan, np.inf, -np.inf])]).astype(np.float32)
    wide = torch.from_numpy(x.astype(np.float64))
    spec = [(np.float32, x.shape)]
    assert_close(run_kernel("leaky_relu", [x], spec, [double(0.1)])[0], np.where(x < 0, np.float32(0.1) * x, x))
    for approximate, mode in enumerate(["none", "tanh"]):
        actual = run_kernel("gelu", [x[:-2]], [(np.float32, (101,))], [approximate])[0]
        expected = torch.nn.functional.gelu(wide, approximate=mode).numpy()[:-2]
        np.testing.assert_allclose(actual, expected, rtol=2e-6, atol=3e-7)
    assert_close(run_kernel("is_nan", [x], [(bool, x.shape)])[0], np.isnan(x))
    assert_close(run_kernel("is_inf", [x], [(bool, x.shape)], [1, 1])[0], np.isinf(x))
    assert_close(run_kernel("is_inf", [x], [(bool, x.shape)], [1, 0])[0], np.isneginf(x))
    assert_close(run_kernel("is_inf", [x], [(bool, x.shape)], [0, 1])[0], np.isposinf(x))
    mask = values(bool, (50,))
    assert_close(run_kernel("logical_not", [mask], [(bool, (50,))])[0], ~mask)


BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum,
    "mod": np.mod, "fmod": np.fmod, "equal": np.equal, "less": np.less, "less_or_equal": np.less_equal,
}  # fmt: skip
COMPARISONS = ("equal", "less", "less_or_equal")
BROADCASTS = [
    ((), ()), ((5,), ()), ((), (5,)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((2, 1, 3, 1), (4, 1, 5)),
    ((2, 3, 4), (2, 3, 4)), ((0,), (1,)), ((3, 0), (1, 1)), ((1, 3, 1, 2, 1), (2, 1, 5, 1, 3)),
    ((64, 1, 33), (1, 7, 33)),
]  # fmt: skip


def divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.dtype.kind not in "iu":
        return a / b
    # Division that truncates, exactly, by zero 0.
    quotients = [0 if right == 0 else int(abs(left) // abs(right)) * (1 if (left < 0) == (right < 0) else -1)
                 for left, right in np.broadcast(a.astype(object), b.astype(object))]  # fmt: skip
    bits = a.dtype.itemsize * 8
    wrapped = [(q + (1 << bits)) % (1 << bits) for q in quotients]
    unsigned = np.array(wrapped, dtype=f"u{a.dtype.itemsize}").view(a.dtype)
    return unsigned.reshape(np.broadcast_shapes(a.shape, b.shape))


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
@pytest.mark.parametrize("name", [*BINARY, "div"])
@np.errstate(all="ignore")
def test_binary(name: str, dtype: Any) -> None:
    reference = {**BINARY, "div": divided}[name]
    for left, right in BROADCASTS:
        a, b = values(dtype, left, 1), values(dtype, right, 2)
        result = bool if name in COMPARISONS else dtype
        shape = np.broadcast_shapes(left, right)
        wide = np.float64 if dtype in FLOATS else dtype
        expected = np.asarray(reference(a.astype(wide), b.astype(wide))).astype(result)
        assert_close(run_kernel(name, [a, b], [(result, shape)])[0], expected)


@np.errstate(all="ignore")
def test_binary_special_floats() -> None:
    a, b = (grid.ravel().astype(np.float32) for grid in np.meshgrid(SPECIAL, SPECIAL))
    for name, reference in {**BINARY, "div": divided, "pow": np.power}.items():
        expected = reference(a, b)
        actual = run_kernel(name, [a, b], [(expected.dtype, a.shape)])[0]
        np.testing.assert_allclose(actual, expected, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint16])
@np.errstate(all="ignore")
def test_integer_edges(dtype: Any) -> None:
    edges = np.array(
        [np.iinfo(dtype).min, np.iinfo(dtype).max, 0, 1, 2, 3, *([-1, -2, -3] if np.dtype(dtype).kind == "i" else [])]
    )
    a, b = (grid.ravel().astype(dtype) for grid in np.meshgrid(edges, edges))
    for name in ("add", "sub", "mul", "mod", "fmod", "maximum", "less"):
        expected = BINARY[name](a, b)
        assert_close(run_kernel(name, [a, b], [(expected.dtype, a.shape)])[0], expected)
    assert_close(run_kernel("div", [a, b], [(dtype, a.shape)])[0], divided(a, b))
    exponents = np.abs(values(dtype, a.shape, 4)) % 7
    assert_close(run_kernel("pow", [a, exponents], [(dtype, a.shape)])[0], np.power(a, exponents))
    shifts = values(dtype, a.shape, 5, low=0, high=np.dtype(dtype).itemsize * 8 + 3)
    assert_close(run_kernel("shift_left", [a, shifts], [(dtype, a.shape)])[0], np.left_shift(a, shifts))
    assert_close(run_kernel("shift_right", [a, shifts], [(dtype, a.shape)])[0], np.right_shift(a, shifts))
    for name, reference in {
        "bitwise_and": np.bitwise_and,
        "bitwise_or": np.bitwise_or,
        "bitwise_xor": np.bitwise_xor,
    }.items():
        assert_close(run_kernel(name, [a, b], [(dtype, a.shape)])[0], reference(a, b))


def test_logic() -> None:
    a, b = values(bool, (5, 1), 1), values(bool, (1, 9), 2)
    for name, reference in {"logical_and": np.logical_and, "logical_or": np.logical_or, "logical_xor": np.logical_xor,
                            "bitwise_and": np.bitwise_and, "equal": np.equal}.items():  # fmt: skip
        assert_close(run_kernel(name, [a, b], [(bool, (5, 9))])[0], reference(a, b))


@pytest.mark.parametrize("dtype", [d.numpy for d in DTYPES if d.kind != "string"])
def test_select(dtype: Any) -> None:
    condition, a, b = (
        values(bool, (4, 1, 3), 1),
        values(np.int8, (5, 1), 2, low=0, high=2).astype(dtype),
        values(np.int8, (4, 5, 3), 3, low=0, high=2).astype(dtype),
    )
    expected = np.where(condition, a.astype(np.complex128), b.astype(np.complex128))
    actual = run_kernel("select", [condition, a, b], [(dtype, (4, 5, 3))])[0]
    np.testing.assert_array_equal(actual.astype(np.complex128), expected)


REAL = [d for d in DTYPES if d.kind not in ("string", "complex")]


@pytest.mark.parametrize("source", REAL, ids=str)
@np.errstate(all="ignore")
def test_cast_agrees_with_numpy_where_values_fit(source: Any) -> None:
    for target in REAL:
        limit = {"bool": 2, "int2": 2, "uint2": 4, "int4": 8, "uint4": 16, "float4_e2m1fn": 5}
        high = min(limit.get(source.name, 17), limit.get(target.name, 17))
        x = np.arange(high).astype(source.numpy)
        if (
            "nuz" not in target.name
            and source.kind == "float"
            and target.kind == "float"
            and "e8m0" not in str(source.name + target.name)
        ):
            x = np.concatenate([x, (-np.arange(high) / 4).astype(source.numpy)])
        x = x[x.astype(np.float32) < high]  # a type with few numbers may have rounded one up
        wide = x.astype(np.float32)
        expected = wide.astype(target.numpy) if target.kind != "bool" else wide != 0
        # ml_dtypes knows no saturation and rounds to the nearest power of two.
        how = [0, 2] if target.name == "float8_e8m0fnu" else [1, 0]
        actual = run_kernel("cast", [x], [(target.numpy, x.shape)], how)[0]
        np.testing.assert_array_equal(
            actual.astype(np.float64), expected.astype(np.float64), err_msg=f"{source} {target}"
        )


@pytest.mark.parametrize("target", [d for d in REAL if d.is_float and d.bits < 32], ids=str)
@np.errstate(all="ignore")
def test_cast_rounds_as_ml_dtypes(target: Any) -> None:
    generator = np.random.default_rng(7)
    x = np.concatenate([
        np.frombuffer(generator.bytes(4 * 20_000), np.float32), generator.normal(0, 3, 20_000).astype(np.float32),
        np.float32([0, 1e-45, 1e38, 5.0, 3.5, 0.75, 0.25, 1.5, 2.5, 448, 464, 480, 57344, 61440]),
    ])  # fmt: skip
    if target.name == "float8_e8m0fnu":
        x = np.abs(x)
    back = x.astype(target.numpy).astype(np.float32)
    inside = np.isfinite(back) & np.isfinite(x) & (np.abs(x) <= float(ml_dtypes.finfo(target.numpy).max))
    inside &= ~((x < 2.0**-126) & (target.name == "float8_e8m0fnu"))
    actual = run_kernel("cast", [x[inside]], [(target.numpy, (int(inside.sum()),))], [1, 2])[0]
    np.testing.assert_array_equal(actual.astype(np.float32), back[inside])
    every = np.arange(256, dtype=np.uint8) if target.bits == 8 else np.arange(16, dtype=np.uint8)
    if target.bits < 16:
        codes = every.view(target.numpy)
        np.testing.assert_array_equal(
            run_kernel("cast", [codes], [(np.float32, codes.shape)], [1, 0])[0], codes.astype(np.float32)
        )


def test_cast_saturates_or_not() -> None:
    x = np.float32([1e9, -1e9, np.inf, -np.inf, np.nan])
    e4m3, e5m2 = ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2

    def cast(dtype: Any, saturate: int) -> list[float]:
        return run_kernel("cast", [x], [(dtype, x.shape)], [saturate, 0])[0].astype(np.float32).tolist()

    nan = pytest.approx(float("nan"), nan_ok=True)
    assert cast(e4m3, 1) == [448, -448, 448, -448, nan]
    assert cast(e4m3, 0) == [nan] * 5
    assert cast(e5m2, 1) == [57344, -57344, 57344, -57344, nan]
    assert cast(e5m2, 0) == [np.inf, -np.inf, np.inf, -np.inf, nan]
    assert cast(np.int32, 1) == [1e9, -1e9, 2**31, -(2**31), 0]
    assert run_kernel("cast", [x], [(np.uint8, x.shape)], [1, 0])[0].tolist() == [0, 0, 255, 0, 0]
    assert run_kernel("cast", [x], [(ml_dtypes.int4, x.shape)], [1, 0])[0].astype(int).tolist() == [0, 0, -1, 0, 0]
    assert run_kernel("cast", [np.int32([300, -1])], [(np.uint8, (2,))], [1, 0])[0].tolist() == [44, 255]


@pytest.mark.parametrize(
    ("name", "inputs", "output", "params"),
    [
        ("add", [np.float32([1]), np.float64([1])], (np.float32, (1,)), []),
        ("add", [np.ones((2, 3), np.float32), np.ones(2, np.float32)], (np.float32, (2, 3)), []),
        ("add", [np.float32([1])], (np.float32, (1,)), []),
        ("add", [np.float32([1]), None], (np.float32, (1,)), []),
        ("exp", [np.int32([1])], (np.int32, (1,)), []),
        ("exp", [np.float32([1])], (np.float32, (2,)), []),
        ("exp", [np.float32([1])], (np.float32, (1,)), [3]),
        ("exp", [], (np.float32, (1,)), []),
        ("add", [np.complex64([1]), np.complex64([1])], (np.complex64, (1,)), []),
    ],
)
def test_what_does_not_fit_is_refused(name: str, inputs: list[Any], output: Any, params: list[int]) -> None:
    with pytest.raises(DeviceError, match=f"refused: step 0: {name}: "):
        run_kernel(name, inputs, [output], params)
