"""Ragged and sparse arguments are their parts: values, and where they stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf
from keras_running import assert_close, outputs

import mm_core as mm
from mm_core.errors import ParseError, UnsupportedOpError

RAGGED = tf.RaggedTensorSpec((None, None), tf.float32)
ROWS = tf.ragged.constant([[1.0, 2.0, 3.0], [], [4.0]], dtype=tf.float32)
SPARSE = tf.SparseTensorSpec((None, 4), tf.float32)
POINTS = tf.sparse.SparseTensor([[0, 1], [2, 0], [2, 3]], [5.0, 6.0, 7.0], [3, 4])


def check(function: Callable[..., Any], spec: Any, argument: Any) -> mm.Network:
    concrete = tf.function(function).get_concrete_function(spec)
    network = mm.parse(concrete)
    parts = tf.nest.flatten(argument, expand_composites=True)
    named = {own.name: part.numpy() for own, part in zip(network.inputs, parts, strict=True)}
    for ours, theirs in zip(outputs(network, named).values(), tf.nest.flatten(concrete(argument)), strict=True):
        assert_close(ours, theirs)
    return network


@pytest.mark.parametrize(
    "function",
    [
        lambda rows: tf.reduce_sum(rows, 1),
        lambda rows: rows.to_tensor(),
        lambda rows: tf.nn.softmax((rows * 2.0).to_tensor(-1e9)),
        lambda rows: rows.to_tensor(shape=(None, 2)),
        lambda rows: tf.gather(tf.reshape(tf.range(20.0), (10, 2)), tf.cast(rows, tf.int32)).to_tensor(0.0),
        lambda rows: rows.row_lengths(),
    ],
)
def test_ragged_arguments_are_values_and_splits(function: Callable[..., Any]) -> None:
    network = check(function, RAGGED, ROWS)
    assert [str(spec.dtype) for spec in network.inputs] == ["f32", "i64"]


@pytest.mark.parametrize(
    "function",
    [
        lambda points: tf.sparse.to_dense(points),  # With its defaults.
        lambda points: tf.sparse.to_dense(points, 2.5),
        lambda points: tf.sparse.sparse_dense_matmul(points, tf.reshape(tf.range(8.0), (4, 2))),
        lambda points: tf.sparse.sparse_dense_matmul(points, tf.ones((5, 3)), adjoint_a=True, adjoint_b=True),
    ],
)
def test_sparse_arguments_are_places_values_and_shape(function: Callable[..., Any]) -> None:
    spec = tf.SparseTensorSpec((3, 4), tf.float32)
    check(function, spec, POINTS)


def test_ragged_results_and_further_operators_are_refused() -> None:
    def parse(function: Callable[..., Any], spec: Any) -> Any:
        return mm.parse(tf.function(function).get_concrete_function(spec))

    with pytest.raises(ParseError, match=r"no dense tensor .ragged, sparse or composite.*return its parts"):
        parse(lambda rows: rows * 2.0, RAGGED)
    with pytest.raises(UnsupportedOpError, match=r"SparseReorder"):
        parse(lambda points: tf.sparse.to_dense(tf.sparse.reorder(points)), SPARSE)
