"""Calls of compiled models and functions: what they take and give, when they trace and build, what TensorFlow keeps."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import mm_parser_tensorflow
import numpy as np
import pytest
import tensorflow as tf
from keras_running import assert_close
from mm_parser_tensorflow.elements import array_of, tensor_of

from mm_core.device import aligned_empty
from mm_core.errors import ParseError
from mm_core.types import BY_NAME

RNG = np.random.default_rng(6)
F32 = tf.float32


def array(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def classifier() -> Any:
    keras.utils.set_random_seed(3)
    x = features = keras.Input((6,), name="features")
    x = keras.layers.Dense(8, activation="gelu")(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Dropout(0.5)(x)
    return keras.Model(features, keras.layers.Dense(3)(x))


def builds(compiled: Any) -> int:
    return sum(report.builds for report in compiled.reports)


def assert_same(ours: Any, theirs: Any) -> None:
    tf.nest.assert_same_structure(ours, theirs)
    for mine, other in zip(tf.nest.flatten(ours), tf.nest.flatten(theirs)):
        assert_close(mine.numpy(), other)


# --- tracing and building ---------------------------------------------------------------------------------------------


def test_the_second_call_compiles_nothing() -> None:
    traced = []

    def function(x: Any) -> Any:
        traced.append(x.shape)
        return tf.nn.softmax(x * 2.0)

    compiled = mm_parser_tensorflow.compile(function)
    for _ in range(3):
        x = array(2, 5)
        assert_close(compiled(x).numpy(), tf.nn.softmax(x * 2.0))
    assert (len(traced), builds(compiled)) == (1, 1)


def test_a_size_that_changes_becomes_open() -> None:
    compiled = mm_parser_tensorflow.compile(lambda x: tf.reduce_sum(x, -1) + tf.cast(tf.shape(x)[0], F32))
    for length in (3, 4, 5, 9, 3):
        x = array(length, 2)
        assert_close(compiled(x).numpy(), x.sum(-1) + length)
    assert builds(compiled) == 2
    compiled(array(3, 7))
    compiled(array(8, 8))
    assert builds(compiled) == 3


def test_a_function_that_needs_its_sizes_is_traced_for_each() -> None:
    compiled = mm_parser_tensorflow.compile(lambda x: sum(x[i] for i in range(x.shape[0])))
    for length in (2, 3, 4):
        x = array(length, 2)
        assert_close(compiled(x).numpy(), x.sum(0))
    assert builds(compiled) == 3


def test_the_signature_of_a_function_holds() -> None:
    @tf.function(input_signature=[tf.TensorSpec((None, 3), F32), tf.TensorSpec((), F32)])
    def function(x: Any, scale: Any) -> Any:
        return x * scale

    compiled = mm_parser_tensorflow.compile(function)
    for rows in (1, 2, 5):
        x = array(rows, 3)
        assert_close(compiled(x, np.float32(0.5)).numpy(), x * 0.5)
    assert builds(compiled) == 1


# --- arguments and results --------------------------------------------------------------------------------------------


def test_nested_arguments_of_every_kind() -> None:
    def function(pair: Any, *, table: Any, twice: bool, name: str = "none") -> Any:
        first, (second, third) = pair
        total = first + second * table["a"] + tf.cast(third, F32) * table["b"]
        return {"total": total * 2.0 if twice else total, name: [first, (tf.shape(first), None)]}

    compiled = mm_parser_tensorflow.compile(function)
    x, y = array(4), array(4)
    for twice in (True, False, 1):
        pair = [x, (tf.constant(y), np.arange(4, dtype=np.int16))]
        table = {"b": np.float32(2.0), "a": tf.constant(array(4))}
        arguments: Any = {"table": table, "twice": twice, "name": "rest"}
        ours, theirs = compiled(pair, **arguments), tf.function(function)(pair, **arguments)
        assert ours["rest"][1][1] is None
        assert_same(tf.nest.flatten(ours)[:2], tf.nest.flatten(theirs)[:2])
        assert_close(ours["total"].numpy(), theirs["total"])
    assert len(compiled.reports) == 3


def test_arrays_that_are_not_in_order_and_of_other_types() -> None:
    compiled = mm_parser_tensorflow.compile(lambda x: x + x)
    for x in (array(4, 6)[::2, ::-1], np.asfortranarray(array(3, 3)), array(5).astype(np.float64), np.arange(3)):
        assert_close(compiled(x).numpy(), x + x)
    words = np.array(["a", "bc"])
    assert compiled(words).numpy().tolist() == [b"aa", b"bcbc"]


def test_ragged_arguments_and_results_and_variables_as_arguments() -> None:
    ragged = tf.ragged.constant([[1.0, 2.0], [3.0]])
    compiled = mm_parser_tensorflow.compile(lambda x: x * 2.0)
    assert compiled(ragged).to_list() == [[2.0, 4.0], [6.0]]
    state = tf.Variable(3.0)
    assert compiled(state).numpy() == 6.0
    assert compiled.left_calls == {"an argument is a RaggedTensor": 1, "an argument is a ResourceVariable": 1}
    image = keras.Input((3,))
    model = keras.Model(image, compiled(image))
    assert_close(model(np.ones((2, 3), np.float32)).numpy(), np.full((2, 3), 2, np.float32))
    splits = mm_parser_tensorflow.compile(lambda x: tf.RaggedTensor.from_row_splits(x + 1.0, [0, 1, 3]))
    assert splits(np.zeros(3, np.float32)).to_list() == [[1.0], [1.0, 1.0]]


def test_large_tensors_are_not_copied() -> None:
    tensor = tf.random.normal((64, 64))
    assert np.shares_memory(array_of(tensor), np.asarray(memoryview(tensor)))
    result = aligned_empty(BY_NAME["float32"], (64, 64))
    assert np.shares_memory(result, np.asarray(memoryview(tensor_of(result))))


def test_several_threads() -> None:
    model = classifier()
    compiled = mm_parser_tensorflow.compile(model)
    inputs = [array(1 + number % 3, 6) for number in range(24)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(compiled, inputs))
    for ours, x in zip(found, inputs):
        assert_close(ours.numpy(), model(x))
    assert builds(compiled) == 1


# --- variables, training and gradients --------------------------------------------------------------------------------


def test_gradients_are_those_of_tensorflow() -> None:
    model, x = classifier(), tf.constant(array(4, 6))
    compiled = mm_parser_tensorflow.compile(model)
    found = []
    for callee in (model, compiled):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(callee(x) ** 2)
        found.append(tape.gradient(loss, [x, *model.trainable_variables]))
    for theirs, ours in zip(*found, strict=True):
        assert_close(ours.numpy(), theirs)
    assert compiled.left_calls == {"a gradient may be wanted": 1}
    assert not compiled.reports
    assert_close(compiled(x).numpy(), model(x))


def test_variables_are_followed_through_training() -> None:
    model, x = classifier(), array(16, 6)
    compiled, frozen = mm_parser_tensorflow.compile(model), mm_parser_tensorflow.compile(model, freeze=True)
    before = model(x)
    for callee in (compiled, frozen):
        assert_close(callee(x).numpy(), before)
    model.compile(keras.optimizers.Adam(0.1), "mse")
    model.fit(x, array(16, 3), epochs=1, verbose=0)
    assert np.abs(model(x) - before).max() > 0.01
    assert_close(compiled(x).numpy(), model(x))
    assert_close(frozen(x).numpy(), before)
    assert (builds(compiled), builds(frozen)) == (2, 1)
    assert len(compiled.reports) == 1
    frozen.reset()
    assert_close(frozen(x).numpy(), model(x))


def test_every_way_of_writing_to_a_variable_is_seen() -> None:
    table = tf.Variable(array(5, 3))
    compiled = mm_parser_tensorflow.compile(lambda rows: tf.gather(table, rows) * 2.0)
    rows = np.array([0, 3])
    row = tf.IndexedSlices(tf.constant(array(1, 3)), tf.constant([3]))
    ways = [
        lambda: table.assign(array(5, 3)),
        lambda: table.assign_add(array(5, 3)),
        lambda: table.scatter_update(row),
        lambda: table[3].assign(array(3)),
        tf.function(lambda: table.assign_sub(tf.ones((5, 3)))),
    ]
    for count, write in enumerate(ways, 1):
        assert_close(compiled(rows).numpy(), table.numpy()[rows] * 2.0)
        write()
        assert_close(compiled(rows).numpy(), table.numpy()[rows] * 2.0)
        assert_close(compiled(rows).numpy(), table.numpy()[rows] * 2.0)
        assert builds(compiled) == count + 1


def test_training_keeps_its_state_and_its_randomness() -> None:
    model, x = classifier(), array(64, 6)
    compiled = mm_parser_tensorflow.compile(model)
    mean = next(variable for variable in model.variables if "moving_mean" in variable.path)
    before = mean.numpy()
    first, second = compiled(x, training=True), compiled(x, training=True)
    assert np.abs(first - second).max() > 0
    assert np.abs(mean.numpy() - before).max() > 0
    operators = {left.operator for left in compiled.reports[0].left}
    assert {"AssignVariableOp", "RandomUniform"} & operators
    assert_close(compiled(x).numpy(), model(x))


# --- calls inside -----------------------------------------------------------------------------------------------------


class Scorer(tf.Module):
    """A module that calls functions of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.Variable(array(3, 2), name="weight")

    @tf.function
    def inner(self, x: Any) -> Any:
        with tf.name_scope("inner"):
            return tf.math.lgamma(tf.abs(x @ self.weight) + 1.0)

    @tf.function(input_signature=[tf.TensorSpec((None, 3), F32, name="rows")])
    def __call__(self, rows: Any) -> Any:
        return tf.nn.softmax(self.inner(tf.nn.relu(rows)) * 2.0)


