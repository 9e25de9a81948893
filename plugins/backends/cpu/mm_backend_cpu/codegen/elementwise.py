"""Fused element-wise loops: any DAG of element-wise operations over broadcast inputs, with one or more results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mm_core.types import Dim, ceildiv

from .access import ScalarAccess, VectorAccess
from .expression import Expression, Ref, emit, infer_dtypes, vectorizable
from .indices import dot_index, split_index
from .kernel_source import KernelSource, Parameters, kernel_source
from .operations import C_TYPES
from .strides import collapse, dense_strides, product

_BLOCK = 4096  # elements of a task: enough to hide its overhead, few enough to balance two threads


@dataclass(frozen=True)
class Operand:
    """An input: its dtype's text name and its stride in elements along each axis of the result, 0 where repeated.

    Its first element is `offset` elements into the tensor.
    """

    dtype: str
    strides: tuple[Dim, ...]
    offset: Dim = 0


@dataclass(frozen=True)
class ElementwiseSpec:
    """`outputs` are references into `expression`; each is written dense in `shape`."""

    shape: tuple[Dim, ...]
    inputs: tuple[Operand, ...]
    expression: Expression
    outputs: tuple[Ref, ...]


def elementwise(spec: ElementwiseSpec) -> KernelSource:
    """A kernel with the inputs and outputs of `spec` in order. A result may be written over an input that it matches.

    A task is a block of the innermost axis that is left after merging axes.
    """
    input_dtypes = tuple(operand.dtype for operand in spec.inputs)
    node_dtypes = infer_dtypes(spec.expression, input_dtypes)
    output_dtypes = tuple(_pick(ref, input_dtypes, node_dtypes) for ref in spec.outputs)
    extents, strides = collapse(spec.shape, [*(o.strides for o in spec.inputs), dense_strides(spec.shape)])
    vector = vectorizable(spec.expression, input_dtypes)
    access = VectorAccess() if vector else ScalarAccess()

    parameters = Parameters()
    inner, blocks = extents[-1], ceildiv(extents[-1], _BLOCK)
    pointers = []
    places = [*zip(strides, (operand.offset for operand in spec.inputs)), *[(strides[-1], 0)] * len(spec.outputs)]
    for number, (dtype, (steps, first)) in enumerate(zip((*input_dtypes, *output_dtypes), places, strict=True)):
        name, const = _tensor(number, len(spec.inputs))
        offset = f"{dot_index(steps[:-1], parameters)} + start * {parameters.c(steps[-1])}"
        if first != 0:
            offset += f" + {parameters.c(first)}"
        c_type = f"{const}{C_TYPES[dtype]}*"
        pointers.append(f"{c_type} {name} = ({c_type})call->data[{number}] + {offset};")
    inner_strides = [str(s[-1]) if s[-1] in (0, 1) else parameters.c(s[-1]) for s in strides[:-1]]
    hoisted = [
        access.hoist(f"a{number}", f"x{number}", dtype)
        for number, (dtype, stride) in enumerate(zip(input_dtypes, inner_strides, strict=True))
        if stride == "0"
    ]
    names = [f"a{number}" for number in range(len(spec.inputs))]
    code, nodes = emit(spec.expression, names, input_dtypes, vector=vector)
    results = [_pick(ref, names, nodes) for ref in spec.outputs]

    def body(tail: bool) -> str:
        loads = [
            access.load(f"a{number}", f"x{number}", dtype, stride, tail)
            for number, (dtype, stride) in enumerate(zip(input_dtypes, inner_strides, strict=True))
            if stride != "0"
        ]
        stores = [
            access.store(f"y{number}", name, dtype, tail)
            for number, (name, dtype) in enumerate(zip(results, output_dtypes, strict=True))
        ]
        return "\n".join((*loads, code, *stores))

    newline, operations = "\n", len(spec.expression)
    text = f"""static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const int64_t blocks = {parameters.c(blocks)}, extent = {parameters.c(inner)};
  for (int64_t task = begin; task < end; task++) {{
    const int64_t start = task % blocks * {_BLOCK};
    const int64_t count = extent - start < {_BLOCK} ? extent - start : {_BLOCK};
    {split_index("task / blocks", extents[:-1], parameters)}
    {newline.join(pointers)}
    {newline.join(hoisted)}
    {access.loops(body)}
  }}
}}
"""
    return kernel_source(
        "elementwise",
        text,
        tasks=product(extents[:-1]) * blocks,
        params=tuple(parameters.dims),
        note=f"{operations} operation{'s' if operations > 1 else ''}, {'vector' if vector else 'scalar'}",
    )


def _tensor(number: int, inputs: int) -> tuple[str, str]:
    return (f"x{number}", "const ") if number < inputs else (f"y{number - inputs}", "")


def _pick(ref: Ref, inputs: Sequence[str], nodes: Sequence[str]) -> str:
    kind, index = ref
    return (inputs if kind == "input" else nodes)[int(index)]
