"""For authors of plugins: checks of what they write."""

from mm_core.testing.interpreter import interpret, lower
from mm_core.testing.opcheck import OpcheckError, OpcheckReport, assert_close, opcheck

__all__ = ["OpcheckError", "OpcheckReport", "assert_close", "interpret", "lower", "opcheck"]
