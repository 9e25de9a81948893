"""Functions, frozen graphs and SavedModels: control flow, lists, variables, signatures, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx.parser
import pytest
import tensorflow as tf
from keras_running import assert_close, count, outputs
from mm_parser_tensorflow import TensorFlowParser
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

import mm_core as mm
from mm_core.errors import ParseError, UnsupportedOpError

RNG = np.random.default_rng(4)
F32, I32 = tf.float32, tf.int32


def array(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def check(function: Any, *arrays: Any, specs: Any = None, tolerance: float = 1e-5) -> mm.Network:
    """A function gives the same in mm, for the shapes of the arrays or for those of the specs."""
    specs = specs or [tf.TensorSpec(item.shape, item.dtype) for item in arrays]
    concrete = tf.function(function).get_concrete_function(*specs)
    network = mm.parse(concrete)
    named = {spec.name: item for spec, item in zip(network.inputs, arrays, strict=True)}
    ours = list(outputs(network, named).values())
    theirs = tf.nest.flatten(concrete(*map(tf.constant, arrays)))
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs):
        assert_close(mine, other, tolerance)
    return network


# --- control flow -----------------------------------------------------------------------------------------------------


def test_a_branch() -> None:
    def function(x: Any) -> Any:
        return tf.cond(tf.reduce_sum(x) > 0, lambda: (x + 1.0, tf.nn.relu(x)), lambda: (x * 2.0, x))

    for x in (array(3), np.abs(array(3)), -np.abs(array(3))):
        network = check(function, x)
    assert count(network, "mm.if") == 1


def test_a_choice_among_several() -> None:
    def function(index: Any, x: Any) -> Any:
        return tf.switch_case(index, [lambda: x + 1.0, lambda: x * 2.0, lambda: tf.exp(x)])

    for index in (-1, 0, 1, 2, 3):
        check(function, np.int32(index), array(3))


def test_a_loop_that_data_ends() -> None:
    def function(x: Any) -> Any:
        return tf.while_loop(lambda i, v: tf.reduce_sum(v) < 100.0, lambda i, v: (i + 1, v * 2.0 + 1.0), (0, x))

    network = check(function, np.abs(array(4)))
    assert count(network, "mm.loop") == 1


def test_a_loop_that_grows_its_state() -> None:
    def function(x: Any) -> Any:
        grown = (tf.TensorShape([]), tf.TensorShape([None, 2]))
        return tf.while_loop(
            lambda i, v: i < 3, lambda i, v: (i + 1, tf.concat([v, v[:1] + 1.0], 0)), (0, x), shape_invariants=grown
        )[1]

    check(function, array(2, 2))


def test_a_branch_in_a_loop_reads_from_outside() -> None:
    weight = tf.Variable(array(3, 3), name="weight")

    def function(x: Any) -> Any:
        def step(i: Any, v: Any) -> Any:
            return i + 1, tf.cond(i % 2 == 0, lambda: tf.tanh(v @ weight), lambda: v + x)

        return tf.while_loop(lambda i, v: i < 5, step, (0, x))[1]

    check(function, array(2, 3))


def test_lists_written_and_read_by_loops() -> None:
    def mapped(x: Any) -> Any:
        return tf.map_fn(lambda row: tf.cumsum(row) * 2.0, x)

    def scanned(x: Any) -> Any:
        return tf.scan(lambda total, row: total + row, x)

    def folded(x: Any) -> Any:
        return tf.foldl(lambda total, row: total * 0.5 + row, x)

    for function in (mapped, scanned, folded):
        check(function, array(5, 3))
        check(function, array(5, 3), specs=[tf.TensorSpec((None, 3), F32)])


def test_a_function_called_twice_is_inlined_twice() -> None:
    inner = tf.function(lambda x: tf.nn.softplus(x) + 1.0)
    network = check(lambda x: inner(inner(x)), array(3))
    assert count(network, "mm.softplus") == 2


# --- sources ----------------------------------------------------------------------------------------------------------


class Counter(tf.Module):
    """A module with two signatures."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.Variable(array(3, 2), name="weight")

    @tf.function(input_signature=[tf.TensorSpec((None, 3), F32, name="rows")])
    def project(self, rows: Any) -> Any:
        return {"score": rows @ self.weight, "rows": tf.shape(rows)[0]}

    @tf.function(input_signature=[tf.TensorSpec((2,), F32, name="v")])
    def twice(self, v: Any) -> Any:
        return {"twice": v * 2.0}


