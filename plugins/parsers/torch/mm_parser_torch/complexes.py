"""Complex tensors while a program is read: pairs of values, their real and imaginary parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.utils._pytree as pytree

from mm_core.ir import Graph, Value


@dataclass(frozen=True)
class Complex:
    """A complex tensor of the program."""

    real: Value
    imaginary: Value


def holds_complex(arguments: Any) -> bool:
    """Whether any argument is a complex tensor or number."""
    return any(isinstance(leaf, (Complex, complex)) for leaf in pytree.tree_leaves(arguments))


def part_of(arguments: Any, name: str) -> Any:
    """Arguments with one part, `real` or `imaginary`, in place of each complex tensor."""
    return pytree.tree_map(lambda leaf: getattr(leaf, name) if isinstance(leaf, Complex) else leaf, arguments)


def by_parts(build: Callable[..., Any]) -> Callable[..., Any]:
    """An importer of a call that treats both parts alike, such as a view."""

    def importer(g: Graph, call: Any, *arguments: Any) -> Any:
        real, imaginary = (build(g, call, *part_of(arguments, name)) for name in ("real", "imaginary"))
        if isinstance(real, Value):
            return Complex(real, imaginary)
        return [Complex(left, right) for left, right in zip(real, imaginary)]

    return importer


def real_dtype(dtype: torch.dtype) -> torch.dtype:
    """The element type of the parts of a complex type; others stay."""
    return dtype.to_real() if dtype.is_complex else dtype
