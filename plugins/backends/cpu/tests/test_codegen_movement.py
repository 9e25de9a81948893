"""Kernels that only move data, against numpy, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from mm_backend_cpu.codegen.assemble import ConcatSpec, PadSpec, concat, pad
from mm_backend_cpu.codegen.gather import GatherElementsSpec, GatherSpec, gather, gather_elements
from mm_backend_cpu.codegen.isa import detect
from mm_backend_cpu.codegen.strided_copy import CopySpec, copy
from mm_backend_cpu.codegen.strides import broadcast_strides, dense_strides
from mm_backend_cpu.testing import Bound, instruction_sets, run

from mm_core.types import symbol

ISAS = pytest.mark.parametrize("isa", instruction_sets(), ids=lambda isa: isa.name)
DTYPES = pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "i8", "c16"])


def sample(shape, dtype, seed=0):
    """Arbitrary bits, signalling NaN included."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8).view(dtype).reshape(shape)


def transpose_spec(shape, permutation, element_bytes):
    """The copy that makes output axis k of input axis permutation[k]."""
    strides = dense_strides(shape)
    return CopySpec(tuple(shape[p] for p in permutation), tuple(strides[p] for p in permutation), element_bytes)


def same(actual, expected):
    assert actual.shape == expected.shape
    assert actual.tobytes() == np.ascontiguousarray(expected).tobytes()


@pytest.mark.parametrize(
    ("isa", "dtype"),  # only tiles of 4 bytes differ between instruction sets
    [*((isa, "f4") for isa in instruction_sets()), *((detect(), dtype) for dtype in ("u1", "u2", "i8", "c16"))],
    ids=lambda value: getattr(value, "name", value),
)
@pytest.mark.parametrize(
    ("shape", "permutation"),
    [
        ((1, 3, 19, 23), (0, 2, 3, 1)), ((2, 70, 9, 11), (0, 2, 3, 1)), ((2, 9, 11, 70), (0, 3, 1, 2)),
        ((5, 129), (1, 0)), ((129, 5), (1, 0)), ((2, 7, 3, 20), (0, 2, 1, 3)), ((4, 5, 6), (2, 1, 0)),
        ((2, 3, 4, 5, 6), (4, 2, 0, 3, 1)), ((3, 0, 4), (2, 0, 1)), ((1, 1, 6), (2, 0, 1)), ((), ()), ((40000,), (0,)),
    ],
    ids=str,
)  # fmt: skip
def test_transpose(isa, dtype, shape, permutation):
    x = sample(shape, dtype)
    expected = x.transpose(permutation)
    (actual,) = run(copy(transpose_spec(shape, permutation, x.itemsize)), isa, [x], [(expected.shape, dtype)])
    same(actual, expected)


@ISAS
def test_transpose_of_symbolic_extents(isa):
    n, c, s = symbol("N"), symbol("C"), symbol("S")
    source = copy(transpose_spec((n, c, s), (0, 2, 1), 4))
    for sizes in ((2, 5, 7), (1, 130, 3), (0, 2, 2), (3, 1, 64)):
        x = sample(sizes, "f4")
        (actual,) = run(source, isa, [x], [((sizes[0], sizes[2], sizes[1]), "f4")], dict(zip("NCS", sizes)))
        same(actual, x.transpose(0, 2, 1))


@DTYPES
def test_slice_with_steps_reversal_and_expansion(dtype):
    isa = detect()
    x = sample((6, 50, 4), dtype)
    spec = CopySpec((2, 12, 4), (600, -16, 1), x.itemsize, offset=200 + 49 * 4)
    same(run(copy(spec), isa, [x], [((2, 12, 4), dtype)])[0], x[1::3, 49:1:-4][:, :12])
    spec = CopySpec((4,), (-1,), x.itemsize, offset=3)
    same(run(copy(spec), isa, [x[0, 0]], [((4,), dtype)])[0], x[0, 0, ::-1])
    small = sample((3, 1, 1), dtype)
    spec = CopySpec((2, 3, 5, 7), broadcast_strides((3, 1, 1), (2, 3, 5, 7)), x.itemsize)
    same(run(copy(spec), isa, [small], [((2, 3, 5, 7), dtype)])[0], np.broadcast_to(small, (2, 3, 5, 7)))


@pytest.mark.parametrize(("axis", "extents"), [(0, (2, 5, 1)), (1, (3, 0, 4)), (2, (7, 1)), (2, (9,))])
@DTYPES
def test_concat(axis, extents, dtype):
    shapes = [tuple(extent if k == axis else size for k, size in enumerate((4, 5, 6))) for extent in extents]
    arrays = [sample(shape, dtype, seed) for seed, shape in enumerate(shapes)]
    expected = np.concatenate(arrays, axis)
    pieces = tuple(int(np.prod(shape[axis:])) for shape in shapes)
    spec = ConcatSpec(int(np.prod(expected.shape[:axis])), pieces, arrays[0].itemsize)
    same(run(concat(spec), detect(), arrays, [(expected.shape, dtype)])[0], expected)


