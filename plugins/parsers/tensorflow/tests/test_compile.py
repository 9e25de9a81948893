"""mm inside TensorFlow: our engine for what it supports, TensorFlow for the rest."""

from __future__ import annotations

from typing import Any

import keras
import mm_parser_tensorflow
import numpy as np
import pytest
import tensorflow as tf
from keras_running import assert_close

from mm_core.errors import InputError

RNG = np.random.default_rng(5)


def array(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def test_a_model_runs_whole_for_any_batch() -> None:
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(image)
    model = keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    compiled = mm_parser_tensorflow.compile(model, threads=1)
    for batch in (1, 2, 5):
        x = array(batch, 8, 8, 3)
        assert_close(compiled(x).numpy(), model(x))
    (report,) = compiled.reports
    assert (report.parts, report.left) == (1, [])
    model.layers[-1].bias.assign([1.0, 2.0, 3.0])
    compiled.reset()
    assert_close(compiled(x).numpy(), model(x))


def test_what_mm_does_not_have_stays_in_tensorflow() -> None:
    def function(x: Any, scale: float, *, shift: Any) -> Any:
        with tf.name_scope("tower"):
            y = tf.math.lgamma(tf.abs(x @ tf.transpose(x)) + 1.0)
        parts = tf.unstack(tf.nn.softmax(y * scale + shift), axis=0)
        return {"parts": parts, "pair": (y, None), "fixed": tf.constant(3)}

    compiled = mm_parser_tensorflow.compile(function)
    x, shift = array(3, 4), array(3)
    ours, theirs = compiled(x, 0.5, shift=shift), tf.function(function)(x, 0.5, shift=shift)
    tf.nest.assert_same_structure(ours, theirs)
    assert ours["pair"][1] is None
    for mine, other in zip(tf.nest.flatten(ours), tf.nest.flatten(theirs)):
        assert other is None or assert_close(mine.numpy(), other) is None
    (report,) = compiled.reports
    assert report.parts == 2
    assert [(left.node, left.operator) for left in report.left] == [("tower/Lgamma", "Lgamma")]
    assert "2 parts run in mm, 1 stay in TensorFlow" in str(report)
    compiled(x, 2.0, shift=shift)
    assert len(compiled.reports) == 2


def test_state_and_random_numbers_are_tensorflows() -> None:
    state = tf.Variable(1.0)

    @tf.function
    def function(x: Any) -> Any:
        before = state * 2.0
        state.assign_add(1.0)
        return x + state, before, tf.shape(tf.random.uniform(tf.shape(x)))

    compiled = mm_parser_tensorflow.compile(function)
    x = array(3)
    for turn in range(3):
        after, before, shape = compiled(x)
        assert_close(after.numpy(), x + turn + 2)
        assert (before.numpy(), shape.numpy()) == (2.0 * (turn + 1), 3)
    assert state.numpy() == 4


def test_lists_do_not_cross_the_border() -> None:
    def function(x: Any) -> Any:
        return tf.nn.relu(tf.map_fn(lambda row: tf.math.lgamma(tf.abs(row) + 1.0), x + 1.0))

    compiled = mm_parser_tensorflow.compile(function)
    x = array(4, 2)
    assert_close(compiled(x).numpy(), tf.function(function)(x))
    assert any("Lgamma" in left.reason for left in compiled.reports[0].left)
    assert compiled.reports[0].engine_nodes > 0


def test_it_can_be_called_in_another_function() -> None:
    compiled = mm_parser_tensorflow.compile(lambda x: tf.nn.relu(x) + 1.0)
    x = array(3)
    assert_close(tf.function(lambda x: compiled(x) * 2.0)(x).numpy(), (np.maximum(x, 0) + 1) * 2)


def test_wrong_options_and_sources_are_errors() -> None:
    with pytest.raises(InputError, match="options of compile"):
        mm_parser_tensorflow.compile(tf.nn.relu, thread=1)
    with pytest.raises(InputError, match="a str cannot be called"):
        mm_parser_tensorflow.compile("model")
