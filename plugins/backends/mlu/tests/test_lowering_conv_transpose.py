"""Transposed convolutions as convolutions: strides, dilations, groups, pads, weights known and not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mlu_networks import check, floats, network_of
from mm_backend_mlu.compiler import MluCompiler

from mm_core.compiler import No

CLOSE = {np.float32: (2e-4, 2e-4), np.float16: (2e-2, 2e-2)}
CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "strides": ((2, 3, 4, 5), (3, 2, 3, 3), {"strides": (2, 2), "pads": (1, 1, 1, 1)}),
    "channels": ((2, 40, 7, 9), (40, 70, 4, 4), {"strides": (2, 2), "pads": (1, 0, 1, 1)}),
    "no strides": ((2, 12, 7, 9), (12, 5, 3, 3), {}),
    "gaps": ((1, 12, 7, 9), (12, 5, 2, 2), {"strides": (3, 2)}),
    "groups": (
        (2, 40, 7, 9), (40, 20, 3, 2),
        {"strides": (3, 2), "dilations": (2, 1), "output_padding": (1, 0), "group": 2},
    ),
    "depthwise": ((1, 12, 7, 9), (12, 1, 3, 3), {"strides": (2, 2), "group": 12}),
    "one axis": ((1, 6, 9), (6, 5, 3), {"strides": (2,), "pads": (1, 0)}),
    "one axis, depthwise": ((1, 4, 5), (4, 1, 2), {"group": 4}),
    "sizes": ((1, 5, 6, 7), (5, 8, 3, 3), {"strides": (2, 2), "auto_pad": "same_upper"}),
    "a given size": ((1, 5, 6, 7), (5, 8, 3, 3), {"strides": (2, 2), "output_shape": (13, 14)}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("known", [True, False], ids=["constants", "when running"])
def test_conv_transpose(case: str, known: bool) -> None:
    x, w, attributes = CASES[case]
    given = floats(*w), floats(w[1] * attributes.get("group", 1))

    def build(n: Any, x: Any, *running: Any) -> Any:
        return n.conv_transpose(x, *(running or given), **attributes)

    check(build, floats(*x), *(() if known else given), tolerances=CLOSE[np.float32])


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_between_convolutions(dtype: type) -> None:
    """An image that lies channels last already."""
    def build(n: Any, x: Any) -> Any:
        small = n.relu(n.conv(x, floats(33, 5, 3, 3, dtype=dtype), strides=(2, 2)))
        large = n.relu(n.conv_transpose(small, floats(33, 9, 2, 2, dtype=dtype), strides=(2, 2)))
        return n.conv(large, floats(5, 9, 1, 1, dtype=dtype))

    x = floats(1, 5, 17, 16, dtype=dtype) / dtype(8)
    check(build, x, tolerances=CLOSE[dtype])


def test_pads_wider_than_the_window_are_refused() -> None:
    network = network_of(lambda n, x: n.conv_transpose(x, floats(3, 2, 2, 2), pads=(2, 2, 0, 0)), (floats(1, 3, 5, 5),))
    answer = MluCompiler("mtp_372").supports(network.outputs[0].defining_op)
    assert isinstance(answer, No)
    assert "wider than the window" in answer.reason
