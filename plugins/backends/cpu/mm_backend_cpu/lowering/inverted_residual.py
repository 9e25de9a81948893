"""Depthwise convolutions with the 1x1 convolutions beside them as one step, where that is expected to be faster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mm_backend_cpu.codegen.inverted_residual import InvertedResidualSpec, strips_refusal
from mm_backend_cpu.lowering.contraction import root_and_tail
from mm_backend_cpu.lowering.convolution import (
    SMALL_CHANNELS,
    Convolution,
    convolution_of,
    lower_conv,
    nhwc_buffer,
)
from mm_backend_cpu.lowering.group import Group, GroupRule, only_reader
from mm_backend_cpu.lowering.lowering import Lowering, outside, shape_of
from mm_backend_cpu.lowering.view import channels_last_order
from mm_backend_cpu.lowering.windows import window_of
from mm_backend_cpu.tuning.choice import NOISE, Choice
from mm_backend_cpu.tuning.problems import conv_problem, inverted_residual_problem
from mm_core.ir import Operation, Value
from mm_core.model import Variant

STRIPS_LEVEL = 2
"""The optimisation level from which these convolutions may be one step: results between them cannot be seen then."""
MARGIN = 1.15
"""By how much one kernel must be expected to be ahead of several: the model sees caches coarsely."""
MEASURED_MARGIN = NOISE
"""By how much it must be ahead where both were measured."""


def match_inverted_residual(operation: Operation) -> Group:
    """The longest group of [1x1,] depthwise [, 1x1] convolutions that begins here."""
    group: list[Operation] = []
    following: Operation | None = operation
    for kind in ("1x1", "depthwise", "1x1") if _kind(operation) == "1x1" else ("depthwise", "1x1"):
        if following is None or _kind(following) != kind:
            break
        if group and _image(following) is not group[-1].results[0]:
            break
        group.append(following)
        following = only_reader(following.results[0])
    return tuple(group) if len(group) > 1 else ()


def _image(operation: Operation) -> Value | None:
    """The image that a convolution, plain or fused, reads; None for other operations."""
    if operation.name != "mm.conv" and operation.attributes.get("kind") != "conv":
        return None
    root, alias, _ = root_and_tail(operation)
    image = root.operands[0]
    return None if root.name != "mm.conv" or image is None else outside(image, alias)


def _kind(operation: Operation) -> str:
    """Whether it is a convolution of a kind that strips are made of: "1x1" or "depthwise"; else empty."""
    image = _image(operation)
    if image is None:
        return ""
    root, alias, _ = root_and_tail(operation)
    weights, window = root.operands[1], window_of(root, alias)
    assert weights is not None
    shape, outputs = shape_of(image), shape_of(weights)[0]
    if isinstance(window, str) or len(shape) not in (3, 4) or not all(isinstance(dim, int) for dim in shape[1:]):
        return ""
    group = root.attributes["group"]
    if group == shape[1] == outputs and group >= SMALL_CHANNELS:
        return "depthwise"
    alone = set(window.kernel) == set(window.strides) == {1} and not any((*window.begins, *window.ends))
    return "1x1" if alone and group == 1 else ""


def lower_inverted_residual(low: Lowering, group: Group) -> bool:
    """One kernel for a group, unless kernels of their own are as fast."""
    if low.isa is None or low.opt_level < STRIPS_LEVEL or not low.strips:
        return False
    convolutions = [convolution_of(low, operation) for operation in group]
    stages = tuple(conv.spec for conv in convolutions)
    if strips_refusal(stages):
        return False
    threads = low.chooser.threads
    apart = [low.chooser.choose(conv_problem(stage, low.isa, threads)) for stage in stages]
    choice = low.chooser.choose(inverted_residual_problem(InvertedResidualSpec(stages), low.isa, threads))
    several, best = _together(apart), choice.variants[0]
    if several.seconds < best.seconds * (MEASURED_MARGIN if several.measured and best.measured else MARGIN):
        return False
    kernel = choice.kernel

    def pack(*arrays: Any) -> Any:
        return kernel.pack(*(conv.unpacked(array) for conv, array in zip(convolutions, arrays, strict=True)))

    packed = low.packed_together([conv.weights for conv in convolutions], kernel.source.symbol, pack)
    source = nhwc_buffer(low, convolutions[0].x)
    result = group[-1].results[0]
    output = low.result(result, channels_last_order(len(shape_of(result))))
    extras = [buffer for conv in convolutions for buffer in conv.extras]
    low.generated(kernel.source, [source, packed, *extras], [output], _name(convolutions), _beating(choice, several))
    return True


def _together(choices: Sequence[Choice[Any]]) -> Variant:
    """Kernels of their own as one variant."""
    chosen = [choice.variants[0] for choice in choices]
    name = ", then ".join(variant.name for variant in chosen)
    seconds = sum(variant.seconds for variant in chosen)
    measured = all(variant.measured for variant in chosen)
    return Variant(name, f"{len(chosen)} kernels; what is between them crosses memory", seconds, measured)


def _beating(choice: Choice[Any], other: Variant) -> Choice[Any]:
    """The choice with one variant more that was beaten."""
    beaten = sorted((*choice.variants[1:], other), key=lambda variant: variant.seconds)
    return replace(choice, variants=(choice.variants[0], *beaten))


def _name(convolutions: Sequence[Convolution]) -> str:
    return " > ".join(conv.name for conv in convolutions)


INVERTED_RESIDUAL = GroupRule(match_inverted_residual, lower_conv, lower_inverted_residual)
