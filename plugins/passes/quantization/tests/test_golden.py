"""Every file in `golden` says what a pass makes of a network; the results are compared bit by bit."""

from __future__ import annotations

from pathlib import Path

import pytest

from mm_core.testing.golden import check_golden

CASES = sorted((Path(__file__).parent / "golden").glob("*.mlir"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    check_golden(path)
