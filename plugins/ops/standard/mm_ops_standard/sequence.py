"""Sequences: lists of values of one type. Positions may be negative, counted from the end."""

from __future__ import annotations

from typing import Any, ClassVar

from mm_core.errors import VerifyError
from mm_core.ir import Graph
from mm_core.ops import ALL, INDEX, Arity, Attribute, OpDef, Operand, Result, Tier
from mm_core.runtime import host_function
from mm_core.types import DType, SequenceType, TensorType
from mm_core.types.dtypes import bool_, int64
from mm_ops_standard.control import check_arguments
from mm_ops_standard.joining import join, visible_symbols
from mm_ops_standard.known import integers
from mm_ops_standard.shapes import axis_of


class HostOp(OpDef):
    """An operator that the runtime runs itself; what it does there is its reference."""

    tier = Tier.HOST

    def reference(self, *values: Any, **attributes: Any) -> Any:
        return host_function(self.name)(*values, **attributes)


class SequenceOp(HostOp):
    """Runs on sequences, which are Python lists while running."""

    operands: ClassVar[tuple[Operand, ...]] = (Operand("sequence", None),)
    results = (Result("y", None),)
    accepts_unranked = True

    def element(self, type_: Any) -> Any:
        """The type of a sequence's elements."""
        if not isinstance(type_, SequenceType):
            raise VerifyError(f"{self.name} takes a sequence, got {type_}")
        return type_.element


class SequenceConstruct(SequenceOp):
    """The operands as a sequence."""

    name = "mm.sequence_construct"
    operands = (Operand("first", None), Operand("rest", None, Arity.VARIADIC))

    def infer(self, types: Any, values: Any) -> Any:
        return SequenceType(join(types, f"{self.name}: an element"))


class SequenceEmpty(SequenceOp):
    """A sequence without elements, for tensors of type `dtype`; of `rank` axes, if that is known."""

    name = "mm.sequence_empty"
    operands = ()
    attributes = (Attribute("dtype", DType, "float32"), Attribute("rank", int, None))

    def infer(self, types: Any, values: Any, *, dtype: DType, rank: int | None) -> Any:
        sizes: Any = None if rank is None else (None,) * rank
        return SequenceType(TensorType(dtype, sizes))


class SequenceInsert(SequenceOp):
    """The sequence with a value put before `position`, by default at its end."""

    name = "mm.sequence_insert"
    operands = (Operand("sequence", None), Operand("value", None), Operand("position", INDEX, Arity.OPTIONAL))

    def infer(self, types: Any, values: Any) -> Any:
        return SequenceType(join([self.element(types[0]), types[1]], f"{self.name}: an element"))


class SequenceErase(SequenceOp):
    """The sequence without the value at `position`, by default the last."""

    name = "mm.sequence_erase"
    operands = (Operand("sequence", None), Operand("position", INDEX, Arity.OPTIONAL))

    def infer(self, types: Any, values: Any) -> Any:
        return SequenceType(self.element(types[0]))


class SequenceAt(SequenceOp):
    """The value at `position`."""

    name = "mm.sequence_at"
    operands = (Operand("sequence", None), Operand("position", INDEX))

    def infer(self, types: Any, values: Any) -> Any:
        return self.element(types[0])


class SequenceLength(SequenceOp):
    """The number of values, as an int64 scalar."""

    name = "mm.sequence_length"

    def infer(self, types: Any, values: Any) -> Any:
        self.element(types[0])
        return TensorType(int64, ())


