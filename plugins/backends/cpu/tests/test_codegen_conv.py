"""Convolutions against torch in float64, on every instruction set of this machine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mm_backend_cpu.codegen.conv import ConvSpec, Depth, generate_conv
from mm_backend_cpu.codegen.conv_depthwise import generate_depthwise, is_depthwise
from mm_backend_cpu.codegen.expression import Epilogue, Node
from mm_backend_cpu.codegen.isa import detect, usable
from mm_backend_cpu.codegen.winograd import (
    ALGORITHMS,
    ERROR_BUDGET,
    Winograd,
    generate_winograd,
    is_winograd,
    rounding_error,
    winograd_cut,
)
from mm_backend_cpu.testing import run

from mm_core.errors import CompileError
from mm_core.types import evaluate_int, symbol

torch = pytest.importorskip("torch")
ISAS = pytest.mark.parametrize("isa", usable(), ids=lambda isa: isa.name)
BIAS = Node("add", (("input", 0), ("input", 1)))
BIAS_RELU = Epilogue((BIAS, Node("relu", (("node", 0),))), channel_inputs=1)
RESIDUAL = Epilogue((BIAS, Node("add", (("node", 0), ("input", 2)))), channel_inputs=1, tensor_inputs=1)
SILU = Epilogue((BIAS, Node("silu", (("node", 0),))), channel_inputs=1)

SPECS = [
    ConvSpec(1, 1, 1, 1, 1, (1, 1)),
    ConvSpec(2, 17, 9, 11, 63, (1, 1)),
    ConvSpec(1, 65, 14, 14, 16, (1, 1), strides=(2, 2)),
    ConvSpec(1, 3, 31, 33, 17, (7, 7), strides=(2, 2), pads=(3, 3, 3, 3), input_layout="NCHW"),
    ConvSpec(2, 3, 16, 16, 24, (4, 4), strides=(4, 4)),
    ConvSpec(1, 16, 7, 7, 32, (3, 3), pads=(1, 1, 1, 1)),
    ConvSpec(2, 63, 13, 10, 65, (3, 3), pads=(1, 1, 1, 1)),
    ConvSpec(1, 8, 20, 17, 9, (3, 3), strides=(2, 1), pads=(0, 1, 2, 3)),
    ConvSpec(1, 5, 15, 16, 12, (3, 3), pads=(2, 2, 2, 2), dilations=(2, 2)),
    ConvSpec(1, 6, 12, 12, 34, (2, 3), dilations=(1, 3), pads=(1, 0, 0, 2)),
    ConvSpec(1, 1, 28, 28, 3, (5, 5)),
    ConvSpec(1, 12, 10, 10, 18, (3, 3), pads=(1, 1, 1, 1), groups=3),
    ConvSpec(2, 34, 8, 9, 68, (1, 1), groups=2),
    ConvSpec(1, 8, 9, 9, 16, (3, 3), groups=8),
    ConvSpec(1, 40, 1, 50, 20, (1, 7), pads=(0, 3, 0, 3), strides=(1, 2)),
    ConvSpec(1, 160, 6, 6, 32, (3, 3), pads=(1, 1, 1, 1)),
    ConvSpec(3, 7, 5, 4, 8, (3, 3), pads=(4, 5, 4, 5)),
    ConvSpec(0, 4, 5, 5, 8, (3, 3), pads=(1, 1, 1, 1)),
    ConvSpec(1, 4, 2, 5, 8, (3, 3)),
]
DEPTHWISE = [
    ConvSpec(2, 17, 9, 12, 17, (3, 3), pads=(1, 1, 1, 1), groups=17),
    ConvSpec(1, 64, 15, 15, 64, (3, 3), pads=(1, 1, 1, 1), strides=(2, 2), groups=64),
    ConvSpec(1, 65, 7, 7, 65, (3, 3), pads=(1, 1, 1, 1), groups=65),
    ConvSpec(1, 3, 20, 21, 3, (5, 5), pads=(0, 1, 2, 3), strides=(2, 1), groups=3),
    ConvSpec(1, 35, 14, 19, 35, (3, 3), pads=(3, 3, 3, 3), dilations=(3, 2), groups=35),
    ConvSpec(1, 130, 1, 40, 130, (1, 4), pads=(0, 3, 0, 0), groups=130),
    ConvSpec(1, 1, 5, 5, 1, (3, 3), groups=1),
    ConvSpec(1, 20, 3, 3, 20, (3, 3), pads=(5, 5, 5, 5), groups=20),
    ConvSpec(0, 20, 3, 3, 20, (3, 3), groups=20),
]


WINOGRAD = [
    ConvSpec(1, 16, 4, 4, 16, (3, 3), pads=(1, 1, 1, 1)),
    ConvSpec(2, 32, 13, 10, 48, (3, 3), pads=(1, 1, 1, 1)),
    ConvSpec(1, 64, 14, 15, 80, (3, 3), pads=(0, 2, 1, 0)),
    ConvSpec(3, 16, 3, 3, 16, (3, 3)),
    ConvSpec(0, 16, 9, 9, 16, (3, 3)),
]


def check(spec, isa, generate=generate_conv, images=None, rounding=1, unknown=()):
    """`unknown` are the sizes that the kernel is not told."""
    rng = np.random.default_rng(0)
    images = spec.images if images is None else images
    x = rng.standard_normal((images, spec.channels, spec.height, spec.width)).astype(np.float32)
    weights = rng.standard_normal((spec.outputs, spec.channels // spec.groups, *spec.kernel)).astype(np.float32)
    bias = rng.standard_normal(spec.outputs).astype(np.float32)
    shape = (images, spec.output_height, spec.output_width, spec.outputs)
    residual = rng.standard_normal(shape).astype(np.float32)

    top, left, bottom, right = spec.pads
    padded = torch.nn.functional.pad(torch.from_numpy(x).double(), (left, right, top, bottom))
    expected = np.zeros(shape)
    if expected.size:
        arguments = torch.from_numpy(weights).double(), None, spec.strides, 0, spec.dilations, spec.groups
        expected = torch.nn.functional.conv2d(padded, *arguments).permute(0, 2, 3, 1).numpy()
    extra = [bias, residual][: spec.epilogue.channel_inputs + spec.epilogue.tensor_inputs]
    expected = sum(extra, expected)
    if spec.epilogue is BIAS_RELU:
        expected = np.maximum(expected, 0)
    if spec.epilogue is SILU:
        expected = expected / (1 + np.exp(-expected))

    names = {"height": "H", "width": "W", "images": "B"}
    kernel = generate(replace(spec, **{size: symbol(names[size]) for size in unknown}), isa)
    image = x if spec.input_layout == "NCHW" else np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    inputs = [image, kernel.pack(weights), *extra]
    [output] = run(kernel.source, isa, inputs, [(shape, np.float32)], {"B": images, "H": spec.height, "W": spec.width})
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=3e-7 * rounding * max(16, weights[0].size))
    return kernel


def name(spec):
    return f"{spec.channels}x{spec.height}x{spec.width}-{spec.outputs}k{spec.kernel[0]}x{spec.kernel[1]}"


@ISAS
@pytest.mark.parametrize("spec", SPECS, ids=name)
def test_conv(isa, spec):
    check(spec, isa)


@ISAS
@pytest.mark.parametrize("epilogue", [BIAS_RELU, RESIDUAL, SILU], ids=["bias_relu", "residual", "silu"])
@pytest.mark.parametrize("spec", [SPECS[6], SPECS[3], SPECS[11]], ids=name)
def test_conv_epilogue(isa, epilogue, spec):
    check(replace(spec, epilogue=epilogue), isa)


@ISAS
@pytest.mark.parametrize("spec", DEPTHWISE, ids=name)
def test_depthwise(isa, spec):
    assert is_depthwise(spec)
    check(spec, isa, generate_depthwise)


@ISAS
@pytest.mark.parametrize("epilogue", [BIAS_RELU, RESIDUAL, SILU], ids=["bias_relu", "residual", "silu"])
def test_depthwise_epilogue(isa, epilogue):
    check(replace(DEPTHWISE[0], epilogue=epilogue), isa, generate_depthwise)


@ISAS
@pytest.mark.parametrize("epilogue", [BIAS_RELU, RESIDUAL, SILU], ids=["bias_relu", "residual", "silu"])
@pytest.mark.parametrize("spec", WINOGRAD, ids=name)
@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=str)
def test_winograd(algorithm, isa, spec, epilogue):
    def generate(spec, isa):
        return generate_winograd(spec, isa, winograd_cut(spec, isa, algorithm))

    check(replace(spec, epilogue=epilogue), isa, generate, rounding=6)


@pytest.mark.parametrize("points", [(0, 1, -1), (0, 1, -1, 2), (0, 1, -1, 2, -2), (0, 1, -1, 2, -2, 3)])
def test_the_transforms_multiply_polynomials(points):
    rng, algorithm = np.random.default_rng(0), Winograd(points)
    row, taps = rng.standard_normal(algorithm.size), rng.standard_normal(3)
    found = algorithm.results @ ((algorithm.weights @ taps) * (algorithm.inputs @ row))
    np.testing.assert_allclose(found, np.convolve(row, taps[::-1], "valid"), rtol=1e-12, atol=1e-12)


def test_where_winograd_applies():
    isa, spec = detect(), ConvSpec(1, 64, 56, 56, 64, (3, 3), pads=(1, 1, 1, 1))
    assert is_winograd(spec, isa)
    others = {"strides": (2, 2)}, {"kernel": (5, 5)}, {"groups": 2}, {"dilations": (2, 2)}, {"outputs": 63}
    for changes in others:
        assert not is_winograd(replace(spec, **changes), isa)
        with pytest.raises(CompileError, match="Winograd"):
            generate_winograd(replace(spec, **changes), isa)


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=str)
@pytest.mark.parametrize("channels", [64, 256])
@pytest.mark.parametrize("kind", ["normal", "one tap", "worst tap"])
def test_the_rounding_error_that_is_expected_of_winograd(kind, channels, algorithm):
    """It is of the size of what is found: never less, and not so much more that it would rule out what is exact."""
    rng = np.random.default_rng(3)
    weights = rng.standard_normal((32, channels, 3, 3)).astype(np.float32)
    if kind != "normal":
        kept = np.zeros((3, 3), np.float32)
        kept[(1, 1) if kind == "one tap" else (2, 2)] = 1
        weights *= kept
    x = rng.standard_normal((1, channels, 24, 24)).astype(np.float32)
    spec = ConvSpec(1, channels, 24, 24, 32, (3, 3), pads=(1, 1, 1, 1))
    expected = torch.nn.functional.conv2d(torch.from_numpy(x).double(), torch.from_numpy(weights).double(), padding=1)
    expected = expected.permute(0, 2, 3, 1).numpy()
    kernel = generate_winograd(spec, detect(), winograd_cut(spec, detect(), algorithm))
    inputs = [np.ascontiguousarray(x.transpose(0, 2, 3, 1)), kernel.pack(weights)]
    [output] = run(kernel.source, detect(), inputs, [(expected.shape, np.float32)])
    found = np.sqrt(np.mean((output - expected) ** 2) / np.mean(expected**2))
    expected_error = rounding_error(weights, algorithm)
    assert found < expected_error < 20 * found
    assert expected_error <= ERROR_BUDGET or kind == "worst tap"


def test_weights_beyond_the_error_budget_of_winograd():
    weights = np.random.default_rng(0).standard_normal((16, 4096, 3, 3)).astype(np.float32)
    assert rounding_error(weights, ALGORITHMS[0]) > ERROR_BUDGET
    assert rounding_error(np.zeros((16, 16, 3, 3), np.float32), ALGORITHMS[0]) == 0


def test_nan_spreads_over_the_tiles_of_winograd_and_no_further():
    spec = ConvSpec(1, 16, 12, 12, 16, (3, 3), pads=(1, 1, 1, 1))
    weights = np.random.default_rng(0).standard_normal((16, 16, 3, 3)).astype(np.float32)
    x = np.zeros((1, 12, 12, 16), np.float32)
    x[0, 5, 5, 3] = np.nan
    kernel = generate_winograd(spec, detect())
    [output] = run(kernel.source, detect(), [x, kernel.pack(weights)], [((1, 12, 12, 16), np.float32)])
    assert np.isnan(output[0, 4:7, 4:7]).all()
    outside = np.ones((12, 12), bool)
    outside[4:8, 4:8] = False
    assert np.isfinite(output[0, outside]).all()


@pytest.mark.parametrize("images", [0, 1, 5])
@pytest.mark.parametrize("spec", [SPECS[1], SPECS[2], SPECS[6], DEPTHWISE[0], WINOGRAD[1]], ids=name)
def test_batch_known_at_run_time(images, spec):
    generators = {DEPTHWISE[0]: generate_depthwise, WINOGRAD[1]: generate_winograd}
    rounding = 6 if spec in WINOGRAD else 1
    check(replace(spec, images=symbol("B")), detect(), generators.get(spec, generate_conv), images, rounding)


@pytest.mark.parametrize("epilogue", [RESIDUAL, SILU], ids=["residual", "silu"])
@pytest.mark.parametrize("unknown", [("height", "width"), ("width",), ("height",)], ids="".join)
@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec.images], ids=name)
def test_image_size_known_at_run_time(spec, unknown, epilogue):
    check(replace(spec, epilogue=epilogue), detect(), unknown=unknown)


@ISAS
@pytest.mark.parametrize("spec", [SPECS[3], SPECS[6], SPECS[7], SPECS[9], SPECS[11]], ids=name)
def test_image_size_known_at_run_time_on_every_instruction_set(isa, spec):
    check(replace(spec, epilogue=BIAS_RELU), isa, unknown=("images", "height", "width"))


@ISAS
@pytest.mark.parametrize("spec", DEPTHWISE, ids=name)
def test_depthwise_of_a_size_known_at_run_time(isa, spec):
    check(replace(spec, epilogue=RESIDUAL), isa, generate_depthwise, unknown=("height", "width"))


@ISAS
@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=str)
@pytest.mark.parametrize("spec", [spec for spec in WINOGRAD if spec.images], ids=name)
def test_winograd_of_a_size_known_at_run_time(isa, spec, algorithm):
    def generate(told, isa):
        return generate_winograd(told, isa, winograd_cut(told, isa, algorithm))

    check(replace(spec, epilogue=RESIDUAL), isa, generate, rounding=6, unknown=("images", "height", "width"))


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (1, 1), (1, 40), (17, 2)], ids=str)
@pytest.mark.parametrize("generate", [generate_conv, generate_depthwise])
def test_any_size_fits_a_kernel_that_is_not_told(generate, size):
    groups = 24 if generate is generate_depthwise else 1
    spec = ConvSpec(2, 24, *size, 24, (3, 3), strides=(1, 2), pads=(1, 1, 1, 1), groups=groups, epilogue=RESIDUAL)
    check(spec, detect(), generate, unknown=("height", "width"))


@ISAS
@pytest.mark.parametrize("generate", [generate_conv, generate_depthwise])
def test_negative_pads_crop(isa, generate):
    groups = 20 if generate is generate_depthwise else 1
    spec = ConvSpec(1, 20, 12, 13, 20, (3, 3), pads=(-2, -1, 1, -3), groups=groups)
    check(spec, isa, generate)
    check(spec, isa, generate, unknown=("height", "width"))


VOLUMES = {
    "3x3x3": (ConvSpec(2, 9, 7, 6, 21, (3, 3), pads=(1, 1, 1, 1), epilogue=RESIDUAL), Depth(5, 3, 1, (1, 1))),
    "strided": (ConvSpec(1, 5, 7, 9, 18, (3, 3), (2, 2), epilogue=RESIDUAL), Depth(9, 3, 2)),
    "unpadded": (ConvSpec(2, 16, 7, 9, 18, (2, 3), dilations=(2, 1)), Depth(9, 3, 2, dilation=3)),
    "planes": (ConvSpec(2, 3, 9, 9, 18, (3, 3), pads=(1, 1, 1, 1), input_layout="NCHW"), Depth(6, 5, 1, (2, 2))),
    "dilated": (ConvSpec(1, 5, 9, 9, 18, (3, 3), dilations=(1, 2)), Depth(9, 3, 1, (2, 2), 2)),
    "groups": (ConvSpec(1, 12, 6, 9, 18, (3, 3), pads=(1, 1, 1, 1), groups=3), Depth(4, 3, 1, (1, 0))),
    "in depth alone": (ConvSpec(2, 20, 6, 5, 18, (1, 1)), Depth(8, 3, 1, (1, 1))),
    "pixels": (ConvSpec(2, 20, 6, 5, 18, (1, 1), epilogue=RESIDUAL), Depth(8)),
    "every second": (ConvSpec(2, 20, 6, 5, 18, (1, 1), (2, 2)), Depth(8, stride=2)),
    "depthwise": (ConvSpec(2, 20, 6, 9, 20, (3, 3), pads=(1, 1, 1, 1), groups=20), Depth(5, 3, 2, (1, 1))),
}


@ISAS
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("case", VOLUMES)
def test_volumes(isa, case, known):
    spec, depth = VOLUMES[case]
    spec = replace(spec, depth=depth)
    generate = generate_depthwise if is_depthwise(spec) else generate_conv
    rng = np.random.default_rng(0)
    x = rng.standard_normal((spec.images, spec.channels, depth.size, spec.height, spec.width)).astype(np.float32)
    weights = rng.standard_normal((spec.outputs, spec.channels // spec.groups, depth.kernel, *spec.kernel))
    weights = weights.astype(np.float32)
    top, left, bottom, right = spec.pads
    padded = torch.nn.functional.pad(torch.from_numpy(x).double(), (left, right, top, bottom, *depth.pads))
    expected = torch.nn.functional.conv3d(
        padded, torch.from_numpy(weights).double(), None, (depth.stride, *spec.strides), 0,
        (depth.dilation, *spec.dilations), spec.groups,
    ).permute(0, 2, 3, 4, 1).numpy()  # fmt: skip
    extra = []
    if spec.epilogue is RESIDUAL:
        extra = [rng.standard_normal(spec.outputs).astype(np.float32)]
        extra.append(rng.standard_normal(expected.shape).astype(np.float32))
    told = spec
    if not known:
        told = replace(spec, height=symbol("H"), width=symbol("W"), depth=replace(depth, size=symbol("D")))
    kernel = generate(told, isa)
    image = x if spec.input_layout == "NCHW" else np.ascontiguousarray(x.transpose(0, 2, 3, 4, 1))
    sizes = {"D": depth.size, "H": spec.height, "W": spec.width}
    [output] = run(kernel.source, isa, [image, kernel.pack(weights), *extra], [(expected.shape, np.float32)], sizes)
    np.testing.assert_allclose(output, sum(extra, expected), rtol=1e-5, atol=3e-7 * max(16, weights[0].size))


def test_large_weights_with_the_whole_image_in_scratch():
    """Weights beyond the second level of cache: panels outermost, the reduction in pieces."""
    kernel = check(ConvSpec(2, 256, 7, 7, 128, (3, 3), pads=(1, 1, 1, 1), epilogue=BIAS_RELU), detect())
    assert evaluate_int(kernel.source.scratch_bytes, {}) > 9 * 9 * 256 * 4


def test_a_specification_that_cannot_be():
    with pytest.raises(CompileError, match="groups"):
        ConvSpec(1, 6, 5, 5, 6, (3, 3), groups=4)
    with pytest.raises(CompileError, match="larger"):
        ConvSpec(1, 4, 2, 2, 8, (5, 5))
    with pytest.raises(CompileError, match="not positive"):
        ConvSpec(1, 4, 2, 2, 8, (1, 1), strides=(0, 1))
    with pytest.raises(CompileError, match="depthwise"):
        generate_depthwise(SPECS[1], detect())
