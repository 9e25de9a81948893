"""Independent answers for the operators' references: ONNX Runtime, or onnx's own evaluator where it has no kernel."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

from mm_core.ops import lookup

_UNAVAILABLE = (onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented,)


def _run_onnx(
    op: str, *inputs: Any, opset: int = 21, outputs: int = 1, evaluator: bool = False, **attributes: Any
) -> Any:
    """One ONNX operator on arrays (None for an absent input); its array, or a list of several.

    `evaluator` asks onnx's own evaluator and not ONNX Runtime.
    """
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
    found = None
    if not evaluator:
        with suppress(*_UNAVAILABLE):
            session = onnxruntime.InferenceSession(inferred.SerializeToString(), options, ["CPUExecutionProvider"])
            found = session.run(None, given)
    if found is None:
        found = ReferenceEvaluator(model).run(None, given)
    return found[0] if outputs == 1 else found


@pytest.fixture(scope="session")
def run_onnx() -> Callable[..., Any]:
    """`run_onnx("Add", a, b)`: what ONNX says."""
    return _run_onnx


@pytest.fixture(scope="session")
def reference() -> Callable[..., Any]:
    """`reference("mm.relu", x)`: an operator's reference, with its attributes' defaults."""

    def run(op: str, *inputs: Any, **attributes: Any) -> Any:
        definition = lookup(op)
        return definition.reference(*inputs, **definition.normalize_attributes(attributes))

    return run
