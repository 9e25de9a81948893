"""Resizing of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mm_core.ir import Graph, Value
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import Family

FAMILY = Family()
op = FAMILY.op
_MODES = ("nearest", "linear", "cubic")
_COORDINATES = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize",
)  # fmt: skip
_NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
_GROWING = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
"""How images grew before version 11."""
_POLICIES = ("stretch", "not_larger", "not_smaller")


@op("Upsample")
def upsample_1(g: Graph, node: Node) -> Any:
    scales = [1.0] * (node.rank() - 2) + [node.float("height_scale", 1.0), node.float("width_scale", 1.0)]
    return _upsample(g, node, scales)


@op("Upsample", since=7)
def upsample_7(g: Graph, node: Node) -> Any:
    return _upsample(g, node, node.floats("scales", ()))


@op("Upsample", "Resize", since=9)
def upsample_9(g: Graph, node: Node) -> Any:
    scales = node.constant(1)
    if scales is not None:
        return _upsample(g, node, scales.tolist())
    mode = _old_mode(node)
    if node.op_type == "Resize" and mode == "nearest":
        # Which element is nearest depends on whether the image grows or shrinks.
        raise node.unsupported("the scales depend on data, they must be constant", remedy="make them an initializer")
    return g.resize(node.input(0), None, None, node.input(1), mode=mode, **_GROWING)


def _upsample(g: Graph, node: Node, scales: Sequence[float]) -> Value:
    """Before version 11 element i lay at i / scale; the nearest one is below, or above where the image shrinks."""
    axes = [axis for axis, scale in enumerate(scales) if scale != 1]
    grows = [scales[axis] > 1 for axis in axes]
    if any(grows) and not all(grows):
        raise node.unsupported("some axes grow and others shrink")
    if not axes:
        node.ignore("mode")
        return g.identity(node.input())  # type: ignore[no-any-return]
    return g.resize(  # type: ignore[no-any-return]
        node.input(),
        scales=[scales[axis] for axis in axes],
        axes=axes,
        mode=_old_mode(node),
        **(_GROWING if all(grows) else {**_GROWING, "nearest_mode": "ceil"}),
    )


def _old_mode(node: Node) -> str:
    return node.choice("mode", ("nearest", "linear", "bilinear"), "nearest").removeprefix("bi")


@op("Resize", since=11)
def resize_11(g: Graph, node: Node) -> Any:
    listed = node.ints("axes")
    axes = list(range(node.rank())) if listed is None else [axis % node.rank() for axis in listed]
    how = {
        "mode": node.choice("mode", _MODES, "nearest"),
        "coordinate_transformation_mode": node.choice("coordinate_transformation_mode", _COORDINATES, "half_pixel"),
        "nearest_mode": node.choice("nearest_mode", _NEAREST, "round_prefer_floor"),
        "cubic_coeff_a": node.float("cubic_coeff_a", -0.75),
        "exclude_outside": node.flag("exclude_outside"),
        "extrapolation_value": node.float("extrapolation_value", 0.0),
        "antialias": node.flag("antialias"),
        "keep_aspect_ratio_policy": node.choice("keep_aspect_ratio_policy", _POLICIES, "stretch"),
    }
    crops = how["coordinate_transformation_mode"] == "tf_crop_and_resize"
    roi = node.input(1) if crops else None
    if _is_present(node, 3):
        sizes = node.constant(3)
        if sizes is None or crops or how["keep_aspect_ratio_policy"] != "stretch":
            return g.resize(node.input(), node.input(3), roi, axes=axes, **how)
        pairs = [(axis, int(size)) for axis, size in zip(axes, sizes) if node.shape()[axis] != size]
        if not pairs:
            return g.identity(node.input())
        return g.resize(node.input(), [size for _, size in pairs], axes=[axis for axis, _ in pairs], **how)
    if not _is_present(node, 2):
        raise node.unsupported("it needs scales or sizes")
    scales = node.constant(2)
    if scales is None:
        return g.resize(node.input(), None, roi, node.input(2), axes=axes, **how)
    kept = [(axis, scale) for axis, scale in zip(axes, scales.tolist()) if scale != 1 or crops]
    if not kept:
        return g.identity(node.input())
    return g.resize(
        node.input(), None, roi, scales=[scale for _, scale in kept], axes=[axis for axis, _ in kept], **how
    )


def _is_present(node: Node, index: int) -> bool:
    """Whether an input is there; exporters also write an empty tensor for an absent one."""
    value = node.optional(index)
    return value is not None and value.type.shape != (0,)  # type: ignore[union-attr]
