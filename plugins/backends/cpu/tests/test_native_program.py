"""The executor: words and their checks, the arena, threads, forks, generated objects, profiles, JSON."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from itertools import combinations
from pathlib import Path

import mm_backend_cpu
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mm_backend_cpu import native
from mm_backend_cpu.program import Binder, BoundProgram, Buffer, Program, Step, run_kernel

from mm_core.errors import DeviceError, InputError, ModelFileError
from mm_core.types import symbol

N = symbol("N")

# y = softmax(x @ w + b), with a symbolic batch and a view of the matmul's result.
NETWORK = Program(
    buffers=(
        Buffer("input", 0, "f32", (N, 64)),
        Buffer("constant", 0, "f32", (64, 96)),
        Buffer("constant", 1, "f32", (96,)),
        Buffer("arena", 0, "f32", (N, 96)),
        Buffer("arena", 0, "f32", (N * 96,)),
        Buffer("arena", 1, "f32", (N * 96,)),
        Buffer("arena", 1, "f32", (N, 96)),
        Buffer("arena", 2, "f32", (N, 96)),
        Buffer("output", 0, "f32", (N, 96)),
    ),
    steps=(
        Step("library:matmul", (0, 1), (3,), label="project"),
        Step("library:exp", (4,), (5,), label="grow"),
        Step("library:add", (6, 2), (7,), label="shift"),
        Step("library:softmax", (7,), (8,), (1,), label="normalise"),
    ),
    n_inputs=1,
    n_outputs=1,
)
GENERATOR = np.random.default_rng(11)
WEIGHTS = (GENERATOR.normal(0, 0.1, (64, 96)).astype(np.float32), GENERATOR.normal(0, 1, 96).astype(np.float32))


def expected(x: np.ndarray) -> np.ndarray:
    scores = np.exp(x.astype(float) @ WEIGHTS[0].astype(float)) + WEIGHTS[1]
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


class Runner:
    """A bound NETWORK with memory of its own for each call."""

    def __init__(self, batch: int, bound: BoundProgram | None = None) -> None:
        words = (bound or NETWORK.bind({"N": batch})).words
        self.program = native.NativeProgram(words, WEIGHTS, labels=NETWORK.labels)

    def __call__(self, x: np.ndarray, threads: int = 1) -> np.ndarray:
        arena = native.aligned(self.program.arena_bytes(threads))
        y = np.empty((len(x), 96), np.float32)
        self.program.run(arena.ctypes.data, [x.ctypes.data], [y.ctypes.data], threads)
        return y


def inputs(batch: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (batch, 64)).astype(np.float32)


@pytest.mark.parametrize("batch", [0, 1, 7, 300])
def test_a_network_runs_at_every_size(batch: int) -> None:
    x = inputs(batch)
    np.testing.assert_allclose(Runner(batch)(x, threads=2), expected(x), rtol=2e-5)


def test_json_round_trip() -> None:
    text = json.dumps(NETWORK.to_json())
    assert Program.from_json(json.loads(text)) == NETWORK
    with pytest.raises(ModelFileError, match="damaged"):
        Program.from_json(json.loads(text.replace('"input"', '"moon"')))
    with pytest.raises(ModelFileError, match="damaged"):
        Program.from_json({"buffers": []})


def test_binding_names_what_is_missing() -> None:
    with pytest.raises(InputError, match="N is unbound"):
        NETWORK.bind({})
    foreign = Program((Buffer("output", 0, "f32", ()),), (Step("library:warp", (), (0,), label="ship"),), 0, 1)
    with pytest.raises(DeviceError, match=r"ship: there is no kernel 'library:warp'.*matmul"):
        foreign.bind({})


def test_the_arena_is_shared_by_what_does_not_live_together() -> None:
    bound = NETWORK.bind({"N": 100})
    piece = 100 * 96 * 4
    assert bound.arena_bytes == 2 * piece  # three pieces, at most two at once
    kept = NETWORK.bind({"N": 100}, keep=True)
    assert kept.arena_bytes == 3 * piece
    assert sorted(kept.offsets.values()) == [0, piece, 2 * piece]


def test_sizes_that_change_share_a_plan() -> None:
    binder, piece = Binder(NETWORK), 96 * 4
    assert binder.bind({"N": 1000}).arena_bytes == 2000 * piece
    for batch, arena in ((1001, 2250), (1125, 2250), (1126, 2500), (2000, 4000), (876, 2000), (500, 1000)):
        bound = binder.bind({"N": batch})
        assert bound.arena_bytes == arena * piece
        x = inputs(batch)
        np.testing.assert_array_equal(Runner(batch, bound)(x), Runner(batch)(x))
    assert binder.bind({"N": 51}).arena_bytes == 102 * piece  # an eighth of the plan would waste too much
    assert binder.bind({"N": 0}).arena_bytes == 0
    assert binder.bind({"N": 1001}, keep=True).arena_bytes == 3003 * piece


SIZES = st.lists(st.integers(0, 5000), min_size=6, max_size=6)


@given(SIZES, SIZES, st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=6, max_size=6))
def test_pieces_of_a_scaled_plan_do_not_overlap(
    first: list[int], second: list[int], spans: list[tuple[int, int]]
) -> None:
    steps = [Step("library:neg", (number,), (number,)) for number in range(10)]
    live = [(min(span), max(span)) for span in spans]
    for step in range(10):
        used = tuple(piece for piece, (begin, end) in enumerate(live) if step in (begin, end))
        steps[step] = Step("library:neg", used, ())
    program = Program(tuple(Buffer("arena", k, "i8", (symbol(f"S{k}"),)) for k in range(6)), tuple(steps), 0, 0)
    binder = Binder(program)
    for sizes in (first, second, [size + size // 9 for size in first]):
        bound = binder.bind({f"S{k}": size for k, size in enumerate(sizes)})
        ends = [bound.offsets[k] + size for k, size in enumerate(sizes)]
        assert max(ends) <= bound.arena_bytes
        for a, b in combinations(range(6), 2):
            together = live[a][0] <= live[b][1] and live[b][0] <= live[a][1]
            apart = ends[a] <= bound.offsets[b] or ends[b] <= bound.offsets[a]
            assert apart or not together or 0 in (sizes[a], sizes[b])


def test_results_do_not_depend_on_threads() -> None:
    x = inputs(333)
    run = Runner(333)
    one = run(x, 1)
    for threads in (2, 3, 4, 7):
        np.testing.assert_array_equal(run(x, threads).view(np.uint32), one.view(np.uint32))


@pytest.mark.parametrize(
    ("name", "arrays", "shape", "params"),
    [
        ("matmul", [(2, 150, 700), (700, 170)], (2, 150, 170), []),
        ("conv", [(1, 32, 40, 40), (64, 32, 3, 3), (64,)], (1, 64, 40, 40), [1, 1, 1, 1, 1, 1, 1]),
        ("conv_transpose", [(1, 32, 20, 20), (32, 16, 3, 3)], (1, 16, 22, 22), [1, 1, 1, 0, 0, 1, 1]),
        ("reduce_sum", [(100, 3, 1111)], (100, 3), [0, 0, 1]),
        ("reduce_sum", [(100, 3, 1111)], (3, 1111), [1, 0, 0]),
        ("add", [(33, 1, 700), (20, 700)], (33, 20, 700), []),
        ("transpose", [(33, 70, 50)], (50, 33, 70), [2, 0, 1]),
        ("softmax", [(33, 70, 50)], (33, 70, 50), [1]),
        ("layer_norm", [(333, 700), (700,), (700,)], (333, 700), [1, 4532020583610935537]),
        ("exp", [(100_003,)], (100_003,), []),
        ("gelu", [(100_003,)], (100_003,), [1]),
        ("max_pool", [(2, 32, 40, 40)], (2, 32, 20, 20), [0, 2, 2, 2, 2, 0, 0, 1, 1]),
        ("cumsum", [(300, 500)], (300, 500), [1, 0, 0]),
    ],
)
def test_kernels_do_not_depend_on_threads(
    name: str, arrays: list[tuple[int, ...]], shape: tuple[int, ...], params: list[int]
) -> None:
    operands = [np.random.default_rng(i).normal(0, 1, s).astype(np.float32) for i, s in enumerate(arrays)]
    results = [
        run_kernel(name, operands, [(np.float32, shape)], params, threads=threads)[0] for threads in (1, 2, 3, 4)
    ]
    for result in results[1:]:
        np.testing.assert_array_equal(result.view(np.uint32), results[0].view(np.uint32))


def test_one_program_on_many_threads_at_once() -> None:
    run = Runner(64)
    cases = [inputs(64, seed) for seed in range(6)]
    alone = [run(x) for x in cases]
    wrong: list[int] = []

    def repeat(number: int) -> None:
        for _ in range(40):
            if not np.array_equal(run(cases[number], threads=3), alone[number]):
                wrong.append(number)

    threads = [threading.Thread(target=repeat, args=(number,)) for number in range(len(cases))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not wrong


def _child(connection: object, x: np.ndarray) -> None:
    connection.send((Runner(len(x))(x, threads=3), native.library().mm_pool_workers()))  # type: ignore[attr-defined]


def test_a_forked_child_has_a_pool_of_its_own() -> None:
    x = inputs(300)
    parent = Runner(300)(x, threads=3)
    assert native.library().mm_pool_workers() >= 2
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(False)
    process = context.Process(target=_child, args=(sender, x))
    process.start()
    assert receiver.poll(60), "the child did not finish"
    result, workers = receiver.recv()
    process.join(10)
    assert process.exitcode == 0
    np.testing.assert_array_equal(result, parent)
    assert workers >= 2
    np.testing.assert_array_equal(Runner(300)(x, threads=3), parent)


def test_workers_sleep_when_there_is_nothing_to_do() -> None:
    Runner(300)(inputs(300), threads=3)
    before = os.times()
    threading.Event().wait(0.5)
    after = os.times()
    assert (after.user + after.system) - (before.user + before.system) < 0.1


def test_work_of_a_worker_that_wakes_late_is_done_once() -> None:
    """After every pause the workers are asleep, and the caller may take over what they were offered."""
    x = inputs(300)
    run = Runner(300)
    alone = run(x)
    for pause in (0.0, 1e-4, 1e-3) * 40:
        threading.Event().wait(pause)
        np.testing.assert_array_equal(run(x, threads=4), alone)


def test_profile_has_a_time_for_each_step() -> None:
    x = inputs(300)
    program = Runner(300).program
    arena, y = native.aligned(program.arena_bytes(2)), np.empty((300, 96), np.float32)
    times = program.run(arena.ctypes.data, [x.ctypes.data], [y.ctypes.data], 2, profile=True)
    assert times is not None
    assert times.shape == (4,)
    assert (times > 0).all()
    assert times[0] > 1000  # 3.7 million operations cannot take less than a microsecond


def test_denormals_survive_and_the_callers_mode_returns() -> None:
    tiny = np.float32([1e-40])
    assert run_kernel("add", [tiny, tiny], [(np.float32, (1,))])[0][0] == tiny[0] + tiny[0] > 0


def test_an_error_names_the_step() -> None:
    buffers = (Buffer("input", 0, "f32", (4,)), Buffer("input", 1, "i64", (1,)), Buffer("arena", 0, "f32", (4,)),
               Buffer("output", 0, "f32", (1,)))  # fmt: skip
    steps = (
        Step("library:neg", (0,), (2,), label="first"),
        Step("library:gather", (2, 1), (3,), (0,), label="encoder/embed"),
    )
    program = native.NativeProgram(Program(buffers, steps, 2, 1).bind({}).words, labels=("first", "encoder/embed"))
    arena, y = native.aligned(program.arena_bytes(1)), np.zeros(1, np.float32)
    x, index = np.float32([1, 2, 3, 4]), np.int64([-1])
    program.run(arena.ctypes.data, [x.ctypes.data, index.ctypes.data], [y.ctypes.data], 1)
    assert y[0] == -4
    index[0] = 4
    with pytest.raises(InputError, match="encoder/embed: an index is outside its axis"):
        program.run(arena.ctypes.data, [x.ctypes.data, index.ctypes.data], [y.ctypes.data], 1)
    with pytest.raises(DeviceError, match="misaligned"):
        program.run(arena.ctypes.data + 4, [x.ctypes.data, index.ctypes.data], [y.ctypes.data], 1)


# ---- words that were not made here ----


def test_damaged_words_are_refused_or_harmless() -> None:
    """Every word, replaced by bad values: the program is refused with a reason or stays valid, and nothing crashes."""
    words = NETWORK.bind({"N": 5}).words
    reasons: list[str] = []
    for position in range(len(words)):
        for value in (-1, -(2**63), 2**62, 2**31, 0, 1, 2, 3, 17, 99):
            damaged = words.copy()
            damaged[position] = value
            try:
                program = native.NativeProgram(damaged, WEIGHTS)
            except DeviceError as error:
                reasons.append(str(error))
            else:
                assert program.arena_bytes(1) >= 0
    assert len(reasons) > 5 * len(words)
    assert all(reason.startswith("cpu: the program is refused: ") for reason in reasons)
    for length in range(len(words)):
        with pytest.raises(DeviceError, match="refused"):
            native.NativeProgram(words[:length], WEIGHTS)
    with pytest.raises(DeviceError, match="words after the end"):
        native.NativeProgram(np.append(words, 0), WEIGHTS)


def test_steps_must_not_write_constants_or_inputs() -> None:
    for space in ("constant", "input"):
        buffers = (Buffer("input", 0, "f32", (4,)), Buffer(space, 0, "f32", (4,)))  # type: ignore[arg-type]
        bound = Program(buffers, (Step("library:neg", (0,), (1,)),), 1, 0).bind({})
        with pytest.raises(DeviceError, match="writes to buffer 1"):
            native.NativeProgram(bound.words, WEIGHTS[:1] if space == "constant" else ())


# ---- generated code ----

SOURCE = """
#include "mm_cpu.h"
static void twice(const mm_call* call, int64_t begin, int64_t end, void* scratch) {
  const float* x = call->data[0];
  float* y = call->data[1];
  float* own = scratch;
  own[0] = (float)call->params[0];
  for (int64_t i = begin; i < end; ++i) y[i] = own[0] * x[i];
}
static const mm_kernel kernels[] = {twice};
static const mm_object object = {ABI, 1, kernels};
__attribute__((visibility("default"))) const mm_object* mm_object_entry(const mm_functions* functions) {
  return functions->abi == MM_CPU_ABI ? &object : 0;
}
"""
COMPILER = shutil.which(os.environ.get("CC", "gcc")) or shutil.which("cc")
INCLUDE = next(p for f in mm_backend_cpu.__path__ if (p := Path(f) / "include").is_dir())


def compiled(folder: Path, text: str) -> bytes:
    assert COMPILER is not None
    source, result = folder / "object.c", folder / "object.so"
    source.write_text(text)
    subprocess.run([COMPILER, "-O1", "-shared", "-fPIC", f"-I{INCLUDE}", str(source), "-o", str(result)], check=True)
    return result.read_bytes()


@pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")
def test_generated_code(tmp_path: Path) -> None:
    code = compiled(tmp_path, SOURCE.replace("ABI, 1", "MM_CPU_ABI, 1"))
    buffers = (Buffer("input", 0, "f32", (N,)), Buffer("output", 0, "f32", (N,)))
    program = Program(buffers, (Step("object:0", (0,), (1,), (3,), N, 64, "twice"),), 1, 1)
    x, y = np.arange(100_001, dtype=np.float32), np.zeros(100_001, np.float32)
    words = program.bind({"N": x.size}).words
    with pytest.raises(DeviceError, match="needs generated code"):
        native.NativeProgram(words)
    # Several objects live side by side, and code outlives the object that a program keeps.
    other = native.LoadedObject(
        compiled(tmp_path, SOURCE.replace("ABI, 1", "MM_CPU_ABI, 1").replace("own[0] *", "-own[0] *"))
    )
    runnable = native.NativeProgram(words, generated=native.LoadedObject(code))
    negated = native.NativeProgram(words, generated=other)
    del other
    arena = native.aligned(runnable.arena_bytes(2))
    for loaded, factor in ((runnable, 3), (negated, -3)):
        loaded.run(arena.ctypes.data, [x.ctypes.data], [y.ctypes.data], 2)
        np.testing.assert_array_equal(y, factor * x)
    out_of_table = Program(buffers, (Step("object:1", (0,), (1,), (3,), N, 64, "twice"),), 1, 1)
    with pytest.raises(DeviceError, match="has no kernel 1"):
        native.NativeProgram(out_of_table.bind({"N": 3}).words, generated=native.LoadedObject(code))


@pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")
def test_objects_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"model\.mm: the generated code is no shared object"):
        native.LoadedObject(b"\x7fELF but not really", "model.mm")
    with pytest.raises(DeviceError, match="no generated code"):
        native.LoadedObject(b"")
    with pytest.raises(DeviceError, match="does not export mm_object_entry"):
        native.LoadedObject(compiled(tmp_path, "int answer(void) { return 42; }"))
    with pytest.raises(DeviceError, match="ABI version 99"):
        native.LoadedObject(compiled(tmp_path, SOURCE.replace("ABI, 1", "99, 1")))


@pytest.mark.skipif(COMPILER is None or not sys.platform.startswith("linux"), reason="needs a C compiler and ELF")
def test_truncated_objects_are_refused_before_they_are_mapped(tmp_path: Path) -> None:
    code = compiled(tmp_path, SOURCE.replace("ABI, 1", "MM_CPU_ABI, 1"))
    for length in (1, 63, 64, 200, 4096, len(code) // 2):
        with pytest.raises(DeviceError, match=r"no shared object|truncated"):
            native.LoadedObject(code[:length])
    other = bytearray(code)
    other[18] ^= 0xFF
    with pytest.raises(DeviceError, match="another kind of processor"):
        native.LoadedObject(bytes(other))


def test_processor_features() -> None:
    native.require_features(native.features(), "model.mm")
    with pytest.raises(DeviceError, match=r"model.mm: .*quantum.*--cpu_arch"):
        native.require_features(native.features() | {"quantum"}, "model.mm")


def test_a_missing_library_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mm_backend_cpu, "__path__", [str(tmp_path)])
    native.library.cache_clear()
    try:
        with pytest.raises(DeviceError, match=r"libmm_cpu.* is missing; .*searched; install mm-backend-cpu again"):
            native.library()
        (tmp_path / "libmm_cpu.so").write_bytes(b"not a library")
        with pytest.raises(DeviceError, match="cannot be used"):
            native.library()
    finally:
        native.library.cache_clear()


def test_the_tables_of_element_types_agree() -> None:
    from mm_core.types import DTYPES

    for dtype in DTYPES:
        if dtype.kind == "string":
            with pytest.raises(DeviceError, match="no representation of element type"):
                native.dtype_code(dtype.text)
        else:
            code = native.dtype_code(dtype.text)
            assert native.library().mm_dtype_bytes(code) == dtype.itemsize
