"""What follows a quantized contraction element by element runs with it, to the next quantize and beyond."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mm_passes_fusion.elementwise import FuseElementwise
from mm_passes_fusion.epilogue import channel_axis, fits_beside
from mm_passes_fusion.regions import fuse

from mm_core.ir import Builder, Network, Operation, Value
from mm_core.ops import Trait
from mm_core.passes import Pass, PassContext, PassResult, Phase
from mm_core.rewrite import constant_of, operations_to_rewrite, shape_of
from mm_core.types import BY_NAME, TensorType
from mm_passes_quantization.contractions import KINDS, PRODUCT
from mm_passes_quantization.grain import FLOAT32, dequantized, grain_of, own

_INTEGER_MATMUL = "integer_matmul"
_INT32 = BY_NAME["int32"]


@dataclass(frozen=True)
class FuseQuantized(Pass):
    """A quantized convolution or product and what follows it element by element, each the only user of the one before.

    Quantize and dequantize with one known scale are among them. Their other operands are single numbers, one number
    for each output channel, or tensors of the result's shape, also of bytes, which are dequantized on the way. An
    `mm.matmul_integer` with constant weights is such a product; its sums are cast to float32 on the way.
    """

    name: ClassVar[str] = "fuse-quantized"
    phase: ClassVar[Phase] = Phase.FUSE
    before: ClassVar[tuple[str, ...]] = ("fuse-epilogue", "fuse-elementwise", "fuse-quantized-elementwise")
    opt_level: ClassVar[int] = 2
    max_operations: int = 24

    def run(self, network: Network, context: PassContext) -> PassResult:
        counts: dict[str, int] = {}
        for operation in operations_to_rewrite(network):
            kind = _kind(operation)
            chain = self._chain(operation) if kind else []
            if chain:
                fuse([*(_inline(operation) if operation.regions else [operation]), *chain], kind)
                counts[kind] = counts.get(kind, 0) + 1
        return PassResult(bool(counts), counts)

    def _chain(self, root: Operation) -> list[Operation]:
        chain: list[Operation] = []
        value = root.result
        type_ = value.type
        if not isinstance(type_, TensorType) or not type_.shape:
            return chain
        contraction = next(op for op in root.regions[0].operations if op.name in KINDS) if root.regions else root
        channel = channel_axis(contraction.name, type_.shape)
        while len(value.uses) == 1 and len(chain) < self.max_operations:
            following = value.users[0]
            if following.parent is not root.parent or len(following.results) != 1:
                break
            if shape_of(following.result) != type_.shape:
                break
            others = [other for other in following.operands if other is not None and other is not value]
            if grain_of(following) is not None:
                if following.operands[0] is not value:
                    break
            elif following.name == "mm.cast" and (type_.dtype, following.attributes["to"]) == (_INT32, FLOAT32):
                type_ = type_.with_dtype(FLOAT32)
            elif Trait.ELEMENTWISE not in following.definition.traits or following.result.type != type_:
                break
            elif all(fits_beside(other, type_, channel) for other in others):
                chain += self._dequantized_beside(following, value, type_)
            else:
                break
            chain.append(following)
            value = following.result
        # A loop that reads bytes dequantizes them itself: a quarter of the memory lies between.
        if chain and chain[-1].name == "mm.dequantize" and value.users and all(map(_is_elementwise, value.users)):
            chain.pop()
        return chain

    def _dequantized_beside(self, operation: Operation, value: Value, type_: TensorType) -> list[Operation]:
        """What dequantizes the whole tensors that an operation takes beside `value`."""
        found = []
        for index, other in enumerate(operation.operands):
            maker = dequantized(other)
            if maker is not None and other is not value and shape_of(other) == type_.shape:
                found.append(own(maker, operation, index))
        return found


def _is_elementwise(operation: Operation) -> bool:
    return Trait.ELEMENTWISE in operation.definition.traits


def _kind(operation: Operation) -> str:
    """The kind of region that a quantized contraction begins; empty for anything else."""
    if operation.name == "mm.matmul_integer" and constant_of(operation.operands[1]) is not None:
        return _INTEGER_MATMUL
    kind = operation.attributes["kind"] if operation.name == "mm.fused" else ""
    return kind if kind in (*KINDS.values(), PRODUCT) else ""


def _inline(fused: Operation) -> Sequence[Operation]:
    """The operations of a region in the place of the whole."""
    assert fused.parent is not None
    before = fused.previous
    outputs = Builder(fused.parent, fused, fused.locations).inline(fused.regions[0], fused.operands)
    fused.replace_with(outputs)
    made: list[Operation] = []
    current = outputs[0].defining_op
    while current is not None and current is not before:
        made.append(current)
        current = current.previous
    return made[::-1]


@dataclass(frozen=True)
class FuseQuantizedElementwise(FuseElementwise):
    """As `fuse-elementwise`, with quantize and dequantize, of one known scale, among the operations of a group."""

    name: ClassVar[str] = "fuse-quantized-elementwise"
    before: ClassVar[tuple[str, ...]] = ("fuse-elementwise",)
    after: ClassVar[tuple[str, ...]] = ("fuse-epilogue",)

    def run(self, network: Network, context: PassContext) -> PassResult:
        grains = [op for op in operations_to_rewrite(network) if grain_of(op)]
        if not grains:
            return PassResult(False)
        for maker in grains:
            for use in maker.result.uses[1:] if maker.name == "mm.dequantize" else ():
                if self.is_candidate(use.operation):
                    own(maker, use.operation, use.index)
        return super().run(network, context)

    def is_candidate(self, operation: Operation) -> bool:
        """Whether an operation may be in a group."""
        return super().is_candidate(operation) or (grain_of(operation) is not None and bool(shape_of(operation.result)))
