"""Transposed convolutions against torch in float64, on every instruction set of this machine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mm_backend_cpu.codegen.conv_transpose import (
    ConvTransposeSpec,
    TransposedAxis,
    axis_phases,
    generate_conv_transpose,
)
from mm_backend_cpu.codegen.expression import Epilogue, Node
from mm_backend_cpu.codegen.isa import detect, usable
from mm_backend_cpu.codegen.overlap import OverlapSpec, overlap
from mm_backend_cpu.testing import run

from mm_core.errors import CompileError
from mm_core.types import symbol

torch = pytest.importorskip("torch")
ISAS = pytest.mark.parametrize("isa", usable(), ids=lambda isa: isa.name)
BIAS = Node("add", (("input", 0), ("input", 1)))
RESIDUAL = Epilogue((BIAS, Node("add", (("node", 0), ("input", 2)))), channel_inputs=1, tensor_inputs=1)
SILU = Epilogue((BIAS, Node("silu", (("node", 0),))), channel_inputs=1)


def axis(size, kernel, stride=1, begin=0, end=0, dilation=1, extra=0):
    """An axis whose output is cut by pads and grown by output padding."""
    return TransposedAxis(
        size, stride * (size - 1) + (kernel - 1) * dilation + 1 + extra - begin - end, kernel, stride, dilation, begin
    )


LINE = TransposedAxis(1, 1, 1)
SPECS = {
    "unet": ConvTransposeSpec(2, 17, 33, axis(9, 2, 2), axis(11, 2, 2)),
    "dcgan": ConvTransposeSpec(1, 16, 20, axis(8, 4, 2, 1, 1), axis(8, 4, 2, 1, 1)),
    "few outputs": ConvTransposeSpec(1, 64, 3, axis(12, 4, 2, 1, 1), axis(10, 4, 2, 1, 1)),
    "ragged": ConvTransposeSpec(1, 8, 18, axis(7, 3, 2, 1, 1, extra=1), axis(6, 3, 2, 1, 1, extra=1)),
    "stride 1": ConvTransposeSpec(2, 6, 10, axis(5, 3), axis(6, 3, begin=1, end=2)),
    "cut deeply": ConvTransposeSpec(1, 5, 7, axis(6, 4, 2, 3, 3), axis(7, 5, 3, 4, 2)),
    "dilated": ConvTransposeSpec(1, 5, 7, axis(6, 3, 2, 1, 0, dilation=3), axis(7, 4, 3, 2, 1, dilation=2)),
    "groups": ConvTransposeSpec(1, 12, 9, axis(6, 3, 2, 1, 1), axis(5, 3, 2), groups=3),
    "one a group": ConvTransposeSpec(1, 6, 6, axis(6, 4, 2, 1, 1), axis(5, 4, 2, 1, 1), groups=6),
    "line": ConvTransposeSpec(2, 9, 21, axis(13, 16, 8, 4, 4), LINE),
    "planes": ConvTransposeSpec(1, 3, 16, axis(6, 4, 2, 1, 1), axis(5, 4, 2, 1, 1), input_layout="NCHW"),
    "one pixel": ConvTransposeSpec(1, 30, 16, axis(1, 4), axis(1, 4)),
    "no images": ConvTransposeSpec(0, 4, 8, axis(5, 2, 2), axis(5, 2, 2)),
}


def expected_of(spec, x, weights):
    """By torch, in float64: the whole result, then cut or grown to the output."""
    axes = spec.rows, spec.columns
    strides, dilations = zip(*((one.stride, one.dilation) for one in axes), strict=True)
    full = torch.nn.functional.conv_transpose2d(
        torch.from_numpy(x).double(), torch.from_numpy(weights).double(), None, strides, 0, 0, spec.groups, dilations
    )
    ends = [one.output + one.begin - size for one, size in zip(axes, full.shape[2:], strict=True)]
    grown = torch.nn.functional.pad(full, (-spec.columns.begin, ends[1], -spec.rows.begin, ends[0]))
    return grown.permute(0, 2, 3, 1).numpy()


def check(spec, isa, sizes=None):
    """`sizes` are names that stand for sizes of `spec` while generating."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((spec.images, spec.channels, spec.rows.size, spec.columns.size)).astype(np.float32)
    kernel_shape = (spec.channels, spec.outputs // spec.groups, spec.rows.kernel, spec.columns.kernel)
    weights = rng.standard_normal(kernel_shape).astype(np.float32)
    bias = rng.standard_normal(spec.outputs).astype(np.float32)
    shape = (spec.images, spec.rows.output, spec.columns.output, spec.outputs)
    residual = rng.standard_normal(shape).astype(np.float32)
    extra = [bias, residual][: spec.epilogue.channel_inputs + spec.epilogue.tensor_inputs]
    expected = sum(extra, expected_of(spec, x, weights) if spec.images else np.zeros(shape))
    if spec.epilogue is SILU:
        expected = expected / (1 + np.exp(-expected))

    kernel = generate_conv_transpose(sizes or spec, isa)
    packed = kernel.pack(weights)
    assert packed.size == kernel.packed_elements
    image = x if spec.input_layout == "NCHW" else np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    values = {"B": spec.images, "H": spec.rows.size, "W": spec.columns.size}
    [output] = run(kernel.source, isa, [image, packed, *extra], [(shape, np.float32)], values)
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=3e-7 * max(16, weights[:, 0].size))


