"""Convolutions and products of bytes: exact sums in int32 of u8 or s8 images times constant s8 weights.

The kernels are those of `conv` and `gemm`: loops, blocking and epilogues are the same where four bytes take the place
of one float32; and those of `integer_depthwise`. The epilogue starts from the sums.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .conv import ConvKernel, ConvSpec, generate_conv
from .conv_depthwise import DepthwiseKernel, is_depthwise
from .gemm import GemmKernel, GemmSpec, generate_gemm
from .integer_depthwise import generate_byte_depthwise
from .isa import Isa
from .kernel_source import KernelSource
from .quads import QUAD, pack_quads

MOST_TERMS = (1 << 31) // (255 * 128)
"""Terms of a sum that int32 holds, whatever they are."""
_SPLIT_REGISTERS = 4  # where bytes are multiplied as two halves of 16 bits


@dataclass(frozen=True)
class ByteConvKernel:
    """A kernel and how it wants its weights."""

    kernel: ConvKernel | DepthwiseKernel

    @property
    def source(self) -> KernelSource:
        """The kernel. It may write its output over a tensor of bytes that its epilogue reads."""
        return self.kernel.source

    @property
    def packed_elements(self) -> int:
        """Elements of four bytes of the packed weights."""
        return self.kernel.packed_elements

    def pack(self, weights: NDArray[np.int8]) -> NDArray[np.generic]:
        """Pack weights of shape [outputs, channels / groups, kernel height, kernel width]."""
        axis = 2 if isinstance(self.kernel, DepthwiseKernel) else 1
        return self.kernel.pack(pack_quads(weights, axis))  # type: ignore[arg-type]  # elements of 32 bits


@dataclass(frozen=True)
class ByteGemmKernel:
    """A kernel and how it wants its weights."""

    kernel: GemmKernel

    @property
    def source(self) -> KernelSource:
        """The kernel."""
        return self.kernel.source

    @property
    def packed_elements(self) -> int:
        """Elements of four bytes of the packed weights."""
        return self.kernel.packed_elements

    def pack(self, weights: NDArray[np.int8]) -> NDArray[np.generic]:
        """Pack weights of shape [reduction, outputs]."""
        return self.kernel.pack(pack_quads(weights, 0))  # type: ignore[arg-type]  # elements of 32 bits


def refuse_byte_conv(spec: ConvSpec) -> str:
    """Why there is no kernel for a convolution of `spec.bytes`; empty if there is."""
    taps = spec.kernel[0] * spec.kernel[1]
    terms = taps * (spec.channels // spec.groups)
    if terms > MOST_TERMS:
        return f"sums of {terms} products of bytes may not fit int32"
    if spec.groups > 1 and spec.channels // spec.groups % QUAD and not is_depthwise(spec):
        return f"groups of {spec.channels // spec.groups} channels of bytes"
    return ""


def byte_conv_terms(spec: ConvSpec, isa: Isa) -> tuple[ConvSpec, Isa]:
    """What `conv` or `integer_depthwise` is asked for, where `spec.channels` counts bytes."""
    assert spec.bytes is not None
    return (spec, isa) if is_depthwise(spec) else (replace(spec, channels=spec.bytes.quads), _roomy(isa))


def byte_gemm_terms(spec: GemmSpec, isa: Isa) -> tuple[GemmSpec, Isa]:
    """What `gemm` is asked for, where `spec.reduction` counts bytes."""
    assert spec.bytes is not None
    return replace(spec, reduction=spec.bytes.quads), _roomy(isa)


def generate_byte_conv(spec: ConvSpec, isa: Isa) -> ByteConvKernel:
    """A kernel for a convolution of `spec.bytes`, cut by rule."""
    generate = generate_byte_depthwise if is_depthwise(spec) else generate_conv
    return ByteConvKernel(generate(*byte_conv_terms(spec, isa)))


def generate_byte_gemm(spec: GemmSpec, isa: Isa) -> ByteGemmKernel:
    """A kernel for a product of `spec.bytes`, cut by rule."""
    return ByteGemmKernel(generate_gemm(*byte_gemm_terms(spec, isa)))


def _roomy(isa: Isa) -> Isa:
    """Fewer registers for tiles where a multiplication needs some of its own."""
    return isa if isa.has_vnni else replace(isa, registers=isa.registers - _SPLIT_REGISTERS)
