"""Many threads, processes and engines at once: results are bit-equal to serial ones, and nothing hangs."""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pluggy
import pytest

import mm_core as mm
from mm_core import plugins
from mm_core.plugins.hookspecs import PROJECT, HookSpecifications, hookimpl

RANDOM = np.random.default_rng(0)
WEIGHT = RANDOM.normal(0, 0.1, (96, 96)).astype(np.float32)


def network() -> mm.Network:
    """Enough work for generated code and for several threads, of a size that the request gives."""
    net = mm.Network("dense")
    x = net.add_input("x", "float32", ("N", 96))
    for _ in range(3):
        x = net.gelu(net.matmul(x, WEIGHT))
    net.mark_output(net.softmax(x, axis=1), "y")
    return net


@pytest.fixture(scope="module")
def model() -> mm.Model:
    return mm.Builder().build(network())


def rows(count: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(count).normal(0, 1, (count, 96)).astype(np.float32)


SIZES = (1, 3, 64, 200)


def serial(model: mm.Model) -> dict[int, bytes]:
    context = model.create_engine(threads=1).create_context()
    return {count: context.run({"x": rows(count)})["y"].tobytes() for count in SIZES}


def at_once(work: Callable[[int], None], threads: int) -> None:
    """Run `work` on threads that start together; raises what any of them raised."""
    gate = threading.Barrier(threads)

    def started(number: int) -> None:
        gate.wait(30)
        work(number)

    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(started, number) for number in range(threads)]:
            future.result(60)


def test_contexts_in_many_threads_are_bit_equal_to_serial_runs(model: mm.Model) -> None:
    expected, engine = serial(model), model.create_engine(threads=2)

    def work(number: int) -> None:
        context = engine.create_context()
        for step in range(25):
            count = SIZES[(number + step) % len(SIZES)]
            assert context.run({"x": rows(count)})["y"].tobytes() == expected[count]

    at_once(work, 8)


def test_an_engine_serves_while_others_come_and_go(model: mm.Model) -> None:
    expected, engine = serial(model), model.create_engine()

    def work(number: int) -> None:
        for _ in range(10):
            used = engine if number % 2 else model.create_engine(threads=1 + number % 3)
            assert used.create_context().run({"x": rows(64)})["y"].tobytes() == expected[64]
            del used
            gc.collect()

    at_once(work, 4)


def test_a_context_in_two_threads_says_so_and_stays_usable(model: mm.Model) -> None:
    context, answers, expected = model.create_engine().create_context(), [], serial(model)

    def work(number: int) -> None:
        for _ in range(50):
            try:
                assert context.run({"x": rows(200)})["y"].tobytes() == expected[200]
                answers.append("")
            except mm.InputError as error:
                answers.append(error.what)

    at_once(work, 4)
    assert "" in answers
    assert set(answers) <= {"", "the context is in use by another thread"}
    assert context.run({"x": rows(1)})["y"].tobytes() == expected[1]


def test_a_queue_closed_while_busy_finishes_what_it_has(model: mm.Model) -> None:
    expected, engine = serial(model), model.create_engine()
    context, queue = engine.create_context(), engine.create_queue()
    tasks = [context.enqueue({"x": rows(200)}, queue) for _ in range(20)]
    closers = [threading.Thread(target=queue.close) for _ in range(3)]
    for closer in closers:
        closer.start()
    refusals = []
    for _ in range(20):
        try:
            tasks.append(context.enqueue({"x": rows(200)}, queue))
        except mm.DeviceError as error:
            refusals.append(str(error))
    for closer in closers:
        closer.join(30)
        assert not closer.is_alive()
    assert refusals
    assert all("closed" in message for message in refusals)
    assert all(task.result(30)["y"].tobytes() == expected[200] for task in tasks)
    queue.sync()
    queue.close()


def test_queues_that_nobody_closes_go_with_the_engine(model: mm.Model) -> None:
    before = threading.active_count()
    for _ in range(20):
        engine = model.create_engine()
        queue = engine.create_queue()
        engine.create_context().enqueue({"x": rows(3)}, queue).result(30)
        del engine, queue
    gc.collect()
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


class Failing:
    """A hook plugin whose hook raises."""

    @hookimpl
    def mm_request_finished(self, seconds: float) -> None:
        raise ValueError("the hook's own mistake")


def test_a_hook_that_raises_ends_its_request_and_no_other(model: mm.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, context = serial(model), model.create_engine().create_context()
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HookSpecifications)
    manager.register(Failing(), "failing")
    with monkeypatch.context() as changed:
        changed.setattr(plugins, "hooks", lambda: manager.hook)
        with pytest.raises(ValueError, match="own mistake"):
            context.run({"x": rows(3)})
    assert context.run({"x": rows(3)})["y"].tobytes() == expected[3]