@ISAS
@pytest.mark.parametrize("name", SPECS)
def test_conv_transpose(isa, name):
    check(SPECS[name], isa)


@ISAS
@pytest.mark.parametrize("epilogue", [RESIDUAL, SILU], ids=["residual", "silu"])
@pytest.mark.parametrize("name", ["unet", "ragged", "groups", "line", "few outputs"])
def test_epilogue(isa, name, epilogue):
    check(replace(SPECS[name], epilogue=epilogue), isa)


@pytest.mark.parametrize("name", ["unet", "dcgan", "ragged", "dilated", "groups", "line", "planes", "cut deeply"])
def test_sizes_known_at_run_time(name):
    spec = replace(SPECS[name], epilogue=RESIDUAL)
    rows, columns = symbol("H"), symbol("W")
    moved = replace(
        spec,
        images=symbol("B"),
        rows=replace(spec.rows, size=rows, output=(rows - spec.rows.size) * spec.rows.stride + spec.rows.output),
        columns=replace(
            spec.columns, size=columns, output=(columns - spec.columns.size) * spec.columns.stride + spec.columns.output
        ),
    )
    check(spec, detect(), moved if name != "line" else replace(moved, columns=LINE))


@pytest.mark.parametrize("seed", range(12))
def test_random(seed):
    rng = np.random.default_rng(seed)

    def random_axis():
        stride, dilation, size = (int(rng.integers(1, most)) for most in (4, 3, 12))
        kernel = int(rng.integers(stride, stride + 4)) if dilation % stride or stride == 1 else 2 * stride
        reach = (kernel - 1) * dilation
        begin, end = (int(rng.integers(0, reach // 2 + 1)) for _ in range(2))
        return axis(size, kernel, stride, begin, end, dilation, int(rng.integers(0, stride)))

    while True:
        groups = int(rng.choice([1, 1, 2]))
        spec = ConvTransposeSpec(
            int(rng.integers(1, 4)), groups * int(rng.integers(1, 40)), groups * int(rng.integers(1, 40)),
            random_axis(), random_axis(), groups,
        )  # fmt: skip
        if not any(isinstance(axis_phases(one), str) for one in (spec.rows, spec.columns)):
            break
    check(spec, detect())


def test_nan_and_infinity_reach_what_their_input_reaches():
    spec = SPECS["dcgan"]
    x = np.zeros((1, spec.rows.size, spec.columns.size, spec.channels), np.float32)
    x[0, 3, 4, 1], x[0, 6, 6, 2] = np.nan, np.inf
    weights = np.ones((spec.channels, spec.outputs, 4, 4), np.float32)
    kernel = generate_conv_transpose(spec, detect())
    [output] = run(kernel.source, detect(), [x, kernel.pack(weights)], [((1, 16, 16, spec.outputs), np.float32)])
    expected = expected_of(spec, x.transpose(0, 3, 1, 2), weights)
    np.testing.assert_array_equal(output, expected)


OVERLAPS = {
    **{name: spec for name, spec in SPECS.items() if spec.groups == 1 and spec.input_layout == "NHWC"},
    "weights that reach nothing": ConvTransposeSpec(1, 5, 20, axis(6, 2, 3, 0, 1), axis(7, 1, 2, extra=1)),
    "one output": ConvTransposeSpec(2, 9, 1, axis(8, 9, 3, 4, 4, extra=2), axis(7, 9, 3, 4, 4, extra=2)),
}


@ISAS
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("name", OVERLAPS)
def test_overlapping_sums(isa, name, known):
    """Of products that numpy computes."""
    spec, rng = OVERLAPS[name], np.random.default_rng(0)
    rows, columns = spec.rows, spec.columns
    x = rng.standard_normal((spec.images, spec.channels, rows.size, columns.size)).astype(np.float32)
    weights = rng.standard_normal((spec.channels, spec.outputs, rows.kernel, columns.kernel)).astype(np.float32)
    products = np.einsum("nchw,cmij->nhwijm", x, weights, dtype=np.float64).astype(np.float32)
    shape = (spec.images, rows.output, columns.output, spec.outputs)
    extra = [rng.standard_normal(spec.outputs).astype(np.float32), rng.standard_normal(shape).astype(np.float32)]
    if known:
        source = overlap(OverlapSpec(spec.images, spec.outputs, rows, columns, RESIDUAL), isa)
    else:
        told = [
            replace(one, size=symbol(size), output=(symbol(size) - one.size) * one.stride + one.output)
            for one, size in ((rows, "H"), (columns, "W"))
        ]
        source = overlap(OverlapSpec(symbol("B"), spec.outputs, *told, RESIDUAL), isa)
    values = {"B": spec.images, "H": rows.size, "W": columns.size}
    [output] = run(source, isa, [products, *extra], [(shape, np.float32)], values)
    expected = sum(extra, expected_of(spec, x, weights) if spec.images else np.zeros(shape))
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=3e-7 * max(16, weights[:, 0].size))


def test_what_has_no_kernel():
    spec = replace(SPECS["unet"], rows=axis(5, 1, 2))
    assert axis_phases(spec.rows) == "outputs that no weight reaches"
    with pytest.raises(CompileError, match="no weight reaches"):
        generate_conv_transpose(spec, detect())
    elsewhere = TransposedAxis(symbol("H"), symbol("K"), 2, 2)
    assert axis_phases(elsewhere) == "an output size that does not follow from the image's"
