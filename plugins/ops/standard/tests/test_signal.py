"""Fourier transforms, mel weights, columns to images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mm_core.ops import lookup
from mm_core.testing.opcheck import assert_close, opcheck

RANDOM = np.random.default_rng(5)


def noise(*shape: int) -> Any:
    return RANDOM.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("length", [None, 5, 12])
@pytest.mark.parametrize(("shape", "options"), [
    ((2, 8, 1), {}), ((2, 8, 1), {"onesided": True}), ((2, 7, 1), {"onesided": True}), ((2, 8, 2), {}),
    ((2, 8, 2), {"inverse": True}), ((2, 9, 3, 2), {"axis": 1}), ((4, 3, 2), {"axis": 0}),
])  # fmt: skip
def test_dft(shape: tuple[int, ...], options: dict[str, Any], length: int | None, run_onnx: Callable[..., Any]) -> None:
    x = noise(*shape)
    count = None if length is None else np.array(length)
    # Real or complex is the last size, which must be static.
    assert not opcheck("mm.dft", [x, count], options, symbolic=False).not_decomposed
    definition = lookup("mm.dft")
    mine = definition.reference(x, count, **definition.normalize_attributes(options))
    flags = {key: int(value) for key, value in options.items() if key != "axis"}
    theirs = run_onnx("DFT", x, count, np.array(options.get("axis", -2)), **flags)
    assert_close(mine, theirs, "dft", 1e-4)


def test_long_transforms_stay_exact() -> None:
    x = noise(1, 4096, 1)
    opcheck("mm.dft", [x], {"onesided": True}, symbolic=False, tolerance=2e-3)


@pytest.mark.parametrize("window", [None, "hann"])
@pytest.mark.parametrize("onesided", [True, False])
def test_stft(window: str | None, onesided: bool, run_onnx: Callable[..., Any]) -> None:
    signal = noise(2, 40, 1)
    weights = None if window is None else np.hanning(8).astype(np.float32)
    inputs = [signal, np.array(4), weights, np.array(8)]
    report = opcheck("mm.stft", inputs, {"onesided": onesided})
    assert not report.unknown
    assert not report.not_decomposed
    mine = lookup("mm.stft").reference(*inputs, onesided=onesided)
    assert_close(mine, run_onnx("STFT", *inputs, onesided=int(onesided)), "stft", 1e-4)


def test_mel_weights(run_onnx: Callable[..., Any]) -> None:
    inputs = [np.array(8), np.array(64), np.array(16000), np.float32(0), np.float32(8000)]
    assert not opcheck("mm.mel_weight_matrix", inputs).unknown
    definition = lookup("mm.mel_weight_matrix")
    mine = definition.reference(*inputs, **definition.normalize_attributes({}))
    assert_close(mine, run_onnx("MelWeightMatrix", *inputs), "mel", 1e-5)


@pytest.mark.parametrize(("image", "block", "options"), [
    ((5, 5), (1, 5), {}), ((6, 7), (2, 3), {"strides": (2, 2)}), ((5, 5), (3, 3), {"pads": (1, 0, 1, 2)}),
    ((8, 8), (2, 2), {"dilations": (2, 3), "strides": (1, 2)}), ((4, 4, 4), (2, 2, 2), {"strides": (2, 2, 2)}),
    ((9,), (3,), {"strides": (2,)}),
])  # fmt: skip
def test_columns_to_image(
    image: tuple[int, ...], block: tuple[int, ...], options: dict[str, Any], run_onnx: Callable[..., Any]
) -> None:
    rank = len(image)
    strides, dilations = options.get("strides", (1,) * rank), options.get("dilations", (1,) * rank)
    pads = options.get("pads", (0,) * rank * 2)
    counts = [
        (pads[i] + image[i] + pads[rank + i] - (block[i] - 1) * dilations[i] - 1) // strides[i] + 1 for i in range(rank)
    ]
    x = noise(2, 3 * int(np.prod(block)), int(np.prod(counts)))
    inputs = [x, np.array(image), np.array(block)]
    report = opcheck("mm.col2im", inputs, options, symbolic=False)
    assert not report.unknown
    definition = lookup("mm.col2im")
    mine = definition.reference(*inputs, **definition.normalize_attributes(options))
    assert_close(mine, run_onnx("Col2Im", *inputs, **options), "col2im", 1e-5)


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64])
def test_cumprod(dtype: Any, reverse: bool, exclusive: bool) -> None:
    x = (RANDOM.integers(1, 4, (2, 4, 3)) * RANDOM.choice([-1, 1], (2, 4, 3))).astype(dtype)
    assert not opcheck("mm.cumprod", [x], {"axis": 1, "exclusive": exclusive, "reverse": reverse}).unknown
    mine = lookup("mm.cumprod").reference(x, axis=1, exclusive=exclusive, reverse=reverse)
    for index in range(4):
        kept = slice(index + exclusive, None) if reverse else slice(0, index + 1 - exclusive)
        assert mine[:, index].tolist() == x[:, kept].prod(1).tolist()
