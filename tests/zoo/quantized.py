"""Models quantized by ONNX Runtime: statically, from random calibration data, or by ranges that only running tells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

Inputs = dict[str, np.ndarray]
_CALIBRATION_RUNS = 3


def quantize(source: Path, target: Path, inputs: Inputs, *, signed: bool = False, per_channel: bool = True) -> Path:
    """Write the model with pairs: activations u8, or s8 if `signed`, weights s8, a scale for each of their channels."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared, unfinished = (target.with_name(f"{target.stem}-{part}.onnx") for part in ("prepared", "unfinished"))
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(unfinished),
        _Calibration(inputs),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QInt8 if signed else QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
    )
    prepared.unlink()
    return unfinished.rename(target)


def quantize_dynamically(source: Path, target: Path) -> Path:
    """Write the model with products of integers: activations are quantized while running, weights s8."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = target.with_name(f"{target.stem}-prepared.onnx")
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantize_dynamic(str(prepared), str(target), weight_type=QuantType.QInt8, per_channel=True)
    prepared.unlink()
    return target


class _Calibration:
    """Inputs as the quantizer asks for them: one a call, then None."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs: Iterator[Inputs] = (_varied(inputs, seed) for seed in range(_CALIBRATION_RUNS))

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
