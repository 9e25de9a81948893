"""Library kernels along axes: reductions, searches, sums, softmax and norms, against NumPy and torch."""

from __future__ import annotations

import itertools
import struct
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from mm_backend_cpu.program import run_kernel

from mm_core.errors import DeviceError

FLOATS = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
INTEGERS = [np.int8, np.int32, np.int64, np.uint8, np.uint64]
TOLERANCE = {
    np.dtype(np.float16): 2e-3,
    np.dtype(ml_dtypes.bfloat16): 1.6e-2,
    np.dtype(np.float32): 1e-6,
    np.dtype(np.float64): 1e-13,
}
REDUCTIONS = {"reduce_sum": np.sum, "reduce_prod": np.prod, "reduce_max": np.max, "reduce_min": np.min}


def double(value: float) -> int:
    return struct.unpack("<q", struct.pack("<d", value))[0]


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reduce_over_every_set_of_axes(name: str, dtype: Any) -> None:
    generator = np.random.default_rng(1)
    for shape in [(), (70,), (3, 5), (2, 300, 3), (2, 1, 4, 35), (2, 3, 2, 2, 17)]:
        low = 0 if np.dtype(dtype).kind == "u" else -2
        x = (
            generator.integers(low, 3, shape).astype(dtype)
            if dtype in INTEGERS
            else generator.uniform(0.8, 1.2, shape).astype(dtype)
        )
        for flags in itertools.product((0, 1), repeat=len(shape)):
            axes = tuple(axis for axis, flag in enumerate(flags) if flag)
            wide = x.astype(np.float64) if dtype in FLOATS else x
            expected = REDUCTIONS[name](wide, axis=axes).astype(dtype) if axes else x
            actual = run_kernel(name, [x], [(dtype, expected.shape)], flags)[0]
            if dtype in FLOATS:
                np.testing.assert_allclose(
                    actual.astype(float), expected.astype(float), rtol=4 * TOLERANCE[np.dtype(dtype)]
                )
            else:
                np.testing.assert_array_equal(actual, expected)


def test_reduce_special_values() -> None:
    x = np.float32([[1, np.nan, 3], [np.inf, 2, -np.inf], [1, 2, 3]])
    for axis, flags in ((0, [1, 0]), (1, [0, 1])):
        for name, reference in REDUCTIONS.items():
            with np.errstate(all="ignore"):
                np.testing.assert_array_equal(
                    run_kernel(name, [x], [(np.float32, (3,))], flags)[0], reference(x, axis=axis)
                )
    empty = np.empty((2, 0), np.float32)
    expected = {"reduce_sum": 0, "reduce_prod": 1, "reduce_max": -np.inf, "reduce_min": np.inf}
    for name, value in expected.items():
        assert run_kernel(name, [empty], [(np.float32, (2,))], [0, 1])[0].tolist() == [value] * 2
        assert run_kernel(name, [empty], [(np.float32, (1, 0))], [1, 0])[0].size == 0
    mask = np.array([[True, False], [True, True]])
    assert run_kernel("reduce_max", [mask], [(bool, (2,))], [0, 1])[0].tolist() == [True, True]
    assert run_kernel("reduce_min", [mask], [(bool, (2,))], [0, 1])[0].tolist() == [False, True]


def test_long_sums_stay_accurate() -> None:
    x = np.full((1_000_003, 1), 0.1, np.float32)
    exact = float(np.float32(0.1)) * len(x)
    for shape, flags in (((len(x), 1), [1, 0]), ((1, len(x)), [0, 1])):
        actual = float(run_kernel("reduce_sum", [x.reshape(shape)], [(np.float32, (1,))], flags)[0][0])
        assert abs(actual - exact) / exact < 1e-6


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int32, np.uint8, np.bool_])
def test_argmax_and_argmin(dtype: Any) -> None:
    x = np.random.default_rng(2).integers(0, 4, (3, 7, 5)).astype(dtype)
    for axis, result in itertools.product(range(3), (np.int64, np.int32)):
        shape = x.shape[:axis] + x.shape[axis + 1 :]
        for name, reference in (("argmax", np.argmax), ("argmin", np.argmin)):
            actual = run_kernel(name, [x], [(result, shape)], [axis, 0])[0]
            np.testing.assert_array_equal(actual, reference(x, axis))
            last = run_kernel(name, [x], [(result, shape)], [axis, 1])[0]
            np.testing.assert_array_equal(last, x.shape[axis] - 1 - reference(np.flip(x, axis), axis))
    holes = np.float32([1, np.nan, 5, np.nan])
    assert run_kernel("argmax", [holes], [(np.int64, ())], [0, 0])[0] == np.argmax(holes) == 1
    assert run_kernel("argmin", [holes], [(np.int64, ())], [0, 0])[0] == np.argmin(holes) == 1


