"""Kernels whose task is a row of contiguous float32 values: what normalisation, softmax and reductions share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .access import VectorAccess
from .expression import Expression, emit

_PARTS = 4  # independent accumulators: enough to hide the latency of an addition


@dataclass(frozen=True)
class Reduction:
    """A way to combine values: C of two vectors, the neutral element, the combination of one vector's lanes."""

    combine: str
    neutral: str
    lanes: str


REDUCTIONS = {
    "sum": Reduction("({0} + {1})", "0.0f", "mm_lanes_sum"),
    "prod": Reduction("({0} * {1})", "1.0f", "mm_lanes_product"),
    "max": Reduction("mm_max({0}, {1})", "-__builtin_inff()", "mm_lanes_max"),
    "min": Reduction("mm_min({0}, {1})", "__builtin_inff()", "mm_lanes_min"),
}


def reduce_row(reduction: Reduction, result: str, value: str, step: Callable[[bool], str]) -> str:
    """C that combines `count` values into `const float result`.

    `step(tail)` gives statements; after them, the expression `value` is the vector of the elements at `i`.
    """

    def accumulate(part: int, tail: bool) -> str:
        masked = f"mm_select(mm_tail_mask(count - i), {value}, mm_splat({reduction.neutral}))" if tail else value
        return f"{step(tail)} {result}_{part} = {reduction.combine.format(f'{result}_{part}', masked)};"

    parts = [f"{result}_{part}" for part in range(_PARTS)]
    unrolled = "\n".join(
        f"{{ const int64_t i = first + {part} * MM_LANES; {accumulate(part, False)} }}" for part in range(_PARTS)
    )
    left, right = (reduction.combine.format(*parts[k : k + 2]) for k in (0, 2))
    total = reduction.combine.format(left, right)
    declared = ", ".join(f"{part} = mm_splat({reduction.neutral})" for part in parts)
    return f"""mm_vf {declared};
    {{
      int64_t i = 0;
      for (; i + {_PARTS} * MM_LANES <= count; i += {_PARTS} * MM_LANES) {{
        const int64_t first = i;
        {unrolled}
      }}
      for (; i + MM_LANES <= count; i += MM_LANES) {{ {accumulate(0, False)} }}
      if (i < count) {{ {accumulate(0, True)} }}
    }}
    const float {result} = {reduction.lanes}({total});"""


RowOperand = Literal["tensor", "column"]
"""A tensor of rows by columns, or a vector over the columns that every row uses."""


@dataclass(frozen=True)
class RowInputs:
    """The inputs of a row kernel and the expression that makes a row's values of them (empty: input 0 as it is)."""

    kinds: tuple[RowOperand, ...]
    prologue: Expression = ()

    def pointers(self) -> str:
        """C that points `x0`, `x1` ... at the inputs' elements of row `row`, `count` being the columns."""
        return "\n".join(
            f"const float* x{k} = (const float*)call->data[{k}]{' + row * count' if kind == 'tensor' else ''};"
            for k, kind in enumerate(self.kinds)
        )

    def loads(self, expression: Expression, tail: bool) -> str:
        """C that loads what `expression` reads of the inputs at `i`."""
        used = sorted({int(index) for node in expression for kind, index in node.args if kind == "input"})
        access = VectorAccess()
        return " ".join(
            access.load(f"a{k}", f"x{k}", "f32", "1", tail) for k in used if k < len(self.kinds)
        )

    def value(self, tail: bool) -> str:
        """C that defines `value`, the row's values at `i`."""
        if not self.prologue:
            return VectorAccess().load("value", "x0", "f32", "1", tail)
        code, nodes = emit(self.prologue, self.names, ("f32",) * len(self.names), vector=True, prefix="p")
        return f"{self.loads(self.prologue, tail)} {code} const mm_vf value = {nodes[-1]};"

    @property
    def names(self) -> tuple[str, ...]:
        """The C names that `loads` gives the inputs."""
        return tuple(f"a{k}" for k in range(len(self.kinds)))

    def finish(self, expression: Expression, value: str, tail: bool) -> tuple[str, str]:
        """Statements and result of an expression over the inputs and, as one input more, `value`."""
        if not expression:
            return "", value
        names = (*self.names, value)
        code, nodes = emit(expression, names, ("f32",) * len(names), vector=True, prefix="q")
        return f"{self.loads(expression, tail)} {code}", nodes[-1]

