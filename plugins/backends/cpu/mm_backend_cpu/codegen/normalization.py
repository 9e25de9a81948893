"""Layer and RMS normalisation over the trailing axes, with what precedes and follows in the same pass over the row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mm_core.types import Dim

from .access import VectorAccess
from .expression import Expression
from .kernel_source import KernelSource, Parameters, kernel_source
from .operations import literal
from .rows import REDUCTIONS, RowInputs, reduce_row


@dataclass(frozen=True)
class NormalizationSpec:
    """`kind` "layer" subtracts the mean, "rms" does not; both divide by sqrt(mean square + epsilon).

    The epilogue's inputs are those of `inputs`, then the normalised value; scale and bias belong to it. `keep_values`
    adds a second output: the row before normalisation (a residual sum that is used again).
    """

    kind: Literal["layer", "rms"]
    rows: Dim
    columns: Dim
    epsilon: float
    inputs: RowInputs
    epilogue: Expression = ()
    keep_values: bool = False


def normalization(spec: NormalizationSpec) -> KernelSource:
    """Inputs as `spec.inputs`; outputs: the result and, with `keep_values`, the values. A task is a row.

    The mean square is taken of differences from the mean, in a second pass over the cached row.
    """
    parameters, access, inputs = Parameters(), VectorAccess(), spec.inputs
    n_inputs = len(inputs.kinds)
    stored = spec.keep_values or bool(inputs.prologue)
    if spec.keep_values:
        values = f"float* values = (float*)call->data[{n_inputs + 1}] + row * count;"
    elif stored:
        values = "float* values = (float*)scratch;"
    else:
        values = "const float* values = x0;"

    def first(tail: bool) -> str:
        return inputs.value(tail) + (access.store("values", "value", "f32", tail) if stored else "")

    def centred(tail: bool) -> str:
        shift = " - mean" if spec.kind == "layer" else ""
        return f"{access.load('v', 'values', 'f32', '1', tail)} const mm_vf d = v{shift};"

    def last(tail: bool) -> str:
        code, result = inputs.finish(spec.epilogue, "normal", tail)
        return f"{centred(tail)} const mm_vf normal = d * scale; {code} {access.store('y', result, 'f32', tail)}"

    def deviation(tail: bool) -> str:
        return f"{centred(tail)} const mm_vf square = d * d;"

    total = REDUCTIONS["sum"]
    if spec.kind == "layer":
        passes = f"""{reduce_row(total, "total", "value", first)}
    const float mean = total / (float)count;
    {reduce_row(total, "squares", "square", deviation)}"""
    else:
        passes = reduce_row(total, "squares", "value * value", first)
    text = f"""static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const int64_t count = {parameters.c(spec.columns)};
  for (int64_t row = begin; row < end; row++) {{
    {inputs.pointers()}
    float* y = (float*)call->data[{n_inputs}] + row * count;
    {values}
    {passes}
    const float scale = 1.0f / __builtin_sqrtf(squares / (float)count + {literal(spec.epsilon, "f32")});
    {access.loops(last)}
  }}
}}
"""
    return kernel_source(
        f"{spec.kind}_norm",
        text,
        tasks=spec.rows,
        scratch_bytes=4 * spec.columns if stored and not spec.keep_values else 0,
        params=tuple(parameters.dims),
        note=f"rows of {spec.columns}",
    )
