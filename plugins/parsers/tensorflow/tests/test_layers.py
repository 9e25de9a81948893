"""Layers of Keras, each as a model of its own, equal Keras: recurrent, attention, images, preprocessing and others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras_running import assert_close, outputs

import mm_core as mm

layers = keras.layers
RNG = np.random.default_rng(3)
IMAGE, SEQUENCE, ROW, LINE, VOLUME = (9, 8, 4), (6, 5), (7,), (12, 4), (6, 5, 4, 3)
Case = tuple[tuple[Any, ...], Callable[..., Any]]


def one(shape: tuple[int, ...], make: Callable[[], Any]) -> Case:
    """A layer of one input."""
    return (shape,), lambda x: make()(x)


def many(count: int, make: Callable[[], Any], shape: tuple[int, ...] = SEQUENCE) -> Case:
    """A layer of several inputs of one shape."""
    return (shape,) * count, lambda *xs: make()(list(xs))


class Transformer(layers.Layer):
    """One block of an encoder, as tutorials write it."""

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.attention = layers.MultiHeadAttention(heads, width // heads)
        self.inner = layers.Dense(2 * width, activation="gelu")
        self.outer = layers.Dense(width)
        self.norms = [layers.LayerNormalization(epsilon=1e-6), layers.LayerNormalization(epsilon=1e-6)]

    def call(self, x: Any) -> Any:
        x = self.norms[0](x + self.attention(x, x, use_causal_mask=True))
        return self.norms[1](x + self.outer(self.inner(x)))


RECURRENT = {
    "simple_rnn": one(SEQUENCE, lambda: layers.SimpleRNN(4)),
    "lstm": one(SEQUENCE, lambda: layers.LSTM(4)),
    "lstm_sequences": one(SEQUENCE, lambda: layers.LSTM(4, return_sequences=True, go_backwards=True)),
    "lstm_states": one(SEQUENCE, lambda: layers.LSTM(4, return_sequences=True, return_state=True)),
    "lstm_unrolled": one(SEQUENCE, lambda: layers.LSTM(4, unroll=True)),
    "lstm_any_length": (((None, 5),), lambda x: layers.LSTM(4, return_sequences=True)(x)),
    "gru": one(SEQUENCE, lambda: layers.GRU(4, return_sequences=True)),
    "gru_reset_before": one(SEQUENCE, lambda: layers.GRU(4, reset_after=False)),
    "bidirectional": one(SEQUENCE, lambda: layers.Bidirectional(layers.LSTM(3, return_sequences=True))),
    "masked_lstm": ((SEQUENCE,), lambda x: layers.LSTM(4)(layers.Masking(0.0)(x))),
    "stacked_cells": one(SEQUENCE, lambda: layers.RNN([layers.GRUCell(4), layers.LSTMCell(3)])),
    "conv_lstm": one((3, 6, 5, 2), lambda: layers.ConvLSTM2D(3, 3, padding="same")),
    "time_distributed": one((3, 6, 5, 2), lambda: layers.TimeDistributed(layers.Conv2D(3, 3))),
}
ATTENTION = {
    "multi_head": ((SEQUENCE,), lambda x: layers.MultiHeadAttention(2, 3)(x, x)),
    "multi_head_causal": ((SEQUENCE,), lambda x: layers.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)),
    "group_query": ((SEQUENCE,), lambda x: layers.GroupQueryAttention(4, 4, 2)(x, x)),
    "attention": many(2, lambda: layers.Attention(use_scale=True)),
    "additive_attention": many(2, layers.AdditiveAttention),
    "transformer": ((SEQUENCE,), lambda x: Transformer(2, 8)(layers.Dense(8)(x))),
    "transformer_any_length": (((None, 5),), lambda x: Transformer(2, 8)(layers.Dense(8)(x))),
}
NORMALIZATION = {
    "batch": one(IMAGE, layers.BatchNormalization),
    "layer": one(IMAGE, layers.LayerNormalization),
    "layer_axes": one(IMAGE, lambda: layers.LayerNormalization(axis=(1, 2))),
    "rms": one(SEQUENCE, layers.RMSNormalization),
    "group": one(IMAGE, lambda: layers.GroupNormalization(2)),
    "unit": one(SEQUENCE, layers.UnitNormalization),
    "spectral": one(ROW, lambda: layers.SpectralNormalization(layers.Dense(3))),
}
CONVOLUTION = {
    "conv1d": one(LINE, lambda: layers.Conv1D(3, 3, padding="same", activation="relu")),
    "conv1d_causal": one(LINE, lambda: layers.Conv1D(3, 3, padding="causal", dilation_rate=2)),
    "conv1d_transpose": one(LINE, lambda: layers.Conv1DTranspose(3, 3, strides=2)),
    "separable1d": one(LINE, lambda: layers.SeparableConv1D(3, 3)),
    "depthwise1d": one(LINE, lambda: layers.DepthwiseConv1D(3)),
    "conv2d_dilated": one(IMAGE, lambda: layers.Conv2D(3, 3, dilation_rate=2, padding="same")),
    "conv2d_groups": one(IMAGE, lambda: layers.Conv2D(6, 3, groups=2, strides=(2, 1))),
    "conv2d_transpose": one(IMAGE, lambda: layers.Conv2DTranspose(3, 4, strides=2, padding="same")),
    "conv2d_transpose_any": (((None, None, 4),), lambda x: layers.Conv2DTranspose(3, 3, strides=2, padding="same")(x)),
    "depthwise_multiplied": one(IMAGE, lambda: layers.DepthwiseConv2D(3, depth_multiplier=2)),
    "conv3d": one(VOLUME, lambda: layers.Conv3D(2, 3, padding="same")),
    "conv3d_transpose": one(VOLUME, lambda: layers.Conv3DTranspose(2, 3, strides=2)),
    "max_pool1d": one(LINE, lambda: layers.MaxPooling1D(3, 2)),
    "average_pool2d": one(IMAGE, lambda: layers.AveragePooling2D(3, 2, padding="same")),
    "max_pool3d": one(VOLUME, lambda: layers.MaxPooling3D(2)),
    "adaptive_pool": one(IMAGE, lambda: layers.AdaptiveAveragePooling2D((3, 4))),
    "global_pool1d": one(LINE, layers.GlobalAveragePooling1D),
    "upsampling_bilinear": one(IMAGE, lambda: layers.UpSampling2D(2, interpolation="bilinear")),
    "upsampling3d": one(VOLUME, lambda: layers.UpSampling3D(2)),
    "padding1d": one(LINE, lambda: layers.ZeroPadding1D(2)),
    "cropping3d": one(VOLUME, lambda: layers.Cropping3D(1)),
}
IMAGES = {
    "resizing": one(IMAGE, lambda: layers.Resizing(5, 11)),
    "resizing_nearest": one(IMAGE, lambda: layers.Resizing(13, 5, interpolation="nearest")),
    "resizing_bicubic": one(IMAGE, lambda: layers.Resizing(13, 5, interpolation="bicubic")),
    "resizing_antialias": one(IMAGE, lambda: layers.Resizing(5, 4, antialias=True)),
    "resizing_lanczos": one(IMAGE, lambda: layers.Resizing(5, 4, interpolation="lanczos3", antialias=True)),
    "resizing_any_size": (((None, None, 3),), lambda x: layers.Resizing(5, 4)(x)),
    "rescaling": one(IMAGE, lambda: layers.Rescaling(1 / 127.5, -1.0)),
    "center_crop": one(IMAGE, lambda: layers.CenterCrop(5, 4)),
    "random_flip_at_rest": one(IMAGE, layers.RandomFlip),
    "random_rotation_at_rest": one(IMAGE, lambda: layers.RandomRotation(0.2)),
}
PLAIN = {
    "dense_4d": one(IMAGE, lambda: layers.Dense(3)),
    "einsum_dense": one(SEQUENCE, lambda: layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de")),
    "flatten": one(IMAGE, layers.Flatten),
    "reshape": one(IMAGE, lambda: layers.Reshape((-1, 8))),
    "permute": one(IMAGE, lambda: layers.Permute((3, 1, 2))),
    "repeat": one(ROW, lambda: layers.RepeatVector(3)),
    "dot": many(2, lambda: layers.Dot(2, normalize=True)),
    "average": many(3, layers.Average),
    "maximum": many(3, layers.Maximum),
    "subtract": many(2, layers.Subtract),
    "prelu": one(IMAGE, lambda: layers.PReLU(alpha_initializer="uniform", shared_axes=[1, 2])),
    "gaussian_noise": one(ROW, lambda: layers.GaussianNoise(1.0)),
    **{
        f"activation_{name}": one(IMAGE, lambda name=name: layers.Activation(name))  # type: ignore[misc]
        for name in (
            "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_swish", "hard_tanh",
            "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu",
            "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax",
            "squareplus", "tanh", "tanh_shrink",
        )
    },
}  # fmt: skip
CASES = {**RECURRENT, **ATTENTION, **NORMALIZATION, **CONVOLUTION, **IMAGES, **PLAIN}


def model_of(case: Case) -> Any:
    shapes, build = case
    keras.utils.set_random_seed(1)
    inputs = [keras.Input(shape, name=f"x{index}") for index, shape in enumerate(shapes)]
    model = keras.Model(inputs if len(inputs) > 1 else inputs[0], build(*inputs))
    for variable in model.variables:
        if variable.dtype == "float32" and not variable.path.endswith(("kernel", "embeddings")):
            variable.assign(RNG.uniform(0.2, 0.8, variable.shape))
    return model


def check(model: Any, arrays: list[Any], tolerance: float = 1e-5) -> mm.Network:
    network = mm.parse(model)
    named = {spec.name: array for spec, array in zip(network.inputs, arrays, strict=True)}
    ours = list(outputs(network, named).values())
    theirs = model(arrays if len(arrays) > 1 else arrays[0], training=False)
    theirs = list(theirs) if isinstance(theirs, (list, tuple)) else [theirs]
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs):
        assert_close(mine, other, tolerance)
    return network


@pytest.mark.parametrize("name", CASES)
def test_layers(name: str) -> None:
    shapes, _ = CASES[name]
    model = model_of(CASES[name])
    for batch in (1, 3):
        arrays = [RNG.normal(size=(batch, *(6 if size is None else size for size in shape))) for shape in shapes]
        check(model, [array.astype(np.float32) for array in arrays])
