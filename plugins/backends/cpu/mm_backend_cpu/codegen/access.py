"""How a loop over contiguous or strided elements reads and writes: by vectors with a tail, or one by one."""

from __future__ import annotations

from collections.abc import Callable

from .operations import C_TYPES, VECTOR_TYPES

_SUFFIX = {"f32": "", "i32": "_i", "i1": "_mask", "i8": "_s8", "ui8": "_u8"}


def load_vector(pointer: str, dtype: str, count: str = "") -> str:
    """C that reads MM_LANES elements, or the first `count`."""
    return f"mm_load{'_tail' if count else ''}{_SUFFIX[dtype]}({pointer}{', ' if count else ''}{count})"


def store_vector(pointer: str, value: str, dtype: str, count: str = "") -> str:
    """C that writes MM_LANES elements, or the first `count`."""
    return f"mm_store{'_tail' if count else ''}{_SUFFIX[dtype]}({pointer}, {value}{', ' if count else ''}{count})"


class VectorAccess:
    """MM_LANES elements at a time, then one masked step. 32 bits a lane; strides other than 1 go lane by lane."""

    def hoist(self, name: str, pointer: str, dtype: str) -> str:
        """C that puts the one element at `pointer` into every lane."""
        splat = {"f32": "mm_splat(*{})", "i1": "mm_splat_i(-(*{} != 0))"}.get(dtype, "mm_splat_i(*{})")
        return f"const {VECTOR_TYPES[dtype]} {name} = {splat.format(pointer)};"

    def load(self, name: str, pointer: str, dtype: str, stride: str, tail: bool) -> str:
        """C that reads element `i` and those after it."""
        c_type = VECTOR_TYPES[dtype]
        if stride == "1":
            return f"const {c_type} {name} = {load_vector(f'{pointer} + i', dtype, 'count - i' if tail else '')};"
        value = f"{pointer}[(i + lane) * {stride}]"
        value = f"-({value} != 0)" if dtype == "i1" else value
        limit = "count - i" if tail else "MM_LANES"
        return f"{c_type} {name} = {{0}}; for (int lane = 0; lane < {limit}; lane++) {name}[lane] = {value};"

    def store(self, pointer: str, value: str, dtype: str, tail: bool) -> str:
        """C that writes element `i` and those after it."""
        return f"{store_vector(f'{pointer} + i', value, dtype, 'count - i' if tail else '')};"

    def loops(self, body: Callable[[bool], str]) -> str:
        """C that walks `i` from 0 to `count`; `body(tail)` gives the statements of one step."""
        return f"""int64_t i = 0;
    for (; i + MM_LANES <= count; i += MM_LANES) {{
      {body(False)}
    }}
    if (i < count) {{
      {body(True)}
    }}"""


class ScalarAccess:
    """One element at a time, any dtype; the compiler makes vectors of it where it can."""

    def hoist(self, name: str, pointer: str, dtype: str) -> str:
        """C that reads the one element at `pointer`."""
        return f"const {C_TYPES[dtype]} {name} = *{pointer};"

    def load(self, name: str, pointer: str, dtype: str, stride: str, tail: bool) -> str:
        """C that reads element `i`."""
        return f"const {C_TYPES[dtype]} {name} = {pointer}[i * {stride}];"

    def store(self, pointer: str, value: str, dtype: str, tail: bool) -> str:
        """C that writes element `i`."""
        return f"{pointer}[i] = {value};"

    def loops(self, body: Callable[[bool], str]) -> str:
        """C that walks `i` from 0 to `count`. Results only overwrite the same elements: iterations are independent."""
        return f"""_Pragma("GCC ivdep")
    for (int64_t i = 0; i < count; i++) {{
      {body(False)}
    }}"""
