"""The MLU with the CPU beside it: what only the CPU has, in the middle; both at once; nothing copied without need."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mlu_networks import floats, integers
from mm_backend_cpu.device import CpuQueue
from mm_backend_mlu.drivers.emulated import EmulatedDriver, EmulatedModule
from mm_backend_reference import interpret

import mm_core as mm
from mm_core.model import Copy, Launch

WEIGHT = floats(16, 16)
X = floats(8, 16)
LIMIT_SECONDS = 60.0


def head(net: mm.Network, x: mm.Value) -> mm.Value:
    """For the device."""
    return net.softmax(net.matmul(x, WEIGHT), axis=-1)


def strings(net: mm.Network) -> dict[str, Any]:
    x = net.add_input("x", mm.float32, (8, 16))
    left, right = (net.add_input(name, mm.string, (8,)) for name in ("left", "right"))
    same = net.reshape(net.equal(left, right), [8, 1])
    net.mark_output(net.exp(net.select(same, head(net, x), net.neg(x))), "y")
    return {"x": X, "left": np.array(list("abcdefgh"), object), "right": np.array(list("abxdexgh"), object)}


def sizes_that_data_tell(net: mm.Network) -> dict[str, Any]:
    y = head(net, net.add_input("x", mm.float32, (8, 16)))
    rows = net.nonzero(net.greater(net.reduce_max(y, axes=(1,), keepdims=False), np.float32(0.5)))
    net.mark_output(net.exp(net.gather(y, net.reshape(rows, [-1]), axis=0)), "y")
    net.mark_output(net.exp(y), "all")
    return {"x": X}


def control_flow(net: mm.Network) -> dict[str, Any]:
    x, count = net.add_input("x", mm.float32, (8, 16)), net.add_input("n", mm.int64, ())
    body = mm.ir.Graph(within=net)
    body.add_argument(count.type)
    going, value = body.add_argument(mm.TensorType(mm.bool_, ())), body.add_argument(x.type)
    body.set_outputs([going, body.tanh(body.matmul(value, WEIGHT))])
    (last,) = net.loop(count, None, head(net, x), carried=1, regions=(body,))
    net.mark_output(head(net, last), "y")
    return {"x": X, "n": np.array(3)}


def scan(net: mm.Network) -> dict[str, Any]:
    x = net.add_input("x", mm.float32, (8, 16))
    net.mark_output(head(net, net.cumprod(head(net, x), axis=1)), "y")
    return {"x": X}


def boxes(net: mm.Network) -> dict[str, Any]:
    places, scores = net.add_input("places", mm.float32, (1, 20, 4)), net.add_input("scores", mm.float32, (1, 2, 20))
    limits = np.array([5]), np.array([0.3], np.float32), np.array([0.01], np.float32)
    net.mark_output(net.non_max_suppression(net.exp(places), net.softmax(scores, axis=-1), *limits), "y")
    return {"places": floats(1, 20, 4), "scores": floats(1, 2, 20)}


def symbolic_rows(net: mm.Network) -> dict[str, Any]:
    table = head(net, net.add_input("x", mm.float32, (8, 16)))
    net.mark_output(net.gather(table, net.add_input("rows", mm.int64, ("N",)), axis=0), "y")
    return {"x": X, "rows": integers(5, low=0, high=8)}


def build(net: mm.Network, *backends: str) -> mm.Model:
    return mm.Builder(mm.BuilderConfig(backends=backends or ("mlu", "cpu"))).build(net)


@pytest.mark.parametrize("describe", [strings, sizes_that_data_tell, control_flow, scan, boxes, symbolic_rows])
def test_what_only_the_cpu_has(describe: Callable[[mm.Network], dict[str, Any]]) -> None:
    net = mm.Network("mixed")
    inputs = describe(net)
    wanted = build(net, "reference").create_engine().create_context().run(inputs)
    model = build(net)
    placed = {record.device for record in model.report.placement}
    assert "mlu" in placed
    assert placed & {"cpu", "reference", "host"}
    assert all(record.reason.startswith("mlu: ") for record in model.report.placement if record.device == "cpu")
    context = model.create_engine(devices=["mlu:0", "cpu:0"]).create_context()
    for _ in range(2):
        got = context.run(inputs)
        for name, expected in wanted.items():
            np.testing.assert_allclose(got[name], expected, rtol=1e-4, atol=1e-5, err_msg=name)


def branches(device_first: bool) -> mm.Network:
    """Two independent branches, of which one is the CPU's, and their sum."""
    net = mm.Network("branches")
    x = net.add_input("x", mm.float32, (8, 16))

    def device() -> mm.Value:
        return head(net, head(net, x))

    def host() -> mm.Value:
        return net.cumprod(x, axis=1)

    left, right = (device(), host()) if device_first else (host(), device())
    net.mark_output(net.add(left, right), "y")
    return net


