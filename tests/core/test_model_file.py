"""Models: the same input gives the same bytes in any process, and files keep everything that a model holds."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mm_core as mm

BUILD = '''
import hashlib, sys
import numpy as np
import mm_core as mm
from mm_core.ir import Location

rng = np.random.default_rng(0)
net = mm.Network("image")
x = net.add_input("x", mm.float32, ("N", 16, 20, 20))
flag = net.add_input("flag", mm.bool_, ())
w1 = rng.standard_normal((32, 16, 3, 3)).astype(np.float32)
w2 = rng.standard_normal((32, 32, 3, 3)).astype(np.float32)
with net.at(*(Location("onnx", f"node{i}", "Conv") for i in range(9))):
    h = net.relu(net.conv(x, w1, pads=(1, 1, 1, 1)))
h = net.add(net.conv(h, w2, pads=(1, 1, 1, 1), name="second"), h)
yes, no = mm.ir.Graph(within=net), mm.ir.Graph(within=net)
yes.set_outputs([yes.sigmoid(yes.add_argument(h.type))])
no.set_outputs([no.softmax(no.add_argument(h.type), axis=1)])
h = net.if_(flag, h, regions=(yes, no))[0]
net.mark_output(net.reduce_mean(h, axes=(2, 3)), "y")
net.mark_output(net.nonzero(net.greater(h, np.float32(0.9))), "places")
config = mm.BuilderConfig(backends=["cpu"], keep_graph=True, dim_range={"N": (1, 8)})
mm.Builder(config).build(net).save(sys.argv[1])
'''


def build_in_a_process(path: Path, seed: str) -> bytes:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "MM_CACHE_DIR": str(path.parent / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(path)], env=environment, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return path.read_bytes()


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("build") / "first.mm"
    build_in_a_process(path, "1")
    return path


def test_two_builds_give_the_same_bytes(model_file: Path, tmp_path: Path) -> None:
    again = build_in_a_process(tmp_path / "second.mm", "2")
    assert hashlib.sha256(again).hexdigest() == hashlib.sha256(model_file.read_bytes()).hexdigest()


def requests() -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(1)
    return [
        {"x": rng.standard_normal((batch, 16, 20, 20)).astype(np.float32), "flag": np.array(flag)}
        for batch, flag in ((1, True), (3, False), (2, True))
    ]


def test_a_loaded_model_is_the_one_that_was_saved(model_file: Path, tmp_path: Path) -> None:
    model = mm.Model.load(model_file)
    assert [str(spec) for spec in model.inputs] == [
        "TensorSpec(name='x', dtype=mm.float32, shape=(SymDim(N), 16, 20, 20))",
        "TensorSpec(name='flag', dtype=mm.bool, shape=())",
    ]
    assert [spec.name for spec in model.outputs] == ["y", "places"]
    assert model.dim_range == {"N": (1, 8)}
    model.save(tmp_path / "copy.mm")
    assert (tmp_path / "copy.mm").read_bytes() == model_file.read_bytes()
    from_bytes = mm.Model.load(model_file.read_bytes())
    contexts = [m.create_engine().create_context() for m in (model, from_bytes)]
    for request in requests():
        first, second = (context.run(request) for context in contexts)
        assert first["y"].tobytes() == second["y"].tobytes()
        np.testing.assert_array_equal(first["places"], second["places"])


def test_a_kept_graph_builds_the_same_model_again(model_file: Path) -> None:
    model = mm.Model.load(model_file)
    network = mm.Network.from_text(model.graph_text, model.graph_weights)
    network.verify()
    oracle = mm.Builder(mm.BuilderConfig(backends=["reference"])).build(network).create_engine().create_context()
    ready = model.create_engine().create_context()
    for request in requests():
        got, wanted = ready.run(request), oracle.run(request)
        np.testing.assert_allclose(got["y"], wanted["y"], rtol=1e-4, atol=1e-5)


def test_placement_survives_the_file(model_file: Path) -> None:
    records = mm.Model.load(model_file).report.placement
    nodes = {record.node: record for record in records}
    assert nodes["second"].device == "cpu"
    assert nodes["second"].kind == "native"
    assert {record.kind for record in records} <= {"native", "host", "fallback"}
    assert all(record.reason for record in records if record.kind == "fallback")


def test_requirements_name_what_running_needs(model_file: Path) -> None:
    requires = mm.Model.load(model_file).requires.run
    names = {text.partition(">=")[0] for text in requires}
    assert {"mm-core", "mm-backend-cpu"} <= names


def test_what_the_runtime_does_itself_needs_no_operator_package(tmp_path: Path) -> None:
    net = mm.Network("sequences")
    x = net.add_input("x", mm.float32, ("N", 3))
    pair = net.sequence_insert(net.sequence_construct(x), net.exp(x))
    net.mark_output(net.sequence_at(pair, np.int64(-1)), "last")
    net.mark_output(net.optional_has_element(net.optional(x)), "present")
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(net)
    assert not any(text.startswith("mm-ops") for text in model.requires.run), model.requires
    assert any(text.startswith("mm-ops-standard") for text in model.requires.build), model.requires
    model.save(tmp_path / "sequences.mm")
    code = """
import sys
sys.modules["mm_ops_standard"] = None  # importing it fails, as where it is not installed
import numpy as np
import mm_core as mm
x = np.ones((2, 3), np.float32)
got = mm.Model.load(sys.argv[1]).create_engine().create_context().run({"x": x})
np.testing.assert_allclose(got["last"], np.exp(x), rtol=1e-6)
assert got["present"]
"""
    subprocess.run([sys.executable, "-c", code, tmp_path / "sequences.mm"], check=True)
