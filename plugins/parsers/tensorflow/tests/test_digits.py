"""The digits network of the examples, saved by Keras, goes through the commands and is as accurate as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import numpy_helper

import mm_core as mm
from mm_core.cli.build import command as mm_build

DIGITS = Path(__file__).parents[4] / "examples" / "digits"


@pytest.fixture(scope="module")
def digits() -> Any:
    """The committed ONNX network's weights in layers of Keras."""
    weights = {item.name: numpy_helper.to_array(item) for item in onnx.load(DIGITS / "digits.onnx").graph.initializer}
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="0"),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="3"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu", name="7"),
            layers.MaxPooling2D(),
            layers.Permute((3, 1, 2)),
            layers.Flatten(),
            layers.Dense(10, name="13"),
        ],
        name="digits",
    )
    for layer in ("0", "3", "7"):
        kernel = weights[f"{layer}.weight"].transpose(2, 3, 1, 0)
        model.get_layer(layer).set_weights([kernel, weights[f"{layer}.weight_bias"]])
    model.get_layer("13").set_weights([weights["13.weight"].T, weights["13.bias"]])
    return model


@pytest.mark.parametrize("kind", ["SavedModel", ".keras", ".pb"])
def test_the_commands_build_it_and_it_recognises_the_held_out_images(digits: Any, kind: str, tmp_path: Path) -> None:
    source, built = tmp_path / "digits", tmp_path / "digits.mm"
    if kind == "SavedModel":
        digits.export(source, verbose=False)
    elif kind == ".keras":
        source = source.with_suffix(kind)
        digits.save(source)
    else:
        source = source.with_suffix(kind)
        source.write_bytes(_frozen(digits))
    options = ["--tf_pb", str(source)] if kind == ".pb" else [str(source)]
    done = CliRunner().invoke(mm_build, [*options, "-o", str(built)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    with np.load(DIGITS / "held_out.npz") as archive:
        images, labels = archive["images"], archive["labels"]
    model = mm.Model.load(built)
    pixels = images[..., None].astype(np.float32) / 16
    (logits,) = model.create_engine().create_context().run({model.inputs[0].name: pixels}).values()
    assert np.mean(logits.argmax(1) == labels) >= 0.97
    reference = mm.Builder().build(mm.parse(DIGITS / "digits.onnx")).create_engine().create_context()
    (expected,) = reference.run({"image": pixels.transpose(0, 3, 1, 2)}).values()
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


def _frozen(model: Any) -> bytes:
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    function = tf.function(lambda image: model(image, training=False))
    concrete = function.get_concrete_function(tf.TensorSpec((None, 8, 8, 1), tf.float32, name="image"))
    graph = convert_variables_to_constants_v2(concrete).graph.as_graph_def()
    return bytes(graph.SerializeToString())
