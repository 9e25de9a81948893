"""Tensors moved, sampled and searched by operators of ONNX Runtime's domain, against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime.capi.onnxruntime_pybind11_state as ort_state
import pytest
import torch
from microsoft_models import DOMAIN, Draw, check, node_model
from mm_parser_onnx.importers import TABLE

import mm_core as mm


@pytest.fixture
def draw() -> Draw:
    return Draw(5)


def test_shapes(draw: Draw) -> None:
    x = draw.floats(2, 3, 4)
    for axis in (0, -1, 2):
        check("ExpandDims", [x, np.array(axis, np.int32)], constants=(1,))
    check("GatherND", [x, np.array([[0, 1], [1, 2]], np.int64)])
    check("UnfoldTensor", [x], dim=2, size=2)
    check("UnfoldTensor", [draw.floats(3, 9, 2)], dim=1, size=3, step=2)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_pad(draw: Draw, mode: str) -> None:
    x, value = draw.floats(3, 4), np.array([2.5], np.float32)
    for pads in (np.array([1, 0, 2, 1], np.int64), np.array([[1, 0, 2, 1]], np.int64)):
        check("Pad", [x, pads, value], constants=(1,), mode=mode)
    check("Pad", [x, np.array([1, 0, 2, 1], np.int64)], constants=(1,), mode=mode)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64])
def test_range(dtype: Any) -> None:
    check("Range", [np.array(2, dtype), np.array([9], dtype), np.array(3, dtype)], constants=(0, 1, 2))
    check("Range", [np.array(2, dtype), np.array(9, dtype)], constants=(0, 1))


@pytest.mark.parametrize("k", [None, -1, 2])
def test_trilu(draw: Draw, k: int | None) -> None:
    for upper in (0, 1):
        check("Trilu", [draw.floats(2, 4, 5), None if k is None else np.array(k, np.int64)], upper=upper)


def test_unique() -> None:
    check("Unique", [np.array([2, 1, 1, 3, 4, 3], np.float32)], 3)


def test_only_defined(draw: Draw) -> None:
    """ONNX Runtime defines these and has no kernel for the CPU: compared with torch and numpy."""
    table, places = draw.floats(7, 4), draw.integers(0, 7, 2, 3, dtype=np.int64)
    check("TorchEmbedding", [table, places], expected=[table[places]])
    x, y = draw.floats(3, 4, 2), draw.floats(3, 4, 2)
    a, b = (side[..., 0] + 1j * side[..., 1] for side in (x, y))
    for name, product in (("ComplexMul", a * b), ("ComplexMulConj", a * b.conj())):
        check(name, [x, y], expected=[np.stack([product.real, product.imag], -1).astype(np.float32)])
    signal = draw.floats(3, 10)
    spectrum = torch.view_as_real(torch.fft.rfft(torch.from_numpy(signal))).numpy()
    check("Rfft", [signal], signal_ndim=1, expected=[spectrum], tolerance=1e-4)
    check("Irfft", [spectrum], signal_ndim=1, expected=[signal * 10], tolerance=1e-3)
    bad = signal.copy()
    bad[0, 0] = np.inf
    for values, settings, verdict in (
        ([signal, signal], {}, True), ([signal, bad], {}, False), ([bad], {"isnan_only": 1}, True),
        ([bad * 0], {"isnan_only": 1}, False), ([bad * 0], {"isinf_only": 1}, True),
    ):  # fmt: skip
        check("IsAllFinite", values, expected=[np.array(verdict)], **settings)


@pytest.mark.parametrize("bidirectional", [0, 1])
def test_relative_position_bias(draw: Draw, bidirectional: int) -> None:
    from transformers.models.t5.modeling_t5 import T5Attention

    table, size = draw.floats(32, 4), np.array(40, np.int64)
    away = torch.arange(40)[None, :] - torch.arange(40)[:, None]
    bins = T5Attention._relative_position_bucket(away, bool(bidirectional), 32, 20)
    expected = table[bins.numpy()].transpose(2, 0, 1)[None]
    settings = {"max_distance": 20, "is_bidirectional": bidirectional, "constants": (1, 2)}
    check("RelativePositionBias", [table, size, size], expected=[expected], **settings)


def test_gated_relative_position_bias(draw: Draw) -> None:
    """For CUDA alone in ONNX Runtime: compared with its definition in torch."""
    b, s, n, d = 2, 3, 2, 4
    shapes = ((b, s, n * d), (n * d,), (1, n, s, s), (d, 8), (8,), (1, n, 1, 1))
    inputs = [draw.floats(*shape) for shape in shapes]
    query, query_bias, distances, weight, bias, factor = map(torch.from_numpy, inputs)
    q = (query + query_bias).reshape(b, s, n, d).transpose(1, 2)
    u, r = torch.sigmoid((q @ weight + bias).view(b, n, s, 2, 4).sum(-1)).chunk(2, dim=-1)
    expected = (u * (r * factor - 1.0) + 2.0) * distances
    check("GatedRelativePositionBias", inputs, num_heads=n, expected=[expected.numpy()])


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("size", [(3, 4), (1, 2), (8, 1)])
def test_crop_and_resize(draw: Draw, mode: str, size: tuple[int, int]) -> None:
    boxes = np.array(
        [[0, 0, 1, 1], [0.13, 0.2, 0.71, 0.9], [-0.23, 0.51, 1.3, 0.1], [0.41, 0.4, 0.41, 0.4]], np.float32
    )
    inputs = [draw.floats(2, 3, 6, 5), boxes, np.array([0, 1, 1, 0], np.int32), np.array(size, np.int32)]
    check("CropAndResize", inputs, constants=(3,), mode=mode, extrapolation_value=0.25)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("corners", [0, 1])
def test_grid_sample(draw: Draw, mode: str, padding: str, corners: int) -> None:
    inputs = [draw.floats(1, 2, 5, 6), draw.floats(1, 4, 3, 2)]
    check("GridSample", inputs, mode=mode, padding_mode=padding, align_corners=corners, tolerance=1e-4)


@pytest.mark.parametrize("size", [1, 2, 3, 9])
def test_ngram_repeat_block(draw: Draw, size: int) -> None:
    ids = draw.integers(0, 4, 3, 8, dtype=np.int64)
    check("NGramRepeatBlock", [ids, draw.floats(3, 6)], ngram_size=size)


def test_refusals_have_a_reason() -> None:
    proto, _ = node_model("GreedySearch", [np.zeros((1, 2), np.int32), np.array([3], np.int32)])
    with pytest.raises(mm.UnsupportedOpError, match=r"GreedySearch.*decoder.*export the decoder"):
        mm.parse(proto)
    proto, _ = node_model("QuickGelo", [np.zeros((1, 2), np.float32)])
    with pytest.raises(mm.UnsupportedOpError, match="QuickGelu"):
        mm.parse(proto)


def test_every_operator_that_onnx_runtime_defines_is_imported_or_refused_with_a_reason() -> None:
    defined = {schema.name for schema in ort_state.get_all_operator_schema() if schema.domain == DOMAIN}
    assert set(TABLE.names(DOMAIN)) == defined


def test_layouts_of_one_machine_are_refused() -> None:
    proto, _ = node_model("ReorderInput", [np.zeros((1, 16, 2, 2), np.float32)], domain="com.microsoft.nchwc")
    proto.opset_import.add(domain="com.microsoft.nchwc", version=1)
    with pytest.raises(mm.UnsupportedOpError, match="ORT_ENABLE_EXTENDED"):
        mm.parse(proto)
