"""One request on a network of one operator, where nothing but overhead is left: ours and ONNX Runtime's, in turn."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime

import mm_core as mm
from benchmarks.micro.figures import Figure, in_turn

SIZE = 16
REPEATS = 2000


def measure() -> list[Figure]:
    shape = (1, SIZE)
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])],
        "relu",
        [value("x", onnx.TensorProto.FLOAT, shape)],
        [value("y", onnx.TensorProto.FLOAT, shape)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    inputs = {"x": np.linspace(-1, 1, SIZE, dtype=np.float32).reshape(shape)}
    context = mm.Builder(mm.BuilderConfig(backends=["cpu"])).build(mm.parse(model)).create_engine().create_context()
    session = onnxruntime.InferenceSession(model.SerializeToString())
    times = in_turn({"mm": lambda: context.run(inputs), "ort": lambda: session.run(None, inputs)}, repeats=REPEATS)
    return [
        Figure("one Relu of 16 elements, mm", times["mm"] * 1e6, times["ort"] * 1e6, "us"),
        Figure("one Relu of 16 elements, ONNX Runtime", times["ort"] * 1e6, unit="us"),
    ]
