"""Every device primitive on every element type: right, or refused with a reason. Many types are only moved."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mm_core.testing.conformance import Report, Verdict, operator_names
from mm_core.types import as_dtype

MOVED = tuple(map(as_dtype, ("float64", "bfloat16")))
SAMPLE = operator_names()[::20]
Conformance = Callable[..., Report]


@pytest.mark.parametrize(
    "op", [pytest.param(op, marks=[] if op in SAMPLE else [pytest.mark.long]) for op in operator_names()]
)
def test_operator(conformance: Conformance, op: str) -> None:
    report = conformance("mlu", op)
    assert not report.wrong, report
    refused = report.having(Verdict.REJECTED)
    assert all(outcome.reason.startswith("mlu: ") for outcome in refused), report


@pytest.mark.parametrize("op", ["mm.transpose", "mm.concat", "mm.reverse", "mm.slice"])
def test_what_is_moved_may_be_of_any_type(conformance: Conformance, op: str) -> None:
    report = conformance("mlu", op, dtypes=MOVED)
    assert not report.wrong, report
    assert report.having(Verdict.NATIVE)
