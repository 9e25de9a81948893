"""Every lowering rule against numpy: odd shapes, symbolic and empty axes, element types, with a compiler or without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mm_backend_cpu import compiler
from mm_backend_cpu.lowering.library import LIBRARY
from mm_backend_cpu.lowering.rules import _GENERATED
from mm_backend_reference import interpret

import mm_core as mm
from mm_core.errors import MMError

Build = Callable[..., Any]
RNG = np.random.default_rng(0)


def const(*shape: int) -> np.ndarray:
    return (RNG.standard_normal(shape) * 0.5).astype(np.float32)


def case(build: Build, *shapes: tuple[int, ...]) -> tuple[Build, tuple[tuple[int, ...], ...]]:
    return build, shapes


UNARY = (
    "neg",
    "abs",
    "sign",
    "floor",
    "ceil",
    "round",
    "exp",
    "erf",
    "sin",
    "cos",
    "tan",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "relu",
    "sigmoid",
    "silu",
    "gelu",
    "leaky_relu",
    "hard_swish",
    "softplus",
    "square",
    "is_nan",
    "is_inf",
    "elu",
    "hard_sigmoid",
    "identity",
    "swish",
    "selu",
    "mish",
    "softsign",
    "log_sigmoid",
)
POSITIVE = ("log", "sqrt", "rsqrt", "acosh", "reciprocal")
SMALL = ("asin", "acos", "atanh")
BINARY = (
    "add",
    "sub",
    "mul",
    "maximum",
    "minimum",
    "equal",
    "less",
    "less_or_equal",
    "fmod",
    "mod",
    "greater",
    "greater_or_equal",
    "min",
)

CASES = {
    **{name: case(lambda g, x, name=name: getattr(g, name)(x), (3, 5, 7)) for name in UNARY},
    **{
        name: case(lambda g, x, name=name: getattr(g, name)(g.add(g.abs(x), np.float32(1.25))), (3, 35))
        for name in POSITIVE
    },
    **{
        name: case(lambda g, x, name=name: getattr(g, name)(g.mul(g.tanh(x), np.float32(0.9))), (5, 9))
        for name in SMALL
    },
    **{name: case(lambda g, x, y, name=name: getattr(g, name)(x, y), (3, 1, 7), (5, 7)) for name in BINARY},
    "div": case(lambda g, x, y: g.div(x, g.add(g.abs(y), np.float32(0.5))), (3, 5), (3, 5)),
    "pow": case(lambda g, x, y: g.pow(g.add(g.abs(x), np.float32(0.5)), y), (3, 5), (5,)),
    "sum": case(lambda g, x, y, z: g.sum(x, y, z), (3, 5), (5,), (3, 1)),
    "mean": case(lambda g, x, y: g.mean(x, y), (3, 5), (3, 5)),
    "max": case(lambda g, x, y: g.max(x, y), (3, 5), (3, 5)),
    "clip": case(lambda g, x: [g.clip(x, -0.2, 0.3), g.clip(x, None, 0.1), g.clip(x, 0.1)], (4, 9)),
    "select": case(lambda g, x, y: g.select(g.less(x, y), x, y), (3, 5, 4), (5, 4)),
    "select constants": case(
        lambda g, x: g.select(g.less(x, np.float32(0)), g.constant(np.int64(7)), g.constant(np.int64(-2))), (3, 5)
    ),
    "logic": case(
        lambda g, x, y: g.logical_or(
            g.logical_not(g.less(x, y)), g.logical_and(g.equal(x, x), g.logical_xor(g.less(x, y), g.less(y, x)))
        ),
        (3, 5),
        (3, 5),
    ),
    "cast": case(lambda g, x: [g.cast(x, to=t) for t in ("float64", "int32", "int8", "bool", "float16")], (3, 11)),
    "transpose": case(lambda g, x: g.relu(g.transpose(x, permutation=(2, 0, 1))), (3, 4, 5)),
    "expand": case(lambda g, x: g.expand(x, np.array([4, 3, 6])), (3, 1)),
    "reverse": case(lambda g, x: g.reverse(x, axes=(0, 2)), (3, 4, 5)),
    "shape": case(lambda g, x: [g.shape(x), g.shape(x, start=1), g.shape(x, start=-2, end=-1)], (3, 4, 5)),
    "flatten": case(
        lambda g, x: [g.flatten(g.transpose(x, permutation=(1, 0, 2)), axis=a) for a in (0, 1, 2)], (3, 4, 5)
    ),
    "squeeze": case(lambda g, x: g.unsqueeze(g.squeeze(x, axes=(1,)), axes=(0, 2)), (3, 1, 5)),
    "slice": case(
        lambda g, x: [
            g.slice(x, [1], [2**62], [0]),
            g.slice(x, [-2], [2**62], [1]),
            g.slice(x, [-9], [3], [1]),
            g.slice(x, [-1], [-(2**62)], [0], [-1]),
            g.slice(x, [9], [-9], [1], [-2]),
            g.slice(x, [2], [9], [2], [2]),
            g.slice(x, [0, 1], [2, -1], [0, 2]),
            g.slice(x, [5], [2], [0]),
        ],
        (3, 4, 7),
    ),
    "split": case(lambda g, x: list(g.split(g.transpose(x, permutation=(1, 0)), np.array([1, 3, 2]), axis=0)), (4, 6)),
    "concat": case(
        lambda g, x, y: [
            g.concat(x, y, x, axis=1),
            g.concat(g.transpose(x, permutation=(0, 2, 1)), g.transpose(y, permutation=(0, 2, 1)), axis=2),
        ],
        (2, 3, 4),
        (2, 5, 4),
    ),
    "pad": case(
        lambda g, x: [
            g.pad(x, np.array([1, 0, 2, 0, 3, 1]), np.float32(7)),
            *(g.pad(x, np.array([0, 1, 2, 0, 1, 1]), mode=mode) for mode in ("reflect", "edge", "wrap")),
        ],
        (2, 3, 5),
    ),
    "gather": case(
        lambda g, x: [
            g.gather(x, np.array([2, 0, -1]), axis=1),
            g.gather(x, np.array(1), axis=0),
            g.gather(x, np.array([[0], [1]])),
            g.gather(g.transpose(x, permutation=(2, 1, 0)), np.array([1]), axis=2),
        ],
        (3, 4, 5),
    ),
    "gather_elements": case(
        lambda g, x: [
            g.gather_elements(x, np.array([[0, 2, 1], [1, -1, 0]]), axis=1),
            g.gather_elements(x, np.array([[0, -2, 1]]), axis=0),
            g.gather_elements(g.transpose(x, permutation=(1, 0)), np.array([[0, 1], [-1, 0]]), axis=0),
            g.gather_elements(g.slice(x, np.array([1]), np.array([3]), np.array([1])), np.array([[1], [-2]]), axis=1),
            g.gather_elements(x, g.cast(g.less(x, 0.0), to=mm.int64), axis=1),
        ],
        (2, 3),
    ),
    "gather_nd": case(lambda g, x: g.gather_nd(x, np.array([[0, 1], [-1, 2]])), (3, 4, 5)),
    "scatter_elements": case(
        lambda g, x: [
            g.scatter_elements(x, np.array([[1, 0, 1]]), const(1, 3), axis=0, reduction=r)
            for r in ("none", "add", "mul", "max", "min")
        ],
        (2, 3),
    ),
    "scatter_nd": case(
        lambda g, x: [g.scatter_nd(x, np.array([[1], [0]]), const(2, 4), reduction=r) for r in ("none", "add")], (3, 4)
    ),
    "tile": case(lambda g, x: g.tile(x, np.array([2, 3])), (3, 4)),
    "iota": case(lambda g, x: g.iota(g.shape(x), axis=1), (3, 4)),
    "reshape": case(
        lambda g, x: [
            g.reshape(x, np.array([6, -1])),
            g.reshape(g.transpose(x, permutation=(1, 0, 2)), np.array([4, 3, -1])),
        ],
        (3, 4, 2),
    ),
    "range": case(lambda g, x: g.range(np.int64(3), np.int64(11), np.int64(2)), (1,)),
    **{
        name: case(
            lambda g, x, name=name: [
                getattr(g, name)(x, axes=axes, keepdims=keep)
                for axes, keep in ((None, True), ((1,), True), ((-1,), False), ((0, 2), False), ((0, 1), True))
            ],
            (3, 4, 5),
        )
        for name in ("reduce_sum", "reduce_mean", "reduce_prod", "reduce_max", "reduce_min", "reduce_l2")
    },
    "argmax": case(lambda g, x: [g.argmax(x, axis=1), g.argmin(x, axis=-1, keepdims=False)], (3, 4, 5)),
    "cumsum": case(lambda g, x: [g.cumsum(x, axis=1), g.cumsum(x, axis=0, exclusive=True, reverse=True)], (3, 4)),
    "topk": case(lambda g, x: list(g.topk(x, np.array([3]), axis=1)), (4, 9)),
    "softmax": case(lambda g, x: [g.softmax(x, axis=a) for a in (0, 1, -1)], (3, 4, 5)),
    "log_softmax": case(lambda g, x: g.log_softmax(g.transpose(x, permutation=(1, 0)), axis=0), (3, 17)),
    "layer_norm": case(
        lambda g, x: [g.layer_norm(x, const(5), const(5)), g.layer_norm(x, const(4, 5), axis=1), g.layer_norm(x)],
        (3, 4, 5),
    ),
    "rms_norm": case(lambda g, x: [g.rms_norm(x, const(5)), g.rms_norm(x, axis=1)], (3, 4, 5)),
    "batch_norm": case(
        lambda g, x: g.batch_norm(x, const(3), const(3), const(3), np.ones(3, np.float32)), (2, 3, 5, 4)
    ),
    "matmul": case(
        lambda g, x, y: [
            g.matmul(x, y),
            g.matmul(x, const(7, 9)),
            g.matmul(g.transpose(y, permutation=(0, 2, 1)), g.transpose(x, permutation=(0, 2, 1))),
        ],
        (2, 5, 7),
        (2, 7, 3),
    ),
    "matmul_vectors": case(
        lambda g, x, y: [g.matmul(x, y), g.matmul(y, g.transpose(x, permutation=(1, 0)))], (5, 7), (7,)
    ),
    "matmul_broadcast": case(lambda g, x, y: g.matmul(x, y), (3, 1, 5, 7), (2, 7, 3)),
    "gemm": case(
        lambda g, x: [
            g.gemm(x, const(6, 9), const(9)),
            g.gemm(x, const(9, 6), const(1, 9), alpha=0.5, trans_b=True),
            g.gemm(x, const(5, 9), const(6, 9), beta=2.0, trans_a=True),
            g.gemm(x, const(6, 9), const(9), beta=0.0),
        ],
        (5, 6),
    ),
    "linear": case(lambda g, x: g.linear(g.transpose(x, permutation=(1, 0, 2)), const(9, 6), const(9)), (3, 5, 6)),
    "conv": case(
        lambda g, x: [
            g.conv(x, const(5, 4, 3, 3), const(5), pads=(1, 1, 1, 1)),
            g.conv(x, const(8, 4, 1, 1), strides=(2, 2)),
            g.conv(x, const(4, 1, 3, 3), group=4, pads=(0, 1, 2, 1)),
            g.conv(x, const(6, 2, 2, 3), group=2, dilations=(2, 1)),
            g.conv(x, const(3, 4, 3, 3), auto_pad="same_upper", strides=(2, 2)),
        ],
        (2, 4, 9, 8),
    ),
    "conv_1d": case(lambda g, x: g.conv(x, const(5, 4, 3), const(5), pads=(1, 0), strides=(2,)), (2, 4, 11)),
    "conv_3d": case(
        lambda g, x: [
            g.conv(x, const(3, 2, 2, 2, 2)),
            g.relu(g.conv(x, const(9, 2, 3, 3, 3), const(9), pads=(1,) * 6, strides=(2, 1, 2))),
            g.conv(g.relu(x), const(4, 1, 1, 3, 3), group=2, pads=(0, 1, 1, 0, 1, 1)),
            g.conv(x, const(5, 2, 1, 1, 1), strides=(2, 2, 1)),
        ],
        (1, 2, 4, 5, 4),
    ),
    "conv_of_a_line": case(
        lambda g, x: [
            g.add(g.relu(g.conv(x, const(9, 9, 3), const(9), pads=(1, 1))), x),
            g.conv(x, const(9, 1, 5), group=9, pads=(2, 2), dilations=(1,)),
            g.conv(x, const(4, 9, 1), strides=(2,)),
        ],
        (2, 9, 11),
    ),
    "conv_transpose": case(
        lambda g, x: [
            g.conv_transpose(x, const(4, 3, 3, 3), const(3), strides=(2, 2), pads=(1, 1, 0, 1)),
            g.conv_transpose(x, const(4, 2, 2, 2), group=2),
            g.conv_transpose(x, const(4, 1, 4, 4), const(4), strides=(2, 2), pads=(1, 1, 1, 1), group=4),
            g.conv_transpose(x, const(4, 20, 1, 1), strides=(2, 3), output_padding=(1, 0)),
        ],
        (2, 4, 5, 6),
    ),
    "conv_transpose_with_what_follows": case(
        lambda g, x: [
            g.add(g.relu(g.conv_transpose(x, const(9, 20, 2, 2), const(20), strides=(2, 2))), const(20, 1, 1)),
            g.sigmoid(g.conv_transpose(x, const(9, 3, 4, 4), const(3), strides=(2, 2), pads=(1, 1, 1, 1))),
        ],
        (2, 9, 5, 6),
    ),
    "conv_transpose_of_a_line": case(
        lambda g, x: [
            g.conv_transpose(x, const(9, 17, 4), strides=(2,), pads=(1, 1)),
            g.conv_transpose(x, const(9, 1, 16), strides=(8,), pads=(4, 4)),
        ],
        (2, 9, 11),
    ),
    "max_pool": case(
        lambda g, x: [
            g.max_pool(x, kernel_shape=(3, 2), strides=(2, 2), pads=(1, 0, 1, 1)),
            g.max_pool(x, kernel_shape=(2, 2), dilations=(2, 2)),
            g.max_pool(x, kernel_shape=(3, 3), strides=(2, 2), ceil_mode=True),
        ],
        (2, 5, 9, 8),
    ),
    "average_pool": case(
        lambda g, x: [
            g.average_pool(x, kernel_shape=(3, 2), pads=(1, 0, 1, 1), count_include_pad=c) for c in (True, False)
        ],
        (2, 5, 9, 8),
    ),
    "pools_of_volumes": case(
        lambda g, x: [
            g.max_pool(x, kernel_shape=(3, 2, 2), strides=(2, 2, 1), pads=(1, 0, 1, 1, 0, 1)),
            g.max_pool(x, kernel_shape=(2, 3, 3), strides=(2, 2, 2), ceil_mode=True, dilations=(2, 1, 1)),
            *(
                g.average_pool(
                    x, kernel_shape=(3, 2, 3), pads=(1, 0, 1, 1, 1, 1), strides=(2, 1, 2),
                    count_include_pad=counted, ceil_mode=ceil,
                )
                for counted in (True, False)
                for ceil in (True, False)
            ),
        ],
        (2, 5, 6, 7, 8),
    ),
    "max_pool_with_indices": case(lambda g, x: list(g.max_pool_with_indices(x, kernel_shape=(2, 2))), (1, 2, 4, 5)),
    "global_pools": case(lambda g, x: [g.global_average_pool(x), g.global_max_pool(x)], (2, 5, 4, 3)),
    "attention": case(
        lambda g, q, k, v: [
            g.attention(q, k, v),
            g.attention(q, k, v, const(1, 1, 5, 7)),
            g.attention(q, k, v, causal=True),
        ],
        (2, 3, 5, 8),
        (2, 3, 7, 8),
        (2, 3, 7, 4),
    ),
    "attention_grouped": case(lambda g, q, k, v: g.attention(q, k, v), (1, 4, 5, 8), (1, 2, 7, 8), (1, 2, 7, 8)),
    "dynamic_quantize": case(
        lambda g, x: [
            *(quantized := g.dynamic_quantize(x)),
            g.matmul_integer(quantized[0], np.arange(30, dtype=np.uint8).reshape(5, 6), quantized[2]),
        ],
        (3, 5),
    ),
    "resize": case(
        lambda g, x: [g.resize(x, np.array([1, 3, 8, 9]), mode=m) for m in ("nearest", "linear")], (1, 3, 4, 5)
    ),
    "resize_of_a_batch": case(
        lambda g, x: [g.resize(x, scales=(2, 1.5), axes=(2, 3), mode=m) for m in ("linear", "cubic")], (3, 2, 4, 5)
    ),
    "bit_cast": case(lambda g, x: g.abs(g.bit_cast(g.bit_cast(x, to="int32"), to="float32")), (3, 5)),
    "random": case(
        lambda g, x: [
            g.add(x, g.random_uniform(g.shape(x), low=-1, high=2, seed=7)),
            g.add(x, g.random_normal(g.shape(x), mean=-1, scale=2, seed=7)),
        ],
        (3, 40),
    ),
    "greedy_nms": case(
        lambda g, boxes, scores: g.greedy_nms(
            g.abs(boxes), scores, np.int64(4), np.float32(0.5), np.float32(-0.5), center_point_box=True
        ),
        (2, 9, 4),
        (2, 3, 9),
    ),
    "quantize": case(
        lambda g, x: g.dequantize(g.quantize(x, np.float32(0.05), np.uint8(7)), np.float32(0.05), np.uint8(7)), (3, 9)
    ),
}


def written(name: str, symbolic: bool, shapes: tuple[tuple[int, ...], ...]) -> mm.Network:
    """The case as a network; with `symbolic`, the first axis of every input of its size has a name."""
    build, _ = CASES[name]
    net = mm.Network(name)
    values = []
    for index, shape in enumerate(shapes):
        dims: list[object] = list(shape)
        if symbolic and shape and shape[0] != 1:
            dims[0] = f"S{shape[0]}"
        values.append(net.add_input(f"x{index}", mm.float32, dims))
    made = build(net, *values)
    for index, value in enumerate(made if isinstance(made, (list, tuple)) else [made]):
        net.mark_output(value, f"y{index}")
    return net


def compare(net: mm.Network, inputs: list[np.ndarray], config: mm.BuilderConfig) -> mm.Model:
    wanted = interpret(net, inputs)
    model = mm.Builder(config).build(net)
    got = model.create_engine(threads=2).create_context().run({f"x{n}": array for n, array in enumerate(inputs)})
    for name, array in zip(net.output_names, wanted, strict=True):
        np.testing.assert_allclose(got[name], array, rtol=1e-4, atol=2e-5, err_msg=name, strict=True)
    return model


def inputs_of(shapes: tuple[tuple[int, ...], ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


@pytest.fixture
def always_generate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "SMALL_WORK", 0)


@pytest.mark.usefixtures("always_generate")
@pytest.mark.parametrize("name", CASES)
def test_generated_and_symbolic(name: str) -> None:
    _, shapes = CASES[name]
    for symbolic in (False, True):
        try:
            net = written(name, symbolic, shapes)
        except MMError:
            assert symbolic, "the case itself is wrong"
            continue  # This operator needs the first axis' size.
        compare(net, inputs_of(shapes), mm.BuilderConfig(backends=["cpu"], strict=not symbolic))


@pytest.mark.parametrize("name", CASES)
def test_the_library_alone(name: str) -> None:
    _, shapes = CASES[name]
    compare(
        written(name, False, shapes), inputs_of(shapes), mm.BuilderConfig(backends=["cpu"], strict=True, opt_level=0)
    )


def has_batch(shapes: tuple[tuple[int, ...], ...]) -> bool:
    """Whether all inputs begin with one and the same axis."""
    return shapes[0][0] != 1 and len({shape[0] for shape in shapes}) == 1


@pytest.mark.parametrize("opt_level", [0, 2])
@pytest.mark.parametrize("name", [name for name, (_, shapes) in CASES.items() if has_batch(shapes)])
def test_an_empty_batch(name: str, opt_level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network for any batch runs on none, wherever numpy does."""
    _, shapes = CASES[name]
    monkeypatch.setattr(compiler, "SMALL_WORK", 0)
    try:
        net = written(name, True, shapes)
    except MMError:
        pytest.skip("needs the size of the first axis")
    empty = inputs_of(tuple((0, *shape[1:]) for shape in shapes))
    try:
        wanted = interpret(net, empty)
    except MMError:
        pytest.skip("numpy refuses an empty operand too")
    ready = (
        mm.Builder(mm.BuilderConfig(backends=["cpu"], opt_level=opt_level)).build(net).create_engine().create_context()
    )
    full = ready.run({f"x{n}": array for n, array in enumerate(inputs_of(shapes))})
    got = ready.run({f"x{n}": array for n, array in enumerate(empty)})
    for index, output in enumerate(net.output_names):
        assert full[output].shape == interpret(net, inputs_of(shapes))[index].shape
        np.testing.assert_allclose(got[output], wanted[index], rtol=1e-4, atol=1e-5, err_msg=output)


