"""`Kernel`: one entry function of a part's translation unit, before it has a number."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kernel:
    """An entry function with its sizes as literals. Equal kernels of a part are written once.

    `name` says what it does; `parameters` are C declarations of the buffers it gets, such as
    `const float *x`, in the order in which a launch hands them over; `body` are statements. `includes` are library
    headers, such as `kernels/conv.h`, and `definitions` text at file scope that the body needs, each written once.
    `nram`, `wram` and `sram` are the bytes it uses of `mm_nram`, `mm_wram` and `mm_sram`.
    """

    name: str
    parameters: tuple[str, ...]
    body: str
    includes: tuple[str, ...] = ()
    definitions: tuple[str, ...] = ()
    nram: int = 0
    wram: int = 0
    sram: int = 0
    note: str = ""
