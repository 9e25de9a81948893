"""Files beside a model: wherever in the model a tensor names one, it stays inside the model's folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import run

import mm_core as mm

DATA = np.array([1, 2, 3], np.float32)
PLACES = np.array([0, 2, 4], np.int64)


def outside(name: str, location: str, array: np.ndarray = DATA) -> TensorProto:
    """A tensor of three elements that are in another file."""
    code = helper.np_dtype_to_tensor_dtype(array.dtype)
    tensor = TensorProto(name=name, data_type=code, dims=[3], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def network(nodes: list[onnx.NodeProto], functions: tuple[onnx.FunctionProto, ...] = (), **parts: object) -> bytes:
    inputs = [helper.make_tensor_value_info("c", TensorProto.BOOL, [])]
    graph = helper.make_graph(nodes, "g", inputs, [onnx.ValueInfoProto(name="y")], **parts)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("f", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, functions=list(functions)).SerializeToString()


IDENTITY = helper.make_node("Identity", ["w"], ["y"])


def initializer(location: str) -> bytes:
    return network([IDENTITY], initializer=[outside("w", location)])


def sparse(location: str, indices: bool) -> TensorProto:
    values, places = numpy_helper.from_array(DATA, "w"), numpy_helper.from_array(PLACES, "p")
    external = outside("p" if indices else "w", location, PLACES if indices else DATA)
    return helper.make_sparse_tensor(values if indices else external, external if indices else places, [5])


def sparse_values(location: str) -> bytes:
    return network([IDENTITY], sparse_initializer=[sparse(location, indices=False)])


def sparse_indices(location: str) -> bytes:
    return network([IDENTITY], sparse_initializer=[sparse(location, indices=True)])


def constant(location: str) -> bytes:
    return network([helper.make_node("Constant", [], ["y"], value=outside("w", location))])


def sparse_constant(location: str) -> bytes:
    return network([helper.make_node("Constant", [], ["y"], sparse_value=sparse(location, indices=True))])


def branch(location: str, **parts: object) -> onnx.NodeProto:
    """If with a weight of its own in each branch; the first one's is outside."""
    other = helper.make_graph(
        [IDENTITY], "e", [], [onnx.ValueInfoProto(name="y")], [numpy_helper.from_array(-DATA, "w")]
    )
    chosen = helper.make_graph([IDENTITY], "t", [], [onnx.ValueInfoProto(name="y")], [outside("w", location)])
    return helper.make_node("If", ["c"], ["y"], then_branch=chosen, else_branch=other)


def subgraph(location: str) -> bytes:
    return network([branch(location)])


def function(*nodes: onnx.NodeProto) -> bytes:
    body = helper.make_function("f", "F", ["c"], ["y"], list(nodes), [helper.make_opsetid("", 18)])
    return network([helper.make_node("F", ["c"], ["y"], domain="f")], (body,))


def function_body(location: str) -> bytes:
    return function(helper.make_node("Constant", [], ["y"], value=outside("w", location)))


def function_subgraph(location: str) -> bytes:
    return function(branch(location))


FORMS = [
    initializer, sparse_values, sparse_indices, constant, sparse_constant, subgraph, function_body, function_subgraph,
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_a_file_inside_the_folder_is_read(form: Callable[[str], bytes], tmp_path: Path) -> None:
    in_it = PLACES if form in (sparse_indices, sparse_constant) else DATA
    (tmp_path / "w.bin").write_bytes(in_it.tobytes())
    path = tmp_path / "model.onnx"
    path.write_bytes(form("w.bin"))
    (got,) = run(mm.parse(path), {"c": np.array(True)})
    dense = np.array([1, 0, 2, 0, 3], np.float32)
    np.testing.assert_array_equal(got, dense if "sparse" in form.__name__ else DATA)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("{folder}/secret", "must be relative"),
        ("../secret", "leads out of the model's folder"),
        ("inner/../../secret", "leads out of the model's folder"),
        ("inner/up/secret", "leads out of the model's folder"),
        ("link", "it is a link"),
        ("hard", "it is a hard link"),
        ("pipe", "it is not a regular file"),
        ("inner", "it is not a regular file|cannot be read"),
        ("inner/null", "it is not a regular file|cannot be read|it is a link"),
        ("absent", "which is missing"),
        ("w.bin\0", "must be relative|is missing"),
    ],
)
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_no_path_leads_out(form: Callable[[str], bytes], location: str, message: str, tmp_path: Path) -> None:
    folder, secret = tmp_path / "model", tmp_path / "secret"
    (folder / "inner").mkdir(parents=True)
    content = PLACES.tobytes() if form in (sparse_indices, sparse_constant) else DATA.tobytes()
    secret.write_bytes(content)
    (folder / "inner" / "up").symlink_to(tmp_path, target_is_directory=True)
    (folder / "inner" / "null").symlink_to(os.devnull)
    (folder / "link").symlink_to(secret)
    (folder / "hard").hardlink_to(secret)
    os.mkfifo(folder / "pipe")
    path = folder / "model.onnx"
    path.write_bytes(form(location.format(folder=tmp_path)))
    with pytest.raises(mm.ParseError, match=message) as caught:
        mm.parse(path)
    assert "'w'" in str(caught.value) or "'value'" in str(caught.value) or "'p'" in str(caught.value)


def test_a_file_that_is_replaced_between_check_and_use_is_checked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that takes the file's name after the look at its path: opening does not follow it."""
    (tmp_path / "secret").write_bytes(DATA.tobytes())
    (tmp_path / "model").mkdir()
    path = tmp_path / "model" / "model.onnx"
    path.write_bytes(initializer("w.bin"))
    (tmp_path / "model" / "w.bin").symlink_to(tmp_path / "secret")
    monkeypatch.setattr(Path, "is_symlink", lambda self: False)
    with pytest.raises(mm.ParseError, match=r"'w'.*'w.bin'.*cannot be read"):
        mm.parse(path)
