"""The engines that can take part, and thin adapters for those of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from mm_core.testing.backend_engine import BackendEngine, SymbolicEngine
from mm_core.testing.case import Case
from mm_core.testing.engine import Built, Engine
from mm_core.types import as_dtype

Requests = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A model as its file is, and its outputs: names, and element types for those that are tensors."""

    model: Any
    outputs: Mapping[str, np.dtype[Any] | None]


class Foreign(Engine):
    """An engine that reads the ONNX model itself, where it is run."""

    def version(self) -> str:
        return metadata.version(self.name)

    def build(self, case: Case, form: str, folder: Path) -> Built:
        outputs = case.data_sets[0].outputs.items()
        return Built(Source(case.source, {name: getattr(value, "dtype", None) for name, value in outputs}))


@dataclass(frozen=True)
class OnnxRuntime(Foreign):
    """ONNX Runtime's CPU provider."""

    name = "onnxruntime"

    def refusals(self) -> tuple[type[Exception], ...]:
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        errors = [value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception)]
        return (*errors, RuntimeError, TypeError, ValueError)

    def run(self, built: Built, inputs: Requests) -> list[dict[str, Any]]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(built.artifact.model, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        types = built.artifact.outputs
        results = []
        for values in inputs:
            found = session.run(names, {name: _onnxruntime_value(value) for name, value in values.items()})
            results.append({name: _as_declared(value, types.get(name)) for name, value in zip(names, found)})
        return results


def _onnxruntime_value(value: Any) -> Any:
    """The value, or an OrtValue with the bits of an element type that numpy has not."""
    if not isinstance(value, np.ndarray) or not is_extension(value.dtype):
        return value
    import onnxruntime
    from onnx import helper

    kind = helper.np_dtype_to_tensor_dtype(value.dtype)
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(_bits(value), kind)


@dataclass(frozen=True)
class OpenVino(Foreign):
    """OpenVINO's CPU plug-in; float32 is asked for, else CPUs with bfloat16 would compute in it."""

    name = "openvino"

    def refusals(self) -> tuple[type[Exception], ...]:
        return (RuntimeError, TypeError, ValueError)

    def run(self, built: Built, inputs: Requests) -> list[dict[str, Any]]:
        import openvino

        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(built.artifact.model), "CPU", settings)
        results = []
        for values in inputs:
            types = {port.get_any_name(): port.get_element_type() for port in compiled.inputs}
            found = compiled({name: _openvino_value(value, types.get(name)) for name, value in values.items()})
            # Names of results are lost where the graph is simplified; their order is not.
            results.append(
                {
                    name: _as_declared(found[port], dtype)
                    for port, (name, dtype) in zip(compiled.outputs, built.artifact.outputs.items())
                }
            )
        return results


def _openvino_value(value: Any, kind: Any) -> Any:
    """The value, or a tensor with the bits of an element type that numpy has not."""
    if kind is None or not isinstance(value, np.ndarray) or not is_extension(value.dtype):
        return value
    import openvino

    return openvino.Tensor(_bits(value), list(value.shape), kind)


def is_extension(dtype: np.dtype[Any]) -> bool:
    """Whether numpy knows the element type only through an extension, as bfloat16."""
    return dtype.isbuiltin == 2


def _bits(array: np.ndarray) -> np.ndarray:
    """The elements as unsigned integers. ValueError for those smaller than a byte, which each engine packs its way."""
    if as_dtype(array.dtype).bits < 8:
        raise ValueError(f"elements of {array.dtype} cannot be passed from numpy")
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")


def _as_declared(value: Any, dtype: np.dtype[Any] | None) -> Any:
    """Scalars as arrays, strings as objects, and extension types in place of the raw bits that engines give."""
    if value is None:
        return None
    if isinstance(value, list):
        return [_as_declared(item, None) for item in value]
    array = np.asarray(value)
    if array.dtype.kind in "SU":
        return array.astype(object)
    if dtype is not None and is_extension(dtype) and array.dtype != dtype and array.dtype.itemsize == dtype.itemsize:
        return array.view(dtype)
    return array


ENGINES: Mapping[str, Engine] = {
    engine.name: engine
    for engine in (
        BackendEngine("cpu"),
        SymbolicEngine("cpu"),
        BackendEngine("reference", oracle=True),
        OnnxRuntime(),
        OpenVino(),
    )
}
