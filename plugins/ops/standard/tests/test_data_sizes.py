"""Sizes that data tell, end to end: nothing but types is known while building, the CPU runs all of it itself."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import mm_core as mm
from mm_core.ops import lookup
from mm_core.testing.opcheck import assert_close

RNG = np.random.default_rng(13)
X = np.round(RNG.standard_normal((4, 3, 5)), 1).astype(np.float32)
BOXES = RNG.random((2, 12, 4)).astype(np.float32)
SCORES = np.round(RNG.random((2, 3, 12)), 1).astype(np.float32)
LIMITS = (np.array([5]), np.array([0.3], np.float32), np.array([0.2], np.float32))


def ints(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


def scalars(dtype: Any, *numbers: float) -> list[Any]:
    return [np.array(number, dtype) for number in numbers]


POOLED = [np.array([[[[5, 6], [7, 8]]]], np.float32), np.array([[[[5, 3], [8, 10]]]])]
POOLING = {"kernel_shape": (2, 2), "strides": (2, 2)}
CASES: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("nonzero", [np.round(X)], {}),
    ("nonzero", [X > 0], {}),
    ("nonzero", [np.array(2.0)], {}),
    ("compress", [X, np.array([True, False, True])], {"axis": 2}),
    ("compress", [X.astype(ml_dtypes.bfloat16), np.array([False, True])], {"axis": None}),
    *(("unique", [X], {"sorted": s, "axis": a}) for s in (False, True) for a in (None, 0, -1)),
    ("unique", [X.astype(np.float16)], {}),
    ("unique", [X > 0], {"axis": 0}),
    ("non_max_suppression", [BOXES, SCORES, *LIMITS], {}),
    ("non_max_suppression", [BOXES, SCORES, *LIMITS[:2]], {"center_point_box": True}),
    ("non_max_suppression", [BOXES, SCORES], {}),
    ("one_hot", [ints(1, -2, 9), np.array(4), np.array([0.5, 2])], {}),
    ("one_hot", [np.array([[0, 1]], np.int32), np.array([3.0], np.float32), np.array([7, 8])], {"axis": 0}),
    ("iota", [ints(2, 0, 3)], {"axis": 2}),
    ("iota", [ints(2, 4)], {"axis": 0, "dtype": "float32"}),
    ("max_unpool", POOLED, POOLING),
    ("max_unpool", [*POOLED, ints(1, 1, 5, 6)], POOLING),
    ("range", scalars(np.int64, 2, 11, 3), {}),
    ("range", scalars(np.int64, 2, 12, 3), {}),
    ("range", scalars(np.int32, 2, -12, -7), {}),
    ("range", scalars(np.int16, 2, -12, 7), {}),
    ("range", scalars(np.uint8, 0, 255, 100), {}),
    ("range", scalars(np.int64, 2**62, 2**62 + 7, 2), {}),
    ("range", scalars(np.float32, 1, 2, 0.3), {}),
    ("range", scalars(np.float64, 1, -1, -0.1), {}),
    ("range", scalars(np.float16, 1, 5, 2), {}),
    ("range", scalars(ml_dtypes.bfloat16, 1, -5, 2), {}),
]


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(("op", "inputs", "attributes"), CASES, ids=[case[0] for case in CASES])
def test_the_cpu_runs_sizes_that_are_data(
    run_cpu: Any, reference: Any, op: str, inputs: list[Any], attributes: dict[str, Any], symbolic: bool
) -> None:
    if symbolic and op == "iota":
        pytest.skip("the length of a shape is a rank, which is never symbolic")
    padded = [*inputs, *[None] * (len(lookup(f"mm.{op}").operands) - len(inputs))]
    wanted = reference(f"mm.{op}", *padded, **attributes)
    found = run_cpu(op, *inputs, symbolic=symbolic, **attributes)
    for mine, theirs in zip(found, wanted if isinstance(wanted, tuple) else [wanted], strict=True):
        assert_close(mine, theirs, op)


@pytest.mark.parametrize(
    ("op", "inputs"),
    [
        ("range", scalars(np.int64, 1, 5, 0)),
        ("range", scalars(np.float32, 1, 5, 0)),
        ("range", scalars(np.float32, 1, np.nan, 1)),
        ("one_hot", [ints(1), ints(-3), np.array([0, 1])]),
        ("iota", [ints(2, -1)]),
    ],
)
def test_what_is_no_size_is_an_error_of_the_request(run_cpu: Any, op: str, inputs: list[Any]) -> None:
    with pytest.raises(mm.InputError, match="a size is -"):
        run_cpu(op, *inputs)
