"""Attention whose keys and values were repeated for groups of query heads (arXiv 2305.13245) reads them unrepeated."""

from __future__ import annotations

from mm_core.ir import Operation, Value
from mm_core.rewrite import Reason, Rewriter, rule, shape_of


@rule("mm.attention")
def grouped_heads(rewriter: Rewriter, operation: Operation) -> Reason | None:
    """`mm.attention` serves neighbouring query heads by one head of keys and values."""
    q, k, v, *rest = operation.operands
    few_k, few_v = _unrepeated(k), _unrepeated(v)
    if few_k is None or few_v is None:
        return None
    if shape_of(few_k)[1] != shape_of(few_v)[1]:  # type: ignore[index]
        return "keys and values are repeated differently"
    rewriter.replace(operation, [rewriter.attention(q, few_k, few_v, *rest, **operation.attributes)])
    return None


def _unrepeated(value: Value | None) -> Value | None:
    """The [batch, heads, length, size] of which each head was repeated by unsqueeze, expand and reshape, if any was."""
    joined = None if value is None else value.defining_op
    repeated = None if joined is None or joined.name != "mm.reshape" else _maker(joined)
    single = None if repeated is None or repeated.name != "mm.expand" else _maker(repeated)
    if joined is None or repeated is None or single is None or single.name not in ("mm.reshape", "mm.unsqueeze"):
        return None
    shapes = [shape_of(made) for made in (single.operands[0], single.result, repeated.result, joined.result)]
    few, one, several, many = ((*shape,) if shape is not None else () for shape in shapes)
    if len(few) != 4 or len(many) != 4 or many[0] != few[0] or many[2:] != few[2:]:
        return None
    if one != (*few[:2], 1, *few[2:]) or several != (*few[:2], several[2], *few[2:]):
        return None
    return single.operands[0]


def _maker(operation: Operation) -> Operation | None:
    """What makes the first operand."""
    return None if operation.operands[0] is None else operation.operands[0].defining_op
