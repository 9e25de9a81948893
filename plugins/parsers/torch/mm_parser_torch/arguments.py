"""Example inputs: positional and keyword arguments, and the names by which their tensors are known."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.utils._pytree as pytree

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
        signature = inspect.signature(module.forward)
        try:
            bound = signature.bind(*positional, **keywords).arguments
        except TypeError as error:
            raise ParseError(f"the example inputs do not fit forward: {error}", where=type(module).__name__) from error
        for parameter in signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                bound |= bound.pop(parameter.name, {})
        return cls(positional, keywords, bound)

    def dynamic_shapes(self, input_shapes: InputShapes) -> Any:
        """The `dynamic_shapes` of torch.export for the shapes that the caller names; None where all are static."""
        if not input_shapes:
            return None
        tensors = self._tensors()
        if missing := sorted(set(input_shapes) - set(tensors)):
            raise ParseError(f"input_shapes names {', '.join(missing)}", available=", ".join(tensors))
        found = torch.export.ShapesCollection()  # type: ignore[no-untyped-call]
        for name, shape in input_shapes.items():
            found[tensors[name]].update(_dynamic_axes(name, tensors[name], shape))
        return found

    def _tensors(self) -> dict[str, torch.Tensor]:
        """The tensors among the arguments by the names that torch.export gives them: their paths."""
        leaves, _ = pytree.tree_flatten_with_path(dict(self.parameters))
        return {"_".join(map(_key, path)): leaf for path, leaf in leaves if isinstance(leaf, torch.Tensor)}


def _key(key: Any) -> str:
    """A step of a path as torch.export spells it."""
    if isinstance(key, pytree.MappingKey):
        return re.sub(r"[^a-z0-9]", "_", str(key.key).lower())
    return str(key.name if isinstance(key, pytree.GetAttrKey) else key.idx).lower()


def _dynamic_axes(path: str, tensor: torch.Tensor, given: Sequence[int | str | None]) -> dict[int, Any]:
    """Axes whose size is left open; what they are called is settled when the program is read."""
    if len(given) != tensor.ndim:
        raise ParseError(f"input_shapes gives {len(given)} sizes, the example has {tensor.ndim}", where=path)
    for axis, (wanted, size) in enumerate(zip(given, tensor.shape)):
        if isinstance(wanted, int) and wanted != size:
            raise ParseError(f"input_shapes says {wanted} for axis {axis}, the example has {size}", where=path)
        if not isinstance(wanted, int) and size < 2:
            raise ParseError(
                f"axis {axis} is to stay open and the example has the size {size}, which PyTorch takes for a constant",
                where=path,
                remedy="give an example whose open sizes are 2 or more",
            )
    return {axis: torch.export.Dim.DYNAMIC for axis, wanted in enumerate(given) if not isinstance(wanted, int)}


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
