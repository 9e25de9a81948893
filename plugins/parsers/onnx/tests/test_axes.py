"""Axes that depend on data: one built model takes any of them, on the CPU alone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from onnx_models import run_onnxruntime, single

import mm_core as mm

X = np.linspace(-2, 3, 24, dtype=np.float32).reshape(2, 3, 4)
Run = Callable[..., Any]


def built(
    op_type: str, axes_shape: tuple[Any, ...], x: Any = X, name: str = "axes", opset: int = 20, **how: Any
) -> Run:
    """A function of the axes: the first result of the node on x."""
    proto = single(op_type, {"x": x, name: np.zeros([1] * len(axes_shape), np.int64)}, opset=opset, **how)
    network = mm.parse(proto, input_shapes={name: axes_shape})
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(network)
    context = model.create_engine().create_context()
    return lambda *axes: context.run({"x": x, name: np.array(axes, np.int64).reshape([-1] * len(axes_shape))})["y0"]


def expected(op_type: str, axes: Any, x: Any = X, name: str = "axes", opset: int = 20, **how: Any) -> Any:
    inputs = {"x": x, name: np.array(axes, np.int64)}
    return run_onnxruntime(single(op_type, inputs, opset=opset, constants=(name,), **how), {"x": x})[0]


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("op_type", ["ReduceSum", "ReduceMean", "ReduceLogSumExp", "ReduceMax"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_reductions_fold_the_axes_that_data_name(op_type: str, keepdims: int, count: int) -> None:
    run = built(op_type, (count,), keepdims=keepdims)
    for axes in combinations(range(-2, 1), count):
        np.testing.assert_allclose(run(*axes), expected(op_type, axes, keepdims=keepdims), rtol=1e-6)


@pytest.mark.parametrize("noop", [0, 1])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_even_how_many_axes_there_are_may_depend_on_data(keepdims: int, noop: int) -> None:
    run = built("ReduceSumSquare", ("count",), keepdims=keepdims, noop_with_empty_axes=noop)
    for axes in ((), (1,), (2, 0), (0, 1, 2)):
        wanted = expected("ReduceSumSquare", axes, keepdims=keepdims, noop_with_empty_axes=noop)
        np.testing.assert_allclose(run(*axes), wanted, rtol=1e-6)


def test_running_sums_and_transforms_take_their_axis_from_data() -> None:
    run = built("CumSum", (), exclusive=1)
    for axis in (0, 1, 2, -1):
        np.testing.assert_allclose(run(axis), expected("CumSum", axis, exclusive=1), rtol=1e-6)
    signal = X[..., None]
    proto = single("DFT", {"x": signal, "": np.array(0), "axis": np.array(0)}, opset=20)
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(mm.parse(proto))
    context = model.create_engine().create_context()
    for axis in (0, 1, 2, -2):
        found = context.run({"x": signal, "axis": np.array(axis)})["y0"]
        wanted = np.fft.fft(X, axis=axis if axis >= 0 else axis + 1)
        np.testing.assert_allclose(found, np.stack([wanted.real, wanted.imag], -1), atol=1e-5)


def test_axes_of_one_element_come_and_go_where_data_say() -> None:
    run = built("Unsqueeze", (2,))
    for axes in ((0, 1), (1, 3), (-1, 2)):
        assert np.array_equal(run(*axes), np.expand_dims(X, axes))
    thin = X.reshape(1, 6, 1, 4)
    run = built("Squeeze", (1,), thin)
    for axis in (0, 2, -2, -4):
        assert np.array_equal(run(axis), np.squeeze(thin, axis))
    assert built("Squeeze", ("count",), thin)(0, -2).shape == (6, 4)


def test_pads_go_to_the_axes_that_data_name() -> None:
    inputs = {"x": X, "pads": np.array([1, 0, 0, 2]), "": np.array(0), "axes": np.array([-1, 0])}
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(mm.parse(single("Pad", inputs, opset=19)))
    context = model.create_engine().create_context()
    for axes in ((-1, 0), (1, 2)):
        given = {"x": X, "pads": inputs["pads"], "axes": np.array(axes)}
        widths = dict(zip((axis % 3 for axis in axes), ((1, 0), (0, 2))))
        assert np.array_equal(context.run(given)["y0"], np.pad(X, [widths.get(axis, (0, 0)) for axis in range(3)]))


@pytest.mark.parametrize(
    ("op_type", "shape", "axes"),
    [("ReduceSum", (1,), (3,)), ("ReduceSum", (2,), (1, -2)), ("CumSum", (), (-4,)), ("Unsqueeze", (1,), (4,))],
)
def test_axes_that_the_tensor_has_not_are_an_error_of_the_request(op_type: str, shape: Any, axes: Any) -> None:
    run = built(op_type, shape)
    with pytest.raises(mm.InputError, match=rf"\({op_type}\)"):
        run(*axes)
