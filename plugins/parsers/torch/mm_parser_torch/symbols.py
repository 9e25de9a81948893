"""What a program's open sizes are called, what they are set to, and between which limits they lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from mm_core.errors import ParseError
from mm_core.ir import Network
from mm_core.parsing import InputShapes
from mm_core.types import Dim, as_dim
from mm_parser_torch.dims import UNBOUNDED, dim_of, range_of

_FIRST = 2
"""PyTorch treats sizes of 0 and 1 as constants, so its ranges begin here unless a program says otherwise."""


def names_of(
    program: torch.export.ExportedProgram, examples: Mapping[str, torch.Tensor], input_shapes: InputShapes
) -> dict[str, Dim]:
    """What PyTorch's symbols are called, or set to: first by `input_shapes`, else by the user's torch.export.Dim.

    `examples` are fake tensors by input. ParseError where a shape and the program contradict each other.
    """
    if unknown := sorted(set(input_shapes) - set(examples)):
        raise ParseError(
            f"input_shapes names {', '.join(unknown)}", available=", ".join(examples) or "no tensor inputs"
        )
    names: dict[str, Dim] = {}
    pairs = list(_pairs(examples, input_shapes))
    for where, size, wanted in pairs:
        for symbol, dim in _settled(size, as_dim(wanted)):
            if names.setdefault(symbol, dim) != dim:
                raise ParseError(f"input_shapes says both {names[symbol]} and {dim} of one size", where=where)
    _check_limits(program, names)
    names = dict(_given(examples.values())) | names
    for where, size, wanted in pairs:
        if (found := dim_of(size, names)) != as_dim(wanted):
            raise ParseError(
                f"the program was exported for the size {found}, input_shapes says {wanted}",
                where=where,
                remedy="export it with dynamic_shapes" if isinstance(found, int) else "name or set the size in it",
            )
    return names


def _pairs(
    examples: Mapping[str, torch.Tensor], input_shapes: InputShapes
) -> Iterator[tuple[str, int | torch.SymInt, int | str]]:
    """Input, size of the program and size that the caller wants, for each that he gives."""
    for name, given in input_shapes.items():
        own = examples[name].shape
        if len(own) != len(given):
            raise ParseError(f"input_shapes gives {len(given)} sizes, the program has {len(own)}", where=name)
        yield from ((name, size, wanted) for size, wanted in zip(own, given) if wanted is not None)


def _settled(size: int | torch.SymInt, wanted: Dim) -> Iterator[tuple[str, Dim]]:
    """The symbol that a wanted size settles: that of `s77`, or that of `2*s77 + 1` for a number that fits."""
    if not isinstance(size, torch.SymInt):
        return
    expression = size.node.expr
    if expression.is_Symbol:
        yield str(expression), wanted
    elif isinstance(wanted, int) and len(expression.free_symbols) == 1:
        (symbol,) = expression.free_symbols
        factor, rest = expression.coeff(symbol, 1), expression.coeff(symbol, 0)
        if expression == factor * symbol + rest and (wanted - rest) % factor == 0:
            yield str(symbol), int((wanted - rest) // factor)


def _given(examples: Iterable[torch.Tensor]) -> Iterator[tuple[str, Dim]]:
    """Symbols that the user named by torch.export.Dim. A file does not keep these names."""
    sizes: Iterable[Any] = (size for example in examples for size in example.shape)
    for size in (size for size in sizes if isinstance(size, torch.SymInt)):
        environment, symbol = size.node.shape_env, size.node.expr
        for source in environment.var_to_sources.get(symbol, ()):
            name = environment.source_name_to_debug_name.get(source.name, "")
            if name.isidentifier() and not name.startswith("_"):
                yield str(symbol), as_dim(name)


def _check_limits(program: torch.export.ExportedProgram, names: Mapping[str, Dim]) -> None:
    for symbol, (least, most) in _limits(program):
        value = names.get(symbol)
        if isinstance(value, int) and not least <= value <= most:
            raise ParseError(
                f"input_shapes sets {symbol} to {value}, the program was exported for {least} to {most}",
                remedy="export it with other limits",
            )


def _limits(program: torch.export.ExportedProgram) -> Iterator[tuple[str, tuple[int, int]]]:
    """Limits of the symbols that have any. PyTorch's own least size of 2 is none: nothing here rests on it."""
    for symbol, limits in program.range_constraints.items():
        least, most = range_of(limits)
        if least > _FIRST or most < UNBOUNDED:
            yield str(symbol), (least if least > _FIRST else 0, most)


def ranges_of(
    program: torch.export.ExportedProgram, names: Mapping[str, Dim], network: Network
) -> dict[str, tuple[int, int]]:
    """Limits of the network's symbols, by the names that they have there."""
    known = network.symbols()
    found: dict[str, Any] = {str(names.get(symbol, symbol)): limits for symbol, limits in _limits(program)}
    return {name: limits for name, limits in found.items() if name in known}
