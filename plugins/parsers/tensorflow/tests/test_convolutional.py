"""Convolutional networks, from memory and from files, equal Keras and hold no transposes of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras_running import assert_close, count, outputs

import mm_core as mm

APPLICATIONS = {
    "ConvNeXtTiny": 32, "DenseNet121": 32, "EfficientNetB0": 32, "EfficientNetV2B0": 32, "InceptionResNetV2": 75,
    "InceptionV3": 75, "MobileNet": 32, "MobileNetV2": 32, "MobileNetV3Small": 32, "NASNetMobile": 32, "ResNet50": 32,
    "ResNet50V2": 32, "VGG16": 32, "Xception": 71,
}  # fmt: skip
QUICK = ("MobileNetV2", "MobileNetV3Small")
FURTHER = (
    "ConvNeXtBase", "ConvNeXtSmall", "DenseNet169", "DenseNet201", "EfficientNetB1", "EfficientNetB2", "EfficientNetB3",
    "EfficientNetB4", "EfficientNetB5", "EfficientNetB6", "EfficientNetB7", "EfficientNetV2B1", "EfficientNetV2B2",
    "EfficientNetV2B3", "EfficientNetV2L", "EfficientNetV2M", "EfficientNetV2S", "MobileNetV3Large", "NASNetLarge",
    "ResNet101", "ResNet101V2", "ResNet152", "ResNet152V2", "VGG19", "ConvNeXtLarge", "ConvNeXtXLarge",
)  # fmt: skip
DENSE_OVER_CHANNELS = "ConvNeXt"
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


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in (*APPLICATIONS, *FURTHER)]
)
def test_applications(name: str, tmp_path: Path) -> None:
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    size = APPLICATIONS.get(name, 32)
    model = prepared(getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3)))
    image = np.random.default_rng(0).uniform(0, 255, (1, size, size, 3)).astype(np.float32)
    model.export(tmp_path / "saved", verbose=False)
    for source in (model, tmp_path / "saved"):
        network = check(model, source, image, 2e-5)
        assert count(network, "mm.transpose") == 1 or name.startswith(DENSE_OVER_CHANNELS)
