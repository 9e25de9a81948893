"""Images and matrices of bytes as contractions read them: four channels, or four inputs, are one element of 32 bits.

Left operands are unsigned: signed ones are moved up by 128 while they are copied, and so is their zero point. Right
operands are signed. What the zero point contributes to a sum depends on the weights alone, so it is known while
building: see `zero_point_share`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUAD = 4
_SIGN = 128


@dataclass(frozen=True)
class ByteInput:
    """The left operand's bytes: `channels` a pixel or row, and the number that stands for zero, in their range."""

    channels: int
    signed: bool
    zero_point: int

    @property
    def quads(self) -> int:
        """Elements that the channels of a pixel fill."""
        return -(-self.channels // QUAD)

    @property
    def copied(self) -> bool:
        """Whether the bytes cannot be multiplied as they lie."""
        return self.signed or self.channels % QUAD != 0

    @property
    def unsigned_zero(self) -> int:
        """The zero point once all bytes are unsigned."""
        return self.zero_point + (_SIGN if self.signed else 0)

    @property
    def flip(self) -> str:
        """C behind a byte that makes it unsigned."""
        return f" ^ {_SIGN}" if self.signed else ""

    def copy_pixels(self, to: str, source: str, count: str) -> str:
        """C that copies `count` adjacent pixels from `source`, uint8_t, to the elements at `to`."""
        if self.channels % QUAD == 0:
            body = f"bytes[i] = source[i]{self.flip};"
            loop = f"for (int64_t i = 0; i < {count} * {self.channels}; i++) {body}"
        else:
            body = f"bytes[p * {self.quads * QUAD} + c] = source[p * {self.channels} + c]{self.flip};"
            loop = f"for (int64_t p = 0; p < {count}; p++) for (int64_t c = 0; c < {self.channels}; c++) {body}"
        return f"{{ const uint8_t* source = {source}; uint8_t* restrict bytes = (uint8_t*)({to}); {loop} }}"

    def copy_planes(self, to: str, source: str, count: str, plane: int) -> str:
        """C that copies `count` adjacent pixels whose channels lie `plane` bytes apart."""
        loops = []
        for quad in range(self.quads):
            channels = range(quad * QUAD, min((quad + 1) * QUAD, self.channels))
            word = " | ".join(
                f"(uint32_t)(uint8_t)(source[{c * plane} + p]{self.flip}) << {c % QUAD * 8}" for c in channels
            )
            loops.append(f"for (int64_t p = 0; p < {count}; p++) words[p * {self.quads} + {quad}] = (int32_t)({word});")
        return f"{{ const uint8_t* source = {source}; int32_t* restrict words = {to}; {' '.join(loops)} }}"


def pack_quads(weights: NDArray[np.int8], axis: int) -> NDArray[np.int32]:
    """Weights with four elements along an axis in each word, zeros behind the last."""
    moved: NDArray[np.int8] = np.moveaxis(weights, axis, -1)
    missing = -moved.shape[-1] % QUAD
    padded = np.pad(moved, [(0, 0)] * (moved.ndim - 1) + [(0, missing)])
    packed: NDArray[np.int32] = np.moveaxis(np.ascontiguousarray(padded).view(np.int32), -1, axis)
    return packed


def centred(weights: NDArray[Any], zeros: NDArray[Any]) -> NDArray[np.int8] | None:
    """Bytes [outputs, ...] less their zero points, one or one for each output; None if that takes more than a byte."""
    if weights.dtype == np.int8 and not zeros.any():
        return weights
    wide = weights.astype(np.int16) - zeros.astype(np.int16).reshape(-1, *[1] * (weights.ndim - 1))
    if wide.min(initial=0) < -128 or wide.max(initial=0) > 127:
        return None
    return wide.astype(np.int8)


def zero_point_share(weights: NDArray[Any], zero_point: int) -> NDArray[np.int32]:
    """What unsigned inputs at their zero point give for each output, negated; weights are [outputs, ...]."""
    shares: NDArray[np.int32] = -zero_point * weights.reshape(len(weights), -1).sum(axis=1, dtype=np.int32)
    return shares
