"""Scans run inside the program: states, slices and stacks, in all directions, compared with the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mm_backend_cpu import native
from mm_backend_cpu.program import Buffer, Loop, Move, Program, Step

import mm_core as mm
from mm_core.ir import Graph
from mm_core.types import symbol

F32 = mm.float32


def build(network: mm.Network, **options: Any) -> Any:
    return mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True, **options)).build(network)


def region(network: mm.Network, *shapes: tuple[Any, ...]) -> tuple[Graph, list[Any]]:
    body = Graph(within=network)
    return body, [body.add_argument(mm.TensorType(F32, mm.types.as_shape(shape))) for shape in shapes]


def check(network: mm.Network, inputs: dict[str, np.ndarray], **options: Any) -> Any:
    """The network is one native operation in one launch, and gives what the reference gives."""
    model = build(network, **options)
    assert [(record.op, record.kind) for record in model.report.placement] == [("mm.scan", "native")]
    assert len(model.plan.main.instructions) == 1
    found = model.create_engine().create_context().run(inputs)
    reference = mm.Builder(mm.BuilderConfig(backends=["reference"], passes="")).build(network)
    for (name, got), wanted in zip(
        found.items(), reference.create_engine().create_context().run(inputs).values(), strict=True
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6, err_msg=name)
    return model


def running_sum(length: Any, width: Any, rank_axis: int = 0, **attributes: Any) -> mm.Network:
    """Sums so far of the slices of x, scaled by a vector that stays the same."""
    network = mm.Network("sums")
    shape = [width, width]
    shape.insert(rank_axis, length)
    x = network.add_input("x", F32, shape)
    scale = network.add_input("scale", F32, (width,))
    body, (total, slice_, factor) = region(network, (width, width), (width, width), (width,))
    after = body.add(total, body.mul(slice_, factor))
    body.set_outputs([after, body.transpose(after, permutation=(1, 0))])
    start = network.expand(np.float32(1), network.shape(network.reduce_sum(x, axes=(rank_axis,), keepdims=False)))
    places = {"input_axes": (rank_axis,), **attributes}
    for index, value in enumerate(network.scan(start, x, scale, states=1, scans=1, regions=(body,), **places)):
        network.mark_output(value, f"y{index}")
    return network


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("length", [1, 5])
def test_axes_and_directions(axis: int, backwards: bool, length: int) -> None:
    network = running_sum(
        length, 3, axis, input_reverse=(backwards,), output_axes=((axis + 1) % 3,), output_reverse=(not backwards,)
    )
    rng = np.random.default_rng(axis)
    shape = [3, 3]
    shape.insert(axis, length)
    x, scale = (rng.standard_normal(size).astype(np.float32) for size in (shape, 3))
    model = build(network)
    found = model.create_engine().create_context().run({"x": x, "scale": scale})
    slices = np.moveaxis(x, axis, 0)[:: -1 if backwards else 1]
    sums = 1 + np.cumsum(slices * scale, 0)
    stacked = sums.transpose(0, 2, 1)[:: 1 if backwards else -1]
    np.testing.assert_allclose(found["y0"], sums[-1], rtol=1e-5)
    np.testing.assert_allclose(found["y1"], np.moveaxis(stacked, 0, (axis + 1) % 3), rtol=1e-5)


def fibonacci(length: Any) -> mm.Network:
    """States that change places: (a, b) becomes (b, a + b + x)."""
    network = mm.Network("fibonacci")
    a, b = (network.add_input(name, F32, (4,)) for name in "ab")
    x = network.add_input("x", F32, (length, 4))
    body, (first, second, slice_) = region(network, (4,), (4,), (4,))
    body.set_outputs([second, body.add(body.add(first, second), slice_), first])
    for index, value in enumerate(network.scan(a, b, x, states=2, scans=1, regions=(body,))):
        network.mark_output(value, f"y{index}")
    return network


@pytest.mark.parametrize("length", [0, 1, 2, 7])
@pytest.mark.parametrize("is_symbolic", [False, True])
def test_states_that_change_places(length: int, is_symbolic: bool) -> None:
    rng = np.random.default_rng(length)
    inputs = {name: rng.standard_normal(4).astype(np.float32) for name in "ab"}
    inputs["x"] = rng.standard_normal((length, 4)).astype(np.float32)
    check(fibonacci("L" if is_symbolic else length), inputs)


def test_one_model_of_any_length() -> None:
    engine = build(fibonacci("L")).create_engine().create_context()
    for length in (3, 0, 9, 3):
        inputs = {name: np.arange(4, dtype=np.float32) for name in "ab"}
        inputs["x"] = np.ones((length, 4), np.float32)
        a, b = inputs["a"], inputs["b"]
        seen = []
        for row in inputs["x"]:
            seen.append(a)
            a, b = b, a + b + row
        found = engine.run(inputs)
        np.testing.assert_allclose(found["y0"], a)
        np.testing.assert_allclose(found["y1"], b)
        np.testing.assert_allclose(found["y2"], np.reshape(seen, (length, 4)))


def test_weights_in_a_body_are_packed_and_loops_lie_inside_loops() -> None:
    """Rows of each of several matrices pass through a weight, twice nested."""
    rng = np.random.default_rng(3)
    weight = rng.standard_normal((8, 8)).astype(np.float32) * 0.3
    network = mm.Network("nested")
    x = network.add_input("x", F32, (3, 5, 8))
    start = network.add_input("start", F32, (8,))
    outer, (state, matrix, kept) = region(network, (8,), (5, 8), (8, 8))
    inner, (row_state, row, inner_weight) = region(network, (8,), (8,), (8, 8))
    mixed = inner.tanh(inner.add(inner.matmul(row_state, inner_weight), row))
    inner.set_outputs([mixed, mixed])
    last, rows = outer.scan(state, matrix, kept, states=1, scans=1, regions=(inner,))
    outer.set_outputs([last, rows])
    for index, value in enumerate(network.scan(start, x, weight, states=1, scans=1, regions=(outer,))):
        network.mark_output(value, f"y{index}")
    inputs = {"x": rng.standard_normal((3, 5, 8)).astype(np.float32), "start": np.zeros(8, np.float32)}
    check(network, inputs)


def test_a_body_that_no_kernel_runs_is_left_to_the_runtime() -> None:
    network = mm.Network("growing")
    x = network.add_input("x", F32, (4, 3))
    body, (slice_,) = region(network, (3,))
    kept = body.compress(slice_, body.greater(slice_, 0.0))
    body.set_outputs([body.reduce_sum(kept, axes=(0,), keepdims=False)])
    network.mark_output(network.scan(x, states=0, scans=1, regions=(body,))[0], "y")
    data = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    model = build(network)
    assert isinstance(model.plan.main.instructions[0], mm.model.Loop)
    found = model.create_engine().create_context().run({"x": data})["y"]
    np.testing.assert_allclose(found, np.maximum(data, 0).sum(1), rtol=1e-5)


def looped(loops: tuple[Loop, ...], length: int = 4) -> Program:
    """y[i] = -x[i], one element each time."""
    x, y = Buffer("input", 0, "f32", (1,)), Buffer("output", 0, "f32", (1,))
    return Program((x, y), (Step("library:neg", (0,), (1,)),), 1, 1, loops)


N = symbol("N")


@pytest.mark.parametrize("repetitions", [0, 1, 6])
def test_moving_buffers(repetitions: int) -> None:
    program = looped((Loop(0, 1, N, (Move(0, N - 1, -1), Move(1, 0, 1))),))
    assert Program.from_json(program.to_json()) == program
    bound = program.bind({"N": repetitions})
    assert bound.reached.get(("input", 0), 0) == 4 * repetitions
    x, y = np.arange(8, dtype=np.float32), np.zeros(8, np.float32)
    runnable = native.NativeProgram(bound.words)
    arena = native.aligned(runnable.arena_bytes(1))
    runnable.run(arena.ctypes.data, [x.ctypes.data], [y.ctypes.data], 1)
    np.testing.assert_array_equal(y[:repetitions], -x[:repetitions][::-1])
    np.testing.assert_array_equal(y[repetitions:], 0)


@pytest.mark.parametrize(
    ("loops", "said"),
    [
        ((Loop(0, 1, 3, (Move(0, 1, -1),)),), "in front of its start"),
        ((Loop(0, 1, -1),), "repetitions"),
        ((Loop(0, 2, 1),), "last step"),
        ((Loop(0, 1, 2, (Move(0, 0, 1), Move(0, 0, 1))),), "moves twice"),
    ],
)
def test_loops_that_are_wrong(loops: tuple[Loop, ...], said: str) -> None:
    with pytest.raises(mm.MMError, match=said):
        native.NativeProgram(looped(loops).bind({}).words)