@DTYPES
def test_concat_of_parts_of_rows(dtype):
    x, y = sample((6, 9), dtype), sample((6, 4), dtype, 1)
    expected = np.concatenate([x[:, 2:5], y, x[:, 5:]], 1)
    spec = ConcatSpec(6, (3, 4, 4), x.itemsize, (9, 4, 9), (2, 0, 5))
    same(run(concat(spec), detect(), [x, y, x], [(expected.shape, dtype)])[0], expected)


@pytest.mark.parametrize(
    ("shape", "before", "after"),
    [
        ((3, 4), (0, 0), (0, 0)),
        ((2, 3, 5), (1, 0, 2), (0, 2, 3)),
        ((6,), (2,), (1,)),
        ((2, 0, 3), (0, 1, 1), (0, 1, 0)),
    ],
)
def test_pad(shape, before, after):
    x = sample(shape, "f4")
    value = np.float32(-1.5)
    spec = PadSpec(shape, before, after, 4, int(value.view(np.uint32)))
    expected = np.pad(x, list(zip(before, after)), constant_values=value)
    same(run(pad(spec), detect(), [x], [(expected.shape, "f4")])[0], expected)


@pytest.mark.parametrize("index", ["i32", "i64"])
@DTYPES
def test_gather(index, dtype):
    table = sample((3, 7, 10), dtype)
    indices = np.array([0, 6, -1, -7, 3], np.dtype(index.replace("i32", "i4").replace("i64", "i8")))
    source = gather(GatherSpec(3, 7, 10, symbol("K"), index, table.itemsize))
    same(run(source, detect(), [table, indices], [((3, 5, 10), dtype)], {"K": 5})[0], table[:, indices])


@pytest.mark.parametrize("wrong", [7, -8, 2**40])
def test_an_index_outside_the_table_is_reported(wrong):
    table, indices = sample((7, 3), "f4"), np.array([1, wrong, 2])
    bound = Bound(gather(GatherSpec(1, 7, 3, 3, "i64", 4)), detect(), [table, indices], [((3, 3), "f4")])
    bound.run()
    assert bound.status.value == 1
    bound = Bound(gather(GatherSpec(1, 7, 3, 3, "i64", 4)), detect(), [table, indices[::2]], [((3, 3), "f4")])
    assert bound.status.value == 0


def elements_spec(x, indices, axis, index="i64", checked=True, shape=None):
    """Elements of dense `x` by dense `indices`, the shape of these given as symbols or taken from them."""
    strides = dense_strides(x.shape)
    shape = indices.shape if shape is None else shape
    source = tuple(0 if k == axis else step for k, step in enumerate(strides))
    own = dense_strides(shape)
    return GatherElementsSpec(shape, source, own, x.shape[axis], strides[axis], index, x.itemsize, checked)


@ISAS
@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("index", ["i32", "i64"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_gather_elements(isa, index, axis, checked):
    x = sample((5, 19, 37), "f4")
    rng = np.random.default_rng(axis)
    dtype = np.int32 if index == "i32" else np.int64
    indices = rng.integers(-x.shape[axis] if checked else 0, x.shape[axis], (4, 17, 35)).astype(dtype)
    narrow = tuple(slice(None) if k == axis else slice(0, n) for k, n in enumerate(indices.shape))
    expected = np.take_along_axis(x[narrow], indices.astype(np.int64), axis)
    spec = elements_spec(x, indices, axis, index, checked)
    same(run(gather_elements(spec), isa, [x, indices], [(indices.shape, "f4")])[0], expected)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "i8"])
def test_gather_elements_of_symbolic_extents(dtype):
    x = sample((3, 9), dtype)
    indices = np.random.default_rng(0).integers(-9, 9, (3, 5000))
    spec = elements_spec(x, indices, 1, shape=(3, symbol("N")))
    (actual,) = run(gather_elements(spec), detect(), [x, indices], [(indices.shape, dtype)], {"N": 5000})
    same(actual, np.take_along_axis(x, indices, 1))


@pytest.mark.parametrize("wrong", [9, -10, 2**40, -(2**40)])
def test_an_element_outside_is_reported(wrong):
    x, indices = sample((3, 9), "f4"), np.full((3, 40), -9)
    source = gather_elements(elements_spec(x, indices, 1))
    for at, status in ((None, 0), ((1, 3), 1), ((2, 39), 1)):
        given = indices.copy()
        if at is not None:
            given[at] = wrong
        bound = Bound(source, detect(), [x, given], [((3, 40), "f4")])
        bound.run()
        assert bound.status.value == status
