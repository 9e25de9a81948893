"""Generation of text, step by step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mm_core.ir import Graph
from mm_parser_onnx.importers.heads import split_heads
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import MICROSOFT, Family

FAMILY = Family(MICROSOFT)
op = FAMILY.op


@op("NGramRepeatBlock")
def ngram_repeat_block(g: Graph, node: Node) -> Any:
    """Tokens that would repeat an n-gram of their own sequence score minus infinity."""
    ids, scores, size = node.input(0), node.input(1), node.int("ngram_size")
    length = node.shape(0)[1]
    if not isinstance(length, int):
        raise node.unsupported("the length of the sequences must be known")
    if length < size:
        return g.identity(scores)
    # Each window of n tokens forbids its last one where the others are the newest n - 1.
    windows = g.gather(ids, np.arange(length - size + 1)[:, None] + np.arange(size), axis=1)
    newest = g.slice(ids, [length - size + 1], [length], [1])
    heads = g.equal(g.slice(windows, [0], [size - 1], [2]), g.unsqueeze(newest, axes=(1,)))
    repeats = g.reduce_min(g.cast(heads, to="int32"), axes=(2,), keepdims=False)
    tokens = g.squeeze(g.slice(windows, [size - 1], [size], [2]), axes=(2,))
    zeros = g.expand(g.constant(0, "int32"), g.shape(scores))
    forbidden = g.scatter_elements(zeros, tokens, repeats, axis=1, reduction="max")
    return g.select(g.equal(forbidden, 0), scores, -math.inf)


@op("RelativePositionBias")
def relative_position_bias(g: Graph, node: Node) -> Any:
    """The bias of T5 (arXiv 1910.10683): [1, heads, S, S] from a table by binned distance."""
    lengths = [node.constant_ints(index, "the lengths") for index in (1, 2)]
    (queries,), (keys,) = (length or (0,) for length in lengths)
    buckets = node.shape(0)[0]
    if not isinstance(buckets, int):
        raise node.unsupported("the number of bins must be known")
    away = np.arange(keys)[None, :] - np.arange(queries)[:, None]
    bins = np.zeros_like(away)
    if node.flag("is_bidirectional"):
        buckets //= 2
        bins = np.where(away > 0, buckets, 0)
        distance = np.abs(away)
    else:
        distance = np.maximum(-away, 0)
    exact = buckets // 2
    ratio = np.log(np.maximum(distance, 1).astype(np.float32) / exact) / math.log(node.int("max_distance") / exact)
    far = np.minimum(exact + (ratio * (buckets - exact)).astype(np.int64), buckets - 1)
    bins = bins + np.where(distance < exact, distance, far)
    return g.unsqueeze(g.transpose(g.gather(node.input(0), bins, axis=0), permutation=(2, 0, 1)), axes=(0,))


@op("GatedRelativePositionBias")
def gated_relative_position_bias(g: Graph, node: Node) -> Any:
    """A bias by distance, gated by the queries (arXiv 2110.13900): [B, N, S, S]."""
    if node.optional(6) is not None:
        raise node.unsupported("tokens packed without padding are not offered")
    query, query_bias, distances, weight, bias, factor = (node.input(index) for index in range(6))
    q = split_heads(g, node, g.add(query, query_bias), node.int("num_heads"))
    projected = g.add(g.matmul(q, weight), bias)
    halves = g.split(projected, axis=-1, parts=2)
    update, reset = (g.sigmoid(g.reduce_sum(half, axes=(3,), keepdims=True)) for half in halves)
    gate = g.add(g.mul(update, g.sub(g.mul(reset, factor), 1.0)), 2.0)
    return g.mul(gate, distances)
