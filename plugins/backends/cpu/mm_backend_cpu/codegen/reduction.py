"""Reductions over any axes of float32 tensors, with element-wise work before and after in the same pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mm_core.types import Dim, ceildiv

from .access import VectorAccess
from .elementwise import Operand
from .expression import Expression, emit
from .indices import dot_index, split_index
from .kernel_source import KernelSource, Parameters, kernel_source
from .rows import REDUCTIONS, reduce_row
from .strides import collapse, dense_strides, product

_BLOCK = 256  # elements of the result in a task where the innermost axis is kept
_VECTORS = 4  # of those, as many vectors are reduced side by side


@dataclass(frozen=True)
class ReductionSpec:
    """`axes` of `shape` are reduced; the result is dense in the others.

    The prologue makes the reduced values of the inputs (empty: input 0); the epilogue's only input is the result.
    """

    kind: Literal["sum", "mean", "prod", "max", "min"]
    shape: tuple[Dim, ...]
    axes: tuple[int, ...]
    inputs: tuple[Operand, ...]
    prologue: Expression = ()
    epilogue: Expression = ()


def reduction(spec: ReductionSpec) -> KernelSource:
    """Inputs as in `spec`, one output. A task is one element of the result, or a block of its innermost axis."""
    return _Writer(spec).kernel()


class _Writer:
    """Text of the kernel: kept axes make the tasks, reduced axes the loops of each."""

    def __init__(self, spec: ReductionSpec) -> None:
        self.spec, self.parameters, self.access = spec, Parameters(), VectorAccess()
        self.reduction = REDUCTIONS["sum" if spec.kind == "mean" else spec.kind]
        kept = [axis for axis in range(len(spec.shape)) if axis not in spec.axes]
        self.kept_shape = [spec.shape[axis] for axis in kept]
        self.count = product([spec.shape[axis] for axis in spec.axes])
        tensors = [[operand.strides[axis] for axis in kept] for operand in spec.inputs]
        self.kept, (*self.kept_strides, self.result_strides) = collapse(
            self.kept_shape, [*tensors, dense_strides(self.kept_shape)]
        )
        reduced = [[operand.strides[axis] for axis in spec.axes] for operand in spec.inputs]
        self.reduced, self.reduced_strides = collapse([spec.shape[axis] for axis in spec.axes], reduced)
        long_axes = [axis for axis, extent in enumerate(spec.shape) if extent != 1]
        self.along_rows = not long_axes or long_axes[-1] in spec.axes

    def kernel(self) -> KernelSource:
        blocks: Dim = 1 if self.along_rows else ceildiv(self.kept[-1], _BLOCK)
        body = self.row() if self.along_rows else self.columns()
        outer = self.kept if self.along_rows else self.kept[:-1]
        text = f"""static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const int64_t blocks = {self.parameters.c(blocks)};
  for (int64_t task = begin; task < end; task++) {{
    {split_index("task / blocks", outer, self.parameters)}
    {body}
  }}
}}
"""
        return kernel_source(
            f"reduce_{self.spec.kind}",
            text,
            tasks=product(outer) * blocks,
            params=tuple(self.parameters.dims),
            note="along rows" if self.along_rows else "across rows",
        )

    def pointers(self, outer: int, starts: list[str]) -> str:
        """C that points `t0`, `t1` ... at the first element that the task reads of each input."""
        return "\n    ".join(
            f"const float* t{k} = (const float*)call->data[{k}] + {dot_index(strides[:outer], self.parameters)}{start};"
            for k, (strides, start) in enumerate(zip(self.kept_strides, starts, strict=True))
        )

    def loops(self, extents: list[Dim], strides: list[list[Dim]], body: str) -> str:
        """C of loops over reduced axes; in `body`, `x0`, `x1` ... point at the inputs' elements."""
        c = self.parameters.c
        heads = "".join(
            f"for (int64_t reduced{axis} = 0; reduced{axis} < {c(extent)}; reduced{axis}++) "
            for axis, extent in enumerate(extents)
        )
        moves = " ".join(
            f"const float* x{k} = t{k}"
            + "".join(f" + reduced{axis} * {c(stride)}" for axis, stride in enumerate(steps) if stride != 0)
            + ";"
            for k, steps in enumerate(strides)
        )
        return f"{heads}{{ {moves} {body} }}"

    def value(self, steps: list[Dim], tail: bool) -> str:
        """C that defines `value` from the inputs at `i`, their innermost strides being `steps`."""
        names = [f"a{k}" for k in range(len(steps))]
        loads = [
            self.access.hoist(name, f"x{k}", "f32")
            if step == 0
            else self.access.load(name, f"x{k}", "f32", "1" if step == 1 else self.parameters.c(step), tail)
            for k, (name, step) in enumerate(zip(names, steps, strict=True))
        ]
        code, nodes = emit(self.spec.prologue, names, ("f32",) * len(names), vector=True, prefix="p")
        return f"{' '.join(loads)} {code} const mm_vf value = {nodes[-1] if nodes else names[0]};"

    def finish(self, name: str) -> tuple[str, str]:
        """C of what follows the reduction, and the name of the result."""
        scale = ""
        if self.spec.kind == "mean":
            scale, name = f"const mm_vf mean = {name} / (float){self.parameters.c(self.count)};", "mean"
        code, nodes = emit(self.spec.epilogue, [name], ("f32",), vector=True, prefix="q")
        return f"{scale} {code}", nodes[-1] if nodes else name

    def row(self) -> str:
        """The innermost axis is reduced: vectors run along it, one result a task."""
        steps = [strides[-1] for strides in self.reduced_strides]
        inner = reduce_row(self.reduction, "part", "value", lambda tail: self.value(steps, tail))
        combine = self.reduction.combine.format("total", "mm_splat(part)")
        outer = self.loops(self.reduced[:-1], [s[:-1] for s in self.reduced_strides], f"{inner} total = {combine};")
        code, result = self.finish("total")
        return f"""const int64_t count = {self.parameters.c(self.reduced[-1])};
    {self.pointers(len(self.kept), [""] * len(steps))}
    mm_vf total = mm_splat({self.reduction.neutral});
    {outer}
    {code}
    ((float*)call->data[{len(self.spec.inputs)}])[task] = {result}[0];"""

    def columns(self) -> str:
        """The innermost axis is kept: each lane reduces a column of its own."""
        c = self.parameters.c
        inner = [strides[-1] for strides in self.kept_strides]

        def block(vectors: int, tail: bool) -> str:
            """Several vectors at a time share the walk over the reduced axes."""
            totals = [f"total{k}" for k in range(vectors)]
            steps = " ".join(
                f"{{ const int64_t i = first + {k} * MM_LANES; {self.value(inner, tail)} "
                f"{name} = {self.reduction.combine.format(name, 'value')}; }}"
                for k, name in enumerate(totals)
            )
            stores = []
            for k, name in enumerate(totals):
                code, result = self.finish(name)
                store = self.access.store("y", result, "f32", tail)
                stores.append(f"{{ const int64_t i = first + {k} * MM_LANES; {code} {store} }}")
            declared = ", ".join(f"{name} = mm_splat({self.reduction.neutral})" for name in totals)
            body = self.loops(self.reduced, self.reduced_strides, steps)
            return f"const int64_t first = i; mm_vf {declared}; {body} {' '.join(stores)}"

        starts = [f" + start * {c(step)}" if step != 0 else "" for step in inner]
        row = dot_index(self.result_strides[:-1], self.parameters)
        return f"""const int64_t start = task % blocks * {_BLOCK}, extent = {c(self.kept[-1])};
    const int64_t count = extent - start < {_BLOCK} ? extent - start : {_BLOCK};
    {self.pointers(len(self.kept) - 1, starts)}
    float* y = (float*)call->data[{len(self.spec.inputs)}] + {row} + start;
    int64_t i = 0;
    for (; i + {_VECTORS} * MM_LANES <= count; i += {_VECTORS} * MM_LANES) {{ {block(_VECTORS, False)} }}
    for (; i + MM_LANES <= count; i += MM_LANES) {{ {block(1, False)} }}
    if (i < count) {{ {block(1, True)} }}"""
