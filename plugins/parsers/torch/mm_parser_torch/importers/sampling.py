"""Images resized, sampled at computed places, and put together from blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME
from mm_parser_torch.call import Call, cast, dtype, rank
from mm_parser_torch.sizes import Size, size_of, vector
from mm_parser_torch.table import Family

FAMILY = Family()
op = FAMILY.op
_NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
_NEAREST_EXACT = {
    "mode": "nearest",
    "coordinate_transformation_mode": "half_pixel",
    "nearest_mode": "round_prefer_ceil",
}
_MODES = {"linear1d": "linear", "bilinear2d": "linear", "trilinear3d": "linear", "bicubic2d": "cubic"}


def _resize(g: Graph, x: Value, sizes: Sequence[Size] | None, scales: Sequence[float | None] | None, how: Any) -> Any:
    """Where a scale is given, places are computed from it; else from the sizes, as PyTorch does."""
    count = rank(x) - 2
    axes = tuple(range(2, 2 + count))
    if scales is not None and all(isinstance(scale, float) for scale in scales) and sizes is None:
        return g.resize(x, scales=[float(scale) for scale in scales if scale is not None], axes=axes, **how)
    assert sizes is not None
    return g.resize(x, vector(g, sizes), axes=axes, **how)


def _smooth(name: str, align_corners: bool, antialias: bool) -> dict[str, Any]:
    coordinates = "align_corners" if align_corners else "half_pixel"
    how = {"mode": _MODES[name], "coordinate_transformation_mode": coordinates}
    # With antialiasing PyTorch weighs what lies inside the image alone, and its cubic is Keys' own.
    return how | {"antialias": True, "exclude_outside": True, "cubic_coeff_a": -0.5} if antialias else how


def _upsample_nearest(how: dict[str, Any], with_list: bool) -> Callable[..., Any]:
    def build(g: Graph, call: Call, x: Value, sizes: Any, *scales: Any) -> Any:
        given = scales[0] if with_list else _given(call, scales)
        return _resize(g, x, sizes if given is None else None, given, how)

    return build


def _given(call: Call, scales: Sequence[float | None]) -> list[float] | None:
    """Scales that reach the sizes that PyTorch found; None where they must be computed from the sizes."""
    if any(not isinstance(scale, float) for scale in scales):
        return None
    argument: Any = call.node.args[0]
    before, after = argument.meta["val"].shape[2:], call.examples[0].shape[2:]
    reached = [isinstance(own, int) and int(own * scale) == new for own, new, scale in zip(before, after, scales)]  # type: ignore[operator]
    return list(scales) if all(reached) else None  # type: ignore[arg-type]


def _scaled(g: Graph, x: Value, axis: int, scale: float) -> Size:
    """The size of an axis times a scale, rounded down."""
    size = size_of(g, x, axis)
    if isinstance(size, int):
        return int(size * scale)
    return g.cast(g.floor(g.mul(g.cast(size, to="float64"), float(scale))), to="int64")  # type: ignore[no-any-return]


def _upsample_smooth(name: str, with_list: bool, antialias: bool = False) -> Callable[..., Any]:
    def build(g: Graph, call: Call, x: Value, sizes: Any, align_corners: bool, *scales: Any) -> Any:
        given = scales[0] if with_list else _given(call, scales)
        if align_corners and given is not None:
            # Places follow from the sizes alone here.
            sizes, given = [_scaled(g, x, axis, scale) for axis, scale in enumerate(given, 2)], None
        return _resize(g, x, sizes if given is None else None, given, _smooth(name, align_corners, antialias))

    return build


for _axes in (1, 2, 3):
    for _prefix, _how in (("upsample_nearest", _NEAREST), ("_upsample_nearest_exact", _NEAREST_EXACT)):
        op(f"{_prefix}{_axes}d")(_upsample_nearest(_how, with_list=False))
        op(f"{_prefix}{_axes}d.vec")(_upsample_nearest(_how, with_list=True))
for _name in _MODES:
    op(f"upsample_{_name}")(_upsample_smooth(_name, with_list=False))
    op(f"upsample_{_name}.vec")(_upsample_smooth(_name, with_list=True))
for _name in ("bilinear2d", "bicubic2d"):
    op(f"_upsample_{_name}_aa")(_upsample_smooth(_name, with_list=False, antialias=True))
    op(f"_upsample_{_name}_aa.vec")(_upsample_smooth(_name, with_list=True, antialias=True))


@op("grid_sampler_2d", "grid_sampler_3d", "grid_sampler")
def grid_sampler(g: Graph, call: Call, x: Value, grid: Value, mode: int, padding: int, align_corners: bool) -> Any:
    return g.grid_sample(
        x,
        grid,
        mode=("linear", "nearest", "cubic")[mode],
        padding_mode=("zeros", "border", "reflection")[padding],
        align_corners=align_corners,
    )


@op("col2im")
def col2im(
    g: Graph,
    call: Call,
    x: Value,
    size: Sequence[Size],
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Any:
    own = dtype(x)
    columns = x if rank(x) == 3 else g.unsqueeze(x, axes=(0,))
    y = g.col2im(
        # A sum of truths is true where one of them is.
        cast(g, columns, BY_NAME["float32"]) if own.kind == "bool" else columns,
        vector(g, size),
        g.constant(list(kernel), "int64"),
        strides=stride,
        pads=(*padding, *padding),
        dilations=dilation,
    )
    y = cast(g, y, own)
    return y if rank(x) == 3 else g.squeeze(y, axes=(0,))
