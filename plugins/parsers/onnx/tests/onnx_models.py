"""Small ONNX models from text, and how to run them: through mm's references and through ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime
from onnx import helper, numpy_helper

import mm_core as mm
from mm_core.testing.interpreter import interpret

FLOAT = onnx.TensorProto.FLOAT


def model(text: str, opset: int = 18, ir: int = 8, extra: str = "") -> onnx.ModelProto:
    """A model from ONNX's text syntax, without the header. Not checked: tests break rules on purpose."""
    return onnx.parser.parse_model(f'<ir_version: {ir}, opset_import: ["" : {opset}{extra}]>\n{text}')


def single(
    op_type: str,
    inputs: dict[str, Any],
    outputs: int = 1,
    opset: int = 18,
    constants: tuple[str, ...] = (),
    **attributes,
) -> onnx.ModelProto:
    """A model of one node. `inputs` gives arrays by name; those named in `constants` become initializers."""
    names = [f"y{index}" for index in range(outputs)]
    node = helper.make_node(op_type, list(inputs), names, name="it", **attributes)
    arrays = {name: np.asarray(value) for name, value in inputs.items() if name}
    graph = helper.make_graph(
        [node],
        "single",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in arrays.items()
            if name not in constants
        ],
        [onnx.ValueInfoProto(name=name) for name in names],
        [numpy_helper.from_array(arrays[name], name) for name in constants],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(network: mm.Network, inputs: dict[str, Any]) -> list[Any]:
    """The network's outputs by the operators' numpy references."""
    network.verify()
    with np.errstate(all="ignore"):
        return list(interpret(network, [inputs[value.name] for value in network.arguments]))


def run_onnxruntime(proto: onnx.ModelProto, inputs: dict[str, Any]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def assert_agrees(proto: onnx.ModelProto, inputs: dict[str, Any], tolerance: float = 1e-5) -> None:
    """mm's answers for a model equal those of ONNX Runtime: types, shapes, values."""
    fed = {name: np.asarray(value) for name, value in inputs.items() if name in {i.name for i in proto.graph.input}}
    got, expected = run(mm.parse(proto), fed), run_onnxruntime(proto, fed)
    assert len(got) == len(expected)
    for left, right in zip(got, expected):
        assert (left.dtype, left.shape) == (right.dtype, right.shape)
        if right.dtype.kind == "f":
            np.testing.assert_allclose(left, right, rtol=tolerance, atol=tolerance)
        else:
            np.testing.assert_array_equal(left, right)


def ramp(*shape: int, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """Floats from low to high, shuffled by a fixed permutation."""
    values = np.linspace(low, high, int(np.prod(shape)), dtype=np.float32)
    return np.random.default_rng(0).permutation(values).reshape(shape)
