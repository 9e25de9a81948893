"""The translation unit of a part: library headers, on-chip memories, kernels, and the table that starts them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from mm_backend_mlu.codegen.kernel import Kernel

_INCLUDE = re.compile(r'^#include "(?:\.\./)*(?:kernels/)?([\w.]+)"[^\n]*\n', re.MULTILINE)
_LAUNCH = "launch.h"
_MEMORIES = (("nram", "__nram__"), ("wram", "__wram__"), ("sram", "__mlu_shared__"))


def assemble(kernels: Sequence[Kernel]) -> str:
    """One source that stands alone but for the language's own header. Kernel i is number i of its table."""
    symbols = [f"{re.sub('[^a-z0-9]+', '_', kernel.name.lower())}_{number}" for number, kernel in enumerate(kernels)]
    headers = dict.fromkeys([_LAUNCH, *(name for kernel in kernels for name in kernel.includes)])
    written: dict[str, None] = {}
    texts = [text for name in headers for text in _header(name.removeprefix("kernels/"), written)]
    memories = [
        f"{qualifier} char mm_{memory}[{size}];"
        for memory, qualifier in _MEMORIES
        if (size := max((getattr(kernel, memory) for kernel in kernels), default=0))
    ]
    parts = ["#include <bang.h>", *texts, "\n".join(memories)]
    parts += [_function(kernel, symbol) for kernel, symbol in zip(kernels, symbols)]
    return "\n\n".join([*parts, _table(kernels, symbols)]) + "\n"


def _header(name: str, written: dict[str, None]) -> list[str]:
    """A header of ours and those that it includes, each once."""
    if name in written:
        return []
    written[name] = None
    text = _read(name)
    needed = [part for inner in _INCLUDE.findall(text) for part in _header(inner, written)]
    own = _INCLUDE.sub("", text).replace("#include <bang.h>\n", "")
    return [*needed, own.strip()]


@cache
def _read(name: str) -> str:
    folder = files("mm_backend_mlu") / "bang"
    return (folder if name == _LAUNCH else folder / "kernels").joinpath(name).read_text(encoding="utf-8")


def _function(kernel: Kernel, symbol: str) -> str:
    definitions = "".join(f"{text}\n\n" for text in kernel.definitions)
    body = "".join(f"  {line}\n" if line else "\n" for line in kernel.body.split("\n"))
    text = f"{definitions}__mlu_global__ void {symbol}({', '.join(kernel.parameters)}) {{\n{body}}}"
    return text.replace("$symbol", symbol)


def _table(kernels: Sequence[Kernel], symbols: Sequence[str]) -> str:
    lines = ["MM_MLU_KERNELS_BEGIN"]
    for number, (kernel, symbol) in enumerate(zip(kernels, symbols)):
        arguments = [
            f"({declaration.rpartition('*')[0].strip()} *)buffers[{place}]"
            for place, declaration in enumerate(kernel.parameters)
        ]
        lines.append(f"MM_MLU_KERNEL({', '.join([str(number), symbol, *arguments])})")
    return "\n".join([*lines, f"MM_MLU_KERNELS_END({len(kernels)})"])
