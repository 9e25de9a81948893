"""Operators that move elements: every size of elements, odd shapes, views that are no copy."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from mlu_networks import check, floats, integers

TYPES = (np.float32, np.float16, np.int64, np.int8, np.float64, np.complex128)


@pytest.mark.parametrize("dtype", TYPES)
def test_transpose(dtype: Any) -> None:
    x = floats(4, 33, 6).astype(dtype)
    check(lambda n, x: [n.transpose(x, permutation=order) for order in permutations(range(3))], x)


def test_transpose_of_heads() -> None:
    orders = [(0, 2, 1, 3), (0, 3, 1, 2), (0, 2, 3, 1), (3, 2, 1, 0), (1, 0, 3, 2)]
    check(lambda n, x: [n.transpose(x, permutation=order) for order in orders], floats(2, 3, 33, 40))


@pytest.mark.parametrize("dtype", TYPES)
def test_pieces(dtype: Any) -> None:
    """Concatenation, splitting, slices with steps in both directions, reversal, repetition."""

    def build(n: Any, x: Any, y: Any) -> list[Any]:
        return [
            n.concat(x, y, axis=1),
            n.concat(y, y, x, axis=-2),
            *n.split(x, n.constant([2, 3]), axis=1),
            *n.split(x, n.constant([1, 3]), axis=0),
            n.slice(x, [1], [3], [0], [1]),
            n.slice(x, [1, 0], [3, 6], [0, 2], [1, 2]),
            n.slice(x, [-1], [-9], [2], [-2]),
            n.slice(x, [0], [0], [1], [1]),
            n.reverse(x, axes=(2,)),
            n.reverse(x, axes=(0, 1)),
            n.expand(n.slice(x, [1], [2], [2], [1]), n.constant([4, 5, 7])),
            n.tile(y, n.constant([1, 2, 3])),
        ]

    check(build, floats(4, 5, 16).astype(dtype), floats(4, 2, 16, seed=1).astype(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.uint8])
def test_padding(dtype: Any) -> None:
    def build(n: Any, x: Any) -> list[Any]:
        pads = n.constant([1, 2, 3, 0])
        return [
            n.pad(x, pads, n.constant(np.array(7, dtype))),
            n.pad(x, n.constant([-1, 0, 2, -1])),
            *(n.pad(x, pads, mode=mode) for mode in ("reflect", "edge", "wrap")),
        ]

    check(build, integers(5, 6, low=0).astype(dtype))


def test_the_same_elements_are_not_copied() -> None:
    """Reshapes and aligned pieces of a result are the same memory: only the sum and what leaves the part is written."""

    def build(n: Any, x: Any) -> Any:
        first, second = n.split(n.reshape(x, n.constant([2, 64])), n.constant([1, 1]), axis=0)
        return n.add(n.squeeze(first, axes=(0,)), n.flatten(second, axis=0))

    model = check(build, floats(8, 16))
    assert [kernel.kernel for part in model.executables for kernel in part.kernels] == ["add"]


def test_bits_as_another_type() -> None:
    def build(n: Any, x: Any, y: Any) -> list[Any]:
        turned = n.transpose(x, permutation=(1, 0))
        return [n.bit_cast(x, to="int32"), n.neg(n.bit_cast(turned, to="int32")), n.bit_cast(y, to="float64")]

    check(build, floats(3, 5), integers(4, 2, low=0))


def test_one_result_leaves_twice_and_an_input_leaves_as_it_is() -> None:
    def build(n: Any, x: Any) -> list[Any]:
        y = n.exp(x)
        return [y, y, n.reshape(y, n.constant([6])), x, n.reshape(x, n.constant([6]))]

    check(build, floats(2, 3))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_nothing_to_move(shape: tuple[int, ...]) -> None:
    def build(n: Any, x: Any, y: Any) -> list[Any]:
        return [n.concat(x, x, axis=0), n.transpose(x, permutation=(1, 0)), n.concat(n.reshape(x, [0]), y, axis=0)]

    check(build, floats(*shape), floats(5))


INDICES = integers(2, 5, 6, low=-3, high=3)


def test_gather() -> None:
    def build(n: Any, x: Any, y: Any, places: Any) -> list[Any]:
        return [
            n.gather(x, places, axis=0),
            n.gather(y, n.cast(places, to="int32"), axis=1),
            n.gather(y, n.constant(-1), axis=2),
            n.gather(n.constant(floats(50, 9000)), n.constant(integers(7, low=-50, high=50)), axis=0),
        ]

    check(build, floats(3, 6, 7), integers(2, 3, 4), INDICES)


def test_gather_elements_and_slices() -> None:
    def build(n: Any, x: Any, y: Any, places: Any) -> list[Any]:
        return [
            n.gather_elements(x, places, axis=0),
            n.gather_elements(y, n.constant(integers(3, 2, 7, low=-5, high=5)), axis=1),
            n.gather_nd(x, n.constant(integers(4, 2, low=-3, high=3))),
            n.gather_nd(y, n.constant(integers(3, 4, 1, low=-5, high=5)), batch_dims=1),
        ]

    check(build, floats(3, 5, 7), integers(3, 5, 7), INDICES)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64])
def test_scatter(dtype: Any) -> None:
    """Updates that meet at one place are combined in order; without a combination no two meet."""

    def build(n: Any, x: Any, y: Any, updates: Any) -> list[Any]:
        places = n.constant(integers(4, 5, low=-3, high=3))
        combined = [n.scatter_elements(x, places, updates, axis=0, reduction=r) for r in ("add", "mul", "max", "min")]
        spots = n.constant(integers(4, 1, low=-3, high=3))
        return [
            *combined,
            n.scatter_elements(x, n.constant(np.array([[2, 0, 1, 4]])), n.slice(updates, [0, 0], [1, 4]), axis=1),
            n.scatter_nd(y, n.constant(np.array([[2], [0]])), n.slice(y, [0], [2], [0])),
            n.scatter_nd(x, spots, updates, reduction="add"),
        ]

    check(build, *(integers(*shape).astype(dtype) for shape in ((3, 5), (3, 5, 6), (4, 5))))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64])
def test_best(dtype: Any) -> None:
    """Of equals the first comes first; NaN counts as the largest."""
    x = np.round(floats(5, 9)).astype(dtype)
    if np.dtype(dtype).kind == "f":
        x[1, ::3] = np.nan

    def build(n: Any, x: Any) -> list[Any]:
        ways = [(largest, axis, k) for largest in (True, False) for axis in (0, 1) for k in (1, 3, 5)]
        return [v for largest, axis, k in ways for v in n.topk(x, n.constant([k]), axis=axis, largest=largest)]

    check(build, x)


def test_sizes_are_constants() -> None:
    def build(n: Any, x: Any) -> list[Any]:
        return [n.shape(x), n.reshape(x, n.mul(n.shape(x, end=1), n.constant([5])))]

    check(build, floats(3, 5))
