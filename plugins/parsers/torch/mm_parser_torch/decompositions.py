"""Which operators PyTorch takes apart before we read a program: all that have no importer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import torch
from torch._decomp import decomposition_table
from torch._export.utils import _collect_all_valid_cia_ops

from mm_parser_torch import fast_path
from mm_parser_torch.importers import TABLE

QUANTIZED_LIBRARY = "torch.ao.quantization.fx._decomposed"
"""The module that brings the operators of quantized programs; who exports one has it loaded."""


def decompositions() -> dict[Any, Callable[..., Any]]:
    """PyTorch's rules, core ATen's first, for every operator that has no importer of ours."""
    table = torch.export.default_decompositions()
    for name in TABLE:
        operator = _overload(name)
        if operator is not None:
            table.pop(operator, None)  # type: ignore[no-untyped-call]
    for operator, rule in (*_further(), *_of_quantization().items(), *fast_path.RULES.items()):
        if operator not in table:
            table[operator] = rule
    return table


@cache
def kept_whole() -> tuple[Any, ...]:
    """Operators that PyTorch would take apart while it traces a graph, but which have an importer."""
    composites = _collect_all_valid_cia_ops()
    return tuple(operator for operator in map(_overload, TABLE) if operator in composites)


def _overload(name: str) -> Any:
    namespace, packet, overload = name.split(".")
    try:
        return getattr(getattr(getattr(torch.ops, namespace), packet), overload)
    except (AttributeError, RuntimeError):
        return None  # An operator of a library that is not loaded: no program has it.


def _of_quantization() -> dict[Any, Callable[..., Any]]:
    """What chooses scales token by token, by the library's own definitions, once it is loaded."""
    library = sys.modules.get(QUANTIZED_LIBRARY)
    if library is None:
        return {}
    names = ("choose_qparams_per_token", "choose_qparams_per_token_asymmetric")
    rules = {getattr(torch.ops.quantized_decomposed, name).default: getattr(library, name) for name in names}
    return rules | {torch.ops.quantized_decomposed.convert_element_type.no_fuse: library.convert_element_type}


@cache
def _further() -> Iterable[tuple[Any, Callable[..., Any]]]:
    """Rules that PyTorch has beside those of its core set"""
    return tuple(
        (operator, rule)
        for operator, rule in decomposition_table.items()
        if isinstance(operator, torch._ops.OpOverload) and TABLE.find(operator) is None
    )
