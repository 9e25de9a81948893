"""Pooling kernels against PyTorch, on every instruction set of this machine."""

from __future__ import annotations

import numpy as np
import pytest
from mm_backend_cpu.codegen.pooling import PoolSpec, pool
from mm_backend_cpu.testing import instruction_sets, run

from mm_core.types import symbol

torch = pytest.importorskip("torch")
ISAS = pytest.mark.parametrize("isa", instruction_sets(), ids=lambda isa: isa.name)


def check(isa, x, expected, dims=None, **options):
    """`x` and `expected` are NCHW."""
    batch, channels, height, width = x.shape
    extents = {"batch": batch, "height": height, "width": width, "channels": channels}
    extents |= {"result_height": expected.shape[2], "result_width": expected.shape[3]} | options
    shape = (batch, *expected.shape[2:], channels)
    (actual,) = run(pool(PoolSpec(**extents)), isa, [x.transpose(0, 2, 3, 1)], [(shape, x.dtype)], dims)
    np.testing.assert_allclose(actual.transpose(0, 3, 1, 2), expected, rtol=1e-6, atol=1e-6)


def images(*shape):
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


@ISAS
@pytest.mark.parametrize(
    ("shape", "kernel", "strides", "pads", "dilations", "ceil"),
    [
        ((1, 64, 112, 112), (3, 3), (2, 2), (1, 1), (1, 1), False),
        ((2, 5, 9, 7), (2, 3), (2, 1), (1, 0), (1, 1), True),
        ((1, 300, 6, 6), (3, 3), (1, 1), (1, 1), (2, 2), False), ((3, 17, 1, 8), (1, 2), (1, 2), (0, 1), (1, 3), True),
        ((0, 4, 5, 5), (2, 2), (1, 1), (0, 0), (1, 1), False),
    ],
    ids=str,
)  # fmt: skip
def test_max_pool(isa, shape, kernel, strides, pads, dilations, ceil):
    x = images(*shape)
    if shape[0]:
        expected = torch.nn.functional.max_pool2d(torch.from_numpy(x), kernel, strides, pads, dilations, ceil).numpy()
    else:
        expected = np.zeros((0, shape[1], 4, 4), np.float32)
    check(isa, x, expected, kind="max", kernel=kernel, strides=strides, pads=pads * 2, dilations=dilations)


@ISAS
@pytest.mark.parametrize(("dtype", "name"), [(np.uint8, "ui8"), (np.int8, "i8")])
@pytest.mark.parametrize("channels", [3, 64, 150, 330])
def test_max_pool_of_bytes(isa, dtype, name, channels):
    limits = np.iinfo(dtype)
    x = np.random.default_rng(channels).integers(limits.min, limits.max + 1, (2, channels, 7, 6)).astype(dtype)
    x[:, ::5] = limits.min
    expected = torch.nn.functional.max_pool2d(torch.from_numpy(x.astype(np.float32)), 3, 2, 1).numpy().astype(dtype)
    check(isa, x, expected, kind="max", kernel=(3, 3), strides=(2, 2), pads=(1,) * 4, dtype=name)


@ISAS
def test_max_pool_keeps_nan_and_infinity(isa):
    x = images(1, 20, 6, 6)
    x[0, :, 2, 3], x[0, ::2, 5, 5], x[0, 1::2, 0, :2] = np.nan, np.inf, -np.inf
    expected = torch.nn.functional.max_pool2d(torch.from_numpy(x), 2, 1, 1).numpy()
    assert np.isnan(expected).sum() == 80
    check(isa, x, expected, kind="max", kernel=(2, 2), pads=(1, 1, 1, 1))


@ISAS
@pytest.mark.parametrize("count_pads", [False, True])
@pytest.mark.parametrize(
    ("shape", "kernel", "strides", "pads", "ceil"),
    [
        ((1, 33, 11, 14), (3, 3), (2, 2), (1, 1), False), ((2, 5, 9, 7), (4, 3), (3, 2), (2, 1), True),
        ((1, 130, 8, 8), (2, 2), (2, 2), (0, 0), False),
    ],
    ids=str,
)  # fmt: skip
def test_average_pool(isa, shape, kernel, strides, pads, ceil, count_pads):
    x = images(*shape)
    expected = torch.nn.functional.avg_pool2d(torch.from_numpy(x), kernel, strides, pads, ceil, count_pads).numpy()
    options = {"kernel": kernel, "strides": strides, "pads": pads * 2, "count_pads": count_pads}
    check(isa, x, expected, kind="average", **options)


@ISAS
def test_global_average_of_symbolic_images(isa):
    n, h, w = symbol("N"), symbol("H"), symbol("W")
    for shape in ((1, 2048, 7, 7), (2, 65, 1, 5)):
        x = images(*shape)
        dims = {"N": shape[0], "H": shape[2], "W": shape[3]}
        options = {"batch": n, "height": h, "width": w, "kernel": (h, w)}
        check(isa, x, x.mean((2, 3), keepdims=True, dtype=np.float64), dims, kind="average", **options)