def test_calls_of_a_loaded_model_are_split(tmp_path: Path) -> None:
    tf.saved_model.save(Scorer(), tmp_path)
    loaded = tf.saved_model.load(tmp_path)
    x = array(4, 3)
    for source in (loaded, loaded.__call__, loaded.__call__.concrete_functions[0]):
        compiled = mm_parser_tensorflow.compile(source)
        assert_close(compiled(x).numpy(), loaded(x))
        (report,) = compiled.reports
        assert (report.parts, [left.operator for left in report.left]) == (2, ["Lgamma"])
        assert report.left[0].node == "inner/Lgamma"
    loaded.weight.assign(array(3, 2))
    assert_close(compiled(x).numpy(), loaded(x))


def test_a_loaded_model_that_cannot_be_called_gives_its_signature(tmp_path: Path) -> None:
    model = classifier()
    model.export(tmp_path / "saved", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "saved")
    compiled = mm_parser_tensorflow.compile(loaded)
    x = array(2, 6)
    (name,) = loaded.signatures["serving_default"].structured_input_signature[1]
    (ours,) = compiled(**{name: x}).values()
    assert_close(ours.numpy(), model(x))
    assert compiled.reports[0].left == []
    tf.saved_model.save(tf.Module(), tmp_path / "empty")
    with pytest.raises(ParseError, match="no signatures"):
        mm_parser_tensorflow.compile(tf.saved_model.load(tmp_path / "empty"))


