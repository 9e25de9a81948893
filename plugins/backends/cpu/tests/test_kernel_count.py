"""How many kernels networks need: what is computed in one loop, and what costs no copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from mm_backend_cpu import compiler
from mm_backend_reference import interpret

import mm_core as mm

Build = Callable[..., Any]
Shapes = Sequence[tuple[int, ...]]


def const(*shape: int) -> np.ndarray:
    return (np.random.default_rng(0).standard_normal(shape) * 0.5).astype(np.float32)


@pytest.fixture(autouse=True)
def always_generate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "SMALL_WORK", 0)


def kernels(build: Build, shapes: Shapes, **options: Any) -> list[str]:
    """The kernels of what `build` makes of inputs of these shapes, its results compared with the reference's."""
    net = mm.Network("kernels")
    results = build(net, *(net.add_input(f"x{number}", mm.float32, shape) for number, shape in enumerate(shapes)))
    for number, value in enumerate(results if isinstance(results, list) else [results]):
        net.mark_output(value, f"y{number}")
    rng = np.random.default_rng(1)
    inputs = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    wanted = interpret(net, inputs)
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], **options)).build(net)
    got = model.create_engine(threads=2).create_context().run({f"x{number}": x for number, x in enumerate(inputs)})
    for name, array in zip(net.output_names, wanted, strict=True):
        np.testing.assert_allclose(got[name], array, rtol=1e-4, atol=2e-5, err_msg=name, strict=True)
    return [record.kernel for record in model.report.kernels]


@pytest.mark.parametrize(
    ("build", "shapes"),
    [
        (lambda g, x: g.relu(x), [(1, 300)]),
        (lambda g, x, y: g.concat(x, y, axis=1), [(3, 1, 40), (3, 1, 40)]),
        (lambda g, x, y: g.concat(x, y, axis=2), [(1, 4, 7, 16), (1, 4, 1, 16)]),
        (lambda g, x: g.pad(x, pads=(0, 0, 1, 0, 0, 1)), [(1, 5, 30)]),
        (lambda g, x: g.reduce_sum(x, axes=(2,), keepdims=True), [(1, 5, 30)]),
    ],
    ids=["relu", "concat of single rows", "concat", "pad", "reduce_sum"],
)
def test_axes_of_size_one_cost_no_copy(build: Build, shapes: Shapes) -> None:
    """Results are computed where the caller wants them: row-major is among the orders in which they lie."""
    assert len(kernels(build, shapes)) == 1


@pytest.mark.parametrize(
    ("build", "kernel"),
    [
        (lambda g, x: g.swish(g.matmul(x, const(40, 24)), alpha=1.7), "gemm+swish"),
        (lambda g, x: g.sub(g.selu(x), g.softsign(x)), "selu+softsign+sub"),
        (lambda g, x: g.mish(x), "mish"),
    ],
    ids=["epilogue", "loop", "alone"],
)
def test_what_expressions_do_not_hold_is_taken_apart_inside_of_them(build: Build, kernel: str) -> None:
    """Decomposed while it is placed, each part would have a kernel of its own."""
    assert kernels(build, [(30, 40)]) == [kernel]


@pytest.mark.parametrize(
    ("build", "count"),
    [
        # What a group normalization is made of while it is placed.
        (lambda g, x: g.group_norm(x, np.ones(6, np.float32), const(6), num_groups=2), 7),
        # A value that two of the group read, and one that something else reads, too.
        (lambda g, x: g.mul(g.exp(g.tanh(x)), g.neg(g.tanh(x))), 1),
        (lambda g, x: [g.mul(g.exp(y := g.tanh(x)), g.neg(y)), g.reduce_sum(y, axes=(0,))], 3),
        # Parts of rows are read where they lie.
        (lambda g, x: g.mul(g.sigmoid(part(g, x, 0)), g.tanh(part(g, x, 20))), 1),
    ],
    ids=["decomposed", "diamond", "read elsewhere", "parts"],
)
@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "apart"])
def test_loops_of_several_operations(build: Build, count: int, fuse: bool) -> None:
    """Whether passes fused them or lowering puts them together."""
    disabled = () if fuse else ("fuse-elementwise",)
    assert len(kernels(build, [(3, 6, 40)], disable_passes=disabled)) == count
    assert len(kernels(build, [(3, 6, 40)], disable_passes=disabled, opt_level=1)) > count


def part(g: mm.Network, x: mm.Value, start: int) -> mm.Value:
    return g.slice(x, np.array([start]), np.array([start + 20]), np.array([2]))
