"""The run half over both drivers: the emulator's, and the vendor's runtime through a stand-in for its library."""

from __future__ import annotations

import ctypes
import gc
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from mm_backend_mlu import EMULATED_CARDS, MluBackend, packed
from mm_backend_mlu.device import MluBuffer, MluDevice
from mm_backend_mlu.drivers import cnrt
from mm_backend_mlu.drivers.emulated import EmulatedDriver
from mm_backend_mlu.program import Buffer, Launch, Program, Tensor, Trace
from mm_backend_mlu.target import find_card

import mm_core as mm
from mm_core.device import Buffer as HostBuffer
from mm_core.device import Event, Queue
from mm_core.errors import DeviceError, MMError, ModelFileError
from mm_core.model import Executable
from mm_core.types import BY_NAME, TensorData

STANDIN = Path(__file__).parent / "standin"
FLOAT32, BYTE = BY_NAME["float32"], BY_NAME["uint8"]
Array = npt.NDArray[np.float32]

needs_compiler = pytest.mark.skipif(shutil.which("gcc") is None, reason="the stand-ins are compiled here")
pytestmark = needs_compiler


def compiled(source: Path, output: Path, *arguments: str) -> Path:
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", str(source), "-o", str(output), *arguments], check=True)
    return output


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("neuware") / "lib64"
    folder.mkdir()
    return compiled(STANDIN / "cnrt.c", folder / "libcnrt.so")


