"""Gathering, scattering and what is made of them, against ONNX and torch."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

import mm_core as mm
from mm_core.ir.operation import known_value
from mm_core.testing.opcheck import opcheck

RNG = np.random.default_rng(9)
X = RNG.standard_normal((4, 5, 6)).astype(np.float32)
PLACES = RNG.integers(-4, 4, (3, 5, 2))


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("indices", [np.array(2), np.array([0, -1, 3]), np.array([[1, 0], [-4, 3]], np.int32)])
def test_gather_is_onnxs(reference: Any, run_onnx: Any, axis: int, indices: Any) -> None:
    for x in (X, X.astype(ml_dtypes.bfloat16), (X > 0), X.astype(np.int8)):
        found = reference("mm.gather", x, indices, axis=axis)
        assert found.dtype == x.dtype
        np.testing.assert_array_equal(found, np.take(x, indices, axis))
        opcheck("mm.gather", [x, indices], {"axis": axis})
    wanted = run_onnx("Gather", X, indices, axis=axis)
    np.testing.assert_array_equal(reference("mm.gather", X, indices, axis=axis), wanted)


def test_gather_follows_shapes() -> None:
    network = mm.Network()
    x = network.add_input("x", mm.float32, ("N", 3, "H"))
    shape = network.shape(x)
    assert list(map(str, known_value(network.gather(shape, [2, -3])).flat)) == ["H", "N"]
    assert str(known_value(network.gather(shape, 0))) == "N"
    rows = network.gather(network.constant(np.arange(6).reshape(2, 3)), [1], axis=-1)
    np.testing.assert_array_equal(known_value(rows), [[1], [4]])


def test_gather_names_the_index_that_is_outside(reference: Any) -> None:
    with pytest.raises(mm.InputError, match="index 4 is outside an axis of 4"):
        reference("mm.gather", X, np.array([1, 4]))
    with pytest.raises(mm.InputError, match="index -5"):
        reference("mm.gather", X, np.array([-5]))


def test_gather_elements_is_onnxs(reference: Any, run_onnx: Any) -> None:
    np.testing.assert_array_equal(reference("mm.gather_elements", X, PLACES), run_onnx("GatherElements", X, PLACES))
    opcheck("mm.gather_elements", [X, PLACES])
    smaller = PLACES[:, :3]
    wanted = torch.gather(torch.tensor(X), 0, torch.tensor(smaller % 4))
    np.testing.assert_array_equal(reference("mm.gather_elements", X, smaller), wanted.numpy())


@pytest.mark.parametrize(
    ("indices", "batch_dims"),
    [
        (RNG.integers(-4, 4, (2, 3, 2)), 0),
        (RNG.integers(-4, 4, (3, 3)), 0),
        (RNG.integers(0, 5, (4, 3, 1)), 1),
        (RNG.integers(0, 5, (4, 5, 1)), 2),
        (RNG.integers(0, 5, (4, 2)), 1),
        (np.zeros((2, 0), np.int64), 0),
    ],
)
def test_gather_nd_is_onnxs(reference: Any, run_onnx: Any, indices: Any, batch_dims: int) -> None:
    found = reference("mm.gather_nd", X, indices, batch_dims=batch_dims)
    if indices.size:
        np.testing.assert_array_equal(found, run_onnx("GatherND", X, indices, batch_dims=batch_dims))
    else:
        np.testing.assert_array_equal(found, np.stack([X, X]))
    opcheck("mm.gather_nd", [X, indices], {"batch_dims": batch_dims}, symbolic=False)


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_scatter_elements_is_onnxs(reference: Any, run_onnx: Any, reduction: str) -> None:
    # Without a reduction two updates must not meet.
    places = np.broadcast_to(np.array([2, -4, 1]).reshape(3, 1, 1), (3, 5, 2)) if reduction == "none" else PLACES
    places = np.ascontiguousarray(places)
    updates = RNG.standard_normal((3, 5, 2)).astype(np.float32)
    for dtype in (np.float32, np.float16, ml_dtypes.bfloat16, np.int32):
        opcheck("mm.scatter_elements", [X.astype(dtype), places, updates.astype(dtype)], {"reduction": reduction})
    found = reference("mm.scatter_elements", X, places, updates, reduction=reduction)
    wanted = run_onnx("ScatterElements", X, places, updates, axis=0, reduction=reduction)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_scatter_nd_is_onnxs(reference: Any, run_onnx: Any, reduction: str) -> None:
    rows = [[0, 1], [2, -1]] if reduction == "none" else [[0, 1], [2, -1], [0, 1]]
    indices = np.array(rows)
    updates = RNG.standard_normal((len(rows), 6)).astype(np.float32)
    found = reference("mm.scatter_nd", X, indices, updates, reduction=reduction)
    np.testing.assert_allclose(found, run_onnx("ScatterND", X, indices, updates, reduction=reduction), rtol=1e-6)
    opcheck("mm.scatter_nd", [X, indices, updates], {"reduction": reduction}, symbolic=False)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("largest", [False, True])
def test_topk_is_onnxs(reference: Any, run_onnx: Any, axis: int, largest: bool) -> None:
    for x in (X, np.round(X).astype(np.int64), np.round(X).astype(np.float32)):
        attributes = {"axis": axis, "largest": largest}
        found = reference("mm.topk", x, np.array([3]), **attributes)
        wanted = run_onnx("TopK", x, np.array([3]), outputs=2, axis=axis, largest=int(largest))
        for mine, theirs in zip(found, wanted):
            np.testing.assert_array_equal(mine, theirs)
        opcheck("mm.topk", [x, np.array([3])], attributes)


def test_topk_of_unsigned_and_nan(reference: Any) -> None:
    values, indices = reference("mm.topk", np.array([1, 3, 0, 3], np.uint8), np.array([3]))
    assert values.tolist() == [3, 3, 1]
    assert indices.tolist() == [1, 3, 0]
    values, indices = reference("mm.topk", np.array([1, np.nan, 5], np.float32), np.array([2]))
    assert indices.tolist() == [1, 2]
    with pytest.raises(mm.InputError, match="k is 4"):
        reference("mm.topk", np.zeros(3, np.float32), np.array([4]))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_one_hot_is_onnxs(reference: Any, run_onnx: Any, axis: int) -> None:
    indices, values = np.array([[0, -1, 5], [2, 3, -9]]), np.array([-1, 2], np.float32)
    for depth in (np.array(4), np.array([4.0], np.float32)):
        wanted = run_onnx("OneHot", indices, depth, values, axis=axis)
        np.testing.assert_array_equal(reference("mm.one_hot", indices, depth, values, axis=axis), wanted)
        opcheck("mm.one_hot", [indices, depth, values], {"axis": axis})
    opcheck("mm.one_hot", [indices.astype(np.float32), np.array(4), values.astype(np.int64)])


@pytest.mark.parametrize("mode", ["linear", "circular"])
def test_tensor_scatter_writes_a_cache(reference: Any, mode: str) -> None:
    x = RNG.standard_normal((2, 3, 6, 4)).astype(np.float32)
    updates = RNG.standard_normal((2, 3, 2, 4)).astype(np.float32)
    starts = np.array([1, 5 if mode == "circular" else 4])
    wanted = x.copy()
    for batch, start in enumerate(starts):
        for step in range(2):
            wanted[batch, :, (start + step) % 6] = updates[batch, :, step]
    np.testing.assert_array_equal(reference("mm.tensor_scatter", x, updates, starts, mode=mode), wanted)
    opcheck("mm.tensor_scatter", [x, updates, starts], {"mode": mode})
    opcheck("mm.tensor_scatter", [x, updates])


@pytest.mark.parametrize(
    ("op", "operands", "attributes", "message"),
    [
        ("gather", [np.array([0])], {"axis": 3}, "axis 3"),
        ("gather_elements", [np.array([0])], {}, "rank 3"),
        ("gather_nd", [np.zeros((2, 4), np.int64)], {}, "do not fit x"),
        ("gather_nd", [np.zeros((4, 2), np.int64)], {"batch_dims": 2}, "batch_dims 2"),
        ("topk", [np.array([7])], {}, "k is 7, the axis has 6"),
        ("scatter_nd", [np.array([[0, 1]]), np.zeros((1, 5), np.float32)], {}, "sizes of updates"),
    ],
)
def test_indexing_refuses(op: str, operands: list[Any], attributes: dict[str, Any], message: str) -> None:
    network = mm.Network()
    x = network.add_input("x", mm.float32, X.shape)
    with pytest.raises((mm.VerifyError, mm.UnsupportedOpError), match=message):
        network.op(f"mm.{op}", x, *operands, **attributes)
