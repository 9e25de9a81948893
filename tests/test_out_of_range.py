"""Requests whose contents break an operator's rules: an error that names the node, or the result that is documented.

Each case is one ONNX node built for the CPU; the operand at fault is an input, so that nothing can be said before
the request. Where it is a constant, building says it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import mm_core as mm

F32, I64, I32 = np.float32, np.int64, np.int32
LEAST, MOST = np.iinfo(I64).min, np.iinfo(I64).max
X = np.arange(12, dtype=F32).reshape(3, 4)


@dataclass(frozen=True)
class Fault:
    """A node, inputs that it takes, and values for one of them that it must refuse."""

    op_type: str
    inputs: dict[str, Any]
    bad: dict[str, list[Any]]
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1
    opset: int = 21
    constants: tuple[str, ...] = ()
    domain: str = ""


def ints(*values: int) -> np.ndarray:
    return np.array(values, I64)


BOXES = np.array([[[0, 0, 1, 1], [0, 0, 2, 2]]], F32)
IMAGE = np.arange(32, dtype=F32).reshape(1, 2, 4, 4)
RECURRENT = {
    "x": np.ones((3, 2, 4), F32), "w": np.ones((1, 20, 4), F32), "r": np.ones((1, 20, 5), F32),
    "b": np.ones((1, 40), F32), "lengths": np.array([3, 2], I32),
}  # fmt: skip
FAULTS = [
    Fault("Gather", {"x": X, "i": ints(0, -3)}, {"i": [ints(0, 3), ints(-4, 0), ints(MOST, 0), ints(LEAST, 0)]}),
    Fault("Gather", {"x": X, "i": ints(0, 3)}, {"i": [ints(0, 4), ints(-5, 0)]}, {"axis": 1}),
    Fault("Gather", {"x": np.arange(3), "i": np.array(1)}, {"i": [np.array(3), np.array(-4)]}),
    Fault("GatherElements", {"x": X, "i": ints(0, 2, 1, -3).reshape(1, 4)},
          {"i": [ints(0, 3, 1, 2).reshape(1, 4), ints(0, -4, 1, 2).reshape(1, 4)]}),
    Fault("GatherND", {"x": X, "i": ints(2, -4).reshape(1, 2)},
          {"i": [ints(3, 0).reshape(1, 2), ints(0, 4).reshape(1, 2), ints(0, LEAST).reshape(1, 2)]}),
    Fault("ScatterElements", {"x": X, "i": ints(2, 0, 1, -1).reshape(1, 4), "u": -X[:1]},
          {"i": [ints(3, 0, 1, 2).reshape(1, 4), ints(-4, 0, 1, 2).reshape(1, 4), ints(MOST, 0, 1, 2).reshape(1, 4)]}),
    Fault("ScatterElements", {"x": X, "i": ints(2, 0, 1, -1).reshape(1, 4), "u": -X[:1]},
          {"i": [ints(3, 0, 1, 2).reshape(1, 4)]}, {"reduction": "add"}),
    Fault("ScatterND", {"x": X, "i": ints(2, -1).reshape(2, 1), "u": -X[:2]},
          {"i": [ints(2, 3).reshape(2, 1), ints(-4, 0).reshape(2, 1)]}),
    Fault("Scatter", {"x": X, "i": ints(2, 0).reshape(1, 2), "u": -X[:1, :2]}, {"i": [ints(9, 0).reshape(1, 2)]},
          opset=9),
    Fault("Reshape", {"x": X, "s": ints(2, -1)},
          {"s": [ints(5, -1), ints(-1, -1), ints(2, 7), ints(-2, 6), ints(MOST, 4), ints(2**32, 2**32)]}),
    Fault("Expand", {"x": X[:1], "s": ints(3, 4)}, {"s": [ints(3, 5), ints(-1, 4), ints(2**62, 4)]}),
    Fault("ConstantOfShape", {"s": ints(2, 3)}, {"s": [ints(-1, 3), ints(2**62, 8), ints(2**40, 2**20)]}),
    Fault("Tile", {"x": X, "n": ints(2, 1)}, {"n": [ints(-1, 1), ints(2**62, 2**62)]}),
    Fault("Pad", {"x": X, "p": ints(0, 1, 2, 3)}, {"p": [ints(0, -3, 0, -3), ints(2**62, 0, 2**62, 0)]}),
    Fault("Pad", {"x": X, "p": ints(1, 1, 1, 1)}, {"p": [ints(-4, 0, 0, 0), ints(0, MOST, 0, 0)]}, {"mode": "reflect"}),
    Fault("TopK", {"x": X, "k": ints(2)}, {"k": [ints(5), ints(-1), ints(MOST)]}, outputs=2),
    Fault("OneHot", {"i": ints(0, 1), "d": np.array(3), "v": np.array([0, 1], F32)},
          {"d": [np.array(-1), np.array(MOST)]}),
    Fault("Range", {"a": np.array(0), "b": np.array(9), "c": np.array(2)}, {"c": [np.array(0)], "b": [np.array(MOST)]}),
    Fault("CumSum", {"x": X, "a": np.array(1)}, {"a": [np.array(2), np.array(-3)]}),
    Fault("ReduceSum", {"x": X, "a": ints(0)}, {"a": [ints(2), ints(-3), ints(LEAST)]}),
    Fault("Unsqueeze", {"x": X, "a": ints(0)}, {"a": [ints(4), ints(-4)]}),
    Fault("Squeeze", {"x": X[:1], "a": ints(0)}, {"a": [ints(2), ints(-3)]}),
    Fault("Split", {"x": X, "s": ints(1, 2)}, {"s": [ints(1, 1), ints(4, -1), ints(2, 2)]}, outputs=2),
    Fault("Slice", {"x": X, "s": ints(0), "e": ints(2), "a": ints(0), "t": ints(1)},
          {"a": [ints(2), ints(-3)], "t": [ints(0)]}),
    Fault("Compress", {"x": X, "c": np.array([True, False, True])}, {"c": [np.array([True] * 5)]}, {"axis": 0}),
    Fault("ReverseSequence", {"x": X, "n": ints(3, 1, 2, 0)}, {"n": [ints(4, 1, 2, 0)]}),
    Fault("RoiAlign", {"x": IMAGE, "r": np.array([[0, 0, 3, 3]], F32), "b": ints(0)},
          {"b": [ints(1), ints(-2), ints(MOST)]}, {"output_height": 2, "output_width": 2, "sampling_ratio": 2}),
    Fault("MaxUnpool", {"x": IMAGE[:, :, :2, :2], "i": np.arange(8).reshape(1, 2, 2, 2)},
          {"i": [np.full((1, 2, 2, 2), 32), np.full((1, 2, 2, 2), -33), np.full((1, 2, 2, 2), MOST)]},
          {"kernel_shape": [2, 2], "strides": [2, 2]}),
    Fault("NegativeLogLikelihoodLoss", {"x": np.ones((2, 3), F32), "t": ints(0, 2)}, {"t": [ints(0, 3), ints(0, -4)]}),
    Fault("SequenceAt", {"i": np.array(1)}, {"i": [np.array(2), np.array(-3)]}),
    Fault("SequenceErase", {"i": np.array(1)}, {"i": [np.array(2), np.array(-3)]}),
    Fault("Resize", {"x": IMAGE, "": None, "s": np.array([1, 1, 2, 2], F32)},
          {"s": [np.array([1, 1, 0, 2], F32), np.array([1, 1, -2, 2], F32), np.array([1, 1, np.nan, 2], F32),
                 np.array([1, 1, 1e18, 2], F32)]}),
    Fault("Col2Im", {"x": np.ones((1, 4, 4), F32), "s": ints(4, 4), "b": ints(2, 2)}, {"s": [ints(9, 4), ints(-4, 4)]},
          {"strides": [2, 2]}),
    Fault("CenterCropPad", {"x": X, "s": ints(2, 6)}, {"s": [ints(2**62, 2**62)]}),
    Fault("Add", {"x": X, "y": X}, {"y": [X[:2], X[:, :3]]}),
    Fault("MatMul", {"x": X, "y": X.T}, {"y": [X.T[:3]]}),
    Fault("Concat", {"x": X, "y": X}, {"y": [X[:, :3]]}, {"axis": 0}),
]  # fmt: skip


DIVISION = {"x": ints(7, -7, LEAST), "y": ints(2, 2, 2)}
DIVISORS = {"y": [ints(0, 0, 0), ints(-1, -1, -1), ints(LEAST, MOST, 1)]}
DEFINED = [
    Fault("LSTM", RECURRENT, {"lengths": [np.array([4, 2], I32), np.array([-1, 2], I32)]}, {"hidden_size": 5}, 3),
    Fault("ReverseSequence", {"x": X, "n": ints(3, 1, 2, 0)}, {"n": [ints(-1, 1, 2, 0)]}),
    Fault("OneHot", {"i": ints(0, 1), "d": np.array(3), "v": np.array([0, 1], F32)},
          {"i": [ints(7, -9), ints(MOST, LEAST)]}),
    Fault("Slice", {"x": X, "s": ints(0, 0), "e": ints(2, 2)},
          {"s": [ints(LEAST, MOST), ints(-9, 9)], "e": [ints(MOST, LEAST), ints(9, -9)]}),
    Fault("NegativeLogLikelihoodLoss", {"x": np.ones((2, 3), F32), "t": ints(0, 2)}, {"t": [ints(0, -1)]}),
    Fault("Div", DIVISION, DIVISORS),
    Fault("Mod", DIVISION, DIVISORS),
    Fault("Mod", DIVISION, DIVISORS, {"fmod": 1}),
    Fault("BitShift", {"x": np.array([1, 255], np.uint8), "y": np.array([1, 2], np.uint8)},
          {"y": [np.array([8, 255], np.uint8)]}, {"direction": "LEFT"}),
    Fault("Cast", {"x": np.array([1, -1], F32)}, {"x": [np.array([np.nan, np.inf], F32), np.array([-1e30, 1e30], F32)]},
          {"to": 7}),
    Fault("Pow", {"x": ints(2, -3, 0), "y": ints(3, 3, 3)}, {"y": [ints(64, 200, 0)]}),
]  # fmt: skip
"""What ONNX leaves open, or operators clamp: here the answer is that of the definition's own reference."""


