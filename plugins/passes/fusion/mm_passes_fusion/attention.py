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
from mm_core.rewrite import Match, Pattern, PatternBuilder, Reason, Rewriter, Rule, Term, constant_of, shape_of
from mm_core.types import Array

HIDDEN = -1e4
"""A score at or below this weighs nothing beside ordinary ones: exporters write it where they mean minus infinity."""

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
    if match["fill"] is not None:
        fill = match.number("fill")
        if fill is None or fill > HIDDEN:
            return "what hidden scores become is not one very negative number"
    return None


def is_causal(keep: Array, length: Any, count: Any) -> bool:
    """Whether a bool mask of the last two axes is the lower triangle, aligned at the top left."""
    if keep.shape[-2:] != (length, count) or keep.size != keep.shape[-1] * keep.shape[-2]:
        return False
    return bool((keep.reshape(keep.shape[-2:]) == (np.tri(*keep.shape[-2:]) > 0)).all())


@dataclass
class _Mask:
    """What is known of the mask: causal, or values to be selected by and added."""

    causal: bool = False
    keep: Value | None = None
    added: Value | None = None


def _read_mask(g: Rewriter, match: Match, length: Any, count: Any) -> _Mask:
    mask = _Mask(added=match["mask"])
    data = constant_of(mask.added)
    if data is not None and data.dtype.is_float:
        array = data.numpy().astype(np.float64)
        if ((array == 0) | (array <= HIDDEN)).all() and is_causal(array == 0, length, count):
            mask = _Mask(causal=True)
    condition = match["keep"] if match["keep"] is not None else match["hide"]
    if condition is None:
        return mask
    data = constant_of(condition)
    if data is not None:
        keep = data.numpy() if match["keep"] is not None else ~data.numpy()
        if is_causal(keep, length, count):
            mask.causal = True
            return mask
    fill = match.number("fill")
    assert fill is not None
    if np.isneginf(fill) and mask.added is None:
        mask.keep = condition if match["keep"] is not None else g.logical_not(condition)
        return mask
    # Rows that are hidden altogether keep their finite scores: softmax spreads evenly over them.
    choice = (0.0, fill) if match["keep"] is not None else (fill, 0.0)
    dtype = match["q"].type.dtype
    extra = g.select(condition, *(g.constant(np.array(number, dtype.numpy)) for number in choice))
    mask.added = extra if mask.added is None else g.add(mask.added, extra)
    return mask


def _build(g: Rewriter, q: Value, k: Value, v: Value, match: Match) -> Value:
    rank = len(_shape(q))
    order = match["permutation"] or tuple(range(rank))[::-1]
    order = (*order[:-2], order[-1], order[-2])
    if order != tuple(range(rank)):
        k = g.transpose(k, permutation=order)
    mask = _read_mask(g, match, *_shape(match["scores"].result)[-2:])
    chosen = mask.keep if mask.keep is not None else mask.added
    if rank == 3:
        q, k, v = (g.unsqueeze(value, axes=(1,)) for value in (q, k, v))
        if chosen is not None and len(_shape(chosen)) == 3:
            chosen = g.unsqueeze(chosen, axes=(1,))
    result: Value = g.attention(q, k, v, chosen, scale=_factor(match), causal=mask.causal)
    if rank == 3:
        result = g.squeeze(result, axes=(1,))
    return result


@dataclass(frozen=True)
class RecognizeAttention(RewritePass):
    """`mm.attention` instead of matmul, scale, mask, softmax and matmul.

    A query that a mask of minus infinities keeps from every key then gives zeros, where unguarded softmax gives NaN.
    """

    name: ClassVar[str] = "recognize-attention"
    phase: ClassVar[Phase] = Phase.RECOGNIZE
    after: ClassVar[tuple[str, ...]] = ("recognize-normalizations",)
    opt_level: ClassVar[int] = 2
    rules: ClassVar[tuple[Rule, ...]] = (Pattern("attention", _attention, _build, _is_attention),)
