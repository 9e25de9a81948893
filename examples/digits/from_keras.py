"""The digits network in Keras: saved as a SavedModel and as a .keras file, built and run with the two commands.

    pip install onnx "mm-parser-tensorflow[tensorflow-cpu]"
    python examples/digits/from_keras.py

Its weights are those of digits.onnx. Exit status 0 only if both files recognise the held-out digits as well as that.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import onnx
from commands import accuracies, logits
from demo import SOURCE, held_out
from keras import layers


def network() -> keras.Model:
    """The network of `train.py` with channels last: input `image`, [N, 8, 8, 1] in 0..1; output logits, [N, 10]."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="0"),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="3"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu", name="7"),
            layers.MaxPooling2D(),
            layers.Permute((3, 1, 2)),  # PyTorch flattens channels first.
            layers.Flatten(),
            layers.Dense(10, name="13"),
        ],
        name="digits",
    )
    weights = {item.name: onnx.numpy_helper.to_array(item) for item in onnx.load(SOURCE).graph.initializer}
    for layer in ("0", "3", "7"):
        kernel = weights[f"{layer}.weight"].transpose(2, 3, 1, 0)
        model.get_layer(layer).set_weights([kernel, weights[f"{layer}.weight_bias"]])
    model.get_layer("13").set_weights([weights["13.weight"].T, weights["13.bias"]])
    return model


def main() -> int:
    pixels, labels = held_out()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, last = folder / "images.npy", folder / "images_channels_last.npy"
        np.save(first, pixels)
        np.save(last, pixels.transpose(0, 2, 3, 1))
        model = network()
        model.export(folder / "digits", verbose=False)
        model.save(folder / "digits.keras")
        found = {
            "SavedModel": logits(folder / "digits", folder, last),
            ".keras": logits(folder / "digits.keras", folder, last),
            "ONNX": logits(SOURCE, folder, first),
        }
    shares = accuracies(found, labels)
    same = all(np.allclose(each, found["ONNX"], rtol=0, atol=1e-4) for each in found.values())
    return 0 if same and min(shares.values()) >= shares["ONNX"] else 1


if __name__ == "__main__":
    sys.exit(main())
