"""Results that take the memory of an operand whose last reader computes them."""

from __future__ import annotations

import numpy as np
import pytest
from mm_backend_cpu.program import Program

import mm_core as mm
from mm_core.cli.observe import Recorder

RNG = np.random.default_rng(0)
WEIGHTS = [(RNG.standard_normal((32, 32, 1, 1)) / 6).astype(np.float32) for _ in range(4)]
X = RNG.standard_normal((1, 32, 9, 11)).astype(np.float32)


def residual(shape: tuple[int | str, ...] = X.shape, *, read_later: bool = False) -> mm.Network:
    """Two residual blocks behind a convolution; or with the first sum read again at the end."""
    network = mm.Network("residual")
    h = network.conv(network.add_input("x", mm.float32, shape), WEIGHTS[0], name="stem")
    first = h
    for number in (1, 2):
        inner = network.relu(network.conv(h, WEIGHTS[number], name=f"inner{number}"))
        h = network.add(network.conv(inner, WEIGHTS[3], name=f"outer{number}"), h, name=f"sum{number}")
    network.mark_output(network.relu(network.add(h, first) if read_later else h), "y")
    return network


def expected(*, read_later: bool = False) -> np.ndarray:
    def conv(x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return np.einsum("nchw,oc->nohw", x, w[:, :, 0, 0])

    first = h = conv(X.astype(np.float64), WEIGHTS[0])
    for number in (1, 2):
        h = conv(np.maximum(conv(h, WEIGHTS[number]), 0), WEIGHTS[3]) + h
    return np.maximum(h + first if read_later else h, 0)


def program(model: mm.Model) -> Program:
    (part,) = model.executables
    return Program.from_json(part.manifest["program"])


@pytest.mark.parametrize("read_later", [False, True])
@pytest.mark.parametrize("shape", [X.shape, ("N", 32, "H", "W")])
def test_a_sum_takes_the_place_of_its_residual(shape: tuple[int | str, ...], read_later: bool) -> None:
    model = mm.Builder(mm.BuilderConfig(threads=2)).build(residual(shape, read_later=read_later))
    steps = program(model).steps
    # What is read again later keeps its memory, so that only the second block works in place.
    assert sum(step.in_place is not None for step in steps) == (1 if read_later else 2)
    for threads in (1, 2, 3):
        (y,) = model.create_engine(threads=threads).create_context().run({"x": X}).values()
        np.testing.assert_allclose(y, expected(read_later=read_later), rtol=1e-4, atol=1e-5)


def test_it_saves_memory() -> None:
    model = mm.Builder(mm.BuilderConfig()).build(residual())
    whole = program(model)
    apart = Program.from_json({**whole.to_json(), "steps": [step[:6] for step in whole.to_json()["steps"]]})
    assert whole.bind({}).arena_bytes < apart.bind({}).arena_bytes
    assert whole.bind({}, keep=True).arena_bytes == apart.bind({}, keep=True).arena_bytes


def test_what_is_overwritten_can_be_looked_at() -> None:
    """A dump gives every result memory of its own."""
    model = mm.Builder(mm.BuilderConfig()).build(residual())
    context = model.create_engine().create_context()
    context.observer = recorder = Recorder(results=True)
    context.run({"x": X})
    stem = np.einsum("nchw,oc->nohw", X.astype(np.float64), WEIGHTS[0][:, :, 0, 0])
    shown = [result.array for result in recorder.results if "stem" in result.nodes]
    np.testing.assert_allclose(shown[0], stem, rtol=1e-4, atol=1e-5)


def test_a_damaged_position_is_refused() -> None:
    fields = program(mm.Builder(mm.BuilderConfig()).build(residual())).to_json()
    damages = [[*step[:6], place] for step in fields["steps"] for place in (-1, 99, "0", 1.0)]
    damages += [[step[0], [-1], *step[2:6], 0] for step in fields["steps"]]
    damages += [[*step[:2], outputs, *step[3:6], 0] for step in fields["steps"] for outputs in ([], [-1])]
    for damage in damages:
        with pytest.raises(mm.ModelFileError, match="damaged"):
            Program.from_json({**fields, "steps": [damage]})
