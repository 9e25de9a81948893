"""Attention found in its expanded form: matmul, scale, mask, softmax, matmul (arXiv 1706.03762).

Exporters scale the scores, or q, or q and k by the root of the factor; they add a mask, or select scores by one; and
they may guard softmax against rows without any key, which `mm.attention` does by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mm_core.ir import Value
from mm_core.passes import Phase, RewritePass
from mm_core.rewrite import (
    Match,
    Pattern,
    PatternBuilder,
    Reason,
    Rewriter,
    Rule,
    Term,
    constant_of,
    shape_of,
    uniform_number,
)
from mm_core.types import Array
from mm_passes_fusion.grouped_heads import grouped_heads

HIDDEN = -1e4
"""A score at or below this weighs nothing beside ordinary ones: exporters write it where they mean minus infinity."""

EPSILON = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23, "float64": 2.0**-52}
"""The distance of 1 to the next number."""

MAX_SCORE = 32.0
"""Scores beyond this do not occur in rows of which anything is expected."""

SCALED = ("q", "k", "kt", "score")


def scaled(p: PatternBuilder, term: Term, name: str) -> Term:
    """The term, or the term times or divided by a constant that is bound to `name` with a suffix."""
    return p.one_of(
        p.mul(term, p.any_constant(f"{name}_factor")), p.div(term, p.any_constant(f"{name}_divisor")), term
    )


def _attention(p: PatternBuilder, q: Term, k: Term, v: Term) -> Term:
    transposed = p.transpose(scaled(p, k, "k"), permutation=p.attribute("permutation"), shared=True)
    scores = scaled(p, p.matmul(scaled(p, q, "q"), scaled(p, transposed, "kt"), name="scores"), "score")
    chosen = p.one_of(
        p.select(p.var("keep"), scores, p.any_constant("fill")),
        p.select(p.var("hide"), p.any_constant("fill"), scores),
        scores,
    )
    weights = p.softmax(p.one_of(p.add(chosen, p.var("mask")), chosen), axis=p.attribute("axis"))
    guarded = p.one_of(p.select(p.is_nan(weights), 0.0, weights), weights)
    return p.matmul(guarded, v)


def _factor(match: Match) -> float | None:
    """The product of all scales; None if one of them is not a single number."""
    total = 1.0
    for name in SCALED:
        for suffix, power in (("factor", 1), ("divisor", -1)):
            if match[f"{name}_{suffix}"] is None:
                continue
            number = match.number(f"{name}_{suffix}")
            if number is None or not np.isfinite(number) or (power < 0 and number == 0):
                return None
            total *= number**power
    return total


def _shape(value: Value | None) -> tuple[Any, ...]:
    return shape_of(value) or ()


def _is_attention(match: Match) -> Reason | None:
    rank = len(_shape(match["q"]))
    if rank not in (3, 4) or any(len(_shape(match[name])) != rank for name in "kv"):
        return "q, k and v are not of rank 3 or 4"
    scores = _shape(match["scores"].result)
    if _shape(match.root.operands[0]) != scores:
        return "the mask broadcasts the scores"
    if match["axis"] not in (-1, rank - 1):
        return "softmax is not over the keys"
    if _factor(match) is None:
        return "a scale is not one number"
    q, k, v = (_shape(match[name]) for name in "qkv")
    order = match["permutation"] or tuple(range(rank))[::-1]
    k = tuple(k[axis] for axis in order)
    if any(a != b for batch in (k, v) for a, b in zip(q[:-2], batch[:-2])) or k[-1] != v[-2]:
        return "q, k and v have different batches, heads or lengths"
    return _is_hiding(match) if match["fill"] is not None else None


def _condition(match: Match) -> tuple[Value | None, bool]:
    """The condition by which scores are selected, and whether it holds for those that are kept."""
    return (match["keep"], True) if match["keep"] is not None else (match["hide"], False)


def _is_hiding(match: Match) -> Reason | None:
    """Whether `mm.attention` with a mask gives what the selection gave, in rows that are hidden altogether too."""
    fill = match.number("fill")
    if fill is None or fill > HIDDEN:
        return "what hidden scores become is not one very negative number"
    # Added to a score, so large a number is the sum: softmax spreads evenly over a hidden row, as it did before.
    if abs(fill) * EPSILON.get(match["q"].type.dtype.name, 0) >= MAX_SCORE:
        return None
    condition, keeps = _condition(match)
    data = constant_of(condition)
    if match["mask"] is None and data is not None and (data.numpy() == keeps).any(axis=-1).all():
        return None
    return f"a row that is hidden altogether by {fill:g} would come out another"


def is_causal(keep: Array, scores: tuple[Any, ...]) -> bool:
    """Whether a bool mask is the lower triangle, aligned at the top left, for all batches and heads alike."""
    if keep.shape[-2:] != scores[-2:] or keep.size != scores[-1] * scores[-2]:
        return False
    return bool((keep.reshape(scores[-2:]) == (np.tri(*scores[-2:]) > 0)).all())


def _number(value: Value | None) -> float | None:
    """The one number that all elements are, seen through `expand` and through `select` with a known condition."""
    maker = None if value is None else value.defining_op
    if maker is not None and maker.name == "mm.expand":
        return _number(maker.operands[0])
    if maker is not None and maker.name == "mm.select":
        condition = _number(maker.operands[0])
        return None if condition is None else _number(maker.operands[1 if condition else 2])
    return uniform_number(value)


def _adds_causal(match: Match, scores: tuple[Any, ...]) -> bool:
    """Whether the mask that is added is constant and does no more than causality."""
    data = constant_of(match["mask"])
    if data is None or not data.dtype.is_float:
        return False
    array = data.numpy().astype(np.float64)
    hidden = array != 0
    if not (array[hidden] <= HIDDEN).all() or (match["fill"] is not None and not np.isneginf(array[hidden]).all()):
        return False
    return is_causal(~hidden, scores)


def _read_mask(g: Rewriter, match: Match, scores: tuple[Any, ...]) -> tuple[bool, Value | None]:
    """Whether attention is causal, and what else masks it: to be selected by or added."""
    causal = _adds_causal(match, scores)
    added: Value | None = None if causal or _number(match["mask"]) == 0 else match["mask"]
    condition, keeps = _condition(match)
    fill = match.number("fill")
    if condition is None or fill is None:
        return causal, added
    data = constant_of(condition)
    # A finite number under a second mask would still weigh something in rows that this one hides altogether.
    if data is not None and (added is None or np.isneginf(fill)) and is_causal(data.numpy() == keeps, scores):
        return True, added
    if np.isneginf(fill) and added is None:
        return causal, condition if keeps else g.logical_not(condition)
    dtype = match["q"].type.dtype.numpy
    choice = (0.0, fill) if keeps else (fill, 0.0)
    extra = g.select(condition, *(g.constant(np.array(number, dtype)) for number in choice))
    return causal, extra if added is None else g.add(added, extra)


def _build(g: Rewriter, q: Value, k: Value, v: Value, match: Match) -> Value:
    rank = len(_shape(q))
    order = match["permutation"] or tuple(range(rank))[::-1]
    order = (*order[:-2], order[-1], order[-2])
    if order != tuple(range(rank)):
        k = g.transpose(k, permutation=order)
    causal, mask = _read_mask(g, match, _shape(match["scores"].result))
    if rank == 3:
        q, k, v = (g.unsqueeze(value, axes=(1,)) for value in (q, k, v))
        if mask is not None and len(_shape(mask)) == 3:
            mask = g.unsqueeze(mask, axes=(1,))
    result: Value = g.attention(q, k, v, mask, scale=_factor(match), causal=causal)
    if rank == 3:
        result = g.squeeze(result, axes=(1,))
    return result


@dataclass(frozen=True)
class RecognizeAttention(RewritePass):
    """`mm.attention` instead of matmul, scale, mask, softmax and matmul, on keys and values before they are repeated.

    A query that a mask of minus infinities keeps from every key then gives zeros, where unguarded softmax gives NaN.
    """

    name: ClassVar[str] = "recognize-attention"
    phase: ClassVar[Phase] = Phase.RECOGNIZE
    after: ClassVar[tuple[str, ...]] = ("recognize-normalizations",)
    opt_level: ClassVar[int] = 2
    rules: ClassVar[tuple[Rule, ...]] = (
        Pattern("attention", _attention, _build, _is_attention),
        grouped_heads,
    )
