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

Requests = tuple[Mapping[str, Any], ...]


class Foreign(Engine):
    """An engine that reads the ONNX model itself, where it is run."""

    def version(self) -> str:
        return metadata.version(self.name)

    def build(self, case: Case, form: str, folder: Path) -> Built:
        return Built(case.source)


@dataclass(frozen=True)
class OnnxRuntime(Foreign):
    """ONNX Runtime's CPU provider. Values go in and out with the element types that ONNX gives them."""

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
        session = onnxruntime.InferenceSession(built.artifact, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return [dict(zip(names, _onnxruntime_run(session, values))) for values in inputs]


def _onnxruntime_run(session: Any, values: Mapping[str, Any]) -> list[Any]:
    """Through OrtValues, which hold the small element types that plain arrays cannot."""
    import onnxruntime

    plain = all(not isinstance(value, np.ndarray) or value.dtype.isbuiltin for value in values.values())
    if plain:
        return [_array(value) for value in session.run(None, dict(values))]
    from onnx import helper

    given = {
        name: onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(
            value, helper.np_dtype_to_tensor_dtype(value.dtype)
        )
        if isinstance(value, np.ndarray) and not value.dtype.isbuiltin
        else onnxruntime.OrtValue.ortvalue_from_numpy(value)
        for name, value in values.items()
    }
    return [_array(value.numpy()) for value in session.run_with_ort_values(None, given)]


@dataclass(frozen=True)
class OpenVino(Foreign):
    """OpenVINO's CPU plug-in; float32 is asked for, else CPUs with bfloat16 would compute in it."""

    name = "openvino"

    def refusals(self) -> tuple[type[Exception], ...]:
        return (RuntimeError, TypeError, ValueError)

    def run(self, built: Built, inputs: Requests) -> list[dict[str, Any]]:
        import openvino

        core = openvino.Core()
        model = core.read_model(built.artifact)
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})
        results = []
        for values in inputs:
            found = compiled(dict(values))
            results.append({output.get_any_name(): _array(found[output]) for output in compiled.outputs})
        return results


def _array(value: Any) -> Any:
    """Strings as objects, as the cases have them; scalars as arrays."""
    if value is None or isinstance(value, list):
        return value if value is None else [_array(item) for item in value]
    array = np.asarray(value)
    return array.astype(object) if array.dtype.kind in "SU" else array


ENGINES: Mapping[str, Engine] = {
    "cpu": BackendEngine("cpu"),
    "cpu-symbolic": SymbolicEngine("cpu"),
    "reference": BackendEngine("reference", oracle=True),
    "onnxruntime": OnnxRuntime(),
    "openvino": OpenVino(),
}
