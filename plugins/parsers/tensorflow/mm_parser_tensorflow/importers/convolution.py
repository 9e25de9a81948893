"""Convolutions. Images are seen with channels as axis 1, as ours are; what ends in channels is a view of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import Dim, TensorData
from mm_parser_tensorflow.node import Node, constant_of, weight_of
from mm_parser_tensorflow.table import Family
from mm_parser_tensorflow.views import Tensor, channels_last, rank_of, shape_of, view

FAMILY = Family()
op = FAMILY.op


class Layout:
    """Where a node's image has its channels."""

    def __init__(self, node: Node, index: int = 0, default: str = "NHWC") -> None:
        self.node = node
        self.first = node.text("data_format", default).startswith("NC")
        self.rank = node.rank(index)

    def image(self, index: int = 0) -> Value:
        """An operand with channels as axis 1."""
        return self.node.input(index) if self.first else self.node.image(index)

    def result(self, value: Value) -> Tensor:
        """A result that has channels as axis 1, as the node gives it."""
        return value if self.first else view(value, channels_last(rank_of(value)))

    def spatial(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """The entries of the spatial axes, out of one for each axis; none stays none."""
        if not values:
            return ()
        return tuple(values[2:] if self.first else values[1:-1])

    def refuse_others(self, name: str, values: Sequence[int]) -> None:
        """UnsupportedOpError where an entry of batch or channels is not 1."""
        if values and (values[0] != 1 or values[1 if self.first else -1] != 1):
            raise self.node.unsupported(f"{name} {list(values)} reach over batch or channels")

    def padding(self) -> dict[str, Any]:
        """How the image is padded."""
        kind = self.node.choice("padding", ("SAME", "VALID", "EXPLICIT"), "VALID")
        if kind != "EXPLICIT":
            return {"auto_pad": {"SAME": "same_upper", "VALID": "valid"}[kind]}
        pairs = list(zip(*[iter(self.node.integers("explicit_paddings"))] * 2))
        begins, ends = zip(*self.spatial(pairs))
        return {"pads": (*begins, *ends)}

    def window(self) -> dict[str, Any]:
        """Strides, dilations and padding."""
        strides, dilations = self.node.integers("strides"), self.node.integers("dilations")
        self.refuse_others("strides", strides)
        self.refuse_others("dilations", dilations)
        return {"strides": self.spatial(strides), "dilations": self.spatial(dilations), **self.padding()}


def moved_weight(node: Node, g: Graph, weight: Value, order: Sequence[int], shape: Sequence[int] = ()) -> Value:
    """A weight transposed, and reshaped to `shape`. A constant stays a handle: it is moved when it is read.

    Of a quantized constant the codes are moved, so that it stays one.
    """
    maker = weight.defining_op
    if maker is not None and maker.name == "mm.dequantize":
        codes, scale, *zero = maker.operands
        assert codes is not None
        assert scale is not None
        grain = _moved_grain(maker.attributes, rank_of(scale), order, shape)
        if weight_of(codes) is not None and grain is not None:
            return g.dequantize(moved_weight(node, g, codes, order, shape), scale, *zero, **grain)  # type: ignore[no-any-return]
    data = weight_of(weight)
    if data is None:
        moved = g.transpose(weight, permutation=tuple(order))
        return g.reshape(moved, list(shape)) if shape else moved  # type: ignore[no-any-return]
    final = tuple(shape) or tuple(data.shape[axis] for axis in order)
    key = f"{data.key or node.name}:{'x'.join(map(str, order))}"
    return g.constant(
        TensorData(data.dtype, final, lambda: data.numpy().transpose(tuple(order)).reshape(final).copy(), key=key)
    )


def _moved_grain(
    grain: Mapping[str, Any], scale_rank: int, order: Sequence[int], shape: Sequence[int]
) -> Mapping[str, Any] | None:
    """The attributes of a dequantize behind a transpose; None where a reshape would join the axis that has scales."""
    if not scale_rank:
        return grain
    return None if shape else {**grain, "axis": list(order).index(grain["axis"])}


@op("Conv2D", "Conv3D")
def conv(g: Graph, node: Node) -> Any:
    """Weights [spatial..., inputs of a group, outputs]."""
    layout = Layout(node)
    image, weight = layout.image(), node.input(1)
    axes = layout.rank - 2
    channels, taken = shape_of(image)[1], shape_of(weight)[-2]
    if not isinstance(channels, int) or not isinstance(taken, int):
        raise node.unsupported("the number of channels is not known")
    weight = moved_weight(node, g, weight, (axes + 1, axes, *range(axes)))
    return layout.result(g.conv(image, weight, group=channels // taken, **layout.window()))


@op("DepthwiseConv2dNative")
def depthwise_conv(g: Graph, node: Node) -> Any:
    """Weights [height, width, channels, outputs of a channel]."""
    layout = Layout(node)
    height, width, channels, outputs = _static(node, shape_of(node.input(1)))
    weight = moved_weight(node, g, node.input(1), (2, 3, 0, 1), (channels * outputs, 1, height, width))
    return layout.result(g.conv(layout.image(), weight, group=channels, **layout.window()))


def _static(node: Node, shape: Sequence[Dim]) -> tuple[int, ...]:
    if not all(isinstance(size, int) for size in shape):
        raise node.unsupported("the weights' shape is not known")
    return tuple(shape)  # type: ignore[arg-type]


@op("Conv2DBackpropInput", "Conv3DBackpropInputV2")
def conv_transpose(g: Graph, node: Node) -> Any:
    """The transposed convolution: the image that a convolution would turn into the operand, of the size stated."""
    layout = Layout(node, 2)
    image, axes = layout.image(2), layout.rank - 2
    weight = moved_weight(node, g, node.input(1), (axes + 1, axes, *range(axes)))
    window = layout.window()
    if "pads" in window:
        raise node.unsupported("explicit padding")
    strides, dilations = (window[name] or (1,) * axes for name in ("strides", "dilations"))
    channels, taken = shape_of(image)[1], shape_of(weight)[0]
    if channels != taken:
        raise node.unsupported("groups")
    extents = [(size - 1) * by + 1 for size, by in zip(_static(node, shape_of(weight))[2:], dilations)]
    sizes = layout.spatial(_sizes(node))
    begins, ends, further = [], [], []
    for size, target, stride, extent in zip(shape_of(image)[2:], sizes, strides, extents):
        # What the result has more than the windows reach, which does not depend on symbols where both grow alike.
        more = None if target is None else target - ((size - 1) * stride + extent)
        if more is None and window["auto_pad"] == "same_upper":
            more = stride - extent
        elif more is None:
            more = max(stride - extent, 0)
        if not isinstance(more, int):
            raise node.unsupported(f"the result's size {target} does not follow from the operand's {size}")
        begins.append(max(-more, 0) // 2)
        ends.append(max(-more, 0) - max(-more, 0) // 2)
        further.append(max(more, 0))
    return layout.result(
        g.conv_transpose(
            image, weight, strides=strides, dilations=dilations, pads=(*begins, *ends), output_padding=further
        )
    )


def _sizes(node: Node) -> list[Any]:
    """The sizes asked for, as far as they are known: ints, symbols and None."""
    from mm_core.ir import known_value

    value = node.input(0)
    known = known_value(value)
    if known is not None:
        return list(known.reshape(-1).tolist())
    found = constant_of(value)
    return [None] * node.rank(2) if found is None else [int(size) for size in found]
