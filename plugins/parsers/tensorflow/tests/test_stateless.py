"""Random numbers from seeds are TensorFlow's, bit by bit, for seeds that are known and for those that are inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from keras_running import outputs

import mm_core as mm
from mm_core.errors import UnsupportedOpError

raw = tf.raw_ops
SEEDS = np.int32([[3, 7], [-1, 0], [2**31 - 1, -(2**31)]])


def both(function: Callable[..., Any], *arrays: Any) -> tuple[list[Any], list[Any]]:
    concrete = tf.function(function).get_concrete_function(*(tf.TensorSpec(item.shape, item.dtype) for item in arrays))
    network = mm.parse(concrete)
    ours = outputs(network, {spec.name: item for spec, item in zip(network.inputs, arrays, strict=True)})
    return list(ours.values()), [item.numpy() for item in tf.nest.flatten(concrete(*map(tf.constant, arrays)))]


@pytest.mark.parametrize(("seed", "shape"), [(SEEDS[0], ()), (SEEDS[1], (3, 7)), (SEEDS[2], (4,))], ids=str)
def test_numbers_are_the_same_bits(seed: Any, shape: tuple[int, ...]) -> None:
    def function(seed: Any) -> Any:
        return (
            tf.random.stateless_uniform(shape, seed),
            tf.random.stateless_uniform(shape, seed, None, None, tf.int32),
            tf.random.stateless_uniform(shape, seed, None, None, tf.int64),
            tf.random.stateless_uniform(shape, seed, -5, 17, tf.int32),
            tf.random.stateless_uniform(shape, seed, -(2**40), 2**41, tf.int64),
            raw.StatelessRandomUniform(shape=tf.constant(shape, tf.int32), seed=seed),
        )

    ours, theirs = both(function, seed)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == other.dtype
        np.testing.assert_array_equal(mine, other)


def test_normal_numbers_and_shapes_that_are_not_known() -> None:
    ours, theirs = both(lambda seed: tf.random.stateless_normal((999,), seed), SEEDS[0])
    np.testing.assert_allclose(ours[0], theirs[0], rtol=0, atol=5e-6)
    ours, theirs = both(lambda shape: tf.random.stateless_uniform(shape, [1, 2]), np.int32([2, 5]))
    np.testing.assert_array_equal(ours[0], theirs[0])


def test_the_counter_carries_into_its_upper_half() -> None:
    counter = tf.constant([2**64 - 2, 5], tf.uint64)

    def function(key: Any) -> Any:
        shape = tf.constant([16])
        return raw.StatelessRandomUniformV2(shape=shape, key=tf.cast(key, tf.uint64), counter=counter, alg=1)

    ours, theirs = both(function, np.int64([12345678901]))
    np.testing.assert_array_equal(ours[0], theirs[0])


def test_other_types_and_algorithms_are_refused() -> None:
    def parse(function: Callable[..., Any]) -> Any:
        return mm.parse(tf.function(function).get_concrete_function(tf.TensorSpec((2,), tf.int32)))

    with pytest.raises(UnsupportedOpError, match=r"StatelessRandomUniformV2: numbers of type float64"):
        parse(lambda seed: tf.random.stateless_uniform((4,), seed, dtype=tf.float64))
    with pytest.raises(UnsupportedOpError, match=r"an algorithm other than Philox"):
        parse(lambda seed: tf.random.stateless_uniform((4,), seed, alg="threefry"))