@pytest.mark.parametrize("device_first", [True, False])
def test_independent_branches_run_at_once(monkeypatch: pytest.MonkeyPatch, device_first: bool) -> None:
    """Each side ends when the other one has begun: one after the other would not end."""
    began = {"mlu": threading.Event(), "cpu": threading.Event()}
    met: list[bool] = []

    def meeting(owner: type, method: str, mine: str, other: str) -> None:
        original = getattr(owner, method)

        def watched(*arguments: Any) -> Any:
            began[mine].set()
            met.append(began[other].wait(LIMIT_SECONDS))
            return original(*arguments)

        monkeypatch.setattr(owner, method, watched)

    net = branches(device_first)
    (wanted,) = interpret(net, [X])
    context = build(net).create_engine().create_context()
    meeting(EmulatedModule, "launch", "mlu", "cpu")
    meeting(CpuQueue, "run", "cpu", "mlu")
    np.testing.assert_allclose(context.run({"x": X})["y"], wanted, rtol=1e-4, atol=1e-5)
    assert len(met) > 1
    assert all(met)


def test_what_is_on_the_device_stays_there() -> None:
    """The input goes to the device once, the CPU's branch once, the result comes back; the device's branch stays."""
    model = build(branches(True))
    steps = model.plan.main.instructions
    parts = [model.plan.devices[model.plan.parts[step.part].device] for step in steps if isinstance(step, Launch)]
    assert parts == ["mlu", "cpu", "mlu"]
    moved = [
        tuple("host" if end < 0 else model.plan.devices[end] for end in (step.source_device, step.target_device))
        for step in steps
        if isinstance(step, Copy)
    ]
    assert moved == [("host", "mlu"), ("cpu", "mlu"), ("mlu", "host")]


def test_memory_comes_back_after_a_request_and_with_the_engine() -> None:
    def used() -> int:
        gc.collect()
        return driver._used

    model = build(branches(True))
    engine = model.create_engine()
    driver: Any = engine.devices[0].driver  # type: ignore[attr-defined]
    assert isinstance(driver, EmulatedDriver)
    constants = used()
    assert constants >= 2 * WEIGHT.nbytes
    context = engine.create_context()
    context.run({"x": X})
    workspace = max(part.workspace_bytes for part in model.executables if part.backend == "mlu")
    for _ in range(3):
        assert used() == constants + -(-workspace // 4096) * 4096  # Nothing of the request itself.
        context.run({"x": X})
    context.close()
    del context
    assert used() == constants
    del engine
    assert used() == 0


def test_threads_queues_and_cards_agree() -> None:
    """Contexts in threads, requests in queues, and the second card, all at the same time."""
    model = build(branches(True))
    engine, other = model.create_engine(), model.create_engine(devices=["mlu:1", "cpu:0"])
    expected = engine.create_context().run({"x": X})["y"]
    results: list[np.ndarray] = []

    def serve(served: Any) -> None:
        context = served.create_context()
        results.extend(context.run({"x": X})["y"] for _ in range(8))

    threads = [threading.Thread(target=serve, args=(served,)) for served in (engine, engine, other)]
    queues, contexts = [engine.create_queue() for _ in range(2)], [engine.create_context() for _ in range(2)]
    for thread in threads:
        thread.start()
    tasks = [contexts[index % 2].enqueue({"x": X}, queues[index % 2]) for index in range(10)]
    results.extend(task.result(LIMIT_SECONDS)["y"] for task in tasks)
    for thread in threads:
        thread.join(LIMIT_SECONDS)
    assert len(results) == 34
    assert all(np.array_equal(result, expected) for result in results)
    for queue in queues:
        queue.close()
