"""The pytest plugin that comes with mm-core: fixtures for those who test their own plugins. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(name="opcheck", scope="session")
def _opcheck() -> Callable[..., Any]:
    """`mm_core.testing.opcheck`: whether the parts of an operator's definition say the same."""
    from mm_core.testing.opcheck import opcheck

    return opcheck
