"""Reshapes of views: axes joined or split in the layout that the view's base has, where that is the same elements."""

from __future__ import annotations

from collections.abc import Sequence

from mm_core.ir import Graph, Value
from mm_core.types import Dim
from mm_parser_tensorflow.views import Tensor, View, shape_of, view

Group = tuple[list[int], list[int]]
"""Axes of the operand, one behind the other, and the axes of the result that they become."""


def reshaped(g: Graph, tensor: View, sizes: Sequence[Dim | None]) -> Tensor | None:
    """A view reshaped, as a view; None where elements of the base would have to move. A size may be -1 or unknown."""
    source = shape_of(tensor)
    target = _complete(source, sizes)
    groups = None if target is None else _groups(source, target)
    if groups is None or target is None:
        return None
    # Each group's axes must be neighbours in the base too, in the same order.
    for before, _ in groups:
        places = [tensor.order[axis] for axis in before]
        if places != list(range(places[0], places[0] + len(places))):
            return None
    by_base = sorted(groups, key=lambda group: tensor.order[group[0][0]])
    parts: list[Dim] = [target[axis] for _, after in by_base for axis in after]
    position = {axis: place for place, axis in enumerate(axis for _, after in by_base for axis in after)}
    return view(_reshape(g, tensor.base, parts), [position[axis] for axis in range(len(target))])


def _complete(source: Sequence[Dim], sizes: Sequence[Dim | None]) -> list[Dim] | None:
    """The sizes with at most one -1 found from the others; None if that is not possible."""
    open_ = [place for place, size in enumerate(sizes) if size is None or size == -1]
    if len(open_) > 1:
        return None
    found: list[Dim] = [1 if size is None else size for size in sizes]
    if not open_:
        return found
    symbols = [dim for dim in source if not isinstance(dim, int)]
    number, rest = 1, 1
    for dim in source:
        number *= dim if isinstance(dim, int) else 1
    for place, size in enumerate(sizes):
        if place in open_:
            continue
        if isinstance(size, int):
            rest *= size
        elif size in symbols:
            symbols.remove(size)
        else:
            return None
    if rest == 0 or number % rest or len(symbols) > 1 or (symbols and number != rest):
        return None
    found[open_[0]] = symbols[0] if symbols else number // rest
    return found


def _groups(source: Sequence[Dim], target: Sequence[Dim]) -> list[Group] | None:
    """The shortest runs of axes with equal products; symbols stand alone."""
    groups: list[Group] = []
    left, right = 0, 0
    while left < len(source) or right < len(target):
        if left == len(source) or right == len(target):
            if left < len(source) or not groups:
                return None
            groups[-1][1].append(right)  # A last axis of size one.
            right += 1
            if target[right - 1] != 1:
                return None
            continue
        before, after = [left], [right]
        have, want = source[left], target[right]
        left, right = left + 1, right + 1
        while have != want:
            if not isinstance(have, int) or not isinstance(want, int):
                return None
            if have < want and left < len(source) and isinstance(source[left], int):
                have *= source[left]
                before.append(left)
                left += 1
            elif have > want and right < len(target) and isinstance(target[right], int):
                want *= target[right]
                after.append(right)
                right += 1
            else:
                return None
        groups.append((before, after))
    return groups


def _reshape(g: Graph, base: Value, sizes: Sequence[Dim]) -> Value:
    """The base in a shape; each symbol is a size that the base has."""
    own = list(shape_of(base))
    parts = [
        g.constant([size], "int64")
        if isinstance(size, int)
        else g.shape(base, start=own.index(size), end=own.index(size) + 1)
        for size in sizes
    ]
    return g.reshape(base, g.concat(*parts, axis=0))  # type: ignore[no-any-return]
