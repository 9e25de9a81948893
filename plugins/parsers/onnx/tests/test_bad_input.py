"""Damaged, absurd and hostile models: always an MMError that says what and where, never a crash or a hang."""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import model, single

import mm_core as mm

LINEAR = """
linear (float[N, 4] x) => (float[N, 2] y) <float[4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8}> {
    y = MatMul (x, w)
}
"""


def chain(*nodes: onnx.NodeProto, inputs: str = "x", outputs: str = "y", **parts: Any) -> onnx.ModelProto:
    """A model of float vectors."""
    infos = [[helper.make_tensor_value_info(name, 1, ["N"]) for name in names.split()] for names in (inputs, outputs)]
    graph = helper.make_graph(list(nodes), "chain", *infos, **parts)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def node(op_type: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op_type, inputs.split(), outputs.split(), name=f"{op_type}_of_{outputs}", **attributes)


# --- files ------------------------------------------------------------------------------------------------------------


def test_empty_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    for content in (b"", b"\x00", b"not a model at all", b"\x08\x08\x3a\xff\xff\xff\xff\x0f", b"\x08\x08" * 9):
        path.write_bytes(content)
        with pytest.raises(mm.ParseError, match=r"model\.onnx"):
            mm.parse(path)


def test_every_truncation(tmp_path: Path) -> None:
    data = model(LINEAR).SerializeToString()
    path = tmp_path / "cut.onnx"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with contextlib.suppress(mm.MMError):
            mm.parse(path)  # A cut between two fields can leave a smaller, valid model.


def test_flipped_bytes_never_crash() -> None:
    data = model(LINEAR).SerializeToString()
    generator = random.Random(0)
    for _ in range(2000):
        damaged = bytearray(data)
        for _ in range(generator.randint(1, 4)):
            damaged[generator.randrange(len(data))] = generator.randrange(256)
        with contextlib.suppress(mm.MMError):
            str(mm.parse(bytes(damaged), parser="onnx"))


