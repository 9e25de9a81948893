"""C that turns the number of a task into an index for each axis."""

from __future__ import annotations

from collections.abc import Sequence

from mm_core.types import Dim

from .kernel_source import Parameters


def split_index(flat: str, extents: Sequence[Dim], parameters: Parameters) -> str:
    """C that defines `index0`, `index1` ... of a row-major shape from the expression `flat`."""
    lines = [f"int64_t rest = {flat};"]
    for axis in range(len(extents) - 1, 0, -1):
        extent = parameters.c(extents[axis])
        lines.append(f"const int64_t index{axis} = rest % {extent}; rest /= {extent};")
    lines.append("const int64_t index0 = rest; (void)index0;")
    return "\n    ".join(lines)


def dot_index(strides: Sequence[Dim], parameters: Parameters) -> str:
    """C of the offset of those indices under `strides`."""
    terms = [f"index{axis} * {parameters.c(stride)}" for axis, stride in enumerate(strides) if stride != 0]
    return " + ".join(terms) or "0"
