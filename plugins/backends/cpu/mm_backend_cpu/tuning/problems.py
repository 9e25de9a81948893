"""Candidates of convolutions and matrix products. This is the one place that says which kernels are considered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import chain
from operator import add
from typing import Any, TypeVar

from mm_backend_cpu.codegen.blocking import (
    Blocking,
    Extent,
    TileShape,
    assumed_extent,
    assumed_sizes,
    cut,
    divide_up,
    tile_cycles,
    tile_shapes,
)
from mm_backend_cpu.codegen.conv import ConvKernel, ConvSpec, conv_extent, generate_conv
from mm_backend_cpu.codegen.conv_depthwise import DepthwiseKernel, default_pixels, generate_depthwise, is_depthwise
from mm_backend_cpu.codegen.conv_transpose import ConvTransposeKernel, ConvTransposeSpec, generate_conv_transpose
from mm_backend_cpu.codegen.expression import Epilogue
from mm_backend_cpu.codegen.gemm import GemmKernel, GemmSpec, gemm_extent, generate_gemm
from mm_backend_cpu.codegen.integer import ByteConvKernel, ByteGemmKernel, byte_conv_terms, byte_gemm_terms
from mm_backend_cpu.codegen.integer_depthwise import default_byte_pixels, generate_byte_depthwise
from mm_backend_cpu.codegen.inverted_residual import (
    InvertedResidualKernel,
    InvertedResidualSpec,
    StripCut,
    generate_inverted_residual,
    product_extent,
)
from mm_backend_cpu.codegen.isa import Isa
from mm_backend_cpu.codegen.kernel_source import KernelSource
from mm_backend_cpu.codegen.matmul import MatmulSpec, Strides, generate_matmul, matmul_extent
from mm_backend_cpu.codegen.operations import BYTE_RANGES
from mm_backend_cpu.codegen.strides import product
from mm_backend_cpu.codegen.winograd import (
    Winograd,
    WinogradKernel,
    generate_winograd,
    is_winograd,
    winograd_cut,
)
from mm_backend_cpu.tuning.candidate import Candidate, Problem, Threads, ranked
from mm_backend_cpu.tuning.cost_model import (
    byte_depthwise_seconds,
    contraction_seconds,
    depthwise_seconds,
    inverted_residual_seconds,
    winograd_seconds,
)
from mm_core.types import Dim, ceildiv

WrappedT = TypeVar("WrappedT", ByteConvKernel, ByteGemmKernel)
ConvolutionKernel = ConvKernel | DepthwiseKernel | WinogradKernel

WINOGRAD_MARGIN = 1.2
"""By how much Winograd's algorithm must be ahead: its rounding errors are larger, and the model errs."""
_TILES = 8  # tile shapes of least cost that are cut in every way
_TASKS_A_THREAD = (1, 4)
_STRIP_ROWS = (1, 2, 4)
_WINOGRAD_BLOCKS = (128 << 10, 256 << 10, 512 << 10)  # bytes of transformed inputs


@dataclass(frozen=True)
class MatmulKernel:
    """A product of two operands that only running tells; `packed_elements` is what the right one spans."""

    source: KernelSource
    packed_elements: int


