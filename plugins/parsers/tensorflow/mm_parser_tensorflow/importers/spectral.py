"""Fourier transforms. Complex numbers are pairs of real ones along a last axis: they exist between these operators."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_parser_tensorflow.node import Node
from mm_parser_tensorflow.table import Family, Importer
from mm_parser_tensorflow.views import rank_of

FAMILY = Family()
op = FAMILY.op


class Complex:
    """A complex tensor as the real tensor [..., 2] of its parts."""

    def __init__(self, parts: Value) -> None:
        self.parts = parts

    def __str__(self) -> str:
        return "a complex tensor"

    def part(self, g: Graph, index: int) -> Value:
        return g.gather(self.parts, g.constant(index, "int64"), axis=rank_of(self.parts) - 1)  # type: ignore[no-any-return]


def _complex(node: Node) -> Complex:
    found = node.operand()
    if not isinstance(found, Complex):
        raise node.unsupported("complex numbers that no Fourier transform gives")
    return found


@op("RFFT")
def rfft(g: Graph, node: Node) -> Any:
    x = node.input()
    length = g.constant(node.ints(1, "the length")[0], "int64")
    return Complex(g.dft(g.unsqueeze(x, axes=(rank_of(x),)), length, axis=-2, onesided=True))


@op("IRFFT")
def irfft(g: Graph, node: Node) -> Any:
    parts = _complex(node).parts
    length = g.constant(node.ints(1, "the length")[0], "int64")
    y = g.dft(parts, length, axis=-2, onesided=True, inverse=True)
    return g.squeeze(y, axes=(rank_of(y) - 1,))


def _whole(inverse: bool, axes: int) -> Importer:
    """Over the last `axes` axes, one after the other."""

    def build(g: Graph, node: Node) -> Any:
        parts = _complex(node).parts
        for axis in range(axes):
            parts = g.dft(parts, axis=-2 - axis, inverse=inverse)
        return Complex(parts)

    return build


for _axes, _suffix in ((1, ""), (2, "2D"), (3, "3D")):
    op(f"FFT{_suffix}")(_whole(False, _axes))
    op(f"IFFT{_suffix}")(_whole(True, _axes))


@op("Complex")
def complex_(g: Graph, node: Node) -> Any:
    rank = node.rank()
    return Complex(g.concat(*(g.unsqueeze(value, axes=(rank,)) for value in node.inputs()), axis=rank))


@op("Real")
def real(g: Graph, node: Node) -> Any:
    return _complex(node).part(g, 0)


@op("Imag")
def imag(g: Graph, node: Node) -> Any:
    return _complex(node).part(g, 1)


@op("ComplexAbs")
def absolute(g: Graph, node: Node) -> Any:
    return g.sqrt(g.reduce_sum(g.square(_complex(node).parts), axes=(-1,), keepdims=False))
