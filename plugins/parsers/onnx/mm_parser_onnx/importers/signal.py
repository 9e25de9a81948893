"""Signals: Fourier transforms, filter banks, columns put back into images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME
from mm_parser_onnx.axes import Axes, Build, over_axes
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import Family

FAMILY = Family()
op = FAMILY.op


@op("DFT")
def dft_17(g: Graph, node: Node) -> Any:
    return _dft(node)(g, _present(node), (node.int("axis", 1),))


@op("DFT", since=20)
def dft_20(g: Graph, node: Node) -> Any:
    rank = node.rank()
    return over_axes(g, node, 2, _present(node), range(rank - 1), rank, _dft(node))


def _present(node: Node) -> list[Value]:
    """The signal, and the length of the transform if it is given."""
    return [node.input(0)] if node.optional(1) is None else [node.input(0), node.input(1)]


def _dft(node: Node) -> Build:
    inverse, onesided = node.flag("inverse"), node.flag("onesided")

    def transform(g: Graph, values: Sequence[Value], axes: Axes) -> Value:
        axis = axes[0] if axes else -2
        return g.dft(*values, axis=axis, inverse=inverse, onesided=onesided)  # type: ignore[no-any-return]

    return transform


@op("STFT")
def stft(g: Graph, node: Node) -> Any:
    signal = node.input(0)
    if node.rank(0) == 2:  # PyTorch's older exporter leaves the last axis out, and ONNX Runtime accepts that.
        signal = g.unsqueeze(signal, axes=(2,))
    others = (node.optional(index) for index in range(1, 4))
    return g.stft(signal, *others, onesided=node.flag("onesided", True))


@op("MelWeightMatrix")
def mel_weight_matrix(g: Graph, node: Node) -> Any:
    return g.mel_weight_matrix(*node.operands(), dtype=node.dtype("output_datatype", BY_NAME["float32"]))


@op("Col2Im")
def col2im(g: Graph, node: Node) -> Any:
    geometry = {name: node.ints(name, ()) for name in ("strides", "pads", "dilations")}
    return g.col2im(*node.operands(), **geometry)
