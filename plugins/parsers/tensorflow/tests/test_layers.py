"""Layers of Keras, each as a model of its own, equal Keras: recurrent, attention, images, preprocessing and others."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
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
    "lstm_given_states": ((SEQUENCE, (4,), (4,)), lambda x, h, c: layers.LSTM(4)(x, initial_state=[h, c])),
    "gru_masked": (
        (SEQUENCE,),
        lambda x: layers.GRU(4, return_sequences=True, zero_output_for_mask=True)(layers.Masking(0.0)(x)),
    ),
    "bidirectional_states": one(
        SEQUENCE, lambda: layers.Bidirectional(layers.GRU(3, return_state=True), merge_mode="sum")
    ),
    "bidirectional_masked": (
        (SEQUENCE,),
        lambda x: layers.Bidirectional(layers.LSTM(3, return_sequences=True))(layers.Masking(0.0)(x)),
    ),
    "simple_cell": one(SEQUENCE, lambda: layers.RNN(layers.SimpleRNNCell(4), return_state=True)),
    "stacked_sequences": one(
        SEQUENCE,
        lambda: layers.RNN(layers.StackedRNNCells([layers.LSTMCell(3), layers.GRUCell(2)]), return_sequences=True),
    ),
    "conv_lstm1d": one((3, 6, 2), lambda: layers.ConvLSTM1D(3, 3, return_sequences=True)),
    "conv_lstm3d": one((2, 5, 5, 4, 2), lambda: layers.ConvLSTM3D(2, 3, padding="same")),
    "time_distributed_masked": (
        (SEQUENCE,),
        lambda x: layers.TimeDistributed(layers.Dense(3))(layers.Masking(0.0)(x)),
    ),
}
ATTENTION = {
    "multi_head": ((SEQUENCE,), lambda x: layers.MultiHeadAttention(2, 3)(x, x)),
    "multi_head_causal": ((SEQUENCE,), lambda x: layers.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True)),
    "group_query": ((SEQUENCE,), lambda x: layers.GroupQueryAttention(4, 4, 2)(x, x)),
    "attention": many(2, lambda: layers.Attention(use_scale=True)),
    "additive_attention": many(2, layers.AdditiveAttention),
    "transformer": ((SEQUENCE,), lambda x: Transformer(2, 8)(layers.Dense(8)(x))),
    "transformer_any_length": (((None, 5),), lambda x: Transformer(2, 8)(layers.Dense(8)(x))),
    "multi_head_masked": ((SEQUENCE,), lambda x: layers.MultiHeadAttention(2, 3)(*[layers.Masking(0.0)(x)] * 2)),
    "multi_head_cross": (
        (SEQUENCE, (4, 3)),
        lambda x, y: layers.MultiHeadAttention(2, 3, value_dim=4, output_shape=7)(x, y, return_attention_scores=True),
    ),
    "multi_head_axes": (((4, 3, 5),), lambda x: layers.MultiHeadAttention(2, 3, attention_axes=(1, 2))(x, x)),
    "group_query_causal": (
        (SEQUENCE,),
        lambda x: layers.GroupQueryAttention(4, 6, 2)(x, x, use_causal_mask=True),
    ),
    "attention_causal": (
        (SEQUENCE, SEQUENCE),
        lambda q, v: layers.Attention(score_mode="concat")([q, v], use_causal_mask=True),
    ),
    "additive_attention_masked": (
        (SEQUENCE, SEQUENCE),
        lambda q, v: layers.AdditiveAttention()([layers.Masking()(q), layers.Masking()(v)]),
    ),
}
NORMALIZATION = {
    "batch": one(IMAGE, layers.BatchNormalization),
    "layer": one(IMAGE, layers.LayerNormalization),
    "layer_axes": one(IMAGE, lambda: layers.LayerNormalization(axis=(1, 2))),
    "rms": one(SEQUENCE, layers.RMSNormalization),
    "group": one(IMAGE, lambda: layers.GroupNormalization(2)),
    "unit": one(SEQUENCE, layers.UnitNormalization),
    "spectral": one(ROW, lambda: layers.SpectralNormalization(layers.Dense(3))),
    "batch_masked": ((SEQUENCE,), lambda x: layers.BatchNormalization()(layers.Masking()(x))),
    "instance": one(LINE, lambda: layers.GroupNormalization(-1)),
    "unit_axes": one(IMAGE, lambda: layers.UnitNormalization(axis=(1, 2))),
    "normalization_single": one(IMAGE, lambda: layers.Normalization(mean=0.2, variance=2.0)),
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
    "conv1d_transpose_same": one(LINE, lambda: layers.Conv1DTranspose(3, 3, strides=2, padding="same")),
    "conv2d_transpose_more": one(IMAGE, lambda: layers.Conv2DTranspose(3, 4, strides=2, output_padding=1)),
    "separable2d": one(IMAGE, lambda: layers.SeparableConv2D(3, 3, depth_multiplier=2)),
    "depthwise_dilated": one(IMAGE, lambda: layers.DepthwiseConv2D(3, dilation_rate=2, padding="same")),
    "max_pool2d": one(IMAGE, lambda: layers.MaxPooling2D(3, 2, padding="same")),
    "average_pool1d": one(LINE, lambda: layers.AveragePooling1D(3, 2, padding="same")),
    "average_pool3d": one(VOLUME, lambda: layers.AveragePooling3D(2, padding="same")),
    "adaptive_average1d": one(LINE, lambda: layers.AdaptiveAveragePooling1D(5)),
    "adaptive_average3d": one(VOLUME, lambda: layers.AdaptiveAveragePooling3D((2, 3, 2))),
    "adaptive_max1d": one(LINE, lambda: layers.AdaptiveMaxPooling1D(5)),
    "adaptive_max2d": one(IMAGE, lambda: layers.AdaptiveMaxPooling2D((4, 3))),
    "adaptive_max3d": one(VOLUME, lambda: layers.AdaptiveMaxPooling3D((2, 3, 2))),
    "global_average2d": one(IMAGE, layers.GlobalAveragePooling2D),
    "global_average3d": one(VOLUME, layers.GlobalAveragePooling3D),
    "global_average_masked": ((SEQUENCE,), lambda x: layers.GlobalAveragePooling1D()(layers.Masking(0.0)(x))),
    "global_max1d": one(LINE, layers.GlobalMaxPooling1D),
    "global_max2d": one(IMAGE, layers.GlobalMaxPooling2D),
    "global_max3d": one(VOLUME, layers.GlobalMaxPooling3D),
    "upsampling1d": one(LINE, lambda: layers.UpSampling1D(3)),
    "upsampling_nearest": one(IMAGE, lambda: layers.UpSampling2D((2, 3))),
    "upsampling_bicubic": one(IMAGE, lambda: layers.UpSampling2D(2, interpolation="bicubic")),
    "padding2d": one(IMAGE, lambda: layers.ZeroPadding2D(((1, 2), (0, 1)))),
    "padding3d": one(VOLUME, lambda: layers.ZeroPadding3D(1)),
    "cropping1d": one(LINE, lambda: layers.Cropping1D(2)),
    "cropping2d": one(IMAGE, lambda: layers.Cropping2D(((1, 2), (0, 1)))),
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
    "resizing_cropped": one(IMAGE, lambda: layers.Resizing(5, 4, crop_to_aspect_ratio=True)),
    "resizing_padded": one(IMAGE, lambda: layers.Resizing(5, 14, pad_to_aspect_ratio=True)),
    "center_crop_larger": one(IMAGE, lambda: layers.CenterCrop(15, 14)),
    "solarization": one(IMAGE, lambda: layers.Solarization(value_range=(-3, 3))),
    "clahe": one((9, 8, 3), lambda: layers.ContrastLimitedAdaptiveHistogramEqualization((-3, 3))),
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
    "add": many(3, layers.Add),
    "multiply": many(3, layers.Multiply),
    "minimum": many(2, layers.Minimum),
    "concatenate": many(2, layers.Concatenate),
    "dot_rows": many(2, lambda: layers.Dot(1)),
    "identity": one(ROW, layers.Identity),
    "elu": one(ROW, lambda: layers.ELU(0.7)),
    "leaky_relu": one(ROW, lambda: layers.LeakyReLU(0.2)),
    "relu_bounded": one(ROW, lambda: layers.ReLU(4.0, 0.1, 0.2)),
    "softmax_axes": one(IMAGE, lambda: layers.Softmax((1, 2))),
    "activity": one(ROW, lambda: layers.ActivityRegularization(0.1)),
    "dropout": one(ROW, lambda: layers.Dropout(0.1)),
    "alpha_dropout": one(ROW, lambda: layers.AlphaDropout(0.1)),
    "gaussian_dropout": one(ROW, lambda: layers.GaussianDropout(0.1)),
    "spatial_dropout1d": one(LINE, lambda: layers.SpatialDropout1D(0.1)),
    "spatial_dropout2d": one(IMAGE, lambda: layers.SpatialDropout2D(0.1)),
    "spatial_dropout3d": one(VOLUME, lambda: layers.SpatialDropout3D(0.1)),
    "spectrogram_angle": one(
        (64, 1), lambda: layers.STFTSpectrogram(mode="angle", frame_length=16, frame_step=8, fft_length=16)
    ),
    "spectrogram_log": one(
        (64, 2), lambda: layers.STFTSpectrogram(mode="log", frame_length=16, frame_step=8, fft_length=32)
    ),
}  # fmt: skip
AT_REST = {
    "AugMix": (), "AutoContrast": (), "CutMix": (), "MixUp": (), "RandAugment": (), "RandomBrightness": (0.2,),
    "RandomColorDegeneration": (0.3,), "RandomColorJitter": (), "RandomContrast": (0.2,), "RandomCrop": (5, 4),
    "RandomElasticTransform": (), "RandomErasing": (), "RandomFlip": (), "RandomGaussianBlur": (),
    "RandomGrayscale": (), "RandomHue": (0.2,), "RandomInvert": (), "RandomPerspective": (),
    "RandomPosterization": (4,), "RandomRotation": (0.2,), "RandomSaturation": (0.3,), "RandomSharpness": (0.2,),
    "RandomShear": (), "RandomTranslation": (0.1, 0.1), "RandomZoom": (0.2,),
}  # fmt: skip
"""Layers that change images at random while a network is trained, and their arguments; then some draw, none changes."""
QUICK_AT_REST = ("MixUp", "RandomCrop", "RandomFlip", "RandomHue")
OTHERS = {
    **dict.fromkeys(("Layer", "Wrapper", "InputLayer"), "parts of other layers"),
    **dict.fromkeys(
        ("CategoryEncoding", "Discretization", "Embedding", "HashedCrossing", "Hashing", "IntegerLookup",
         "MelSpectrogram", "ReversibleEmbedding", "StringLookup", "TextVectorization"),
        "in test_preprocessing.py",
    ),
    **dict.fromkeys(("FlaxLayer", "JaxLayer", "TorchModuleWrapper"), "of Keras' other backends"),
    "Lambda": "any code; from files it is refused in test_functions.py",
    "TFSMLayer": "a SavedModel, which is read as such",
    "Equalization": "Keras itself does not trace it in a functional model",
    "MaxNumBoundingBoxes": "takes no tensor but dictionaries of boxes, before a model",
    "Pipeline": "runs layers one after the other, before a model",
}  # fmt: skip
"""Layers that no case here has, and why."""
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
        for array in arrays if "masked" in name else ():
            array[0, -2:] = 0.0
        check(model, [array.astype(np.float32) for array in arrays])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK_AT_REST else pytest.mark.long) for name in AT_REST]
)
def test_random_layers_at_rest(name: str) -> None:
    model = model_of(one((9, 8, 3), lambda: getattr(layers, name)(*AT_REST[name])))
    check(model, [RNG.uniform(0, 1, (2, 9, 8, 3)).astype(np.float32)])


def test_every_layer_of_keras_has_a_case_or_a_reason() -> None:
    named = {*re.findall(r"layers\.(\w+)", Path(__file__).read_text()), *AT_REST, *OTHERS}
    covered = {getattr(layers, name, None) for name in named}
    classes = {name: item for name, item in vars(layers).items() if isinstance(item, type)}
    assert {name for name, item in classes.items() if item not in covered} == {"InputSpec"}
