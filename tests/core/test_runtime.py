"""Requests: whose memory results are, what contexts and threads may do, sizes, guards, and what goes wrong."""

from __future__ import annotations

import gc
import os
import threading
import weakref

import numpy as np
import pytest

import mm_core as mm
from mm_core.errors import DeviceError, InputError

BACKENDS = ["cpu", "reference"]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def build(network: mm.Network, backend: str = "cpu", **options: object) -> mm.Model:
    return mm.Builder(mm.BuilderConfig(backends=[backend], **options)).build(network)


def context(network: mm.Network, backend: str = "cpu", **options: object):
    return build(network, backend, **options).create_engine().create_context()


def layers() -> mm.Network:
    """Two dense layers with a symbolic batch."""
    rng = np.random.default_rng(0)
    net = mm.Network("layers")
    x = net.add_input("x", mm.float32, ("N", 16))
    h = net.relu(net.linear(x, rng.standard_normal((32, 16)).astype(np.float32)))
    net.mark_output(net.softmax(net.linear(h, rng.standard_normal((5, 32)).astype(np.float32))), "y")
    return net


def handed_through() -> mm.Network:
    """Outputs that are an input, a constant, the same value twice, and views of all of these."""
    net = mm.Network("handed_through")
    x = net.add_input("x", mm.float32, (2, 3))
    constant = net.constant(np.arange(6, dtype=np.float32).reshape(2, 3))
    made = net.neg(x)
    for name, value in {
        "input": x, "constant": constant, "made": made, "again": made,
        "input_view": net.reshape(x, np.array([3, 2])), "constant_view": net.transpose(constant, permutation=(1, 0)),
        "made_view": net.reshape(made, np.array([6])), "made_column": net.slice(made, [0], [1], [1]),
    }.items():  # fmt: skip
        net.mark_output(value, name)
    return net


# ---- results belong to the caller --------------------------------------------------------------------------------


@pytest.mark.parametrize("opt_level", [0, 2])
def test_results_are_the_callers_own(backend: str, opt_level: int) -> None:
    ready = context(handed_through(), backend, opt_level=opt_level)
    x = np.arange(6, dtype=np.float32).reshape(2, 3) + 10
    kept = x.copy()
    first = ready.run({"x": x})
    wanted = {name: array.copy() for name, array in first.items()}
    for name, array in first.items():
        assert array.flags.writeable, name
        assert not np.shares_memory(array, x), name
        others = [other for key, other in first.items() if key != name]
        assert not any(np.shares_memory(array, other) for other in others), name
    for array in first.values():
        array[...] = np.nan
    second = ready.run({"x": x})
    np.testing.assert_array_equal(x, kept)
    for name, array in second.items():
        np.testing.assert_array_equal(array, wanted[name], err_msg=name)
        assert not any(np.shares_memory(array, other) for other in first.values()), name
    np.testing.assert_array_equal(second["constant_view"], np.arange(6, dtype=np.float32).reshape(2, 3).T)


def test_results_inside_sequences_are_the_callers_own() -> None:
    net = mm.Network("pair")
    x = net.add_input("x", mm.float32, (3,))
    items = net.add_typed_input("items", mm.SequenceType(mm.TensorType(mm.float32, (3,))))
    net.mark_output(net.sequence_construct(x, x, net.constant(np.ones(3, np.float32))), "sequence")
    net.mark_output(items, "items_again")
    net.mark_output(net.sequence_at(items, np.int64(0)), "first")
    ready = context(net)
    x_value, item = np.arange(3, dtype=np.float32), np.full(3, 7, np.float32)
    got = ready.run({"x": x_value, "items": [item]})
    arrays = [*got["sequence"], *got["items_again"], got["first"]]
    for index, array in enumerate(arrays):
        others = [x_value, item, *arrays[:index]]
        assert not any(np.shares_memory(array, other) for other in others), index
        array += 1
    again = ready.run({"x": x_value, "items": [item]})
    np.testing.assert_array_equal(again["sequence"][2], np.ones(3))
    np.testing.assert_array_equal(again["first"], np.full(3, 7))


def test_given_arrays_are_filled(backend: str) -> None:
    ready = context(handed_through(), backend)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    wanted = ready.run({"x": x})
    strided = np.zeros((2, 6), np.float32)[:, ::2]
    targets = {"made": np.zeros((2, 3), np.float32), "again": strided, "input": np.zeros((2, 3), np.float32)}
    got = ready.run({"x": x}, targets)
    for name, target in targets.items():
        assert got[name] is target
        np.testing.assert_array_equal(target, wanted[name])
    np.testing.assert_array_equal(got["made_view"], wanted["made_view"])


