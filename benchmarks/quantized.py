"""Models of the zoo with pairs of quantize and dequantize, made by ONNX Runtime's static quantizer.

Activations are u8, weights s8 with a scale for each channel. Calibration data are random: what is compared is time,
and the engines with each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.request import Inputs, Request

_CALIBRATION_RUNS = 3


def quantized(request: Request) -> Path:
    """The path of the model's quantized file, beside the original; made once."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    target = request.path.with_name(f"{request.path.stem}-u8s8.onnx")
    if not target.exists():
        prepared, unfinished = (request.path.with_name(f"{request.path.stem}-{part}.onnx") for part in ("pre", "new"))
        quant_pre_process(str(request.path), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(unfinished),
            _Calibration(request),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )
        prepared.unlink()
        unfinished.rename(target)
    return target


class _Calibration:
    """Inputs as the quantizer asks for them: one a call, then None."""

    def __init__(self, request: Request) -> None:
        self._inputs: Iterator[Inputs] = (_varied(request.inputs(), seed) for seed in range(_CALIBRATION_RUNS))

    def get_next(self) -> Inputs | None:
        return next(self._inputs, None)


def _varied(inputs: Inputs, seed: int) -> Inputs:
    """Inputs of the same kind: numbers scaled, tokens put in another order."""
    rng = np.random.default_rng(seed)
    return {
        name: (array * rng.uniform(0.8, 1.2)).astype(array.dtype)
        if np.issubdtype(array.dtype, np.floating)
        else rng.permutation(array, axis=-1)
        for name, array in inputs.items()
    }
