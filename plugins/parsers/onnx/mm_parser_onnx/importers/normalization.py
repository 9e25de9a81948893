"""Normalizations, and dropout, which at inference is none."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME
from mm_parser_onnx.node import Node
from mm_parser_onnx.sizes import size_of
from mm_parser_onnx.table import Family

FAMILY = Family()
op = FAMILY.op
_FLOAT = 1


@op("BatchNormalization")
def batch_norm_1(g: Graph, node: Node) -> Any:
    """At inference the statistics given are used, whatever `is_test` says, unless new ones are asked for."""
    node.ignore("consumed_inputs", "is_test", "momentum")
    if not node.flag("spatial", True):
        raise node.unsupported("statistics for each activation (spatial=0) are not offered")
    return _batch_norm(g, node, *node.operands())


@op("BatchNormalization", since=14)
def batch_norm_14(g: Graph, node: Node) -> Any:
    x, scale, bias, mean, variance = node.operands()
    momentum = node.float("momentum", 0.9)
    if not node.flag("training_mode"):
        return _batch_norm(g, node, x, scale, bias, mean, variance)
    axes = tuple(axis for axis in range(node.rank()) if axis != 1)
    own_mean = g.reduce_mean(x, axes=axes, keepdims=False)
    centred = g.sub(x, g.reduce_mean(x, axes=axes, keepdims=True))
    own_variance = g.reduce_mean(g.mul(centred, centred), axes=axes, keepdims=False)
    statistics = [
        g.add(g.mul(old, momentum), g.mul(g.cast_like(new, old), 1 - momentum))
        for old, new in ((mean, own_mean), (variance, own_variance))
    ]
    return _batch_norm(g, node, x, scale, bias, own_mean, own_variance), *statistics


def _batch_norm(g: Graph, node: Node, x: Value, *vectors: Value) -> Value:
    widest = max((vector.type.dtype for vector in vectors), key=lambda dtype: dtype.bits)  # type: ignore[union-attr]
    same = [v if v.type.dtype is widest else g.cast(v, to=widest) for v in vectors]  # type: ignore[union-attr]
    return g.batch_norm(x, *same, epsilon=node.float("epsilon", 1e-5))  # type: ignore[no-any-return]


@op("InstanceNormalization")
def instance_norm(g: Graph, node: Node) -> Any:
    node.ignore("consumed_inputs")
    return g.instance_norm(*node.operands(), epsilon=node.float("epsilon", 1e-5))


def _check_stash(node: Node) -> None:
    """The type in which means are computed: ours is float32 or wider."""
    if node.int("stash_type", _FLOAT) != _FLOAT:
        raise node.unsupported("stash_type must be 1 (float)")


@op("LayerNormalization")
def layer_norm(g: Graph, node: Node) -> Any:
    _check_stash(node)
    axis, epsilon = node.axis(default=-1), node.float("epsilon", 1e-5)
    y = g.layer_norm(node.input(0), node.input(1), node.optional(2), axis=axis - node.rank(), epsilon=epsilon)
    if node.result_count < 2:
        return y
    x = g.cast(node.input(), to="float32")
    axes = tuple(range(axis, node.rank()))
    mean = g.reduce_mean(x, axes=axes, keepdims=True)
    centred = g.sub(x, mean)
    variance = g.reduce_mean(g.mul(centred, centred), axes=axes, keepdims=True)
    return y, mean, g.rsqrt(g.add(variance, epsilon))


@op("RMSNormalization")
def rms_norm(g: Graph, node: Node) -> Any:
    _check_stash(node)
    x, scale = node.input(0), node.input(1)
    axis = node.axis(default=-1) - node.rank()
    if node.type(0).dtype is not node.type(1).dtype:
        return NotImplemented
    return g.rms_norm(x, scale, axis=axis, epsilon=node.float("epsilon", 1e-5))


@op("GroupNormalization")
def group_norm_18(g: Graph, node: Node) -> Any:
    """Before version 21 scale and bias are one for each group."""
    groups, channels = node.int("num_groups", 1), size_of(g, node.input(), 1)
    if not isinstance(channels, int) or channels % groups:
        raise node.unsupported("the number of channels must be known, and a multiple of num_groups")
    scale, bias = (
        g.reshape(g.expand(g.reshape(node.input(index), [groups, 1]), [groups, channels // groups]), [channels])
        for index in (1, 2)
    )
    return g.group_norm(node.input(), scale, bias, num_groups=groups, epsilon=node.float("epsilon", 1e-5))


@op("GroupNormalization", since=21)
def group_norm_21(g: Graph, node: Node) -> Any:
    _check_stash(node)
    return g.group_norm(*node.operands(), num_groups=node.int("num_groups", 1), epsilon=node.float("epsilon", 1e-5))


@op("LpNormalization")
def lp_norm(g: Graph, node: Node) -> Any:
    return g.lp_norm(node.input(), axis=node.int("axis", -1), p=node.int("p", 2))


@op("MeanVarianceNormalization")
def mean_variance_norm(g: Graph, node: Node) -> Any:
    return g.mean_variance_norm(node.input(), axes=node.ints("axes", (0, 2, 3)))


@op("LRN")
def local_response_norm(g: Graph, node: Node) -> Any:
    return g.local_response_norm(
        node.input(),
        size=node.int("size", 1),
        alpha=node.float("alpha", 1e-4),
        beta=node.float("beta", 0.75),
        bias=node.float("bias", 1.0),
    )


@op("Dropout")
def dropout_1(g: Graph, node: Node) -> Any:
    """Before version 12 nothing but the attributes tells training from inference: this is inference."""
    node.ignore("ratio", "is_test", "consumed_inputs")
    return _no_dropout(g, node, node.type().dtype if node.version < 10 else BY_NAME["bool"])


@op("Dropout", since=12)
def dropout_12(g: Graph, node: Node) -> Any:
    seed = node.int("seed")
    if is_inference(node, 2):
        return _no_dropout(g, node, BY_NAME["bool"])
    return g.dropout(*(node.optional(index) for index in range(3)), seed=seed)


def is_inference(node: Node, index: int) -> bool:
    """Whether the operand that asks for training is absent, or known to be false."""
    if node.optional(index) is None:
        return True
    training = node.constant(index)
    return training is not None and not training.any()


def _no_dropout(g: Graph, node: Node, mask: Any) -> Any:
    x = node.input()
    if not node.wants(1):
        return g.identity(x)
    return g.identity(x), g.expand(g.constant(1, mask), g.shape(x))
