"""Convolutional networks, from memory and from files, equal Keras and hold no transposes of their own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras_running import assert_close, count, outputs

import mm_core as mm

APPLICATIONS = sorted(name for name, item in vars(keras.applications).items() if name[0].isupper() and callable(item))
QUICK = ("MobileNetV2", "MobileNetV3Small")
DENSE_OVER_CHANNELS = "ConvNeXt"
DEEPEST = ("EfficientNetV2L",)
"""With statistics out of the air Keras itself gives other numbers for an image changed by a millionth."""
FLATTENED = "VGG"
"""Images of several pixels become vectors, in TensorFlow's order: that is a transpose."""
"""Its blocks multiply channels by matrices, for which they must lie last."""


def plain_network() -> Any:
    """Every kind of layer that a plain convolutional network has."""
    x = image = keras.Input((33, 31, 3), name="image")
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = keras.layers.BatchNormalization(name="stem_norm")(x)
    x = early = keras.layers.ReLU(6.0)(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = keras.layers.Conv2D(8, 1, activation="swish", name="pointwise")(x)
    x = keras.layers.Add()([x, early])
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = keras.layers.Conv2D(8, 1, activation="hard_sigmoid", name="gate")(gate)
    x = keras.layers.Multiply()([x, gate])
    x = keras.layers.ZeroPadding2D(((0, 1), (1, 0)))(x)
    x = keras.layers.MaxPooling2D(3, 2, padding="same")(x)
    x = keras.layers.Concatenate()([x, keras.layers.AveragePooling2D(3, 1, padding="same")(x)])
    x = keras.layers.SeparableConv2D(12, 3, activation="leaky_relu", name="separable")(x)
    x = keras.layers.UpSampling2D(2)(x)
    x = keras.layers.Cropping2D(1)(x)
    x = keras.layers.Conv2DTranspose(6, 3, strides=2, padding="same", name="transposed")(x)
    x = keras.layers.SpatialDropout2D(0.5)(x)
    x = keras.layers.GlobalMaxPooling2D()(x)
    return keras.Model(image, keras.layers.Dense(5, activation="softmax", name="head")(x), name="plain")


def prepared(model: Any) -> Any:
    """The model with statistics of its own in every normalization, under which rounding does not grow with depth."""
    rng = np.random.default_rng(0)
    for variable in model.variables:
        if "moving_mean" in variable.path:
            variable.assign(rng.normal(0, 0.05, variable.shape))
        elif "moving_variance" in variable.path:
            variable.assign(rng.uniform(1.0, 1.5, variable.shape))
    return model


def calibrate(model: Any, image: Any) -> None:
    """Statistics that the normalizations meet, as training leaves them."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(image, training=True)


def check(model: Any, source: Any, inputs: Any, tolerance: float = 1e-5) -> mm.Network:
    network = mm.parse(source)
    (name,) = [spec.name for spec in network.inputs]
    (ours,) = outputs(network, {name: inputs}).values()
    assert_close(ours, model(inputs, training=False), tolerance)
    return network


@pytest.fixture(scope="module")
def plain() -> Any:
    keras.utils.set_random_seed(1)
    return prepared(plain_network())


IMAGE = np.random.default_rng(2).normal(size=(2, 33, 31, 3)).astype(np.float32)


def test_a_plain_network_transposes_its_input_and_nothing_else(plain: Any) -> None:
    network = check(plain, plain, IMAGE)
    (transpose,) = [operation for operation in network.walk() if operation.name == "mm.transpose"]
    assert transpose.operands[0] is network.arguments[0]
    assert network.inputs[0].name == "image"
    assert str(network.inputs[0].type) == 'tensor<?x33x31x3xf32, ["N"]>'
    assert [spec.name for spec in network.outputs] == ["head"]


def test_a_saved_model_and_a_keras_file_are_the_same_network(plain: Any, tmp_path: Path) -> None:
    plain.export(tmp_path / "saved", verbose=False)
    plain.save(tmp_path / "plain.keras")
    for source in (tmp_path / "saved", tmp_path / "plain.keras"):
        network = check(plain, source, IMAGE)
        assert count(network, "mm.transpose") == 1


def test_locations_are_the_users_layers(plain: Any, tmp_path: Path) -> None:
    plain.export(tmp_path / "saved", verbose=False)
    for source in (plain, tmp_path / "saved"):
        layers = {
            location.name.split("/")[1]
            for operation in mm.parse(source).walk()
            for location in operation.locations
            if location.name.startswith("plain")
        }
        assert {"stem", "stem_norm", "depthwise", "pointwise", "gate", "separable", "transposed", "head"} <= layers


def test_weights_are_shared_with_the_model(plain: Any) -> None:
    kernel = plain.get_layer("head").kernel
    network = mm.parse(plain)
    (product,) = [operation for operation in network.walk() if operation.name == "mm.matmul"]
    weight = product.operands[1].defining_op.attributes["value"]
    assert weight.key == "head/kernel"
    assert not weight.is_loaded
    assert np.shares_memory(weight.numpy(), np.asarray(memoryview(kernel.value.read_value())))


@pytest.mark.parametrize("name", QUICK)
def test_applications_for_small_images(name: str, tmp_path: Path) -> None:
    check_application(name, tmp_path / "saved", (32, 32, 3))


@pytest.mark.long
@pytest.mark.parametrize("name", APPLICATIONS)
def test_applications(name: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Every application for images of its own size. Takes up to 10 GB of memory, and 2 GB of disk at a time."""
    check_application(name, tmp_path / "saved", None, record_property)


def check_application(
    name: str, folder: Path, shape: tuple[int, ...] | None, record: Callable[[str, object], None] = lambda *_: None
) -> None:
    """From memory and from a SavedModel; the largest difference is recorded as a part of the largest number."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    # Without the softmax at the end, which of random weights may give nothing but ones and zeros.
    build = getattr(keras.applications, name)
    model = prepared(build(weights=None, input_shape=shape, classifier_activation=None))
    image = np.random.default_rng(0).uniform(0, 255, (1, *(size or 224 for size in model.input_shape[1:])))
    image = image.astype(np.float32)
    if name in DEEPEST:
        calibrate(model, image)
    expected = np.asarray(model(image, training=False))
    assert np.std(expected) > 0
    model.export(folder, verbose=False)
    moved = 1 + name.startswith(FLATTENED)
    try:
        for kind, source in (("memory", model), ("saved model", folder)):
            network = mm.parse(source)
            assert count(network, "mm.transpose") <= moved or name.startswith(DENSE_OVER_CHANNELS)
            (ours,) = outputs(network, {network.inputs[0].name: image}).values()
            difference = float(np.max(np.abs(ours - expected)) / np.max(np.abs(expected)))
            record(f"{kind} {image.shape[1]}", f"{difference:.1e}")
            assert_close(ours, expected, 2e-5)
    finally:
        shutil.rmtree(folder)
