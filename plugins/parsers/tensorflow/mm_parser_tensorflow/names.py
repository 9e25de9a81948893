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
    """Names of nodes as the user's layers are called: Keras numbers the scopes of a traced graph once more."""

    def __init__(self, layers: frozenset[str], nodes: Iterable[str]) -> None:
        found = {part for name in nodes for part in name.split("/")[:-1]}
        self._layers = layers
        self._numbered = not layers <= found

    def of(self, node: str) -> str:
        """`net_1/conv2d_1_1/convolution` -> `net/conv2d_1/convolution`; names of calls go."""
        parts = [part for part in node.split("/") if not _CALLS.fullmatch(part)]
        return "/".join(map(self._part, parts)) or node

    def _part(self, part: str) -> str:
        match = _NUMBERED.fullmatch(part) if self._numbered else None
        return match.group(1) if match and match.group(1) in self._layers else part
