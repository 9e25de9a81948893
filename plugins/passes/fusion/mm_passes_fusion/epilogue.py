"""What follows a convolution or product element by element runs with it, on results that are still in registers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mm_core.ir import Network, Operation, Value
from mm_core.ops import Trait
from mm_core.passes import Pass, PassContext, PassResult, Phase
from mm_core.rewrite import operations_to_rewrite, shape_of
from mm_core.types import Shape, TensorType
from mm_passes_fusion.regions import fuse

KINDS = {"mm.conv": "conv", "mm.conv_transpose": "conv_transpose", "mm.matmul": "matmul"}


@dataclass(frozen=True)
class FuseEpilogue(Pass):
    """A convolution or product and the element-wise operations after it, each the only user of the one before.

    Their other operands are single numbers, one number for each output channel, or of the result's shape. Element
    type and shape stay the same throughout, and at most `max_operations` follow.
    """

    name: ClassVar[str] = "fuse-epilogue"
    phase: ClassVar[Phase] = Phase.FUSE
    before: ClassVar[tuple[str, ...]] = ("fuse-elementwise",)
    opt_level: ClassVar[int] = 2
    max_operations: int = 8

    def run(self, network: Network, context: PassContext) -> PassResult:
        counts: dict[str, int] = {}
        for operation in operations_to_rewrite(network):
            kind = KINDS.get(operation.name)
            if kind is None:
                continue
            chain = epilogue_of(operation, self.max_operations)
            if len(chain) > 1:
                fuse(chain, kind)
                counts[kind] = counts.get(kind, 0) + 1
        return PassResult(bool(counts), counts)


def epilogue_of(root: Operation, max_operations: int) -> list[Operation]:
    """A convolution or product and what can be computed with it, in order."""
    chain = [root]
    type_ = root.result.type
    if not isinstance(type_, TensorType) or not type_.shape:
        return chain
    channel = channel_axis(root.name, type_.shape)
    while len(chain) <= max_operations:
        value = chain[-1].result
        users = value.users
        if len(users) != 1 or users[0].parent is not root.parent:
            break
        following = users[0]
        if Trait.ELEMENTWISE not in following.definition.traits or len(following.results) != 1:
            break
        if following.result.type != type_ or not all(
            other is None or other is value or fits_beside(other, type_, channel) for other in following.operands
        ):
            break
        chain.append(following)
    return chain


def channel_axis(name: str, shape: Shape) -> int:
    """The axis of a convolution's or product's result that counts channels, from the end."""
    return 1 - len(shape) if name in ("mm.conv", "mm.conv_transpose") else -1


def fits_beside(value: Value, type_: TensorType, channel: int) -> bool:
    """Whether an operand is a number, a vector over the channels, or a whole tensor."""
    shape = shape_of(value)
    if shape is None or type_.shape is None or value.type.dtype is not type_.dtype:  # type: ignore[union-attr]
        return False
    if shape == type_.shape:
        return True
    places = range(-len(shape), 0)
    return all(size == 1 or (place == channel and size == type_.shape[channel]) for place, size in zip(places, shape))