@pytest.fixture(scope="module")
def code(library: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("objects")
    vendor = ("-DVENDOR", f"-L{library.parent}", "-lcnrt", f"-Wl,-rpath,{library.parent}")
    return packed.pack(
        {
            packed.SOURCE: b"// two kernels",
            packed.EMULATED: compiled(STANDIN / "kernels.c", folder / "emulated.so").read_bytes(),
            packed.VENDOR: compiled(STANDIN / "kernels.c", folder / "vendor.so", *vendor).read_bytes(),
        }
    )


@dataclass
class Bench:
    """Two devices of one kind."""

    kind: str
    first: MluDevice
    second: MluDevice
    library: ctypes.CDLL

    def fail(self, function: str, code: int = 100015) -> None:
        self.library.standin_fail(function.encode(), code)


@pytest.fixture(params=["emulated", "cnrt"])
def bench(request: pytest.FixtureRequest, library: Path) -> Iterator[Bench]:
    loaded = ctypes.CDLL(str(library))
    loaded.standin_used.restype = ctypes.c_size_t
    if request.param == "emulated":
        card = replace(find_card("MLU370-X4"), dram_bytes=1 << 20)
        drivers: Sequence[Any] = [EmulatedDriver(f"mlu:{number}", card) for number in range(2)]
    else:
        found = cnrt.runtime(str(library))
        drivers = [cnrt.CnrtDriver(found, number, cnrt.target_of(found, number)) for number in range(2)]
    yield Bench(request.param, MluDevice(drivers[0]), MluDevice(drivers[1]), loaded)
    loaded.standin_fail(b"", 0)


PROGRAM = Program(
    "mtp_372",
    (),
    (Tensor("f32", (2, 4)),),
    (Tensor("f32", (8,)),),
    (32,),
    128,
    (
        Buffer("input", 0, 0, 32),
        Buffer("constant", 0, 0, 32),
        Buffer("workspace", 0, 64, 32),
        Buffer("output", 0, 0, 32),
    ),
    (
        Launch(0, (0, 1, 2), (2,), 0, 1, "mm.add", ("sum",)),
        Launch(1, (2, 3), (1,), 0, 9, "mm.mul", ("twice", "again")),
    ),
    (Trace(0, 2, "f32", (4, 2), (1, 4), "mm.add", ("sum",)),),
)
WEIGHTS = np.arange(8, dtype=np.float32) * 10


def executable(code: bytes, **changes: Any) -> Executable:
    return Executable("mlu", code, {"program": replace(PROGRAM, **changes).to_json()})


def expected(x: Array, tasks: int = 12) -> Array:
    result: Array = 2 * (x.reshape(-1) + WEIGHTS)
    result[0] += 1000 * tasks
    return result


@dataclass
class Request:
    """A program's memory on a device, and what its results are copied into."""

    device: MluDevice
    queue: Queue
    code: bytes
    changes: Any = None

    def __post_init__(self) -> None:
        self.program = self.device.load(executable(self.code, **(self.changes or {})), [WEIGHTS], None)
        self.bound = self.program.bind({})
        self.x = self.device.allocate(FLOAT32, (2, 4))
        self.y = self.device.allocate(FLOAT32, (8,))
        self.arena = self.device.allocate(BYTE, (4096,))
        self.found = HostBuffer(FLOAT32, (8,), np.full(8, np.nan, np.float32))

    def submit(self, x: Array, wait: Sequence[Event] = (), observer: Any = None) -> Event:
        copied = self.queue.copy(HostBuffer(FLOAT32, (2, 4), x), self.x, wait)
        ran = self.queue.launch(self.bound, [self.x], [self.y], self.arena, [copied], observer)
        return self.queue.copy(self.y, self.found, [ran])


def test_a_program_runs(bench: Bench, code: bytes) -> None:
    queue = bench.first.create_queue()
    request = Request(bench.first, queue, code)
    assert request.bound.output_shapes == ((8,),)
    assert (request.bound.workspace_bytes, request.bound.input_bytes, request.bound.output_bytes) == (128, (32,), (32,))
    for number in range(3):
        x = np.arange(8, dtype=np.float32).reshape(2, 4) + number
        assert request.submit(x).wait(10)
        assert request.found.array is not None
        np.testing.assert_array_equal(request.found.array, expected(x))
    queue.synchronize()
    queue.close()


def test_memory_comes_back(bench: Bench, code: bytes) -> None:
    def used() -> int:
        gc.collect()
        driver = bench.first.driver
        return driver._used if isinstance(driver, EmulatedDriver) else int(bench.library.standin_used())

    before, handles = used(), bench.library.standin_handles()
    queue = bench.first.create_queue()
    request = Request(bench.first, queue, code)
    request.submit(np.zeros((2, 4), np.float32)).wait()
    assert used() > before
    queue.close()
    del request, queue
    assert used() == before
    assert bench.library.standin_handles() == handles


def test_exhausted_memory_is_an_error_that_names_the_device(bench: Bench) -> None:
    for absurd in (1 << 21, 1 << 64 | 64):  # The second is 64 for a library that takes it as a size_t.
        with pytest.raises(DeviceError, match=rf"mlu:0 has 1048576 bytes of memory.* {absurd}"):
            bench.first.allocate(BYTE, (absurd,))
    held = bench.first.allocate(BYTE, (1 << 19,))
    with pytest.raises(DeviceError, match="mlu:0"):
        bench.first.allocate(BYTE, (held.nbytes + 1,))
    assert bench.first.allocate(BYTE, (1 << 18,)).nbytes == 1 << 18


def test_queues_wait_for_each_other(bench: Bench, code: bytes) -> None:
    """The second queue's copy from the first's memory waits for the event, whichever device it is of."""
    for other in (bench.first, bench.second):
        one, two = bench.first.create_queue(), other.create_queue()
        left, right = Request(bench.first, one, code), Request(other, two, code)
        x = np.arange(8, dtype=np.float32).reshape(2, 4)
        first = left.submit(x)
        assert left.found.array is not None
        middle = left.found.array.reshape(2, 4)  # written by the first submission, read by the second
        assert right.submit(middle, [first]).wait(10)
        assert right.found.array is not None
        np.testing.assert_array_equal(right.found.array, expected(expected(x).reshape(2, 4)))
        one.close()
        two.close()


class _Gate(Event):
    """An event of another device."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        return self.opened.wait(timeout)

    @property
    def is_done(self) -> bool:
        return self.opened.is_set()


def test_submissions_return_at_once_and_wait_for_foreign_events(bench: Bench, code: bytes) -> None:
    gate, queue = _Gate(), bench.first.create_queue()
    request = Request(bench.first, queue, code)
    done = request.submit(np.ones((2, 4), np.float32), [gate])
    assert not done.wait(0.05)
    assert not done.is_done
    gate.opened.set()
    assert done.wait(10)
    assert request.found.array is not None
    np.testing.assert_array_equal(request.found.array, expected(np.ones((2, 4), np.float32)))
    queue.close()


def test_a_failure_ends_in_the_events_that_depend_on_it(bench: Bench, code: bytes) -> None:
    queue = bench.first.create_queue()
    launches = (replace(PROGRAM.launches[0], kernel=2), PROGRAM.launches[1])
    bad, good = Request(bench.first, queue, code, {"launches": launches}), Request(bench.first, queue, code)
    x = np.ones((2, 4), np.float32)
    failed = bad.submit(x)
    with pytest.raises(DeviceError, match=r"7|sum"):
        failed.wait(10)
    assert failed.is_done
    with pytest.raises(DeviceError):
        good.submit(x, [failed]).wait(10)
    assert good.submit(x).wait(10)  # the queue goes on
    queue.close()


@pytest.mark.parametrize("bench", ["cnrt"], indirect=True)
def test_waiting_for_a_card_that_hangs_has_a_limit(
    bench: Bench, code: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDIN_HANGS", "1")
    queue = bench.first.create_queue()
    request = Request(bench.first, queue, code)
    ran = queue.launch(request.bound, [request.x], [request.y], request.arena)
    assert not ran.wait(0.05)
    monkeypatch.delenv("STANDIN_HANGS")
    assert ran.wait(10)
    queue.close()


class _Observer:
    wants_results = True
    wants_times = True

    def __init__(self) -> None:
        self.kernels: list[tuple[str, Sequence[str], float]] = []
        self.results: list[tuple[str, Sequence[str], Any]] = []

    def kernel(self, label: str, nodes: Sequence[str], seconds: float) -> None:
        self.kernels.append((label, nodes, seconds))

    def result(self, label: str, nodes: Sequence[str], array: Any) -> None:
        self.results.append((label, nodes, array))


def test_watched(bench: Bench, code: bytes) -> None:
    queue, watcher = bench.first.create_queue(), _Observer()
    request = Request(bench.first, queue, code)
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    request.submit(x, observer=watcher).wait()
    assert [(label, tuple(nodes)) for label, nodes, _ in watcher.kernels] == [
        ("mm.add", ("sum",)), ("mm.mul", ("twice", "again"))
    ]  # fmt: skip
    ((label, nodes, array),) = watcher.results
    assert (label, tuple(nodes)) == ("mm.add", ("sum",))
    np.testing.assert_array_equal(array, (x.reshape(-1) + WEIGHTS).reshape(2, 4).T)
    queue.close()


@pytest.mark.parametrize(
    ("tasks", "kind", "clusters", "dimension"),
    [(1, 0, (), 4), (9, 0, (), 12), (1000, 0, (), 32), (1000, 1, (2, 6), 24), (9, 2, (), 16), (9, 4, (6,), 16)],
)
def test_the_dimension_of_a_launch(
    bench: Bench, code: bytes, tasks: int, kind: int, clusters: tuple[int, ...], dimension: int
) -> None:
    launches = (PROGRAM.launches[0], replace(PROGRAM.launches[1], tasks=tasks, kind=kind))
    queue = bench.first.create_queue()
    request = Request(bench.first, queue, code, {"launches": launches, "clusters": clusters})
    x = np.zeros((2, 4), np.float32)
    request.submit(x).wait()
    assert request.found.array is not None
    np.testing.assert_array_equal(request.found.array, expected(x, dimension))
    queue.close()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arch": "mtp_592"}, "built for mtp_592 and mlu:0 is a mtp_372.*mlu_arch=mtp_372"),
        ({"clusters": (16, 32)}, "built for 16 or 32 clusters and the device has 8"),
        ({"arch": "mtp_1"}, "'mtp_1' is not an MLU architecture.*mtp_372"),
        ({"constants": (64,)}, "constants have other sizes"),
    ],
)
def test_models_for_other_devices_are_refused(bench: Bench, code: bytes, changes: Any, message: str) -> None:
    with pytest.raises(MMError, match=message):
        bench.first.load(executable(code, **changes), [WEIGHTS], None)


def test_code_for_another_host_is_refused_where_it_would_run(bench: Bench, code: bytes) -> None:
    elsewhere = replace(executable(code), requires={"system": "Linux", "machine": "z80"})
    if bench.kind == "emulated":
        with pytest.raises(DeviceError, match="does not run on this host: it was built for Linux on z80"):
            bench.first.load(elsewhere, [WEIGHTS], None)
    else:
        bench.first.load(elsewhere, [WEIGHTS], None)


def test_launches_too_wide_for_the_clusters(bench: Bench, code: bytes) -> None:
    launches = (PROGRAM.launches[0], replace(PROGRAM.launches[1], kind=8))
    queue = bench.first.create_queue()
    request = Request(bench.first, queue, code, {"launches": launches, "clusters": (2,)})
    with pytest.raises(DeviceError, match=r"needs 8 clusters together, mlu:0 gives 2"):
        request.submit(np.zeros((2, 4), np.float32)).wait()
    queue.close()


def test_code_that_is_not_there_or_damaged(bench: Bench, code: bytes) -> None:
    sections = packed.unpack(code)
    wanted = packed.EMULATED if bench.kind == "emulated" else packed.VENDOR
    without = packed.pack({name: content for name, content in sections.items() if name != wanted})
    with pytest.raises(DeviceError, match=r"has no code for"):
        bench.first.load(executable(without), [WEIGHTS], None)
    for broken in (code[:40], b"", b"MMBANG01", code[:-1000], packed.pack({wanted: b"not an object"})):
        with pytest.raises((DeviceError, ModelFileError)):
            bench.first.load(executable(broken), [WEIGHTS], None)


def test_two_copies_of_one_object_are_apart(bench: Bench, code: bytes) -> None:
    one, two = (bench.first.load(executable(code), [WEIGHTS], None) for _ in range(2))
    assert one.module._object._launch is not two.module._object._launch  # type: ignore[attr-defined]


# --- the vendor's library -------------------------------------------------------------------------------------------


@pytest.fixture
def real(library: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The stand-in is found as the vendor's library would be."""
    monkeypatch.delenv(EMULATED_CARDS, raising=False)
    monkeypatch.setenv("NEUWARE_HOME", str(library.parent.parent))
    cnrt.runtime.cache_clear()
    return monkeypatch


def test_real_cards_come_before_emulated_ones(real: pytest.MonkeyPatch) -> None:
    infos = MluBackend().probe()
    assert [info.name for info in infos] == ["mlu:0", "mlu:1"]
    assert {info.description for info in infos} == {"MLU370-X4, mtp_372, 8 clusters, CNRT 6.0.2"}
    assert MluBackend().open("mlu:1").name == "mlu:1"
    assert MluBackend().self_test() == "; ".join(f"{info.name}: {info.description}" for info in infos)


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("STANDIN_MAJOR", "4", "CNRT library is version 4.0.2.*install CNToolkit with CNRT 6"),
        ("STANDIN_DEVICES", "0", "CNRT 6.0.2 finds no card.*MM_MLU_EMULATED"),
        ("STANDIN_ISA", "290", "instruction set 290 is not known.*mtp_372"),
    ],
)
def test_what_is_wrong_with_the_installation_is_said(
    real: pytest.MonkeyPatch, variable: str, value: str, problem: str
) -> None:
    real.setenv(variable, value)
    info = MluBackend().probe()[0]
    assert not info.description.startswith("emulated")
    for use in (MluBackend().self_test, lambda: MluBackend().open("mlu:0")):
        with pytest.raises(DeviceError, match=problem):
            use()


