"""Operators whose meaning or form has changed: each old form against numpy, newer ones against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx_models import assert_agrees, ramp, run, single

import mm_core as mm

F = np.float32
X = ramp(2, 3, 4)
IMAGE = ramp(1, 2, 4, 4)


def old(op_type: str, opset: int, inputs: dict[str, Any], expected: Any, constants: tuple[str, ...] = (), **attributes):
    outputs = len(expected) if isinstance(expected, list) else 1
    proto = single(op_type, inputs, outputs=outputs, opset=opset, constants=constants, **attributes)
    return pytest.param(proto, inputs, expected, id=f"{op_type}-{opset}")


def softmax(x: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def rows_of(function: Callable[..., Any]) -> np.ndarray:
    """`function` along the rows of X as a matrix of 2 rows."""
    return function(X.reshape(2, 12), 1).reshape(X.shape)


def hardmax(x: np.ndarray, axis: int) -> np.ndarray:
    return (np.arange(x.shape[1]) == x.argmax(axis)[:, None]).astype(F)


VECTOR, ROW = ramp(3), ramp(4)
BATCH_NORM = {
    "x": IMAGE, "scale": ramp(2), "b": ramp(2, low=0, high=3), "mean": ramp(2), "var": ramp(2, low=1, high=2),
}  # fmt: skip


def batch_normed() -> np.ndarray:
    scale, bias, mean, variance = (BATCH_NORM[name].reshape(2, 1, 1) for name in ("scale", "b", "mean", "var"))
    return (IMAGE - mean) / np.sqrt(variance + 1e-5) * scale + bias


OLD = [
    old("Add", 6, {"a": X, "b": VECTOR}, X + VECTOR[:, None], broadcast=1, axis=1),
    old("Sub", 1, {"a": X, "b": ROW}, X - ROW, broadcast=1),
    old("Mul", 6, {"a": X, "b": X[0, 0, 0]}, X * X[0, 0, 0], broadcast=1),
    old("Div", 6, {"a": X, "b": X + 3}, X / (X + 3)),
    old("Add", 6, {"a": X, "b": X[:1, :, 0].reshape(3)}, X + X[0, :, 0][:, None], broadcast=1, axis=-2),
    old("Pow", 1, {"a": np.abs(X), "b": F(2)}, X**2, broadcast=1),
    old("And", 1, {"a": X > 0, "b": VECTOR > 0}, (X > 0) & (VECTOR > 0)[:, None], broadcast=1, axis=1),
    old("Greater", 1, {"a": X, "b": ROW}, X > ROW, broadcast=1),
    old("Less", 1, {"a": X, "b": ROW}, X < ROW, broadcast=1),
    old("Or", 1, {"a": X > 0, "b": ROW > 0}, (X > 0) | (ROW > 0), broadcast=1),
    old("Xor", 1, {"a": X > 0, "b": X < 0.5}, (X > 0) ^ (X < 0.5)),
    old("ReduceL1", 1, {"x": X}, np.abs(X).sum(1), axes=[1], keepdims=0),
    old("ReduceProd", 11, {"x": X}, X.prod(keepdims=True)),
    old("ReduceSumSquare", 13, {"x": X}, (X**2).sum((0, -1), keepdims=True), axes=[0, -1]),
    old("ReduceLogSum", 1, {"x": X + 2}, np.log((X + 2).sum(2, keepdims=True)), axes=[2]),
    old("ReduceLogSumExp", 11, {"x": X}, np.log(np.exp(X).sum(0)), axes=[0], keepdims=0),
    old("Equal", 1, {"a": np.arange(3), "b": np.array([0, 5, 2])}, np.array([True, False, True])),
    old("Cast", 1, {"x": X * 5}, (X * 5).astype(np.int32), to="INT32"),
    old("Cast", 1, {"x": X}, X.astype(np.float64), to="DOUBLE"),
    old("Cast", 6, {"x": X}, X.astype(np.float16), to=10),
    old("Clip", 1, {"x": X}, np.clip(X, -0.5, 0.25), min=-0.5, max=0.25),
    old("Clip", 6, {"x": X}, np.maximum(X, 0.5), min=0.5),
    old("Relu", 1, {"x": X}, np.maximum(X, 0), consumed_inputs=[0]),
    old("PRelu", 1, {"x": IMAGE, "s": np.array([0.5, 2], F)}, np.where(IMAGE < 0, IMAGE * [[[0.5]], [[2]]],
        IMAGE).astype(F)),
    old("PRelu", 6, {"x": IMAGE, "s": np.array([0.5], F)}, np.where(IMAGE < 0, IMAGE / 2, IMAGE)),
    old("Selu", 1, {"x": X}, np.where(X > 0, 1.0507 * X, 1.0507 * 1.6732 * (np.exp(X) - 1)).astype(F)),
    old("Softmax", 1, {"x": X}, rows_of(softmax)),
    old("Softmax", 11, {"x": X}, softmax(X, (0, 1, 2)), axis=0),
    old("Softmax", 11, {"x": X}, softmax(X, 2), axis=-1),
    old("LogSoftmax", 11, {"x": X}, np.log(rows_of(softmax)), axis=1),
    old("Hardmax", 1, {"x": X}, rows_of(hardmax)),
    old("Reshape", 1, {"x": X}, X.reshape(2, 12), shape=[0, -1]),
    old("Reshape", 5, {"x": X, "s": np.array([0, 4, -1])}, X.reshape(2, 4, 3), constants=("s",)),
    old("Reshape", 5, {"x": X, "s": np.array([0, 4, -1])}, X.reshape(2, 4, 3)),
    old("Squeeze", 1, {"x": X[:, None, :, :1]}, X[:, :, 0], axes=[1, 3]),
    old("Squeeze", 11, {"x": X[:, None, :, :1]}, X[:, :, 0]),
    old("Unsqueeze", 1, {"x": X}, X[:, None, ..., None], axes=[1, 4]),
    old("Unsqueeze", 11, {"x": X}, X[..., None], axes=[-1]),
    old("Concat", 1, {"a": X, "b": X}, np.concatenate([X, X], 1)),
    old("Split", 1, {"x": X}, [X[..., :1], X[..., 1:]], axis=2, split=[1, 3]),
    old("Split", 1, {"x": X, "s": np.array([1, 3])}, [X[..., :1], X[..., 1:]], constants=("s",), axis=2),
    old("Split", 2, {"x": X}, [X[:1], X[1:]]),
    old("Split", 11, {"x": X}, [X[:, :1], X[:, 1:]], axis=-2, split=[1, 2]),
    old("Slice", 1, {"x": X}, X[:, 1:, :-1], axes=[1, 2], starts=[1, 0], ends=[2**31 - 1, -1]),
    old("Slice", 1, {"x": X}, X[:1, 1:], starts=[0, 1], ends=[1, 3]),
    old("Pad", 1, {"x": X}, np.pad(X, [(0, 0), (1, 0), (0, 2)], constant_values=3), paddings=[0, 1, 0, 0, 0,
        2], value=3.0),
    old("Pad", 2, {"x": X}, np.pad(X, [(0, 0), (1, 0), (0, 2)], "edge"), pads=[0, 1, 0, 0, 0, 2], mode="edge"),
    old("Tile", 1, {"x": X, "t": np.array(3), "a": np.array(1)}, np.tile(X, (1, 3, 1)), constants=("t", "a")),
    old("ReduceSum", 11, {"x": X}, X.sum((0, 2)), axes=[0, 2], keepdims=0),
    old("ReduceMean", 1, {"x": X}, X.mean(keepdims=True)),
    old("ReduceMax", 13, {"x": X}, X.max(1, keepdims=True), axes=[-2]),
    old("ArgMax", 1, {"x": X}, X.argmax(1)[:, None], axis=1),
    old("TopK", 1, {"x": ROW}, [np.sort(ROW)[::-1][:2], np.argsort(ROW)[::-1][:2]], k=2, axis=0),
    old("BatchNormalization", 1, BATCH_NORM, batch_normed(), is_test=1, consumed_inputs=[0, 0, 0, 1, 1]),
    old("BatchNormalization", 6, BATCH_NORM, batch_normed(), is_test=0, spatial=1),
    old("BatchNormalization", 7, BATCH_NORM, batch_normed(), momentum=0.5),
    old("Dropout", 1, {"x": X}, X, ratio=0.3, is_test=1),
    old("Dropout", 7, {"x": X}, [X, np.ones_like(X)]),
    old("Dropout", 10, {"x": X}, [X, np.ones(X.shape, bool)]),
    old("Gemm", 1, {"a": X[0], "b": X[1], "c": VECTOR}, X[0] @ X[1].T * F(0.5) + VECTOR, broadcast=1, transB=1,
        alpha=0.5),
    old("Upsample", 1, {"x": IMAGE}, IMAGE.repeat(2, 2).repeat(3, 3), height_scale=2.0, width_scale=3.0),
    old("Upsample", 7, {"x": IMAGE}, IMAGE.repeat(2, 2), scales=[1.0, 1.0, 2.0, 1.0]),
    old("Upsample", 9, {"x": IMAGE, "s": np.array([1, 1, 2, 2], F)}, IMAGE.repeat(2, 2).repeat(2, 3), constants=("s",)),
    old("GlobalLpPool", 1, {"x": IMAGE}, np.abs(IMAGE).sum((2, 3), keepdims=True), p=1.0),
    old("LpPool", 1, {"x": IMAGE}, np.abs(IMAGE).reshape(1, 2, 2, 2, 2, 2).sum((3, 5)), kernel_shape=[2, 2],
        strides=[2, 2], p=1.0),
    old("GroupNormalization", 18, {"x": IMAGE, "s": np.array([2], F), "b": np.array([1], F)},
        (IMAGE - IMAGE.mean()) / np.sqrt(IMAGE.var() + 1e-5) * 2 + 1, num_groups=1),
    old("Scatter", 9, {"x": X[0], "i": np.array([[1]]), "u": np.array([[9]], F)},
        np.where(np.arange(12).reshape(3, 4) == 4, 9, X[0]).astype(F)),
    old("Max", 1, {"a": X, "b": -X}, np.abs(X)),
    old("Mean", 6, {"a": X, "b": -X}, X * 0),
]  # fmt: skip


@pytest.mark.parametrize(("proto", "inputs", "expected"), OLD)
def test_old_forms(proto: Any, inputs: dict[str, Any], expected: Any) -> None:
    constants = {tensor.name for tensor in proto.graph.initializer}
    fed = {name: np.asarray(value) for name, value in inputs.items() if name not in constants}
    expected = expected if isinstance(expected, list) else [expected]
    results = run(mm.parse(proto), fed)
    assert len(results) == len(expected)
    for got, wanted in zip(results, expected):
        wanted = np.asarray(wanted)
        assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def new(op_type: str, opset: int, inputs: dict[str, Any], label: str = "", **keywords: Any):
    return pytest.param(single(op_type, inputs, opset=opset, **keywords), inputs, id=f"{op_type}-{opset}{label}")


ROIS = np.array([[0, 0, 3, 2], [1, 1, 3.5, 3]], F)
WEIGHT = ramp(4, 2, 3, 3)
NEW = [
    new("Conv", 11, {"x": IMAGE, "w": WEIGHT, "b": ramp(4)}, pads=[1, 0, 1, 2], strides=[2, 1], kernel_shape=[3, 3]),
    new("Conv", 11, {"x": IMAGE, "w": WEIGHT}, "-same", auto_pad="SAME_UPPER", strides=[2, 2]),
    new("Conv", 22, {"x": IMAGE, "w": ramp(4, 1, 2, 2)}, "-group", group=2, dilations=[2, 1]),
    new("ConvTranspose", 11, {"x": IMAGE, "w": ramp(2, 3, 3, 3)}, strides=[2, 2], output_padding=[1, 0],
        pads=[1, 1, 0, 0]),
    new("ConvTranspose", 11, {"x": IMAGE, "w": ramp(2, 3, 3, 3)}, "-shape", strides=[2, 2], output_shape=[8, 8]),
    new("MaxPool", 8, {"x": IMAGE}, kernel_shape=[2, 2], strides=[1, 2]),
    new("MaxPool", 12, {"x": IMAGE}, "-indices", kernel_shape=[3, 3], pads=[1, 1, 1, 1], ceil_mode=1,
        strides=[2, 2], outputs=2),
    new("AveragePool", 10, {"x": IMAGE}, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    new("AveragePool", 19, {"x": IMAGE}, "-dilated", kernel_shape=[2, 2], dilations=[2, 2]),
    new("BatchNormalization", 9, BATCH_NORM),
    new("BatchNormalization", 15, BATCH_NORM, epsilon=1e-3),
    new("LayerNormalization", 17, {"x": X, "s": ramp(3, 4), "b": ramp(3, 4)}, axis=1, outputs=3),
    new("InstanceNormalization", 6, {"x": IMAGE, "s": ramp(2), "b": ramp(2)}),
    new("LRN", 13, {"x": ramp(1, 5, 2, 2)}, size=3, alpha=0.1, bias=2.0),
    new("Gemm", 11, {"a": X[0], "b": X[1], "c": ramp(1, 3)}, transB=1, beta=0.5),
    new("Gemm", 11, {"a": X[0], "b": ramp(4, 5)}, "-no-c", alpha=2.0),
    new("MatMul", 13, {"a": X, "b": ramp(4, 2)}),
    new("Einsum", 12, {"a": X, "b": ramp(2, 4, 5)}, equation="bij,bjk->bik"),
    new("Pow", 12, {"a": np.array([2, 3], np.int32), "b": np.array([2.0, 0.5], F)}),
    new("Pow", 13, {"a": np.abs(X), "b": np.array([2, 3, 1, 0])}, "-mixed"),
    new("Mod", 13, {"a": np.array([-5, 5]), "b": np.array([3, -3])}),
    new("Mod", 13, {"a": X * 7, "b": X + 2}, "-fmod", fmod=1),
    new("Clip", 13, {"x": X, "lo": F(-0.5), "hi": F(0.5)}),
    new("Clip", 12, {"x": X, "": None, "hi": F(0.5)}, "-absent"),
    new("Pad", 13, {"x": X, "p": np.array([0, 1, 0, 1, 0, 2]), "v": F(2)}, constants=("p",)),
    new("Pad", 18, {"x": X, "p": np.array([1, 2]), "": None, "a": np.array([-1])}, "-axes", constants=("p",
        "a"), mode="reflect"),
    new("Slice", 13, {"x": X, "s": np.array([-1, 0]), "e": np.array([-9, 2]), "a": np.array([2, 1]),
        "t": np.array([-2, 1])}),
    new("Squeeze", 13, {"x": X[:, :1], "a": np.array([1])}, constants=("a",)),
    new("Unsqueeze", 13, {"x": X, "a": np.array([0, -1])}, constants=("a",)),
    new("Split", 13, {"x": X, "s": np.array([1, 2])}, constants=("s",), axis=1, outputs=2),
    new("Split", 18, {"x": X}, "-uneven", axis=2, num_outputs=3, outputs=3),
    new("Split", 18, {"x": X}, "-even", axis=2, num_outputs=2, outputs=2),
    new("ReduceSum", 13, {"x": X, "a": np.array([1])}, constants=("a",), keepdims=0),
    new("ReduceSum", 13, {"x": X}, "-noop", noop_with_empty_axes=1),
    new("ReduceMean", 18, {"x": X, "a": np.array([-1])}, constants=("a",)),
    new("ReduceL2", 13, {"x": X}, axes=[1]),
    new("TopK", 11, {"x": X, "k": np.array([2])}, constants=("k",), axis=1, largest=0, outputs=2),
    new("Softmax", 13, {"x": X}, axis=1),
    new("Resize", 10, {"x": IMAGE, "s": np.array([1, 1, 1.5, 2], F)}, constants=("s",)),
    new("Resize", 10, {"x": IMAGE, "s": np.array([1, 1, 0.5, 0.5], F)}, "-shrink", constants=("s",)),
    new("Resize", 11, {"x": IMAGE, "r": np.zeros(0, F), "s": np.array([1, 1, 2, 2], F)}, constants=("r", "s"),
        mode="linear"),
    new("Resize", 18, {"x": IMAGE, "r": np.zeros(0, F), "s": np.zeros(0, F), "z": np.array([3, 7])},
        constants=("r", "s", "z"),
        axes=[2, 3], mode="cubic", coordinate_transformation_mode="align_corners"),
    new("QuantizeLinear", 13, {"x": X, "s": np.array([0.1, 0.2, 0.05], F), "z": np.array([1, 128, 255],
        np.uint8)}, axis=1),
    new("DequantizeLinear", 10, {"x": np.arange(6, dtype=np.int8), "s": F(0.5), "z": np.int8(3)}),
    new("LSTM", 7, {"x": ramp(3, 2, 4), "w": ramp(1, 12, 4), "r": ramp(1, 12, 3), "b": ramp(1, 24)},
        hidden_size=3, outputs=3),
    new("GRU", 14, {"x": ramp(3, 2, 4), "w": ramp(2, 9, 4), "r": ramp(2, 9, 3)}, hidden_size=3,
        direction="bidirectional",
        linear_before_reset=1, outputs=2),
    new("RNN", 7, {"x": ramp(3, 2, 4), "w": ramp(1, 3, 4), "r": ramp(1, 3, 3)}, hidden_size=3,
        activations=["Relu"], outputs=2),
    new("GridSample", 16, {"x": IMAGE, "g": ramp(1, 3, 5, 2)}, mode="bicubic", padding_mode="border"),
    new("RoiAlign", 10, {"x": IMAGE, "r": ROIS, "b": np.array([0, 0])}, output_height=2, output_width=2),
    new("RoiAlign", 16, {"x": IMAGE, "r": ROIS, "b": np.array([0, 0])}, mode="max", sampling_ratio=2),
    new("MaxRoiPool", 1, {"x": IMAGE, "r": np.array([[0, 0, 0, 2, 3], [0, 1, 1, 3, 3]], F)}, pooled_shape=[2, 2]),
    new("Gelu", 20, {"x": X}, approximate="tanh"),
    new("Trilu", 14, {"x": X, "k": np.array(1)}, upper=0),
    new("Trilu", 14, {"x": X > 0}, "-bool"),
    new("OneHot", 11, {"i": np.array([0, -1, 5]), "d": np.array(4), "v": np.array([1, 9], F)},
        constants=("d",), axis=0),
    new("EyeLike", 9, {"x": X[0]}, k=1, dtype=7),
    new("Range", 11, {"a": np.array(1), "b": np.array(9), "c": np.array(3)}),
    new("ConstantOfShape", 9, {"s": np.array([2, 3])}, constants=("s",)),
    new("DepthToSpace", 13, {"x": ramp(1, 8, 2, 2)}, blocksize=2, mode="CRD"),
    new("IsInf", 10, {"x": np.array([np.inf, -np.inf, np.nan], F)}, detect_negative=0),
    new("Shape", 15, {"x": X}, start=-2),
    new("Unique", 11, {"x": np.array([3, 1, 3, 2], F)}, sorted=0, outputs=4),
    new("BitShift", 11, {"a": np.array([1, 9], np.uint8), "b": np.array([3, 1], np.uint8)}, direction="RIGHT"),
]  # fmt: skip


@pytest.mark.parametrize(("proto", "inputs"), NEW)
def test_against_onnxruntime(proto: Any, inputs: dict[str, Any]) -> None:
    assert_agrees(proto, inputs)


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes", "dtype", "shape", "mean"),
    [
        ("RandomNormal", {}, {"shape": [400, 5], "mean": 3.0, "scale": 0.5}, F, (400, 5), 3),
        ("RandomUniform", {}, {"shape": [2000], "low": 1.0, "high": 3.0, "dtype": 11}, np.float64, (2000,), 2),
        ("RandomNormalLike", {"x": ramp(40, 50)}, {"mean": -1.0, "scale": 0.5}, F, (40, 50), -1),
        ("Multinomial", {"x": np.log(F([[1, 3, 1e-3]]))}, {"sample_size": 2000, "dtype": 7}, np.int64, (1, 2000), 0.75),
    ],
)
def test_random_streams(
    op_type: str, inputs: dict[str, Any], attributes: dict[str, Any], dtype: Any, shape: tuple[int, ...], mean: float
) -> None:
    (got,) = run(mm.parse(single(op_type, inputs, seed=7.0, **attributes)), inputs)
    assert (got.dtype, got.shape) == (dtype, shape)
    assert got.std() > 0.1
    assert abs(got.mean() - mean) < 0.1


def test_nothing_is_ignored_silently() -> None:
    with pytest.raises(mm.UnsupportedOpError, match=r"Relu has the attribute 'slope'.* version 14"):
        mm.parse(single("Relu", {"x": X}, opset=14, slope=0.1))
    with pytest.raises(mm.UnsupportedOpError, match="spatial=0"):
        mm.parse(single("BatchNormalization", BATCH_NORM, opset=7, spatial=0))
    with pytest.raises(mm.UnsupportedOpError, match=r"'mode' is 'sinc'.*nearest, linear, cubic"):
        mm.parse(single("Resize", {"x": IMAGE, "r": X, "s": X}, opset=13, mode="sinc"))
    with pytest.raises(mm.UnsupportedOpError, match=r"it \(BatchNormalization\).*result 1 is not offered"):
        mm.parse(single("BatchNormalization", BATCH_NORM, opset=7, outputs=2))