def test_every_rule_has_a_case() -> None:
    """A rule that is added without a case is named."""
    networks = [written(name, False, shapes) for name, (_, shapes) in CASES.items()]
    networks += [of_one_type("int32"), of_one_type("float64")]
    used = {operation.name for network in networks for operation in network.walk()}
    assert sorted({*_GENERATED, *LIBRARY} - used) == []


INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def of_one_type(dtype: str) -> mm.Network:
    """Arithmetic, movement, reductions and comparisons of one element type."""
    net = mm.Network(dtype)
    x, y = net.add_input("x0", dtype, ("N", 3, 5)), net.add_input("x1", dtype, (3, 5))
    made = [
        net.add(x, y),
        net.sub(x, y),
        net.mul(x, y),
        net.maximum(x, y),
        net.minimum(x, y),
        net.neg(x),
        net.abs(x),
        net.sign(x),
        net.relu(x),
        net.select(net.less(x, y), x, y),
        net.equal(x, y),
        net.concat(net.transpose(x, permutation=(1, 0, 2)), net.transpose(x, permutation=(1, 0, 2)), axis=0),
        net.reduce_sum(x, axes=(1,)),
        net.reduce_max(x, axes=(0, 2), keepdims=False),
        net.reduce_min(x, axes=(-1,)),
        net.gather(x, np.array([2, 0]), axis=1),
        net.slice(x, [-1], [-9], [2], [-2]),
        net.cumsum(x, axis=1),
        net.argmax(x, axis=1),
        net.reverse(x, axes=(1,)),
        net.pad(x, np.array([0, 1, 0, 1, 0, 2])),
        net.cast(x, to="float32"),
        net.cast(x, to="int64"),
        net.matmul(x, net.transpose(y, permutation=(1, 0))),
    ]
    if dtype in INTEGERS:
        made += [
            net.bitwise_and(x, y),
            net.bitwise_or(x, y),
            net.bitwise_xor(x, y),
            net.bitwise_not(x),
            net.mod(x, net.maximum(y, 1)),
            net.div(x, net.maximum(y, 1)),
            net.fmod(x, net.maximum(y, 1)),
            net.shift_left(x, net.minimum(net.abs(y), 3)),
            net.shift_right(x, net.minimum(net.abs(y), 3)),
        ]
    for index, value in enumerate(made):
        net.mark_output(value, f"{index}:{value.defining_op.name}")
    return net


