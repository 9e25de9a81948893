"""Weights of every element type and in every form, and files beside the model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from mm_parser_onnx.elements import CODES
from onnx import TensorProto, helper, numpy_helper
from onnx_models import assert_agrees, model, ramp, run

import mm_core as mm
from mm_core.types import DTYPES


def holding(*tensors: TensorProto, sparse: Any = ()) -> onnx.ModelProto:
    """A model whose outputs are its weights."""
    names = [tensor.name for tensor in tensors] + [tensor.values.name for tensor in sparse]
    outputs = [onnx.ValueInfoProto(name=f"{name}_out") for name in names]
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in names]
    graph = helper.make_graph(nodes, "weights", [], outputs, list(tensors), sparse_initializer=list(sparse))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=11)


def only_weight(proto: Any) -> np.ndarray:
    (result,) = run(mm.parse(proto), {})
    return result


def samples(dtype: mm.DType) -> np.ndarray:
    """Seven elements, so that packed types have a byte which is not full."""
    if dtype.kind == "string":
        return np.array(["a", "", "ö", "b", "c", "d", "e"], object)
    if dtype.kind == "bool":
        return np.array([True, False, True, True, False, False, True])
    if dtype.kind == "unsigned":
        return np.array([0, 1, 2, 3, 1, 2, 3]).astype(dtype.numpy)
    if dtype.kind == "signed":
        return np.array([0, 1, -1, -2, 1, -2, 0]).astype(dtype.numpy)
    if dtype.kind == "complex":
        return np.array([0, 1, 1j, -1 - 2j, 3, 4, 5], dtype.numpy)
    return np.array([0.5, 1, 2, 4, 1, 0.5, 2], np.float32).astype(dtype.numpy)


FORMS = [(dtype, raw) for raw in (False, True) for dtype in DTYPES if not (raw and dtype.kind == "string")]


@pytest.mark.parametrize(("dtype", "raw"), FORMS, ids=str)
def test_every_element_type(dtype: mm.DType, raw: bool) -> None:
    expected = samples(dtype)
    if raw:
        tensor = numpy_helper.from_array(expected, "w")
    else:
        values = expected.tolist() if dtype.kind in ("string", "complex") else expected.astype(np.float64)
        tensor = helper.make_tensor("w", CODES[dtype], [7], values)
    assert tensor.HasField("raw_data") == raw
    got = only_weight(holding(tensor))
    assert got.dtype == dtype.numpy
    assert got.tolist() == expected.tolist()


def test_scalars_and_empty_tensors() -> None:
    scalar, empty = numpy_helper.from_array(np.float32(3), "s"), numpy_helper.from_array(np.zeros((2, 0)), "e")
    got = run(mm.parse(holding(scalar, empty)), {})
    assert [array.shape for array in got] == [(), (2, 0)]
    typed = helper.make_tensor("e", 1, [0], [])
    assert only_weight(holding(typed)).shape == (0,)


def test_sparse_weights() -> None:
    values = numpy_helper.from_array(np.array([5, 6], np.float32), "w")
    expected = np.zeros((2, 3), np.float32)
    expected[0, 1], expected[1, 2] = 5, 6
    for indices in ([1, 5], [[0, 1], [1, 2]]):
        sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(np.array(indices), "i"), [2, 3])
        np.testing.assert_array_equal(only_weight(holding(sparse=[sparse])), expected)
    outside = helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([1, 6]), "i"), [2, 3])
    with pytest.raises(mm.ParseError, match="'w': an index is outside the shape"):
        only_weight(holding(sparse=[outside]))
    odd = helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([1]), "i"), [2, 3])
    with pytest.raises(mm.ParseError, match=r"2\] values do not fit indices \[1\]"):
        mm.parse(holding(sparse=[odd]))


def test_keys_are_names_and_unique() -> None:
    large = ", ".join(map(str, range(200)))
    proto = model(f"""
        twice (float[200] x, bool c) => (float[200] y) <float[200] w = {{{large}}}> {{
            a = Add (x, w)
            y = If (c) <
                then_branch = t () => (float[200] p) <float[200] v = {{{large}}}> {{ p = Add (a, v) }},
                else_branch = e () => (float[200] q) <float[200] v = {{{large}}}> {{ q = Mul (a, v) }}
            >
        }}""")
    assert set(mm.parse(proto).weights()) == {"w", "y_then_v", "y_else_v"}


# --- mapping ----------------------------------------------------------------------------------------------------------


def linear(rows: int) -> onnx.ModelProto:
    weight = numpy_helper.from_array(ramp(rows, rows) if rows < 100 else np.ones((rows, rows), np.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    infos = [[helper.make_tensor_value_info(name, 1, ["N", rows])] for name in "xy"]
    graph = helper.make_graph([node], "linear", *infos, [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize("form", ["path", "bytes", "proto"])
def test_sources_agree(form: str, tmp_path: Path) -> None:
    proto = linear(32)
    path = tmp_path / "linear.onnx"
    path.write_bytes(proto.SerializeToString())
    source = {"path": path, "bytes": path.read_bytes(), "proto": proto}[form]
    x = ramp(2, 32)
    (got,) = run(mm.parse(source), {"x": x})
    np.testing.assert_allclose(got, x @ ramp(32, 32), rtol=1e-5)


MEASURE = """
import sys
import mm_core as mm
network = mm.parse(sys.argv[1])
array = next(iter(network.weights().values())).numpy()
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(peak, array.nbytes)
"""


def test_a_large_model_is_not_copied(tmp_path: Path) -> None:
    """The peak memory of reading 144 MB of weights is that of reading 4 KB."""
    peaks = {}
    for rows in (32, 6000):
        path = tmp_path / f"linear{rows}.onnx"
        path.write_bytes(linear(rows).SerializeToString())
        done = subprocess.run([sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True)
        peak, size = map(int, done.stdout.split())
        assert size == 4 * rows * rows
        peaks[rows] = peak
    assert peaks[6000] - peaks[32] < 20_000  # kilobytes


def external(folder: Path, location: str = "weights.bin", **entries: str) -> Path:
    """A model in `folder` whose weight of 64 * 64 floats is said to be in another file."""
    proto = linear(64)
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def test_external_data(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "weights.bin").write_bytes(b"padding!" + ramp(64, 64).tobytes() + b"rest")
    path = external(tmp_path, "data/weights.bin", offset="8", length=str(64 * 64 * 4))
    x = ramp(2, 64)
    (got,) = run(mm.parse(path), {"x": x})
    np.testing.assert_allclose(got, x @ ramp(64, 64), rtol=1e-5)


def test_external_data_of_subgraphs(tmp_path: Path) -> None:
    (tmp_path / "v.bin").write_bytes(np.array([1, 2], np.float32).tobytes())
    proto = model("""
        choose (float[2] x, bool c) => (float[2] y) {
            y = If (c) <
                then_branch = t () => (float[2] p) <float[2] v = {3, 4}> { p = Add (x, v) },
                else_branch = e () => (float[2] q) { q = Identity (x) }
            >
        }""")
    tensor = proto.graph.node[0].attribute[0].g.initializer[0]
    tensor.ClearField("float_data")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="v.bin")
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    (got,) = run(mm.parse(path), {"x": np.zeros(2, np.float32), "c": np.array(True)})
    assert got.tolist() == [1, 2]
    (tmp_path / "v.bin").unlink()
    with pytest.raises(mm.ParseError, match=r"'v' is in the file 'v.bin', which is missing"):
        mm.parse(path)


@pytest.mark.parametrize(
    ("location", "entries", "message"),
    [
        ("absent.bin", {}, r"'w' is in the file 'absent.bin', which is missing.*available: .*weights.bin"),
        ("", {}, "must be relative"),
        ("/etc/passwd", {}, "must be relative"),
        ("C:\\weights.bin", {}, "must be relative"),
        ("../outside.bin", {}, "leads out of the model's folder"),
        ("a\\..\\..\\outside.bin", {}, "leads out of the model's folder"),
        ("link.bin", {}, "it is a link"),
        ("linked/outside.bin", {}, "leads out of the model's folder"),
        ("hard.bin", {}, "it is a hard link"),
        ("folder", {}, "not a regular file|cannot be read"),
        ("pipe", {}, "not a regular file"),
        ("short.bin", {}, "needs bytes 0 to 16384 of the file 'short.bin', which has 5"),
        ("weights.bin", {"offset": "9999999999999999999"}, "which has 16384"),
        ("weights.bin", {"offset": "-4"}, "needs bytes -4"),
        ("weights.bin", {"offset": "many"}, "must be numbers"),
        ("weights.bin", {"length": "12"}, "external data: 12 given"),
        ("weights.bin", {"pickle": "yes"}, "unknown key 'pickle'"),
    ],
)
def test_external_data_is_checked(tmp_path: Path, location: str, entries: dict[str, str], message: str) -> None:
    folder, outside = tmp_path / "model", tmp_path / "outside.bin"
    folder.mkdir()
    data = ramp(64, 64).tobytes()
    outside.write_bytes(data)
    (folder / "weights.bin").write_bytes(data)
    (folder / "short.bin").write_bytes(b"short")
    (folder / "link.bin").symlink_to(outside)
    (folder / "linked").symlink_to(tmp_path, target_is_directory=True)
    (folder / "hard.bin").hardlink_to(outside)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    with pytest.raises(mm.ParseError, match=message):
        mm.parse(external(folder, location, **entries))


def test_external_data_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(mm.ParseError, match="came from memory and has no folder"):
        mm.parse(external(tmp_path).read_bytes())


def test_constants_in_nodes() -> None:
    proto = model("""
        c (float[2] x) => (y, z, s) {
            a = Constant <value_floats = [1.5, 2.5]> ()
            y = Add (x, a)
            b = Constant <value_int = 7> ()
            z = Identity (b)
            t = Constant <value_strings = ["p", "q"]> ()
            s = Identity (t)
        }""")
    assert_agrees(proto, {"x": ramp(2)})
