"""Softmax and log-softmax along any axis."""

from __future__ import annotations

from dataclasses import dataclass, field

from mm_core.types import Dim, ceildiv

from .access import VectorAccess
from .expression import Expression
from .kernel_source import KernelSource, Parameters, kernel_source
from .rows import REDUCTIONS, RowInputs, reduce_row


@dataclass(frozen=True)
class SoftmaxSpec:
    """A tensor seen as [outer, extent, inner]; the softmax runs over `extent`.

    `inputs` and `epilogue` (its last input is the result so far) need `inner` to be 1.
    """

    outer: Dim
    extent: Dim
    inner: Dim = 1
    logarithm: bool = False
    inputs: RowInputs = field(default_factory=lambda: RowInputs(("tensor",)))
    epilogue: Expression = ()


def softmax(spec: SoftmaxSpec) -> KernelSource:
    """Softmax of a tensor. Values are shifted by their maximum; a NaN makes its whole row NaN, as in numpy."""
    return _along_last_axis(spec) if spec.inner == 1 else _along_outer_axis(spec)


def _along_last_axis(spec: SoftmaxSpec) -> KernelSource:
    parameters, access, inputs = Parameters(), VectorAccess(), spec.inputs

    def first(tail: bool) -> str:
        return inputs.value(tail) + access.store("y", "value", "f32", tail)

    def exponential(tail: bool) -> str:
        code = f"{access.load('v', 'y', 'f32', '1', tail)} const mm_vf e = mm_exp(v - largest);"
        return code if spec.logarithm else f"{code} {access.store('y', 'e', 'f32', tail)}"

    def last(tail: bool) -> str:
        code, result = inputs.finish(spec.epilogue, "share", tail)
        share = "(v - largest) - shift" if spec.logarithm else "v * scale"
        return (
            f"{access.load('v', 'y', 'f32', '1', tail)} const mm_vf share = {share}; {code} "
            f"{access.store('y', result, 'f32', tail)}"
        )

    factor = (
        "const float shift = mm_log(mm_splat(total))[0];"
        if spec.logarithm
        else "const float scale = 1.0f / total;"
    )
    text = f"""static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const int64_t count = {parameters.c(spec.extent)};
  for (int64_t row = begin; row < end; row++) {{
    {inputs.pointers()}
    float* y = (float*)call->data[{len(inputs.kinds)}] + row * count;
    {reduce_row(REDUCTIONS["max"], "largest", "value", first)}
    {reduce_row(REDUCTIONS["sum"], "total", "e", exponential)}
    {factor}
    {access.loops(last)}
  }}
}}
"""
    return kernel_source(
        "softmax", text, tasks=spec.outer, params=tuple(parameters.dims), note=f"rows of {spec.extent}"
    )


def _along_outer_axis(spec: SoftmaxSpec) -> KernelSource:
    """A task is one block of the inner axis: each lane has a softmax of its own."""
    parameters, access = Parameters(), VectorAccess()
    blocks = ceildiv(spec.inner, 16)  # lanes of the widest vector, so that tasks do not depend on the machine

    def block(tail: bool) -> str:
        def walk(body: str) -> str:
            pointers = "const float* x = x0 + k * inner; float* y = y0 + k * inner; (void)x;"
            return f"for (int64_t k = 0; k < extent; k++) {{ {pointers} {body} }}"

        def load(name: str, pointer: str) -> str:
            return access.load(name, pointer, "f32", "1", tail)

        keep = "" if spec.logarithm else access.store("y", "e", "f32", tail)
        source = "x" if spec.logarithm else "y"
        share = "(v - largest) - shift" if spec.logarithm else "v * scale"
        return f"""mm_vf largest = mm_splat(-__builtin_inff()), total = {{0}};
      {walk(f"{load('v', 'x')} largest = mm_max(largest, v);")}
      {walk(f"{load('v', 'x')} const mm_vf e = mm_exp(v - largest); total += e; {keep}")}
      const mm_vf {"shift = mm_log(total)" if spec.logarithm else "scale = 1.0f / total"};
      {walk(f"{load('v', source)} const mm_vf share = {share}; {access.store('y', 'share', 'f32', tail)}")}"""

    text = f"""static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const int64_t extent = {parameters.c(spec.extent)}, inner = {parameters.c(spec.inner)};
  const int64_t blocks = {parameters.c(blocks)};
  for (int64_t task = begin; task < end; task++) {{
    const int64_t start = task % blocks * 16, offset = task / blocks * extent * inner + start;
    const int64_t count = inner - start < 16 ? inner - start : 16;
    const float* x0 = (const float*)call->data[0] + offset;
    float* y0 = (float*)call->data[1] + offset;
    {access.loops(block)}
  }}
}}
"""
    return kernel_source(
        "softmax",
        text,
        tasks=spec.outer * blocks,
        params=tuple(parameters.dims),
        note=f"{spec.extent} values apart by {spec.inner}",
    )