@pytest.mark.usefixtures("always_generate")
@pytest.mark.parametrize("opt_level", [0, 2])
@pytest.mark.parametrize("dtype", [*INTEGERS, "float16", "bfloat16", "float64"])
def test_other_element_types(dtype: str, opt_level: int) -> None:
    net = of_one_type(dtype)
    rng = np.random.default_rng(0)
    low, high = (0, 100) if dtype.startswith("u") else (-100, 100)
    arrays = [rng.integers(low, high, shape).astype(mm.types.as_dtype(dtype).numpy) for shape in ((4, 3, 5), (3, 5))]
    wanted = interpret(net, arrays)
    config = mm.BuilderConfig(backends=["cpu"], opt_level=opt_level)
    got = mm.Builder(config).build(net).create_engine().create_context().run({"x0": arrays[0], "x1": arrays[1]})
    for name, array in zip(net.output_names, wanted, strict=True):
        assert got[name].dtype == array.dtype, name
        if array.dtype.kind in "iub":
            np.testing.assert_array_equal(got[name], array, err_msg=name)
        else:
            np.testing.assert_allclose(
                got[name].astype(np.float64),
                array.astype(np.float64),
                rtol=1e-2 if array.itemsize == 2 else 1e-5,
                atol=1.0 if array.itemsize == 2 else 1e-4,
                err_msg=name,
            )


SIGNED = ("rsqrt", "sqrt", "reciprocal", "abs")
"""Operators whose zeros have a sign that IEEE 754 prescribes."""


@pytest.mark.usefixtures("always_generate")
@pytest.mark.parametrize("opt_level", [0, 2])
@pytest.mark.parametrize("name", [*SIGNED, "log", "exp", "tanh", "sigmoid", "relu", "sign"])
def test_special_values(name: str, opt_level: int) -> None:
    """Infinities, NaN and signed zeros come out as from numpy, in vectors and in the rest of a row."""
    net = mm.Network(name)
    net.mark_output(getattr(net, name)(net.add_input("x", mm.float32, (29,))), "y")
    values = np.resize(np.array([-np.inf, -1, -0.0, 0, np.inf, 4, np.nan], np.float32), 29)
    (wanted,) = interpret(net, [values])
    config = mm.BuilderConfig(backends=["cpu"], strict=True, opt_level=opt_level)
    got = mm.Builder(config).build(net).create_engine().create_context().run({"x": values})["y"]
    np.testing.assert_allclose(got, wanted, rtol=1e-5)
    if name in SIGNED:
        numbers = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(got[numbers]), np.signbit(wanted[numbers]))