def test_signatures_of_a_saved_model(tmp_path: Path) -> None:
    module = Counter()
    tf.saved_model.save(module, tmp_path, signatures={"project": module.project, "twice": module.twice})
    network = mm.parse(tmp_path, signature="project")
    rows = array(4, 3)
    found = outputs(network, {"rows": rows})
    assert set(found) == {"rows", "score"}
    assert_close(found["score"], rows @ module.weight.numpy())
    assert found["rows"] == 4
    with pytest.raises(ParseError, match=r"no signature 'serving_default'.*project, twice"):
        mm.parse(tmp_path)
    with pytest.raises(ParseError, match=r"no option 'signatur'.*signature"):
        mm.parse(tmp_path, signatur="project")


def test_a_saved_model_without_signatures_says_what_to_do(tmp_path: Path) -> None:
    tf.saved_model.save(tf.Module(), tmp_path)
    with pytest.raises(ParseError, match=r"no signatures.*signatures=.*export"):
        mm.parse(tmp_path)


def test_a_frozen_graph(tmp_path: Path) -> None:
    module = Counter()
    frozen = convert_variables_to_constants_v2(module.project.get_concrete_function())
    graph = frozen.graph.as_graph_def()
    (tmp_path / "frozen.pb").write_bytes(graph.SerializeToString())
    (tmp_path / "frozen.pbtxt").write_text(str(graph))
    rows = array(4, 3)
    for source in (tmp_path / "frozen.pb", tmp_path / "frozen.pbtxt", graph):
        network = mm.parse(source)
        assert [spec.name for spec in network.inputs] == ["rows"]
        found = outputs(network, {"rows": rows})
        assert_close(next(value for value in found.values() if value.ndim), rows @ module.weight.numpy())
    inner = mm.parse(graph, inputs=["rows"], outputs=["matmul:0"], input_shapes={"rows": (2, 3)})
    assert inner.output_specs[0].shape == (2, 2)
    with pytest.raises(ParseError, match="no node 'nothing'"):
        mm.parse(graph, outputs=["nothing"])


def test_a_function_with_examples() -> None:
    function = tf.function(lambda x, y: x + 2.0 * y)
    x, y = array(3), array(3)
    network = mm.parse(function, example_inputs=(x, y))
    assert_close(outputs(network, {"x": x, "y": y})["output"], x + 2 * y)
    with pytest.raises(ParseError, match="give example_inputs"):
        mm.parse(function)


