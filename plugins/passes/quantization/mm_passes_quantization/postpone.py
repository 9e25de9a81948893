"""What only moves elements, or picks some of them, does so on the integers; dequantizing comes after.

Reshapes go the other way, behind what works element by element, so that they do not keep a product from what follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mm_core.ir import Operation, Value
from mm_core.ops import Trait
from mm_core.passes import Phase, RewritePass
from mm_core.rewrite import Reason, Rewriter, Rule, rule, uniform_number
from mm_passes_quantization.grain import dequantized, grain_of
from mm_passes_quantization.qlinear import qlinear_as_pairs

_SAME_STEP = 2.0**-20
"""How far 1 / scale, rounded, may be from it: a byte's steps from its zero point stay the same whole numbers."""
RESHAPES = ("mm.reshape", "mm.squeeze", "mm.unsqueeze", "mm.flatten")


@rule("mm.transpose", "mm.expand", "mm.slice", "mm.gather", "mm.max_pool", "mm.resize")
def move_then_dequantize(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """A scale is positive, so the largest integer stands for the largest number."""
    maker = dequantized(operation.operands[0])
    if maker is None:
        return None
    if operation.name == "mm.resize":
        how = operation.attributes
        if how["mode"] != "nearest" or how["coordinate_transformation_mode"] == "tf_crop_and_resize":
            return "new numbers are made, not picked"
    moved = rewriter.op(operation.name, maker.operands[0], *operation.operands[1:], **operation.attributes)
    rewriter.absorb(maker)
    rewriter.replace(operation, [rewriter.dequantize(moved, *maker.operands[1:], **maker.attributes)])
    return None


@rule("mm.concat")
def concat_then_dequantize(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """Integers that count alike may lie side by side."""
    found = [dequantized(value) for value in operation.operands]
    makers = [maker for maker in found if maker is not None]
    if not makers:
        return None
    if len(makers) < len(found) or len({grain_of(maker) for maker in makers}) > 1:
        return "the pieces are not all integers with one scale and zero point"
    joined = rewriter.concat(*(maker.operands[0] for maker in makers), **operation.attributes)
    rewriter.absorb(*makers)
    rewriter.replace(operation, [rewriter.dequantize(joined, *makers[0].operands[1:], **makers[0].attributes)])
    return None


@rule("mm.quantize")
def quantize_then_concat(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """Integers that count otherwise than each other are counted anew one by one, and then lie side by side."""
    joined = None if operation.operands[0] is None else operation.operands[0].defining_op
    if joined is None or joined.name != "mm.concat" or grain_of(operation) is None:
        return None
    if not all(dequantized(piece) for piece in joined.operands):
        return None
    if len(joined.result.uses) > 1:
        return "the pieces side by side are used as numbers too"
    pieces = [rewriter.quantize(piece, *operation.operands[1:], **operation.attributes) for piece in joined.operands]
    rewriter.absorb(joined)
    rewriter.replace(operation, [rewriter.concat(*pieces, **joined.attributes)])
    return None


@rule("mm.quantize")
def quantized_again(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """Integers that are dequantized and quantized as they were come out as they were.

    The numbers may be multiplied by 1 / scale and then rounded to whole steps, as PyTorch does it.
    """
    numbers, factor = operation.operands[0], 1.0
    times = None if numbers is None else numbers.defining_op
    if times is not None and times.name == "mm.mul" and (number := uniform_number(times.operands[1])) is not None:
        numbers, factor = times.operands[0], number
    maker, after = dequantized(numbers), grain_of(operation)
    before = grain_of(maker)
    if maker is None or before is None or after is None:
        return None
    same_codes = (before.dtype, before.zero_point) == (after.dtype, after.zero_point)
    if not same_codes or abs(before.scale * factor / after.scale - 1.0) > _SAME_STEP:
        return None
    integers = maker.operands[0]
    assert integers is not None
    rewriter.replace(operation, [integers])
    return None


@rule("mm.select")
def bytes_are_numbers(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """Dequantized bytes are neither NaN nor infinite: a guard against these has nothing to replace."""
    condition, _, kept = operation.operands
    test = None if condition is None else condition.defining_op
    if test is None or test.name not in ("mm.is_nan", "mm.is_inf") or dequantized(test.operands[0]) is None:
        return None
    assert kept is not None
    if kept.type != operation.result.type:
        return "what is kept is not of the result's shape"
    rewriter.replace(operation, [kept])
    return None


@rule()
def reshape_afterwards(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """An operation on each element of a reshaped tensor of integers, or of numbers made from them."""
    reshape = operation.operands[0].defining_op if operation.operands and operation.operands[0] is not None else None
    if reshape is None or reshape.name not in RESHAPES or not _is_unary(operation):
        return None
    numbers = reshape.operands[0]
    assert numbers is not None
    if operation.name == "mm.dequantize":
        # Others read integers that were reshaped.
        if not all(_is_unary(user) for user in operation.result.users):
            return None
    elif not _comes_from_integers(numbers):
        return None
    if len(reshape.result.uses) > 1:
        return "the reshaped tensor is used elsewhere too"
    made = rewriter.op(operation.name, numbers, *operation.operands[1:], **operation.attributes)
    rewriter.absorb(reshape)
    rewriter.replace(operation, [rewriter.op(reshape.name, made, *reshape.operands[1:], **reshape.attributes)])
    return None


def _is_unary(operation: Operation) -> bool:
    """Whether a result's element depends on one element alone."""
    if operation.name in ("mm.quantize", "mm.dequantize"):
        return grain_of(operation) is not None
    operands = [value for value in operation.operands if value is not None]
    return len(operands) == len(operation.results) == 1 and Trait.ELEMENTWISE in operation.definition.traits


def _comes_from_integers(value: Value) -> bool:
    maker = value.defining_op
    while maker is not None and maker.name != "mm.dequantize" and _is_unary(maker):
        value = maker.operands[0]  # type: ignore[assignment]  # it is unary
        maker = value.defining_op
    return dequantized(value) is not None


@dataclass(frozen=True)
class PostponeDequantize(RewritePass):
    """Movement, max pooling and concatenation work on integers; pairs of dequantize and quantize that do nothing go."""

    name: ClassVar[str] = "postpone-dequantize"
    phase: ClassVar[Phase] = Phase.CANONICALIZE
    before: ClassVar[tuple[str, ...]] = ("recognize-quantized",)
    opt_level: ClassVar[int] = 2
    rules: ClassVar[tuple[Rule, ...]] = (
        qlinear_as_pairs,
        move_then_dequantize,
        concat_then_dequantize,
        bytes_are_numbers,
        quantize_then_concat,
        quantized_again,
        reshape_afterwards,
    )
