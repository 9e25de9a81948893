"""Random networks: views of views, layouts side by side, several outputs; the CPU's results against numpy's.

Every network is made from a seed, so a failure names the seed that repeats it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from mm_backend_cpu import compiler
from mm_backend_reference import interpret

import mm_core as mm
from mm_core.compiler import No, Yes
from mm_core.errors import CompileError
from mm_core.ir import Operation
from mm_core.types import evaluate_int

Array = np.ndarray


class Author:
    """Writes a random network over values of known shapes; symbolic dimensions are named, their sizes known here."""

    def __init__(self, seed: int, *, symbolic: bool = False) -> None:
        self.rng = np.random.default_rng(seed)
        self.network = mm.Network(f"random{seed}")
        self.inputs: dict[str, Array] = {}
        self.values: list[mm.Value] = []
        self.symbolic = symbolic
        self.sizes: dict[str, int] = {}

    def pick(self, *choices: object) -> object:
        return choices[int(self.rng.integers(len(choices)))]

    def integer(self, least: int, largest: int) -> int:
        return int(self.rng.integers(least, largest + 1))

    def array(self, *shape: int) -> Array:
        return (self.rng.standard_normal(shape) * 0.5).astype(np.float32)

    def add_input(self, shape: tuple[int, ...]) -> None:
        name = f"x{len(self.inputs)}"
        dims: list[int | str] = list(shape)
        for axis, size in enumerate(shape):
            if self.symbolic and self.rng.random() < 0.5:
                symbol = f"S{size}"  # One name for each size: what fits with numbers fits with symbols.
                self.sizes[symbol] = size
                dims[axis] = symbol
        self.inputs[name] = self.array(*shape)
        self.values.append(self.network.add_input(name, mm.float32, dims))

    def some(self, *, rank: int | None = None, least: int = 0) -> mm.Value | None:
        fitting = [
            v for v in self.values
            if len(v.type.shape) >= least and (rank is None or len(v.type.shape) == rank)
        ]  # fmt: skip
        if not fitting:
            return None
        # What was made last is read most, so that chains get long.
        weights = np.arange(1, len(fitting) + 1, dtype=np.float64) ** 2
        return fitting[int(self.rng.choice(len(fitting), p=weights / weights.sum()))]

    def grow(self, count: int) -> None:
        """Append up to `count` operations and mark outputs."""
        for _ in range(count):
            made = RECIPES[int(self.rng.integers(len(RECIPES)))](self)
            for value in made or ():
                if all(type(dim) is not int or dim <= 512 for dim in value.type.shape):
                    self.values.append(value)
        fresh = [value for value in self.values if not value.is_used]
        extra = [value for value in self.values if self.rng.random() < 0.15]
        for index, value in enumerate(dict.fromkeys([*fresh, *extra])):
            self.network.mark_output(value, f"y{index}")


Recipe = Callable[[Author], "list[mm.Value] | None"]
RECIPES: list[Recipe] = []


def recipe(function: Recipe) -> Recipe:
    RECIPES.append(function)
    return function


def static(value: mm.Value) -> bool:
    return all(type(dim) is int for dim in value.type.shape)


@recipe
def unary(author: Author) -> list[mm.Value] | None:
    x = author.some()
    name = author.pick("relu", "tanh", "sigmoid", "neg", "abs", "silu", "gelu", "hard_swish", "erf", "square")
    return [getattr(author.network, str(name))(x)]


@recipe
def binary(author: Author) -> list[mm.Value] | None:
    """Two operands of equal shapes, or a constant that broadcasts."""
    net, x = author.network, author.some()
    name = str(author.pick("add", "sub", "mul", "maximum", "minimum"))
    partners = [v for v in author.values if v.type.shape == x.type.shape]
    if author.rng.random() < 0.5:
        y = partners[int(author.rng.integers(len(partners)))]
    else:
        shape = [dim if type(dim) is int and author.rng.random() < 0.6 else 1 for dim in x.type.shape]
        y = net.constant(author.array(*shape[author.integer(0, len(shape)) :]))
    return [getattr(net, name)(*((x, y) if author.rng.random() < 0.5 else (y, x)))]


@recipe
def broadcast_of_a_reduction(author: Author) -> list[mm.Value] | None:
    x = author.some(least=1)
    if x is None or 0 in x.type.shape:
        return None
    axis = author.integer(0, len(x.type.shape) - 1)
    name = str(author.pick("reduce_sum", "reduce_mean", "reduce_max", "reduce_min"))
    return [author.network.sub(x, getattr(author.network, name)(x, axes=(axis,), keepdims=True))]


@recipe
def reduction(author: Author) -> list[mm.Value] | None:
    x = author.some(least=2)
    if x is None or 0 in x.type.shape:
        return None
    rank = len(x.type.shape)
    axes = tuple(axis for axis in range(rank) if author.rng.random() < 0.4) or (rank - 1,)
    name = str(author.pick("reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_l2"))
    return [getattr(author.network, name)(x, axes=axes, keepdims=bool(author.pick(True, False)))]


@recipe
def transpose(author: Author) -> list[mm.Value] | None:
    x = author.some(least=2)
    return None if x is None else [
        author.network.transpose(x, permutation=tuple(author.rng.permutation(len(x.type.shape)).tolist()))
    ]


@recipe
def reshape(author: Author) -> list[mm.Value] | None:
    """Split one axis, or join two neighbours."""
    net, x = author.network, author.some(least=1)
    if x is None:
        return None
    shape = list(x.type.shape)
    axis = author.integer(0, len(shape) - 1)
    if not static(x):
        if author.rng.random() < 0.5 or len(shape) < 2:
            return [net.unsqueeze(x, axes=(axis,))]
        return [net.flatten(x, axis=axis)]
    if author.rng.random() < 0.5 and len(shape) < 5:
        size = shape[axis]
        factors = [n for n in range(1, size + 1) if size % n == 0] or [1]
        factor = int(author.rng.choice(factors))
        shape[axis : axis + 1] = [factor, size // factor]
    elif len(shape) > 1:
        axis = min(axis, len(shape) - 2)
        shape[axis : axis + 2] = [shape[axis] * shape[axis + 1]]
    return [net.reshape(x, np.array(shape, np.int64))]


@recipe
def cut(author: Author) -> list[mm.Value] | None:
    x = author.some(least=1)
    if x is None:
        return None
    axis = author.integer(0, len(x.type.shape) - 1)
    step = int(author.pick(1, 1, 1, 2, -1, -2))
    start, end = author.integer(-3, 2), int(author.pick(2**31, 4, -1))
    if step < 0:
        start, end = int(author.pick(-1, 3, 2**31)), int(author.pick(-(2**31), 0))
    return [
        author.network.slice(x, np.array([start]), np.array([end]), np.array([axis]), np.array([step]))
    ]


@recipe
def split(author: Author) -> list[mm.Value] | None:
    x = author.some(least=1)
    if x is None:
        return None
    axes = [a for a, dim in enumerate(x.type.shape) if type(dim) is int and dim >= 2]
    if not axes:
        return None
    axis = int(author.rng.choice(axes))
    first = author.integer(0, x.type.shape[axis])
    return list(author.network.split(x, np.array([first, x.type.shape[axis] - first]), axis=axis))


@recipe
def concat(author: Author) -> list[mm.Value] | None:
    x = author.some(least=1)
    if x is None:
        return None
    partners = [v for v in author.values if v.type.shape == x.type.shape]
    others = [partners[int(author.rng.integers(len(partners)))] for _ in range(author.integer(1, 2))]
    return [author.network.concat(x, *others, axis=author.integer(0, len(x.type.shape) - 1))]


@recipe
def pad(author: Author) -> list[mm.Value] | None:
    x = author.some(least=1)
    if x is None:
        return None
    pads = author.rng.integers(0, 3, 2 * len(x.type.shape))
    return [author.network.pad(x, pads.astype(np.int64), np.float32(0.25))]


@recipe
def gather(author: Author) -> list[mm.Value] | None:
    x = author.some(least=1)
    if x is None:
        return None
    axes = [a for a, dim in enumerate(x.type.shape) if type(dim) is int and dim > 0]
    if not axes:
        return None
    axis = int(author.rng.choice(axes))
    size = x.type.shape[axis]
    shape = author.pick((), (1,), (3,), (2, 2))
    indices = author.rng.integers(-size, size, shape)
    return [author.network.gather(x, np.asarray(indices, np.int64), axis=axis)]


@recipe
def expand(author: Author) -> list[mm.Value] | None:
    x = author.some(least=1)
    if x is None or not static(x) or len(x.type.shape) > 4:
        return None
    shape = [3 if dim == 1 else dim for dim in x.type.shape]
    return [author.network.expand(x, np.array([*([2] * author.integer(0, 1)), *shape], np.int64))]


@recipe
def select(author: Author) -> list[mm.Value] | None:
    net, x = author.network, author.some()
    return [net.select(net.less(x, net.constant(np.float32(0.1))), x, net.mul(x, np.float32(0.5)))]


@recipe
def along_an_axis(author: Author) -> list[mm.Value] | None:
    x = author.some(least=1)
    if x is None or 0 in x.type.shape:
        return None
    name = str(author.pick("softmax", "log_softmax", "cumsum", "layer_norm", "rms_norm"))
    return [getattr(author.network, name)(x, axis=author.integer(-len(x.type.shape), len(x.type.shape) - 1))]


@recipe
def matmul(author: Author) -> list[mm.Value] | None:
    net, x = author.network, author.some(least=2)
    if x is None or 0 in x.type.shape:
        return None
    if author.rng.random() < 0.4:
        rank = len(x.type.shape)
        return [net.matmul(x, net.transpose(x, permutation=(*range(rank - 2), rank - 1, rank - 2)))]
    inner = x.type.shape[-1]
    if type(inner) is not int:
        return None
    outputs = author.integer(1, 20)
    if author.rng.random() < 0.5:
        return [net.linear(x, author.array(outputs, inner), author.array(outputs))]
    return [net.matmul(x, author.array(inner, outputs))]


@recipe
def image(author: Author) -> list[mm.Value] | None:
    """A convolution, a transposed one or a pool, over three or four axes."""
    net = author.network
    x = author.some(rank=int(author.pick(3, 4, 4)))
    if x is None or type(x.type.shape[1]) is not int:
        return None
    sizes = [evaluate_int(dim, author.sizes) for dim in x.type.shape]
    if sizes[0] == 0 or min(sizes[1:]) < 2:
        return None
    spatial = len(x.type.shape) - 2
    channels = x.type.shape[1]
    pads = tuple(author.integer(0, 1) for _ in range(2 * spatial))
    strides = tuple(author.integer(1, 2) for _ in range(spatial))
    kind = author.pick("conv", "conv", "conv", "conv_transpose", "max_pool", "average_pool", "global_average_pool")
    if kind == "global_average_pool":
        return [net.global_average_pool(x)]
    if kind == "conv_transpose":
        kernel = tuple(author.integer(stride, 4) for stride in strides)
        weights = author.array(channels, author.integer(1, 20), *kernel)
        return [net.relu(net.conv_transpose(x, weights, strides=strides))]
    if kind != "conv":
        return [getattr(net, str(kind))(x, kernel_shape=(2,) * spatial, strides=strides, pads=pads)]
    group = int(author.pick(1, channels)) if channels > 1 else 1
    outputs = author.integer(1, 3) * group
    kernel = tuple(author.integer(1, 2) for _ in range(spatial))
    bias = author.array(outputs) if author.rng.random() < 0.5 else None
    y = net.conv(x, author.array(outputs, channels // group, *kernel), bias, strides=strides, pads=pads, group=group)
    return [net.relu(y) if author.rng.random() < 0.5 else y]


SHAPES = ((2, 3, 5, 4), (1, 8, 6, 6), (3, 7), (5,), (2, 1, 9), (4, 3, 6), (1, 1, 1, 5), ())


def make(seed: int, *, symbolic: bool, length: int = 12) -> Author:
    author = Author(seed, symbolic=symbolic)
    for _ in range(author.integer(1, 3)):
        author.add_input(SHAPES[author.integer(0, len(SHAPES) - 1)])
    author.grow(length)
    return author


def check(seed: int, *, symbolic: bool, opt_level: int) -> None:
    """Build for the CPU alone, run, and compare every output with the interpreter's, on the network as written."""
    author = make(seed, symbolic=symbolic)
    wanted = interpret(author.network, list(author.inputs.values()))
    config = mm.BuilderConfig(backends=["cpu"], strict=True, opt_level=opt_level)
    got = mm.Builder(config).build(author.network).create_engine(threads=2).create_context().run(author.inputs)
    for name, array in zip(author.network.output_names, wanted, strict=True):
        where = f"seed {seed}, {name}\n{author.network}"
        assert got[name].shape == array.shape, where
        scale = max(1.0, float(np.abs(array).max(initial=0.0)))
        np.testing.assert_allclose(got[name], array, rtol=2e-4, atol=2e-5 * scale, err_msg=where)


