"""Transposes that survive parsing: convolutional networks transpose their input, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras_running import assert_close, count, outputs

import mm_core as mm

RNG = np.random.default_rng(8)


def depthwise(x: Any) -> Any:
    for stride in (1, 2):
        x = layers.DepthwiseConv2D(3, stride, "same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.Conv2D(8, 1, activation="relu6")(x)
    return layers.GlobalAveragePooling2D()(x)


def residual_with_pads(x: Any) -> Any:
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(layers.Conv2D(8, 3, 2)(layers.ZeroPadding2D(3)(x))))
    return layers.Flatten()(layers.Add()([x, layers.Conv2D(8, 3, padding="same")(layers.ReLU()(x))])[:, :1, :1])


def squeeze_and_excitation(x: Any) -> Any:
    x = layers.Conv2D(8, 3, activation="swish")(x)
    gate = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(x))
    x = layers.Multiply()([x, layers.Conv2D(8, 1, activation="sigmoid")(layers.Conv2D(2, 1, activation="relu")(gate))])
    gate = layers.Dense(8, activation="hard_sigmoid")(layers.GlobalMaxPooling2D()(x))
    return layers.GlobalAveragePooling2D()(layers.Multiply()([x, layers.Reshape((1, 1, 8))(gate)]))


def concatenated(x: Any) -> Any:
    for _ in range(2):
        x = layers.Concatenate()([x, layers.Conv2D(4, 3, padding="same")(x), layers.AveragePooling2D(3, 1, "same")(x)])
    return layers.Dense(3)(layers.GlobalAveragePooling2D()(x))


def u_net(x: Any) -> Any:
    first = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    second = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.MaxPooling2D()(first))
    x = layers.Conv2D(8, 3, padding="same")(layers.MaxPooling2D()(second))
    x = layers.Concatenate()([layers.Resizing(8, 8, interpolation="bilinear")(x), second])
    x = layers.Concatenate()(
        [layers.UpSampling2D(interpolation="nearest")(x), layers.Conv2DTranspose(4, 2, 2)(x), first]
    )
    return layers.GlobalAveragePooling2D()(layers.Conv2D(2, 1, activation="sigmoid")(x))


def normalized(x: Any) -> Any:
    x = layers.GroupNormalization(2)(layers.Conv2D(8, 3)(x))
    x = layers.UnitNormalization()(layers.LayerNormalization()(layers.Activation("gelu")(x)))
    return layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3)(x))


@pytest.mark.parametrize(
    "body", [depthwise, residual_with_pads, squeeze_and_excitation, concatenated, u_net, normalized],
    ids=lambda body: body.__name__,
)  # fmt: skip
def test_networks(body: Callable[[Any], Any], tmp_path: Path) -> None:
    keras.utils.set_random_seed(2)
    image = keras.Input((16, 16, 3), name="image")
    model = keras.Model(image, body(image))
    x = RNG.normal(size=(2, 16, 16, 3)).astype(np.float32)
    model.export(tmp_path / "saved", verbose=False)
    for source in (model, tmp_path / "saved"):
        network = mm.parse(source)
        assert count(network, "mm.transpose") == 1
        (ours,) = outputs(network, {"image": x}).values()
        assert_close(ours, model(x))


@pytest.mark.parametrize("name", ["EfficientNetV2B0", "ResNet50V2"])
def test_applications(name: str) -> None:
    """Those that build fast; the others stand behind -m long, where they are compared with Keras too."""
    keras.backend.clear_session()
    assert count(mm.parse(getattr(keras.applications, name)(weights=None)), "mm.transpose") == 1


def test_a_function_of_raw_operators() -> None:
    kernel = tf.Variable(RNG.normal(size=(3, 3, 3, 4)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec((None, 16, 16, 3), tf.float32, name="image")])
    def function(image: Any) -> Any:
        x = tf.nn.conv2d(tf.pad(image, [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT"), kernel, 2, "VALID")
        first, second = tf.split(tf.image.resize(x, [12, 12]), 2, -1)
        x = tf.concat([second, first], -1)[:, 2:-2, ::2] * tf.constant([1.0, 2.0, 3.0, 4.0])
        mean, variance = tf.nn.moments(x, [1, 2], keepdims=True)
        x = (x - mean) * tf.math.rsqrt(variance + 1e-3)
        return tf.reduce_mean(tf.where(x > 0, x, 0.1 * x), [1, 2])

    x = RNG.normal(size=(2, 16, 16, 3)).astype(np.float32)
    network = mm.parse(function.get_concrete_function())
    assert count(network, "mm.transpose") == 1
    (ours,) = outputs(network, {"image": x}).values()
    assert_close(ours, function(x))