def conv_problem(
    spec: ConvSpec, isa: Isa, threads: Threads, winograd: Sequence[Winograd] = ()
) -> Problem[ConvolutionKernel]:
    """A convolution; without `winograd`, only by kernels whose rounding is that of a direct sum."""
    candidates: list[Candidate[ConvolutionKernel]] = []
    if is_depthwise(spec):
        candidates += _depthwise(spec, isa, threads)
    else:
        kind = "1x1 as a matrix product" if spec.is_pointwise else "direct"
        for name, reason, seconds, family, blocking in _cuts(conv_extent(spec), isa, threads):
            make = partial(generate_conv, spec, isa, blocking)
            candidates.append(Candidate(kind, name, reason, seconds, family, make))
        if is_winograd(spec, isa):
            for algorithm in winograd:
                candidates += _winograd(spec, isa, threads, algorithm)
    output = spec.output_pixels * spec.outputs
    return Problem(
        f"{spec}, {isa.name}, {threads}, {[*map(str, winograd)]}",
        2 * output * (spec.taps * (spec.channels // spec.groups)),
        spec.input_elements,
        _extras(spec.epilogue, spec.outputs, output),
        output,
        ranked(candidates),
    )


def conv_transpose_problem(spec: ConvTransposeSpec, isa: Isa, threads: Threads) -> Problem[ConvTransposeKernel]:
    """A transposed convolution. The phases are cut into tiles of one shape, in one order of tasks."""
    depthwise = is_depthwise(spec.convolutions[0])
    candidates = (_transposed_depthwise if depthwise else _transposed)(spec, isa, threads)
    image = spec.images * spec.rows.size * spec.columns.size
    output = spec.images * spec.rows.output * spec.columns.output * spec.outputs
    taps = spec.rows.kernel * spec.columns.kernel
    return Problem(
        f"{spec}, {isa.name}, {threads}",
        2 * image * (spec.channels * (spec.outputs // spec.groups) * taps),
        image * spec.channels,
        _extras(spec.epilogue, spec.outputs, output),
        output,
        ranked(candidates),
    )


def gemm_problem(spec: GemmSpec, isa: Isa, threads: Threads) -> Problem[GemmKernel]:
    """A matrix product with constant weights."""
    candidates = [
        Candidate("matrix product", name, reason, seconds, family, partial(generate_gemm, spec, isa, blocking))
        for name, reason, seconds, family, blocking in _cuts(gemm_extent(spec), isa, threads)
    ]
    output = spec.rows * spec.outputs
    return Problem(
        f"{spec}, {isa.name}, {threads}",
        2 * output * spec.reduction,
        spec.rows * spec.reduction,
        _extras(spec.epilogue, spec.outputs, output),
        output,
        ranked(candidates),
    )


def byte_conv_problem(spec: ConvSpec, isa: Isa, threads: Threads) -> Problem[ByteConvKernel]:
    """A convolution of bytes. Operations are counted as those of a product of four bytes."""
    return _of_bytes(conv_problem(*byte_conv_terms(spec, isa), threads), ByteConvKernel)


def byte_gemm_problem(spec: GemmSpec, isa: Isa, threads: Threads) -> Problem[ByteGemmKernel]:
    """A matrix product of bytes with constant weights. Operations are counted as those of a product of four bytes."""
    return _of_bytes(gemm_problem(*byte_gemm_terms(spec, isa), threads), ByteGemmKernel)


def _of_bytes(problem: Problem[Any], wrap: Callable[[Any], WrappedT]) -> Problem[WrappedT]:
    """The same candidates, which pack weights of bytes."""

    def make(candidate: Candidate[Any]) -> WrappedT:
        return wrap(candidate.kernel)

    wrapped = (replace(candidate, make=partial(make, candidate)) for candidate in problem.candidates)
    return replace(problem, candidates=tuple(wrapped))


def matmul_problem(spec: MatmulSpec, isa: Isa, threads: Threads) -> Problem[MatmulKernel]:
    """A batched matrix product of two operands that only running tells."""
    right = _span(spec.right, (*spec.batch, spec.reduction, spec.outputs))

    def make(blocking: Blocking) -> MatmulKernel:
        return MatmulKernel(generate_matmul(spec, isa, blocking), right if isinstance(right, int) else 0)

    candidates = [
        Candidate("matrix product", name, reason, seconds, family, partial(make, blocking))
        for name, reason, seconds, family, blocking in _cuts(matmul_extent(spec), isa, threads, (True,))
    ]
    output = product(spec.batch) * spec.rows * spec.outputs
    return Problem(
        f"{spec}, {isa.name}, {threads}",
        2 * output * spec.reduction,
        _span(spec.left, (*spec.batch, spec.rows, spec.reduction)),
        _extras(spec.epilogue, spec.outputs, output),
        output,
        ranked(candidates),
    )


def inverted_residual_problem(
    spec: InvertedResidualSpec, isa: Isa, threads: Threads
) -> Problem[InvertedResidualKernel]:
    """A depthwise convolution and the 1x1 convolutions beside it at once."""
    height, width = spec.output_size
    heights = {min(rows, height) for rows in (*_STRIP_ROWS, divide_up(height, threads.count))}
    candidates = []
    for rows in sorted(heights):
        strip = StripCut(
            rows,
            None if spec.expand is None else _run_tile(spec.expand, spec.size[1], isa),
            None if spec.project is None else _run_tile(spec.project, rows * width, isa),
            default_pixels(isa),
        )
        kept = 4 * (spec.ring_elements(rows) + spec.filtered_elements(rows)) >> 10
        candidates.append(
            Candidate(
                "strips",
                strip.note,
                f"{kept} KiB are between the convolutions at a time",
                inverted_residual_seconds(spec, strip, isa, threads.count),
                rows,
                partial(generate_inverted_residual, spec, isa, strip),
            )
        )
    flop = [
        2 * stage.output_pixels * stage.outputs * (stage.taps * (stage.channels // stage.groups))
        for stage in spec.stages
    ]
    last = spec.stages[-1]
    output = last.output_pixels * last.outputs
    extras = [_extras(stage.epilogue, stage.outputs, output) for stage in spec.stages]
    return Problem(
        f"{spec}, {isa.name}, {threads}",
        reduce(add, flop),
        spec.stages[0].input_elements,
        tuple(chain(*extras)),
        output,
        ranked(candidates),
    )


def _run_tile(stage: ConvSpec, pixels: int, isa: Isa) -> TileShape:
    """The cheapest tile for runs of so many pixels."""
    extent = product_extent(stage, pixels)
    shapes = (shape for shape in tile_shapes(extent, isa) if shape.pixels <= pixels)
    return min(shapes, key=lambda shape: tile_cycles(extent, isa, shape))


_Cut = tuple[str, str, float, tuple[TileShape, bool], Blocking]
"""Name, reason, expected seconds, family and blocking."""


def _cuts(extent: Extent, isa: Isa, threads: Threads, orders: tuple[bool, ...] = (True, False)) -> Iterator[_Cut]:
    """The cheapest tiles, in either order of tasks, in as many tasks as the rule says or as fixed threads ask for."""
    tiles = sorted(tile_shapes(extent, isa), key=lambda shape: tile_cycles(extent, isa, shape))[:_TILES]
    tasks_to_try = (None, *(count * threads.count for count in _TASKS_A_THREAD if threads.fixed))
    outputs, rows, length = assumed_sizes(extent)
    weight_kib = 4 * extent.groups * outputs * extent.runs * length >> 10
    seen = set()
    for tile in tiles:
        loads = tile.pixels * tile.vectors / (tile.pixels + tile.vectors)
        for panels_first in orders:
            for tasks in tasks_to_try:
                blocking = cut(extent, isa, tile, panels_first, tasks)
                # The order is no choice where there is one block of rows.
                if blocking in seen or (
                    extent.images == 1 and rows <= blocking.block_rows and orders[0] > panels_first
                ):
                    continue
                seen.add(blocking)
                order = (
                    f"{weight_kib} KiB of weights are read once"
                    if panels_first
                    else f"{weight_kib} KiB of weights are read for each block of rows, inputs once"
                )
                seconds = contraction_seconds(extent, blocking, tile, isa, threads.count)
                yield blocking.note, f"{loads:.1f} FMAs a load; {order}", seconds, (tile, panels_first), blocking


def _winograd(
    spec: ConvSpec, isa: Isa, threads: Threads, algorithm: Winograd
) -> Iterator[Candidate[ConvolutionKernel]]:
    fewer = algorithm.tile**2 * spec.taps / algorithm.components
    more = algorithm.components / spec.taps
    for chosen in dict.fromkeys(winograd_cut(spec, isa, algorithm, size) for size in _WINOGRAD_BLOCKS):
        yield Candidate(
            f"Winograd's {algorithm}",
            chosen.note,
            f"{fewer:.3g} times fewer multiplications, for two transforms and {more:.2g} times the weights",
            winograd_seconds(spec, chosen, isa, threads.count),
            (algorithm, chosen.block),
            partial(generate_winograd, spec, isa, chosen),
            WINOGRAD_MARGIN,
        )


def _depthwise(spec: ConvSpec, isa: Isa, threads: Threads) -> Iterator[Candidate[ConvolutionKernel]]:
    generate: Callable[[ConvSpec, Isa, int], DepthwiseKernel]
    if spec.bytes is None:
        generate, cost, usual = generate_depthwise, depthwise_seconds, default_pixels(isa)
    else:
        generate, cost, usual = generate_byte_depthwise, byte_depthwise_seconds, default_byte_pixels(isa)
    sizes = (usual, max(1, usual // 2), usual + usual // 2)
    # Rows are cut into equal pieces, so that sizes which give as many of them give the same kernel.
    by_pieces = {divide_up(assumed_extent(spec.output_width), size): size for size in reversed(sizes)}
    for pixels in by_pieces.values():
        yield Candidate(
            "depthwise",
            f"up to {pixels} pixels at a time",
            f"{pixels} accumulators of {isa.registers} registers share each weight",
            cost(spec, pixels, isa, threads.count),
            pixels,
            partial(generate, spec, isa, pixels),
        )


def _transposed(
    spec: ConvTransposeSpec, isa: Isa, threads: Threads
) -> Iterator[Candidate[ConvTransposeKernel]]:
    """All phases in tiles of one shape, in one order of tasks."""
    extents = [conv_extent(convolution) for convolution in spec.convolutions]
    seen = set()
    for name, reason, _, family, _ in _cuts(extents[0], isa, threads):
        if family in seen:
            continue
        seen.add(family)
        blockings = tuple(cut(extent, isa, *family) for extent in extents)
        seconds = sum(
            contraction_seconds(extent, blocking, family[0], isa, threads.count)
            for extent, blocking in zip(extents, blockings, strict=True)
        )
        make = partial(generate_conv_transpose, spec, isa, blockings)
        yield Candidate(f"direct, {len(extents)} phases", name, reason, seconds, family, make)


def _transposed_depthwise(
    spec: ConvTransposeSpec, isa: Isa, threads: Threads
) -> Iterator[Candidate[ConvTransposeKernel]]:
    """All phases in tiles of one size."""
    for largest in _depthwise(spec.convolutions[0], isa, threads):
        pixels: int = largest.family  # type: ignore[assignment]
        seconds = sum(depthwise_seconds(each, pixels, isa, threads.count) for each in spec.convolutions)
        make = partial(generate_conv_transpose, spec, isa, pixels=pixels)
        yield Candidate(
            f"depthwise, {len(spec.convolutions)} phases", largest.name, largest.reason, seconds, pixels, make
        )


def _extras(epilogue: Epilogue, channels: Dim, output: Dim) -> tuple[Dim, ...]:
    """Elements of four bytes of what an epilogue reads."""
    sizes = (channels,) * epilogue.channel_inputs + (output,) * epilogue.tensor_inputs
    dtypes = epilogue.input_dtypes[1:]
    return tuple(ceildiv(size, 4) if dtype in BYTE_RANGES else size for size, dtype in zip(sizes, dtypes, strict=True))


def _span(strides: Strides, shape: tuple[Dim, ...]) -> Dim:
    """Elements from the first to the last of an operand."""
    steps = (*strides.batch, strides.row, strides.column)
    last: Dim = 1
    for dim, step in zip(shape, steps, strict=True):
        last = last + (dim - 1) * step
    return last
