"""Example inputs: positional and keyword arguments, and the names by which their tensors are known."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mm_core.errors import ParseError
from mm_core.parsing import InputShapes
from mm_parser_torch.tensors import tensor_of


@dataclass(frozen=True)
class Arguments:
    """The arguments of one call of a module; `parameters` are those of its forward with what fills them."""

    positional: tuple[Any, ...]
    keywords: dict[str, Any]
    parameters: Mapping[str, Any]

    @classmethod
    def of(cls, module: Any, example_inputs: Any) -> Arguments:
        """From a tensor, a tuple of positional arguments, a dict of keyword arguments, or a pair of both."""
        if example_inputs is None:
            raise ParseError(
                f"a {type(module).__name__} is traced: it needs example_inputs",
                remedy="pass a tuple of positional arguments, or a dict of keyword arguments",
            )
        positional, keywords = _split(example_inputs)
        positional, keywords = _tensors(positional), _tensors(keywords)
        if isinstance(module, torch.jit.ScriptModule):
            return cls(positional, keywords, dict(zip(scripted_names(module), positional)) | keywords)
        try:
            bound = inspect.signature(module.forward).bind(*positional, **keywords)
        except TypeError as error:
            raise ParseError(f"the example inputs do not fit forward: {error}", where=type(module).__name__) from error
        return cls(positional, keywords, bound.arguments)

    def dynamic_shapes(self, input_shapes: InputShapes) -> Any:
        """The `dynamic_shapes` of torch.export for the shapes that the caller names; None where all are static."""
        if not input_shapes:
            return None
        used: set[str] = set()

        def tree(path: str, value: Any) -> Any:
            if isinstance(value, torch.Tensor):
                if path not in input_shapes:
                    return None
                used.add(path)
                return _dynamic_axes(path, value, input_shapes[path])
            if isinstance(value, Mapping):
                return {key: tree(f"{path}_{key}", item) for key, item in value.items()}
            if isinstance(value, (list, tuple)):
                return type(value)([tree(f"{path}_{index}", item) for index, item in enumerate(value)])
            return None

        found = {name: tree(name, value) for name, value in self.parameters.items()}
        if missing := sorted(set(input_shapes) - used):
            raise ParseError(f"input_shapes names {', '.join(missing)}", available=", ".join(self._leaves()))
        return found

    def _leaves(self) -> Iterator[str]:
        def walk(path: str, value: Any) -> Iterator[str]:
            if isinstance(value, torch.Tensor):
                yield path
            elif isinstance(value, (Mapping, list, tuple)):
                pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
                for key, item in pairs:
                    yield from walk(f"{path}_{key}", item)

        for name, value in self.parameters.items():
            yield from walk(name, value)


def _dynamic_axes(path: str, tensor: torch.Tensor, given: Sequence[int | str | None]) -> Any:
    """Axes whose size is left open; what they are called is settled when the program is read."""
    if len(given) != tensor.ndim:
        raise ParseError(f"input_shapes gives {len(given)} sizes, the example has {tensor.ndim}", where=path)
    for axis, (wanted, size) in enumerate(zip(given, tensor.shape)):
        if isinstance(wanted, int) and wanted != size:
            raise ParseError(f"input_shapes says {wanted} for axis {axis}, the example has {size}", where=path)
    return {axis: torch.export.Dim.DYNAMIC for axis, wanted in enumerate(given) if not isinstance(wanted, int)} or None


def scripted_names(module: torch.jit.ScriptModule) -> list[str]:
    """Parameters of a TorchScript module's forward, which Python's own signatures do not show."""
    return [argument.name for argument in module.forward.schema.arguments[1:]]  # type: ignore[attr-defined]


def _split(example_inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(example_inputs, Mapping):
        return (), dict(example_inputs)
    if isinstance(example_inputs, (list, tuple)):
        items = tuple(example_inputs)
        if len(items) == 2 and isinstance(items[0], (list, tuple)) and isinstance(items[1], Mapping):
            return tuple(items[0]), dict(items[1])
        return items, {}
    return (example_inputs,), {}


def _tensors(value: Any) -> Any:
    """Arrays of numpy inside nested arguments as tensors."""
    if isinstance(value, np.ndarray):
        return tensor_of(np.ascontiguousarray(value))
    if type(value) is dict:
        return {key: _tensors(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_tensors, value))
    return value
