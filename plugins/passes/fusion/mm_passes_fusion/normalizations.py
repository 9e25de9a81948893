"""Layer normalization, RMS normalization and softmax found in their expanded forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from mm_core.ir import Value
from mm_core.passes import Phase, RewritePass
from mm_core.rewrite import Match, Pattern, PatternBuilder, Reason, Rewriter, Rule, Term, shape_of


def inverse_root(p: PatternBuilder, x: Term, variance: Term) -> Term:
    """x / sqrt(variance + epsilon), as exporters write it; `epsilon` is bound."""
    stable = p.add(variance, p.any_constant("epsilon"))
    root = p.one_of(p.sqrt(stable), p.pow(stable, 0.5))
    factor = p.one_of(p.div(1.0, root), p.reciprocal(root), p.rsqrt(stable), p.pow(stable, -0.5))
    return p.one_of(p.div(x, root), p.mul(x, factor))


def square(p: PatternBuilder, x: Term) -> Term:
    return p.one_of(p.mul(x, x), p.pow(x, 2.0), p.square(x))


def mean(p: PatternBuilder, x: Term, axes: str) -> Term:
    return p.reduce_mean(x, axes=p.attribute(axes), keepdims=True)


def _layer_norm(p: PatternBuilder, x: Term) -> Term:
    centred = p.sub(x, mean(p, x, "axes"))
    again = p.sub(x, mean(p, x, "axes"))
    return p.one_of(
        inverse_root(p, centred, mean(p, square(p, centred), "variance_axes")),
        inverse_root(p, centred, mean(p, square(p, again), "variance_axes")),
    )


def _scaled_and_shifted(p: PatternBuilder, x: Term, scale: Term, bias: Term) -> Term:
    """x * factor + (bias - mean * factor), as TensorFlow writes it; the factor is scale / sqrt(variance + epsilon)."""
    middle = mean(p, x, "axes")
    variance = mean(p, square(p, p.sub(x, middle)), "variance_axes")
    factor = p.mul(p.rsqrt(p.add(variance, p.any_constant("epsilon"))), scale)
    shift = p.one_of(p.add(p.mul(p.neg(middle), factor), bias), p.sub(bias, p.mul(middle, factor)))
    return p.add(p.mul(x, factor), shift)


def _rms_norm(p: PatternBuilder, x: Term) -> Term:
    return inverse_root(p, x, mean(p, square(p, x), "axes"))


def trailing_axis(match: Match) -> int | None:
    """The first of the axes if they are all from there to the last, as a negative number; else None."""
    shape = shape_of(match["x"])
    axes = match["axes"]
    if shape is None or not axes:
        return None
    normal = sorted(axis % len(shape) for axis in axes)
    return normal[0] - len(shape) if normal == list(range(normal[0], len(shape))) else None


def _normalizes(match: Match) -> Reason | None:
    if trailing_axis(match) is None:
        return "the axes are not the last ones"
    if match["variance_axes"] is not None and sorted(match["variance_axes"]) != sorted(match["axes"]):
        return "mean and variance are over different axes"
    epsilon = match.number("epsilon")
    return None if epsilon is not None and epsilon >= 0 else "epsilon is not one number"


def _parameter_fits(match: Match) -> Reason | None:
    """A scale or shift has the shape of the normalized axes, so that it is one for each of their elements."""
    norm = match["norm"]
    shape, parameter = shape_of(norm.operands[0]), shape_of(match["parameter"])
    if shape is None or parameter is None:
        return "a rank is unknown"
    count = -norm.attributes["axis"] if norm.attributes["axis"] < 0 else len(shape) - norm.attributes["axis"]
    return None if parameter == shape[-count:] else "the parameter is not one for each normalized element"


def _parameters_lie_along(match: Match) -> Reason | None:
    """Both parameters have the shape of the normalized axes, whatever axes of size 1 are before these."""
    problem = _normalizes(match)
    if problem is not None:
        return problem
    normalized = shape_of(match["x"])[trailing_axis(match) :]  # type: ignore[index]
    for name in ("scale", "bias"):
        shape = shape_of(match[name])
        if shape is None or shape[-len(normalized) :] != normalized or set(shape[: -len(normalized)]) - {1}:
            return f"the {name} is not one for each normalized element"
    return None


def _layer_norm_of(g: Rewriter, x: Value, scale: Value, bias: Value, match: Match) -> Value:
    axis = trailing_axis(match)
    normalized = shape_of(x)[axis:]  # type: ignore[index]
    parameters = [
        parameter if shape_of(parameter) == normalized else g.reshape(parameter, normalized)
        for parameter in (scale, bias)
    ]
    made: Value = g.layer_norm(x, *parameters, axis=axis, epsilon=match.number("epsilon"))
    return made


def _with(norm: str, position: int) -> Any:
    """A replacement that gives a normalization one more operand."""

    def build(g: Rewriter, parameter: Value, match: Match) -> Value:
        before = match["norm"]
        operands = [*before.operands, None, None][:position]
        made: Value = g.op(norm, *operands, parameter, **before.attributes)
        return made

    return build


def _softmax(p: PatternBuilder, x: Term) -> Term:
    powers = p.exp(p.sub(x, p.reduce_max(x, axes=p.attribute("axes"), keepdims=True)))
    total = p.reduce_sum(powers, axes=p.attribute("axes"), keepdims=True)
    return p.one_of(p.div(powers, total), p.mul(powers, p.reciprocal(total)))


def _log_softmax(p: PatternBuilder, x: Term) -> Term:
    shifted = p.sub(x, p.reduce_max(x, axes=p.attribute("axes"), keepdims=True))
    return p.sub(shifted, p.log(p.reduce_sum(p.exp(shifted), axes=p.attribute("axes"), keepdims=True)))


def _one_axis(match: Match) -> Reason | None:
    axes = match["axes"]
    return None if axes is not None and len(axes) == 1 else "more than one axis"


PATTERNS: tuple[Rule, ...] = (
    Pattern(
        "layer-norm",
        _layer_norm,
        lambda g, x, match: g.layer_norm(x, axis=trailing_axis(match), epsilon=match.number("epsilon")),
        _normalizes,
    ),
    Pattern("layer-norm-shifted", _scaled_and_shifted, _layer_norm_of, _parameters_lie_along),
    Pattern(
        "layer-norm-scale",
        lambda p, x, parameter: p.mul(p.layer_norm(x, name="norm"), parameter),
        _with("mm.layer_norm", 1),
        _parameter_fits,
    ),
    Pattern(
        "layer-norm-bias",
        lambda p, x, parameter: p.add(
            p.one_of(p.layer_norm(x, name="norm"), p.layer_norm(x, p.var("scale"), name="norm")), parameter
        ),
        _with("mm.layer_norm", 2),
        _parameter_fits,
    ),
    Pattern(
        "rms-norm",
        _rms_norm,
        lambda g, x, match: g.rms_norm(x, axis=trailing_axis(match), epsilon=match.number("epsilon")),
        _normalizes,
    ),
    Pattern(
        "rms-norm-scale",
        lambda p, x, parameter: p.mul(p.rms_norm(x, name="norm"), parameter),
        _with("mm.rms_norm", 1),
        _parameter_fits,
    ),
    Pattern("softmax", _softmax, lambda g, x, axes: g.softmax(x, axis=axes[0]), _one_axis),
    Pattern("log-softmax", _log_softmax, lambda g, x, axes: g.log_softmax(x, axis=axes[0]), _one_axis),
)


@dataclass(frozen=True)
class RecognizeNormalizations(RewritePass):
    """`mm.layer_norm`, `mm.rms_norm`, `mm.softmax` and `mm.log_softmax` instead of reductions and arithmetic."""

    name: ClassVar[str] = "recognize-normalizations"
    phase: ClassVar[Phase] = Phase.RECOGNIZE
    rules: ClassVar[tuple[Rule, ...]] = PATTERNS
