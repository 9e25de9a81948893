"""Nested arguments and results: names for their leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch.utils._pytree as pytree


def paths(spec: pytree.TreeSpec) -> list[str]:
    """A name for each leaf of a result: `output` alone, else keys, field names and positions joined by dots.

    Positions of an outermost list or tuple stand behind `output_`.
    """
    if spec.is_leaf():
        return ["output"]
    found = [".".join(path) for path in _walk(spec, ())]
    return [f"output_{path}" if path[:1].isdigit() else path for path in found]


def _walk(spec: pytree.TreeSpec, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if spec.is_leaf():
        yield path
        return
    for key, child in zip(_keys(spec), spec.children()):
        yield from _walk(child, (*path, key))


def _keys(spec: pytree.TreeSpec) -> Sequence[str]:
    """What the children of a node are called: keys of a dict, fields of a named tuple, else positions."""
    context: Any = spec.context
    if isinstance(context, (list, tuple)) and context and all(isinstance(part, (list, tuple)) for part in context):
        context = context[-1]  # A defaultdict keeps its factory beside the keys.
    if hasattr(context, "_fields"):
        context = context._fields
    if isinstance(context, (list, tuple)) and len(context) == spec.num_children:
        return [str(key) for key in context]
    return [str(index) for index in range(spec.num_children)]
