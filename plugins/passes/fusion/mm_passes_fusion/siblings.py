"""Products of one operand with several weights become one: queries, keys and values of attention above all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mm_core.ir import Builder, Network, Operation, Value
from mm_core.passes import Pass, PassContext, PassResult, Phase
from mm_core.rewrite import constant_of, operations_to_rewrite, shape_of
from mm_core.types import TensorData

_VIEWS = frozenset({"mm.reshape", "mm.transpose", "mm.squeeze", "mm.unsqueeze", "mm.identity"})


@dataclass(frozen=True)
class _Branch:
    """A product by constant weights [K, N], and the bias of N numbers that is added to it, if any."""

    product: Operation
    weight: TensorData
    addition: Operation | None
    bias: TensorData | None

    @property
    def result(self) -> Value:
        return (self.addition or self.product).result

    @property
    def operations(self) -> list[Operation]:
        return [self.product] if self.addition is None else [self.addition, self.product]


@dataclass(frozen=True)
class MergeSiblingProducts(Pass):
    """Products of one operand whose results only attention reads, through views, are computed together and split.

    One wide product reads its left operand once and leaves no thread idle in between. Attention reads each part where
    it lies; other operations would need a copy first, so products for those are left alone.
    """

    name: ClassVar[str] = "merge-sibling-products"
    phase: ClassVar[Phase] = Phase.FUSE
    before: ClassVar[tuple[str, ...]] = ("fuse-epilogue", "fuse-elementwise")
    opt_level: ClassVar[int] = 2

    def run(self, network: Network, context: PassContext) -> PassResult:
        groups: dict[tuple[object, ...], list[_Branch]] = {}
        for operation in operations_to_rewrite(network):
            branch = _branch(operation)
            if branch is not None and _feeds_attention(branch.result):
                key = (operation.operands[0], operation.parent, branch.weight.dtype, branch.bias is None)
                groups.setdefault(key, []).append(branch)
        merged = [group for group in groups.values() if len(group) > 1]
        for group in merged:
            _merge(group)
        return PassResult.counted(merged=len(merged))


def _branch(product: Operation) -> _Branch | None:
    if product.name != "mm.matmul" or not shape_of(product.operands[0]):
        return None
    weight = constant_of(product.operands[1])
    if weight is None or len(weight.shape) != 2 or len(shape_of(product.operands[0]) or ()) < 2:
        return None
    users = product.result.users
    if len(users) == 1 and users[0].name == "mm.add" and users[0].parent is product.parent:
        (addition,) = users
        for other in addition.operands:
            bias = constant_of(other)
            if bias is not None and bias.shape == weight.shape[1:]:
                return _Branch(product, weight, addition, bias)
    return _Branch(product, weight, None, None)


def _feeds_attention(value: Value) -> bool:
    """Whether attention is all that reads a value's elements, as it is or through views."""
    readers = [user for user in value.users if user.name != "mm.shape"]
    return bool(readers) and all(
        user.name == "mm.attention" or (user.name in _VIEWS and _feeds_attention(user.result)) for user in readers
    )


def _merge(group: list[_Branch]) -> None:
    first = group[0].product
    assert first.parent is not None
    locations = frozenset().union(*(operation.locations for branch in group for operation in branch.operations))
    builder = Builder(first.parent, first, locations)
    weight = np.concatenate([branch.weight.numpy() for branch in group], axis=1)
    wide = builder.matmul(first.operands[0], builder.constant(TensorData.of(weight)))
    biases = [branch.bias.numpy() for branch in group if branch.bias is not None]
    if biases:
        wide = builder.add(wide, builder.constant(TensorData.of(np.concatenate(biases))))
    sizes = np.array([branch.weight.shape[1] for branch in group], np.int64)
    parts = builder.split(wide, sizes, axis=-1)
    for branch, part in zip(group, parts):
        last, *before = branch.operations
        last.replace_with([part])
        for operation in before:
            operation.erase()
