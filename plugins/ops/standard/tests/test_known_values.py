"""Shapes computed in the graph, as exporters write them, are followed: sizes stay the symbols that they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import mm_core as mm
from mm_core.ir import known_value
from mm_core.testing.opcheck import opcheck


def size(net: mm.Network, x: Any, axis: int) -> Any:
    """The size of one axis as exporters read it: shape, gather, unsqueeze."""
    return net.unsqueeze(net.gather(net.shape(x), net.constant(axis), axis=0), axes=(0,))


def network() -> tuple[mm.Network, Any]:
    net = mm.Network()
    return net, net.add_input("x", mm.float32, ("N", "S", 768))


def text(value: Any) -> str:
    return str(value.type).partition("<")[2]


def split_heads(net: mm.Network, x: Any) -> Any:
    """[N, S, 768] to [N, 12, S, 64], all sizes computed while running."""
    sizes = net.concat(size(net, x, 0), size(net, x, 1), net.constant([12]), net.constant([64]), axis=0)
    return net.transpose(net.reshape(x, sizes), permutation=(0, 2, 1, 3))


def expand_minus_one(net: mm.Network, x: Any) -> Any:
    """torch's `expand(-1, ...)`: where(shape == -1, ones, shape)."""
    wanted = net.concat(size(net, x, 0), net.constant([-1, 768]), axis=0)
    ones = net.constant_of_shape(net.shape(wanted), value=np.array([1]))
    sizes = net.select(net.equal(wanted, net.mul(ones, net.constant(-1))), ones, wanted)
    return net.expand(net.constant(np.zeros((1, 1, 768), np.float32)), sizes)


def positions(net: mm.Network, x: Any) -> Any:
    """Numbers from 0 to the length, as a row."""
    length = net.squeeze(size(net, x, 1), axes=(0,))
    return net.unsqueeze(net.range(net.constant(0), length, net.constant(1)), axes=(0,))


def half_of_channels(net: mm.Network, x: Any) -> Any:
    """x[:, :, :C // 2] with C read from the shape."""
    half = net.div(size(net, x, 2), net.constant([2]))
    return net.slice(x, net.constant([0]), half, net.constant([2]))


def flatten_batch(net: mm.Network, x: Any) -> Any:
    """view(-1, S * 768) with the product computed."""
    product = net.reduce_prod(net.slice(net.shape(x), [1], [3]), axes=(0,), keepdims=True)
    return net.reshape(x, net.concat(net.constant([-1]), product, axis=0))


def shifted(net: mm.Network, x: Any) -> Any:
    """All but the last of S, then one added."""
    return net.pad(net.slice(x, [0], [-1], [1]), net.constant([0, 0, 0, 0, 1, 0]))


def cast_there_and_back(net: mm.Network, x: Any) -> Any:
    sizes = net.cast(net.cast(net.shape(x), to="int32"), to="int64")
    return net.expand(net.constant(1.0), net.maximum(sizes, net.constant([1])))


def windows(net: mm.Network, x: Any) -> Any:
    """Padded up to a multiple of 8 and cut into windows."""
    length = size(net, x, 1)
    missing = net.mod(net.sub(net.constant([8]), net.mod(length, net.constant([8]))), net.constant([8]))
    none = net.constant([0])
    padded = net.pad(x, net.concat(none, none, none, none, missing, none, axis=0))
    return net.split(padded, [256, 512], axis=2)[0]


@pytest.mark.parametrize(("build", "expected"), [
    (split_heads, '?x12x?x64xf32, ["N", "S"]>'),
    (expand_minus_one, '?x1x768xf32, ["N"]>'),
    (positions, '1x?xi64, ["S"]>'),
    (half_of_channels, '?x?x384xf32, ["N", "S"]>'),
    (flatten_batch, '?x?xf32, ["N", "768*S"]>'),
    (shifted, '?x?x768xf32, ["N", "max(S - 1, 0) + 1"]>'),
    (cast_there_and_back, '?x?x768xf32, ["max(N, 1)", "max(S, 1)"]>'),
    (windows, '?x?x256xf32, ["N", "S + mod(7*mod(S, 8), 8)"]>'),
])  # fmt: skip
def test_symbols_survive_computed_shapes(build: Callable[..., Any], expected: str) -> None:
    net, x = network()
    value = build(net, x)
    assert text(value) == expected
    net.mark_output(value)
    net.verify()
    assert str(mm.Network.from_text(str(net), net.weights())) == str(net)


