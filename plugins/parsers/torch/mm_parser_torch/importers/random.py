"""Random numbers: of the same distribution as PyTorch's, not the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mm_core.ir import Graph, Value
from mm_parser_torch.call import Call, cast, dtype
from mm_parser_torch.sizes import Size, sizes_of, vector
from mm_parser_torch.table import Family

FAMILY = Family()
op = FAMILY.op


def _uniform(g: Graph, sizes: Sequence[Size]) -> Any:
    return g.random_uniform(vector(g, sizes))


def _normal(g: Graph, sizes: Sequence[Size]) -> Any:
    return g.random_normal(vector(g, sizes))


@op("rand")
def rand(g: Graph, call: Call, sizes: Sequence[Size], *ignored: Any) -> Any:
    return cast(g, _uniform(g, sizes), call.dtype())


@op("randn")
def randn(g: Graph, call: Call, sizes: Sequence[Size], *ignored: Any) -> Any:
    return cast(g, _normal(g, sizes), call.dtype())


@op("rand_like")
def rand_like(g: Graph, call: Call, x: Value, *ignored: Any) -> Any:
    return cast(g, _uniform(g, sizes_of(g, x)), call.dtype())


@op("randn_like")
def randn_like(g: Graph, call: Call, x: Value, *ignored: Any) -> Any:
    return cast(g, _normal(g, sizes_of(g, x)), call.dtype())


@op("randperm")
def randperm(g: Graph, call: Call, count: Size, *ignored: Any) -> Any:
    """The order of random numbers."""
    sizes = vector(g, [count])
    return cast(g, g.topk(g.random_uniform(sizes, dtype="float64"), sizes, axis=0)[1], call.dtype())


@op("randint", "randint.low")
def randint(g: Graph, call: Call, *arguments: Any) -> Any:
    low, high, sizes = (0, *arguments[:2]) if call.overload == "default" else arguments[:3]
    numbers = g.random_uniform(vector(g, sizes), low=float(low), high=float(high), dtype="float64")
    return cast(g, g.floor(numbers), call.dtype())


@op("native_dropout")
def native_dropout(g: Graph, call: Call, x: Value, probability: float, train: bool | None) -> Any:
    """While training, elements fall out and the others grow; else all stay."""
    if train is False or probability == 0:
        return g.identity(x), g.cast(g.equal(x, x), to="bool") if call.wants(1) else None
    kept = g.greater_or_equal(_uniform(g, sizes_of(g, x)), float(probability))
    scale = 0.0 if probability == 1 else 1 / (1 - probability)
    return g.mul(x, g.mul(g.cast(kept, to=dtype(x)), scale)), kept


@op("bernoulli.p", "bernoulli")
def bernoulli(g: Graph, call: Call, x: Value, *probability: float) -> Any:
    drawn = _uniform(g, sizes_of(g, x))
    limit = float(probability[0]) if probability else g.cast(x, to="float32")
    return g.cast(g.less(drawn, limit), to=call.dtype())
