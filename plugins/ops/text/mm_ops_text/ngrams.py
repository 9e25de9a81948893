"""N-grams counted: how often each of a list of short sequences occurs in rows of numbered words."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from mm_core.errors import UnsupportedOpError
from mm_core.ops import INDEX, Attribute, OpDef, Operand, Result
from mm_core.types import BY_NAME, Array

_INT64 = frozenset({BY_NAME["int64"]})
_END = 2**63 - 1
MAX_SKIPS = 1000


class NgramCounts(OpDef):
    """How often each n-gram of `pool` occurs in x, which is [C] or [N, C] (ONNX TfIdfVectorizer without weights).

    `pool` holds the n-grams one behind the other, all of length 1, then all of length 2, ...; `starts` says where
    each length begins. Of those whose length is between `least` and `most`, `columns` (one number for each n-gram of
    the pool) says where in the `size` columns of the result, float32, they are counted. The words of an n-gram lie
    side by side in x, or 1 to `skips` others lie between any two neighbours.
    """

    name = "text.ngram_counts"
    operands = (Operand("x", "I"), Operand("pool", _INT64), Operand("columns", _INT64))
    results = (Result("y", BY_NAME["float32"]),)
    dtypes = {"I": INDEX}
    attributes = (
        Attribute("starts", (int,)), Attribute("least", int), Attribute("most", int), Attribute("skips", int, 0),
        Attribute("size", int),
    )  # fmt: skip

    def infer(self, types: Any, values: Any, **attributes: Any) -> Any:
        x, (pool,), (columns,) = (type_.shape for type_ in types)
        if len(x) not in (1, 2) or not isinstance(pool, int):
            raise UnsupportedOpError(f"{self.name} takes x of shape [C] or [N, C] and a fixed pool, got {types}")
        sections = _sections(pool, attributes["starts"])
        whole = all(begin <= end and (end - begin) % length == 0 for length, begin, end in sections)
        if not whole or sum((end - begin) // length for length, begin, end in sections) != columns:
            raise UnsupportedOpError(
                f"{self.name}: a pool of {pool} cut at {list(attributes['starts'])} does not give {columns} n-grams"
            )
        if not 1 <= attributes["least"] <= attributes["most"] or not 0 <= attributes["skips"] <= MAX_SKIPS:
            raise UnsupportedOpError(
                f"{self.name}: lengths {attributes['least']} to {attributes['most']} make no sense"
            )
        return (*x[:-1], attributes["size"])

    def reference(
        self, x: Array, pool: Array, columns: Array, *, starts: tuple[int, ...], least: int, most: int, skips: int,
        size: int,
    ) -> Array:  # fmt: skip
        wanted: dict[tuple[int, ...], list[int]] = {}
        numbers = iter(columns.tolist())
        for length, begin, end in _sections(len(pool), starts):
            for gram in pool[begin:end].reshape(-1, length).tolist():
                column = next(numbers)
                if least <= length <= most:
                    wanted.setdefault(tuple(gram), []).append(column)
        rows = np.atleast_2d(x)
        y = np.zeros((len(rows), size), np.float32)
        for row, text in zip(y, rows.tolist()):
            seen = Counter(
                tuple(text[begin : begin + (length - 1) * step + 1 : step])
                for length in {len(gram) for gram in wanted}
                for step in range(1, _steps(length, skips) + 1)
                for begin in range(len(text) - (length - 1) * step)
            )
            for words, places in wanted.items():
                row[places] += seen[words]
        return y.reshape(*x.shape[:-1], size)

    def decompose(
        self, graph: Any, x: Any, pool: Any, columns: Any, *, starts: tuple[int, ...], least: int, most: int,
        skips: int, size: int,
    ) -> Any:  # fmt: skip
        rows = graph.cast(x if len(x.type.shape) == 2 else graph.unsqueeze(x, axes=(0,)), to="int64")
        counts, places, passed = [], [], 0
        for length, begin, end in _sections(pool.type.shape[0], starts):
            count = (end - begin) // length
            if least <= length <= most and count:
                grams = graph.reshape(graph.slice(pool, [begin], [end], [0]), [count, length])
                words = [graph.gather(grams, place, axis=1) for place in range(length)]
                found = [_occurrences(graph, rows, words, step) for step in range(1, _steps(length, skips) + 1)]
                counts.append(graph.sum(*found))
                places.append(graph.slice(columns, [passed], [passed + count], [0]))
            passed += count
        width = graph.concat(graph.constant([size]), graph.shape(rows, end=1), axis=0)
        y = graph.expand(graph.constant(0.0), width)
        if counts:
            # Several n-grams may share a column, so the counts are added where they go: as rows, hence turned.
            turned = graph.transpose(graph.concat(*counts, axis=1), permutation=(1, 0))
            where = graph.unsqueeze(graph.concat(*places, axis=0), axes=(1,))
            y = graph.scatter_nd(y, where, turned, reduction="add")
        y = graph.transpose(y, permutation=(1, 0))
        return y if len(x.type.shape) == 2 else graph.squeeze(y, axes=(0,))


def _occurrences(graph: Any, rows: Any, words: list[Any], step: int) -> Any:
    """How often each n-gram occurs in each row with its words `step` apart: [N, grams]. `words` are its columns."""
    reach = (len(words) - 1) * step
    here = None
    for place, word in enumerate(words):
        end = place * step - reach
        window = graph.slice(rows, [place * step], [end or _END], [1])
        same = graph.equal(graph.unsqueeze(window, axes=(2,)), word)
        here = same if here is None else graph.logical_and(here, same)
    return graph.reduce_sum(graph.cast(here, to="float32"), axes=(1,), keepdims=False)


def _steps(length: int, skips: int) -> int:
    """In how many distances an n-gram is looked for; single words have none."""
    return 1 if length == 1 else skips + 1


def _sections(pool: int, starts: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Of each section of the pool: the length of its n-grams, where it begins and ends."""
    return list(zip(range(1, len(starts) + 1), starts, (*starts[1:], pool)))


OPS: tuple[type[OpDef], ...] = (NgramCounts,)
