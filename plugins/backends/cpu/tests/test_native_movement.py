"""Library kernels that move, gather and scatter elements, against NumPy and the ONNX reference."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx.reference
import pytest
from mm_backend_cpu.program import run_kernel
from onnx import helper

from mm_core.errors import DeviceError, InputError
from mm_core.types import DTYPES

STORED = [d.numpy for d in DTYPES if d.kind != "string"]


def numbered(dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Distinct bit patterns as far as the type has them."""
    count = int(np.prod(shape))
    size = np.dtype(dtype).itemsize
    codes = np.arange(count, dtype=np.uint64) % (2 ** min(8 * size, 31))
    raw = np.zeros((count, size), np.uint8)
    for byte in range(min(size, 8)):
        raw[:, byte] = (codes >> np.uint64(8 * byte)) & np.uint64(0xFF)
    if np.dtype(dtype) == np.bool_:
        raw &= 1
    return raw.reshape(-1).view(dtype).reshape(shape)


def assert_same_bits(actual: np.ndarray, expected: np.ndarray) -> None:
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    assert actual.tobytes() == np.ascontiguousarray(expected).tobytes()


@pytest.mark.parametrize("dtype", STORED)
def test_every_type_moves(dtype: Any) -> None:
    x = numbered(dtype, (3, 4, 5))
    assert_same_bits(run_kernel("reshape", [x], [(dtype, (5, 12))])[0], x.reshape(5, 12))
    assert_same_bits(run_kernel("transpose", [x], [(dtype, (5, 3, 4))], [2, 0, 1])[0], x.transpose(2, 0, 1))
    assert_same_bits(run_kernel("slice", [x], [(dtype, (2, 4, 2))], [2, 0, 4, -2, 1, -3])[0], x[2::-2, :, 4::-3])
    assert_same_bits(
        run_kernel("concat", [x, x[:, :1], x], [(dtype, (3, 9, 5))], [1])[0], np.concatenate([x, x[:, :1], x], 1)
    )
    assert_same_bits(
        run_kernel("expand", [x[:, :1]], [(dtype, (2, 3, 4, 5))])[0], np.broadcast_to(x[:, :1], (2, 3, 4, 5))
    )
    indices = np.int64([3, -1, 0])
    assert_same_bits(run_kernel("gather", [x, indices], [(dtype, (3, 3, 5))], [1])[0], x[:, indices])
    padded = run_kernel("pad", [x, x[1, 1, 1]], [(dtype, (3, 7, 5))], [0, 0, 1, 0])[0]
    expected = np.broadcast_to(x[1, 1, 1], (3, 7, 5)).copy()
    expected[:, 1:5] = x
    assert_same_bits(padded, expected)


def test_transpose_of_every_permutation() -> None:
    for rank in range(6):
        shape = (2, 3, 1, 4, 5)[:rank]
        x = numbered(np.int32, shape)
        for axes in itertools.permutations(range(rank)):
            expected = x.transpose(axes)
            assert_same_bits(run_kernel("transpose", [x], [(np.int32, expected.shape)], axes)[0], expected)
    empty = np.empty((3, 0, 2), np.int8)
    assert run_kernel("transpose", [empty], [(np.int8, (2, 3, 0))], [2, 0, 1])[0].shape == (2, 3, 0)


def test_reverse_and_empty_slices() -> None:
    x = numbered(np.int16, (3, 4, 5))
    for flags in itertools.product((0, 1), repeat=3):
        expected = np.flip(x, [axis for axis in range(3) if flags[axis]])
        assert_same_bits(run_kernel("reverse", [x], [(np.int16, x.shape)], flags)[0], expected)
    assert run_kernel("slice", [x], [(np.int16, (3, 0, 5))], [0, 9, 0, 1, 1, 1])[0].size == 0
    scalar = np.array(7, np.int16)
    assert run_kernel("reverse", [scalar], [(np.int16, ())])[0] == 7
    assert run_kernel("slice", [scalar], [(np.int16, ())])[0] == 7
    assert run_kernel("pad", [scalar], [(np.int16, ())], [0])[0] == 7


@pytest.mark.parametrize(("mode", "name"), list(enumerate(["constant", "reflect", "edge", "wrap"])))
def test_pad(mode: int, name: str) -> None:
    for shape, pads in [
        ((7,), [(2, 3)]),
        ((3, 4), [(2, 1), (0, 3)]),
        ((2, 3, 4), [(1, 1), (2, 0), (3, 3)]),
        ((2, 1, 2, 3), [(0, 0), (0, 0), (1, 1), (2, 2)]),
    ]:
        x = numbered(np.float32, shape)
        options = {"constant_values": np.float32(9)} if name == "constant" else {}
        expected = np.pad(x, pads, mode=name, **options)  # type: ignore[call-overload]
        inputs = [x, np.float32(9)] if name == "constant" else [x]
        params = [mode, *(before for before, _ in pads)]
        assert_same_bits(
            run_kernel("pad", list(map(np.asarray, inputs)), [(np.float32, expected.shape)], params)[0], expected
        )


