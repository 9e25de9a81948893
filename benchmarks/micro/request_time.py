"""One request on a network of one operator, where little but overhead is left: ours and ONNX Runtime's, in turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime

import mm_core as mm
from benchmarks.micro.figures import Figure, in_turn

REPEATS = 2000


@dataclass(frozen=True)
class Case:
    """An ONNX operator, the shapes of its inputs, and those of its weights."""

    op: str
    inputs: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[int, ...], ...] = ()

    def __str__(self) -> str:
        shapes = ", ".join("x".join(map(str, shape)) for shape in (*self.inputs, *self.weights))
        return f"one {self.op} of {shapes}"


CASES = (
    Case("Relu", ((1, 16),)),
    Case("Add", ((1, 64), (1, 64))),
    Case("MatMul", ((1, 64),), ((64, 64),)),
    Case("Conv", ((1, 8, 8, 8),), ((8, 8, 3, 3),)),
    Case("Softmax", ((1, 64),)),
)


def measure() -> list[Figure]:
    return [figure for threads in (1, 2) for case in CASES for figure in compared(case, threads)]


def compared(case: Case, threads: int) -> Iterator[Figure]:
    """Microseconds of a request by both; ONNX Runtime's are the limit of ours."""
    random = np.random.default_rng(0)
    inputs = {f"x{i}": random.standard_normal(shape, np.float32) for i, shape in enumerate(case.inputs)}
    proto = model(case, [random.standard_normal(shape, np.float32) for shape in case.weights])
    built = mm.Builder(mm.BuilderConfig(backends=["cpu"], threads=threads)).build(mm.parse(proto))
    context = built.create_engine(threads=threads).create_context()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    times = in_turn({"mm": lambda: context.run(inputs), "ort": lambda: session.run(None, inputs)}, REPEATS)
    label = f"{case}, {threads} thread{'s' * (threads > 1)}"
    yield Figure(f"{label}, mm", times["mm"] * 1e6, times["ort"] * 1e6, "us")
    yield Figure(f"{label}, ONNX Runtime", times["ort"] * 1e6, unit="us")


def model(case: Case, weights: list[np.ndarray]) -> onnx.ModelProto:
    """The network: inputs x0, x1, ..., output y."""
    value, dtype = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    names = [f"x{i}" for i in range(len(case.inputs))]
    constants = [onnx.numpy_helper.from_array(array, f"w{i}") for i, array in enumerate(weights)]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(case.op, [*names, *(constant.name for constant in constants)], ["y"])],
        case.op,
        [value(name, dtype, shape) for name, shape in zip(names, case.inputs, strict=True)],
        [value("y", dtype, None)],
        constants,
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
