"""Weights of few bits: how their codes are packed, and C that turns codes into numbers.

A weight is (code - zero point) * scale; each output has a scale, and perhaps a zero point, for each block of inputs.
A panel is one stream: for each block of inputs the scales of the panel's outputs, their zero points, a byte each,
and their codes, several consecutive inputs of one output in a word of 32 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .isa import Isa
from .pack import PanelLayout

WORD_BITS = 32


@dataclass(frozen=True)
class CodeFormat:
    """Codes of `bits` from 0 on, [reduction, outputs]; `zero` is the one zero point, None where blocks have their own.

    `block` inputs share a scale; the last block may be shorter. Both sizes are multiples of `codes_in_word`.
    """

    bits: int
    reduction: int
    outputs: int
    block: int
    zero: int | None = None

    @property
    def codes_in_word(self) -> int:
        return WORD_BITS // self.bits

    @property
    def blocks(self) -> int:
        """Blocks along the reduction."""
        return -(-self.reduction // self.block)

    def panel_words(self, width: int) -> int:
        """Words of one panel of `width` outputs."""
        zeros = 0 if self.zero is not None else width // 4
        return self.blocks * (width + zeros) + self.reduction // self.codes_in_word * width

    def pack(self, codes: NDArray[Any], scales: NDArray[Any], zeros: NDArray[Any] | None, width: int) -> NDArray[Any]:
        """Words [panels, panel_words] from codes [reduction, outputs], scales and zero points [blocks, outputs]."""
        place = np.arange(self.codes_in_word, dtype=np.uint32)[:, None] * np.uint32(self.bits)
        grouped = codes.astype(np.uint32).reshape(-1, self.codes_in_word, self.outputs)
        words = _panels(np.bitwise_or.reduce(grouped << place, axis=1), width)
        steps = _panels(scales.astype(np.float32), width).view(np.uint32)
        origins = None if zeros is None else _panels(zeros.astype(np.uint8), width).view(np.uint32)
        rows = self.block // self.codes_in_word
        parts = []
        for block in range(self.blocks):
            parts.append(steps[:, block])
            if origins is not None:
                parts.append(origins[:, block])
            parts.append(words[:, block * rows : (block + 1) * rows].reshape(len(words), -1))
        return np.concatenate(parts, axis=1)


def _panels(values: NDArray[Any], width: int) -> NDArray[Any]:
    """[panels, rows, width] of [rows, outputs]."""
    rows, outputs = values.shape
    packed: NDArray[Any] = PanelLayout(1, rows, outputs, width).pack(values[None])
    return packed.reshape(packed.shape[1:])


class CodeReader:
    """C that walks a panel: `at` points to its next word, `vectors` vectors of outputs are read side by side."""

    def __init__(self, layout: CodeFormat, isa: Isa, vectors: int) -> None:
        self.layout, self.vectors, self.width = layout, vectors, vectors * isa.lanes

    def walk(self, start: str, step: str, finish: str) -> str:
        """C over all inputs: `start` and `finish` run once a block, `step` once a word; `k` is the word's first input.

        `scale0`... and `zero0`... are declared in a block, and in a step `number(vector, place)` may be used.
        """
        layout, each = self.layout, range(self.vectors)
        scales = " ".join(f"const mm_vf scale{v} = mm_load((const float*)at + {v} * MM_LANES);" for v in each)
        if layout.zero is not None:
            zeros = f"const mm_vf {', '.join(f'zero{v} = mm_splat({layout.zero}.0f)' for v in each)};"
        else:
            bytes_ = "(const uint8_t*)at + {} * MM_LANES"
            zeros = " ".join(f"const mm_vf zero{v} = mm_load_bytes({bytes_.format(v)});" for v in each)
            zeros += f" at += {self.width // 4};"
        words = " ".join(f"const mm_vu word{v} = mm_load_u(at + {v} * MM_LANES);" for v in each)
        whole, rest = divmod(layout.reduction, layout.block)
        stop = f"first + {layout.block}"
        if rest:
            stop = f"first < {whole * layout.block} ? {stop} : {layout.reduction}"
        return f"""for (int64_t first = 0; first < {layout.reduction}; first += {layout.block}) {{
    const int64_t stop = {stop};
    {scales} at += {self.width};
    {zeros}
    {start}
    for (int64_t k = first; k < stop; k += {layout.codes_in_word}, at += {self.width}) {{
      {words}
      {step}
    }}
    {finish}
  }}"""

    def number(self, vector: int, place: int) -> str:
        """The code at a place in the words of a vector, less its zero point."""
        bits = self.layout.bits
        return f"(mm_code_float((word{vector} >> {place * bits}) & {2**bits - 1}u) - zero{vector})"

    def unpack(self) -> str:
        """A function that writes a panel's weights to `to`, [reduction, width]."""
        stores = "\n      ".join(
            f"mm_store(to + (k + {place}) * {self.width} + {v} * MM_LANES, {self.number(v, place)} * scale{v});"
            for place in range(self.layout.codes_in_word)
            for v in range(self.vectors)
        )
        return f"""{READERS}
static void KERNEL_NAME_unpack(const uint32_t* at, float* restrict to) {{
  {self.walk("", stores, "")}
}}
"""


READERS = """
typedef mm_vu mm_vu_unaligned __attribute__((aligned(4), may_alias));
MM_INLINE mm_vu mm_load_u(const uint32_t* p) { return *(const mm_vu_unaligned*)p; }
MM_INLINE mm_vf mm_load_bytes(const uint8_t* p) { return __builtin_convertvector(*(const mm_vb_unaligned*)p, mm_vf); }
MM_INLINE mm_vf mm_code_float(mm_vu code) { return __builtin_convertvector((mm_vi)code, mm_vf); }
"""
"""What `CodeReader` needs beside the prelude."""