def test_pad_can_crop() -> None:
    x = numbered(np.int32, (4, 6))
    expected = np.pad(x[1:, :-2], [(0, 1), (3, 0)])
    assert_same_bits(run_kernel("pad", [x, None], [(np.int32, expected.shape)], [0, -1, 3])[0], expected)


def test_concat_with_empty_parts() -> None:
    parts = [numbered(np.int8, (2, n, 3)) for n in (0, 4, 0, 1)]
    assert_same_bits(run_kernel("concat", parts, [(np.int8, (2, 5, 3))], [1])[0], np.concatenate(parts, 1))


def test_generators() -> None:
    for dtype in (np.int32, np.int64, np.float32, np.float64):
        start, limit, delta = dtype(10), dtype(-3), dtype(-2)
        expected = np.arange(start, limit, delta).astype(dtype)
        assert_same_bits(
            run_kernel("range", list(map(np.asarray, (start, limit, delta))), [(dtype, expected.shape)])[0], expected
        )
    expected = np.broadcast_to(np.arange(4)[:, None], (3, 4, 2)).astype(np.int32)
    assert_same_bits(run_kernel("iota", [], [(np.int32, (3, 4, 2))], [1])[0], expected)
    x = np.empty((5, 0, 7), np.float16)
    assert run_kernel("shape", [x], [(np.int64, (3,))], [0, 3])[0].tolist() == [5, 0, 7]
    assert run_kernel("shape", [x], [(np.int64, (1,))], [2, 3])[0].tolist() == [7]


