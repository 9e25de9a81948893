"""Depthwise convolutions with 1x1 ones beside them, in strips, against torch in float64 on every instruction set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mm_backend_cpu.codegen.blocking import TileShape
from mm_backend_cpu.codegen.conv import ConvSpec
from mm_backend_cpu.codegen.conv_depthwise import is_depthwise
from mm_backend_cpu.codegen.expression import Epilogue, Node
from mm_backend_cpu.codegen.inverted_residual import InvertedResidualSpec, StripCut, generate_inverted_residual
from mm_backend_cpu.codegen.isa import detect, usable
from mm_backend_cpu.testing import run
from mm_backend_cpu.tuning.candidate import Threads
from mm_backend_cpu.tuning.problems import conv_problem, inverted_residual_problem

from mm_core.errors import CompileError
from mm_core.types import symbol

torch = pytest.importorskip("torch")
ISAS = pytest.mark.parametrize("isa", usable(), ids=lambda isa: isa.name)
BIAS = Node("add", (("input", 0), ("input", 1)))
LINEAR = Epilogue((BIAS,), channel_inputs=1)
RESIDUAL = Epilogue((BIAS, Node("add", (("node", 0), ("input", 2)))), channel_inputs=1, tensor_inputs=1)
TAILS = {
    "relu": (Epilogue((BIAS, Node("relu", (("node", 0),))), channel_inputs=1), torch.relu),
    "relu6": (
        Epilogue((BIAS, Node("clip", (("node", 0),), {"min": 0.0, "max": 6.0})), channel_inputs=1),
        torch.nn.functional.relu6,
    ),
    "hard_swish": (
        Epilogue((BIAS, Node("hard_swish", (("node", 0),))), channel_inputs=1),
        torch.nn.functional.hardswish,
    ),
    "silu": (Epilogue((BIAS, Node("silu", (("node", 0),))), channel_inputs=1), torch.nn.functional.silu),
}


def block(
    size, channels, kernel=3, stride=1, pads=None, dilation=1, tail="relu6", residual=False, images=1
) -> InvertedResidualSpec:
    """`channels` are those that enter, of the depthwise convolution, and that leave; None where a stage is absent."""
    entering, wide, leaving = channels
    epilogue = TAILS[tail][0]
    around = (dilation * (kernel - 1) // 2,) * 4 if pads is None else pads
    depthwise = ConvSpec(
        images, wide, *size, wide, (kernel, kernel), (stride, stride), around, (dilation, dilation), wide,
        epilogue=epilogue,
    )  # fmt: skip
    stages = [depthwise]
    if entering is not None:
        stages.insert(0, ConvSpec(images, entering, *size, wide, (1, 1), epilogue=epilogue))
    if leaving is not None:
        height, width, last = depthwise.output_height, depthwise.output_width, RESIDUAL if residual else LINEAR
        stages.append(ConvSpec(images, wide, height, width, leaving, (1, 1), epilogue=last))
    return InvertedResidualSpec(tuple(stages))


BLOCKS = {
    "odd": block((9, 7), (5, 19, 6)),
    "residual": block((8, 10), (16, 48, 16), residual=True),
    "stride 2": block((11, 13), (8, 33, 12), stride=2, images=2),
    "stride 3, window 2": block((13, 12), (8, 20, 9), kernel=2, stride=3, pads=(0, 0, 0, 0)),
    "5x5": block((10, 9), (12, 40, 24), kernel=5, residual=False, images=3),
    "7x7 on a small image": block((5, 4), (9, 17, 3), kernel=7),
    "dilated": block((12, 11), (6, 24, 8), dilation=2),
    "pads on one side": block((7, 9), (10, 21, 5), pads=(0, 2, 3, 1)),
    "nothing but padding above and below": block((3, 6), (4, 18, 5), pads=(5, 1, 5, 1)),
    "one row": block((1, 30), (7, 16, 20)),
    "one column": block((20, 1), (7, 16, 20)),
    "no expansion": block((9, 11), (None, 37, 14), stride=2),
    "no projection": block((9, 11), (14, 37, None), kernel=5, tail="hard_swish"),
}


def data_of(spec, images=None, seed=0):
    """The image, the weights, the biases and the residual, if there is one."""
    rng = np.random.default_rng(seed)
    first, last = spec.stages[0], spec.stages[-1]
    images = first.images if images is None else images

    def normal(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    weights = [
        normal(s.outputs, s.channels // s.groups, *s.kernel) / np.float32(np.sqrt(s.channels // s.groups))
        for s in spec.stages
    ]
    biases = [normal(stage.outputs) for stage in spec.stages]
    residual = normal(images, last.output_height, last.output_width, last.outputs)
    return normal(images, first.height, first.width, first.channels), weights, biases, residual


def expected_of(spec, x, weights, biases, residual):
    value = torch.from_numpy(x).double().permute(0, 3, 1, 2)
    for stage, w, b in zip(spec.stages, weights, biases, strict=True):
        top, left, bottom, right = stage.pads
        value = torch.nn.functional.pad(value, (left, right, top, bottom))
        arguments = torch.from_numpy(w).double(), torch.from_numpy(b).double()
        value = torch.nn.functional.conv2d(value, *arguments, stage.strides, 0, stage.dilations, stage.groups)
        for epilogue, function in TAILS.values():
            value = function(value) if stage.epilogue is epilogue else value
    return value.permute(0, 2, 3, 1).numpy() + (residual if spec.stages[-1].epilogue is RESIDUAL else 0)


def cut_of(spec, rows, vectors=1, pixels=(5, 6)):
    expand, project = (TileShape(count, vectors) for count in pixels)
    return StripCut(rows, expand if spec.expand else None, project if spec.project else None, 3)


def computed(spec, isa, cut, data, parts=3, dims=None):
    x, weights, biases, residual = data
    kernel = generate_inverted_residual(spec, isa, cut)
    extras = [*biases, *[residual] * spec.stages[-1].epilogue.tensor_inputs]
    [output] = run(kernel.source, isa, [x, kernel.pack(*weights), *extras], [(residual.shape, np.float32)], dims, parts)
    return output


@ISAS
@pytest.mark.parametrize("name", BLOCKS)
def test_against_torch(name, isa):
    spec = BLOCKS[name]
    data = data_of(spec)
    expected = expected_of(spec, *data)
    for rows, vectors, parts in ((1, 1, 7), (3, 2, 2)):
        cut = cut_of(spec, min(rows, spec.depthwise.output_height), vectors)
        np.testing.assert_allclose(computed(spec, isa, cut, data, parts), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tail", TAILS)
def test_tails(tail):
    spec = block((8, 9), (10, 35, 20), stride=2, tail=tail)
    data = data_of(spec)
    output = computed(spec, detect(), cut_of(spec, 2), data)
    np.testing.assert_allclose(output, expected_of(spec, *data), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_random_blocks_equal_kernels_of_their_own(seed):
    """Not a number and infinities included: each must reach the outputs that it reaches there."""
    rng = np.random.default_rng(seed)
    isa = usable()[seed % len(usable())]
    channels = [int(size) for size in rng.integers(1, 60, 3)]
    present = seed % 3
    spec = block(
        tuple(int(size) for size in rng.integers(5, 16, 2)),
        (None if present == 1 else channels[0], channels[1], None if present == 2 else channels[2]),
        kernel=int(rng.choice([3, 5])), stride=int(rng.integers(1, 3)), tail=str(rng.choice(list(TAILS))),
        residual=bool(rng.integers(2)), images=int(rng.integers(1, 4)),
    )  # fmt: skip
    x, weights, biases, residual = data_of(spec, seed=seed)
    for special in (np.nan, np.inf, -np.inf):
        x[tuple(int(rng.integers(size)) for size in x.shape)] = special
    threads = Threads(int(rng.integers(1, 4)), fixed=True)
    value = x
    for stage, w, b in zip(spec.stages, weights, biases, strict=True):
        kernel = conv_problem(stage, isa, threads).finalists[0].kernel
        shape = (stage.images, stage.output_height, stage.output_width, stage.outputs)
        extras = [b, *[residual] * stage.epilogue.tensor_inputs]
        [value] = run(kernel.source, isa, [value, kernel.pack(w), *extras], [(shape, np.float32)])
    assert not np.isfinite(value).all()
    for candidate in inverted_residual_problem(spec, isa, threads).candidates:
        extras = [*biases, *[residual] * spec.stages[-1].epilogue.tensor_inputs]
        inputs = [x, candidate.kernel.pack(*weights), *extras]
        [output] = run(candidate.kernel.source, isa, inputs, [(value.shape, np.float32)], parts=threads.count)
        np.testing.assert_allclose(output, value, rtol=1e-5, atol=1e-6, err_msg=candidate.title)


@pytest.mark.parametrize("images", [0, 1, 5])
def test_batch_known_at_run_time(images):
    spec = BLOCKS["residual"]
    spec = InvertedResidualSpec(tuple(replace(stage, images=symbol("B")) for stage in spec.stages))
    data = data_of(spec, images)
    output = computed(spec, detect(), cut_of(spec, 3), data, dims={"B": images})
    np.testing.assert_allclose(output, expected_of(spec, *data), rtol=1e-5, atol=1e-5)


def test_rows_are_expanded_once():
    """The ring holds no more rows than a window, and weights lie from cache lines on."""
    spec = block((40, 6), (8, 32, 8))
    assert spec.ring_rows(1) == 3
    assert spec.ring_rows(4) == 6
    assert spec.ring_rows(40) == 40
    kernel = generate_inverted_residual(spec, detect(), cut_of(spec, 2))
    assert kernel.source.scratch_bytes == 4 * (4 * 6 * 32 + 2 * 6 * 32)
    assert kernel.source.tasks == 20
    assert kernel.packed_elements % 16 == 0
    assert is_depthwise(spec.depthwise)


def test_what_strips_do_not_compute():
    expand, depthwise, project = BLOCKS["residual"].stages
    whole = "1x1 over all channels"
    for stages, reason in (
        ((depthwise,), "beside"),
        ((depthwise, expand, project), "beside"),
        ((expand, project), "beside"),
        ((expand, depthwise, replace(project, height=7)), "does not read"),
        ((expand, depthwise, replace(project, images=2)), "does not read"),
        ((replace(expand, strides=(2, 2), height=15, width=19), depthwise), whole),
        ((replace(expand, groups=2), depthwise), whole),
        ((replace(expand, epilogue=RESIDUAL), depthwise), "joins"),
    ):
        with pytest.raises(CompileError, match=reason):
            InvertedResidualSpec(stages)
