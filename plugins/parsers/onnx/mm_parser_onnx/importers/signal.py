"""Signals: Fourier transforms, filter banks, columns put back into images."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph
from mm_core.types import BY_NAME
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import Family

FAMILY = Family()
op = FAMILY.op


@op("DFT")
def dft_17(g: Graph, node: Node) -> Any:
    return _dft(g, node, node.int("axis", 1))


@op("DFT", since=20)
def dft_20(g: Graph, node: Node) -> Any:
    (axis,) = node.constant_ints(2, "the axis") or (-2,)
    return _dft(g, node, axis)


def _dft(g: Graph, node: Node, axis: int) -> Any:
    inverse, onesided = node.flag("inverse"), node.flag("onesided")
    return g.dft(node.input(0), node.optional(1), axis=axis, inverse=inverse, onesided=onesided)


@op("STFT")
def stft(g: Graph, node: Node) -> Any:
    return g.stft(*(node.optional(index) for index in range(4)), onesided=node.flag("onesided", True))


@op("MelWeightMatrix")
def mel_weight_matrix(g: Graph, node: Node) -> Any:
    return g.mel_weight_matrix(*node.operands(), dtype=node.dtype("output_datatype", BY_NAME["float32"]))


@op("Col2Im")
def col2im(g: Graph, node: Node) -> Any:
    geometry = {name: node.ints(name, ()) for name in ("strides", "pads", "dilations")}
    return g.col2im(*node.operands(), **geometry)