def model_of(fault: Fault) -> onnx.ModelProto:
    """One node called `it`; sizes of its inputs are open, their ranks are not."""
    given = {name: np.asarray(value) for name, value in fault.inputs.items() if name}
    infos = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype),
            # What names axes, sizes or places has a length that decides a rank.
            array.shape if array.dtype == I64 else [f"{name}{axis}" for axis in range(array.ndim)],
        )
        for name, array in given.items() if name not in fault.constants
    ]  # fmt: skip
    weights = [numpy_helper.from_array(given[name], name) for name in fault.constants]
    results = [f"y{index}" for index in range(fault.outputs)]
    names = list(fault.inputs)
    nodes = []
    if fault.op_type.startswith("Sequence"):
        weights += [numpy_helper.from_array(X, "first"), numpy_helper.from_array(X + 1, "second")]
        nodes.append(helper.make_node("SequenceConstruct", ["first", "second"], ["both"]))
        names.insert(0, "both")
    if fault.op_type == "LSTM":
        names = ["x", "w", "r", "b", "lengths"]
    nodes.append(helper.make_node(fault.op_type, names, results, name="it", domain=fault.domain, **fault.attributes))
    graph = helper.make_graph(nodes, "single", infos, [onnx.ValueInfoProto(name=name) for name in results], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", fault.opset)], ir_version=10)


def context(proto: onnx.ModelProto, backend: str = "cpu") -> mm.Context:
    config = mm.BuilderConfig(backends=[backend], strict=backend == "cpu")
    return mm.Builder(config).build(mm.parse(proto)).create_engine(threads=1).create_context()


def cases() -> list[Any]:
    return [
        pytest.param(fault, name, index, id=f"{fault.op_type}-{place}-{name}-{index}")
        for place, fault in enumerate(FAULTS)
        for name, values in fault.bad.items()
        for index in range(len(values))
    ]


@pytest.mark.parametrize(("fault", "name", "index"), cases())
def test_a_request_against_the_rules_is_an_error(fault: Fault, name: str, index: int) -> None:
    ready = context(model_of(fault))
    good = {key: np.asarray(value) for key, value in fault.inputs.items() if key}
    before = ready.run(good)
    with pytest.raises(mm.MMError) as caught:
        ready.run({**good, name: np.asarray(fault.bad[name][index])})
    assert "it" in str(caught.value)
    after = ready.run(good)  # The context works on.
    for key, value in before.items():
        np.testing.assert_equal(after[key], value)


@pytest.mark.parametrize(("fault", "name", "index"), cases())
def test_a_constant_against_the_rules_is_an_error(fault: Fault, name: str, index: int) -> None:
    """Said while parsing or building; at the latest when the model runs."""
    inputs = {**fault.inputs, name: fault.bad[name][index]}
    proto = model_of(Fault(fault.op_type, inputs, {}, fault.attributes, fault.outputs, fault.opset, (name,)))
    with pytest.raises(mm.MMError):
        context(proto).run({key: np.asarray(value) for key, value in inputs.items() if key and key != name})


@pytest.mark.parametrize("fault", DEFINED, ids=lambda fault: fault.op_type)
def test_what_operators_define_is_what_the_reference_says(fault: Fault) -> None:
    proto = model_of(fault)
    native, reference = context(proto), context(proto, "reference")
    for name, values in fault.bad.items():
        for value in values:
            inputs = {**fault.inputs, name: np.asarray(value)}
            expected = reference.run(inputs)
            for key, got in native.run(inputs).items():
                np.testing.assert_allclose(got, expected[key], rtol=1e-6, atol=0)


# --- sizes that must agree --------------------------------------------------------------------------------------------


def product(graph: Any, left: Any, right: Any) -> Any:
    """Large enough for generated code, which trusts its sizes; the activation is fused into it."""
    return graph.gelu(graph.matmul(graph.transpose(left, permutation=(1, 0)), right))


@pytest.mark.parametrize("rows", [0, 2, 30_000])
def test_sizes_within_a_branch_are_compared_when_it_runs(rows: int) -> None:
    net = mm.Network("branches")
    x, y = (net.add_input(name, mm.float32, (size, 512)) for name, size in (("x", "N"), ("y", "M")))
    chosen = net.add_input("chosen", "bool", ())
    regions = []
    for build in (product, lambda graph, left, right: product(graph, left, left)):
        region = mm.ir.Graph(within=net)
        arguments = [region.add_argument(value.type) for value in (x, y)]
        region.set_outputs([build(region, *arguments)])
        regions.append(region)
    (result,) = net.if_(chosen, x, y, regions=tuple(regions))
    net.mark_output(result, "result")
    ready = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(net).create_engine().create_context()
    inputs = {"x": np.ones((3, 512), F32), "y": np.ones((rows, 512), F32)}
    ready.run({**inputs, "chosen": np.array(False)})
    with pytest.raises(mm.InputError, match=rf"matmul.* does not hold: 3 and {rows}"):
        ready.run({**inputs, "chosen": np.array(True)})


@pytest.mark.parametrize("rows", [0, 2, 30_000])
def test_sizes_within_fused_operations_are_compared(rows: int) -> None:
    """The number of rows of y that are not zero is known only while running."""
    net = mm.Network("fused")
    x, y = (net.add_input(name, mm.float32, (size, 512)) for name, size in (("x", "N"), ("y", "M")))
    places = net.reshape(net.nonzero(net.reduce_sum(y, axes=(1,), keepdims=False)), (-1,))
    net.mark_output(product(net, x, net.gather(y, places, axis=0)), "result")
    ready = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(net).create_engine().create_context()
    y_rows = np.zeros((rows + 1, 512), F32)
    y_rows[:rows] = 1
    with pytest.raises(mm.InputError, match=rf"matmul.* does not hold: 3 and {rows}"):
        ready.run({"x": np.ones((3, 512), F32), "y": y_rows})
