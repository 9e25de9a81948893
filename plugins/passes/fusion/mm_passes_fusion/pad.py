"""Zeros padded before a convolution are the convolution's own padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mm_core.ir import Operation
from mm_core.passes import Phase, RewritePass
from mm_core.rewrite import Reason, Rewriter, Rule, constant_of, rule, shape_of, uniform_number


@rule("mm.conv")
def pad_before(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """Only zeros, only spatial axes, and never cropping."""
    x = operation.operands[0]
    producer = None if x is None else x.defining_op
    if x is None or producer is None or producer.name != "mm.pad":
        return None
    if operation.attributes["auto_pad"] not in ("notset", "valid"):
        return f"the convolution pads by '{operation.attributes['auto_pad']}'"
    amounts, value = constant_of(producer.operand("pads")), producer.operand("value")
    if producer.attributes["mode"] != "constant" or (value is not None and uniform_number(value) != 0):
        return "what is padded are not zeros"
    if amounts is None:
        return "the pads are not constant"
    rank = len(shape_of(x) or ())
    axes = producer.attributes["axes"]
    axes = range(rank) if axes is None else [axis % rank for axis in axes]
    begins, ends = [0] * rank, [0] * rank
    given = [int(amount) for amount in amounts.numpy()]
    for axis, begin, end in zip(axes, given, given[len(given) // 2 :]):
        begins[axis], ends[axis] = begin, end
    if any(begins[:2] + ends[:2]):
        return "the batch or the channels are padded"
    if min(begins + ends) < 0:
        return "negative pads crop"
    own = operation.attributes["pads"] or (0,) * 2 * (rank - 2)
    pads = tuple(mine + extra for mine, extra in zip(own, begins[2:] + ends[2:]))
    rewriter.absorb(producer)
    attributes = {**operation.attributes, "pads": pads, "auto_pad": "notset"}
    rewriter.replace(operation, [rewriter.conv(producer.operands[0], *operation.operands[1:], **attributes)])
    return None


@dataclass(frozen=True)
class FoldPad(RewritePass):
    """`mm.pad` with zeros becomes the padding of the convolutions after it."""

    name: ClassVar[str] = "fold-pad"
    phase: ClassVar[Phase] = Phase.FOLD
    after: ClassVar[tuple[str, ...]] = ("fold-affine",)
    opt_level: ClassVar[int] = 2
    rules: ClassVar[tuple[Rule, ...]] = (pad_before,)
