"""Contractions read nothing past their inputs: every input ends where memory that may not be read begins."""

from __future__ import annotations

import ctypes
import mmap
from dataclasses import replace

import numpy as np
import pytest
from mm_backend_cpu.codegen.blocking import TileShape
from mm_backend_cpu.codegen.conv import ConvSpec, Depth, generate_conv
from mm_backend_cpu.codegen.conv_depthwise import generate_depthwise
from mm_backend_cpu.codegen.conv_transpose import ConvTransposeSpec, TransposedAxis, generate_conv_transpose
from mm_backend_cpu.codegen.expression import Epilogue, Node
from mm_backend_cpu.codegen.gemm import GemmSpec, generate_gemm
from mm_backend_cpu.codegen.inverted_residual import InvertedResidualSpec, StripCut, generate_inverted_residual
from mm_backend_cpu.codegen.isa import usable
from mm_backend_cpu.codegen.matmul import MatmulSpec, generate_matmul, matrix_strides
from mm_backend_cpu.codegen.winograd import generate_winograd
from mm_backend_cpu.testing import run

from mm_core.types import evaluate_int, symbol

ISAS = pytest.mark.parametrize("isa", usable(), ids=lambda isa: isa.name)
SUM = Node("add", (("input", 0), ("input", 1)))
RESIDUAL = Epilogue((SUM, Node("add", (("node", 0), ("input", 2)))), channel_inputs=1, tensor_inputs=1)
CONVOLUTIONS = {
    "3x3": (generate_conv, ConvSpec(1, 13, 9, 7, 21, (3, 3), pads=(1, 1, 1, 1), epilogue=RESIDUAL)),
    "strided": (generate_conv, ConvSpec(1, 13, 9, 7, 40, (1, 1), strides=(2, 2), epilogue=RESIDUAL)),
    "grouped": (generate_conv, ConvSpec(1, 12, 9, 9, 30, (3, 3), groups=3, epilogue=RESIDUAL)),
    "nchw": (generate_conv, ConvSpec(1, 3, 11, 11, 20, (3, 3), (2, 2), input_layout="NCHW", epilogue=RESIDUAL)),
    "depthwise": (
        generate_depthwise,
        ConvSpec(1, 19, 8, 9, 19, (3, 3), pads=(1, 1, 1, 1), groups=19, epilogue=RESIDUAL),
    ),
    "unknown": (
        generate_conv,
        ConvSpec(1, 13, symbol("H"), symbol("W"), 21, (3, 3), (1, 2), pads=(1, 1, 1, 1), epilogue=RESIDUAL),
    ),
    "unknown and unpadded": (
        generate_conv, ConvSpec(1, 13, symbol("H"), symbol("W"), 21, (3, 3), epilogue=RESIDUAL)
    ),
    "unknown depthwise": (
        generate_depthwise,
        ConvSpec(1, 19, symbol("H"), symbol("W"), 19, (3, 3), pads=(1, 1, 1, 1), groups=19, epilogue=RESIDUAL),
    ),
    "unknown winograd": (
        generate_winograd,
        ConvSpec(1, 32, symbol("H"), symbol("W"), 48, (3, 3), pads=(1, 1, 1, 1), epilogue=RESIDUAL),
    ),
    "winograd": (generate_winograd, ConvSpec(1, 32, 9, 9, 48, (3, 3), pads=(1, 1, 1, 1), epilogue=RESIDUAL)),
}  # fmt: skip
_NO_ACCESS = 0


@pytest.fixture
def at_the_end_of_memory():
    """A function that copies an array to just before a page without access."""
    libc, kept = ctypes.CDLL(None, use_errno=True), []

    def place(array):
        pages = -(-max(array.nbytes, 1) // mmap.PAGESIZE)
        memory = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        kept.append((memory, start + pages * mmap.PAGESIZE))
        assert libc.mprotect(ctypes.c_void_p(kept[-1][1]), ctypes.c_size_t(mmap.PAGESIZE), _NO_ACCESS) == 0
        copy = np.frombuffer(memory, array.dtype, array.size, pages * mmap.PAGESIZE - array.nbytes)
        copy[:] = array.reshape(-1)
        return copy.reshape(array.shape)

    yield place
    for _, guard in kept:
        libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(mmap.PAGESIZE), mmap.PROT_READ | mmap.PROT_WRITE)


