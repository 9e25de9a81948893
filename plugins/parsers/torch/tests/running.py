"""A module through the parser and the CPU backend, against eager."""

from __future__ import annotations

from typing import Any

import mm_parser_torch.tensors as tensors
import torch
import torch.utils._pytree as pytree

import mm_core as mm


class Function(torch.nn.Module):
    """A function as a module; `parts` are its submodules."""

    def __init__(self, function: Any, **parts: torch.nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Any, *others: Any) -> Any:
        return self.function(self, x, *others)


def build(network: mm.Network) -> mm.Model:
    return mm.Builder(mm.BuilderConfig(backends=["cpu"], opt_level=1)).build(network)


def run(network: mm.Network, *arguments: Any) -> list[Any]:
    """Results of a network for the tensors in nested arguments, in order."""
    leaves = [leaf for leaf in pytree.tree_leaves(arguments) if isinstance(leaf, torch.Tensor)]
    feed = {spec.name: tensors.array_of(leaf) for spec, leaf in zip(network.inputs, leaves, strict=True)}
    return list(build(network).create_engine(threads=1).create_context().run(feed).values())


def check(
    module: torch.nn.Module, arguments: tuple[Any, ...], shapes: Any = None, request: Any = None, **tolerance: float
) -> mm.Network:
    """Parse, run and compare with eager; `request` are arguments of other sizes than those exported with."""
    network = mm.parse(module, example_inputs=arguments, input_shapes=shapes)
    request = request or arguments
    results = run(network, *request)
    with torch.no_grad():
        expected = [leaf for leaf in pytree.tree_leaves(module(*request)) if isinstance(leaf, torch.Tensor)]
    assert len(results) == len(expected)
    limits = {"rtol": 1e-5, "atol": 1e-5, "equal_nan": True, **tolerance}
    for mine, theirs in zip(results, expected):
        torch.testing.assert_close(tensors.tensor_of(mine), theirs, **limits)
    return network
