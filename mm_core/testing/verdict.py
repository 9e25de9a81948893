"""What a test of conformance can end in: exactly one of these."""

from __future__ import annotations

from enum import Enum


class Verdict(Enum):
    """NATIVE alone counts; a backend that refuses everything scores nothing."""

    NATIVE = "native"
    """Run by the backend's own code, or by the runtime, and right."""
    FALLBACK = "fallback"
    """Only by an operator's numpy reference."""
    REJECTED = "rejected"
    """Refused, with a reason."""
    WRONG = "wrong"
    """Another value, element type, shape, name or number of results."""
    CRASH = "crash"
    """An error that is no refusal, or the end of the process."""
    TIMEOUT = "timeout"
    """No answer in time."""
