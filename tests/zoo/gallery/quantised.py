"""What ONNX Runtime's quantiser makes of exported models: pairs around operators, integer operators, dynamic scales."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests import zoo
from tests.zoo import catalog
from tests.zoo.export import quiet
from tests.zoo.gallery.exhibit import FILE, Exhibit, Inputs


def exhibits() -> Iterator[Exhibit]:
    pairs = ("QuantizeLinear", "DequantizeLinear")
    yield Exhibit("resnet_qdq", make_pairs, images, pairs)
    yield Exhibit("resnet_qoperator", make_operators, images, ("QLinearConv", "QLinearAdd"))
    yield Exhibit("minilm_dynamic", make_dynamic, sentences, ("DynamicQuantizeLinear", "MatMulInteger"))


def images() -> list[Inputs]:
    return [catalog.inputs("resnet50", batch, small=True, seed=batch) for batch in (2, 1)]


def sentences() -> list[Inputs]:
    return [catalog.inputs("minilm_l6", batch, small=True, seed=batch) for batch in (2, 3)]


def make_pairs(folder: Path) -> None:
    _static(folder, pairs=True)


def make_operators(folder: Path) -> None:
    _static(folder, pairs=False)


def _static(folder: Path, pairs: bool) -> None:
    """ResNet in 8 bits, calibrated on a few images: weights by channel, activations unsigned."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quant_pre_process,
        quantize_static,
    )

    class Images(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = [catalog.inputs("resnet50", 4, small=True, seed=seed) for seed in range(10, 14)]

        def get_next(self) -> dict[str, np.ndarray] | None:
            return self.left.pop() if self.left else None

    source = zoo.build("resnet50", small=True, dynamic=True, exporter="script", opset=13).path
    prepared = folder / "prepared.onnx"
    with quiet():
        quant_pre_process(source, prepared)
        quantize_static(
            prepared, folder / FILE, Images(), quant_format=QuantFormat.QDQ if pairs else QuantFormat.QOperator,
            per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )  # fmt: skip
    prepared.unlink()


def make_dynamic(folder: Path) -> None:
    """Matrix products in 8 bits with scales that each input decides."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    source = zoo.build("minilm_l6", small=True, dynamic=True).path
    with quiet():
        quantize_dynamic(source, folder / FILE, weight_type=QuantType.QInt8)
