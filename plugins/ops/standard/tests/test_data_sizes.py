"""Sizes that data tell, end to end: nothing but types is known while building, the CPU runs all of it itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import mm_core as mm
from mm_core.ops import lookup
from mm_core.testing.opcheck import assert_close, type_of
from mm_core.types import TensorType, symbol

RNG = np.random.default_rng(13)
X = np.round(RNG.standard_normal((4, 3, 5)), 1).astype(np.float32)
BOXES = RNG.random((2, 12, 4)).astype(np.float32)
SCORES = np.round(RNG.random((2, 3, 12)), 1).astype(np.float32)
LIMITS = (np.array([5]), np.array([0.3], np.float32), np.array([0.2], np.float32))


def ints(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


def scalars(dtype: Any, *numbers: float) -> list[Any]:
    return [np.array(number, dtype) for number in numbers]


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


def run(op: str, inputs: list[Any], attributes: Mapping[str, Any], *, symbolic: bool) -> list[Any]:
    """The operator alone in a strict model on the CPU, every operand an input."""
    network, given = mm.Network(op), {}
    operands = []
    for number, array in enumerate(inputs):
        type_ = type_of(array)
        assert isinstance(type_, TensorType)
        if symbolic:
            type_ = type_.with_shape(symbol(f"s{number}_{axis}") for axis in range(array.ndim))
        operands.append(network.add_typed_input(f"x{number}", type_))
        given[f"x{number}"] = array
    results = network.op(f"mm.{op}", *operands, **attributes)
    for index, value in enumerate(results if isinstance(results, tuple) else (results,)):
        network.mark_output(value, f"y{index}")
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(network)
    found = model.create_engine().create_context().run(given)
    return [found[name] for name in sorted(found)]


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(("op", "inputs", "attributes"), CASES, ids=[case[0] for case in CASES])
def test_the_cpu_runs_sizes_that_are_data(
    op: str, inputs: list[Any], attributes: dict[str, Any], symbolic: bool
) -> None:
    if symbolic and op == "iota":
        pytest.skip("the length of a shape is a rank, which is never symbolic")
    definition = lookup(f"mm.{op}")
    padded = [*inputs, *[None] * (len(definition.operands) - len(inputs))]
    wanted = definition.reference(*padded, **definition.normalize_attributes(attributes))
    found = run(op, inputs, attributes, symbolic=symbolic)
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
def test_what_is_no_size_is_an_error_of_the_request(op: str, inputs: list[Any]) -> None:
    with pytest.raises(mm.InputError, match="a size is -"):
        run(op, inputs, {}, symbolic=False)
