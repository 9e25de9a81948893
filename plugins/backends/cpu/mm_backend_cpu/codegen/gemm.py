"""Matrix product with constant, packed weights: [rows, reduction] @ [reduction, outputs] and an epilogue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mm_core.types import Dim

from .blocking import Blocking, Extent, choose_blocking
from .contraction import Contraction, Source, contraction_source
from .expression import Epilogue
from .isa import Isa
from .kernel_source import KernelSource, Parameters
from .pack import PanelLayout
from .quads import ByteInput
from .register_tile import BYTES, FLOATS, NO_EPILOGUE, Steps


@dataclass(frozen=True)
class GemmSpec:
    """output[m, n] = epilogue(sum over k of left[m, k] * weights[k, n]), float32, `left` dense.

    The kernel's inputs are left, the packed weights and those of the epilogue. If `left` is of `bytes`, the reduction
    counts quads of them.
    """

    rows: Dim
    outputs: int
    reduction: int
    epilogue: Epilogue = NO_EPILOGUE
    bytes: ByteInput | None = None


@dataclass(frozen=True)
class GemmKernel:
    """A kernel and the layout of its weights."""

    source: KernelSource
    layout: PanelLayout

    @property
    def packed_elements(self) -> int:
        """Elements of the packed weights."""
        return self.layout.elements

    def pack(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pack weights of shape [reduction, outputs]."""
        return self.layout.pack(weights[None])


def gemm_extent(spec: GemmSpec) -> Extent:
    """What the blocking of a matrix product depends on."""
    return Extent(
        images=1, rows=spec.rows, columns=1, groups=1, outputs=spec.outputs, runs=1, run_length=spec.reduction,
        input_row_bytes=4 * spec.reduction, pixel_bytes=4 * spec.reduction,
    )  # fmt: skip


def generate_gemm(spec: GemmSpec, isa: Isa, blocking: Blocking | None = None) -> GemmKernel:
    """A kernel for `spec`, cut as `blocking` says or else by rule."""
    extent = gemm_extent(spec)
    blocking = blocking or choose_blocking(extent, isa)
    layout = PanelLayout(1, spec.reduction, spec.outputs, blocking.vectors * isa.lanes)
    inputs, strip_elements = f"left = input + row * {spec.reduction};", 0
    if spec.bytes is not None and spec.bytes.copied:
        from_row = f"(const uint8_t*)input + row * {spec.bytes.channels}"
        inputs = f"{spec.bytes.copy_pixels('strip', from_row, 'rows')} left = strip;"
        strip_elements = blocking.block_rows * spec.reduction
    panel = f"right = weights + panel * {spec.reduction * layout.width};"
    source = Source(inputs, panel, panels_follow=True)
    contraction = Contraction(
        "gemm", extent, blocking, Steps(row=spec.reduction, column=0, run="0"), source, spec.epilogue, strip_elements,
        arithmetic=FLOATS if spec.bytes is None else BYTES,
    )  # fmt: skip
    return GemmKernel(contraction_source(contraction, isa, Parameters()), layout)
