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

import mm_core as mm
from mm_core.ops import lookup
from mm_core.testing.opcheck import type_of
from mm_core.types import TensorType, symbol

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


def _run_cpu(op: str, *inputs: Any, symbolic: bool = False, **attributes: Any) -> list[Any]:
    network, given = mm.Network(op), {}
    operands: list[Any] = []
    for number, array in enumerate(inputs):
        type_ = type_of(array)
        if not isinstance(type_, TensorType):
            operands.append(None)
            continue
        if symbolic:
            type_ = type_.with_shape(symbol(f"s{number}_{axis}") for axis in range(array.ndim))
        operands.append(network.add_typed_input(f"x{number}", type_))
        given[f"x{number}"] = array
    results = network.op(f"mm.{op}", *operands, **attributes)
    for index, value in enumerate(results if isinstance(results, tuple) else (results,)):
        network.mark_output(value, f"y{index}")
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(network)
    found = model.create_engine().create_context().run(given)
    return [found[name] for name in sorted(found)]


@pytest.fixture(scope="session")
def run_cpu() -> Callable[..., list[Any]]:
    """`run_cpu("nonzero", x, symbolic=True)`: the operator alone in a strict model on the CPU, its results.

    Every operand is an input (None: absent), so that nothing but its type is known while building; with `symbolic`
    only its rank.
    """
    return _run_cpu
