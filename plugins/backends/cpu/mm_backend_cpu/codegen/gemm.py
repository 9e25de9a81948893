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
from .register_tile import NO_EPILOGUE, Steps


@dataclass(frozen=True)
class GemmSpec:
    """output[m, n] = epilogue(sum over k of left[m, k] * weights[k, n]), float32, `left` dense.

    The kernel's inputs are left, the packed weights and those of the epilogue.
    """

    rows: Dim
    outputs: int
    reduction: int
    epilogue: Epilogue = NO_EPILOGUE


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
    source = Source(
        inputs=f"left = input + row * {spec.reduction};",
        panel=f"right = weights + panel * {spec.reduction * layout.width};",
    )
    contraction = Contraction(
        "gemm", extent, blocking, Steps(row=spec.reduction, column=0, run="0"), source, spec.epilogue
    )
    return GemmKernel(contraction_source(contraction, isa, Parameters()), layout)
