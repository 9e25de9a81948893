"""Timing candidates on this machine: in turn, with cold weights, on the threads that the build is for.

A round empties the last level of cache by reading through memory, and then runs each candidate once, after its inputs
were read as a preceding layer would have left them. So every candidate finds its weights in memory and its inputs in
cache, which is how it runs in a network. The least time of all rounds counts: what else the machine does only adds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mm_backend_cpu import native
from mm_backend_cpu.codegen.compile import compile_kernels
from mm_backend_cpu.codegen.isa import Isa
from mm_backend_cpu.codegen.kernel_source import KernelSource, kernel_source
from mm_backend_cpu.program import Buffer, Program, Space, Step
from mm_backend_cpu.tuning.candidate import Candidate, Problem
from mm_backend_cpu.tuning.choice import Measurement
from mm_backend_cpu.tuning.store import TuningCache, last_level_bytes
from mm_core.types import Dim

logger = logging.getLogger(__name__)

_ROUNDS = (5, 40)
_SECONDS = 0.05  # for the rounds of one problem, once the least number is reached
_CHUNKS = 64
_LINE = 16  # float32 elements of a cache line
_PEAK_STEPS = 100_000
_PEAK_TASKS_A_THREAD = 4
_PEAK_ROUNDS = 20
_WORTH_THREADS = 1 << 14  # elements of an output: a step of less memory than this is left to one thread

# Reads one element of each cache line; a task is one of equal pieces.
_READ = f"""
static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const float* x = call->data[0];
  float* sums = call->data[1];
  const int64_t elements = call->params[0];
  for (int64_t task = begin; task < end; task++) {{
    float sum = 0.0f;
    for (int64_t i = elements * task / {_CHUNKS}; i < elements * (task + 1) / {_CHUNKS}; i += {_LINE}) sum += x[i];
    sums[task] = sum;
  }}
}}
"""


def measure(problems: Sequence[Problem[Any]], isa: Isa, threads: int, cache: TuningCache) -> Measurement:
    """Times of the finalists of all problems whose sizes are known. Only what the cache lacks is compiled and run."""
    found: dict[str, Mapping[str, int]] = {}
    wanted: list[Problem[Any]] = []
    for problem in problems:
        if not problem.is_static or not problem.flop:
            continue
        times = cache.get(_what(problem))
        if times is not None and times.keys() == {candidate.title for candidate in problem.finalists}:
            found[problem.key] = times
        else:
            wanted.append(problem)
    peak = cache.get("peak")
    if wanted or peak is None:
        started = time.perf_counter()
        bench = _Bench(wanted, isa, threads)
        compiled = time.perf_counter()
        # The machine is seldom quiet: the best that was ever seen counts.
        peak = {"": min([bench.peak(), *(peak or {}).values()])}
        cache.put("peak", peak)
        for problem in wanted:
            found[problem.key] = bench.times(problem)
            cache.put(_what(problem), found[problem.key])
        logger.info(
            "%d candidates for %d kernels: compiled in %.1f s, timed in %.1f s",
            sum(len(problem.finalists) for problem in wanted), len(wanted), compiled - started,
            time.perf_counter() - compiled,
        )  # fmt: skip
    return Measurement(found, _peak_flop(isa, threads) / (peak[""] * 1e-9))


def machine_limits(isa: Isa, threads: int) -> tuple[float, float]:
    """FLOP/s of FMAs on registers, and bytes a second that are read from memory, both by so many threads at once."""
    bench = _Bench((), isa, threads)
    return _peak_flop(isa, threads) / (bench.peak() * 1e-9), bench.evicted.nbytes / (bench.reading() * 1e-9)


def _what(problem: Problem[Any]) -> str:
    """All that decides the times of a problem: its sizes and the very code of the candidates."""
    return "\n".join((problem.key, *(f"{c.title}: {c.kernel.source.symbol}" for c in problem.finalists)))


def _peak_flop(isa: Isa, threads: int) -> int:
    """Operations of the loop of FMAs."""
    return 2 * isa.lanes * _peak_accumulators(isa) * _PEAK_STEPS * _PEAK_TASKS_A_THREAD * threads


def _peak_accumulators(isa: Isa) -> int:
    """Enough sums to hide the latency of two FMA units, few enough to stay in registers."""
    return 3 * isa.registers // 4


def _peak_kernel(isa: Isa, threads: int) -> KernelSource:
    """Nothing but FMAs on registers."""
    names = [f"a{i}" for i in range(_peak_accumulators(isa))]
    code = f"""
