"""Activations, normalizations, products and convolutions of ONNX Runtime's domain, against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from microsoft_models import Draw, check

HALF = 2e-3


@pytest.fixture
def draw() -> Draw:
    return Draw()


# --- activations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "attributes"), [("Gelu", {}), ("QuickGelu", {}), ("QuickGelu", {"alpha": 0.7})])
def test_activations(draw: Draw, name: str, attributes: dict[str, Any]) -> None:
    check(name, [draw.floats(2, 3, 7, scale=3)], **attributes)


def test_gelus_with_a_bias(draw: Draw) -> None:
    x, bias = draw.floats(2, 5, 16, scale=2), draw.floats(16)
    check("BiasGelu", [x, bias])
    check("FastGelu", [x, bias])
    check("FastGelu", [x])


def test_float16(draw: Draw) -> None:
    half = np.float16
    x = draw.floats(2, 5, 16, dtype=half)
    for name in ("Gelu", "FastGelu", "QuickGelu"):
        check(name, [x], tolerance=HALF)
    check("FusedMatMul", [x, x], transB=1, alpha=0.5, tolerance=1e-2)
    check("MultiHeadAttention", [x, x, x], num_heads=2, tolerance=HALF)
    weights = [draw.bytes(6, 1, 8), np.abs(draw.floats(6, 1, dtype=half)) * half(0.1)]
    settings = {"N": 6, "K": 16, "block_size": 16, "constants": (1, 2)}
    check("MatMulNBits", [x, *weights], tolerance=1e-2, **settings)


def test_scaled_silu(draw: Draw) -> None:
    x = draw.floats(3, 8, scale=2)
    check("ScaledSiLU", [x], alpha=0.5)
    check("ScaledSiLU", [x, np.float32(1.25)])


def test_fused_sums_that_only_devices_run(draw: Draw) -> None:
    """ONNX Runtime has these for CUDA alone: they are compared with torch."""
    x, bias, skip = draw.floats(2, 3, 8), draw.floats(8), draw.floats(2, 3, 8)
    tx, tb, ts = map(torch.from_numpy, (x, bias, skip))
    check("BiasAdd", [x, bias, skip], expected=[x + bias + skip])
    left, right = (tx + tb).chunk(2, -1)
    check("BiasSplitGelu", [x, bias], expected=[(left * torch.nn.functional.gelu(right)).numpy()])
    check("BiasDropout", [x, bias, skip], expected=[x + bias + skip])
    check("BiasDropout", [x, bias], 2, expected=[x + bias, np.ones((2, 3, 8), bool)])
    softmax = (tx + ts).softmax(-1).numpy()
    check("BiasSoftmax", [x, skip], axis=2, is_inner_broadcast=0, expected=[softmax])
    together = (tx + ts).flatten(1).softmax(-1).reshape(2, 3, 8).numpy()
    check("BiasSoftmax", [x, skip], axis=1, is_inner_broadcast=0, expected=[together])
    gate, up = tx.chunk(2, -1)
    bounded, kept = gate.clamp(max=1), up.clamp(-1, 1)
    expected = bounded * torch.sigmoid(1.7 * bounded) * (kept + 1)
    check("SwiGLU", [x], activation_alpha=1.7, activation_beta=1.0, limit=1.0, expected=[expected.numpy()])
    check("SwiGLU", [x, skip], expected=[(torch.nn.functional.silu(tx) * ts).numpy()])


# --- normalizations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_simplified_layer_norm(draw: Draw, axis: int, dtype: Any) -> None:
    x, scale = draw.floats(2, 3, 8, dtype=dtype), draw.floats(*((8,) if axis == -1 else (3, 8)), dtype=dtype)
    tolerance = HALF if dtype is np.float16 else 1e-5
    check("SimplifiedLayerNormalization", [x, scale], domain="", axis=axis, epsilon=1e-6, tolerance=tolerance)
    if dtype is np.float32:
        check("SimplifiedLayerNormalization", [x, scale], 2, domain="", axis=axis)


@pytest.mark.parametrize("skip", [(2, 5, 16), (1, 5, 16), (5, 16)])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_skip_layer_norm(draw: Draw, skip: tuple[int, ...], dtype: Any) -> None:
    shapes = ((2, 5, 16), skip, (16,), (16,), (16,))
    x, other, gamma, beta, bias = (draw.floats(*shape, dtype=dtype) for shape in shapes)
    tolerance = 1e-2 if dtype is np.float16 else 1e-5
    results = ["y", "", "", "sum"]
    check("SkipLayerNormalization", [x, other, gamma, beta, bias], results, epsilon=1e-5, tolerance=tolerance)
    check("SkipLayerNormalization", [x, other, gamma], tolerance=tolerance)
    check("SkipSimplifiedLayerNormalization", [x, other, gamma, bias], results, tolerance=tolerance)
    check("SkipSimplifiedLayerNormalization", [x, other, gamma], epsilon=1e-6, tolerance=tolerance)


@pytest.mark.parametrize("segments", [True, False])
@pytest.mark.parametrize("positions", [None, (2, 6), (1, 6)])
@pytest.mark.parametrize("mask", [True, False])
def test_embed_layer_norm(draw: Draw, segments: bool, positions: Any, mask: bool) -> None:
    ids = draw.integers(0, 11, 2, 6)
    inputs = [
        ids,
        draw.integers(0, 2, 2, 6) if segments else None,
        draw.floats(11, 8),
        draw.floats(9, 8),
        draw.floats(2, 8) if segments else None,
        draw.floats(8),
        draw.floats(8),
        np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]], np.int32) if mask else None,
        None if positions is None else draw.integers(0, 9, *positions),
    ]
    check("EmbedLayerNormalization", inputs, 3, epsilon=1e-5)


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("activation", [0, 1])
def test_group_norm(draw: Draw, last: int, activation: int) -> None:
    """For CUDA alone in ONNX Runtime: compared with torch."""
    x, gamma, beta = draw.floats(2, 8, 3, 5), draw.floats(8), draw.floats(8)
    skip, bias = draw.floats(2, 8), draw.floats(8)

    def layout(image: Any) -> Any:
        return image.transpose(0, 2, 3, 1).copy() if last else image

    def norm(image: Any) -> Any:
        y = torch.nn.functional.group_norm(*map(torch.from_numpy, (image,)), 4, *map(torch.from_numpy, (gamma, beta)))
        return layout((torch.nn.functional.silu(y) if activation else y).numpy())

    settings = {"groups": 4, "activation": activation, "channels_last": last}
    check("GroupNorm", [layout(x), gamma, beta], expected=[norm(x)], **settings)
    total = x + (skip + bias)[:, :, None, None]
    expected = [norm(total), layout(total)]
    check("SkipGroupNorm", [layout(x), gamma, beta, skip, bias], 2, expected=expected, **settings)


@pytest.mark.parametrize("activation", ["silu", "sigmoid"])
def test_gated_rms_norm(draw: Draw, activation: str) -> None:
    inputs = [draw.floats(2, 3, 24), draw.floats(8), draw.floats(2, 3, 24)]
    check("GatedRMSNorm", inputs, activation=activation)


def test_branches(draw: Draw) -> None:
    grouped, gate = draw.floats(2, 3, 4, 8), draw.floats(2, 3, 1)
    for scale in (None, (8,), (4, 8), (32,)):
        given = None if scale is None else draw.floats(*scale)
        check("BranchwiseRMSNorm", [grouped, given])
        check("BranchwiseRMSNorm", [grouped.reshape(2, 3, 32), given], num_branches=4)
    check("GatedAdd", [draw.floats(2, 3, 8), draw.floats(2, 3, 8), gate])


def test_linear_attention_gate(draw: Draw) -> None:
    inputs = [draw.floats(2, 3, 4), draw.floats(4), draw.floats(4), draw.floats(2, 3, 4)]
    check("LinearAttentionGate", inputs, 2)
    check("LinearAttentionGate", inputs[:3])


# --- products ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["FusedMatMul", "TransposeMatMul"])
@pytest.mark.parametrize("turns", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_fused_matmul(draw: Draw, name: str, turns: tuple[int, int]) -> None:
    a = draw.floats(2, 3, *((5, 4) if turns[0] else (4, 5)))
    b = draw.floats(2, 3, *((6, 5) if turns[1] else (5, 6)))
    check(name, [a, b], transA=turns[0], transB=turns[1], alpha=0.5)
    check(name, [a, b[0, 0]], transA=turns[0], transB=turns[1])


@pytest.mark.parametrize("turns", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_fused_matmul_with_the_batch_moved(draw: Draw, turns: tuple[int, int]) -> None:
    a = draw.floats(*((5, 3, 4) if turns[0] else (4, 3, 5)))
    b = draw.floats(*((6, 3, 5) if turns[1] else (5, 3, 6)))
    check("FusedMatMul", [a, b], transA=turns[0], transB=turns[1], transBatchA=1, transBatchB=1)


@pytest.mark.parametrize(
    ("activation", "parameters"),
    [("Relu", {}), ("LeakyRelu", {"activation_alpha": 0.2}), ("Sigmoid", {}), ("Tanh", {}),
     ("HardSigmoid", {"activation_alpha": 0.3, "activation_beta": 0.4}), ("Elu", {"activation_alpha": 0.7})],
)  # fmt: skip
def test_fused_gemm(draw: Draw, activation: str, parameters: dict[str, float]) -> None:
    a, b, c = draw.floats(5, 4), draw.floats(6, 5), draw.floats(6)
    settings = {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}
    check("FusedGemm", [a, b, c], activation=activation, **settings, **parameters)
    check("FusedGemm", [a, b], activation=activation, **settings, **parameters)


@pytest.mark.parametrize(
    ("activation", "parameters"),
    [("Relu", []), ("LeakyRelu", [0.2]), ("Sigmoid", []), ("Tanh", []), ("Clip", [-0.5, 0.5]),
     ("HardSigmoid", [0.2, 0.5])],
)  # fmt: skip
def test_fused_conv(draw: Draw, activation: str, parameters: list[float]) -> None:
    x, w, b, z = draw.floats(2, 4, 7, 6), draw.floats(6, 2, 3, 3), draw.floats(6), draw.floats(2, 6, 4, 3)
    settings: dict[str, Any] = {"activation": activation, "group": 2, "strides": [2, 2], "pads": [1, 1, 1, 1]}
    if parameters:
        settings["activation_params"] = parameters
    check("FusedConv", [x, w, b], **settings)
    check("FusedConv", [x, w, b, z], **settings)
    expected = torch.nn.functional.conv2d(*map(torch.from_numpy, (x, w, b)), stride=2, padding=1, groups=2)
    if activation == "Relu":
        last = (0, 2, 3, 1)
        total = (expected + torch.from_numpy(z)).relu().numpy().transpose(last)
        check("NhwcFusedConv", [x.transpose(last), w, b, z.transpose(last)], expected=[total], **settings)
        settings = {key: settings[key] for key in ("group", "strides", "pads")}
        check("NhwcConv", [x.transpose(last), w, b], expected=[expected.numpy().transpose(last)], **settings)


def test_conv_transpose_with_dynamic_pads(draw: Draw) -> None:
    inputs = [draw.floats(1, 3, 4, 5), draw.floats(3, 2, 3, 3), np.array([1, 0, 1, 1], np.int64), draw.floats(2)]
    check("ConvTransposeWithDynamicPads", inputs, constants=(2,), strides=[2, 2], output_padding=[1, 1])


def test_gemm_fast_gelu(draw: Draw) -> None:
    x, w, b = draw.floats(2, 3, 4), draw.floats(4, 5), draw.floats(5)
    expected = torch.nn.functional.gelu(torch.from_numpy(x @ w + b), approximate="tanh").numpy()
    check("GemmFastGelu", [x, w, b], expected=[expected])


@pytest.mark.parametrize("shape", [(3, 3), (2, 4, 5, 5), (1, 1)])
def test_inverse(draw: Draw, shape: tuple[int, ...]) -> None:
    check("Inverse", [draw.floats(*shape) + 2 * np.eye(shape[-1], dtype=np.float32)], tolerance=2e-4)


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean"])
def test_cdist(draw: Draw, metric: str) -> None:
    check("CDist", [draw.floats(5, 7), draw.floats(4, 7)], metric=metric, tolerance=1e-4)
