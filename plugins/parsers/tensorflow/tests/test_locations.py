"""Every operation is called by the user's own layers: in the report of a build, in a profile, in `compile`'s report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import mm_parser_tensorflow
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

import mm_core as mm
from mm_core.cli.run import command as mm_run

LAYERS = ("net/encoder/block/mix", "net/encoder/block/shift", "net/decoder/mix", "net/head")
"""Every layer that computes, by its path."""


class Decoder(keras.Model):
    """A subclass with layers of its own."""

    def __init__(self) -> None:
        super().__init__(name="decoder")
        self.mix = keras.layers.Conv1D(4, 3, padding="same", activation="tanh", name="mix")

    def call(self, x: Any) -> Any:
        return self.mix(x)


def network() -> Any:
    """Models within models; two layers are called the same."""
    x = inside = keras.Input((5, 4))
    x = keras.layers.Conv1D(4, 3, padding="same", activation="relu", name="mix")(x)
    block = keras.Model(inside, keras.layers.LSTM(4, return_sequences=True, name="shift")(x), name="block")
    x = inside = keras.Input((5, 4))
    encoder = keras.Model(inside, block(x), name="encoder")
    x = inside = keras.Input((5, 4), name="rows")
    return keras.Model(inside, keras.layers.Dense(2, name="head")(Decoder()(encoder(x))), name="net")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The network from memory, from a SavedModel and from a .keras file, built."""
    folder = tmp_path_factory.mktemp("net")
    model = network()
    model.export(folder / "net", verbose=False)
    sources = {"memory": model, "SavedModel": folder / "net"}
    paths = {name: folder / f"{name}.mm" for name in sources}
    for name, source in sources.items():
        mm.Builder().build(mm.parse(source)).save(paths[name])
    return paths


@pytest.mark.parametrize("source", ["memory", "SavedModel"])
def test_the_report_and_the_profile_name_layers(built: dict[str, Path], source: str, tmp_path: Path) -> None:
    placed = " ".join(record.node for record in mm.Model.load(built[source]).report.placement)
    trace = tmp_path / "trace.json"
    done = CliRunner().invoke(
        mm_run, [str(built[source]), "--batch_size", "2", "--iterations", "2", "--trace_path", str(trace)]
    )
    assert done.exit_code == 0, done.output
    profiled = json.dumps(json.loads(trace.read_text()))
    for layer in LAYERS:
        assert f"{layer}/" in placed
        assert f"{layer}/" in profiled
    assert "PartitionedCall" not in placed


def test_what_stays_in_tensorflow_is_named() -> None:
    @keras.saving.register_keras_serializable("tests")
    class Odd(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return tf.math.lgamma(x)

    inside = keras.Input((4,))
    part = keras.Model(inside, Odd(name="odd")(keras.layers.Dense(4, name="dense")(inside)), name="part")
    x = keras.Input((4,))
    compiled = mm_parser_tensorflow.compile(keras.Model(x, part(x), name="net"))
    compiled(np.ones((2, 4), np.float32))
    (left,) = compiled.reports[0].left
    assert left.node == "net/part/odd/Lgamma"
    assert "1x Lgamma in net/part/odd/Lgamma" in str(compiled.reports[0])
