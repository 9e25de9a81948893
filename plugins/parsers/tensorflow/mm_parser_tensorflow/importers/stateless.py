"""Random numbers that follow from a seed: the Philox 4x32 generator, ten rounds (Salmon et al. 2011), bit by bit.

All arithmetic is on uint64, whose lower halves are the generator's words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_core.types import DType
from mm_parser_tensorflow.node import Node
from mm_parser_tensorflow.table import Family
from mm_parser_tensorflow.views import dtype_of

FAMILY = Family()
op = FAMILY.op
_FACTORS = 0xD2511F53, 0xCD9E8D57
_RAISES = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10
_SCRAMBLE = 0x3EC8F720, 0x02461E29
"""The key under which TensorFlow turns seeds into keys."""
_WORD = 0xFFFFFFFF
_PHILOX, _AUTOMATIC = 1, 3
"""Algorithms by TensorFlow's number; on a CPU the choice is Philox."""
Words = tuple[Value, Value, Value, Value]


def _u64(g: Graph, number: int) -> Value:
    return g.constant(np.uint64(number))


def _halves(g: Graph, value: Value) -> tuple[Value, Value]:
    """The lower and the upper word."""
    return g.bitwise_and(value, _u64(g, _WORD)), g.shift_right(value, _u64(g, 32))


def _whole(g: Graph, low: Value, high: Value) -> Value:
    return g.bitwise_or(low, g.shift_left(high, _u64(g, 32)))  # type: ignore[no-any-return]


def _item(g: Graph, vector: Value, place: int) -> Value:
    return g.gather(vector, g.constant(place, "int64"), axis=0)  # type: ignore[no-any-return]


def _philox(g: Graph, words: Words, key: tuple[Value, Value]) -> Words:
    a, b, c, d = words
    for turn in range(_ROUNDS):
        if turn:
            first, second = (g.bitwise_and(g.add(k, _u64(g, by)), _u64(g, _WORD)) for k, by in zip(key, _RAISES))
            key = first, second
        low, high = _halves(g, g.mul(a, _u64(g, _FACTORS[0])))
        lower, higher = _halves(g, g.mul(c, _u64(g, _FACTORS[1])))
        a, b, c, d = (
            g.bitwise_xor(g.bitwise_xor(higher, b), key[0]), lower,
            g.bitwise_xor(g.bitwise_xor(high, d), key[1]), low,
        )  # fmt: skip
    return a, b, c, d


def _key_counter(g: Graph, seed: Value) -> tuple[Value, Value]:
    """The key [1] and the counter [2] of a seed of two numbers."""
    numbers = g.cast(g.cast(seed, to="int64"), to="uint64")
    words = (*_halves(g, _item(g, numbers, 0)), *_halves(g, _item(g, numbers, 1)))
    mixed = _philox(g, words, (_u64(g, _SCRAMBLE[0]), _u64(g, _SCRAMBLE[1])))
    key, upper = (g.reshape(_whole(g, *mixed[place : place + 2]), [1]) for place in (0, 2))
    return key, g.concat(g.constant(np.zeros(1, np.uint64)), upper, axis=0)


@op("StatelessRandomGetKeyCounter")
def key_counter(g: Graph, node: Node) -> Any:
    return _key_counter(g, node.input())


@op("StatelessRandomGetAlg")
def algorithm(g: Graph, node: Node) -> Any:
    return g.constant(_PHILOX, "int32")


def _stream(g: Graph, node: Node, per_number: int) -> tuple[Sequence[Value], Value]:
    """As many random words as the shape, the node's first operand, needs; `per_number` words make one number.

    Four vectors, whose elements of one place follow each other, and the count of numbers [1].
    """
    if node.op.endswith("V2"):
        if node.ints(3, "the algorithm")[0] not in (_PHILOX, _AUTOMATIC):
            raise node.unsupported("an algorithm other than Philox")
        key, counter = node.input(1), node.input(2)
    else:
        key, counter = _key_counter(g, node.input(1))
    count = g.reshape(g.reduce_prod(g.cast(node.input(0), to="int64"), keepdims=False), [1])
    turns = g.shift_right(g.cast(g.add(g.mul(count, per_number), 3), to="uint64"), _u64(g, 2))
    step = g.cast(g.iota(g.cast(turns, to="int64")), to="uint64")
    low = g.add(_item(g, counter, 0), step)
    carry = g.cast(g.less(low, step), to="uint64")
    words = (*_halves(g, low), *_halves(g, g.add(_item(g, counter, 1), carry)))
    return _philox(g, words, _halves(g, _item(g, key, 0))), count


def _numbers(g: Graph, node: Node, columns: Sequence[Value], count: Value) -> Any:
    """Columns read row by row, cut off, in the node's shape."""
    table = g.concat(*(g.unsqueeze(column, axes=(1,)) for column in columns), axis=1)
    return g.reshape(g.slice(g.reshape(table, [-1]), [0], count, [0]), node.input(0))


def _fractions(g: Graph, words: Sequence[Value]) -> list[Value]:
    """Words as float32 in [0, 1): their lower 23 bits."""
    return [g.mul(g.cast(g.bitwise_and(word, _u64(g, 0x7FFFFF)), to="float32"), 2.0**-23) for word in words]


def _require_float32(node: Node) -> None:
    if node.dtype("dtype").name != "float32":
        raise node.unsupported(f"numbers of type {node.dtype('dtype').name}, available is float32")


@op("StatelessRandomUniform", "StatelessRandomUniformV2")
def uniform(g: Graph, node: Node) -> Any:
    _require_float32(node)
    words, count = _stream(g, node, 1)
    return _numbers(g, node, _fractions(g, words), count)


@op("StatelessRandomNormal", "StatelessRandomNormalV2")
def normal(g: Graph, node: Node) -> Any:
    """Box and Muller: two fractions are a radius and an angle."""
    _require_float32(node)
    words, count = _stream(g, node, 1)
    columns: list[Value] = []
    for first, second in zip(*[iter(_fractions(g, words))] * 2):
        radius = g.sqrt(g.mul(g.log(g.maximum(first, 1e-7)), -2.0))
        angle = g.mul(second, float(np.float32(2 * np.pi)))
        columns += [g.mul(g.sin(angle), radius), g.mul(g.cos(angle), radius)]
    return _numbers(g, node, columns, count)


def _integers(g: Graph, node: Node, to: DType, bound: Callable[[Value], Value]) -> Any:
    """Random integers of 32 or 64 bits, as uint64, brought into their range."""
    words, count = _stream(g, node, to.bits // 32)
    columns = list(words) if to.bits == 32 else [_whole(g, *words[:2]), _whole(g, *words[2:])]
    return _numbers(g, node, [g.cast(bound(column), to=to) for column in columns], count)


@op("StatelessRandomUniformFullInt", "StatelessRandomUniformFullIntV2")
def full_integers(g: Graph, node: Node) -> Any:
    return _integers(g, node, node.dtype("dtype"), lambda number: number)


@op("StatelessRandomUniformInt", "StatelessRandomUniformIntV2")
def bounded_integers(g: Graph, node: Node) -> Any:
    """The remainder of a random number by the size of the range; it wraps, as types do."""
    start, end = (g.cast(g.cast(node.input(index), to="int64"), to="uint64") for index in (-2, -1))
    extent = g.sub(end, start)
    to = dtype_of(node.input(-1))
    return _integers(g, node, to, lambda number: g.add(g.mod(number, extent), start))
