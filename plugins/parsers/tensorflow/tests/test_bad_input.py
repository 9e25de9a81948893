"""Sources that cannot be read: each is one clear error that says what is wrong, where, and what to do."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf

import mm_core as mm
from mm_core.errors import MMError, ParseError, UnsupportedOpError

F32 = tf.float32
ROWS = tf.TensorSpec((3,), F32, name="rows")


class Linear(tf.Module):
    """A SavedModel with one variable."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.Variable(tf.ones((3, 3)), name="weight")

    @tf.function(input_signature=[tf.TensorSpec((None, 3), F32, name="x")])
    def __call__(self, x: Any) -> Any:
        return x @ self.weight


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "linear"
    tf.saved_model.save(Linear(), path)
    return path


def parse(function: Callable[..., Any], *specs: Any) -> mm.Network:
    return mm.parse(tf.function(function).get_concrete_function(*specs))


# --- files ------------------------------------------------------------------------------------------------------------


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: (path / "saved_model.pb").write_bytes(b"\x08\x99nothing" * 5), "Cannot parse file"),
        (lambda path: truncate(path / "saved_model.pb"), "Cannot parse file"),
        (lambda path: shutil.rmtree(path / "variables"), "any matching files"),
        (lambda path: truncate(path / "variables" / "variables.data-00000-of-00001"), "Read less bytes"),
        (lambda path: (path / "variables" / "variables.index").write_bytes(b"\0" * 99), "not an sstable"),
    ],
    ids=["other bytes", "cut graph", "no variables", "cut variables", "other index"],
)
def test_a_damaged_saved_model(saved: Path, tmp_path: Path, damage: Callable[[Path], Any], message: str) -> None:
    shutil.copytree(saved, tmp_path / "model")
    damage(tmp_path / "model")
    with pytest.raises(ParseError, match=rf"model: TensorFlow does not read the SavedModel: .*{message}"):
        mm.parse(tmp_path / "model")


def test_a_saved_model_by_the_file_in_its_folder(saved: Path) -> None:
    assert [spec.name for spec in mm.parse(saved / "saved_model.pb").inputs] == ["x"]


def test_options_of_other_sources(saved: Path) -> None:
    with pytest.raises(ParseError, match="this kind of source takes no outputs"):
        mm.parse(saved, outputs=["y"])
    with pytest.raises(ParseError, match=r"no signature 'score'; available: serving_default; name one"):
        mm.parse(saved, signature="score")
    linear = Linear()
    with pytest.raises(ParseError, match="takes no signature, tags"):
        mm.parse(linear.__call__.get_concrete_function(), signature="a", tags="serve")


def test_several_graphs_are_told_apart_by_tags(tmp_path: Path) -> None:
    builder = tf.compat.v1.saved_model.Builder(str(tmp_path / "tagged"))
    for number, tags in enumerate((["serve"], ["serve", "gpu"])):
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            x = tf.compat.v1.placeholder(F32, (None, 3), name="x")
            y = tf.nn.relu(x) if number else tf.exp(x)
            signature = {"predict": tf.compat.v1.saved_model.predict_signature_def({"x": x}, {"y": y})}
            if number:
                builder.add_meta_graph(tags, signature)
            else:
                builder.add_meta_graph_and_variables(session, tags, signature)
    builder.save()
    for tags, operator in (("serve", "mm.exp"), ("serve,gpu", "mm.relu"), (["gpu", "serve"], "mm.relu")):
        assert [operation.name for operation in mm.parse(tmp_path / "tagged", tags=tags).operations] == [operator]
    with pytest.raises(ParseError, match=r"2 MetaGraphs.*choose one of its graphs with tags"):
        mm.parse(tmp_path / "tagged")
    with pytest.raises(ParseError, match=r"tagged: TensorFlow does not read"):
        mm.parse(tmp_path / "tagged", tags="tpu")


def test_damaged_keras_files(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    truncate(path)
    with pytest.raises(ParseError, match=r"model\.keras: the file is no archive of Keras, or a damaged one"):
        mm.parse(path)
    for name in ("config.json", "model.weights.h5"):
        with zipfile.ZipFile(path, "w") as archive:
            for member, data in members.items():
                archive.writestr(member, b"{nothing" if member == name else data)
        with pytest.raises(ParseError, match=r"model\.keras: Keras does not read the file"):
            mm.parse(path)
    unknown = members["config.json"].replace(b'"Dense"', b'"Thick"')
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, unknown if member == "config.json" else data)
    with pytest.raises(ParseError, match=r"ould not .*deserialize.*build the model where its code is"):
        mm.parse(path)


