"""mm inside TensorFlow: what a call costs, and how fast networks are, beside tf.function on the same model.

They run in turn, so that what disturbs the machine disturbs all of them; medians over the turns are compared.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.micro.figures import Figure, in_turn

TOKENS = 128


def measure() -> list[Figure]:
    """Nothing where TensorFlow is not installed."""
    if importlib.util.find_spec("tensorflow") is None:
        return []
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return [*_overhead(), *_speed("ResNet-50", *_resnet()), *_speed("BERT-base", *_bert())]


def _overhead() -> list[Figure]:
    import keras

    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Dense(4)(x))
    calls = _callables(model)
    (inputs,) = _tensors([np.ones((1, 4), np.float32)])
    took = in_turn({name: lambda call=call: call(inputs) for name, call in calls.items()}, repeats=100)
    return [Figure(f"one small layer, {name}", 1e6 * seconds, unit="us") for name, seconds in took.items()]


def _speed(label: str, model: Any, arrays: list[Any]) -> list[Figure]:
    tensors = _tensors(arrays)
    inputs = tensors[0] if len(tensors) == 1 else tensors
    calls = _callables(model)
    del calls["model(x)"]
    took = in_turn({name: lambda call=call: call(inputs) for name, call in calls.items()}, repeats=1)
    base = took.pop("tf.function")
    return [
        Figure(f"{label} in tf.function", 1e3 * base, unit="ms"),
        *(Figure(f"{label} in {name}, of tf.function", seconds / base, unit="times") for name, seconds in took.items()),
    ]


def _callables(model: Any) -> dict[str, Callable[..., Any]]:
    import mm_parser_tensorflow
    import tensorflow as tf

    return {
        "model(x)": lambda inputs: model(inputs, training=False),
        "tf.function": tf.function(lambda inputs: model(inputs, training=False)),
        "compile": mm_parser_tensorflow.compile(model),
        "compile, freeze=True": mm_parser_tensorflow.compile(model, freeze=True),
    }


def _resnet() -> tuple[Any, list[Any]]:
    import keras

    image = np.random.default_rng(0).normal(size=(1, 224, 224, 3)).astype(np.float32)
    return keras.applications.ResNet50(weights=None), [image]


def _bert() -> tuple[Any, list[Any]]:
    from benchmarks.micro.keras_bert import VOCABULARY, bert

    ids = np.random.default_rng(0).integers(0, VOCABULARY, (1, TOKENS)).astype(np.int32)
    return bert(), [ids, np.ones_like(ids), np.zeros_like(ids)]


def _tensors(arrays: list[Any]) -> list[Any]:
    import tensorflow as tf

    return [tf.constant(array) for array in arrays]