def test_a_library_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(EMULATED_CARDS, raising=False)
    (tmp_path / "lib64").mkdir()
    (tmp_path / "lib64" / "libcnrt.so").write_text("not a library")
    monkeypatch.setenv("NEUWARE_HOME", str(tmp_path))
    (info,) = MluBackend().probe()
    assert "cannot be loaded" in info.problem


def test_a_library_that_lacks_functions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(EMULATED_CARDS, raising=False)
    (tmp_path / "lib64").mkdir()
    (tmp_path / "part.c").write_text("void cnrtGetLibVersion(int *a, int *b, int *c) { *a = 6, *b = *c = 0; }")
    compiled(tmp_path / "part.c", tmp_path / "lib64" / "libcnrt.so")
    monkeypatch.setenv("NEUWARE_HOME", str(tmp_path))
    (info,) = MluBackend().probe()
    assert "CNRT library 6.0.0 lacks cnrtGetDeviceCount" in info.problem


@pytest.mark.parametrize(
    "function", ["cnrtMemcpyAsync", "launch", "cnrtPlaceNotifier", "cnrtWaitNotifier", "cnrtSetDevice"]
)
@pytest.mark.parametrize("bench", ["cnrt"], indirect=True)
def test_a_card_that_disappears(bench: Bench, code: bytes, function: str) -> None:
    queue = bench.first.create_queue()
    request = Request(bench.first, queue, code)
    assert request.submit(np.zeros((2, 4), np.float32)).wait(10)
    bench.fail(function)
    with pytest.raises(DeviceError, match=rf"mlu:0.*{function}.*100015.*a made-up error|{function}.*100015.*mlu:0"):
        request.submit(np.zeros((2, 4), np.float32)).wait(10)
    bench.fail("", 0)
    queue.close()


