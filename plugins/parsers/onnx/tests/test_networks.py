"""Inputs, dimensions and names; regions and what they capture; functions; operators of other domains."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, ClassVar

import numpy as np
import onnx
import pytest
from mm_parser_onnx import OnnxParser
from onnx import TensorProto, helper
from onnx_models import assert_agrees, model, ramp, run, run_onnxruntime

import mm_core as mm
from mm_core.ops import FLOATS, Attribute, OpDef, Operand, register, unregister

RELU = "f (float[N, 3] x) => (float[N, 3] y) { y = Relu (x) }"


def shapes(network: mm.Network) -> list[str]:
    return [str(list(map(str, spec.shape or ()))) for spec in network.inputs]


def with_dims(*dims: Any, more: Any = ()) -> onnx.ModelProto:
    """Relu of inputs x, x1, ... with the given dimensions."""
    inputs = [
        helper.make_tensor_value_info(f"x{index or ''}", TensorProto.FLOAT, shape)
        for index, shape in enumerate((dims, *more))
    ]
    nodes = [helper.make_node("Relu", [info.name], [f"y{info.name}"], name=f"relu_{info.name}") for info in inputs]
    graph = helper.make_graph(nodes, "dims", inputs, [onnx.ValueInfoProto(name=node.output[0]) for node in nodes])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


# --- sources ----------------------------------------------------------------------------------------------------------


def test_accepts_what_is_onnx() -> None:
    parser, proto = OnnxParser(), model(RELU)
    assert parser.accepts("some/model.onnx")
    assert parser.accepts(proto)
    assert parser.accepts(proto.SerializeToString())
    assert not parser.accepts("model.pt2")
    assert not parser.accepts(b"PK\x03\x04 a zip file")
    assert not parser.accepts(onnx.TensorProto())
    assert not parser.accepts(3)


def test_a_model_with_another_suffix_is_known_by_its_first_bytes(tmp_path: Any) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(model(RELU).SerializeToString())
    assert mm.parse(path).inputs[0].name == "x"


def test_importing_the_plugin_does_not_import_onnx() -> None:
    code = "import mm_parser_onnx, sys; assert 'onnx' not in sys.modules and 'google' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_options_that_mean_nothing_are_refused() -> None:
    with pytest.raises(mm.ParseError, match="no options, got fast"):
        mm.parse(model(RELU), fast=True)
    with pytest.raises(mm.ParseError, match="input_shapes in place of example_inputs"):
        mm.parse(model(RELU), example_inputs=[np.zeros((1, 3))])


# --- names and dimensions ---------------------------------------------------------------------------------------------


def test_names_order_and_locations() -> None:
    network = mm.parse(
        model("""
        two (float[N] b, float[N] a) => (float[N] z, float[N] y) {
            y = Sub (b, a)
            z = Neg (y)
        }""")
    )
    assert [spec.name for spec in network.inputs] == ["b", "a"]
    assert [spec.name for spec in network.output_specs] == ["z", "y"]
    assert network.name == "two"
    places = [str(place) for operation in network.operations for place in operation.locations]
    assert places == ["y (Sub)", "z (Neg)"]


def test_dimension_names() -> None:
    network = mm.parse(with_dims("batch", "2*seq + 1", "a b", "a-b", None, 3, more=[("batch", "a b"), ("1st", -1)]))
    assert shapes(network) == [
        "['batch', '2*seq + 1', 'a_b', 'a - b', 'd1', '3']",
        "['batch', 'a_b']",
        "['_1st', 'd2']",
    ]


def test_different_names_stay_different() -> None:
    network = mm.parse(with_dims("a b", "a?b", "a_b", "2*a_b", "-5"))
    assert shapes(network) == ["['a_b', 'a_b_2', 'a_b_3', '2*a_b_3', '_5']"]


def test_fresh_symbols_keep_clear_of_the_models_names() -> None:
    network = mm.parse(with_dims(None, "d1", "d2", None))
    assert len({str(dim) for dim in network.inputs[0].shape}) == 4


def test_input_shapes() -> None:
    proto = with_dims("N", 3, more=[("N", "M")])
    assert shapes(mm.parse(proto, input_shapes={"x": [2, 3]})) == ["['2', '3']", "['2', 'M']"]
    assert shapes(mm.parse(proto, input_shapes={"x": ["B", None]})) == ["['B', 'd1']", "['B', 'M']"]
    assert shapes(mm.parse(proto, input_shapes={"x": [4, 5]})) == ["['4', '5']", "['4', 'M']"]
    for wanted, message in (
        ({"z": [1]}, "no input 'z' to give a shape to; available: x, x1"),
        ({"x": [1]}, "has 1 dimensions; available: the model states"),
        ({"x": [1, -7]}, "-7 is not a dimension"),
        ({"x": [1, 3], "x1": [2, 2]}, "size N is given as 1 and as 2"),
    ):
        with pytest.raises(mm.ParseError, match=message):
            mm.parse(proto, input_shapes=wanted)


def test_an_input_without_a_shape() -> None:
    proto = model(RELU)
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    assert mm.parse(proto).inputs[0].shape is None
    assert mm.parse(proto, input_shapes={"x": ["N", 3]}).output_specs[0].shape is not None


def test_initializers_that_are_inputs_too_are_constants() -> None:
    proto = model("f (float[2] x, float[2] w) => (float[2] y) <float[2] w = {1, 2}> { y = Add (x, w) }", ir=3)
    assert [spec.name for spec in mm.parse(proto).inputs] == ["x"]


def test_shapes_follow_through_computed_shapes() -> None:
    proto = model("""
        fold (float[N, S, 6] x) => (y) {
            size = Shape (x)
            zero = Constant <value_ints = [0]> ()
            two = Constant <value_ints = [2]> ()
            tail = Constant <value_ints = [2, -1]> ()
            front = Slice (size, zero, two)
            target = Concat <axis = 0> (front, tail)
            y = Reshape (x, target)
        }""")
    assert list(map(str, mm.parse(proto).output_specs[0].shape)) == ["N", "S", "2", "3"]


def test_zeros_in_a_computed_shape_copy_sizes() -> None:
    proto = model("""
        f (float[N, S, 6] x, int64[3] target) => (y) { y = Reshape (x, target) }""")
    for target in ([0, 0, 6], [0, -1, 3], [1, 12, 0]):
        assert_agrees(proto, {"x": ramp(1, 12, 6), "target": np.array(target)})


# --- regions ----------------------------------------------------------------------------------------------------------


def test_captures_become_operands_and_constants_are_copied() -> None:
    proto = model("""
        f (float[2] x, float[2] z, bool c) => (float[2] y) <float[2] w = {1, 2}> {
            a = Neg (z)
            y = If (c) <
                then_branch = t () => (float[2] p) { b = Add (x, a)  p = Mul (b, w) },
                else_branch = e () => (float[2] q) { q = Sub (w, z) }
            >
        }""")
    network = mm.parse(proto)
    (branch,) = [operation for operation in network.operations if operation.name == "mm.if"]
    assert len(branch.operands) == 4  # the condition, x, a and z
    assert all("mm.constant" in {operation.name for operation in region.operations} for region in branch.regions)
    for condition in (True, False):
        assert_agrees(proto, {"x": ramp(2), "z": 3 * ramp(2), "c": np.array(condition)})


def test_names_of_a_subgraph_hide_nothing_outside() -> None:
    proto = model("""
        f (float[2] x, bool c) => (float[2] y, float[2] k) {
            y = If (c) <
                then_branch = t () => (float[2] s) { k2 = Neg (x)  s = Abs (k2) },
                else_branch = e () => (float[2] s2) { k3 = Abs (x)  s2 = Neg (k3) }
            >
            k = Exp (y)
        }""")
    for condition in (True, False):
        assert_agrees(proto, {"x": ramp(2), "c": np.array(condition)})


def test_a_known_condition_takes_one_branch() -> None:
    """As exporters write it where a rank decides: the other branch would not even have the right rank."""
    proto = model("""
        f (float[1, N] x) => (y) {
            c = Constant <value = bool {1}> ()
            y = If (c) <
                then_branch = t () => (p) { a = Constant <value_ints = [0]> ()  p = Squeeze (x, a) },
                else_branch = e () => (q) { q = Identity (x) }
            >
        }""")
    network = mm.parse(proto)
    assert "mm.if" not in {operation.name for operation in network.operations}
    assert list(map(str, network.output_specs[0].shape)) == ["N"]


def test_a_loop_whose_carried_value_grows() -> None:
    proto = model("""
        f (float[N] x, int64 trips) => (y, s) {
            go = Constant <value = bool {1}> ()
            y, s = Loop (trips, go, x) <
                body = b (int64 i, bool c, float[M] old) => (bool next, float[K] new, float seen) {
                    next = Identity (c)
                    new = Concat <axis = 0> (old, x)
                    seen = ReduceSum <keepdims = 0> (old)
                }
            >
        }""")
    for trips in (1, 3):
        assert_agrees(proto, {"x": ramp(3), "trips": np.array(trips)})


def test_loops_within_loops_capture_through_both() -> None:
    proto = model("""
        f (float[2] x, int64 n) => (y) <float[2] w = {2, 3}> {
            go = Constant <value = bool {1}> ()
            y = Loop (n, go, x) <
                body = outer (int64 i, bool c, float[2] a) => (bool nc, float[2] na) {
                    nc = Identity (c)
                    na = Loop (n, go, a) <
                        body = inner (int64 j, bool d, float[2] b) => (bool nd, float[2] nb) {
                            nd = Identity (d)
                            t = Mul (b, w)
                            u = Cast <to = 1> (i)
                            v = Add (t, x)
                            nb = Add (v, u)
                        }
                    >
                }
            >
        }""")
    assert_agrees(proto, {"x": ramp(2), "n": np.array(3)})


SCAN_8 = """
f (float[B, 2] start, float[B, T, 2] x, int64[B] lens) => (total, partial) {
    total, partial = Scan <num_scan_inputs = 1, directions = [DIRECTION],
        body = b (float[2] sum, float[2] row) => (float[2] next, float[2] seen) {
            half = Constant <value = float {0.5}> ()
            smaller = Mul (sum, half)
            next = Add (smaller, row)
            seen = Identity (next)
        }
    > (LENS, start, x)
}"""


@pytest.mark.parametrize("direction", ["0", "1"])
@pytest.mark.parametrize("lens", ['""', "lens"])
def test_scan_of_version_8_has_a_batch(lens: str, direction: str) -> None:
    proto = model(SCAN_8.replace("LENS", lens).replace("DIRECTION", direction), opset=8)
    inputs = {"start": ramp(3, 2), "x": ramp(3, 4, 2), "lens": np.array([4, 1, 2])}
    assert_agrees(proto, inputs)
    strict = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(mm.parse(proto))
    found = strict.create_engine().create_context().run(inputs)
    for mine, theirs in zip(found.values(), run_onnxruntime(proto, inputs), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5)


def test_a_loop_that_fills_an_empty_sequence_tells_the_rank_of_its_tensors() -> None:
    proto = model("""
        f (float[N, 3] x, int64 n) => (y) {
            none = SequenceEmpty <dtype = 1> ()
            go = Constant <value = bool {1}> ()
            items = Loop (n, go, none) <
                body = b (int64 i, bool c, seq(float[A, B]) before) => (bool going, seq(float[A, B]) after) {
                    going = Identity (c)
                    shift = Cast <to = 1> (i)
                    item = Add (x, shift)
                    after = SequenceInsert (before, item)
                }
            >
            joined = ConcatFromSequence <axis = 0> (items)
            y = Relu (joined)
        }""")
    inputs = {"x": ramp(2, 3), "n": np.array(3)}
    assert_agrees(proto, inputs)
    network = mm.parse(proto)
    assert network.outputs[0].type.rank == 2
    strict = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(network)
    (found,) = strict.create_engine().create_context().run(inputs).values()
    np.testing.assert_allclose(found, run_onnxruntime(proto, inputs)[0], rtol=1e-6)


def test_sequence_map_with_a_captured_value() -> None:
    proto = model("""
        f (seq(float[N]) items, float[1] shift) => (out) {
            out = SequenceMap (items) <body = b (float[M] item) => (float[M] moved) { moved = Add (item, shift) }>
        }""")
    items = [ramp(2), ramp(3)]
    (got,) = run(mm.parse(proto), {"items": items, "shift": np.ones(1, np.float32)})
    for left, right in zip(got, items, strict=True):
        np.testing.assert_allclose(left, right + 1)


# --- functions and other domains --------------------------------------------------------------------------------------

FUNCTIONS = """
call (float[N] x) => (float[N] y) {{
    y = local.scaled {attributes} (x)
}}
<domain: "local", opset_import: ["" : 18]>
scaled <{parameters}> (v, w) => (r) {{
    a = Constant <value_float : float = @by> ()
    m = Mul (v, a)
    k = Clip (m, w)
    r = Identity (k)
}}
"""


def test_attributes_of_functions_and_their_defaults() -> None:
    for attributes, factor in (("<by = 2.0>", 2), ("", 3)):
        text = FUNCTIONS.format(attributes=attributes, parameters="by : float = 3.0")
        proto = model(text, extra=', "local" : 1')
        (got,) = run(mm.parse(proto), {"x": ramp(4)})
        np.testing.assert_allclose(got, ramp(4) * factor, rtol=1e-6)


def test_an_input_that_a_call_leaves_out_is_absent_in_subgraphs_too() -> None:
    proto = model(
        """
        call (float[N] x, bool c) => (float[N] y) { y = local.bounded (x, c) }
        <domain: "local", opset_import: ["" : 18]>
        bounded (v, c, low) => (r) {
            r = If (c) <
                then_branch = t () => (p) { p = Clip (v, low) },
                else_branch = e () => (q) { q = Neg (v) }
            >
        }""",
        extra=', "local" : 1',
    )
    for condition, factor in ((True, 1), (False, -1)):
        (got,) = run(mm.parse(proto), {"x": ramp(4), "c": np.array(condition)})
        np.testing.assert_allclose(got, ramp(4) * factor)


def test_locations_of_functions_name_the_call() -> None:
    proto = model(FUNCTIONS.format(attributes="", parameters="by : float = 3.0"), extra=', "local" : 1')
    proto.graph.node[0].name = "first"
    names = [place.name for operation in mm.parse(proto).operations for place in operation.locations]
    assert names == ["first/a", "first/m", "first/k", "first/r"]


def test_unknown_attribute_of_a_function() -> None:
    proto = model(FUNCTIONS.format(attributes="<to = 1.0>", parameters="by : float = 3.0"), extra=', "local" : 1')
    with pytest.raises(mm.UnsupportedOpError, match="function scaled has no attribute 'to'"):
        mm.parse(proto)


class Scale(OpDef):
    """x times a factor."""

    name = "acme.scale_by"
    operands = (Operand("x"),)
    dtypes: ClassVar[Any] = {"T": FLOATS}
    attributes = (Attribute("factor", float), Attribute("power", int, 1), Attribute("note", str, ""))

    def infer(self, types: Any, values: Any, **attributes: Any) -> Any:
        return types[0].shape

    def reference(self, x: Any, *, factor: float, power: int, note: str) -> Any:
        return (x * factor**power).astype(x.dtype)


@pytest.fixture
def scale() -> Any:
    register(Scale)
    yield Scale
    unregister(Scale.name)


ACME = "f (float[N] x) => (float[N] y) {{ y = com.acme.ScaleBy {attributes} (x) }}"


def test_an_operator_package_gives_a_domain_its_meaning(scale: type[OpDef]) -> None:
    proto = model(ACME.format(attributes='<factor = 2.0, power = 3, note = "cubed">'), extra=', "com.acme" : 1')
    network = mm.parse(proto)
    assert [operation.name for operation in network.operations] == ["acme.scale_by"]
    (got,) = run(network, {"x": ramp(4)})
    np.testing.assert_allclose(got, ramp(4) * 8)


def test_attributes_that_the_package_does_not_know(scale: type[OpDef]) -> None:
    proto = model(ACME.format(attributes="<factor = 2.0, colour = 1>"), extra=', "com.acme" : 1')
    with pytest.raises(mm.UnsupportedOpError, match="attribute 'colour'"):
        mm.parse(proto)
    with pytest.raises(mm.UnsupportedOpError, match="needs the attribute 'factor'"):
        mm.parse(model(ACME.format(attributes=""), extra=', "com.acme" : 1'))