def test_what_is_not_known_becomes_a_new_symbol() -> None:
    net, x = network()
    sizes = net.add_input("sizes", mm.int64, (3,))
    unknown = net.reshape(x, sizes)
    assert unknown.type.rank == 3
    assert known_value(sizes) is None
    partly = net.reshape(x, net.concat(size(net, x, 0), net.slice(sizes, [0], [1]), net.constant([768]), axis=0))
    assert text(partly) == '?x?x768xf32, ["N", "S"]>'
    assert net.reshape(x, net.add_input("any", mm.int64, ("R",))).type.shape is None


def test_comparisons_of_sizes() -> None:
    net, x = network()
    length = size(net, x, 1)
    assert known_value(net.less(length, net.constant([0]))).tolist() == [False]
    assert known_value(net.greater_or_equal(length, net.constant([0]))).tolist() == [True]
    assert known_value(net.equal(length, length)).tolist() == [True]
    assert known_value(net.equal(length, net.constant([7]))).tolist() == [None]
    assert known_value(net.logical_not(net.equal(length, net.constant([-1])))).tolist() == [True]


SIZES = st.integers(0, 5)
BOUNDS = st.one_of(st.integers(-7, 7), st.sampled_from([2**63 - 1, -(2**63) + 1, 2**31 - 1]))


@settings(max_examples=60, deadline=None)
@given(SIZES, BOUNDS, BOUNDS, st.sampled_from([-3, -2, -1, 1, 2, 3]))
def test_every_slice_is_inferred(length: int, start: int, end: int, step: int) -> None:
    x = np.arange(length * 2, dtype=np.float32).reshape(length, 2)
    report = opcheck("mm.slice", [x, np.array([start]), np.array([end]), np.array([0]), np.array([step])])
    assert not report.unknown


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 9), st.integers(1, 4))
def test_every_equal_split_is_inferred(length: int, parts: int) -> None:
    x = np.arange(length, dtype=np.int64)
    assert not opcheck("mm.split", [x], {"parts": parts}).unknown


@settings(max_examples=40, deadline=None)
@given(st.integers(-9, 9), st.integers(-9, 9), st.sampled_from([-3, -2, -1, 1, 2, 3]))
def test_every_range_is_inferred(start: int, limit: int, delta: int) -> None:
    opcheck("mm.range", [np.array(start), np.array(limit), np.array(delta)])


@settings(max_examples=60, deadline=None)
@given(st.integers(-20, 20), st.integers(-6, 6))
def test_known_arithmetic_is_the_references(a: int, b: int) -> None:
    for op in ("add", "sub", "mul", "div", "mod", "fmod", "maximum", "minimum", "equal", "less", "greater_or_equal"):
        if b or op not in ("div", "mod", "fmod"):
            opcheck(f"mm.{op}", [np.array([a]), np.array(b)])
    opcheck("mm.relu", [np.array([a])])


def test_a_size_keeps_its_name_when_a_pass_finds_relu_in_its_arithmetic() -> None:
    network = mm.Network()
    size = network.sizes(network.add_input("size", mm.int64, (1,)))
    known = known_value(network.relu(network.sub(size, 5)))
    assert known is not None
    assert str(known.flat[0]) == "max(d1 - 5, 0)"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([1, 2, 3, 4]), max_size=4), st.data())
def test_every_reshape_is_inferred(shape: list[int], data: st.DataObject) -> None:
    x = np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)
    target = data.draw(st.permutations(shape))
    if target and data.draw(st.booleans()):
        target[data.draw(st.integers(0, len(target) - 1))] = -1
    assert not opcheck("mm.reshape", [x, np.array(target, np.int64)]).unknown
