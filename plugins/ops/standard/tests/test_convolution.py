"""Convolutions against torch and ONNX, and against themselves with symbolic sizes."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

import mm_core as mm
from mm_core.testing.opcheck import opcheck
from mm_core.types import evaluate_int

RNG = np.random.default_rng(1)


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize(("stride", "dilation", "pad"), [(1, 1, 0), (2, 1, 1), (1, 2, 2), (3, 2, 3)])
def test_conv_is_torchs(reference: Any, group: int, stride: int, dilation: int, pad: int) -> None:
    x, w, b = normal(2, 4, 17, 15), normal(8, 4 // group, 3, 2), normal(8)
    attributes = {"strides": (stride,) * 2, "dilations": (dilation,) * 2, "pads": (pad, 1, pad, 1), "group": group}
    y = reference("mm.conv", x, w, b, **attributes)
    tensors = map(torch.tensor, (x, w, b))
    wanted = torch.nn.functional.conv2d(*tensors, stride=stride, dilation=dilation, padding=(pad, 1), groups=group)
    np.testing.assert_allclose(y, wanted.numpy(), rtol=1e-5, atol=2e-5)
    opcheck("mm.conv", [x, w, b], attributes, symbolic=False)


@pytest.mark.parametrize("rank", [1, 3])
def test_conv_of_other_ranks(reference: Any, rank: int) -> None:
    x, w = normal(2, 3, *[6] * rank), normal(4, 3, *[3] * rank)
    function = {1: torch.nn.functional.conv1d, 3: torch.nn.functional.conv3d}[rank]
    wanted = function(torch.tensor(x), torch.tensor(w), padding=1)
    np.testing.assert_allclose(reference("mm.conv", x, w, pads=(1,) * 2 * rank), wanted.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("auto_pad", ["same_upper", "same_lower", "valid"])
def test_auto_pad_is_onnxs(reference: Any, run_onnx: Any, auto_pad: str) -> None:
    x, w = normal(1, 2, 8, 9), normal(3, 2, 4, 3)
    y = reference("mm.conv", x, w, strides=(2, 3), auto_pad=auto_pad)
    wanted = run_onnx("Conv", x, w, strides=[2, 3], auto_pad=auto_pad.upper())
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_conv_rounds_once(reference: Any, dtype: Any) -> None:
    x, w = normal(1, 3, 6, 6).astype(dtype), normal(2, 3, 3, 3).astype(dtype)
    y = reference("mm.conv", x, w)
    wanted = reference("mm.conv", x.astype(np.float32), w.astype(np.float32))
    assert y.dtype == dtype
    np.testing.assert_allclose(y.astype(np.float32), wanted.astype(dtype).astype(np.float32), rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("auto_pad", ["notset", "same_lower"])
def test_conv_shape_with_symbols(reference: Any, auto_pad: str) -> None:
    network = mm.Network()
    x = network.add_input("x", mm.float32, ("N", 3, "H", "W"))
    pads = (1, 0, 2, 1) if auto_pad == "notset" else ()
    y = network.conv(x, normal(5, 3, 3, 2), strides=(2, 3), pads=pads, auto_pad=auto_pad)
    for sizes in ({"N": 1, "H": 9, "W": 8}, {"N": 3, "H": 4, "W": 11}):
        array = normal(sizes["N"], 3, sizes["H"], sizes["W"])
        given = {"strides": (2, 3), "pads": pads, "auto_pad": auto_pad}
        shape = reference("mm.conv", array, normal(5, 3, 3, 2), **given).shape
        assert tuple(evaluate_int(dim, sizes) for dim in y.type.shape) == shape


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"strides": (0, 1)}, "strides"),
        ({"dilations": (1, 0)}, "dilations"),
        ({"strides": (1,)}, "2 entries"),
        ({"group": 0}, "group must be at least 1"),
        ({"group": 2}, "channels of x"),
        ({"pads": (-1, 0, 0, 0)}, "pads"),
        ({"pads": (1, 1, 1, 1), "auto_pad": "same_upper"}, "exclude each other"),
    ],
)
def test_conv_refuses(attributes: dict[str, Any], message: str) -> None:
    network = mm.Network()
    x = network.add_input("x", mm.float32, ("N", 4, 8, 8))
    with pytest.raises((mm.VerifyError, mm.UnsupportedOpError), match=message):
        network.conv(x, normal(6, 4, 3, 3), **attributes)


def test_conv_refuses_a_kernel_beyond_the_image() -> None:
    network = mm.Network()
    x = network.add_input("x", mm.float32, (1, 1, 2, 5))
    with pytest.raises(mm.VerifyError, match="the window reaches 3 elements but an axis has 2"):
        network.conv(x, normal(1, 1, 3, 3))


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize(("stride", "dilation", "pad", "extra"), [(1, 1, 0, 0), (2, 1, 1, 1), (3, 2, 2, 1)])
def test_conv_transpose_is_torchs(reference: Any, group: int, stride: int, dilation: int, pad: int, extra: int) -> None:
    x, w, b = normal(2, 4, 7, 6), normal(4, 3, 3, 2), normal(3 * group)
    y = reference(
        "mm.conv_transpose", x, w, b,
        strides=(stride,) * 2, dilations=(dilation,) * 2, pads=(pad, 1, pad, 1), group=group,
        output_padding=(extra,) * 2,
    )  # fmt: skip
    wanted = torch.nn.functional.conv_transpose2d(
        *map(torch.tensor, (x, w, b)),
        stride=stride, dilation=dilation, padding=(pad, 1), groups=group, output_padding=extra,
    )  # fmt: skip
    np.testing.assert_allclose(y, wanted.numpy(), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize(
    "attributes",
    [{"output_shape": [14, 13]}, {"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}, {"auto_pad": "VALID"}],
)
def test_conv_transpose_sizes_are_onnxs(reference: Any, run_onnx: Any, attributes: dict[str, Any]) -> None:
    x, w = normal(1, 2, 7, 6), normal(2, 3, 3, 4)
    wanted = run_onnx("ConvTranspose", x, w, strides=[2, 2], **attributes)
    ours = {name: value.lower() if isinstance(value, str) else value for name, value in attributes.items()}
    y = reference("mm.conv_transpose", x, w, strides=(2, 2), **ours)
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("per_channel", [False, True])
def test_conv_integer_is_exact(reference: Any, run_onnx: Any, per_channel: bool) -> None:
    x = RNG.integers(0, 256, (1, 2, 6, 6)).astype(np.uint8)
    w = RNG.integers(-128, 128, (4, 2, 3, 3)).astype(np.int8)
    zeros = (np.array(3, np.uint8), np.arange(4, dtype=np.int8) if per_channel else np.array(2, np.int8))
    opcheck("mm.conv_integer", [x, w, *zeros], {"pads": (1, 1, 1, 1)})
    y = reference("mm.conv_integer", x, w, *zeros, pads=(1, 1, 1, 1))
    wide_x, wide_w = x.astype(np.float64) - 3, w - zeros[1].astype(np.float64).reshape(-1, 1, 1, 1)
    wanted = torch.nn.functional.conv2d(torch.tensor(wide_x), torch.tensor(wide_w), padding=1)
    np.testing.assert_array_equal(y, wanted.numpy())
    if not per_channel:
        np.testing.assert_array_equal(y, run_onnx("ConvInteger", x, w, *zeros, pads=[1, 1, 1, 1]))


@pytest.mark.parametrize("mode", ["same_upper", "same_lower"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
@pytest.mark.parametrize("op", ["mm.conv", "mm.conv_transpose"])
def test_automatic_padding_decomposes(op: str, strides: tuple[int, int], mode: str) -> None:
    """To explicit pads, and to arithmetic of sizes where those are symbols."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2, 4, 7, 6)).astype(np.float32)
    w = rng.normal(size=(4, 4, 3, 2)).astype(np.float32)
    for bias in (None, rng.normal(size=4).astype(np.float32)):
        opcheck(op, [x, w, bias], {"strides": strides, "auto_pad": mode})


@pytest.mark.parametrize("output_shape", [(10, 8), (30, 31), (1, 40)])
def test_an_output_shape_decomposes(output_shape: tuple[int, int]) -> None:
    """Smaller than the convolution and larger, where the bias alone remains."""
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(2, 4, 7, 6)).astype(np.float32), rng.normal(size=(4, 3, 3, 2)).astype(np.float32)
    for auto_pad in ("notset", "same_upper"):
        attributes = {"strides": (2, 1), "output_shape": output_shape, "auto_pad": auto_pad}
        opcheck("mm.conv_transpose", [x, w, rng.normal(size=3).astype(np.float32)], attributes)
