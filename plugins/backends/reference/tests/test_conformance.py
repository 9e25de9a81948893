"""The reference runs every device primitive on every element type, always as a fallback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mm_backend_reference
import pytest

from mm_core.testing.conformance import Verdict, operator_names


@pytest.mark.parametrize("op", operator_names())
def test_everything_runs(op: str, conformance: Callable[..., Any]) -> None:
    report = conformance("reference", op)
    assert report.outcomes
    assert {outcome.verdict for outcome in report.outcomes} == {Verdict.FALLBACK}, report


def test_the_template_for_vendors_stays_small() -> None:
    files = Path(mm_backend_reference.__file__).parent.glob("*.py")
    assert sum(len(path.read_text().splitlines()) for path in files) <= 250
