"""Models quantized by ONNX Runtime's quantizers: on integers from end to end, and close to ONNX Runtime.

One sum that rounds otherwise moves one byte by one step, and later layers carry that on; ONNX Runtime differs from its
own results where it optimises. Results must be close to either, by the size of what quantizing changed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mm_core as mm
from tests.zoo import catalog
from tests.zoo.quantized import quantize, quantize_dynamically

ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxruntime.quantization")

CASES = {"resnet50": ("conv", 53), "mobilenet_v2": ("conv", 52), "bert_base": ("gemm", 12), "minilm_l6": ("gemm", 12)}
_SHARE = 0.5
"""How far results may be from ONNX Runtime's, as a share of what quantizing changed: one tie that is rounded otherwise
early in MobileNetV2 makes 0.4, between ONNX Runtime's own two results too; a wrong kernel makes more than 1."""


def by_onnx_runtime(path: Path, inputs: dict[str, np.ndarray], *, plain: bool) -> list[np.ndarray]:
    """Results of the file as it is written, or as ONNX Runtime optimises it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_DISABLE_ALL if plain else levels.ORT_ENABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def _distance(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.sqrt(np.mean((left - right) ** 2)))


@pytest.mark.parametrize("signed", [False, True], ids=["u8s8", "s8s8"])
@pytest.mark.parametrize("name", CASES)
def test_equals_onnx_runtime(name: str, signed: bool, tmp_path: Path) -> None:
    original = catalog.build(name, small=True)
    path = quantize(original.path, tmp_path / "model.onnx", original.inputs, signed=signed)
    plain, optimised = (by_onnx_runtime(path, original.inputs, plain=plain) for plain in (True, False))
    floats = by_onnx_runtime(original.path, original.inputs, plain=False)
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(mm.parse(path))
    results = model.create_engine(threads=2).create_context().run(original.inputs)
    for output, *wanted, exact in zip(model.outputs, plain, optimised, floats, strict=True):
        distances = [_distance(results[output.name], array) for array in wanted]
        assert min(distances) <= _SHARE * _distance(wanted[0], exact)
    kind, least = CASES[name]
    integers = [r.kernel for r in model.report.kernels if r.kernel.startswith(("i8_", "ui8_"))]
    assert sum(kernel.split("_")[1].startswith(kind) for kernel in integers) >= least // (1 if kind == "gemm" else 4)
    others = [r.kernel for r in model.report.kernels if r.kernel.startswith(("conv", "gemm"))]
    assert others == []


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v2"])
def test_no_floats_between_convolutions(name: str, tmp_path: Path) -> None:
    original = catalog.build(name, small=True)
    path = quantize(original.path, tmp_path / "model.onnx", original.inputs)
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(mm.parse(path))
    kernels = [record.kernel for record in model.report.kernels]
    (executable,) = model.executables
    buffers = executable.manifest["program"]["buffers"]
    floats = [buffer for buffer in buffers if buffer[0] == "arena" and buffer[2] == "f32"]
    # What global average pooling reads and writes.
    assert len(floats) <= 2, [kernels, floats]


@pytest.mark.parametrize("name", ["bert_base", "minilm_l6", "vit_b16"])
def test_ranges_that_only_running_tells(name: str, tmp_path: Path) -> None:
    """Every product of integers runs on bytes, with its scale and what follows it."""
    original = catalog.build(name, small=True)
    path = quantize_dynamically(original.path, tmp_path / "model.onnx")
    (wanted, *_), (exact, *_) = (by_onnx_runtime(file, original.inputs, plain=True) for file in (path, original.path))
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(mm.parse(path))
    (result, *_) = model.create_engine(threads=2).create_context().run(original.inputs).values()
    assert _distance(result, wanted) <= _SHARE * _distance(wanted, exact)
    kernels = [record.kernel for record in model.report.kernels]
    assert sum(kernel.startswith("ui8_gemm+cast+mul") for kernel in kernels) >= 12
    assert not any(kernel.startswith("gemm") or kernel == "matmul" for kernel in kernels)
