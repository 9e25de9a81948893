"""Every device primitive on the element types of the device: right, or refused with a reason."""

from __future__ import annotations

import pytest

from mm_core.testing.conformance import Verdict, conform, operator_names
from mm_core.types import as_dtype

COMPUTED = tuple(map(as_dtype, ("bool", "int8", "int32", "int64", "float16", "float32")))
MOVED = tuple(map(as_dtype, ("float64", "bfloat16")))
SAMPLE = operator_names()[::16]


@pytest.mark.parametrize(
    "op", [pytest.param(op, marks=[] if op in SAMPLE else [pytest.mark.long]) for op in operator_names()]
)
def test_operator(op: str) -> None:
    report = conform("mlu", op, dtypes=COMPUTED)
    assert not report.wrong, report
    refused = report.having(Verdict.REJECTED)
    assert all(outcome.reason.startswith("mlu: ") for outcome in refused), report


@pytest.mark.parametrize("op", ["mm.transpose", "mm.concat", "mm.reverse", "mm.slice"])
def test_what_is_moved_may_be_of_any_type(op: str) -> None:
    report = conform("mlu", op, dtypes=MOVED)
    assert not report.wrong, report
    assert report.having(Verdict.NATIVE)
