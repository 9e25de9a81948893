"""Resizing kernels against ONNX's reference, on every instruction set of this machine."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from mm_backend_cpu.codegen.resize import COORDINATES, ROUNDINGS, ResizeSpec, resize
from mm_backend_cpu.testing import instruction_sets, run
from onnx.reference import ReferenceEvaluator

from mm_core.types import symbol

ISAS = pytest.mark.parametrize("isa", instruction_sets(), ids=lambda isa: isa.name)


def images(*shape):
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def expected(x, **attributes):
    """What ONNX's Resize makes of `x`, [batch, channels, ...], by scales or sizes."""
    scales, sizes = attributes.pop("scales", None), attributes.pop("sizes", None)
    given = {"scales": np.float32([1, 1, *(scales or ())]), "sizes": np.int64([*x.shape[:2], *(sizes or ())])}
    used = "scales" if scales else "sizes"
    names = ["x", "", "scales", ""] if scales else ["x", "", "", "sizes"]
    node = onnx.helper.make_node("Resize", names, ["y"], **attributes)
    kinds = {"x": onnx.TensorProto.FLOAT, "scales": onnx.TensorProto.FLOAT, "sizes": onnx.TensorProto.INT64}
    values = [onnx.helper.make_tensor_value_info(name, kinds[name], None) for name in ("x", used)]
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph([node], "resize", values, [result])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 19)])
    return ReferenceEvaluator(model).run(None, {"x": x, used: given[used]})[0]


def last(x):
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


def check(isa, x, want, mode, scales=None, coordinates="half_pixel", rounding="round_prefer_floor", dims=None, **spec):
    before, after = x.shape[2:], want.shape[2:]
    extents = {"batch": x.shape[0], "before": before, "after": after, "channels": x.shape[1]} | spec
    source = resize(ResizeSpec(mode, coordinates, rounding, scales=scales or (None,) * len(before), **extents))
    (actual,) = run(source, isa, [last(x)], [(last(want).shape, np.float32)], dims)
    np.testing.assert_allclose(actual, last(want), rtol=1e-5, atol=1e-5)


@ISAS
@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_images_by_scale(isa, mode, coordinates):
    x = images(2, 19, 5, 4)
    for scales in [(2.0, 2.0), (0.6, 1.75), (3.0, 1.0)]:
        for rounding in ROUNDINGS if mode == "nearest" else ["floor"]:
            given = {"coordinate_transformation_mode": coordinates, "nearest_mode": rounding}
            want = expected(x, mode=mode, scales=scales, **given)
            check(isa, x, want, mode, tuple(float(np.float32(s)) for s in scales), coordinates, rounding)


@ISAS
@pytest.mark.parametrize("shape", [(1, 40, 9), (2, 3, 4, 5, 6), (1, 1, 7, 7)], ids=str)
def test_lines_volumes_and_single_channels_by_size(isa, shape):
    x = images(*shape)
    sizes = tuple(2 * size + 1 for size in shape[2:])
    for mode in ("nearest", "linear"):
        check(isa, x, expected(x, mode=mode, sizes=sizes), mode)


@ISAS
def test_sizes_that_only_running_tells(isa):
    x = images(2, 17, 6, 5)
    h, w = symbol("H"), symbol("W")
    symbols = {"batch": symbol("N"), "before": (h, w), "after": (h * 2, w * 3)}
    for mode in ("nearest", "linear"):
        want = expected(x, mode=mode, scales=(2.0, 3.0))
        check(isa, x, want, mode, (2.0, 3.0), dims={"N": 2, "H": 6, "W": 5}, **symbols)


@ISAS
def test_nearest_moves_elements_of_any_size(isa):
    for dtype in (np.uint8, np.float16, np.int64):
        x = np.arange(2 * 3 * 5).reshape(1, 2, 3, 5).astype(dtype)
        spec = ResizeSpec("nearest", "asymmetric", "floor", 1, (3, 5), (6, 10), 2, (2.0, 2.0), -0.75, x.itemsize)
        (actual,) = run(resize(spec), isa, [last(x)], [((1, 6, 10, 2), dtype)])
        np.testing.assert_array_equal(actual, last(x.repeat(2, axis=2).repeat(2, axis=3)))
