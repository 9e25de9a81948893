"""Models of one node of ai.onnx.ml, how they run on the CPU without fallback, and what ONNX Runtime gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper

import mm_core as mm

DOMAIN = "ai.onnx.ml"


def one_node(op: str, *inputs: np.ndarray, outputs: int = 1, version: int = 3, **attributes: Any) -> onnx.ModelProto:
    """A model of one node whose inputs x0, x1, ... have a free first axis."""
    names = [f"x{number}" for number in range(len(inputs))]
    results = [f"y{number}" for number in range(outputs)]
    node = helper.make_node(op, names, results, name="it", domain=DOMAIN, **attributes)
    graph = helper.make_graph(
        [node],
        "one",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), [f"n{name}", *array.shape[1:]]
            )
            for name, array in zip(names, inputs)
        ],
        [onnx.ValueInfoProto(name=name) for name in results],
    )
    opsets = [helper.make_opsetid(DOMAIN, version), helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def feeds(*inputs: np.ndarray) -> dict[str, np.ndarray]:
    return {f"x{number}": array for number, array in enumerate(inputs)}


def run(model: Any, inputs: dict[str, np.ndarray], strict: bool = True) -> list[Any]:
    """The outputs of the model on the CPU backend; `strict` allows no numpy."""
    built = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=strict)).build(mm.parse(model))
    return list(built.create_engine().create_context().run(inputs).values())


def onnxruntime_says(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, inputs)


def assert_same(got: list[Any], wanted: list[Any], tolerance: float = 1e-5) -> None:
    assert len(got) == len(wanted)
    for left, right in zip(got, wanted):
        assert left.shape == right.shape
        if right.dtype.kind == "f":
            assert left.dtype == right.dtype
            np.testing.assert_allclose(left, right, rtol=tolerance, atol=tolerance)
        else:
            np.testing.assert_array_equal(left, right)


def assert_like_onnxruntime(
    op: str, *inputs: np.ndarray, strict: bool = True, tolerance: float = 1e-5, **attributes: Any
) -> list[Any]:
    model = one_node(op, *inputs, **attributes)
    got = run(model, feeds(*inputs), strict)
    assert_same(got, onnxruntime_says(model, feeds(*inputs)), tolerance)
    return got
