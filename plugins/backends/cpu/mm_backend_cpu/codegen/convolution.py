"""The kernel for a convolution: depthwise, Winograd's algorithm or a direct sum, whichever suits it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .conv import ConvSpec, generate_conv
from .conv_depthwise import generate_depthwise, is_depthwise
from .isa import Isa
from .kernel_source import KernelSource
from .winograd import generate_winograd, suits_winograd


class ConvolutionKernel(Protocol):
    """A kernel and how it wants its weights."""

    @property
    def source(self) -> KernelSource:
        """The kernel. It may write its output over a tensor that its epilogue reads."""

    def pack(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pack weights of shape [outputs, channels / groups, kernel height, kernel width]."""


def generate_convolution(spec: ConvSpec, isa: Isa, *, winograd: bool = True) -> ConvolutionKernel:
    """The fastest kernel for `spec`; without `winograd`, one whose rounding is that of a direct sum."""
    if is_depthwise(spec):
        return generate_depthwise(spec, isa)
    if winograd and suits_winograd(spec, isa):
        return generate_winograd(spec, isa)
    return generate_conv(spec, isa)
