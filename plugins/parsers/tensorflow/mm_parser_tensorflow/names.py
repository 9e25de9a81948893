"""Names of nodes and tensors, and what they are called in the user's tree of layers."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NUMBERED = re.compile(r"(.+)_\d+")
_CALLS = re.compile(r"(Stateful)?PartitionedCall(_\d+)?")


def tensor_name(text: str) -> tuple[str, int]:
    """`node:1` -> (node, 1); `node` -> (node, 0); `^node`, an order without a value -> (node, -1)."""
    if text.startswith("^"):
        return text[1:], -1
    name, _, index = text.partition(":")
    return name, int(index) if index.isdigit() else 0


class LayerNames:
    """Names of nodes as the user's layers are called.

    Keras numbers the scopes of a traced graph once more, all of them: `net/conv_1` becomes `net_1/conv_1_1`. Where more
    layers are found with a number than without, it goes. `layers` may lack those without variables: a scope around
    known layers, and one directly inside of such a scope, is a layer too.
    """

    def __init__(self, layers: frozenset[str], nodes: Iterable[str]) -> None:
        paths = {tuple(_scopes(name)) for name in nodes}
        found = {part for path in paths for part in path}
        self._layers = layers
        plain, numbered = layers & found, layers & {_without_number(part) for part in found} - {""}
        self._numbered = len(numbered) > len(plain)
        self._around = {
            path[:depth]
            for path in paths
            for place, part in enumerate(path)
            if _without_number(part) in layers
            for depth in range(place + 1)
        }

    def of(self, node: str) -> str:
        """`net_1/conv2d_1_1/convolution` -> `net/conv2d_1/convolution`; names of calls go."""
        parts = [part for part in node.split("/") if not _CALLS.fullmatch(part)]
        if not parts or not self._numbered:
            return "/".join(parts) or node
        path = tuple(parts)
        return "/".join([*(self._layer(path[:place], path[place]) for place in range(len(path) - 1)), path[-1]])

    def _layer(self, above: tuple[str, ...], part: str) -> str:
        name = _without_number(part)
        return name if name in self._layers or (name and above in self._around) else part


def _scopes(node: str) -> list[str]:
    return [part for part in node.split("/")[:-1] if not _CALLS.fullmatch(part)]


def _without_number(part: str) -> str:
    """`conv_1` -> `conv`; empty where there is no number."""
    match = _NUMBERED.fullmatch(part)
    return match.group(1) if match else ""