class SplitToSequence(SequenceOp):
    """x cut along `axis`: a scalar `split` is the size of each piece (the last may be smaller), a vector gives all.

    Without it the pieces have size 1, and the axis goes unless `keepdims`.
    """

    name = "mm.split_to_sequence"
    operands = (Operand("x", ALL), Operand("split", INDEX, Arity.OPTIONAL))
    attributes = (Attribute("axis", int, 0), Attribute("keepdims", bool, True))

    def infer(self, types: Any, values: Any, *, axis: int, keepdims: bool) -> Any:
        shape = types[0].shape
        if shape is None:
            return SequenceType(types[0])
        axis = axis_of(self.name, axis, len(shape))
        if types[1] is None:
            return SequenceType(types[0].with_shape(shape[:axis] + ((1,) if keepdims else ()) + shape[axis + 1 :]))
        sizes = set(integers(values[1]) or ())
        even = len(sizes) == 1 and (types[1].shape != () or _divides(shape[axis], *sizes))
        piece: Any = sizes.pop() if even else None
        return SequenceType(types[0].with_shape((*shape[:axis], piece, *shape[axis + 1 :])))


def _divides(size: Any, part: int) -> bool:
    return isinstance(size, int) and part > 0 and size % part == 0


class ConcatFromSequence(SequenceOp):
    """The tensors of a sequence concatenated along `axis`, or stacked along a new one with `new_axis`."""

    name = "mm.concat_from_sequence"
    attributes = (Attribute("axis", int), Attribute("new_axis", bool, False))

    def infer(self, types: Any, values: Any, *, axis: int, new_axis: bool) -> Any:
        element = self.element(types[0])
        if not isinstance(element, TensorType):
            raise VerifyError(f"{self.name} takes a sequence of tensors, got {types[0]}")
        shape: Any = element.shape
        if shape is None:
            return element
        axis = axis_of(self.name, axis, len(shape) + new_axis)
        shape = (*shape[:axis], None, *shape[axis + (not new_axis) :])
        return element.with_shape(shape)


class SequenceMap(SequenceOp):
    """The region applied to the elements of the first sequence and, at the same place, of the others.

    Operands that are tensors are passed whole. Results are sequences, one for each output of the region.
    """

    name = "mm.sequence_map"
    tier = Tier.COMPOSITE
    operands = (Operand("first", None), Operand("rest", None, Arity.VARIADIC))
    results = (Result("outputs", None, variadic=True),)
    regions = 1

    def _arguments(self, types: Any) -> tuple[Any, ...]:
        return tuple(type_.element if isinstance(type_, SequenceType) else type_ for type_ in types)

    def infer(self, types: Any, values: Any, *, regions: Any) -> Any:
        self.element(types[0])
        check_arguments(self.name, regions[0], self._arguments(types))
        visible = visible_symbols(types)
        return [SequenceType(join([type_], self.name, visible)) for type_ in regions[0].output_types]

    def reference(self, *operands: Any, regions: Any) -> Any:
        steps = [
            regions[0](*(operand[index] if isinstance(operand, list) else operand for operand in operands))
            for index in range(len(operands[0]))
        ]
        return tuple(map(list, zip(*steps))) if steps else tuple([] for _ in regions[0].output_types)

    def decompose(self, graph: Any, *operands: Any, regions: Any) -> Any:
        """A loop over the length of the first sequence that inserts into sequences which begin empty."""
        region, body = regions[0], Graph(within=graph.graph)
        iteration = body.add_argument(TensorType(int64, ()))
        going = body.add_argument(TensorType(bool_, ()))
        empty = [graph.sequence_empty(dtype=type_.dtype) for type_ in region.output_types]
        built = [body.add_argument(value.type) for value in empty]
        whole = [body.add_argument(operand.type) for operand in operands]
        items = [
            body.sequence_at(value, iteration) if isinstance(value.type, SequenceType) else value for value in whole
        ]
        results = [body.sequence_insert(old, new) for old, new in zip(built, body.inline(region, items))]
        body.set_outputs([going, *results])
        return graph.loop(
            graph.sequence_length(operands[0]), None, *empty, *operands, carried=len(empty), regions=(body,)
        )


OPS: tuple[type[OpDef], ...] = (
    SequenceConstruct, SequenceEmpty, SequenceInsert, SequenceErase, SequenceAt, SequenceLength, SplitToSequence,
    ConcatFromSequence, SequenceMap,
)  # fmt: skip
