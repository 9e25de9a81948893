"""Attacks by sizes that data tell: what no native code may see is refused, naming the node that it comes from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mm_core as mm
from mm_core.types import GUARD_KINDS, Guard, repeat_dim, symbol

LEAST, MOST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def ints(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


def context(operator: str, *inputs: Any, symbolic: bool, **attributes: Any) -> mm.Context:
    """The operator on x and operands that are inputs, followed by one that is compiled on its own."""
    network = mm.Network(operator)
    sizes = [symbol(f"S{axis}") if symbolic else size for axis, size in enumerate(inputs[0].shape)]
    operands = [network.add_input("x", mm.float32, sizes)] if inputs[0].dtype == np.float32 else []
    for number, array in enumerate(inputs[len(operands) :], len(operands)):
        operands.append(network.add_input(f"x{number}", mm.int64, array.shape))
    result = network.op(f"mm.{operator}", *operands, name="the_node", **attributes)
    network.mark_output(network.tanh(result), "y")
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(network)
    return model.create_engine(threads=1).create_context()


def given(*inputs: Any) -> dict[str, Any]:
    return {"x" if array.dtype == np.float32 else f"x{number}": array for number, array in enumerate(inputs)}


ATTACKS: list[tuple[str, list[Any], list[Any], dict[str, Any]]] = [
    # Where x's own size leaves one answer only, what is asked for is still looked at.
    ("expand", [X, ints(2, 3, 4)], [ints(2, 5, 4), ints(0, 3, 4), ints(2, 3, -1), ints(2, MOST, 4)], {}),
    ("expand", [X, ints(1)], [ints(7), ints(LEAST)], {}),
    # Beyond any memory, in one size or in their product.
    ("expand", [X[:1], ints(5, 3, 4)], [ints(MOST, 3, 4), ints(2**40, 3, 4), ints(2**61 + 1, 3, 4)], {}),
    ("constant_of_shape", [ints(2, 3)], [ints(2**32, 2**32), ints(MOST, 2), ints(2**40, 2**20), ints(0, -1)], {}),
    ("tile", [X, ints(1, 2, 1)], [ints(2**62, 4, 1), ints(MOST, MOST, MOST), ints(2**40, 2**40, 0)], {}),
    ("reshape", [X[:0], ints(0, 6)], [ints(0, MOST)], {}),
    ("reshape", [X, ints(4, 6)], [ints(2**32, 2**32), ints(-4, -6), ints(MOST, MOST)], {}),
    # Pads whose sums leave 64 bits, and those that crop more than there is.
    *(
        ("pad", [X, ints(0, 1)], [ints(LEAST, 0), ints(0, LEAST), ints(MOST, MOST), ints(-5, 1)],
         {"axes": (1,), "mode": mode})
        for mode in ("constant", "edge", "reflect", "wrap")
    ),
    ("pad", [X, ints(0, 1)], [ints(LEAST, LEAST), ints(-2, LEAST)], {"axes": (1,)}),
    ("pad", [X[:, :0], ints(0, 0)], [ints(1, 0), ints(0, 2**40)], {"axes": (1,), "mode": "edge"}),
]  # fmt: skip


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(
    ("operator", "good", "attacks", "attributes"), ATTACKS, ids=[f"{place}-{a[0]}" for place, a in enumerate(ATTACKS)]
)
def test_an_attack_is_refused_by_the_nodes_name(
    operator: str, good: list[Any], attacks: list[Any], attributes: dict[str, Any], symbolic: bool
) -> None:
    ready = context(operator, *good, symbolic=symbolic, **attributes)
    before = ready.run(given(*good))["y"]
    for attack in attacks:
        with pytest.raises(mm.InputError, match="the_node"):
            ready.run(given(*good[:-1], attack))
    np.testing.assert_array_equal(ready.run(given(*good))["y"], before)


def test_sizes_beyond_memory_are_told_with_what_they_are() -> None:
    ready = context("constant_of_shape", ints(2, 3), symbolic=False)
    with pytest.raises(mm.InputError, match=r"the_node: d\d+ = 1099511627776, d\d+ = 1048576, which data tell, cannot"):
        ready.run({"x0": ints(2**40, 2**20)})


def test_guards_say_which_sizes_do_not_fit() -> None:
    size, wanted = symbol("N"), symbol("d1")
    told = {kind: Guard(size, wanted, kind).broken(5, 7) for kind in GUARD_KINDS}
    assert told == {
        "equal": "N == d1 does not hold: 5 and 7",
        "broadcast": "the sizes N = 5 and d1 = 7 do not broadcast",
        "repeat": "the size N = 5 cannot be repeated to d1 = 7",
    }
    assert [Guard(size, wanted, kind).holds(1, 7) for kind in GUARD_KINDS] == [False, True, True]
    assert [Guard(size, wanted, kind).holds(7, 1) for kind in GUARD_KINDS] == [False, True, False]


def test_what_can_never_be_repeated_is_said_at_once() -> None:
    assert repeat_dim(1, 7) == 7
    with pytest.raises(mm.InputError, match="the size 3 cannot be repeated to 7"):
        repeat_dim(3, 7)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_sizes_that_a_branch_gives_are_known_where_only_their_product_is_seen(backend: str) -> None:
    """The axis that is added is data: each branch gives another shape, whose elements are then found in a row."""
    network = mm.Network("branches")
    x, first = network.add_input("x", mm.float32, (5, 2)), network.add_input("first", mm.bool_, ())
    regions = []
    for axis in (0, 2):
        region = mm.ir.Graph(within=network)
        region.set_outputs([region.unsqueeze(region.add_argument(x.type), axes=(axis,))])
        regions.append(region)
    network.mark_output(network.nonzero(network.if_(first, x, regions=tuple(regions))[0]), "y")
    config = mm.BuilderConfig(backends=[backend], strict=backend == "cpu")
    ready = mm.Builder(config).build(network).create_engine(threads=1).create_context()
    x_values = np.round(np.linspace(-2, 2, 10)).astype(np.float32).reshape(5, 2)
    for value, axis in ((True, 0), (False, 2)):
        got = ready.run({"x": x_values, "first": np.array(value)})["y"]
        np.testing.assert_array_equal(got, np.stack(np.nonzero(np.expand_dims(x_values, axis))))


def test_sizes_computed_from_constants_are_bound() -> None:
    """Inference does not follow floats: how many numbers there are is a name that nothing but the plan binds."""
    network = mm.Network("constants")
    network.mark_output(network.range(np.float32(0), np.float32(7), np.float32(3)), "y")
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(network)
    np.testing.assert_array_equal(model.create_engine(threads=1).create_context().run({})["y"], [0, 3, 6])


def test_what_a_kernel_refuses_names_the_node() -> None:
    network = mm.Network("empty")
    x = network.add_input("x", mm.float32, ("N", 3))
    network.mark_output(network.argmax(x, axis=0, name="the_node"), "y")
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(network)
    ready = model.create_engine(threads=1).create_context()
    assert ready.run({"x": np.eye(3, dtype=np.float32)})["y"].tolist() == [[0, 1, 2]]
    with pytest.raises(mm.MMError, match=r"the_node: .*the axis is empty"):
        ready.run({"x": np.ones((0, 3), np.float32)})
