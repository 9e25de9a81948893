"""Every device primitive on every element type, by the native library: right, or refused with a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mm_backend_cpu import compiler

from mm_core.testing.conformance import Verdict, conform, operator_names
from mm_core.types import as_dtype

COMMON = tuple(map(as_dtype, ("bool", "int8", "uint8", "int32", "int64", "float16", "bfloat16", "float32", "float64")))
"""Element types on which nothing may be left to the reference."""
OPEN = {
    "mm.cast": "strings are cast by the reference",
}
"""Operators that the backend refuses for some of those types, and why."""


@pytest.mark.parametrize("op", operator_names())
def test_library(op: str, conformance: Callable[..., Any]) -> None:
    report = conformance("cpu", op)
    assert not report.wrong, report
    assert not report.having(Verdict.FALLBACK), report
    refused = report.having(Verdict.REJECTED)
    assert all(outcome.reason.startswith("cpu: ") for outcome in refused), report
    common = [str(outcome) for outcome in refused if outcome.case.dtype in COMMON]
    assert bool(common) == (op in OPEN), common


def test_generated_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same on float32 with generated code, which networks this small do not get by themselves."""
    monkeypatch.setattr(compiler, "SMALL_WORK", 0)
    report = conform("cpu", dtypes=[as_dtype("float32")])
    assert not report.wrong, report
    assert len(report.having(Verdict.NATIVE)) > 400
