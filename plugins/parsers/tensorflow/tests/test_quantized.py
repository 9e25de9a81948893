"""Networks trained with fake quantization, as TFLite takes them, count with bytes on the CPU and equal TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import mm_core as mm

RNG = np.random.default_rng(0)
LAST = (-5.0, 5.5)
fake_quant = tf.quantization.fake_quant_with_min_max_vars


def variable(*shape: int) -> Any:
    return tf.Variable(RNG.normal(size=shape).astype(np.float32) * 0.3)


class Small(tf.Module):
    """Convolutions with a residual sum, a mean and a product; every tensor is quantized."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.depthwise, self.point = variable(3, 3, 3, 16), variable(3, 3, 16, 1), variable(1, 1, 16, 32)
        self.head = variable(32, 10)
        self.biases = [variable(16), variable(16), variable(32), variable(10)]
        # As variables, which training with moving averages leaves behind.
        self.limits = [tf.Variable(limit) for limit in (0.0, 6.0)]

    def channels(self, weight: Any) -> Any:
        most = tf.reduce_max(tf.abs(weight), axis=range(weight.shape.rank - 1))
        return tf.quantization.fake_quant_with_min_max_vars_per_channel(weight, -most, most, narrow_range=True)

    def whole(self, weight: Any) -> Any:
        return fake_quant(weight, -1.1, 1.1, narrow_range=True)

    @tf.function(input_signature=[tf.TensorSpec((None, 32, 32, 3))])
    def __call__(self, x: Any) -> Any:
        x = fake_quant(x, -1.0, 1.0)
        x = tf.nn.conv2d(x, self.channels(self.stem), 2, "SAME") + self.biases[0]
        x = early = fake_quant(tf.nn.relu6(x), *self.limits)
        x = tf.nn.depthwise_conv2d(x, self.whole(self.depthwise), [1, 1, 1, 1], "SAME") + self.biases[1]
        x = fake_quant(fake_quant(tf.nn.relu6(x), *self.limits) + early, 0.0, 10.0)
        x = tf.nn.bias_add(tf.nn.conv2d(x, self.channels(self.point), 1, "SAME"), self.biases[2])
        x = fake_quant(tf.reduce_mean(fake_quant(x, -7.3, 8.1), [1, 2]), -3.0, 4.0)
        return fake_quant(x @ self.whole(self.head) + self.biases[3], *LAST)


class Symmetric(tf.Module):
    """A product and a convolution with `quantize_and_dequantize` around them, which has no zero points."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = variable(3, 3, 3, 8), variable(8, 10)

    @tf.function(input_signature=[tf.TensorSpec((None, 32, 32, 3))])
    def __call__(self, x: Any) -> Any:
        counted = tf.quantization.quantize_and_dequantize_v2
        x = counted(x, -1.0, 1.0, range_given=True)
        x = tf.nn.relu(tf.nn.conv2d(x, counted(self.stem, -1.0, 1.0, range_given=True), 2, "SAME"))
        x = counted(tf.reduce_max(x, [1, 2]), -8.0, 8.0, range_given=True)
        return counted(x @ counted(self.head, -1.0, 1.0, range_given=True, narrow_range=True), *LAST, range_given=True)


def run(model: mm.Model, x: Any) -> Any:
    (found,) = model.create_engine().create_context().run({"x": x}).values()
    return found


@pytest.mark.parametrize(("network", "contractions"), [(Small, 4), (Symmetric, 2)])
def test_quantized_networks_count_with_bytes(network: type[Any], contractions: int, tmp_path: Path) -> None:
    module = network()
    tf.saved_model.save(module, tmp_path, signatures=module.__call__.get_concrete_function())
    model = mm.Builder().build(mm.parse(tmp_path))
    kernels = [record.kernel.partition("+")[0] for record in model.report.kernels]
    assert sum(kernel in ("i8_conv", "i8_gemm") for kernel in kernels) == contractions, kernels
    x = RNG.uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32)
    ours, theirs = run(model, x), np.asarray(module(tf.constant(x)))
    # Sums in TensorFlow are rounded: where one then lies on the other side of a tie, it is one step away.
    step = (LAST[1] - LAST[0]) / 255
    steps = np.abs(ours - theirs) / step
    assert np.max(steps) < 1.01
    assert np.mean(steps > 0.01) < 0.05


def test_weights_are_bytes_before_anything_is_built() -> None:
    module = Small()
    network = mm.parse(module.__call__.get_concrete_function())
    weights = {
        str(operation.operands[0].type)
        for operation in network.walk()
        if operation.name == "mm.dequantize"
        and operation.result.uses
        and operation.operands[0].defining_op.name == "mm.constant"
    }
    assert weights == {"tensor<16x3x3x3xi8>", "tensor<16x1x3x3xi8>", "tensor<32x16x1x1xi8>", "tensor<32x10xi8>"}