@pytest.mark.parametrize("inner", [1, 4, 150])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64, np.int8])
def test_cumsum(dtype: Any, inner: int) -> None:
    x = np.random.default_rng(3).integers(-9, 9, (3, 6, inner)).astype(dtype)
    for axis, exclusive, reverse in itertools.product(range(3), (0, 1), (0, 1)):
        source = np.flip(x, axis) if reverse else x
        expected = np.cumsum(source, axis, dtype=dtype)
        if exclusive:
            expected = expected - source
        expected = np.flip(expected, axis) if reverse else expected
        np.testing.assert_array_equal(
            run_kernel("cumsum", [x], [(dtype, x.shape)], [axis, exclusive, reverse])[0], expected
        )


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8, np.float16])
def test_topk(dtype: Any) -> None:
    x = np.random.default_rng(4).integers(0, 30, (3, 20, 4)).astype(dtype)
    for axis, largest, is_sorted in itertools.product(range(3), (0, 1), (0, 1)):
        for k in (0, 1, x.shape[axis] // 2, x.shape[axis]):
            keys = -x.astype(np.int64) if largest else x.astype(np.int64)
            order = np.take(np.argsort(keys, axis, kind="stable"), range(k), axis)
            order = order if is_sorted else np.sort(order, axis)
            values, indices = run_kernel(
                "topk", [x], [(dtype, order.shape), (np.int64, order.shape)], [axis, largest, is_sorted]
            )
            np.testing.assert_array_equal(indices, order)
            np.testing.assert_array_equal(values, np.take_along_axis(x, order, axis))
    holes = np.float32([1, np.nan, 5, -np.inf])
    assert run_kernel("topk", [holes], [(np.float32, (3,)), (np.int64, (3,))], [0, 1, 1])[1].tolist() == [1, 2, 0]
    assert run_kernel("topk", [holes], [(np.float32, (3,)), (np.int64, (3,))], [0, 0, 1])[1].tolist() == [3, 0, 2]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name: str, dtype: Any) -> None:
    generator = np.random.default_rng(5)
    for shape in [(1,), (17,), (3, 1000), (2, 5, 7), (2, 3, 4, 33), (0, 4), (4, 0)]:
        x = generator.normal(0, 4, shape).astype(dtype)
        for axis in range(len(shape)):
            expected = getattr(torch, name)(torch.from_numpy(x.astype(np.float64)), axis).numpy()
            actual = run_kernel(name, [x], [(dtype, shape)], [axis])[0].astype(float)
            tolerance = TOLERANCE[np.dtype(dtype)]
            np.testing.assert_allclose(actual, expected, rtol=4 * tolerance, atol=tolerance)


def test_softmax_special_values() -> None:
    x = np.float32([[1e30, -1e30, 0], [-np.inf, 0, 0], [np.nan, 1, 2], [np.inf, 1, 2], [-np.inf] * 3])
    with np.errstate(all="ignore"):
        expected = torch.softmax(torch.from_numpy(x), 1).numpy()
    np.testing.assert_allclose(run_kernel("softmax", [x], [(np.float32, x.shape)], [1])[0], expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", FLOATS)
def test_norms(dtype: Any) -> None:
    generator = np.random.default_rng(6)
    tolerance = TOLERANCE[np.dtype(dtype)]
    for shape, axis in [((4, 7), 1), ((2, 3, 768), 2), ((2, 3, 5), 1), ((6,), 0), ((0, 8), 1)]:
        x = generator.normal(1, 3, shape).astype(dtype)
        scale, bias = (generator.normal(0, 1, shape[axis:]).astype(dtype) for _ in range(2))
        wide, axes = x.astype(np.float64), tuple(range(axis, len(shape)))
        params, spec = [axis, double(1e-5)], [(dtype, shape)]
        centred = (wide - wide.mean(axes, keepdims=True)) / np.sqrt(wide.var(axes, keepdims=True) + 1e-5)
        expected = centred * scale.astype(float) + bias.astype(float)
        actual = run_kernel("layer_norm", [x, scale, bias], spec, params)[0]
        np.testing.assert_allclose(actual.astype(float), expected, rtol=4 * tolerance, atol=8 * tolerance)
        actual = run_kernel("layer_norm", [x], spec, params)[0]
        np.testing.assert_allclose(actual.astype(float), centred, rtol=4 * tolerance, atol=8 * tolerance)
        expected = wide / np.sqrt((wide**2).mean(axes, keepdims=True) + 1e-5) * scale.astype(float)
        actual = run_kernel("rms_norm", [x, scale], spec, params)[0]
        np.testing.assert_allclose(actual.astype(float), expected, rtol=4 * tolerance, atol=8 * tolerance)
    x = np.float32([[1, 2, np.nan], [5, 5, 5]])
    actual = run_kernel("layer_norm", [x], [(np.float32, x.shape)], [1, double(1e-5)])[0]
    assert np.isnan(actual[0]).all()
    assert actual[1].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("name", "x", "outputs", "params"),
    [
        ("reduce_sum", np.zeros((2, 3), np.float32), [(np.float32, (3,))], [0, 1]),
        ("reduce_sum", np.zeros((2, 3), np.float32), [(np.float32, (2,))], [0, 2]),
        ("reduce_sum", np.zeros((2, 3), bool), [(bool, (2,))], [0, 1]),
        ("argmax", np.zeros((2, 0), np.float32), [(np.int64, (2,))], [1, 0]),
        ("argmax", np.zeros((2, 3), np.float32), [(np.float32, (2,))], [1, 0]),
        ("topk", np.zeros(3, np.float32), [(np.float32, (4,)), (np.int64, (4,))], [0, 1, 1]),
        ("softmax", np.zeros(3, np.float32), [(np.float32, (3,))], [1]),
        ("softmax", np.zeros((), np.float32), [(np.float32, ())], [0]),
        ("layer_norm", np.zeros(3, np.int32), [(np.int32, (3,))], [0, 0]),
    ],
)
def test_what_does_not_fit_is_refused(name: str, x: np.ndarray, outputs: list[Any], params: list[int]) -> None:
    with pytest.raises(DeviceError, match=f"step 0: {name}: "):
        run_kernel(name, [x], outputs, params)
