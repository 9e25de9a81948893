"""Runs networks through the stages of the compiler, kernel by kernel on the emulator; their source can be changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from mlu_running import Kernels, Ran
from mm_backend_mlu.compiler import MluCompiler, Written
from mm_backend_mlu.target import Target, find_card

import mm_core as mm
from mm_core.compiler import CompileContext, No
from mm_core.types import TensorType, as_dtype

ALIGNMENT = 128
CARDS = ("MLU370-S4", "MLU370-X4")


def written(network: mm.Network, architecture: str = "mtp_372") -> Written:
    """The source and the plan of a network that is one part; fails where the compiler refuses an operation."""
    compiler = MluCompiler(architecture)
    for operation in network.operations:
        answer = compiler.supports(operation)
        assert operation.name == "mm.constant" or not isinstance(answer, No), f"{operation.name}: {answer}"
    context = CompileContext()
    artefact: object = network
    for stage in compiler.stages:
        if stage.name == "object":
            break
        artefact = stage.run(artefact, context)
    assert isinstance(artefact, Written)
    return artefact


def aligned(size: int) -> np.ndarray:
    """Memory as the device hands it out."""
    memory = np.zeros(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size]


class Runner:
    """A compiled network. `run` launches its kernels in order; every seed is another order of the tasks.

    With `change`, launches of the kernel of that name run what it makes of the source, and the others the source.
    """

    def __init__(self, network: mm.Network, change: Callable[[str], str] | None = None, kernel: str = "") -> None:
        self.network = network
        self.written = written(network)
        self.source = self.written.source
        self.changed = {kernel: change(self.source)} if change is not None else {}
        names = {record.kernel for record in self.written.planned.records}
        assert not self.changed or kernel in names, f"no kernel is named {kernel}, there are {sorted(names)}"

    def run(self, feeds: Mapping[str, np.ndarray], seed: int = 0, card: str = CARDS[0]) -> list[np.ndarray]:
        """The outputs for these inputs."""
        return self.ran(feeds, seed, card)[0]

    def ran(
        self, feeds: Mapping[str, np.ndarray], seed: int = 0, card: str = CARDS[0]
    ) -> tuple[list[np.ndarray], list[Ran]]:
        """The outputs, and what each launch counted."""
        target = find_card(card)
        planned = self.written.planned
        memories = self._memories(feeds, planned.workspace)
        arrays = [
            memories[buffer.space, 0 if buffer.space == "workspace" else buffer.index][
                buffer.offset : buffer.offset + buffer.size
            ]
            for buffer in planned.buffers
        ]
        ran = []
        for launch, record in zip(planned.launches, planned.records, strict=True):
            kernels = _compiled(self.changed.get(record.kernel, self.source), target)
            tasks = target.cores if launch.kind else min(target.cores, -(-launch.tasks // 4) * 4)
            ran.append(
                kernels.run(
                    *(arrays[number] for number in launch.buffers),
                    written=launch.written, tasks=tasks, kind=launch.kind, kernel=launch.kernel, seed=seed,
                )
            )  # fmt: skip
        outputs = []
        for index, value in enumerate(self.network.outputs):
            type_ = value.type
            assert isinstance(type_, TensorType)
            assert type_.shape is not None
            outputs.append(memories["output", index].view(type_.dtype.numpy).reshape(type_.shape).copy())
        return outputs, ran

    def _memories(self, feeds: Mapping[str, np.ndarray], workspace: int) -> dict[tuple[str, int], np.ndarray]:
        contents: dict[tuple[str, int], np.ndarray] = {
            ("constant", index): data.numpy() for index, data in enumerate(self.written.lowering.constants)
        }
        contents |= {("input", index): feeds[spec.name] for index, spec in enumerate(self.network.inputs)}
        memories = {}
        for key, array in contents.items():
            memories[key] = aligned(array.nbytes)
            memories[key][:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        for index, value in enumerate(self.network.outputs):
            type_ = value.type
            assert isinstance(type_, TensorType)
            memories["output", index] = aligned(int(np.prod(type_.shape or (1,), dtype=int)) * type_.dtype.itemsize)
        memories["workspace", 0] = aligned(workspace)
        return memories


_KEPT: dict[tuple[str, str], Kernels] = {}


def _compiled(source: str, target: Target) -> Kernels:
    key = source, target.name
    if key not in _KEPT:
        _KEPT[key] = Kernels(source, target)
    return _KEPT[key]


def one_operation(
    name: str, inputs: Sequence[np.ndarray | None], constants: Sequence[int] = (), **attributes: object
) -> tuple[mm.Network, dict[str, np.ndarray]]:
    """A network of one operation; operands at the places `constants` are constants. The inputs by name."""
    network = mm.Network("one")
    feeds: dict[str, np.ndarray] = {}
    operands: list[mm.Value | None] = []
    for place, array in enumerate(inputs):
        if array is None:
            operands.append(None)
        elif place in constants:
            operands.append(network.constant(array))
        else:
            feeds[f"x{place}"] = array
            operands.append(network.add_input(f"x{place}", as_dtype(array.dtype), array.shape))
    network.mark_output(network.op(name, *operands, **attributes), "y")
    return network, feeds