def test_folders_and_pipes_are_not_models(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.onnx"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        with pytest.raises(mm.ParseError, match="not a regular file"):
            mm.parse(path, parser="onnx")
    nameless = tmp_path / "pipe"
    os.mkfifo(nameless)
    with pytest.raises(mm.ParseError, match="no parser takes this source"):
        mm.parse(nameless)


# --- graphs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (chain(node("Relu", "z", "y")), r"Relu_of_y \(Relu\).*nothing is called 'z'"),
        (chain(node("Relu", "x", "z")), "nothing is called 'y'.*available: "),
        (chain(node("Relu", "b", "a"), node("Relu", "a", "b"), node("Relu", "b", "y")), "circle: Relu_of_a, Relu_of_b"),
        (chain(node("Relu", "y", "y")), "circle: Relu_of_y"),
        (chain(node("Relu", "x", "y"), node("Neg", "x", "y")), "two values are called 'y'"),
        (chain(node("Relu", "x", "x"), outputs="x"), "circle|two values are called 'x'"),
        (chain(node("Relu", "x", "y"), inputs="x x"), "names of the graph's inputs must differ"),
        (chain(node("Relu", "x", "y"), outputs="y y"), "output name 'y' is taken"),
        (chain(node("Relu", "x", "y"), outputs=""), "no outputs"),
        (chain(node("Relu", "", "y")), "takes .x., got 0 operands"),
        (chain(node("Add", "x", "y")), "Add.*input|takes"),
        (chain(node("Rellu", "x", "y")), "operator Rellu is unknown in ONNX.*available: .*Relu"),
        (chain(node("Gemma", "x", "y", domain="com.acme")), "no operator set for the domain 'com.acme'"),
        (chain(node("LeakyRelu", "x", "y", alpha="high")), "'alpha' is a string, not a float"),
        (chain(node("Reshape", "x s", "y"), inputs="x s"), "element type"),
        (chain(node("Conv", "x x", "y")), r"Conv_of_y \(Conv\)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_broken_graphs(proto: onnx.ModelProto, message: str) -> None:
    with pytest.raises(mm.MMError, match=message):
        mm.parse(proto)


def test_opsets_must_be_known() -> None:
    with pytest.raises(mm.UnsupportedOpError, match=r"version 99 of the ONNX operators.*versions 1 to "):
        mm.parse(model(LINEAR, opset=99))


def test_unsorted_nodes_are_sorted() -> None:
    network = mm.parse(chain(node("Neg", "a", "y"), node("Relu", "x", "a")))
    assert [operation.name for operation in network.operations] == ["mm.relu", "mm.neg"]


def test_repeated_attributes_and_initializers() -> None:
    twice = node("LeakyRelu", "x", "y", alpha=0.5)
    twice.attribute.append(twice.attribute[0])
    with pytest.raises(mm.ParseError, match="'alpha' is given twice"):
        mm.parse(chain(twice))
    weight = numpy_helper.from_array(np.zeros(2, np.float32), "w")
    with pytest.raises(mm.ParseError, match="an initializer is called 'w'"):
        mm.parse(chain(node("Add", "x w", "y"), initializer=[weight, weight]))


@pytest.mark.parametrize("dims", [[-5], [2**62, 2**62], [0, 2**63 - 1, 2**63 - 1, 9]])
def test_impossible_shapes(dims: list[int]) -> None:
    tensor = TensorProto(name="w", data_type=1, dims=dims, raw_data=b"")
    with pytest.raises(mm.ParseError, match=r"'w'"):
        mm.parse(chain(node("Add", "x w", "y"), initializer=[tensor]))
    proto = chain(node("Relu", "x", "y"))
    proto.graph.input[0].type.CopyFrom(helper.make_tensor_type_proto(1, [3]))
    del proto.graph.input[0].type.tensor_type.shape.dim[:]
    for size in dims:
        proto.graph.input[0].type.tensor_type.shape.dim.add(dim_value=size)
    with pytest.raises(mm.ParseError, match=r"'x' has (the impossible shape|a dimension of -5)"):
        mm.parse(proto)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (TensorProto(name="w", data_type=1, dims=[3], raw_data=b"1234"), "bytes: 4 given, .* need 12"),
        (TensorProto(name="w", data_type=1, dims=[3], float_data=[1, 2]), "float_data: 2 given, .* need 3"),
        (TensorProto(name="w", data_type=1, dims=[3], raw_data=b""), "0 given"),
        (TensorProto(name="w", data_type=77, dims=[1], raw_data=b"1"), "its code is 77"),
        (TensorProto(name="w", data_type=27, dims=[1], raw_data=b"1"), "FLOAT6E2M3"),
        (TensorProto(name="w", data_type=8, dims=[1], raw_data=b"1"), "strings cannot be raw"),
        (TensorProto(name="", data_type=1, dims=[1], float_data=[1]), "initializer is called ''"),
        (TensorProto(name="w", data_type=1, dims=[1], segment=TensorProto.Segment(begin=0)), "only a segment"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_broken_tensors(tensor: TensorProto, message: str) -> None:
    with pytest.raises(mm.MMError, match=message):
        mm.parse(chain(node("Add", "x w", "y"), initializer=[tensor]))


# --- nesting and expansion --------------------------------------------------------------------------------------------


def nested(depth: int) -> onnx.ModelProto:
    """If within If, `depth` times."""
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    inner = helper.make_graph([node("Neg", "x", "y0")], "g", [], [onnx.ValueInfoProto(name="y0")])
    for level in range(1, depth):
        outer = onnx.GraphProto(name="g")
        outer.node.add(op_type="If", input=["c"], output=[f"y{level}"])
        for branch in ("then_branch", "else_branch"):
            attribute = outer.node[0].attribute.add(name=branch, type=onnx.AttributeProto.GRAPH)
            if branch == "then_branch" or level == 1:
                attribute.g.CopyFrom(inner)
            else:
                attribute.g.CopyFrom(
                    helper.make_graph([node("Neg", "x", "z")], "e", [], [onnx.ValueInfoProto(name="z")])
                )
        outer.output.add(name=f"y{level}")
        inner = outer
    inner.input.extend([helper.make_tensor_value_info("x", 1, ["N"]), condition])
    return helper.make_model(inner, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def test_nesting_has_a_limit() -> None:
    network = mm.parse(nested(20))
    network.verify()
    assert sum(operation.name == "mm.if" for operation in network.walk()) == 19
    with pytest.raises(mm.ParseError, match="deeper than"):
        mm.parse(nested(60))


def test_messages_ten_thousand_deep(tmp_path: Path) -> None:
    """Bytes written by hand: graphs in attributes of nodes, and sequences of sequences."""

    def field(number: int, content: bytes) -> bytes:
        length, encoded = len(content), bytearray()
        while length >= 0x80:
            encoded.append(length & 0x7F | 0x80)
            length >>= 7
        return bytes([number << 3 | 2]) + bytes(encoded) + bytes([length]) + content

    graph = b""
    for _ in range(10_000):
        graph = field(1, field(5, field(6, graph)))
    type_ = b""
    for _ in range(10_000):
        type_ = field(4, field(1, type_))
    typed = field(11, field(1, b"x") + field(2, type_))
    path = tmp_path / "deep.onnx"
    for content in (graph, typed):
        path.write_bytes(b"\x08\x08" + field(7, content))
        with pytest.raises(mm.ParseError):
            mm.parse(path)


def test_types_nest_to_a_limit() -> None:
    type_ = helper.make_tensor_type_proto(1, [2])
    for _ in range(50):
        type_ = helper.make_sequence_type_proto(type_)
    proto = chain(node("Identity", "x", "y"))
    proto.graph.input[0].type.CopyFrom(type_)
    with pytest.raises(mm.ParseError, match="nests deeper"):
        mm.parse(proto)


def calls(**bodies: list[str]) -> onnx.ModelProto:
    """A model whose functions consist of calls: name -> names of the functions that it calls in a row."""
    proto = chain(helper.make_node(next(iter(bodies)), ["x"], ["y"], domain="f"))
    proto.opset_import.add(domain="f", version=1)
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("f", 1)]
    for name, called in bodies.items():
        names = ["a", *(f"t{index}" for index in range(len(called) - 1)), "b"]
        nodes = [
            helper.make_node(callee, [before], [after], domain="" if callee == "Neg" else "f")
            for callee, before, after in zip(called, names, names[1:])
        ]
        proto.functions.append(helper.make_function("f", name, ["a"], ["b"], nodes, imports))
    return proto


def test_functions_that_call_themselves() -> None:
    with pytest.raises(mm.ParseError, match=r"the function f\.A calls itself"):
        mm.parse(calls(A=["A"]))
    with pytest.raises(mm.ParseError, match=r"the function f\.A calls itself"):
        mm.parse(calls(A=["B"], B=["Neg", "A"]))


def test_functions_nest_to_a_limit() -> None:
    with pytest.raises(mm.ParseError, match="lies deeper than"):
        mm.parse(calls(**{f"F{index}": [f"F{index + 1}"] for index in range(200)}, F200=["Neg"]))


def test_functions_that_explode() -> None:
    """Each level doubles the nodes: 2**25 of them from 25 functions."""
    bodies = {f"F{index}": [f"F{index + 1}"] * 2 for index in range(25)}
    with pytest.raises(mm.ParseError, match="expand to too many nodes"):
        mm.parse(calls(**bodies, F25=["Neg", "Neg"]))


def test_unknown_operator_of_another_domain_says_what_to_do() -> None:
    proto = chain(node("FusedThing", "x", "y", domain="com.acme"))
    proto.opset_import.add(domain="com.acme", version=3)
    with pytest.raises(
        mm.UnsupportedOpError, match=r"FusedThing is unknown in the domain 'com.acme'.*operator package"
    ):
        mm.parse(proto)


def test_an_error_names_the_node_within_its_function() -> None:
    proto = calls(A=["B"], B=["Neg"])
    proto.graph.node[0].name = "outer"
    proto.functions[1].node[0].op_type = "Bogus"
    proto.functions[1].node[0].domain = ""
    with pytest.raises(mm.UnsupportedOpError, match=r"outer/b/b \(Bogus\)"):
        mm.parse(proto)


def test_axes_whose_number_depends_on_data() -> None:
    """They decide the rank of the result, which a network must know."""
    proto = single("Unsqueeze", {"x": np.zeros((2, 3), np.float32), "a": np.array([0])}, opset=13)
    proto.graph.input[1].type.tensor_type.shape.dim[0].dim_param = "K"
    with pytest.raises(mm.UnsupportedOpError, match=r"it \(Unsqueeze\).*axes|it \(Unsqueeze\).*number"):
        mm.parse(proto)


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (single("Sin", {"x": np.zeros(2, np.int32)}, opset=13), r"it \(Sin\), opset 13: mm\.sin.*int32"),
        (single("Relu", {"x": np.zeros(2, np.float32)}, slope=0.5), r"it \(Relu\), opset 18: .*attribute 'slope'"),
        (single("Trilu", {"x": np.zeros(2, np.float32)}), r"it \(Trilu\), opset 18: .*rank 1"),
        (
            single("Resize", {"x": np.zeros((1, 1, 4), np.float32)}, opset=13),
            r"it \(Resize\), opset 13: .*scales or sizes",
        ),
        (single("Cast", {"x": np.zeros(2, np.float32)}, to=99), r"it \(Cast\), opset 18: .*'to'.*99"),
        (single("Pad", {"x": np.zeros(2, np.float32)}, opset=2, pads=[1]), r"it \(Pad\), opset 2: .*1 pads for 1 axes"),
    ],
    ids=["dtype", "attribute", "shape", "operands", "value", "version"],
)
def test_what_is_unsupported_names_node_operator_version_and_reason(proto: onnx.ModelProto, message: str) -> None:
    with pytest.raises(mm.MMError, match=message):
        mm.parse(proto)