def test_effects_of_calls_keep_their_order() -> None:
    state = tf.Variable(1.0)

    @tf.function
    def step(amount: Any) -> Any:
        state.assign_add(amount)
        return state * 2.0

    def function(x: Any) -> Any:
        first = step(x)
        state.assign(state * 10.0)
        second = step(x + 1.0)
        return first, second, state.read_value(), tf.nn.relu(x) - first

    def run(callee: Any) -> Any:
        state.assign(1.0)
        return [callee(tf.constant(2.0)) for _ in range(2)], state.numpy()

    ours, theirs = run(mm_parser_tensorflow.compile(function)), run(tf.function(function))
    assert_same(ours[0], theirs[0])
    assert ours[1] == theirs[1]


def test_control_flow_and_custom_gradients_run() -> None:
    @tf.custom_gradient
    def straight_through(x: Any) -> Any:
        return tf.round(x), lambda upstream: upstream

    def function(x: Any) -> Any:
        def body(turn: Any, value: Any) -> Any:
            return turn + 1, tf.cond(tf.reduce_sum(value) > 0, lambda: value * 0.5, lambda: value - 1.0)

        _, value = tf.while_loop(lambda turn, _: turn < 4, body, (0, x))
        return straight_through(value * 8.0)

    compiled = mm_parser_tensorflow.compile(function)
    for x in (array(3), -np.abs(array(3))):
        assert_close(compiled(x).numpy(), tf.function(function)(x))
    assert compiled.reports[0].left == []
    x = tf.constant(array(3))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = compiled(x)
    assert tape.gradient(y, x) is not None


def test_effects_within_branches_happen() -> None:
    state = tf.Variable(0.0)

    def function(x: Any) -> Any:
        def count() -> Any:
            state.assign_add(1.0)
            return x * 2.0

        return tf.cond(tf.reduce_sum(x) > 0, count, lambda: x) + tf.nn.relu(x)

    compiled = mm_parser_tensorflow.compile(function)
    for turn, x in enumerate((np.ones(2, np.float32), -np.ones(2, np.float32), np.ones(2, np.float32))):
        assert_close(compiled(x).numpy(), np.where(x > 0, 3 * x, x))
        assert state.numpy() == (turn + 2) // 2
    (left,) = compiled.reports[0].left
    assert (left.operator, "AssignAddVariableOp" in left.reason) == ("If", True)


def test_checks_hold() -> None:
    def function(x: Any) -> Any:
        tf.debugging.assert_less(tf.reduce_max(x), 0.5, message="too large")
        return tf.nn.relu(x)

    compiled = mm_parser_tensorflow.compile(function)
    assert compiled(np.zeros(3, np.float32)).numpy().tolist() == [0, 0, 0]
    with pytest.raises(tf.errors.InvalidArgumentError, match="too large"):
        compiled(np.ones(3, np.float32))
    product = mm_parser_tensorflow.compile(tf.matmul)
    for size in (2, 3):
        product(array(size, 4), array(4, size))
    with pytest.raises(tf.errors.InvalidArgumentError):
        product(array(2, 3), array(4, 2))


def test_lists_grow_as_they_are_written() -> None:
    def function(x: Any) -> Any:
        rows = tf.TensorArray(F32, size=0, dynamic_size=True)
        for index in tf.range(tf.shape(x)[0]):
            rows = rows.write(index * 2, x[index] + 1.0)
        return rows.stack()

    compiled = mm_parser_tensorflow.compile(function)
    for rows in (1, 4):
        x = array(rows, 2)
        assert_close(compiled(x).numpy(), tf.function(function)(x))
    assert compiled.reports[0].left == []


def test_functions_without_arguments_or_results() -> None:
    nothing = mm_parser_tensorflow.compile(lambda x: None)
    assert nothing(array(2)) is None
    assert mm_parser_tensorflow.compile(lambda: tf.ones(2) * 3.0)().numpy().tolist() == [3, 3]
