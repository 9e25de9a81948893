"""Splitting a graph of aten operators: the largest parts that our importers take, the rest in eager."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Set
from itertools import chain
from typing import Any

import torch
from torch.fx.passes.infra.partitioner import CapabilityBasedPartitioner
from torch.fx.passes.operator_support import OperatorSupportBase

from mm_core.errors import MMError, UnsupportedOpError
from mm_core.ir import Graph
from mm_parser_torch.reader import Reader, draws, module_path
from mm_parser_torch.report import CompileReport, Left

MakePart = Callable[[torch.fx.GraphModule, Set[int]], Any]
_SIZES = (torch.SymInt, torch.SymFloat, torch.SymBool)


def split(graph: torch.fx.GraphModule, fixed: Set[int], report: CompileReport, make: MakePart) -> Callable[..., Any]:
    """The graph with parts made by `make`; `fixed` are the places of inputs that are the same at each call."""
    refused = {}
    views = _views_handed_out(graph)
    for node in graph.graph.nodes:
        reason = views.get(node) or refusal(node)
        if reason:
            refused[node] = reason
        if reason and node.target is not operator.getitem:
            report.left.append(Left(module_path(node) or node.name, str(node.target), reason))
    placeholders = [node for node in graph.graph.nodes if node.op == "placeholder"]
    weights = {node for index, node in enumerate(placeholders) if index in fixed}
    calls = sum(node.op == "call_function" for node in graph.graph.nodes)
    if not refused and calls and _is_plain(graph):
        report.parts, report.engine_nodes = 1, calls
        return make(graph, {index for index, node in enumerate(placeholders) if node in weights})  # type: ignore[no-any-return]
    partitioner = CapabilityBasedPartitioner(graph, _Support(refused), allows_single_node_partition=True)
    fused = partitioner.fuse_partitions(partitioner.propose_partitions(), prefix="mm_")
    for node in fused.graph.nodes:
        if node.op == "call_module" and str(node.target).startswith("mm_"):
            part = fused.get_submodule(node.target)
            assert isinstance(part, torch.fx.GraphModule)
            report.parts += 1
            report.engine_nodes += sum(inner.op == "call_function" for inner in part.graph.nodes)
            own = {index for index, argument in enumerate(node.args) if argument in weights}
            fused.add_submodule(node.target, _Runner(make(part, own), _is_single(part)))
    fused.recompile()
    return fused


def _views_handed_out(graph: torch.fx.GraphModule) -> dict[torch.fx.Node, str]:
    """Views that the caller gets as such, with the reason: of an input, or of memory that he gets in another result."""
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    chains: dict[torch.fx.Node, list[list[torch.fx.Node]]] = {}
    for result in output.all_input_nodes:
        views, node = [], result
        while _is_view(node):
            views.append(node)
            node = node.all_input_nodes[0]
        chains.setdefault(node, []).append(views)
    found: dict[torch.fx.Node, str] = {}
    for root, ways in chains.items():
        if root.op == "placeholder" or len(ways) > 1:
            whose = "an input" if root.op == "placeholder" else "another result"
            found |= dict.fromkeys(chain(*ways), f"a view of {whose}, which the caller gets as such")
    return found


def _is_view(node: torch.fx.Node) -> bool:
    if node.target is operator.getitem:
        return _is_view(node.all_input_nodes[0])
    return isinstance(node.target, torch._ops.OpOverload) and any(
        result.alias_info is not None for result in node.target._schema.returns
    )


def _is_plain(graph: torch.fx.GraphModule) -> bool:
    """Whether all results are different tensors that the graph computes: what a part can give."""
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    results = output.args[0] if isinstance(output.args[0], (tuple, list)) else [output.args[0]]
    return len(set(results)) == len(results) and all(
        isinstance(node, torch.fx.Node)
        and node.op == "call_function"
        and isinstance(node.meta.get("val"), torch.Tensor)
        for node in results
    )


def _is_single(part: torch.fx.GraphModule) -> bool:
    (output,) = (node for node in part.graph.nodes if node.op == "output")
    return not isinstance(output.args[0], (tuple, list))


class _Runner(torch.nn.Module):
    """A part as a module; the splitter lets a part with one result give it bare."""

    def __init__(self, part: Any, single: bool) -> None:
        super().__init__()
        self.part = part
        self.single = single

    def forward(self, *arguments: Any) -> Any:
        results = self.part(*arguments)
        return results[0] if self.single and isinstance(results, tuple) else results


class _Support(OperatorSupportBase):
    """What the splitter asks: whether a node may be in a part."""

    def __init__(self, refused: Mapping[torch.fx.Node, str]) -> None:
        self.refused = refused

    def is_node_supported(self, submodules: Any, node: torch.fx.Node) -> bool:
        if node.op != "call_function" or node in self.refused:
            return False
        # Sizes cross the border of a part through shapes alone, so they are computed outside.
        return not isinstance(node.meta.get("val"), _SIZES)


def refusal(node: torch.fx.Node) -> str:
    """Why a node cannot be imported; empty if it can. Found by importing it alone, between inputs of its types."""
    if any(_is_complex(other) for other in (node, *node.all_input_nodes)):
        return "complex tensors do not cross the border of the engine"
    if node.op != "call_function" or node.target is operator.getitem:
        return ""
    if draws(node):
        return "it draws from PyTorch's random numbers"
    reader, graph = Reader(), Graph()
    environment: dict[torch.fx.Node, Any] = {}
    try:
        for source in node.all_input_nodes:
            environment[source] = _stand_in(reader, graph, source)
        reader.call(graph, node, environment)
    except MMError as error:
        return error.what
    except Exception as error:  # An importer's mistake leaves one node to PyTorch, not the user without a program.
        return f"its importer failed: {type(error).__name__}: {error}"
    return reader.unsupported.first()


def _is_complex(node: torch.fx.Node) -> bool:
    example = node.meta.get("val")
    return isinstance(example, torch.Tensor) and example.is_complex()


def _stand_in(reader: Reader, graph: Graph, source: torch.fx.Node) -> Any:
    example = source.meta.get("val")
    if isinstance(example, (tuple, list)):
        raise UnsupportedOpError(f"it reads the list {source.name}")
    if source.op == "get_attr" and not isinstance(example, torch.Tensor):
        module = source.graph.owning_module
        return operator.attrgetter(str(source.target))(module)
    value = reader.argument(graph, example)
    if isinstance(example, _SIZES):
        reader.numbers.add(value)
    return value
