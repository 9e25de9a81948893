"""Convolutions and pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ir import Graph
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import Family, Importer

FAMILY = Family()
op = FAMILY.op
_AUTO_PADS = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


def window(node: Node, *, dilated: bool = True) -> dict[str, Any]:
    """The attributes that say how a kernel slides over an image."""
    auto_pad = node.choice("auto_pad", _AUTO_PADS, "NOTSET").lower()
    found = {"auto_pad": auto_pad, "strides": node.ints("strides", ())}
    if auto_pad == "notset":
        found["pads"] = node.ints("pads", ())
    else:
        node.ignore("pads")
    if dilated:
        found["dilations"] = node.ints("dilations", ())
    return found


def check_kernel(node: Node, weight: int = 1) -> None:
    """`kernel_shape` repeats what the weights' shape says."""
    stated, actual = node.ints("kernel_shape"), node.shape(weight)[2:]
    if stated is not None and any(isinstance(b, int) and a != b for a, b in zip(stated, actual)):
        raise node.unsupported(f"kernel_shape is {list(stated)}, the weights are {list(map(str, actual))}")


@op("Conv")
def conv(g: Graph, node: Node) -> Any:
    check_kernel(node)
    return g.conv(node.input(0), node.input(1), node.optional(2), group=node.int("group", 1), **window(node))


@op("ConvTranspose")
def conv_transpose(g: Graph, node: Node) -> Any:
    check_kernel(node)
    return g.conv_transpose(
        node.input(0),
        node.input(1),
        node.optional(2),
        group=node.int("group", 1),
        output_padding=node.ints("output_padding", ()),
        output_shape=node.ints("output_shape", ())[-(node.rank() - 2) :],
        **window(node),
    )


@op("CausalConvWithState")
def causal_conv_with_state(g: Graph, node: Node) -> Any:
    """A convolution of each channel by itself over the state, or zeros, and the input; its end is the next state."""
    x, w, bias, state = node.input(0), node.input(1), node.optional(2), node.optional(3)
    kept = g.sub(g.shape(w, start=2), 1)
    whole = g.pad(x, g.concat(kept, np.array([0]), axis=0), axes=(2,)) if state is None else g.concat(state, x, axis=2)
    channels = node.shape()[1]
    if isinstance(channels, int):
        y = g.conv(whole, w, bias, group=channels)
    else:  # Groups are an attribute: the windows are taken out one by one and multiplied.
        first, inner = (g.iota(g.shape(value, start=2)) for value in (x, w))
        windows = g.gather(whole, g.add(g.unsqueeze(first, axes=(1,)), inner), axis=2)
        y = g.squeeze(g.matmul(windows, g.transpose(w, permutation=(0, 2, 1))), axes=(3,))
        y = y if bias is None else g.add(y, g.unsqueeze(bias, axes=(1,)))
    if node.choice("activation", ("none", "silu", "swish"), "none") != "none":
        y = g.silu(y)
    length = g.shape(whole, start=2)
    return y, g.slice(whole, g.sub(length, kept), length, [2])


@op("ConvInteger")
def conv_integer(g: Graph, node: Node) -> Any:
    check_kernel(node)
    return g.conv_integer(
        node.input(0), node.input(1), node.optional(2), node.optional(3), group=node.int("group", 1), **window(node)
    )


def _kernel(node: Node) -> dict[str, Any]:
    kernel = node.ints("kernel_shape")
    if kernel is None:
        raise node.unsupported("it needs the attribute 'kernel_shape'")
    return {"kernel_shape": kernel, "ceil_mode": node.flag("ceil_mode")}


@op("MaxPool")
def max_pool(g: Graph, node: Node) -> Any:
    geometry, order = {**_kernel(node), **window(node)}, node.int("storage_order", 0)
    if node.wants(1):
        return g.max_pool_with_indices(node.input(), storage_order=order, **geometry)
    return g.max_pool(node.input(), **geometry)


@op("AveragePool")
def average_pool(g: Graph, node: Node) -> Any:
    include = node.flag("count_include_pad")
    return g.average_pool(node.input(), count_include_pad=include, **_kernel(node), **window(node))


@op("LpPool")
def lp_pool_1(g: Graph, node: Node) -> Any:
    return _lp_pool(g, node, node.float("p", 2.0))


@op("LpPool", since=2)
def lp_pool_2(g: Graph, node: Node) -> Any:
    return _lp_pool(g, node, node.int("p", 2))


def _lp_pool(g: Graph, node: Node, p: float) -> Any:
    if p != int(p):
        raise node.unsupported(f"p is {p}, it must be an integer")
    return g.lp_pool(node.input(), p=int(p), **_kernel(node), **window(node))


@op("MaxUnpool")
def max_unpool(g: Graph, node: Node) -> Any:
    return g.max_unpool(
        node.input(0),
        node.input(1),
        node.optional(2),
        kernel_shape=node.ints("kernel_shape", ()),
        strides=node.ints("strides", ()),
        pads=node.ints("pads", ()),
    )


def _whole(name: str) -> Importer:
    def build(g: Graph, node: Node) -> Any:
        return g.op(f"mm.{name}", node.input())

    return build


FAMILY.rows((("GlobalAveragePool", "global_average_pool"), ("GlobalMaxPool", "global_max_pool")), _whole)


@op("GlobalLpPool")
def global_lp_pool(g: Graph, node: Node) -> Any:
    p = node.float("p", 2.0) if node.version < 2 else node.int("p", 2)
    if p != int(p):
        raise node.unsupported(f"p is {p}, it must be an integer")
    return g.global_lp_pool(node.input(), p=int(p))