@pytest.mark.parametrize("name", ["model.tflite", "model.txt", "folder"])
def test_other_suffixes_are_nobodys(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.mkdir() if name == "folder" else path.write_bytes(b"TFL3" * 9)
    with pytest.raises(ParseError, match=rf"{name}: no parser takes this source.*Reads TensorFlow"):
        mm.parse(path)


@pytest.mark.parametrize("name", ["none.keras", "none.pb"])
def test_files_that_are_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(ParseError, match=r"none\.\w+: there is no such file"):
        mm.parse(tmp_path / name)


def test_without_tensorflow_the_extra_is_named(saved: Path) -> None:
    code = """
import sys
sys.modules["tensorflow"] = None
import mm_core as mm
try:
    mm.parse(sys.argv[1])
except mm.PluginMissingError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, str(saved)], capture_output=True, text=True, check=True)
    assert 'pip install "mm-parser-tensorflow[tensorflow-cpu]"' in done.stdout


# --- graphs -----------------------------------------------------------------------------------------------------------


def test_graphs_that_are_not_frozen(tmp_path: Path) -> None:
    linear = Linear()
    graph = linear.__call__.get_concrete_function().graph.as_graph_def()
    (tmp_path / "open.pb").write_bytes(graph.SerializeToString())
    for source in (graph, tmp_path / "open.pb"):
        with pytest.raises(ParseError, match=r"handle of a variable.*freeze the graph"):
            mm.parse(source)
    with tf.Graph().as_default() as old:
        x = tf.compat.v1.placeholder(F32, (None, 3), name="x")
        for name, kind in (("resource", True), ("reference", False)):
            x = x @ tf.compat.v1.get_variable(name, (3, 3), use_resource=kind)
        tf.identity(x, name="y")
    with pytest.raises(UnsupportedOpError, match=r"2 operators.*the graph is not frozen.*in reference.*in resource"):
        mm.parse(old.as_graph_def(), outputs=["y"])
    with pytest.raises(ParseError, match=r"no node 'z'; available: .*matmul"):
        mm.parse(old.as_graph_def(), outputs=["z"])


def test_a_variable_as_an_argument() -> None:
    with pytest.raises(ParseError, match="state: this input is the handle of a variable"):
        parse(lambda state: state * 2.0, tf.Variable(1.0))


def queued(rows: Any) -> Any:
    queue = tf.raw_ops.FIFOQueueV2(component_types=[F32])
    with tf.control_dependencies([tf.raw_ops.QueueEnqueueV2(handle=queue, components=[rows])]):
        return tf.raw_ops.QueueDequeueV2(handle=queue, component_types=[F32])[0]


def read_from_a_dataset(rows: Any) -> Any:
    return rows + tf.cast(tf.data.Dataset.range(3).reduce(tf.int64.min, tf.maximum), F32)


def on_a_gpu(rows: Any) -> Any:
    state = tf.reshape(rows, (1, 1, 3))
    return tf.raw_ops.CudnnRNNV3(
        input=state, input_h=state, input_c=state, params=tf.zeros(10), sequence_lengths=[1], rnn_mode="lstm"
    )[0]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda rows: tf.py_function(lambda v: v * 2, [rows], F32), r"EagerPyFunc .it calls Python.: 1x"),
        (lambda rows: tf.numpy_function(lambda v: v * 2, [rows], F32), r"PyFunc .it calls Python.: 1x"),
        (queued, r"2 operators .*QueueDequeueV2 .a queue between steps"),
        (read_from_a_dataset, r"ReduceDataset .an input pipeline"),
        (on_a_gpu, r"CudnnRNNV3 .it exists on accelerators only"),
        (lambda rows: tf.io.read_file("data") + tf.as_string(rows[0]), r"2 operators .*ReadFile .it reads .* files"),
        (lambda rows: tf.random.normal((3,)) + rows, r"RandomStandardNormal .a random stream with state"),
        (
            lambda rows: tf.random.get_global_generator().normal((3,)) + rows,
            r"RngReadAndSkip .a random stream with state",
        ),
        (lambda rows: tf.strings.upper(tf.as_string(rows)), r"AsString .text"),
    ],
    ids=["py_function", "numpy_function", "queue", "dataset", "gpu", "file", "random", "generator", "text"],
)
def test_what_no_network_has(function: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(UnsupportedOpError, match=message) as caught:
        parse(function, ROWS)
    assert "mm_parser_tensorflow.compile" in caught.value.remedy


def test_strings_that_are_not_looked_up() -> None:
    with pytest.raises(UnsupportedOpError, match=r"StringSplitV2 .text: prepare it outside"):
        parse(lambda words: tf.strings.split(words).flat_values, tf.TensorSpec((None,), tf.string))


def test_every_unsupported_layer_is_named() -> None:
    class Odd(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return tf.math.lgamma(x)

    class Block(keras.Model):
        def __init__(self, name: str) -> None:
            super().__init__(name=name)
            self.odd, self.dense = Odd(name="odd"), keras.layers.Dense(3, name="dense")

        def call(self, x: Any) -> Any:
            return tf.math.digamma(self.dense(self.odd(x)))

    x = keras.Input((3,))
    model = keras.Model(x, Block("second")(Block("first")(x)), name="net")
    with pytest.raises(UnsupportedOpError) as caught:
        mm.parse(model)
    for part in ("2 operators are not supported", "Lgamma: 2x", "Digamma: 2x", "net/first/odd/", "net/second/odd/"):
        assert part in str(caught.value)


def test_errors_are_ours(tmp_path: Path) -> None:
    """No other exception comes through, whatever bytes the file holds."""
    whole = tf.function(tf.nn.relu).get_concrete_function(ROWS).graph.as_graph_def().SerializeToString()
    path = tmp_path / "graph.pb"
    for cut in range(1, len(whole), 7):
        path.write_bytes(whole[:cut] + b"\xff" * (cut % 3))
        try:
            mm.parse(path, parser="tensorflow")
        except MMError:
            continue