def onnx_result(op: str, inputs: list[np.ndarray], **attributes: Any) -> np.ndarray:
    names = [f"x{i}" for i in range(len(inputs))]
    node = helper.make_node(op, names, ["y"], **attributes)
    infos = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for n, x in zip(names, inputs)
    ]
    graph = helper.make_graph(
        [node], "g", infos, [helper.make_tensor_value_info("y", infos[0].type.tensor_type.elem_type, None)]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    return onnx.reference.ReferenceEvaluator(model).run(None, dict(zip(names, inputs)))[0]


@pytest.mark.parametrize("index_type", [np.int32, np.int64])
def test_gathering(index_type: Any) -> None:
    generator = np.random.default_rng(3)
    x = numbered(np.float32, (3, 4, 5))
    for axis in range(3):
        indices = generator.integers(-x.shape[axis], x.shape[axis], (2, 3)).astype(index_type)
        expected = np.take(x, indices, axis)
        assert_same_bits(run_kernel("gather", [x, indices], [(np.float32, expected.shape)], [axis])[0], expected)
        shape = tuple(6 if i == axis else n for i, n in enumerate(x.shape))
        indices = generator.integers(-x.shape[axis], x.shape[axis], shape).astype(index_type)
        expected = np.take_along_axis(x, indices % x.shape[axis], axis)
        assert_same_bits(run_kernel("gather_elements", [x, indices], [(np.float32, shape)], [axis])[0], expected)
    scalar = np.array(2, index_type)
    assert_same_bits(run_kernel("gather", [x, scalar], [(np.float32, (4, 5))], [0])[0], x[2])
    for batch, depth in [(0, 1), (0, 3), (1, 1), (1, 2), (0, 0)]:
        lead = (3, 2) if batch else (2, 2)
        limits = x.shape[batch : batch + depth]
        indices = (
            np.stack([generator.integers(-n, n, lead) for n in limits], -1) if depth else np.zeros((*lead, 0), int)
        )
        indices = indices.astype(index_type)
        shape = (*lead, *x.shape[batch + depth :])
        actual = run_kernel("gather_nd", [x, indices], [(np.float32, shape)], [batch])[0]
        expected = np.empty(shape, np.float32)
        for at in np.ndindex(*lead):
            expected[at] = x[(*at[:batch], *indices[at])]
        assert_same_bits(actual, expected)


REDUCTIONS = ["none", "add", "mul", "max", "min"]


@pytest.mark.parametrize(("number", "name"), list(enumerate(REDUCTIONS)))
@pytest.mark.parametrize("threads", [1, 3])
def test_scatter(number: int, name: str, threads: int) -> None:
    generator = np.random.default_rng(number)
    x = generator.integers(-9, 9, (40, 50, 6)).astype(np.float32)
    for axis in range(3):
        shape = tuple(max(1, n - 1) for n in x.shape)
        # Without a reduction ONNX leaves repeated indices open, so every index is used once there.
        count = shape[axis]
        indices = (
            np.argsort(generator.random(shape), axis)[...]
            if name == "none"
            else generator.integers(-count, count, shape)
        )
        updates = generator.integers(-9, 9, shape).astype(np.float32)
        expected = onnx_result("ScatterElements", [x, indices, updates], axis=axis, reduction=name)
        actual = run_kernel(
            "scatter_elements", [x, indices, updates], [(np.float32, x.shape)], [axis, number], threads=threads
        )[0]
        np.testing.assert_allclose(actual, expected, rtol=1e-5)
    for depth in (1, 2, 3):
        tuples = np.stack([generator.integers(-n, n, 30) for n in x.shape[:depth]], -1)
        if name == "none":
            tuples = np.unique(tuples % np.array(x.shape[:depth]), axis=0)
        updates = generator.integers(-9, 9, (len(tuples), *x.shape[depth:])).astype(np.float32)
        expected = onnx_result("ScatterND", [x, tuples, updates], reduction=name)
        actual = run_kernel("scatter_nd", [x, tuples, updates], [(np.float32, x.shape)], [number], threads=threads)[0]
        np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_the_last_of_repeated_updates_wins() -> None:
    x, updates = np.zeros(2, np.int32), np.int32([1, 2, 3])
    assert run_kernel("scatter_nd", [x, np.int64([[1], [1], [0]]), updates], [(np.int32, (2,))], [0])[0].tolist() == [
        3,
        2,
    ]
    assert run_kernel("scatter_elements", [x, np.int64([1, 1, 0]), updates], [(np.int32, (2,))], [0, 0])[
        0
    ].tolist() == [3, 2]


@pytest.mark.parametrize(
    ("name", "inputs", "shape", "params"),
    [
        ("gather", [np.zeros((4, 2), np.float32), np.int64([0, 4])], (2, 2), [0]),
        ("gather", [np.zeros((4, 2), np.float32), np.int32([-5])], (1, 2), [0]),
        ("gather", [np.zeros((0, 2), np.float32), np.int32([0])], (1, 2), [0]),
        ("gather_elements", [np.zeros((4, 2), np.float32), np.int64([[2, 0]])], (1, 2), [1]),
        ("gather_nd", [np.zeros((4, 2), np.float32), np.int64([[3, 2]])], (1,), [0]),
        ("scatter_elements", [np.zeros(4, np.float32), np.int64([4]), np.float32([1])], (4,), [0, 0]),
        ("scatter_nd", [np.zeros(4, np.float32), np.int64([[1 << 62]]), np.float32([1])], (4,), [1]),
    ],
)
def test_an_index_outside_fails_the_run(
    name: str, inputs: list[np.ndarray], shape: tuple[int, ...], params: list[int]
) -> None:
    with pytest.raises(InputError, match=f"{name}: an index is outside its axis"):
        run_kernel(name, inputs, [(np.float32, shape)], params)


@pytest.mark.parametrize(
    ("name", "inputs", "shape", "params"),
    [
        ("transpose", [np.zeros((2, 3), np.float32)], (3, 2), [0, 0]),
        ("transpose", [np.zeros((2, 3), np.float32)], (2, 3), [1, 0]),
        ("slice", [np.zeros(4, np.float32)], (3,), [2, 1]),
        ("slice", [np.zeros(4, np.float32)], (3,), [1, -1]),
        ("slice", [np.zeros(4, np.float32)], (3,), [0, 1 << 62]),
        ("concat", [np.zeros((2, 3), np.float32), np.zeros((3, 3), np.float32)], (2, 6), [1]),
        ("concat", [np.zeros((2, 3), np.float32)], (2, 6), [1]),
        ("reshape", [np.zeros((2, 3), np.float32)], (7,), []),
        ("expand", [np.zeros((2, 3), np.float32)], (2, 4), []),
        ("gather", [np.zeros((2, 3), np.float32), np.float32([1])], (1, 3), [0]),
        ("gather", [np.zeros((2, 3), np.float32), np.int64([1])], (1, 3), [2]),
        ("gather_nd", [np.zeros((2, 3), np.float32), np.zeros((1, 3), np.int64)], (1,), [0]),
        ("pad", [np.zeros((0,), np.float32)], (3,), [2, 1]),
        ("iota", [], (3,), [1]),
    ],
)
def test_what_does_not_fit_is_refused(
    name: str, inputs: list[np.ndarray], shape: tuple[int, ...], params: list[int]
) -> None:
    with pytest.raises(DeviceError, match=f"step 0: {name}: "):
        run_kernel(name, inputs, [(np.float32, shape)], params)