def test_a_model_that_is_a_subclass() -> None:
    class Two(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = keras.layers.Dense(4, activation="relu"), keras.layers.Dense(2)

        def call(self, x: Any) -> Any:
            return {"sum": self.second(self.first(x)), "list": [x, x + 1.0]}

    model, x = Two(), array(3, 5)
    network = mm.parse(model, example_inputs=x)
    found, expected = outputs(network, {network.inputs[0].name: x}), model(x)
    assert list(found) == ["list.0", "list.1", "sum"]
    assert_close(found["sum"], expected["sum"])
    assert str(network.inputs[0].type) == 'tensor<?x5xf32, ["N"]>'
    with pytest.raises(ParseError, match=r"inputs are not known.*example_inputs"):
        mm.parse(Two())


def test_shapes_of_inputs_can_be_stated() -> None:
    concrete = tf.function(lambda x: tf.reduce_sum(x, -1)).get_concrete_function(tf.TensorSpec(None, F32, name="x"))
    with pytest.raises(ParseError, match=r"x: the rank .* input_shapes"):
        mm.parse(concrete)
    network = mm.parse(concrete, input_shapes={"x": ("rows", 3)})
    assert str(network.output_specs[0].type) == 'tensor<?xf32, ["rows"]>'
    with pytest.raises(ParseError, match="input_shapes names y"):
        mm.parse(concrete, input_shapes={"y": (1,)})


# --- what is refused --------------------------------------------------------------------------------------------------


def parse(function: Any, *specs: Any) -> mm.Network:
    return mm.parse(tf.function(function).get_concrete_function(*specs))


def test_all_unsupported_operators_are_told_at_once() -> None:
    def function(x: Any) -> Any:
        with tf.name_scope("tower"):
            y = tf.math.lgamma(x) + tf.math.lgamma(x + 1.0)
        return tf.cond(y[0] > 0, lambda: tf.math.digamma(y), lambda: y)

    with pytest.raises(UnsupportedOpError, match=r"2 operators.*Lgamma: 2x in tower/Lgamma.*Digamma: 1x") as caught:
        parse(function, tf.TensorSpec((3,), F32))
    assert "mm_parser_tensorflow.compile" in caught.value.remedy


def test_random_streams_and_changed_variables_are_refused() -> None:
    state = tf.Variable(1.0)

    def drawn(x: Any) -> Any:
        return x + tf.random.uniform(tf.shape(x))

    def changed(x: Any) -> Any:
        state.assign_add(1.0)
        return x + state

    with pytest.raises(UnsupportedOpError, match=r"RandomUniform .a random stream with state"):
        parse(drawn, tf.TensorSpec((3,), F32))
    with pytest.raises(UnsupportedOpError, match=r"AssignAddVariableOp .the model changes a variable"):
        parse(changed, tf.TensorSpec((3,), F32))


def test_a_state_that_no_result_depends_on_may_change(tmp_path: Path) -> None:
    """A step of a random stream whose numbers are dropped, as layers of Keras do at rest; also inside of calls."""
    state, unrelated = tf.Variable(1.0), tf.Variable(2.0)

    @tf.function
    def stepped(x: Any) -> Any:
        state.assign_add(tf.reduce_sum(x))
        return x * unrelated, state * 2.0

    def harmless(x: Any) -> Any:
        tf.print("sum", tf.reduce_sum(x))
        return stepped(x)[0] + 1.0

    network = check(harmless, array(3))
    assert count(network, "mm.reduce_sum") == 0
    module = tf.Module()
    module.state, module.unrelated = state, unrelated
    concrete = tf.function(harmless).get_concrete_function(tf.TensorSpec((3,), F32))
    tf.saved_model.save(module, tmp_path, signatures=concrete)
    x = array(3)
    (ours,) = outputs(mm.parse(tmp_path), {"x": x}).values()
    assert_close(ours, x * 2.0 + 1.0)
    with pytest.raises(UnsupportedOpError, match=r"AssignAddVariableOp .the model changes a variable"):
        parse(lambda x: stepped(x)[1], tf.TensorSpec((3,), F32))


def test_custom_gradients_are_left_out() -> None:
    @tf.custom_gradient
    def straight_through(x: Any) -> Any:
        return tf.round(x), lambda upstream: upstream

    check(lambda x: straight_through(x) * 2.0, array(4))


@contextmanager
def tensorflow_1() -> Iterator[Any]:
    """A graph whose branches and loops are written as TensorFlow 1 wrote them."""
    with tf.Graph().as_default() as graph:
        tf.compat.v1.disable_control_flow_v2()
        try:
            yield graph
        finally:
            tf.compat.v1.enable_control_flow_v2()


def test_branches_of_tensorflow_1_are_choices() -> None:
    with tensorflow_1() as graph:
        x = tf.compat.v1.placeholder(F32, (3,), name="x")
        training = tf.compat.v1.placeholder_with_default(False, (), name="training")
        x = tf.cond(training, lambda: x + tf.random.uniform((3,)), lambda: x * 0.5)
        total = tf.reduce_sum(x)

        def positive() -> Any:
            return tf.cond(total > 2.0, lambda: x * 10.0, lambda: x + total)

        tf.identity(tf.cond(total > 0.0, positive, lambda: tf.abs(x)), name="y")
    network = mm.parse(graph.as_graph_def())
    assert (count(network, "mm.select"), [spec.name for spec in network.inputs]) == (2, ["x"])
    for x in np.float32([[1, 2, 3], [1, -2, 2], [-1, -2, 1]]):
        with tf.compat.v1.Session(graph=graph) as session:
            assert_close(outputs(network, {"x": x})["y"], session.run("y:0", {"x:0": x}))
    with pytest.raises(UnsupportedOpError, match="RandomUniform"):
        mm.parse(graph.as_graph_def(), inputs=["x", "training"])


def test_loops_of_tensorflow_1_are_refused() -> None:
    with tensorflow_1() as graph:
        x = tf.compat.v1.placeholder(F32, (), name="x")
        tf.identity(tf.compat.v1.while_loop(lambda v: v < 10.0, lambda v: v + x, [x]), name="y")
    with pytest.raises(UnsupportedOpError, match=r"Enter .a loop of TensorFlow 1"):
        mm.parse(graph.as_graph_def())


def test_old_files_of_keras(tmp_path: Path) -> None:
    x = keras.Input((3,), name="x")
    model = keras.Model(x, keras.layers.Dense(2, activation="relu")(x))
    model.save(tmp_path / "model.h5")
    rows = array(4, 3)
    (ours,) = outputs(mm.parse(tmp_path / "model.h5"), {"x": rows}).values()
    assert_close(ours, model(rows))
    model.save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(ParseError, match=r"model\.weights\.h5: Keras does not read the file"):
        mm.parse(tmp_path / "model.weights.h5")


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_lambda_layers_in_files_are_never_run(name: str, tmp_path: Path) -> None:
    x = keras.Input((3,))
    keras.Model(x, keras.layers.Lambda(lambda v: v + 1.0)(x)).save(tmp_path / name)
    with pytest.raises(ParseError, match=rf"{name}: Keras does not read the file.*never run"):
        mm.parse(tmp_path / name)


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "graph.pb", "graph.pbtxt"])
def test_damaged_files_are_errors(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x00not a model" * 9)
    with pytest.raises(ParseError, match=name.replace(".", r"\.")):
        mm.parse(tmp_path / name)


def test_an_onnx_model_with_the_suffix_of_a_graph_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "model.pb"
    text = '<ir_version: 8, opset_import: ["" : 18]> tiny (float[N] x) => (float[N] y) { y = Relu (x) }'
    path.write_bytes(onnx.parser.parse_model(text).SerializeToString())
    assert not TensorFlowParser().accepts(path)
    assert [operation.name for operation in mm.parse(path).operations] == ["mm.relu"]


def test_a_graph_that_calls_nothing_or_itself_is_an_error() -> None:
    graph = tf.function(lambda x: tf.function(tf.nn.relu)(x)).get_concrete_function(tf.TensorSpec((2,), F32)).graph
    proto = graph.as_graph_def()
    del proto.library.function[:]
    with pytest.raises(ParseError, match=r"calls a function .* that it does not have"):
        mm.parse(proto)
    circle = tf.compat.v1.GraphDef()
    for name, source in (("a", "b"), ("b", "a")):
        node = circle.node.add(name=name, op="Identity")
        node.input.append(source)
    with pytest.raises(ParseError, match="runs in a circle"):
        mm.parse(circle, outputs=["a"])
