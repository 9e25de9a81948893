"""What a kernel generator hands to the compiler, and the run-time parameters that its code reads."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from mm_core.types import Dim


@dataclass(frozen=True)
class KernelSource:
    """C code of one kernel, `static void <symbol>(const mm_call*, int64_t begin, int64_t end, void* scratch)`.

    `tasks` and `scratch_bytes` (a thread's) are evaluated when sizes are known; so are `params`, which reach the code
    as `call->params`. `note` says in a few words which variant was chosen. Equal kernels have equal symbols.
    """

    symbol: str
    code: str
    tasks: Dim
    scratch_bytes: Dim
    params: tuple[Dim, ...]
    note: str


class Parameters:
    """Extents as C expressions: a known one is a literal, an unknown one is read from `call->params`."""

    __slots__ = ("dims",)

    def __init__(self) -> None:
        self.dims: list[Dim] = []

    def c(self, dim: Dim) -> str:
        """The C expression of an extent."""
        if isinstance(dim, int):
            return f"INT64_C({dim})"
        if dim not in self.dims:
            self.dims.append(dim)
        return f"call->params[{self.dims.index(dim)}]"


LEAST = "static inline int64_t mm_least(int64_t a, int64_t b) { return a < b ? a : b; }"
"""A helper that kernels with blocks put before their code."""

_NAME = "KERNEL_NAME"


def kernel_source(
    kind: str, code: str, *, tasks: Dim, scratch_bytes: Dim = 0, params: tuple[Dim, ...] = (), note: str = ""
) -> KernelSource:
    """Name a kernel after its content: every `KERNEL_NAME` in `code` becomes the symbol."""
    symbol = f"mm_{kind}_{hashlib.sha256(code.encode()).hexdigest()[:16]}"
    return KernelSource(symbol, code.replace(_NAME, symbol), tasks, scratch_bytes, params, note)