@pytest.fixture
def card(real: pytest.MonkeyPatch, library: Path) -> Iterator[ctypes.CDLL]:
    """The stand-in behind the backend, to be steered."""
    loaded = ctypes.CDLL(str(library))
    yield loaded
    loaded.standin_fail(b"", 0)


@pytest.fixture(scope="module")
def model(code: bytes) -> mm.Model:
    """Of one part, which runs the code of `kernels.c`."""
    network = mm.Network("sum")
    x = network.add_input("x", mm.float32, (2, 4))
    network.mark_output(network.mul(network.add(network.reshape(x, [8]), WEIGHTS), network.exp(WEIGHTS)), "y")
    built = mm.Builder(mm.BuilderConfig(backends=["mlu"], strict=True)).build(network)
    (part,) = built.executables
    stored = replace(executable(code), constants=(TensorData.of(WEIGHTS),), operators=part.operators)
    return replace(built, executables=(stored,))


def test_a_request_on_a_card(card: ctypes.CDLL, model: mm.Model) -> None:
    engine = model.create_engine(devices=["mlu:1"])
    assert [device.description for device in engine.devices] == ["MLU370-X4, mtp_372, 8 clusters, CNRT 6.0.2"]
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    context = engine.create_context()
    np.testing.assert_array_equal(context.run({"x": x})["y"], expected(x))
    assert context.predictions() == []  # It is no emulator.


