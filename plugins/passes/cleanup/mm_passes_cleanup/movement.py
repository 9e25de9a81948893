"""Data movement that moves nothing, or that one operation does as well as two."""

from __future__ import annotations

from itertools import accumulate, pairwise
from operator import mul

import numpy as np

from mm_core.ir import Operation, Value
from mm_core.ops import Trait
from mm_core.rewrite import Match, Pattern, Reason, Rewriter, Rule, constant_of, rule, shape_of, uniform_number
from mm_core.types import Dim, SymDim


def written_shape(shape: tuple[Dim, ...] | None) -> tuple[int, ...] | None:
    """The shape as a constant operand of a reshape, -1 for its one unknown size; None if that says too little."""
    if shape is None or sum(isinstance(dim, SymDim) for dim in shape) > 1:
        return None
    written = tuple(-1 if isinstance(dim, SymDim) else dim for dim in shape)
    return None if -1 in written and 0 in written else written


def _reshaped(rewriter: Rewriter, operation: Operation, x: Value, written: tuple[int, ...]) -> None:
    rewriter.replace(operation, [rewriter.reshape(x, np.array(written, np.int64))])


@rule("mm.reshape", "mm.expand", "mm.squeeze", "mm.unsqueeze", "mm.flatten", "mm.tile")
def moves_nothing(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """These give their operand back if it has the result's shape already."""
    x = operation.operands[0]
    shape = shape_of(x)
    if x is not None and shape is not None and shape == shape_of(operation.result):
        rewriter.replace(operation, [x])
    return None


@rule("mm.squeeze", "mm.unsqueeze", "mm.flatten")
def as_reshape(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """One spelling for all that keep the order of elements."""
    written = written_shape(shape_of(operation.result))
    x = operation.operands[0]
    if written is None or x is None:
        return "more than one size of the result is unknown"
    _reshaped(rewriter, operation, x, written)
    return None


@rule("mm.reshape")
def reshape_to_constant(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """A computed shape of which at most one size is unknown is written as a constant."""
    x, target = operation.operands
    written = written_shape(shape_of(operation.result))
    if x is None or written is None or constant_of(target) is not None:
        return None
    _reshaped(rewriter, operation, x, written)
    return None


@rule("mm.reshape")
def reshape_of_reshape(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """Only the last shape counts."""
    x, target = operation.operands
    inner = None if x is None else x.defining_op
    if inner is not None and inner.name in ("mm.reshape", "mm.squeeze", "mm.unsqueeze", "mm.flatten"):
        rewriter.absorb(inner)
        rewriter.replace(operation, [rewriter.reshape(inner.operands[0], target)])
    return None


@rule("mm.transpose")
def transpose_in_place(rewriter: Rewriter, operation: Operation) -> Reason | None:
    x = operation.operands[0]
    if x is not None and _permutation(operation) == tuple(range(len(_permutation(operation)))):
        rewriter.replace(operation, [x])
    return None


@rule("mm.transpose")
def transpose_of_transpose(rewriter: Rewriter, operation: Operation) -> Reason | None:
    x = operation.operands[0]
    inner = None if x is None else x.defining_op
    if inner is None or inner.name != "mm.transpose":
        return None
    first = _permutation(inner)
    rewriter.absorb(inner)
    combined = tuple(first[axis] for axis in _permutation(operation))
    rewriter.replace(operation, [rewriter.transpose(inner.operands[0], permutation=combined)])
    return None


@rule("mm.transpose")
def transposes_around_reshape(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """Axes that are moved, joined with a part of others, and moved again: cut into parts, they move once.

    Only where a reshape cuts across axes, as where an image becomes patches: else it may belong to what is to be found.
    """
    reshape = None if operation.operands[0] is None else operation.operands[0].defining_op
    if reshape is None or reshape.name != "mm.reshape" or reshape.operands[0] is None:
        return None
    inner = reshape.operands[0].defining_op
    if inner is None or inner.name != "mm.transpose":
        return None
    before, after = (_static(shape_of(value)) for value in (inner.result, reshape.result))
    if before is None or after is None or 0 in before:
        return "a size is unknown, or zero"
    parts = _common_parts(before, after)
    if parts is None:
        return None
    if len(inner.result.uses) > 1 or len(reshape.result.uses) > 1:
        return "what lies between is used elsewhere too"
    sizes, of_before, of_after = parts
    first = _permutation(inner)
    # The parts in the order of the first operand's axes, and where each part lies there.
    source = [part for axis in range(len(first)) for part in of_before[first.index(axis)]]
    moved = [source.index(part) for axis in _permutation(operation) for part in of_after[axis]]
    rewriter.absorb(inner, reshape)
    cut = rewriter.reshape(inner.operands[0], np.array([sizes[part] for part in source], np.int64))
    result = rewriter.transpose(cut, permutation=tuple(moved))
    target = np.array(shape_of(operation.result), np.int64)
    rewriter.replace(operation, [rewriter.reshape(result, target)])
    return None


def _static(shape: tuple[Dim, ...] | None) -> tuple[int, ...] | None:
    sizes = tuple(dim for dim in shape or () if isinstance(dim, int))
    return sizes if shape is not None and len(sizes) == len(shape) else None


def _common_parts(
    before: tuple[int, ...], after: tuple[int, ...]
) -> tuple[list[int], list[list[int]], list[list[int]]] | None:
    """Sizes of parts that make up the axes of both shapes, and the numbers of the parts of each axis.

    None where sizes do not divide each other, and where no axis overlaps with part of another: such a reshape only
    joins axes and takes others apart.
    """
    ends = [list(accumulate(shape, mul)) for shape in (before, after)]
    borders = sorted({*ends[0], *ends[1]})
    if any(large % small for small, large in pairwise([1, *borders])):
        return None
    sizes = [large // small for small, large in pairwise([1, *borders])]

    def parts_of(shape_ends: list[int]) -> list[list[int]]:
        spans = pairwise([1, *shape_ends])
        return [[k for k, border in enumerate(borders) if start < border <= end] for start, end in spans]

    of_before, of_after = parts_of(ends[0]), parts_of(ends[1])
    across = any(
        len(parts) > 1 and any(set(parts) & set(other) and not set(other) <= set(parts) for other in of_after)
        for parts in of_before
    )
    return (sizes, of_before, of_after) if across else None


def _permutation(operation: Operation) -> tuple[int, ...]:
    rank = len(shape_of(operation.result) or ())
    given: tuple[int, ...] = operation.attributes["permutation"]
    return tuple(axis % rank for axis in given) if given else tuple(reversed(range(rank)))


@rule("mm.slice")
def slice_of_everything(rewriter: Rewriter, operation: Operation) -> Reason | None:
    x, steps = operation.operands[0], operation.operand("steps")
    if x is None or shape_of(x) != shape_of(operation.result) or shape_of(x) is None:
        return None
    if steps is not None and uniform_number(steps) != 1:
        return "the steps are not all 1"
    rewriter.replace(operation, [x])
    return None


@rule("mm.split")
def split_into_one(rewriter: Rewriter, operation: Operation) -> Reason | None:
    x = operation.operands[0]
    if x is not None and len(operation.results) == 1:
        rewriter.replace(operation, [x])
    return None


@rule("mm.concat")
def concat_of_one(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """Empty operands add nothing, and what is left over may be a single one."""
    operands = [value for value in operation.operands if value is not None]
    axis = operation.attributes["axis"]
    shapes = [shape_of(value) for value in operands]
    kept = [value for value, shape in zip(operands, shapes) if shape is None or shape[axis] != 0]
    if len(kept) == 1:
        if kept[0].type == operation.result.type:
            rewriter.replace(operation, kept)
    elif kept and len(kept) < len(operands):
        rewriter.replace(operation, [rewriter.concat(*kept, axis=axis)])
    return None


@rule("mm.concat")
def concat_of_concat(rewriter: Rewriter, operation: Operation) -> Reason | None:
    rank = len(shape_of(operation.result) or ())
    axis = operation.attributes["axis"]
    flat: list[Value | None] = []
    inner: list[Operation] = []
    for value in operation.operands:
        maker = None if value is None else value.defining_op
        if maker is None or maker.name != "mm.concat" or len(maker.result.uses) != 1:
            flat.append(value)
        elif rank and maker.attributes["axis"] % rank == axis % rank:
            flat.extend(maker.operands)
            inner.append(maker)
        else:
            flat.append(value)
    if inner:
        rewriter.absorb(*inner)
        rewriter.replace(operation, [rewriter.concat(*flat, axis=axis)])
    return None


@rule()
def broadcast_by_itself(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """An element-wise operation broadcasts its operands: an `expand` before it is not needed."""
    if Trait.ELEMENTWISE not in operation.definition.traits or len(operation.operands) < 2:
        return None
    for index, value in enumerate(operation.operands):
        maker = None if value is None else value.defining_op
        if maker is None or maker.name != "mm.expand":
            continue
        narrow = maker.operands[0]
        others = [shape_of(other) for position, other in enumerate(operation.operands) if position != index]
        if narrow is not None and _give_shape(shape_of(operation.result), shape_of(narrow), others):
            rewriter.absorb(maker)
            operation.locations |= maker.locations
            operation.set_operand(index, narrow)
            rewriter.modified(operation)
            if not maker.result.is_used:
                rewriter.erase(maker)
            return None
    return None


def _give_shape(
    wanted: tuple[Dim, ...] | None, narrow: tuple[Dim, ...] | None, others: list[tuple[Dim, ...] | None]
) -> bool:
    """Whether the others alone broadcast to the wanted shape, and the narrow one broadcasts to it."""
    if wanted is None or narrow is None:
        return False
    known = [shape for shape in others if shape is not None]
    for back in range(1, len(wanted) + 1):
        dim = wanted[-back]
        if back <= len(narrow) and narrow[-back] not in (1, dim):
            return False
        if dim != 1 and not any(back <= len(shape) and shape[-back] == dim for shape in known):
            return False
    return len(wanted) == max(map(len, known), default=0)


@rule("mm.pad")
def pad_of_nothing(rewriter: Rewriter, operation: Operation) -> Reason | None:
    x = operation.operands[0]
    if x is not None and uniform_number(operation.operand("pads")) == 0:
        rewriter.replace(operation, [x])
    return None


def _swaps_last_two(match: Match) -> Reason | None:
    """The reshape before joins leading axes, and the one after takes them apart, perhaps otherwise."""
    before, joined, after = (shape_of(value) for value in (match["x"], match["joined"].result, match.root.result))
    if before is None or joined is None or after is None:
        return "a rank is unknown"
    if min(len(before), len(after)) < 3 or len(joined) != 3 or joined[1:] != before[-2:]:
        return "the reshape before does not keep the last two axes"
    if after[-2:] != (before[-1], before[-2]):
        return "the reshape after does not keep the last two axes"
    if before[:-2] != after[:-2] and written_shape((*after[:-2], *before[-2:])) is None:
        return "more than one size of the result is unknown"
    return None


def _swap_last_two(g: Rewriter, x: Value, match: Match) -> Value:
    before, after = shape_of(x) or (), shape_of(match.root.result) or ()
    if before[:-2] != after[:-2]:
        written = written_shape((*after[:-2], *before[-2:]))
        x = g.reshape(x, np.array(written, np.int64))
    rank = len(after)
    made: Value = g.transpose(x, permutation=(*range(rank - 2), rank - 1, rank - 2))
    return made


PATTERNS: tuple[Rule, ...] = (
    Pattern(
        "transpose-under-reshapes",
        lambda p, x: p.reshape(
            p.transpose(p.reshape(x, ..., name="joined", shared=True), permutation=(0, 2, 1), shared=True), ...
        ),
        _swap_last_two,
        _swaps_last_two,
    ),
    Pattern(
        "transpose-of-both",
        lambda p, a, b: p.matmul(
            p.transpose(a, permutation=p.attribute("left")), p.transpose(b, permutation=p.attribute("right"))
        ),
        lambda g, a, b: g.transpose(g.matmul(b, a), permutation=(1, 0)),
        lambda match: None if match["left"] == match["right"] == (1, 0) else "not plain matrices",
    ),
)

RULES: tuple[Rule, ...] = (
    moves_nothing, as_reshape, reshape_to_constant, reshape_of_reshape, transpose_in_place, transpose_of_transpose,
    transposes_around_reshape, slice_of_everything, split_into_one, concat_of_one, concat_of_concat,
    broadcast_by_itself, pad_of_nothing, *PATTERNS,
)  # fmt: skip
