"""The library's choice among boxes against the operator's reference."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import mm_core as mm
from mm_core.ops import lookup


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
def test_greedy_nms(dtype: Any, symbolic: bool) -> None:
    """Random boxes, few distinct scores, NaN among them, sizes of zero, limits that are negative or too large."""
    rng = np.random.default_rng(8)
    for trial in range(25):
        images, classes, count = rng.integers(0, 4), rng.integers(0, 4), rng.integers(0, 40)
        boxes = rng.random((images, count, 4)).astype(dtype)
        scores = np.round(rng.random((images, classes, count)), 1).astype(dtype)
        for array in (boxes, scores):
            if trial % 5 == 0 and array.size:
                array.flat[rng.integers(array.size)] = np.nan
        operands = [boxes, scores, rng.integers(-1, 50, 1), np.array(round(rng.random(), 1), dtype)]
        if trial % 3:
            operands.append(np.array(rng.random(), dtype))
        network = mm.Network("boxes")
        values = []
        for number, array in enumerate(operands):
            shape: list[Any] = [f"s{number}_{axis}" for axis in range(array.ndim)] if symbolic else list(array.shape)
            values.append(network.add_input(f"x{number}", array.dtype, shape))
        centers = bool(trial % 2)
        network.mark_output(network.greedy_nms(*values, center_point_box=centers), "kept")
        model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(network)
        assert [kernel.kernel for part in model.executables for kernel in part.kernels] == ["greedy_nms"]
        found = model.create_engine().create_context().run({f"x{n}": array for n, array in enumerate(operands)})
        padded = [*operands, *[None] * (5 - len(operands))]
        wanted = lookup("mm.greedy_nms").reference(*padded, center_point_box=centers)
        np.testing.assert_array_equal(found["kept"], wanted)
