"""The shorter way of requests: taken where the whole model is one program of the host, left for all that is unusual."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import mm_core as mm

native = pytest.importorskip("mm_backend_cpu._request", reason="built without Python's headers")


def context(*sizes: Any) -> Any:
    network = mm.Network("sum")
    left = network.add_input("left", mm.float32, sizes)
    right = network.add_input("right", mm.float32, sizes)
    network.add_input("unread", mm.int64, (2,))
    network.mark_output(network.sub(left, right), "difference")
    network.mark_output(network.reduce_sum(network.mul(left, right), axes=(-1,), keepdims=False), "products")
    return mm.Builder(mm.BuilderConfig(backends=["cpu"])).build(network).create_engine().create_context()


def request(*sizes: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    arrays = {name: rng.standard_normal(sizes).astype(np.float32) for name in ("left", "right")}
    return {**arrays, "unread": np.array([1, 2])}


def check(results: dict[str, Any], given: dict[str, np.ndarray]) -> None:
    assert list(results) == ["difference", "products"]
    np.testing.assert_array_equal(results["difference"], given["left"] - given["right"])
    np.testing.assert_allclose(results["products"], (given["left"] * given["right"]).sum(-1), rtol=1e-5, atol=1e-5)
    assert results["difference"].flags.owndata or results["difference"].base is not None


@pytest.mark.parametrize("sizes", [(3, 5), (40, 64), (0, 4)])
def test_results_are_the_same_and_new_each_time(sizes: tuple[int, ...]) -> None:
    shortened = context(*sizes)
    first = shortened.run(request(*sizes))
    assert shortened._shortcut is not None
    for seed in range(3):
        given = request(*sizes, seed=seed)
        found = shortened.run(given)
        check(found, given)
        assert not np.shares_memory(found["difference"], first["difference"])


def test_sizes_that_change_make_new_shortcuts() -> None:
    shortened = context("N", 4)
    for rows in (3, 3, 7, 3):
        given = request(rows, 4, seed=rows)
        check(shortened.run(given), given)


def test_unusual_requests_go_the_long_way() -> None:
    shortened = context(2, 3)
    given = request(2, 3)
    shortened.run(given)
    reversed_ = {name: given[name] for name in reversed(given)}
    check(shortened.run(reversed_), given)
    check(shortened.run({**given, "left": given["left"].tolist()}), given)
    strided = np.zeros((2, 6), np.float32)[:, ::2]
    check(shortened.run({**given, "left": strided}), {**given, "left": strided})
    target = np.empty((2, 3), np.float32)
    assert shortened.run(given, outputs={"difference": target})["difference"] is target
    with pytest.raises(mm.InputError, match="float64"):
        shortened.run({**given, "left": given["left"].astype(np.float64)})
    with pytest.raises(mm.InputError, match="shape"):
        shortened.run({**given, "left": np.zeros((3, 2), np.float32)})
    with pytest.raises(mm.InputError, match="missing: unread"):
        shortened.run({name: given[name] for name in ("left", "right")})
    check(shortened.run(given), given)


def test_an_index_out_of_range_is_the_same_error() -> None:
    network = mm.Network("lookup")
    table = network.add_input("table", mm.float32, (4, 2))
    network.mark_output(network.gather(table, network.add_input("at", mm.int64, (3,)), axis=0, name="look"), "y")
    found = mm.Builder(mm.BuilderConfig(backends=["cpu"])).build(network).create_engine().create_context()
    data = np.arange(8, dtype=np.float32).reshape(4, 2)
    found.run({"table": data, "at": np.array([0, 1, 3])})
    assert found._shortcut is not None
    with pytest.raises(mm.InputError, match="outside its axis") as caught:
        found.run({"table": data, "at": np.array([0, 4, 3])})
    assert "look" in str(caught.value)
    np.testing.assert_array_equal(found.run({"table": data, "at": np.array([3, 0, -1])})["y"], data[[3, 0, -1]])


def test_two_threads_in_one_context_are_told() -> None:
    shortened = context(600, 600)
    given = request(600, 600)
    shortened.run(given)
    refused = []

    def work() -> None:
        for _ in range(30):
            try:
                check(shortened.run(given), given)
            except mm.InputError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("in use by another thread" in text for text in refused)
