"""Queues: order, overlap, failures, closing, and requests that share a context."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import numpy as np
import pytest

import mm_core as mm
from mm_core.errors import DeviceError, InputError
from mm_core.runtime.queue import Queue


@pytest.fixture(scope="module")
def engine():
    net = mm.Network("double")
    x = net.add_input("x", mm.float32, ("N",))
    net.mark_output(net.add(x, x), "y")
    return mm.Builder().build(net).create_engine()


def value(number: int) -> dict[str, np.ndarray]:
    return {"x": np.array([number], np.float32)}


def test_results_come_in_order_and_to_the_right_task(engine) -> None:
    context, queue = engine.create_context(), engine.create_queue()
    tasks = [context.enqueue(value(number), queue) for number in range(200)]
    queue.sync()
    assert all(task.is_done for task in tasks)
    assert [task.result()["y"][0] for task in tasks] == [2 * number for number in range(200)]
    results = [task.result()["y"] for task in tasks]
    assert not any(np.shares_memory(a, b) for a, b in pairwise(results))
    queue.close()


def test_many_queues_share_one_context(engine) -> None:
    context = engine.create_context()
    queues = [engine.create_queue() for _ in range(4)]
    tasks = [(n, context.enqueue(value(n), queues[n % 4])) for n in range(100)]
    assert all(task.result(10)["y"][0] == 2 * n for n, task in tasks)
    for queue in queues:
        queue.close()


def test_work_runs_in_the_order_it_was_submitted() -> None:
    seen: list[int] = []
    with Queue() as queue:
        for number in range(100):
            queue.submit(lambda number=number: seen.append(number) or {})
        queue.sync()
    assert seen == list(range(100))


def test_two_queues_overlap() -> None:
    """Each waits for the other: one after the other they would never end."""
    first, second = threading.Event(), threading.Event()

    def meet(mine: threading.Event, other: threading.Event) -> dict[str, object]:
        mine.set()
        return {"met": other.wait(10)}

    with Queue() as one, Queue() as two:
        tasks = [one.submit(lambda: meet(first, second)), two.submit(lambda: meet(second, first))]
        assert all(task.result(20)["met"] for task in tasks)


def test_submitting_does_not_wait() -> None:
    gate = threading.Event()
    with Queue() as queue:
        task = queue.submit(lambda: {"opened": gate.wait(10)})
        assert not task.is_done
        with pytest.raises(DeviceError, match=r"not finished within 0\.01 s"):
            task.result(0.01)
        gate.set()
        assert task.result(10) == {"opened": True}


def fail(number: int) -> dict[str, object]:
    raise InputError(f"failure {number}")


def test_a_failure_goes_to_its_task_and_to_the_next_sync() -> None:
    for _ in range(100):  # A sync that returns too early misses the failure only now and then.
        with Queue() as queue:
            bad = queue.submit(lambda: fail(1))
            with pytest.raises(InputError, match="failure 1"):
                queue.sync()
            with pytest.raises(InputError, match="failure 1"):
                bad.result()
            queue.sync()


def test_sync_raises_the_first_failure_and_later_work_goes_on() -> None:
    with Queue() as queue:
        tasks = [queue.submit(lambda: fail(1)), queue.submit(lambda: fail(2)), queue.submit(lambda: {"fine": 1})]
        with pytest.raises(InputError, match="failure 1"):
            queue.sync()
        queue.sync()
        assert tasks[2].result() == {"fine": 1}
        with pytest.raises(InputError, match="failure 2"):
            tasks[1].result()


def test_inputs_are_checked_when_they_are_submitted(engine) -> None:
    context = engine.create_context()
    with engine.create_queue() as queue:
        with pytest.raises(InputError, match="float64, expected float32"):
            context.enqueue({"x": np.ones(2)}, queue)
        queue.sync()


def test_closing_finishes_what_was_submitted(engine) -> None:
    seen: list[int] = []
    queue = engine.create_queue()
    for number in range(20):
        queue.submit(lambda number=number: time.sleep(0.001) or seen.append(number) or {})
    queue.close()
    assert seen == list(range(20))
    with pytest.raises(DeviceError, match="the queue is closed"):
        engine.create_context().enqueue(value(1), queue)
    queue.close()


def test_outputs_given_to_a_task_are_filled(engine) -> None:
    context = engine.create_context()
    targets = [np.zeros(1, np.float32) for _ in range(10)]
    with engine.create_queue() as queue:
        tasks = [context.enqueue(value(n), queue, {"y": target}) for n, target in enumerate(targets)]
        for task, target in zip(tasks, targets):
            assert task.result(10)["y"] is target
    assert [float(target[0]) for target in targets] == [2.0 * n for n in range(10)]