def _child(data: bytes, answer: Any) -> None:
    context = mm.Model.load(data).create_engine(threads=2).create_context()
    answer.put(context.run({"x": rows(200)})["y"].tobytes())


def _forked(engine: Any, context: Any, queue: Any, answer: Any) -> None:
    """In a forked child: inherited engines go on, inherited queues say that they stayed with the parent."""
    answer.put(engine.create_context().run({"x": rows(200)})["y"].tobytes())
    answer.put(context.run({"x": rows(3)})["y"].tobytes())
    try:
        context.enqueue({"x": rows(3)}, queue)
        answer.put("accepted")
    except mm.DeviceError as error:
        answer.put(str(error))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_after_use(model: mm.Model) -> None:
    expected, engine = serial(model), model.create_engine(threads=2)
    context, queue = engine.create_context(), engine.create_queue()
    context.enqueue({"x": rows(200)}, queue).result(30)
    start = multiprocessing.get_context("fork")
    answer = start.Queue()
    process = start.Process(target=_forked, args=(engine, context, queue, answer))
    process.start()
    assert answer.get(timeout=30) == expected[200]
    assert answer.get(timeout=30) == expected[3]
    assert "create a queue after forking" in answer.get(timeout=30)
    process.join(30)
    assert process.exitcode == 0
    assert context.run({"x": rows(200)})["y"].tobytes() == expected[200]
    queue.close()


def test_spawned_processes(model: mm.Model, tmp_path: Path) -> None:
    model.save(tmp_path / "m.mm")
    data, expected = (tmp_path / "m.mm").read_bytes(), serial(model)
    start = multiprocessing.get_context("spawn")
    answer = start.Queue()
    processes = [start.Process(target=_child, args=(data, answer)) for _ in range(2)]
    for process in processes:
        process.start()
    assert [answer.get(timeout=60) for _ in processes] == [expected[200]] * 2
    for process in processes:
        process.join(30)
        assert process.exitcode == 0


BUSY = """
import numpy as np, sys, mm_core as mm
model = mm.Model.load(sys.argv[1])
engine = model.create_engine(threads=2)
queue, context = engine.create_queue(), engine.create_context()
tasks = [context.enqueue({"x": np.ones((500, 96), np.float32)}, queue) for _ in range(30)]
print("leaving")
"""


def test_the_interpreter_ends_while_a_queue_is_busy(model: mm.Model, tmp_path: Path) -> None:
    model.save(tmp_path / "m.mm")
    run = subprocess.run(
        [sys.executable, "-c", BUSY, str(tmp_path / "m.mm")], capture_output=True, text=True, timeout=60, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "leaving\n", "")


BUILD = """
import sys, mm_core as mm
from tests.test_concurrency import network
mm.Builder().build(network()).save(sys.argv[1])
"""


def test_two_processes_build_into_one_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MM_CACHE_DIR", str(tmp_path / "cache"))
    files = [tmp_path / f"{number}.mm" for number in range(2)]
    processes = [subprocess.Popen([sys.executable, "-c", BUILD, str(file)]) for file in files]
    assert [process.wait(120) for process in processes] == [0, 0]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert not [path for path in (tmp_path / "cache").rglob("tmp*") if path.is_file()]


def test_garbage_in_the_cache_is_a_miss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MM_CACHE_DIR", str(tmp_path / "cache"))
    mm.Builder().build(network()).save(tmp_path / "first.mm")
    entries = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert entries
    for number, path in enumerate(entries):
        content = path.read_bytes()
        path.write_bytes((b"", content[:20], content[:-1], content[:40] + b"\x00" + content[41:])[number % 4])
    mm.Builder().build(network()).save(tmp_path / "second.mm")
    assert (tmp_path / "first.mm").read_bytes() == (tmp_path / "second.mm").read_bytes()
    for path in entries:
        path.unlink()
        path.mkdir()  # A folder where an entry belongs can be neither read nor replaced.
    mm.Builder().build(network()).save(tmp_path / "third.mm")
    assert (tmp_path / "first.mm").read_bytes() == (tmp_path / "third.mm").read_bytes()


FULL = """
import resource, signal, sys, mm_core as mm
model = mm.Model.load(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    model.save(sys.argv[2])
except mm.ModelFileError as error:
    print(error)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit on the size of files")
def test_a_full_disk_leaves_the_old_file(model: mm.Model, tmp_path: Path) -> None:
    source, target = tmp_path / "m.mm", tmp_path / "out" / "m.mm"
    target.parent.mkdir()
    model.save(source)
    target.write_bytes(b"before")
    run = subprocess.run(
        [sys.executable, "-c", FULL, str(source), str(target)], capture_output=True, text=True, timeout=60, check=True
    )
    assert "cannot write the model file: File too large" in run.stdout
    assert target.read_bytes() == b"before"
    assert [path.name for path in target.parent.iterdir()] == ["m.mm"]