@pytest.mark.parametrize(
    "function", ["cnrtMalloc", "cnrtMemcpyAsync", "launch", "cnrtPlaceNotifier", "cnrtWaitNotifier", "cnrtSetDevice"]
)
def test_a_card_that_disappears_between_requests(card: ctypes.CDLL, model: mm.Model, function: str) -> None:
    """The request fails with the library's words; closing and dropping what was on the card do not."""
    engine = model.create_engine()
    context, x = engine.create_context(), np.ones((2, 4), np.float32)
    context.run({"x": x})
    card.standin_fail(function.encode(), 100015)
    for _ in range(2):
        with pytest.raises(DeviceError, match=rf"{function}.*100015.*a made-up error"):
            context.run({"x": x})
    context.close()
    del context, engine
    gc.collect()


def test_a_library_that_loses_its_cards(card: ctypes.CDLL, model: mm.Model, real: pytest.MonkeyPatch) -> None:
    real.setenv("STANDIN_DEVICES", "1")
    with pytest.raises(DeviceError, match="no device mlu:1; available: mlu:0"):
        model.create_engine(devices=["mlu:1"])
    card.standin_fail(b"cnrtGetDeviceCount", 100015)
    with pytest.raises(DeviceError, match=r"cnrtGetDeviceCount answered 100015 \(a made-up error\)"):
        model.create_engine()


def test_a_model_without_code_for_cards(card: ctypes.CDLL, model: mm.Model, code: bytes) -> None:
    emulated = packed.pack({packed.EMULATED: packed.unpack(code)[packed.EMULATED]})
    without = replace(model, executables=(replace(model.executables[0], code=emulated),))
    with pytest.raises(DeviceError, match=r"mlu:0: the model has no code for a real card; build it where cncc"):
        without.create_engine()


# --- emulated cards -------------------------------------------------------------------------------------------------


def test_which_cards_are_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cnrt, "find_library", lambda: None)
    monkeypatch.delenv(EMULATED_CARDS, raising=False)
    assert [info.description.split(",")[0] for info in MluBackend().probe()] == [
        "emulated MLU370-S4", "emulated MLU370-X4"
    ]  # fmt: skip
    monkeypatch.setenv(EMULATED_CARDS, "MLU370-X4, MLU370-S9")
    first, second = MluBackend().probe()
    assert first.description.startswith("emulated MLU370-X4")
    assert "there is no MLU card named 'MLU370-S9'" in second.problem
    assert "MLU370-S4" in second.problem
    assert MluBackend().open("mlu").description == first.description
    assert MluBackend().self_test() == f"mlu:0: {first.description}; mlu:1: {second.problem}"


def test_memory_is_marked_as_it_is_written() -> None:
    device = MluDevice(EmulatedDriver("mlu:0", find_card("MLU370-S4")))
    arena = device.allocate(BYTE, (256,))
    assert isinstance(arena, MluBuffer)
    memory: Any = arena.memory
    assert not memory.initialised.any()
    queue = device.create_queue()
    view = device.view(arena, 64, FLOAT32, (4,))
    queue.copy(HostBuffer(FLOAT32, (4,), np.ones(4, np.float32)), view).wait()
    assert memory.initialised.nonzero()[0].tolist() == list(range(64, 80))
    with pytest.raises(DeviceError, match="outside its arena"):
        device.view(arena, 192, FLOAT32, (32,))
    queue.close()
