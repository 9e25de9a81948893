"""What a kernel generator hands to the compiler, and the run-time parameters that its code reads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from mm_core.types import Dim, dim_max


@dataclass(frozen=True)
class KernelSource:
    """C code of one kernel, `static void <symbol>(const mm_call*, int64_t begin, int64_t end, void* scratch)`.

    `tasks` and `scratch_bytes` (a thread's) are evaluated when sizes are known; so are `params`, which reach the code
    as `call->params`. `note` says in a few words which variant was chosen. Equal kernels have equal symbols. The output
    may take the memory of any of the inputs at the positions `in_place`: each element is read before it is stored.
    """

    symbol: str
    code: str
    tasks: Dim
    scratch_bytes: Dim
    params: tuple[Dim, ...]
    note: str
    in_place: tuple[int, ...] = ()


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
    kind: str,
    code: str,
    *,
    tasks: Dim,
    scratch_bytes: Dim = 0,
    params: tuple[Dim, ...] = (),
    note: str = "",
    in_place: tuple[int, ...] = (),
) -> KernelSource:
    """Name a kernel after its content: every `KERNEL_NAME` in `code` becomes the symbol."""
    symbol = f"mm_{kind}_{hashlib.sha256(code.encode()).hexdigest()[:16]}"
    return KernelSource(symbol, code.replace(_NAME, symbol), tasks, scratch_bytes, params, note, in_place)


def joined(kind: str, parts: Sequence[KernelSource]) -> KernelSource:
    """One kernel that does the tasks of several, one kernel's after the other's. All get the same tensors."""
    parameters, last = Parameters(), [parts[0].tasks]
    for part in parts[1:]:
        last.append(last[-1] + part.tasks)
    ends = ", ".join(map(parameters.c, last))
    params, starts = list(parameters.dims), []
    for part in parts:
        starts.append(str(len(params)))
        params += part.params
    scratch = parts[0].scratch_bytes
    for part in parts[1:]:
        scratch = dim_max(scratch, part.scratch_bytes)
    codes = "\n".join(part.code.removeprefix(LEAST) for part in parts)
    code = f"""{LEAST}
{codes}
static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  void (*const kernels[])(const mm_call*, int64_t, int64_t, void*) = {{{", ".join(part.symbol for part in parts)}}};
  const int64_t ends[] = {{{ends}}}, params[] = {{{", ".join(starts)}}};
  for (int64_t part = 0, start = 0; part < {len(parts)} && start < end; start = ends[part++]) {{
    const int64_t first = begin > start ? begin : start, last = mm_least(end, ends[part]);
    mm_call own = *call;
    own.params += params[part];
    if (first < last) kernels[part](&own, first - start, last - start, scratch);
  }}
}}
"""
    return kernel_source(kind, code, tasks=last[-1], scratch_bytes=scratch, params=tuple(params), note=parts[0].note)
