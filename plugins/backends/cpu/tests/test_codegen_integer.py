"""Products and convolutions of bytes against numpy, exact to the bit, on every instruction set of this machine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mm_backend_cpu.codegen.conv import ConvSpec
from mm_backend_cpu.codegen.elementwise import ElementwiseSpec, Operand, elementwise
from mm_backend_cpu.codegen.expression import Epilogue, Node
from mm_backend_cpu.codegen.gemm import GemmSpec
from mm_backend_cpu.codegen.integer import MOST_TERMS, generate_byte_conv, generate_byte_gemm, refuse_byte_conv
from mm_backend_cpu.codegen.isa import usable
from mm_backend_cpu.codegen.quads import ByteInput, zero_point_share
from mm_backend_cpu.testing import run

from mm_core.types import symbol

ISAS = pytest.mark.parametrize("isa", usable(), ids=lambda isa: isa.name)
INPUT, NODE = (lambda i: ("input", i)), (lambda i: ("node", i))
ZERO = Node("add", (INPUT(0), INPUT(1)))
SUMS = Epilogue((ZERO,), channel_inputs=1, dtypes=("i32", "i32"))
FLOAT = Epilogue((ZERO, Node("cast", (NODE(0),), {"to": "f32"})), channel_inputs=1, dtypes=("i32", "i32"))
SCALED = (ZERO, Node("cast", (NODE(0),), {"to": "f32"}), Node("mul", (NODE(1), INPUT(2))))


def requantized(to, zero):
    quantize = Node("quantize", (NODE(2),), {"to": to, "zero_point": zero})
    return Epilogue((*SCALED, quantize), channel_inputs=2, dtypes=("i32", "i32", "f32"))


def quantized(x, to, zero):
    low, high = {"i8": (-128, 127), "ui8": (0, 255)}[to]
    return np.clip(np.rint(x) + zero, low, high).astype(np.int8 if to == "i8" else np.uint8)


def bytes_of(rng, shape, signed, *, extremes=False):
    low, high = (-128, 127) if signed else (0, 255)
    x = rng.choice([low, high], shape) if extremes else rng.integers(low, high + 1, shape)
    return x.astype(np.int8 if signed else np.uint8)


@ISAS
@pytest.mark.parametrize(
    ("signed", "zero"), [(False, 0), (False, 255), (False, 113), (True, -128), (True, 127), (True, 0)]
)
@pytest.mark.parametrize(("rows", "outputs", "reduction"), [(1, 1, 1), (7, 65, 64), (33, 20, 131), (197, 16, 1028)])
def test_gemm(isa, signed, zero, rows, outputs, reduction):
    rng = np.random.default_rng(rows)
    left, weights = bytes_of(rng, (rows, reduction), signed), bytes_of(rng, (reduction, outputs), True)
    form = ByteInput(reduction, signed, zero)
    kernel = generate_byte_gemm(GemmSpec(rows, outputs, reduction, SUMS, form), isa)
    share = zero_point_share(weights.T, form.unsigned_zero)
    [output] = run(kernel.source, isa, [left, kernel.pack(weights), share], [((rows, outputs), np.int32)])
    np.testing.assert_array_equal(output, (left.astype(np.int64) - zero) @ weights)


@ISAS
@pytest.mark.parametrize("signed", [False, True])
def test_nothing_saturates(isa, signed):
    rng = np.random.default_rng(1)
    left, weights = bytes_of(rng, (40, 512), signed, extremes=True), bytes_of(rng, (512, 48), True, extremes=True)
    form = ByteInput(512, signed, 0)
    kernel = generate_byte_gemm(GemmSpec(symbol("M"), 48, 512, SUMS, form), isa)
    share = zero_point_share(weights.T, form.unsigned_zero)
    [output] = run(kernel.source, isa, [left, kernel.pack(weights), share], [((40, 48), np.int32)], {"M": 40})
    np.testing.assert_array_equal(output, left.astype(np.int64) @ weights)


@ISAS
@pytest.mark.parametrize("to", ["i8", "ui8"])
@pytest.mark.parametrize("outputs", [5, 48, 71])
def test_requantized(isa, to, outputs):
    """Scales that are powers of two make ties, which go to even numbers, and leave nothing to rounding."""
    rng = np.random.default_rng(2)
    left, weights = bytes_of(rng, (29, 20), False), bytes_of(rng, (20, outputs), True)
    scale = np.float32(2.0) ** rng.integers(-9, -4, outputs).astype(np.float32)
    zero = -7 if to == "i8" else 130
    kernel = generate_byte_gemm(GemmSpec(29, outputs, 20, requantized(to, zero), ByteInput(20, False, 9)), isa)
    inputs = [left, kernel.pack(weights), zero_point_share(weights.T, 9), scale]
    expected = quantized(((left.astype(np.int64) - 9) @ weights) * scale.astype(np.float64), to, zero)
    [output] = run(kernel.source, isa, inputs, [((29, outputs), expected.dtype)])
    np.testing.assert_array_equal(output, expected)
    assert len(np.unique(output)) > 50


def convolved(x, w, spec, zero):
    """Sums of an NHWC image and OIHW weights in int64."""
    top, left, bottom, right = spec.pads
    padded = np.pad(x.astype(np.int64) - zero, ((0, 0), (top, bottom), (left, right), (0, 0)))
    batch, group, each = len(x), spec.channels // spec.groups, spec.outputs // spec.groups
    out = np.zeros((batch, spec.output_height, spec.output_width, spec.outputs), np.int64)
    for ky in range(spec.kernel[0]):
        for kx in range(spec.kernel[1]):
            y0, x0 = ky * spec.dilations[0], kx * spec.dilations[1]
            rows = padded[:, y0 : y0 + (spec.output_height - 1) * spec.strides[0] + 1 : spec.strides[0]]
            view = rows[:, :, x0 : x0 + (spec.output_width - 1) * spec.strides[1] + 1 : spec.strides[1]]
            for g in range(spec.groups):
                part = w[g * each : (g + 1) * each, :, ky, kx].astype(np.int64)
                out[..., g * each : (g + 1) * each] += view[..., g * group : (g + 1) * group] @ part.T
    return out


CONVS = {
    "pointwise": ConvSpec(2, 24, 9, 7, 40, (1, 1)),
    "pointwise, odd channels": ConvSpec(1, 21, 6, 5, 17, (1, 1)),
    "pointwise, strided": ConvSpec(1, 16, 9, 9, 33, (1, 1), strides=(2, 2)),
    "padded": ConvSpec(2, 16, 11, 13, 24, (3, 3), pads=(1, 1, 1, 1)),
    "padded, strided, odd channels": ConvSpec(1, 6, 14, 15, 70, (5, 3), strides=(2, 3), pads=(2, 0, 1, 2)),
    "valid": ConvSpec(1, 8, 9, 9, 16, (3, 3)),
    "dilated": ConvSpec(1, 12, 17, 15, 20, (3, 3), pads=(2, 2, 2, 2), dilations=(2, 2)),
    "grouped": ConvSpec(1, 24, 8, 8, 36, (3, 3), pads=(1, 1, 1, 1), groups=3),
    "planes": ConvSpec(2, 3, 20, 19, 24, (7, 7), strides=(2, 2), pads=(3, 3, 3, 3), input_layout="NCHW"),
    "planes, two quads": ConvSpec(1, 6, 8, 9, 8, (3, 3), pads=(0, 1, 1, 0), input_layout="NCHW"),
    "large": ConvSpec(1, 256, 7, 7, 64, (3, 3), pads=(1, 1, 1, 1)),
}


@ISAS
@pytest.mark.parametrize(("signed", "zero"), [(False, 0), (False, 255), (False, 101), (True, -128), (True, 5)])
@pytest.mark.parametrize("name", CONVS)
def test_conv(isa, signed, zero, name):
    spec = replace(CONVS[name], epilogue=SUMS, bytes=ByteInput(CONVS[name].channels, signed, zero))
    rng = np.random.default_rng(3)
    x = bytes_of(rng, (spec.images, spec.height, spec.width, spec.channels), signed)
    w = bytes_of(rng, (spec.outputs, spec.channels // spec.groups, *spec.kernel), True)
    assert not refuse_byte_conv(spec)
    kernel = generate_byte_conv(spec, isa)
    given = x.transpose(0, 3, 1, 2) if spec.input_layout == "NCHW" else x
    expected = convolved(x, w, spec, zero)
    inputs = [given, kernel.pack(w), zero_point_share(w, spec.bytes.unsigned_zero)]
    [output] = run(kernel.source, isa, inputs, [(expected.shape, np.int32)])
    np.testing.assert_array_equal(output, expected)


DEPTHWISE = {
    "same": ((3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),
    "strided": ((3, 3), (2, 2), (1, 0, 0, 1), (1, 1)),
    "two quads": ((5, 4), (1, 2), (4, 3, 2, 1), (1, 1)),
    "dilated": ((2, 3), (2, 1), (0, 2, 0, 2), (3, 2)),
    "one tap": ((1, 1), (1, 1), (0, 0, 0, 0), (1, 1)),
}


@ISAS
@pytest.mark.parametrize(("signed", "zero", "channels"), [(False, 255, 16), (True, -128, 37), (False, 77, 1)])
@pytest.mark.parametrize(("kernel", "strides", "pads", "dilations"), DEPTHWISE.values(), ids=DEPTHWISE)
def test_depthwise(isa, signed, zero, channels, kernel, strides, pads, dilations):
    spec = ConvSpec(
        2, channels, 11, 13, channels, kernel, strides, pads, dilations, groups=channels, epilogue=SUMS,
        bytes=ByteInput(channels, signed, zero),
    )  # fmt: skip
    rng = np.random.default_rng(4)
    x, w = bytes_of(rng, (2, 11, 13, channels), signed), bytes_of(rng, (channels, 1, *kernel), True)
    made = generate_byte_conv(spec, isa)
    expected = convolved(x, w, spec, zero)
    inputs = [x, made.pack(w), zero_point_share(w, spec.bytes.unsigned_zero)]
    assert inputs[1].size == made.packed_elements
    [output] = run(made.source, isa, inputs, [(expected.shape, np.int32)])
    np.testing.assert_array_equal(output, expected)


@ISAS
def test_long_epilogue_with_bytes_added(isa):
    """The sum is quantized, read back, added to another tensor of bytes and quantized again."""
    nodes = (
        *SCALED,
        Node("quantize", (NODE(2),), {"to": "ui8", "zero_point": 100}),
        Node("cast", (NODE(3),), {"to": "f32"}),
        Node("sub", (NODE(4), ("scalar", 100.0))),
        Node("cast", (INPUT(3),), {"to": "f32"}),
        Node("mul", (NODE(6), ("scalar", 0.5))),
        Node("add", (NODE(5), NODE(7))),
        Node("relu", (NODE(8),)),
        Node("quantize", (NODE(9),), {"to": "i8", "zero_point": -128}),
    )
    epilogue = Epilogue(nodes, 2, 1, ("i32", "i32", "f32", "i8"))
    spec = ConvSpec(1, 16, 9, 10, 37, (1, 1), epilogue=epilogue, bytes=ByteInput(16, False, 3))
    rng = np.random.default_rng(5)
    x, w = bytes_of(rng, (1, 9, 10, 16), False), bytes_of(rng, (37, 16, 1, 1), True)
    other = bytes_of(rng, (1, 9, 10, 37), True)
    scale = np.full(37, 2.0**-8, np.float32)
    kernel = generate_byte_conv(spec, isa)
    first = quantized(convolved(x, w, spec, 3) * 2.0**-8, "ui8", 100).astype(np.float64) - 100
    expected = quantized(np.maximum(first + other * 0.5, 0), "i8", -128)
    inputs = [x, kernel.pack(w), zero_point_share(w, 3), scale, other]
    [output] = run(kernel.source, isa, inputs, [(expected.shape, np.int8)])
    np.testing.assert_array_equal(output, expected)


@ISAS
@pytest.mark.parametrize(("to", "zero"), [("ui8", 0), ("ui8", 255), ("i8", -128), ("i8", 12)])
def test_quantize_element_by_element(isa, to, zero):
    """Ties, both ends, infinities and NaN."""
    x = np.array([*np.arange(-300, 300, 0.5), np.inf, -np.inf, np.nan, 1e30, -1e30, -0.0], np.float32)
    node = Node("quantize", (INPUT(0),), {"to": to, "zero_point": zero})
    spec = ElementwiseSpec((len(x),), (Operand("f32", (1,)),), (node,), (NODE(0),))
    expected = quantized(np.nan_to_num(x.astype(np.float64), nan=-zero, posinf=1e9, neginf=-1e9), to, zero)
    [output] = run(elementwise(spec), isa, [x], [(x.shape, expected.dtype)])
    np.testing.assert_array_equal(output, expected)


def test_sums_that_do_not_fit_are_refused():
    spec = ConvSpec(1, MOST_TERMS // 9 + 4, 9, 9, 8, (3, 3), bytes=ByteInput(MOST_TERMS // 9 + 4, False, 0))
    assert "int32" in refuse_byte_conv(spec)
    odd = ConvSpec(1, 12, 9, 9, 12, (3, 3), groups=2, bytes=ByteInput(12, False, 0))
    assert "6 channels" in refuse_byte_conv(odd)