@pytest.mark.parametrize("threads", [1, 2])
def test_given_arrays_may_overlap_inputs_and_each_other(backend: str, threads: int) -> None:
    net = mm.Network("mix")
    x = net.add_input("x", mm.float32, (64, 64))
    weights = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    net.mark_output(net.matmul(x, weights), "product")
    net.mark_output(net.reverse(x, axes=(0,)), "reversed")
    net.mark_output(x, "same")
    ready = build(net, backend).create_engine(threads=threads).create_context()
    x_value = np.random.default_rng(1).standard_normal((64, 64)).astype(np.float32)
    wanted = ready.run({"x": x_value})
    for name in wanted:
        data = x_value.copy()
        assert ready.run({"x": data}, {name: data})[name] is data
        np.testing.assert_array_equal(data, wanted[name], err_msg=name)
    data = x_value.copy()
    ready.run({"x": data}, {"same": data[::-1]})
    np.testing.assert_array_equal(data[::-1], wanted["same"])


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (np.zeros((2, 3), np.float64), "writable array of float32"),
        (np.zeros((3, 2), np.float32), r"\[2, 3\].*\[3, 2\]"),
        (np.broadcast_to(np.float32(0), (2, 3)), "writable"),
        ([[0.0] * 3] * 2, "writable"),
    ],
)
def test_given_arrays_that_do_not_fit(target: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        context(handed_through()).run({"x": np.zeros((2, 3), np.float32)}, {"made": target})


def test_an_unknown_output_is_named() -> None:
    with pytest.raises(InputError, match=r"no output 'maed'.*made"):
        context(handed_through()).run({"x": np.zeros((2, 3), np.float32)}, {"maed": np.zeros((2, 3), np.float32)})


# ---- threads and processes -----------------------------------------------------------------------------------------


def test_contexts_of_many_threads_give_the_bits_of_a_serial_run(backend: str) -> None:
    engine = build(layers(), backend).create_engine(threads=2)
    batches = [np.random.default_rng(n).standard_normal((n % 4 + 1, 16)).astype(np.float32) for n in range(24)]
    serial = engine.create_context()
    wanted = [serial.run({"x": batch})["y"].tobytes() for batch in batches]
    got: dict[int, bytes] = {}

    def work(first: int) -> None:
        own = engine.create_context()
        for index in range(first, len(batches), 4):
            for _ in range(5):
                got[index] = own.run({"x": batches[index]})["y"].tobytes()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [got.get(index) for index in range(len(batches))] == wanted


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    model = build(layers())
    x = np.random.default_rng(3).standard_normal((37, 16)).astype(np.float32)
    results = {
        model.create_engine(threads=n).create_context().run({"x": x})["y"].tobytes() for n in (1, 2, 3, 7)
    }
    assert len(results) == 1


def test_a_context_in_use_says_so() -> None:
    ready = context(layers())
    x = np.zeros((1, 16), np.float32)
    entered, leave = threading.Event(), threading.Event()

    class Watcher:
        wants_results, wants_times = False, True

        def kernel(self, label: str, nodes: object, seconds: float) -> None:
            entered.set()
            assert leave.wait(10)

        def result(self, label: str, nodes: object, array: object) -> None: ...

    ready.observer = Watcher()
    thread = threading.Thread(target=ready.run, args=({"x": x},))
    thread.start()
    try:
        assert entered.wait(10)
        with pytest.raises(InputError, match=r"in use by another thread.*one context for each request"):
            ready.run({"x": x})
    finally:
        leave.set()
        thread.join()
    ready.observer = None
    assert ready.run({"x": x})["y"].shape == (1, 5)


def test_a_failed_request_leaves_the_context_usable(backend: str) -> None:
    ready = context(layers(), backend)
    x = np.random.default_rng(0).standard_normal((2, 16)).astype(np.float32)
    wanted = ready.run({"x": x})["y"]
    with pytest.raises(InputError):
        ready.run({"x": x[:, :3]})
    np.testing.assert_array_equal(ready.run({"x": x})["y"], wanted)


def test_what_nobody_holds_is_collected(backend: str) -> None:
    engine = build(layers(), backend).create_engine()
    ready, queue = engine.create_context(), engine.create_queue()
    task = ready.enqueue({"x": np.zeros((1, 16), np.float32)}, queue)
    task.result(10)
    queue.sync()
    threads = threading.active_count()
    watched = [weakref.ref(thing) for thing in (engine, ready, queue)]
    del engine, ready, queue, task
    for _ in range(50):
        gc.collect()
        if not any(reference() for reference in watched) and threading.active_count() < threads:
            break
        threading.Event().wait(0.02)
    assert [reference() for reference in watched] == [None] * 3
    assert threading.active_count() < threads, "the queue's thread outlives the queue"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_goes_on_with_the_engine(backend: str) -> None:
    engine = build(layers(), backend).create_engine(threads=2)
    ready, queue = engine.create_context(), engine.create_queue()
    x = np.random.default_rng(0).standard_normal((64, 16)).astype(np.float32)
    wanted = ready.enqueue({"x": x}, queue).result(10)["y"]
    child = os.fork()
    if child == 0:
        status = 1
        try:
            same = np.array_equal(ready.run({"x": x})["y"], wanted)
            with engine.create_queue() as own:
                same &= np.array_equal(engine.create_context().enqueue({"x": x}, own).result(10)["y"], wanted)
            try:
                ready.enqueue({"x": x}, queue)
            except DeviceError as error:
                status = 0 if same and "after forking" in str(error) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(ready.run({"x": x})["y"], wanted)


# ---- sizes ---------------------------------------------------------------------------------------------------------


def test_every_batch_size_in_turn(backend: str) -> None:
    ready = context(layers(), backend)
    oracle = context(layers(), "reference")
    for batch in (3, 1, 8, 0, 3, 1):
        x = np.random.default_rng(batch).standard_normal((batch, 16)).astype(np.float32)
        got = ready.run({"x": x})["y"]
        assert got.shape == (batch, 5)
        np.testing.assert_allclose(got, oracle.run({"x": x})["y"], rtol=1e-5, atol=1e-6)


def test_empty_tensors_and_scalars(backend: str) -> None:
    net = mm.Network("odd")
    empty = net.add_input("empty", mm.float32, (0, 3))
    scalar = net.add_input("scalar", mm.float32, ())
    net.mark_output(net.relu(empty), "empty_relu")
    net.mark_output(net.reduce_sum(empty, axes=(0,)), "sum")
    net.mark_output(net.mul(scalar, net.constant(np.float32(2))), "double")
    net.mark_output(net.add(empty, scalar), "broadcast")
    got = context(net, backend).run({"empty": np.zeros((0, 3), np.float32), "scalar": np.float32(1.5)})
    assert got["empty_relu"].shape == got["broadcast"].shape == (0, 3)
    np.testing.assert_array_equal(got["sum"], np.zeros((1, 3), np.float32))
    assert got["double"].shape == ()
    assert got["double"] == 3


def two_inputs() -> mm.Network:
    net = mm.Network("two")
    a = net.add_input("a", mm.float32, ("N", "M"))
    b = net.add_input("b", mm.float32, ("N", "K"))
    net.mark_output(net.add(a, b), "sum")
    return net


def test_sizes_that_contradict_each_other(backend: str) -> None:
    ready = context(two_inputs(), backend)
    ready.run({"a": np.ones((2, 3), np.float32), "b": np.ones((2, 3), np.float32)})
    with pytest.raises(InputError, match=r"dimension 0 of input 'b'.*N is 2 here, the size is 4"):
        ready.run({"a": np.ones((2, 3), np.float32), "b": np.ones((4, 3), np.float32)})


def test_a_guard_names_the_users_node(backend: str) -> None:
    net = mm.Network("guarded")
    a = net.add_input("a", mm.float32, ("M",))
    b = net.add_input("b", mm.float32, ("K",))
    net.mark_output(net.add(a, b, name="joining"), "sum")
    ready = context(net, backend)
    with pytest.raises(InputError, match=r"joining: .*K.*M.*|joining: .*M.*K.*"):
        ready.run({"a": np.ones(3, np.float32), "b": np.ones(5, np.float32)})


def test_dim_range_is_kept(backend: str) -> None:
    ready = context(layers(), backend, dim_range={"N": (1, 4)})
    assert ready.run({"x": np.zeros((4, 16), np.float32)})["y"].shape == (4, 5)
    for batch in (0, 5):
        with pytest.raises(InputError, match=f"N is {batch}, the model was built for 1 to 4"):
            ready.run({"x": np.zeros((batch, 16), np.float32)})


def test_sizes_found_through_arithmetic(backend: str) -> None:
    net = mm.Network("arithmetic")
    net.mark_output(net.relu(net.add_input("a", mm.float32, ("2*N + 1", "N + M"))), "y")
    net.mark_output(net.relu(net.add_input("b", mm.float32, ("M + K", "K + L"))), "z")
    ready = context(net, backend)
    got = ready.run({"a": np.ones((7, 8), np.float32), "b": np.ones((6, 10), np.float32)})
    assert got["y"].shape == (7, 8)
    assert got["z"].shape == (6, 10)
    with pytest.raises(InputError, match=r"no size of N makes 2\*N \+ 1 equal to 6"):
        ready.run({"a": np.ones((6, 8), np.float32), "b": np.ones((6, 10), np.float32)})
    with pytest.raises(InputError, match="no size of M"):
        ready.run({"a": np.ones((7, 2), np.float32), "b": np.ones((6, 10), np.float32)})
