"""Layers of Keras that prepare numbers, categories and words equal Keras, tables included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_running import assert_close, outputs

import mm_core as mm
from mm_core.errors import UnsupportedOpError

layers = keras.layers
RNG = np.random.default_rng(7)
WORDS = np.array([["cat"], ["dog"], ["sat"]], object)
NUMBERS = np.array([[5, 1], [9, 7]])
CLASSES = np.array([[0, 1], [3, 2]], np.int32)
REAL = np.float32([[0.5, -1, 3], [1, 2, 0]])
SIGNAL = RNG.normal(size=(2, 64)).astype(np.float32)
CASES = {
    "discretization": (lambda: layers.Discretization(bin_boundaries=[0.0, 1.0, 2.0]), REAL),
    "discretization_one_hot": (
        lambda: layers.Discretization(bin_boundaries=[0.0, 1.0, 2.0], output_mode="one_hot"),
        REAL[:, :1],
    ),
    "normalization_inverted": (
        lambda: layers.Normalization(mean=[1.0, 2, 3], variance=[1.0, 4, 9], invert=True),
        REAL,
    ),
    "normalization": (lambda: layers.Normalization(mean=[1.0, 2, 3], variance=[1.0, 4, 9]), REAL),
    "embedding": (lambda: layers.Embedding(10, 3, mask_zero=True), CLASSES),
    "integer_lookup": (lambda: layers.IntegerLookup(vocabulary=[7, 5, 9]), NUMBERS),
    "integer_multi_hot": (lambda: layers.IntegerLookup(vocabulary=[7, 5, 9], output_mode="multi_hot"), NUMBERS),
    "integer_lookup_unknown": (lambda: layers.IntegerLookup(vocabulary=[7, 5, 9], num_oov_indices=2), NUMBERS),
    "integer_lookup_masked": (
        lambda: layers.IntegerLookup(vocabulary=[7, 5, 9], mask_token=0, output_mode="count"),
        NUMBERS,
    ),
    "integer_lookup_inverted": (lambda: layers.IntegerLookup(vocabulary=[7, 5, 9], invert=True), CLASSES),
    "string_tf_idf": (
        lambda: layers.StringLookup(vocabulary=["cat", "sat"], idf_weights=[0.3, 0.7], output_mode="tf_idf"),
        WORDS,
    ),
    "whole_texts": (
        lambda: layers.TextVectorization(
            vocabulary=["cat", "dog"], split=None, standardize=None, output_mode="multi_hot"
        ),
        WORDS,
    ),
    "reversible_embedding": (lambda: layers.ReversibleEmbedding(10, 3), CLASSES),
    "string_lookup": (lambda: layers.StringLookup(vocabulary=["cat", "sat"]), WORDS),
    "string_one_hot": (lambda: layers.StringLookup(vocabulary=["cat", "sat"], output_mode="one_hot"), WORDS),
    "one_hot": (lambda: layers.CategoryEncoding(4, output_mode="one_hot"), CLASSES[:, :1]),
    "multi_hot": (lambda: layers.CategoryEncoding(4, output_mode="multi_hot"), CLASSES),
    "count": (lambda: layers.CategoryEncoding(4, output_mode="count"), CLASSES),
    "spectrogram": (lambda: layers.STFTSpectrogram(frame_length=16, frame_step=8, fft_length=16), SIGNAL[..., None]),
    "mel": (
        lambda: layers.MelSpectrogram(fft_length=16, sequence_stride=8, num_mel_bins=4, sampling_rate=64),
        SIGNAL,
    ),
}


def model_of(layer: Any, array: Any) -> Any:
    keras.utils.set_random_seed(2)
    x = keras.Input(array.shape[1:], dtype="string" if array.dtype == object else str(array.dtype), name="x")
    return keras.Model(x, layer(x))


@pytest.mark.parametrize("name", CASES)
def test_layers(name: str) -> None:
    make, array = CASES[name]
    model = model_of(make(), array)
    (ours,) = outputs(mm.parse(model), {"x": array}).values()
    assert_close(ours, model(tf.constant(array.tolist()) if array.dtype == object else array), 1e-4)


def test_tables_come_with_a_saved_model(tmp_path: Path) -> None:
    model = model_of(layers.StringLookup(vocabulary=["cat", "sat"]), WORDS)
    model.export(tmp_path, verbose=False)
    (ours,) = outputs(mm.parse(tmp_path), {"x": WORDS}).values()
    assert ours.tolist() == [[1], [0], [2]]


def test_numbers_become_words_again() -> None:
    model = model_of(layers.StringLookup(vocabulary=["cat", "sät"], invert=True), CLASSES)
    (ours,) = outputs(mm.parse(model), {"x": CLASSES}).values()
    assert ours.tolist() == [[word.decode() for word in row] for row in model(CLASSES).numpy().tolist()]


def test_ragged_words_are_refused() -> None:
    model = model_of(layers.TextVectorization(vocabulary=["the", "cat"], output_sequence_length=3), WORDS)
    with pytest.raises(UnsupportedOpError, match=r"StringSplitV2 .text: prepare it outside.*text_vectorization"):
        mm.parse(model)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: layers.Hashing(5), r"StringToHashBucketFast .text"),
        (lambda: layers.StringLookup(vocabulary=["cat"], num_oov_indices=2), r"StringToHashBucketFast .text"),
    ],
)
def test_hashes_of_words_are_refused(layer: Any, message: str) -> None:
    with pytest.raises(UnsupportedOpError, match=message):
        mm.parse(model_of(layer(), WORDS))


def test_crossed_hashes_are_refused() -> None:
    words, numbers = keras.Input((1,), dtype="string"), keras.Input((1,), dtype="int64")
    model = keras.Model([words, numbers], layers.HashedCrossing(7)([words, numbers]))
    with pytest.raises(UnsupportedOpError, match="SparseCross"):
        mm.parse(model)
