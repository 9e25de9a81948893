"""Independent answers for the operators' references: ONNX Runtime, or onnx's own evaluator where it has no kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

_UNAVAILABLE = (onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented,)


def _run_onnx(op: str, *inputs: Any, opset: int = 21, outputs: int = 1, **attributes: Any) -> Any:
    """One ONNX operator on arrays (None for an absent input); its array, or a list of several."""
    names = ["" if value is None else f"x{number}" for number, value in enumerate(inputs)]
    results = [f"y{number}" for number in range(outputs)]
    node = onnx.helper.make_node(op, names, results, **attributes)
    given = {name: np.asarray(value) for name, value in zip(names, inputs) if name}
    graph_inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in given.items()
    ]
    graph_outputs = [onnx.ValueInfoProto(name=name) for name in results]
    graph = onnx.helper.make_graph([node], "one", graph_inputs, graph_outputs)
    model = onnx.helper.make_model(graph, ir_version=10, opset_imports=[onnx.helper.make_opsetid("", opset)])
    inferred = onnx.shape_inference.infer_shapes(model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    try:
        session = onnxruntime.InferenceSession(inferred.SerializeToString(), options, ["CPUExecutionProvider"])
        found = session.run(None, given)
    except _UNAVAILABLE:
        found = ReferenceEvaluator(model).run(None, given)
    return found[0] if outputs == 1 else found


@pytest.fixture(scope="session")
def run_onnx() -> Callable[..., Any]:
    """`run_onnx("Add", a, b)`: what ONNX says."""
    return _run_onnx