@pytest.fixture
def always_generate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small networks are generated too; by default they are left to the library."""
    monkeypatch.setattr(compiler, "SMALL_WORK", 0)


@pytest.fixture
def without_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(machine: str) -> None:
        raise CompileError("no C compiler was found")

    monkeypatch.setattr(compiler, "find_compiler", none)


@pytest.mark.usefixtures("always_generate")
@pytest.mark.parametrize("seed", range(12))
def test_generated_code(seed: int) -> None:
    check(seed, symbolic=False, opt_level=seed % 3 + 1)


@pytest.mark.usefixtures("always_generate")
@pytest.mark.parametrize("seed", range(100, 108))
def test_generated_code_for_symbolic_sizes(seed: int) -> None:
    check(seed, symbolic=True, opt_level=2)


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize("seed", range(200, 260))
def test_the_library_alone(seed: int) -> None:
    check(seed, symbolic=bool(seed % 2), opt_level=seed % 4)


@pytest.mark.parametrize("seed", range(300, 330))
def test_any_split_between_two_backends(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Operations go to one backend or the other at random: parts never wait for each other in a circle."""
    author = make(seed, symbolic=bool(seed % 2))
    rng = np.random.default_rng(seed)
    supports = compiler.CpuCompiler.supports

    def moody(self: compiler.CpuCompiler, operation: Operation) -> Yes | No:
        return supports(self, operation) if rng.random() < 0.5 else No("not in the mood")

    monkeypatch.setattr(compiler.CpuCompiler, "supports", moody)
    wanted = interpret(author.network, list(author.inputs.values()))
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], opt_level=0)).build(author.network)
    got = model.create_engine().create_context().run(author.inputs)
    for name, array in zip(author.network.output_names, wanted, strict=True):
        np.testing.assert_allclose(got[name], array, rtol=2e-4, atol=1e-4, err_msg=name, strict=True)
    assert all("not in the mood" in r.reason for r in model.report.placement if r.kind == "fallback")
