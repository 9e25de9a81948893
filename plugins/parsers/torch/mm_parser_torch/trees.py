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
    if hasattr(context, "_fields"):
        context = context._fields
    # Some classes keep more than the keys: a factory, or the layout of what they hold.
    for keys in (context, *(context if isinstance(context, (list, tuple)) else ())):
        fits = isinstance(keys, (list, tuple)) and len(keys) == spec.num_children
        if fits and all(isinstance(key, (str, int)) for key in keys):
            return [str(key) for key in keys]
    return [str(index) for index in range(spec.num_children)]
