"""The compile half: what is refused and why, layouts, artefacts of each stage, what is packed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlu_networks import floats, network_of, source_of
from mm_backend_mlu.compiler import MluCompiler
from mm_backend_mlu.packed import EMULATED, SOURCE, unpack
from mm_backend_mlu.program import Program

import mm_core as mm
from mm_core.compiler import CompileContext, Executable, No
from mm_core.errors import BuildError

COMPILER = MluCompiler("mtp_372")


def _refusal(network: mm.Network, value: mm.Value) -> str:
    assert value.defining_op is not None
    answer = COMPILER.supports(value.defining_op)
    assert isinstance(answer, No)
    return answer.reason


def test_sizes_are_known_when_building() -> None:
    network = mm.Network("symbolic")
    x = network.add_input("x", mm.float32, ("N", 8))
    for value in (network.exp(x), network.shape(x, start=1)):
        assert _refusal(network, value) == "the size N is not known when building; give --batch_size or --input_dims"


@pytest.mark.parametrize(
    ("dtype", "build", "reason"),
    [
        (mm.float64, lambda n, x: n.exp(x), "elements of type float64 are only moved on this device"),
        (mm.bfloat16, lambda n, x: n.add(x, x), "elements of type bfloat16 are only moved on this device"),
        (mm.float32, lambda n, x: n.cast(x, to=mm.float64), "elements of type float64 are only moved on this device"),
        (mm.float64, lambda n, x: n.reduce_sum(x), "no code for mm.reduce_sum of float64"),
        (mm.float32, lambda n, x: n.pad(x, [9, 0, 0, 0], mode="reflect"), "padding by reflect further than"),
        (mm.float32, lambda n, x: n.cumprod(x, axis=0), "no kernel for mm.cumprod"),
        (mm.string, lambda n, x: n.concat(x, x, axis=0), "strings"),
    ],
)
def test_refusals(dtype: Any, build: Any, reason: str) -> None:
    network = mm.Network("refused")
    x = network.add_input("x", dtype, (4, 8))
    assert _refusal(network, build(network, x)).startswith(reason)


def test_unknown_architectures_are_refused_with_the_known_ones() -> None:
    with pytest.raises(BuildError, match="mtp_372"):
        MluCompiler("mtp_999")


def _image_network(n: Any, x: Any) -> list[Any]:
    y = n.relu(n.conv(x, floats(40, 40, 3, 3), floats(40), pads=(1, 1, 1, 1)))
    y = n.add(n.mul(y, floats(40, 1, 1)), n.max_pool(y, kernel_shape=(3, 3), pads=(1, 1, 1, 1)))
    return [n.reshape(n.reduce_mean(y, axes=(2, 3)), [1, 40])]


def test_images_stay_channels_last_between_their_borders() -> None:
    """One change of layout for the input; element-wise operations follow, and the mean reads pixels where they lie."""
    artefact: Any = network_of(_image_network, [floats(1, 40, 8, 8)])
    stages = {stage.name: stage for stage in COMPILER.stages}
    layouts = stages["layout"].run(artefact, CompileContext())
    assert len(layouts.channels_last) == 5
    lowered = stages["lower"].run(layouts, CompileContext())
    assert lowered.lowering.conversions == 1
    assert "1 changes of layout" in str(lowered)


def _compile(folder: Path | None = None) -> Executable:
    network = network_of(_image_network, [floats(1, 40, 8, 8)])
    return COMPILER.compile(network, CompileContext(dump_folder=folder))


def test_every_stage_leaves_something_to_read(tmp_path: Path) -> None:
    executable = _compile(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "part0.layout.txt", "part0.lower.txt", "part0.memory.txt", "part0.source.txt", "part0.object.bin",
    }  # fmt: skip
    source = (tmp_path / "part0.source.txt").read_text()
    assert source.encode() == unpack(executable.code)[SOURCE]
    assert source.count("#include <bang.h>") == 1
    assert '#include "' not in source  # It stands alone.
    assert "MM_MLU_KERNELS_BEGIN" in source


def test_what_is_packed() -> None:
    executable = _compile()
    sections = unpack(executable.code)
    assert set(sections) == {SOURCE, EMULATED}
    program = Program.from_json(executable.manifest["program"])
    assert program.arch == "mtp_372"
    assert len(program.launches) == len(executable.kernels)
    assert executable.workspace_bytes == program.workspace
    assert [constant.nbytes for constant in executable.constants] == list(program.constants)


def test_equal_parts_give_equal_bytes() -> None:
    first, second = _compile(), _compile()
    assert (first.code, first.manifest) == (second.code, second.manifest)


def test_equal_kernels_are_written_once_and_what_nobody_reads_is_left_out() -> None:
    def build(n: Any, x: Any, y: Any) -> list[Any]:
        n.exp(x)
        return [n.add(x, y), n.add(y, x)]

    source = source_of(build, floats(5, 7), floats(5, 7))
    assert source.count("__mlu_global__ void add") == 1
    assert "exphp" not in source.split("mm_nram[")[1]


def test_memory_of_what_is_done_with_is_used_again() -> None:
    """A chain that cannot be fused needs two values at a time, whatever its length."""

    def build(n: Any, x: Any) -> Any:
        for _ in range(6):
            x = n.cumsum(x, axis=0)
        return x

    network = network_of(build, [floats(64, 64)])
    executable = COMPILER.compile(network, CompileContext())
    assert executable.workspace_bytes == 2 * 64 * 64 * 4


def test_results_inside_are_traced_as_the_user_knows_them() -> None:
    """The dumper sees logical shapes, of values that lie channels last too."""
    network = network_of(_image_network, [floats(1, 40, 8, 8)])
    traces = Program.from_json(COMPILER.compile(network, CompileContext()).manifest["program"]).traces
    convolved = next(trace for trace in traces if trace.label == "mm.conv")
    assert (convolved.shape, convolved.strides) == ((1, 40, 8, 8), (8 * 8 * 64, 1, 8 * 64, 64))


def test_views_are_dense_where_they_leave() -> None:
    network = network_of(lambda n, x: n.transpose(x, permutation=(2, 0, 1)), [floats(3, 4, 5)])
    model = mm.Builder(mm.BuilderConfig(backends=["mlu"], strict=True)).build(network)
    x = floats(3, 4, 5)
    (result,) = model.create_engine().create_context().run({"x0": x}).values()
    np.testing.assert_array_equal(result, x.transpose(2, 0, 1))
