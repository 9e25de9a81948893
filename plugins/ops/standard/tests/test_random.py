"""Random streams: their distributions, and what a seed fixes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mm_core as mm
from mm_core.testing.opcheck import opcheck

SHAPE = np.array([200, 50])


def test_uniform(reference: Any) -> None:
    y = reference("mm.random_uniform", SHAPE, low=-1.0, high=3.0, seed=1.0)
    assert y.dtype == np.float32
    assert -1 <= y.min() < -0.99
    assert 2.99 < y.max() < 3
    assert abs(y.mean() - 1) < 0.05
    opcheck("mm.random_uniform", [SHAPE], {"dtype": "float16", "seed": 3.0})


def test_normal(reference: Any) -> None:
    y = reference("mm.random_normal", SHAPE, mean=2.0, scale=3.0, seed=1.0)
    assert abs(y.mean() - 2) < 0.15
    assert abs(y.std() - 3) < 0.15
    opcheck("mm.random_normal", [SHAPE], {"dtype": "float64", "seed": 3.0})


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_seeded_streams_are_those_of_numpy(backend: str, dtype: str) -> None:
    """On a backend that has them and by the runtime, with a shape that is known and one that is read while running."""
    network = mm.Network("streams")
    shape = network.add_input("shape", mm.int64, (2,))
    for name, wanted in (("known", [5, 7]), ("read", shape)):
        network.mark_output(network.random_uniform(wanted, low=-1, high=2, dtype=dtype, seed=42.5), f"uniform_{name}")
        network.mark_output(network.random_normal(wanted, mean=1, scale=3, dtype=dtype, seed=-1), f"normal_{name}")
    network.mark_output(network.random_uniform([5, 7], dtype=dtype), "unseeded")
    model = mm.Builder(mm.BuilderConfig(backends=[backend])).build(network)
    context = model.create_engine().create_context()
    first, second = (context.run({"shape": np.array([5, 7])}) for _ in range(2))
    storage = first["unseeded"].dtype
    uniform = np.random.RandomState(42).uniform(-1, 2, (5, 7)).astype(storage)
    normal = np.random.RandomState(2**32 - 1).normal(1, 3, (5, 7)).astype(storage)
    for name in ("known", "read"):
        np.testing.assert_array_equal(first[f"uniform_{name}"], uniform)
        np.testing.assert_array_equal(first[f"normal_{name}"], normal)
    assert (first["unseeded"] != second["unseeded"]).any()


def test_dropout_follows_the_stream(reference: Any) -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    y, mask = reference("mm.dropout", x, np.array(0.75), np.array(True), seed=0.0)
    np.testing.assert_array_equal(mask, np.random.RandomState(0).uniform(0, 1, x.shape) >= 0.75)
    np.testing.assert_allclose(y, x * mask * 4)


@pytest.mark.parametrize("op", ["mm.random_uniform", "mm.random_normal"])
def test_a_seed_fixes_the_numbers_and_nothing_else_does(reference: Any, op: str) -> None:
    np.testing.assert_array_equal(reference(op, SHAPE, seed=5.0), reference(op, SHAPE, seed=5.0))
    assert (reference(op, SHAPE, seed=5.0) != reference(op, SHAPE, seed=6.0)).any()
    assert (reference(op, SHAPE) != reference(op, SHAPE)).any()


def test_bernoulli(reference: Any) -> None:
    x = np.broadcast_to(np.array([0, 0.25, 1], np.float32), (4000, 3)).copy()
    y = reference("mm.bernoulli", x, dtype="int32", seed=2.0)
    shares = y.mean(0)
    assert shares[0] == 0
    assert abs(shares[1] - 0.25) < 0.03
    assert shares[2] == 1
    opcheck("mm.bernoulli", [x], {"dtype": "bool", "seed": 2.0})


def test_multinomial(reference: Any) -> None:
    with np.errstate(divide="ignore"):
        x = np.log(np.array([[0.1, 0.2, 0.7], [1, 0, 0]], np.float32))
    y = reference("mm.multinomial", x, sample_size=20000, seed=1.0)
    np.testing.assert_allclose(np.bincount(y[0], minlength=3) / 20000, [0.1, 0.2, 0.7], atol=0.015)
    assert not y[1].any()
    opcheck("mm.multinomial", [x], {"sample_size": 30, "seed": 2.0, "dtype": "int64"})


def test_dropout(reference: Any) -> None:
    x, ratio = np.ones((500, 40), np.float32), np.array(0.25, np.float32)
    y, mask = reference("mm.dropout", x, ratio, np.array(True), seed=1.0)
    assert abs(mask.mean() - 0.75) < 0.02
    np.testing.assert_allclose(y, np.where(mask, 1 / 0.75, 0), rtol=1e-6)
    for training in (None, np.array(False)):
        y, mask = reference("mm.dropout", x, ratio, training)
        np.testing.assert_array_equal(y, x)
        assert mask.all()
    for training in (None, np.array(False), np.array(True)):
        opcheck("mm.dropout", [x, ratio, training], {"seed": 2.0})
    opcheck("mm.dropout", [x.astype(np.float16), None, np.array(True)], {"seed": 2.0})


def test_random_operators_are_never_merged() -> None:
    network = mm.Network()
    y = network.random_uniform([2, 3])
    assert mm.Trait.RANDOM in y.defining_op.definition.traits
    assert y.type.shape == (2, 3)
