"""Pooling over windows and over whole images."""

from __future__ import annotations

from mm_backend_mlu.codegen.kernel import Kernel
from mm_backend_mlu.lowering.convolution import window_fields
from mm_backend_mlu.lowering.layout import LINE_BYTES
from mm_backend_mlu.lowering.library import (
    ctype_of,
    image_shape,
    is_image,
    not_float,
    pitch_of,
    read_image,
    shape_text,
    written_image,
)
from mm_backend_mlu.lowering.lowering import Lowering
from mm_backend_mlu.lowering.rule import Preference, Rule
from mm_backend_mlu.lowering.tiling import NO_EPILOGUE, sizes_up_to
from mm_backend_mlu.lowering.values import dtype_of, shape_of, source
from mm_backend_mlu.lowering.window_tiling import WindowProblem, WindowTiles, window_tiles
from mm_backend_mlu.lowering.windows import Window, window_of
from mm_backend_mlu.target import Target
from mm_core.ir import Operation

_MOST_LINES = 64
"""Channels of a chunk of a whole image, in lines of the vector unit."""


def _is_average(operation: Operation) -> bool:
    return "average" in operation.name


def _pooling(operation: Operation) -> str:
    """The functor that joins elements, made."""
    ctype = ctype_of(source(operation))
    if not _is_average(operation):
        return f"mm::MaxPooling<{ctype}> pooling;"
    with_padding = str(operation.attributes.get("count_include_pad", False)).lower()
    return f"mm::AveragePooling<{ctype}> pooling;\npooling.include_pad = {with_padding};"


def _check(operation: Operation) -> str:
    x = source(operation)
    reason = not_float(x)
    if reason:
        return reason
    if not is_image(x):
        return f"pooling in {len(shape_of(x)) - 2} dimensions"
    return "an empty operand" if 0 in shape_of(x) else ""


# --- windows ----------------------------------------------------------------------------------------------------------


def _window(operation: Operation) -> Window:
    return window_of(operation, shape_of(source(operation))[2:], operation.attributes["kernel_shape"])


def _window_tiles(operation: Operation, target: Target) -> WindowTiles | None:
    x, window = source(operation), _window(operation)
    batch, _, height, width = image_shape(operation.result)
    problem = WindowProblem(
        batch, height, width, pitch_of(x), window.kernel, window.strides, window.dilations, dtype_of(x).itemsize
    )
    return window_tiles(problem, _is_average(operation), 1, False, NO_EPILOGUE, target)


def check_pool(operation: Operation, target: Target) -> str:
    """Why a pool over windows has no kernel."""
    reason = _check(operation)
    if not reason and _window_tiles(operation, target) is None:
        kernel = list(operation.attributes["kernel_shape"])
        reason = f"windows of {kernel} over {list(shape_of(source(operation)))} fit no tiling of {target.arch}"
    return reason


def lower_pool(low: Lowering, operation: Operation) -> None:
    """A pool over windows as one launch."""
    x, window = source(operation), _window(operation)
    tiles = _window_tiles(operation, low.target)
    assert tiles is not None
    ctype = ctype_of(x)
    text = shape_text("WindowShape", window_fields(x, operation.result, window, tiles))
    kernel = Kernel(
        operation.name.removeprefix("mm."),
        (f"const {ctype} *x", f"{ctype} *y"),
        f"{text}\n{_pooling(operation)}\nmm::window_pool<{ctype}>(shape, pooling, x, y, mm_nram);",
        ("kernels/pooling.h",),
        nram=tiles.nram,
        note=f"{list(shape_of(x))} by {list(window.kernel)}, tiles of {tiles.h} x {tiles.w} x {tiles.c}",
    )
    image = read_image(low, x)
    with written_image(low, operation.result) as y:
        low.launch(kernel, [image], [y], tiles.tasks)


# --- whole images -----------------------------------------------------------------------------------------------------


def check_global_pool(operation: Operation, target: Target) -> str:
    """Why a pool over whole images has no kernel. A chunk of one pixel of one line always fits."""
    return _check(operation)


def lower_global_pool(low: Lowering, operation: Operation) -> None:
    """A pool over whole images as one launch."""
    x = source(operation)
    batch, _, height, width = image_shape(x)
    pixels, pitch, itemsize = height * width, pitch_of(x), dtype_of(x).itemsize
    sum_size = 4 if _is_average(operation) else itemsize
    line = LINE_BYTES // itemsize
    blocks = [count for count in sizes_up_to(pitch // line) if count <= _MOST_LINES]
    lines = next((count for count in blocks if batch * -(-pitch // line // count) >= low.target.cores), blocks[-1])
    tile_c = lines * line
    held = 2 * itemsize + (sum_size if itemsize < sum_size else 0)
    fixed = tile_c * (2 * itemsize + 2 * sum_size) + 8 * LINE_BYTES
    tile_p = min(pixels, (low.target.nram_bytes - fixed) // (held * tile_c))
    ctype = ctype_of(x)
    text = shape_text(
        "GlobalPoolShape", {"n": batch, "pixels": pixels, "pitch": pitch, "tile_p": tile_p, "tile_c": tile_c}
    )
    kernel = Kernel(
        operation.name.removeprefix("mm."),
        (f"const {ctype} *x", f"{ctype} *y"),
        f"{text}\n{_pooling(operation)}\nmm::global_pool<{ctype}>(shape, pooling, x, y, mm_nram);",
        ("kernels/pooling.h",),
        nram=fixed + held * tile_c * tile_p,
        note=f"{list(shape_of(x))}, {tile_p} pixels of {tile_c} channels at once",
    )
    image = read_image(low, x)
    with written_image(low, operation.result) as y:
        low.launch(kernel, [image], [y], batch * -(-pitch // tile_c))


_POOL = Rule(check_pool, lower_pool, Preference.CHANNELS_LAST)
_GLOBAL_POOL = Rule(check_global_pool, lower_global_pool, Preference.CHANNELS_LAST)
RULES = {
    "mm.max_pool": _POOL,
    "mm.average_pool": _POOL,
    "mm.global_max_pool": _GLOBAL_POOL,
    "mm.global_average_pool": _GLOBAL_POOL,
}
