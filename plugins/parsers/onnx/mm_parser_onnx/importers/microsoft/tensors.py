"""Tensors moved, cut and filled: older and freer forms of standard operators."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ir import Graph
from mm_parser_onnx.importers import indexing
from mm_parser_onnx.importers.normalization import is_inference
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import MICROSOFT, Family

FAMILY = Family(MICROSOFT)
op = FAMILY.op

op("GatherND")(indexing.gather_nd)
op("Trilu")(indexing.trilu)


@op("ExpandDims")
def expand_dims(g: Graph, node: Node) -> Any:
    return g.unsqueeze(node.input(0), axes=node.constant_ints(1, "the axis"))


@op("Pad")
def pad(g: Graph, node: Node) -> Any:
    """Pads may come as [1, 2 * rank], the value as [1]."""
    mode = node.choice("mode", ("constant", "reflect", "edge"), "constant")
    pads = node.input(1) if node.rank(1) == 1 else g.reshape(node.input(1), [-1])
    value = node.scalar(2) if node.optional(2) is not None and mode == "constant" else None
    return g.pad(node.input(0), pads, value, mode=mode)


@op("Range")
def range_(g: Graph, node: Node) -> Any:
    delta = g.constant(1, node.type().dtype) if node.optional(2) is None else node.scalar(2)
    return g.range(node.scalar(0), node.scalar(1), delta)


@op("Unique")
def unique(g: Graph, node: Node) -> Any:
    """In the order of their first occurrence, with the place of each element's value and the counts."""
    values, _, inverse, counts = g.unique(node.input(), sorted=False)
    return values, inverse, counts


@op("TorchEmbedding")
def torch_embedding(g: Graph, node: Node) -> Any:
    """The other inputs concern gradients."""
    return g.gather(node.input(0), node.input(1), axis=0)


@op("UnfoldTensor")
def unfold(g: Graph, node: Node) -> Any:
    """Windows of `size` elements along an axis, every `step` elements; the window is a new last axis."""
    axis, size, step = node.axis("dim", -1), node.int("size"), node.int("step", 1)
    x, length = node.input(), node.shape()[axis]
    if not isinstance(length, int):
        raise node.unsupported("the axis to unfold must have a known size")
    starts = np.arange(0, length - size + 1, step)
    windows = g.gather(x, starts[:, None] + np.arange(size), axis=axis)
    rank = node.rank()
    return g.transpose(windows, permutation=(*range(axis + 1), *range(axis + 2, rank + 1), axis + 1))


@op("BitmaskDropout")
def bitmask_dropout(g: Graph, node: Node) -> Any:
    """At inference nothing is dropped; the bit mask is for training."""
    node.ignore("seed")
    if node.wants(1) or not is_inference(node, 2):
        raise node.unsupported("training is not offered")
    return g.identity(node.input())


@op("IsAllFinite")
def is_all_finite(g: Graph, node: Node) -> Any:
    """Whether no tensor holds a NaN (unless `isinf_only`) or an infinity (unless `isnan_only`)."""
    only_inf, only_nan = node.flag("isinf_only"), node.flag("isnan_only")
    verdicts = []
    for value in node.operands():
        kinds = ([] if only_inf else [g.is_nan(value)]) + ([] if only_nan else [g.is_inf(value)])
        bad = kinds[0] if len(kinds) == 1 else g.logical_or(*kinds)
        verdicts.append(g.reduce_max(g.cast(bad, to="int32"), axes=None, keepdims=False))
    return g.equal(g.max(*verdicts), 0)


@op("ComplexMul")
def complex_mul(g: Graph, node: Node) -> Any:
    return _complex_product(g, node, 1.0)


@op("ComplexMulConj")
def complex_mul_conjugate(g: Graph, node: Node) -> Any:
    return _complex_product(g, node, -1.0)


def _complex_product(g: Graph, node: Node, sign: float) -> Any:
    """Products of numbers whose real and imaginary parts alternate along the last axis of size 2."""
    (a, b), (c, d) = (g.split(value, axis=-1, parts=2) for value in node.operands())
    d = g.mul(d, sign)
    return g.concat(g.sub(g.mul(a, c), g.mul(b, d)), g.add(g.mul(a, d), g.mul(b, c)), axis=-1)


@op("Rfft")
def rfft(g: Graph, node: Node) -> Any:
    """The Fourier transform of the last axis of a real signal: n // 2 + 1 pairs of real and imaginary part."""
    _one_signal_axis(node)
    return g.dft(g.unsqueeze(node.input(), axes=(-1,)), axis=-2, onesided=True)


@op("Irfft")
def irfft(g: Graph, node: Node) -> Any:
    """The real signal of 2 * (m - 1) elements whose transform the m pairs in the last two axes are."""
    _one_signal_axis(node)
    half, dtype = node.shape()[-2], node.type().dtype
    if not isinstance(half, int):
        raise node.unsupported("the number of frequencies must be known")
    real, imaginary = (g.squeeze(part, axes=(-1,)) for part in g.split(node.input(), axis=-1, parts=2))
    size = 2 * (half - 1)
    angle = 2 * np.pi / size * np.outer(np.arange(half), np.arange(size))
    # All frequencies but the first and the last stand for themselves and for their mirror images.
    weight = np.where(np.isin(np.arange(half), (0, half - 1)), 1, 2)[:, None]
    waves = (np.cos(angle) * weight, -np.sin(angle) * weight)
    cosines, sines = (g.constant(wave.astype(dtype.numpy)) for wave in waves)
    return g.add(g.matmul(real, cosines), g.matmul(imaginary, sines))


def _one_signal_axis(node: Node) -> None:
    if node.int("signal_ndim", 1) != 1 or node.int("normalized", 0) or not node.flag("onesided", True):
        raise node.unsupported("only transforms of one axis, one-sided and not normalized, are offered")
