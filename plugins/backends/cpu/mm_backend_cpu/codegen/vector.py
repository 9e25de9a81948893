"""The C prelude of generated kernels: vector types, tails and elementary functions for one vector width."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from .isa import Isa

_HEADERS = ("vector.h", "functions.h")


@cache
def _header() -> str:
    return "\n".join(files(__package__).joinpath(name).read_text(encoding="utf-8") for name in _HEADERS)


def prelude(isa: Isa) -> str:
    """C text to put before kernels for `isa`; it needs nothing but the compiler's own stdint.h."""
    return f"#define MM_VECTOR_BYTES {isa.vector_bytes}\n{_header()}"
