"""Quantized operators of ONNX Runtime's domain, against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from microsoft_models import Draw, check, node_model
from onnx_models import run_onnxruntime

import mm_core as mm

BYTES = [np.uint8, np.int8]


@pytest.fixture
def draw() -> Draw:
    return Draw(4)


def scale(value: float) -> Any:
    return np.array(value, np.float32)


def zero(dtype: Any, value: int = 3) -> Any:
    return np.array(value, dtype)


# --- between quantized tensors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", BYTES)
@pytest.mark.parametrize("name", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize("shapes", [((2, 3, 33), (2, 3, 33)), ((4, 1, 17), (5, 1)), ((3, 7), ())])
def test_two_operands(draw: Draw, name: str, shapes: Any, dtype: Any) -> None:
    a, b = (draw.bytes(*shape, dtype=dtype) for shape in shapes)
    inputs = [a, scale(0.031), zero(dtype, 7), b, scale(0.017), zero(dtype, 100)]
    step = scale(0.043 if name == "QLinearAdd" else 0.06)
    check(name, [*inputs, step, zero(dtype, 9)], steps=1)
    # ONNX Runtime refuses to leave zero points out, though they are optional.
    nothing = zero(dtype, 0)
    (expected,) = check(name, [a, scale(0.031), nothing, b, scale(0.017), nothing, step, nothing], steps=1)
    check(name, [a, scale(0.031), None, b, scale(0.017), None, step], expected=[expected], steps=1)


@pytest.mark.parametrize("dtype", BYTES)
def test_activations(draw: Draw, dtype: Any) -> None:
    x = draw.bytes(2, 5, 31, dtype=dtype)
    check("QLinearLeakyRelu", [x, scale(0.03), zero(dtype, 11), scale(0.02), zero(dtype, 5)], alpha=0.2, steps=1)
    check("QLinearSigmoid", [x, scale(0.03), zero(dtype, 11), scale(1 / 256), zero(dtype, 0)], steps=1)


@pytest.mark.parametrize("dtype", BYTES)
@pytest.mark.parametrize(("axis", "opset"), [(-1, 13), (1, 13), (1, 11), (2, 12)])
def test_softmax(draw: Draw, axis: int, opset: int, dtype: Any) -> None:
    inputs = [draw.bytes(2, 5, 7, dtype=dtype), scale(0.02), zero(dtype, 11), scale(1 / 256), zero(dtype, 0)]
    check("QLinearSoftmax", inputs, axis=axis, opset=opset, steps=1)


@pytest.mark.parametrize("dtype", BYTES)
def test_where_and_concat(draw: Draw, dtype: Any) -> None:
    a, b = draw.bytes(3, 8, dtype=dtype), draw.bytes(3, 8, dtype=dtype)
    sides = [a, scale(0.03), zero(dtype, 11), b, scale(0.02), zero(dtype, 4)]
    condition = draw.floats(3, 8) > 0
    check("QLinearWhere", [condition, *sides, scale(0.025), zero(dtype, 6)], steps=1)
    for axis in (0, 1, -1):
        check("QLinearConcat", [scale(0.025), zero(dtype, 6), *sides], axis=axis, steps=1)


@pytest.mark.parametrize("dtype", BYTES)
@pytest.mark.parametrize("last", [0, 1])
def test_pooling(draw: Draw, dtype: Any, last: int) -> None:
    shape = (2, 7, 6, 5) if last else (2, 5, 7, 6)
    inputs = [draw.bytes(*shape, dtype=dtype), scale(0.031), zero(dtype, 11), scale(0.0217), zero(dtype, 4)]
    check("QLinearGlobalAveragePool", inputs, channels_last=last, steps=1)
    settings = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1], "channels_last": last}
    for include in (0, 1):
        check("QLinearAveragePool", inputs, count_include_pad=include, steps=1, **settings)
    check("QLinearAveragePool", inputs, ceil_mode=1, kernel_shape=[2, 2], strides=[2, 2], channels_last=last, steps=1)
    if last:
        settings.pop("channels_last")
        check("NhwcMaxPool", inputs[:1], **settings)


def test_reduce_mean(draw: Draw) -> None:
    """ONNX Runtime defines it and has no kernel: compared with numpy."""
    x = draw.bytes(3, 4, 5)
    real = (x.astype(np.float32) - 7) * np.float32(0.03)
    mean = np.rint(real.mean(1, keepdims=True) / np.float32(0.02)) + 4
    expected = np.clip(mean, 0, 255).astype(np.uint8)
    inputs = [x, scale(0.03), zero(np.uint8, 7), scale(0.02), zero(np.uint8, 4)]
    check("QLinearReduceMean", inputs, axes=[1], keepdims=1, expected=[expected], steps=1)


@pytest.mark.parametrize("channels_last", [0, 1])
@pytest.mark.parametrize("per_channel", [False, True])
def test_conv(draw: Draw, channels_last: int, per_channel: bool) -> None:
    shape = (1, 7, 6, 4) if channels_last else (1, 4, 7, 6)
    w_scale = draw.floats(6) ** 2 * 0.01 + 0.001 if per_channel else scale(0.01)
    w_zero = np.zeros(6, np.int8) if per_channel else zero(np.int8, 0)
    inputs = [
        draw.bytes(*shape), scale(0.02), zero(np.uint8, 120), draw.bytes(6, 2, 3, 3, dtype=np.int8), w_scale, w_zero,
        scale(0.3), zero(np.uint8, 110), draw.integers(-500, 500, 6),
    ]  # fmt: skip
    settings = {"group": 2, "pads": [1, 1, 1, 1], "strides": [2, 1], "channels_last": channels_last}
    check("QLinearConv", inputs, steps=1, **settings)


# --- products ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("b_type", BYTES)
@pytest.mark.parametrize("per_column", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_dynamic_quantize_matmul(draw: Draw, b_type: Any, per_column: bool, bias: bool) -> None:
    b_scale = draw.floats(5) ** 2 * 0.01 + 0.001 if per_column else scale(0.01)
    b_zero = np.full(5, 3, b_type) if per_column else zero(b_type)
    inputs = [draw.floats(2, 3, 16), draw.bytes(16, 5, dtype=b_type), b_scale]
    added = draw.floats(5) if bias else None
    check("DynamicQuantizeMatMul", [*inputs, b_zero, added], tolerance=1e-4, constants=(1, 2, 3))
    check("DynamicQuantizeMatMul", [*inputs, None, added], tolerance=1e-4, constants=(1, 2))


@pytest.mark.parametrize(("a_type", "b_type"), [(np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8)])
@pytest.mark.parametrize("per_column", [False, True])
def test_matmul_integer_to_float(draw: Draw, a_type: Any, b_type: Any, per_column: bool) -> None:
    b_scale = draw.floats(5) ** 2 * 0.01 + 0.001 if per_column else scale(0.01)
    b_zero = np.full(5, 3, b_type) if per_column else zero(b_type)
    inputs = [draw.bytes(2, 3, 16, dtype=a_type), draw.bytes(16, 5, dtype=b_type), scale(0.02), b_scale]
    check("MatMulIntegerToFloat", [*inputs, zero(a_type, 5), b_zero, draw.floats(5)], tolerance=1e-4)
    check("MatMulIntegerToFloat", inputs, tolerance=1e-4)


@pytest.mark.parametrize("turns", [(0, 0), (1, 1)])
@pytest.mark.parametrize("per_column", [False, True])
def test_qgemm(draw: Draw, turns: tuple[int, int], per_column: bool) -> None:
    a = draw.bytes(*((16, 4) if turns[0] else (4, 16)))
    b = draw.bytes(*((5, 16) if turns[1] else (16, 5)), dtype=np.int8)
    b_scale = draw.floats(5) ** 2 * 0.01 + 0.001 if per_column else scale(0.01)
    b_zero = np.zeros(5, np.int8) if per_column else zero(np.int8, 0)
    inputs = [a, scale(0.02), zero(np.uint8, 120), b, b_scale, b_zero]
    settings = {"transA": turns[0], "transB": turns[1], "alpha": 0.5}
    check("QGemm", inputs, tolerance=1e-4, **settings)
    more = [*inputs, draw.integers(-500, 500, 5), scale(0.3), zero(np.uint8, 110)]
    check("QGemm", more, steps=1, **settings)


def test_integers(draw: Draw) -> None:
    a, b = draw.integers(-200, 200, 3, 4, dtype=np.int16), draw.integers(-200, 200, 4, 2, dtype=np.int16)
    check("MatMulInteger16", [a, b])
    x, y = draw.bytes(3, 4), draw.bytes(3, 4)
    expected = (x.astype(np.int32) - 3) * y.astype(np.int32)
    check("MulInteger", [x, zero(np.uint8, 3), y], expected=[expected])
    sums = draw.bytes(3, 4, dtype=np.int8)
    check("ReduceSumInteger", [sums], axes=[1], keepdims=0, expected=[sums.astype(np.int32).sum(1, dtype=np.int32)])


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
@pytest.mark.parametrize("axis", [None, 1, -1])
def test_quantize_and_dequantize(draw: Draw, dtype: Any, axis: int | None) -> None:
    x = draw.floats(2, 4, 4)
    steps = scale(0.02) if axis is None else np.abs(draw.floats(4)) * 0.02 + 0.01
    zeros = zero(dtype) if axis is None else np.full(4, 3, dtype)
    settings = {} if axis is None else {"axis": axis}
    (codes,) = check("QuantizeLinear", [x, steps, zeros], **settings)
    check("DequantizeLinear", [codes, steps, zeros], **settings)
    check("DequantizeLinear", [codes, steps], **settings)


@pytest.mark.parametrize("dtype", [ml_dtypes.int4, ml_dtypes.uint4])
def test_four_bits(draw: Draw, dtype: Any) -> None:
    x, steps = draw.floats(2, 6), scale(0.3)
    zeros = np.array(2, dtype)
    low, high = (0, 15) if dtype is ml_dtypes.uint4 else (-8, 7)
    codes = np.clip(np.rint(x / steps) + 2, low, high).astype(dtype)
    check("QuantizeLinear", [x, steps, zeros], expected=[codes], constants=(2,))
    real = (codes.astype(np.float32) - 2) * steps
    check("DequantizeLinear", [codes, steps, zeros], expected=[real], constants=(0, 2))


# --- blocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [4, 8, 2])
@pytest.mark.parametrize(("columns", "block"), [(64, 16), (48, 32), (32, 32)])
@pytest.mark.parametrize("zeros", ["none", "packed", "floats"])
def test_matmul_nbits(draw: Draw, bits: int, columns: int, block: int, zeros: str) -> None:
    rows, count = 6, -(-columns // block)
    inputs = [
        draw.floats(2, 3, columns),
        draw.bytes(rows, count, block * bits // 8),
        np.abs(draw.floats(rows, count)) * 0.1,
        {
            "none": None,
            "packed": draw.bytes(rows, -(-count * bits // 8)),
            "floats": draw.floats(rows, count) * 2**bits / 2,
        }[zeros],
        None,
        draw.floats(rows),
    ]
    settings = {"N": rows, "K": columns, "block_size": block, "bits": bits}
    constants = tuple(index for index in (1, 2, 3, 5) if inputs[index] is not None)
    expected = None
    if zeros == "floats" or bits == 2:
        expected = [_nbits(inputs, bits, rows, columns, block)]
    check("MatMulNBits", inputs, tolerance=1e-3, constants=constants, expected=expected, **settings)


def _nbits(inputs: list[Any], bits: int, rows: int, columns: int, block: int) -> Any:
    """The definition in numpy, for forms that ONNX Runtime's CPU does not run in every version."""
    x, packed, scales, zeros, _, bias = inputs
    places = np.arange(0, 8, bits)

    def codes(array: Any, count: int) -> Any:
        return ((array[..., None] >> places) & (2**bits - 1)).reshape(rows, -1)[:, :count].astype(np.float32)

    if zeros is None:
        points = np.full(scales.shape, 2 ** (bits - 1), np.float32)
    else:
        points = zeros if zeros.dtype == np.float32 else codes(zeros, scales.shape[1])
    blocks = codes(packed, packed[0].size * 8 // bits).reshape(rows, -1, block)
    w = ((blocks - points[..., None]) * scales[..., None]).reshape(rows, -1)[:, :columns]
    return x @ w.T + bias


def test_matmul_nbits_with_groups(draw: Draw) -> None:
    """Columns may name their group in any order: checked by definition."""
    rows, columns, block = 4, 32, 16
    groups = draw.integers(0, 2, columns)
    inputs = [draw.floats(3, columns), draw.bytes(rows, 2, 8), np.abs(draw.floats(rows, 2)), None, groups, None]
    codes = np.stack([inputs[1] & 15, inputs[1] >> 4], -1).reshape(rows, columns).astype(np.float32)
    expected = inputs[0] @ ((codes - 8) * inputs[2][:, groups]).T
    settings = {"N": rows, "K": columns, "block_size": block}
    check("MatMulNBits", inputs, constants=(1, 2, 4), expected=[expected], tolerance=1e-4, **settings)


def test_matmul_nbits_needs_constant_weights(draw: Draw) -> None:
    inputs = [draw.floats(3, 32), draw.bytes(4, 2, 8), np.abs(draw.floats(4, 2))]
    proto, _ = node_model("MatMulNBits", inputs, N=4, K=32, block_size=16)
    with pytest.raises(mm.UnsupportedOpError, match="initializer"):
        mm.parse(proto)
    proto, _ = node_model("MatMulNBits", inputs, constants=(1, 2), N=4, K=32, block_size=16, bits=3)
    with pytest.raises(mm.UnsupportedOpError, match="3 bits"):
        mm.parse(proto)
    proto, _ = node_model("MatMulNBits", inputs, constants=(1, 2), N=8, K=32, block_size=16)
    with pytest.raises(mm.MMError, match="64 bytes, 8 rows of 16"):
        mm.parse(proto)


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize(("rows", "columns"), [(6, 32), (5, 24)])
def test_matmul_bnb4(draw: Draw, kind: int, rows: int, columns: int) -> None:
    settings = {"N": rows, "K": columns, "block_size": 16, "quant_type": kind}
    count = -(-rows * columns // 16)
    inputs = [draw.floats(2, 3, columns), draw.bytes((rows * columns + 1) // 2), np.abs(draw.floats(count))]
    check("MatMulBnb4", inputs, constants=(1, 2), tolerance=1e-4, **settings)


@pytest.mark.parametrize(("gathered", "quantized"), [(0, 2), (1, 2), (2, 0), (2, 2)])
def test_gather_block_quantized_along_any_axis(draw: Draw, gathered: int, quantized: int) -> None:
    table = draw.integers(0, 16, 32, 3, 32).astype(ml_dtypes.uint4)
    steps = np.abs(draw.floats(*(2 if axis == quantized else size for axis, size in enumerate(table.shape))))
    real = table.astype(np.float32) * steps.repeat(16, quantized)
    indices = draw.integers(0, 3, 2, 3, dtype=np.int64)
    settings = {"block_size": 16, "quantize_axis": quantized, "gather_axis": gathered}
    inputs, constants = [table, indices, steps], (0, 2)
    check("GatherBlockQuantized", inputs, constants=constants, expected=[real.take(indices, gathered)], **settings)
    proto, fed = node_model("GatherBlockQuantized", inputs, constants=constants, **settings)
    np.testing.assert_allclose(run_onnxruntime(proto, fed)[0], real.take(indices, gathered), rtol=1e-6)


@pytest.mark.parametrize("with_zeros", [False, True])
@pytest.mark.parametrize("kind", ["uint4", "int4", "uint8"])
def test_gather_block_quantized(draw: Draw, kind: str, with_zeros: bool) -> None:
    rows, columns, block = 7, 32, 16
    indices, scales = draw.integers(0, rows, 2, 3, dtype=np.int64), np.abs(draw.floats(rows, 2))
    if kind == "uint8":
        table, zeros, bits = draw.bytes(rows, columns), draw.bytes(rows, 2), 8
    else:
        dtype = getattr(ml_dtypes, kind)
        low, high = (0, 16) if kind == "uint4" else (-8, 8)
        table = draw.integers(low, high, rows, columns).astype(dtype)
        zeros, bits = draw.integers(low, high, rows, 2).astype(dtype), 4
    point = zeros.astype(np.float32) if with_zeros else np.float32(128 if kind == "uint8" else 0)
    blocks = table.astype(np.float32).reshape(rows, 2, block)
    real = (blocks - (point[..., None] if with_zeros else point)) * scales[..., None]
    expected = [real.reshape(rows, columns)[indices]]
    inputs = [table, indices, scales, zeros if with_zeros else None]
    constants = (0, 2, 3) if with_zeros else (0, 2)
    settings = {"block_size": block, "bits": bits, "quantize_axis": 1, "gather_axis": 0}
    check("GatherBlockQuantized", inputs, constants=constants, expected=expected, **settings)
    proto, fed = node_model("GatherBlockQuantized", inputs, constants=constants, **settings)
    np.testing.assert_allclose(run_onnxruntime(proto, fed)[0], expected[0], rtol=1e-5, atol=1e-5)


# --- transformers and recurrence --------------------------------------------------------------------------------------


@pytest.mark.parametrize("per_column", [False, True])
@pytest.mark.parametrize("past", [False, True])
def test_qattention(draw: Draw, per_column: bool, past: bool) -> None:
    width = 16
    w_scale = np.abs(draw.floats(3 * width)) * 0.005 + 0.001 if per_column else scale(0.005)
    w_zero = np.zeros(3 * width, np.int8) if per_column else zero(np.int8, 0)
    total = 7 if past else 4
    inputs = [
        draw.bytes(2, 4, 12), draw.bytes(12, 3 * width, dtype=np.int8), draw.floats(3 * width), scale(0.01), w_scale,
        None if past else np.array([3, total], np.int32), zero(np.uint8, 128), w_zero,
        draw.floats(2, 2, 2, 3, 8) if past else None,
    ]  # fmt: skip
    check("QAttention", inputs, 2 if past else 1, tolerance=1e-4, num_heads=2, unidirectional=int(past))


@pytest.mark.parametrize("segments", [True, False])
def test_qembed_layer_norm(draw: Draw, segments: bool) -> None:
    tables = [(11, 8), (9, 8), (2, 8) if segments else None, (8,), (8,)]
    given = [shape is not None for shape in tables]
    inputs = [
        draw.integers(0, 11, 2, 6), draw.integers(0, 2, 2, 6) if segments else None,
        *(None if shape is None else draw.bytes(*shape) for shape in tables),
        np.array([[1, 1, 1, 0, 0, 0], [1] * 6], np.int32),
        *(scale(0.01 * (index + 1)) if there else None for index, there in enumerate(given)),
        *(zero(np.uint8, 100 + index) if there else None for index, there in enumerate(given)),
    ]  # fmt: skip
    check("QEmbedLayerNormalization", inputs, 2, epsilon=1e-5, tolerance=1e-4)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_dynamic_quantize_lstm(draw: Draw, direction: str, per_channel: bool) -> None:
    """ONNX Runtime quantizes activations too: results differ by about one of their 256 steps."""
    directions, features, hidden, length = 2 if direction == "bidirectional" else 1, 6, 5, 4
    shape = (directions, 4 * hidden) if per_channel else (directions,)
    w_scale, r_scale = (np.abs(draw.floats(*shape)) * 0.001 + 0.002 for _ in range(2))
    inputs = [
        draw.floats(length, 3, features), draw.bytes(directions, features, 4 * hidden, dtype=np.int8),
        draw.bytes(directions, hidden, 4 * hidden, dtype=np.int8), draw.floats(directions, 8 * hidden, scale=0.1), None,
        draw.floats(directions, 3, hidden), draw.floats(directions, 3, hidden), None,
        w_scale, np.zeros(shape, np.int8), r_scale, np.zeros(shape, np.int8),
    ]  # fmt: skip
    settings = {"direction": direction, "hidden_size": hidden, "constants": (1, 2, 8, 9, 10, 11)}
    check("DynamicQuantizeLSTM", inputs, 3, tolerance=1e-2, **settings)
