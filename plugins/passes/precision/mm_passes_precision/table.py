"""What stays in float32 under `force_float16`, and why."""

from __future__ import annotations

_RANGE = "its result leaves the range of float16 for ordinary operands"
_SMALL = "its operand may be too small for float16"
_SUM = "its sum runs over many elements"
_STEPS = "its error grows from step to step"
_PLACES = "it computes places from numbers"
_SCALES = "its scales are float32"
_STREAM = "its random stream is defined in float32"
_EXACT = "its result is an element type's limit or bits"

KEEPS_FLOAT32 = {
    **dict.fromkeys(("mm.exp", "mm.pow", "mm.square", "mm.reciprocal", "mm.sinh", "mm.cosh", "mm.tan"), _RANGE),
    **dict.fromkeys(("mm.sqrt", "mm.rsqrt", "mm.log"), _SMALL),
    **dict.fromkeys(
        (
            "mm.reduce_sum", "mm.reduce_prod", "mm.reduce_l1", "mm.reduce_l2", "mm.reduce_sum_square",
            "mm.reduce_log_sum", "mm.reduce_log_sum_exp", "mm.lp_norm", "mm.lp_pool", "mm.global_lp_pool",
            "mm.local_response_norm", "mm.mean_variance_norm",
        ),
        _SUM,
    ),
    **dict.fromkeys(("mm.cumsum", "mm.cumprod", "mm.det", "mm.inverse", "mm.dft", "mm.stft"), _STEPS),
    **dict.fromkeys(
        (
            "mm.range", "mm.grid_sample", "mm.roi_align", "mm.deform_conv", "mm.max_roi_pool",
            "mm.non_max_suppression", "mm.greedy_nms", "mm.mel_weight_matrix",
        ),
        _PLACES,
    ),
    **dict.fromkeys(("mm.quantize", "mm.dequantize", "mm.qlinear_matmul", "mm.qlinear_conv"), _SCALES),
    **dict.fromkeys(("mm.bernoulli", "mm.multinomial", "mm.dropout"), _STREAM),
    **dict.fromkeys(("mm.cast", "mm.cast_like", "mm.bit_cast"), _EXACT),
}  # fmt: skip
"""Operators by name, each with its reason. Every other one whose definition has float16 is computed in it."""
