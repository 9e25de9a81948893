"""What golden files cannot show: limits, refusals, locations, and random networks through the whole pipeline."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mm_passes_cleanup.arithmetic import holds_all

import mm_core as mm
from mm_core.ops import Trait, register, unregister
from mm_core.passes import PassResult, parse_pipeline
from mm_core.testing.passcheck import passcheck

CLEANUP = "fold-constants,prune-branches,simplify,eliminate-common-subexpressions,refine-types,eliminate-dead-code"


def names(network: mm.Network) -> list[str]:
    return [operation.name.removeprefix("mm.") for operation in network.walk()]


def run(pipeline: str, network: mm.Network) -> PassResult:
    return parse_pipeline(pipeline).run(network)


def test_a_weight_is_transposed_but_not_repeated() -> None:
    network = mm.Network("limits")
    weight = network.constant(np.ones((600, 600), np.float32))
    network.mark_output(network.transpose(weight, permutation=(1, 0)), "transposed")
    network.mark_output(network.expand(weight, np.array([4, 600, 600])), "repeated")
    run("fold-constants,eliminate-dead-code", network)
    assert sorted(names(network)) == ["constant", "constant", "constant", "expand"]


@pytest.fixture
def dice() -> type[mm.OpDef]:
    @register
    class Dice(mm.OpDef):
        """A random number."""

        name = "mm.test_dice"
        results = (mm.Result("y", mm.float32),)
        traits = frozenset({Trait.RANDOM})

        def infer(self, types: object, values: object) -> tuple[int, ...]:
            return ()

        def reference(self) -> np.ndarray:
            return np.random.default_rng().random(dtype=np.float32)

    yield Dice
    unregister(Dice.name)


def test_random_numbers_are_neither_folded_nor_merged(dice: type[mm.OpDef]) -> None:
    network = mm.Network("random")
    network.mark_output(network.sub(network.op(dice.name), network.op(dice.name)), "y")
    run(CLEANUP, network)
    assert names(network) == ["test_dice", "test_dice", "sub"]


def test_what_fails_while_folding_is_left_to_run_time() -> None:
    network = mm.Network("failing")
    table = network.constant(np.ones((3, 2), np.float32))
    network.mark_output(network.gather(table, network.constant(np.array([7])), axis=0), "y")
    result = run("fold-constants", network)
    assert not result.changed
    assert "left to run time" in result.notes[0]


def test_locations_survive() -> None:
    network = mm.Network("locations")
    x = network.add_input("x", mm.float32, (2, 3))
    places = [mm.Location("onnx", name, "Transpose") for name in ("first", "second")]
    with network.at(places[0]):
        x = network.transpose(x, permutation=(1, 0))
    x = network.relu(x)
    with network.at(places[1]):
        y = network.transpose(network.transpose(x, permutation=(1, 0)), permutation=(1, 0))
    network.mark_output(y, "y")
    run("simplify", network)
    assert names(network) == ["transpose", "relu"]
    found: set[mm.Location] = set().union(*(operation.locations for operation in network.walk()))
    assert set(places) <= found


def test_refining_follows_what_folding_found() -> None:
    network = mm.Network("refined")
    x = network.add_input("x", mm.float32, (2, 12))
    size = network.cast(network.add_input("size", mm.float32, (2,)), to="int64")
    y = network.relu(network.reshape(x, size))
    assert not y.type.is_static
    reshape = y.defining_op.operands[0].defining_op
    reshape.set_operand(1, network.constant(np.array([3, 8])))
    network.move(reshape.operands[1].defining_op, reshape)
    network.mark_output(y, "y")
    run("refine-types", network)
    assert str(y.type) == "tensor<3x8xf32>"


@pytest.mark.parametrize(
    ("wide", "narrow", "fits"),
    [
        (mm.float32, mm.float16, True),
        (mm.float32, mm.int16, True),
        (mm.float32, mm.int32, False),
        (mm.float64, mm.uint32, True),
        (mm.float16, mm.bfloat16, False),
        (mm.int64, mm.uint32, True),
        (mm.uint64, mm.int8, False),
        (mm.int8, mm.uint8, False),
        (mm.int8, mm.bool_, True),
        (mm.float64, mm.int64, False),
    ],
)
def test_what_a_cast_keeps(wide: mm.DType, narrow: mm.DType, fits: bool) -> None:
    assert holds_all(wide, narrow) is fits


UNARY = ("relu", "neg", "abs", "floor", "identity", "square", "is_nan")
BINARY = ("add", "sub", "mul", "div", "maximum", "pow")
NUMBERS = (0.0, -0.0, 1.0, 2.0, 0.25, 3.0)


@st.composite
def networks(draw: st.DrawFn) -> mm.Network:
    """Arithmetic and data movement on matrices of one symbolic size."""
    network = mm.Network("random")
    values = [network.add_input(name, mm.float32, ("N", 4, 2)) for name in "ab"]
    for _ in range(draw(st.integers(1, 12))):
        x = draw(st.sampled_from(values))
        kind = draw(st.sampled_from(("unary", "binary", "number", "transpose", "reshape", "concat")))
        if kind == "unary":
            y = getattr(network, draw(st.sampled_from(UNARY)))(x)
            y = y if y.type.dtype is mm.float32 else network.select(y, 1.0, x)
        elif kind == "binary":
            y = getattr(network, draw(st.sampled_from(BINARY)))(x, draw(st.sampled_from(values)))
        elif kind == "number":
            y = getattr(network, draw(st.sampled_from(BINARY)))(x, np.float32(draw(st.sampled_from(NUMBERS))))
        elif kind == "transpose":
            y = network.transpose(network.transpose(x, permutation=(0, 2, 1)), permutation=(0, 2, 1))
        elif kind == "reshape":
            shape = draw(st.sampled_from(((-1, 8), (-1, 2, 4), (-1, 1, 4, 2))))
            y = network.reshape(network.reshape(x, np.array(shape)), np.array([-1, 4, 2]))
        else:
            y = network.concat(network.slice(x, [0], [1], [1]), network.slice(x, [1], [4], [1]), axis=1)
        values.append(y)
    for value in draw(st.lists(st.sampled_from(values[2:]), min_size=1, max_size=3)):
        network.mark_output(value, f"y{len(network.output_names)}")
    return network


@settings(max_examples=60, deadline=None)
@given(networks(), st.integers(0, 1000))
def test_random_networks_keep_their_results_to_the_bit(network: mm.Network, seed: int) -> None:
    passcheck(CLEANUP, network, seed=seed)
    again = run(CLEANUP, network)
    assert not [what for what in again.counts if not what.startswith("refine-types")], again


MOVES = {  # shape, the first permutation, the shape between, the second permutation, transposes that are left
    "patches of an image": ((2, 3, 8, 2, 6, 2), (0, 1, 2, 4, 3, 5), (2, 3, 48, 4), (0, 3, 2, 1), 2),
    "joined with a part": ((12, 2, 4, 2), (0, 2, 1, 3), (1, 3, 16, 4), (0, 3, 2, 1), 1),
    "a part of the last": ((4, 6, 5), (1, 0, 2), (6, 2, 10), (2, 0, 1), 1),
    "only joined": ((2, 3, 4, 5), (0, 2, 1, 3), (8, 15), (1, 0), 2),
    "fractions": ((4, 6, 5), (1, 0, 2), (8, 15), (1, 0), 2),
}


@pytest.mark.parametrize("case", MOVES)
def test_axes_that_a_reshape_cuts_across_move_once(case: str) -> None:
    shape, first, between, second, left = MOVES[case]
    network = mm.Network("moves")
    x = network.transpose(network.add_input("x", mm.float32, shape), permutation=first)
    network.mark_output(network.transpose(network.reshape(x, np.array(between)), permutation=second), "y")
    passcheck(CLEANUP, network)
    assert names(network).count("transpose") == left


@pytest.mark.serial
def test_ten_thousand_operations_with_little_to_do_are_quick() -> None:
    import time

    network = mm.Network("long")
    x = network.add_input("x", mm.float32, ("N", 4))
    for _ in range(2500):
        x = network.tanh(network.sigmoid(network.exp(network.sin(x))))
    network.mark_output(x, "y")
    start = time.perf_counter()
    result = run("simplify", network)
    assert not result.changed
    assert time.perf_counter() - start < 2.0