@ISAS
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolutions(isa, case, at_the_end_of_memory):
    generate, spec = CONVOLUTIONS[case]
    kernel, sizes = generate(spec, isa), {"H": 9, "W": 10}
    spec = replace(spec, **{size: evaluate_int(getattr(spec, size), sizes) for size in ("height", "width")})
    shape = (spec.images, spec.output_height, spec.output_width, spec.outputs)
    weights = kernel.pack(np.ones((spec.outputs, spec.channels // spec.groups, *spec.kernel), np.float32))
    image = np.ones((spec.images, spec.height, spec.width, spec.channels), np.float32)
    inputs = [image, weights, np.zeros(spec.outputs, np.float32), np.zeros(shape, np.float32)]
    [output] = run(kernel.source, isa, list(map(at_the_end_of_memory, inputs)), [(shape, np.float32)], sizes)
    middle = output[0, shape[1] // 2, shape[2] // 2]
    np.testing.assert_allclose(middle, spec.channels // spec.groups * spec.kernel[0] * spec.kernel[1], rtol=1e-5)


@ISAS
@pytest.mark.parametrize("groups", [1, 3, 15])
def test_transposed_convolutions(isa, groups, at_the_end_of_memory):
    rows, columns = TransposedAxis(6, 12, 4, 2, 1, 1), TransposedAxis(5, 11, 3, 2)
    kernel = generate_conv_transpose(ConvTransposeSpec(1, 15, 15, rows, columns, groups, epilogue=RESIDUAL), isa)
    image = np.ones((1, 6, 5, 15), np.float32)
    weights = kernel.pack(np.ones((15, 15 // groups, 4, 3), np.float32))
    inputs = [image, weights, np.zeros(15, np.float32), np.zeros((1, 12, 11, 15), np.float32)]
    [output] = run(kernel.source, isa, list(map(at_the_end_of_memory, inputs)), [((1, 12, 11, 15), np.float32)])
    np.testing.assert_array_equal(output[0, 5, 4:6], [[4 * (15 // groups)] * 15, [2 * (15 // groups)] * 15])


@ISAS
@pytest.mark.parametrize("pads", [0, 1])
def test_volumes(isa, pads, at_the_end_of_memory):
    spec = ConvSpec(1, 13, 6, 7, 21, (3, 3), pads=(pads,) * 4, depth=Depth(5, 3, 1, (pads, pads)))
    kernel = generate_conv(spec, isa)
    shape = (1, 3 + 2 * pads, 4 + 2 * pads, 5 + 2 * pads, 21)
    inputs = [np.ones((1, 5, 6, 7, 13), np.float32), kernel.pack(np.ones((21, 13, 3, 3, 3), np.float32))]
    [output] = run(kernel.source, isa, list(map(at_the_end_of_memory, inputs)), [(shape, np.float32)])
    np.testing.assert_array_equal(output[0, 2, 2, 2], 13 * 27)


@ISAS
def test_strips(isa, at_the_end_of_memory):
    bias = Epilogue((SUM,), channel_inputs=1)
    expand = ConvSpec(1, 13, 9, 7, 21, (1, 1), epilogue=bias)
    depthwise = ConvSpec(1, 21, 9, 7, 21, (3, 3), (2, 1), (1, 1, 1, 1), groups=21, epilogue=bias)
    project = ConvSpec(1, 21, 5, 7, 19, (1, 1), epilogue=RESIDUAL)
    tile = TileShape(5, 2)
    spec = InvertedResidualSpec((expand, depthwise, project))
    kernel = generate_inverted_residual(spec, isa, StripCut(2, tile, tile, 3))
    weights = kernel.pack(*(np.ones((s.outputs, s.channels // s.groups, *s.kernel), np.float32) for s in spec.stages))
    biases = [np.zeros(stage.outputs, np.float32) for stage in spec.stages]
    inputs = [np.ones((1, 9, 7, 13), np.float32), weights, *biases, np.zeros((1, 5, 7, 19), np.float32)]
    [output] = run(kernel.source, isa, list(map(at_the_end_of_memory, inputs)), [((1, 5, 7, 19), np.float32)])
    np.testing.assert_array_equal(output[0, 2, 3], 13 * 9 * 21)


@ISAS
@pytest.mark.parametrize(("rows", "outputs", "reduction"), [(1, 7, 5), (13, 50, 33), (20, 64, 600)])
def test_products(isa, rows, outputs, reduction, at_the_end_of_memory):
    left, right = np.ones((rows, reduction), np.float32), np.ones((reduction, outputs), np.float32)
    kernel = generate_gemm(GemmSpec(rows, outputs, reduction), isa)
    inputs = list(map(at_the_end_of_memory, (left, kernel.pack(right))))
    [output] = run(kernel.source, isa, inputs, [((rows, outputs), np.float32)])
    np.testing.assert_array_equal(output, reduction)
    strides = matrix_strides((), rows, reduction), matrix_strides((), reduction, outputs)
    source = generate_matmul(MatmulSpec((), rows, outputs, reduction, *strides), isa)
    inputs = list(map(at_the_end_of_memory, (left, right)))
    [output] = run(source, isa, inputs, [((rows, outputs), np.float32)])
    np.testing.assert_array_equal(output, reduction)
