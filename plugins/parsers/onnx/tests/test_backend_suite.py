"""ONNX's own test suite: one model for each form of each operator, with the answers that ONNX gives."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests
from onnx_models import run

import mm_core as mm

NOT_OFFERED = {
    "Adagrad", "Adam", "ArrayFeatureExtractor", "Binarizer", "Gradient", "LabelEncoder",
    "Momentum", "TreeEnsemble",
}  # fmt: skip
"""Training, classical machine learning: operators that this parser does not import."""
KNOWN_LIMITS = {
    "test_dft_irfft": "an inverse transform of half a spectrum",
    "test_dft_irfft_opset19": "an inverse transform of half a spectrum",
    "test_loop16_seq_none": "a loop that carries an optional and gives a sequence",
}
RANDOM = {"Bernoulli", "RandomUniformLike", "Dropout"}
"""Only types and shapes of their results can be compared."""
TOLERANCES = {"float64": 1e-7, "float32": 1e-3, "complex64": 1e-3}
"""Relative, as ONNX's own runner has them; other floats have fewer than 12 bits of precision: 2e-2."""
KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")


@cache
def cases(kind: str) -> list[TestCase]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return sorted(load_model_tests(kind=kind), key=lambda case: case.name)


def operators(model: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node}


def inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Inputs that are no initializers, which old models list too."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [info for info in model.graph.input if info.name not in constants]


def load(path: Path, type_: onnx.TypeProto) -> Any:
    """A value from the suite's files."""
    data, kind = path.read_bytes(), type_.WhichOneof("value")
    if kind == "tensor_type":
        return numpy_helper.to_array(onnx.TensorProto.FromString(data))
    if kind == "sequence_type":
        return numpy_helper.to_list(onnx.SequenceProto.FromString(data))
    return numpy_helper.to_optional(onnx.OptionalProto.FromString(data))


def data_sets(case: TestCase, model: onnx.ModelProto) -> list[tuple[list[Any], list[Any]]]:
    if case.data_sets is not None:
        return [([plain(value) for value in given], [plain(v) for v in expected]) for given, expected in case.data_sets]
    sets = []
    for folder in sorted(Path(case.model_dir).glob("test_data_set*")):
        found = [
            [plain(load(folder / f"{label}_{index}.pb", info.type)) for index, info in enumerate(infos)]
            for label, infos in (("input", inputs(model)), ("output", model.graph.output))
        ]
        sets.append((found[0], found[1]))
    return sets


def plain(value: Any) -> Any:
    """The value as mm has it: arrays, lists, None; strings as objects."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if value is None:
        return None
    array = numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
    return array.astype(object) if array.dtype.kind in "SU" else array


def with_constants(model: onnx.ModelProto, values: list[Any]) -> onnx.ModelProto:
    """The model with small integer inputs, such as axes, as initializers."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for info, value in zip(model.graph.input, values):
        if isinstance(value, np.ndarray) and value.dtype in (np.int32, np.int64) and value.ndim <= 1:
            copy.graph.initializer.append(numpy_helper.from_array(value, info.name))
    return copy


def parse(model: onnx.ModelProto, values: list[Any]) -> mm.Network:
    try:
        return mm.parse(model)
    except mm.UnsupportedOpError as error:
        if "must be constant" not in str(error):
            raise
        return mm.parse(with_constants(model, values))


def assert_same(got: Any, expected: Any, random: bool) -> None:
    if isinstance(expected, list):
        assert len(got) == len(expected)
        for left, right in zip(got, expected):
            assert_same(left, right, random)
        return
    if expected is None:
        assert got is None
        return
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    if random:
        return
    if expected.dtype.kind in "fcV":
        wide = np.complex128 if expected.dtype.kind == "c" else np.float64
        tolerance = TOLERANCES.get(str(expected.dtype), 2e-2)
        np.testing.assert_allclose(got.astype(wide), expected.astype(wide), rtol=tolerance, atol=1e-5)
    else:
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for kind in KINDS for case in cases(kind)])
def test_onnx_suite(case: TestCase, request: pytest.FixtureRequest) -> None:
    model = case.model if case.model is not None else onnx.load(Path(case.model_dir) / "model.onnx")
    missing = operators(model) & NOT_OFFERED
    if missing:
        with pytest.raises(mm.UnsupportedOpError, match="is not offered by this parser"):
            mm.parse(model)
        return
    if case.name in KNOWN_LIMITS:
        request.applymarker(pytest.mark.xfail(raises=mm.VerifyError, reason=KNOWN_LIMITS[case.name], strict=True))
    random = bool(operators(model) & RANDOM)
    for given, expected in data_sets(case, model):
        network = parse(model, given)
        assert [spec.name for spec in network.output_specs] == [info.name for info in model.graph.output]
        values = dict(zip((info.name for info in inputs(model)), given))
        for got, wanted in zip(run(network, values), expected):
            assert_same(got, wanted, random)