static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const float* x = call->data[0];
  float* y = call->data[1];
  const mm_vf w = mm_load(x), b = mm_load(x + {isa.lanes});
  for (int64_t task = begin; task < end; task++) {{
    mm_vf {", ".join(f"{name} = b * {i + 1}.0f" for i, name in enumerate(names))};
    for (int64_t i = 0; i < {_PEAK_STEPS}; i++) {{ {" ".join(f"{name} = {name} * w + b;" for name in names)} }}
    mm_store(y + task * {isa.lanes}, {" + ".join(names)});
  }}
}}
"""
    return kernel_source("peak", code, tasks=_PEAK_TASKS_A_THREAD * threads)


class _Bench:
    """All candidates in one loaded object, and memory for the largest of them."""

    def __init__(self, problems: Sequence[Problem[Any]], isa: Isa, threads: int) -> None:
        self.isa, self.threads = isa, threads
        self.read = kernel_source("read", _READ, tasks=_CHUNKS)
        self.peak_source = _peak_kernel(isa, threads)
        sources = [self.read, self.peak_source]
        sources += [candidate.kernel.source for problem in problems for candidate in problem.finalists]
        unique = {source.symbol: source for source in sources}
        self.number = {symbol: number for number, symbol in enumerate(unique)}
        self.object = native.LoadedObject(compile_kernels(list(unique.values()), isa))
        self.evicted = _noise(last_level_bytes() * 3 // 2 // 4)
        self.weights = _noise(max((_weight_elements(problem.finalists) for problem in problems), default=0))
        self.data = _noise(max((_known(problem.data) for problem in problems), default=0))
        self.extra = _noise(max((_known(extra) for problem in problems for extra in problem.extras), default=0))
        self.output = _noise(
            max(_WORTH_THREADS, _PEAK_TASKS_A_THREAD * threads * isa.lanes, *(_known(p.output) for p in problems))
        )

    def peak(self) -> int:
        """Nanoseconds of the loop of FMAs."""
        buffers = (Buffer("input", 0, "f32", (self.data.size,)), Buffer("output", 0, "f32", (self.output.size,)))
        program = Program(buffers, (self._step(self.peak_source, (0,), 1),), 1, 1)
        return min(int(times[0]) for times in self._rounds(program, (), _PEAK_ROUNDS))

    def reading(self) -> int:
        """Nanoseconds to read more memory than the last level of cache holds."""
        buffers = (Buffer("constant", 0, "f32", (self.evicted.size,)), Buffer("output", 0, "f32", (self.output.size,)))
        program = Program(buffers, (self._step(self.read, (0,), 1, self.evicted.size),), 0, 1)
        return min(int(times[0]) for times in self._rounds(program, (self.evicted,), _PEAK_ROUNDS))

    def times(self, problem: Problem[Any]) -> dict[str, int]:
        """Nanoseconds of each finalist by name."""
        constants = [self.evicted, *_pieces(self.weights, problem.finalists)]
        buffers: list[Buffer] = []

        def buffer(space: Space, index: int, elements: Dim) -> int:
            buffers.append(Buffer(space, index, "f32", (elements,)))
            return len(buffers) - 1

        data = buffer("input", 0, problem.data)
        output = buffer("output", 0, problem.output)
        sums = buffer("output", 0, self.output.size)
        packed = [buffer("constant", index, constant.size) for index, constant in enumerate(constants)]
        extras = [buffer("input", 1, elements) for elements in problem.extras]
        steps = [self._step(self.read, (packed[0],), sums, self.evicted.size)]
        timed = []
        for candidate, weights in zip(problem.finalists, packed[1:], strict=True):
            for source in (data, *extras):
                steps.append(self._step(self.read, (source,), sums, *buffers[source].shape))
            timed.append(len(steps))
            steps.append(self._step(candidate.kernel.source, (data, weights, *extras), output))
        program = Program(tuple(buffers), tuple(steps), 2, 1)
        rounds = self._rounds(program, constants, _ROUNDS[1])
        least = np.array(rounds).min(axis=0)
        return {candidate.title: max(1, int(least[at])) for candidate, at in zip(problem.finalists, timed, strict=True)}

    def _step(self, source: KernelSource, inputs: tuple[int, ...], output: int, *params: Dim) -> Step:
        kernel = f"object:{self.number[source.symbol]}"
        return Step(
            kernel, inputs, (output,), params or source.params, source.tasks, source.scratch_bytes, source.symbol
        )

    def _rounds(
        self, steps: Program, constants: Sequence[npt.NDArray[np.float32]], most: int
    ) -> list[npt.NDArray[np.int64]]:
        """Nanoseconds of every step in every round; the first round, which meets cold code, does not count."""
        program = native.NativeProgram(steps.bind({}).words, constants, self.object, steps.labels)
        arena = native.aligned(program.arena_bytes(self.threads))
        inputs = [self.data.ctypes.data, self.extra.ctypes.data][: steps.n_inputs]
        rounds: list[npt.NDArray[np.int64]] = []
        started = time.perf_counter()
        while len(rounds) <= _ROUNDS[0] or (len(rounds) < most and time.perf_counter() - started < _SECONDS):
            times = program.run(arena.ctypes.data, inputs, [self.output.ctypes.data], self.threads, profile=True)
            assert times is not None
            rounds.append(times)
        return rounds[1:]


def _known(size: Dim) -> int:
    """A size of a problem that is static."""
    assert isinstance(size, int)
    return size


def _noise(elements: int) -> npt.NDArray[np.float32]:
    """Ordinary numbers at a multiple of 64 bytes, with at least one cache line."""
    array: npt.NDArray[np.float32] = native.aligned(4 * (elements + _LINE)).view(np.float32)
    block = np.random.default_rng(0).random(1 << 16, np.float32) - np.float32(0.5)
    array[:] = np.resize(block, array.size)
    return array


def _rounded(elements: int) -> int:
    """Whole cache lines, at least one."""
    return -(-max(elements, 1) // _LINE) * _LINE


def _weight_elements(candidates: Sequence[Candidate[Any]]) -> int:
    return sum(_rounded(candidate.kernel.packed_elements) for candidate in candidates)


def _pieces(memory: npt.NDArray[np.float32], candidates: Sequence[Candidate[Any]]) -> list[npt.NDArray[np.float32]]:
    """Weights of its own for each candidate."""
    pieces, start = [], 0
    for candidate in candidates:
        elements = _rounded(candidate.kernel.packed_elements)
        pieces.append(memory[start : start + elements])
        start += elements
    return pieces
