"""`mm.dynamic_quantize`: the range of the numbers, then their bytes, scale and zero point."""

from __future__ import annotations

from mm_backend_cpu.codegen.dynamic_quantize import block_count, block_ranges, dynamic_quantize
from mm_backend_cpu.codegen.strides import product
from mm_backend_cpu.lowering.elementwise import preferred_order
from mm_backend_cpu.lowering.lowering import Lowering, shape_of
from mm_core.ir import Operation


def lower_dynamic_quantize(low: Lowering, operation: Operation) -> None:
    """Two kernels, in whatever order the numbers lie."""
    (x,) = operation.operands
    assert x is not None
    shape = shape_of(x)
    order, count = preferred_order(low, [x], shape), product(shape)
    numbers = low.ordered(x, order).buffer
    ranges = low.temporary("f32", (block_count(count), 2))
    low.generated(block_ranges(count), [numbers], [ranges], "block_ranges")
    y, scale, zero_point = operation.results
    results = [low.result(y, order), low.result(scale), low.result(zero_point)]
    low.generated(dynamic_quantize(count), [numbers, ranges], results, "dynamic_quantize")
