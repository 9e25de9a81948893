"""`torch.compile(model, backend="mm")`: graphs of TorchDynamo in our engine, and in eager what it cannot run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch._dynamo.backends.common import aot_autograd
from torch._export.utils import _special_op_to_preserve_cia
from torch.export.exported_program import _override_composite_implicit_decomp

from mm_core.build import BuilderConfig
from mm_core.errors import InputError, MMError
from mm_parser_torch.decompositions import decompositions, kept_whole
from mm_parser_torch.part import Part
from mm_parser_torch.partition import split
from mm_parser_torch.report import CompileReport, Left, record, reports

__all__ = ["CompileReport", "Left", "mm", "reports"]

_LOG = logging.getLogger(__name__)
_GRADIENTS = "gradients are wanted: call the model under torch.no_grad() or torch.inference_mode()"


def mm(
    module: torch.fx.GraphModule,
    example_inputs: Sequence[Any],
    *,
    mode: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Callable[..., Any]:
    """The backend. `options`: what BuilderConfig takes, such as {"backends": ["cpu"], "threads": 4}.

    Without `threads` it takes as many as PyTorch does. `mode` is for Inductor and changes nothing here. Nothing that a
    graph holds is an error: what cannot run in our engine stays in PyTorch, and `reports()` says why.
    """
    config = _config(options or {})
    report = CompileReport()
    record(report)
    reason = _refusal(example_inputs)
    if reason:
        _leave(report, reason)
        return module.forward

    def compile_inference(graph: torch.fx.GraphModule, inputs: Sequence[Any]) -> Callable[..., Any]:
        try:
            run = split(graph, _fixed(), report, lambda part, weights: Part(part, weights, config, report))
        except Exception as error:  # Whatever fails in our house, the user's program goes on.
            _LOG.warning("the graph cannot be split", exc_info=True)
            _leave(report, f"it cannot be split: {type(error).__name__}: {error}")
            run = graph.forward
        _LOG.info("%s", report)
        return _boxed(run)

    def compile_training(graph: torch.fx.GraphModule, inputs: Sequence[Any]) -> Callable[..., Any]:
        _leave(report, _GRADIENTS)
        return _boxed(graph.forward)

    with _whole_operators():
        return aot_autograd(
            fw_compiler=compile_training, inference_compiler=compile_inference, decompositions=decompositions()
        )(module, example_inputs)


def _config(options: Mapping[str, Any]) -> BuilderConfig:
    try:
        return BuilderConfig(**{"backends": ["cpu"], "threads": torch.get_num_threads(), **options})
    except (TypeError, MMError) as error:
        raise InputError(f"options of the backend mm: {error}", remedy="give fields of mm.BuilderConfig") from error


def _leave(report: CompileReport, reason: str) -> None:
    report.left.append(Left("the graph", "", reason))
    _LOG.warning("the graph stays in eager: %s", reason)


def _refusal(inputs: Sequence[Any]) -> str:
    """Why a graph as a whole stays in eager; empty if it need not."""
    tensors = [value for value in inputs if isinstance(value, torch.Tensor)]
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return _GRADIENTS
    places = {tensor.device.type for tensor in tensors} - {"cpu"}
    return f"tensors lie on {', '.join(sorted(places))}, not in the host's memory" if places else ""


def _fixed() -> set[int]:
    """The places of parameters and buffers among the graph's inputs, without those that the graph itself changes."""
    metadata = torch._guards.TracingContext.get().fw_metadata
    if metadata is None:
        return set()
    changed = {index for index, info in enumerate(metadata.input_info) if info.mutates_data}
    return set(metadata.static_input_indices) - changed


def _boxed(run: Callable[..., Any]) -> Callable[[list[Any]], Any]:
    """The calling convention of AOTAutograd: one list of arguments, which the callee empties."""

    def call(arguments: list[Any]) -> Any:
        taken = tuple(arguments)
        arguments.clear()
        return run(*taken)

    call._boxed_call = True  # type: ignore[attr-defined]
    return call


@contextmanager
def _whole_operators() -> Any:
    """Composite operators that have an importer stay whole while the graph is traced, as in an exported program."""
    with _override_composite_implicit_decomp(dict.fromkeys(kept_whole(), _special_op_to_preserve_cia)):
        yield
