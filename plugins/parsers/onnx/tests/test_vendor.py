"""Nodes of other domains: operators of installed dialects, by the name of node and domain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from mm_parser_onnx.vendor import operator_name, snake_case
from onnx import TensorProto, helper

import mm_core as mm
from mm_core.ops import FLOATS, Arity, register, unregister


class ScaleChannels(mm.OpDef):
    """x * factor, to a power, plus a bias."""

    name = "mm.test_scale_channels"
    operands = (mm.Operand("x"), mm.Operand("factor"), mm.Operand("bias", "T", Arity.OPTIONAL))
    attributes = (mm.Attribute("power", int, 1), mm.Attribute("mode", str, "plain", ("plain", "negate")))
    dtypes = {"T": FLOATS}

    def infer(self, types: Any, values: Any, **attributes: Any) -> Any:
        return types[0].shape

    def reference(self, x: Any, factor: Any, bias: Any = None, *, power: int, mode: str) -> Any:
        y = x * factor**power * (-1 if mode == "negate" else 1)
        return y.astype(x.dtype) if bias is None else (y + bias).astype(x.dtype)


@pytest.fixture(autouse=True)
def operator() -> Iterator[None]:
    register(ScaleChannels)
    yield
    unregister(ScaleChannels.name)


def model(op_type: str = "TestScaleChannels", domain: str = "com.mm", **attributes: Any) -> Any:
    node = helper.make_node(op_type, ["x", "f"], ["y"], domain=domain, name="scaled", **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(np.array([1, 2, 3], np.float32), "f")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid(domain, 1)])


def test_a_node_of_another_domain_is_the_dialects_operator() -> None:
    network = mm.parse(model(power=2, mode="negate"))
    (operation,) = [op for op in network.operations if op.name != "mm.constant"]
    assert operation.name == ScaleChannels.name
    assert operation.attributes == {"power": 2, "mode": "negate"}
    assert operation.where == "scaled (TestScaleChannels)"
    built = mm.Builder(mm.BuilderConfig(backends=["reference"])).build(network)
    x = np.ones((2, 3), np.float32)
    y = built.create_engine().create_context().run({"x": x})["y"]
    np.testing.assert_array_equal(y, -np.array([[1, 4, 9]] * 2, np.float32))


@pytest.mark.parametrize(
    ("changes", "pieces"),
    [
        ({"power": 1.5}, ["scaled", "power", "not an integer"]),
        ({"mode": "other"}, ["scaled", "'plain', 'negate'"]),
        ({"powr": 2}, ["scaled", "'powr'"]),
        ({"op_type": "TestScaleChannel"}, ["no mm.test_scale_channel;", "com.mm"]),
        ({"domain": "ai.nobody"}, ["no operator package for the dialect 'nobody'", "nobody.test_scale_channels"]),
    ],
)
def test_errors_say_what_is_missing(changes: dict[str, Any], pieces: list[str]) -> None:
    with pytest.raises(mm.MMError) as caught:
        mm.parse(model(**changes))
    for piece in pieces:
        assert piece in str(caught.value), caught.value


def test_names() -> None:
    assert operator_name("com.acme", "FooBar") == "acme.foo_bar"
    assert operator_name("my-domain", "NMSRotated2D") == "my_domain.nms_rotated2_d"
    assert [snake_case(name) for name in ("Softcap", "RoIAlign", "LSTM")] == ["softcap", "ro_i_align", "lstm"]
