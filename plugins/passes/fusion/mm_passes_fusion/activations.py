"""Activations found in their expanded forms, as PyTorch, TensorFlow and Hugging Face models export them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from mm_core.ir import Value
from mm_core.passes import Phase, RewritePass
from mm_core.rewrite import Match, Pattern, PatternBuilder, Reason, Rewriter, Rule, Term


def product(p: PatternBuilder, a: Term | float, b: Term | float, c: Term | float) -> Term:
    """a * b * c, however it is put in parentheses."""
    return p.one_of(p.mul(p.mul(a, b), c), p.mul(p.mul(a, c), b), p.mul(p.mul(b, c), a))


def scaled(p: PatternBuilder, x: Term, factor: float) -> Term:
    """x times a number, or divided by its reciprocal."""
    return p.one_of(p.mul(x, factor), p.div(x, 1 / factor))


def halved_product(p: PatternBuilder, x: Term, gate: Term) -> Term:
    """x / 2 * gate."""
    return p.one_of(product(p, x, 0.5, gate), p.div(p.mul(x, gate), 2.0), p.mul(p.div(x, 2.0), gate))


def _gelu_erf(p: PatternBuilder, x: Term) -> Term:
    complement = p.sub(1.0, p.erf(scaled(p, p.neg(x), math.sqrt(0.5))))  # TensorFlow's erfc(-x / sqrt(2)).
    return halved_product(p, x, p.one_of(p.add(p.erf(scaled(p, x, math.sqrt(0.5))), 1.0), complement))


def _gelu_tanh(p: PatternBuilder, x: Term) -> Term:
    root, cubic = math.sqrt(2 / math.pi), 0.044715
    cube = p.one_of(p.pow(x, 3.0), p.mul(p.mul(x, x), x))
    inner = p.one_of(
        p.mul(p.add(x, p.mul(cube, cubic)), root),
        p.mul(p.add(x, product(p, p.mul(x, x), x, cubic)), root),
        product(p, x, root, p.add(product(p, x, x, cubic), 1.0)),
    )
    return halved_product(p, x, p.add(p.tanh(inner), 1.0))


def _sigmoid(p: PatternBuilder, x: Term) -> Term:
    denominator = p.add(p.exp(p.neg(x)), 1.0)
    return p.one_of(p.div(1.0, denominator), p.reciprocal(denominator))


def _silu(p: PatternBuilder, x: Term) -> Term:
    return p.one_of(p.mul(x, p.sigmoid(x)), p.div(x, p.add(p.exp(p.neg(x)), 1.0)))


def _relu6_of_x_plus_3(p: PatternBuilder, x: Term) -> Term:
    return p.clip(p.add(x, 3.0), 0.0, 6.0)


def _hard_sigmoid(p: PatternBuilder, x: Term) -> Term:
    return scaled(p, _relu6_of_x_plus_3(p, x), 1 / 6)


def _hard_swish(p: PatternBuilder, x: Term) -> Term:
    gate = p.hard_sigmoid(x, alpha=lambda alpha: math.isclose(alpha, 1 / 6, rel_tol=1e-5), beta=0.5)
    return p.one_of(p.mul(x, gate), scaled(p, p.mul(x, _relu6_of_x_plus_3(p, x)), 1 / 6))


def _same_type(match: Match) -> Reason | None:
    return None if match.root.result.type == match["x"].type else "the constant broadcasts the result"


def _limits_are_numbers(match: Match) -> Reason | None:
    given = [name for name in ("low", "high") if match[name] is not None]
    if any(match.number(name) is None for name in given):
        return "a limit is not a single number"
    return _same_type(match)


def _clip_values(g: Rewriter, x: Value, match: Match) -> Value:
    low = 0.0 if match["low"] is None else match.number("low")
    made: Value = g.clip(x, low, match.number("high"))
    return made


PATTERNS: tuple[Rule, ...] = (
    Pattern(
        "clip",
        lambda p, x: p.minimum(
            p.one_of(p.maximum(x, p.any_constant("low")), p.relu(x)), p.any_constant("high")
        ),
        _clip_values,
        _limits_are_numbers,
    ),
    Pattern("relu", lambda p, x: p.maximum(x, 0.0), lambda g, x: g.relu(x), _same_type),
    Pattern("gelu-erf", _gelu_erf, lambda g, x: g.gelu(x)),
    Pattern("gelu-tanh", _gelu_tanh, lambda g, x: g.gelu(x, approximate="tanh")),
    Pattern("sigmoid", _sigmoid, lambda g, x: g.sigmoid(x)),
    Pattern("silu", _silu, lambda g, x: g.silu(x)),
    Pattern(
        "swish",
        lambda p, x: p.mul(x, p.sigmoid(p.mul(x, p.any_constant("alpha")))),
        lambda g, x, match: g.swish(x, alpha=match.number("alpha")),
        lambda match: "the slope is not one number" if match.number("alpha") is None else None,
    ),
    Pattern("hard-sigmoid", _hard_sigmoid, lambda g, x: g.hard_sigmoid(x, alpha=1 / 6, beta=0.5)),
    Pattern("hard-swish", _hard_swish, lambda g, x: g.hard_swish(x)),
    Pattern("mish", lambda p, x: p.mul(x, p.tanh(p.softplus(x))), lambda g, x: g.mish(x)),
)


@dataclass(frozen=True)
class RecognizeActivations(RewritePass):
    """GELU (exact and by tanh), sigmoid, SiLU, hard swish, clip and the like become one operation each."""

    name: ClassVar[str] = "recognize-activations"
    phase: ClassVar[Phase] = Phase.RECOGNIZE
    rules: ClassVar[tuple[Rule, ...]] = PATTERNS
