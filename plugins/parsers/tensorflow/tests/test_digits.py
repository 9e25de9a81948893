"""The digits network of the examples, saved by Keras, goes through the commands and is as accurate as the ONNX file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from click.testing import CliRunner
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

import mm_core as mm
from mm_core.cli.build import command as mm_build

DIGITS = Path(__file__).parents[4] / "examples" / "digits"


def test_a_saved_model_and_a_keras_file() -> None:
    done = subprocess.run([sys.executable, DIGITS / "from_keras.py"], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    commands = [line for line in done.stdout.splitlines() if line.startswith("$ ")]
    assert [command.split()[1] for command in commands] == ["mm_build", "mm_run"] * 3
    shares = dict(re.findall(r"(\S+): (\d+\.\d+)% of 360", done.stdout))
    assert set(shares) == {"SavedModel", ".keras", "ONNX"}
    assert min(map(float, shares.values())) >= 97


def test_a_frozen_graph(tmp_path: Path) -> None:
    def network(image: tf.Tensor) -> tf.Tensor:
        for layer, pooled in (("0", False), ("3", True), ("7", True)):
            image = tf.nn.conv2d(image, weights[f"{layer}.weight"].transpose(2, 3, 1, 0), 1, "SAME")
            image = tf.nn.relu(image + weights[f"{layer}.weight_bias"])
            image = tf.nn.max_pool2d(image, 2, 2, "VALID") if pooled else image
        flat = tf.reshape(tf.transpose(image, (0, 3, 1, 2)), (-1, 256))
        return tf.identity(flat @ weights["13.weight"].T + weights["13.bias"], "logits")

    weights = initializers()
    function = tf.function(network, input_signature=[tf.TensorSpec((None, 8, 8, 1), tf.float32, name="image")])
    frozen = convert_variables_to_constants_v2(function.get_concrete_function()).graph.as_graph_def()
    source, built = tmp_path / "digits.pb", tmp_path / "digits.mm"
    source.write_bytes(frozen.SerializeToString())
    done = CliRunner().invoke(mm_build, ["--tf_pb", str(source), "-o", str(built)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    with np.load(DIGITS / "held_out.npz") as archive:
        pixels, labels = archive["images"].astype(np.float32) / 16, archive["labels"]
    (logits,) = mm.Model.load(built).create_engine().create_context().run({"image": pixels[..., None]}).values()
    assert np.mean(logits.argmax(1) == labels) >= 0.97
    reference = mm.Builder().build(mm.parse(DIGITS / "digits.onnx")).create_engine().create_context()
    (expected,) = reference.run({"image": pixels[:, None]}).values()
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)


def initializers() -> dict[str, np.ndarray]:
    """The weights of the committed file by name."""
    import onnx

    return {item.name: onnx.numpy_helper.to_array(item) for item in onnx.load(DIGITS / "digits.onnx").graph.initializer}
