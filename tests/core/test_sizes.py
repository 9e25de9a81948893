"""Sizes that are data: `graph.sizes`, its instruction, and what placement does with names for sizes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

import mm_core as mm
from mm_core.build.placement import decompose, replace
from mm_core.ir import known_value
from mm_core.model import Plan, Sizes
from mm_core.model.plan_check import check_plan
from mm_core.ops import OpDef, Operand, Result, lookup, register


def ones() -> mm.Network:
    """A tensor of ones whose two sizes are computed from an input."""
    network = mm.Network("ones")
    count = network.add_input("count", mm.int64, (2,))
    grown = network.add(count, 1)
    network.mark_output(network.relu(network.expand(np.float32(1), network.sizes(grown))), "y")
    return network


def run(network: mm.Network, backend: str, **inputs: Any) -> dict[str, Any]:
    model = mm.Builder(mm.BuilderConfig(backends=[backend])).build(network)
    return model.create_engine().create_context().run(inputs)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("count", [(2, 3), (0, 1), (-1, 4)])
def test_sizes_follow_the_data(backend: str, count: tuple[int, int]) -> None:
    got = run(ones(), backend, count=np.array(count))["y"]
    np.testing.assert_array_equal(got, np.ones(np.add(count, 1), np.float32))


def test_negative_size_is_an_error() -> None:
    with pytest.raises(mm.InputError, match="a size is -4"):
        run(ones(), "cpu", count=np.array([1, -5]))


def test_known_contents_need_no_instruction() -> None:
    network = mm.Network("known")
    x = network.add_input("x", mm.float32, ("N", 3))
    shape = network.shape(x)
    assert network.sizes(shape) is shape
    with pytest.raises(mm.VerifyError, match="sizes cannot be read"):
        network.sizes(network.add_input("v", mm.int64, ("K",)))


def test_partly_known_contents_keep_what_is_known() -> None:
    network = mm.Network("partly")
    k = network.add_input("k", mm.int64, (1,))
    sizes = network.sizes(network.concat(k, np.array([5]), axis=0))
    known = known_value(sizes)
    assert known is not None
    assert known[1] == 5
    assert str(known[0]).startswith("d")


def test_sizes_in_a_loop_are_of_the_iteration() -> None:
    network = mm.Network("loop")
    trips = network.add_input("trips", mm.int64, ())
    body = mm.ir.Graph(within=network)
    iteration = body.add_argument(mm.TensorType(mm.int64, ()))
    going = body.add_argument(mm.TensorType(mm.bool_, ()))
    total = body.add_argument(mm.TensorType(mm.float32, ()))
    row = body.expand(np.float32(1), body.sizes(body.reshape(iteration, [1])))
    body.set_outputs([going, body.add(total, body.reduce_sum(row, axes=(0,), keepdims=False))])
    zero = network.constant(np.float32(0))
    network.mark_output(network.op("mm.loop", trips, None, zero, carried=1, regions=(body,))[0], "sum")
    assert run(network, "cpu", trips=np.array(5))["sum"] == 0 + 1 + 2 + 3 + 4


class Kept(OpDef):
    """The elements of x that are not zero; how many is known only after running."""

    name = "sizetest.kept"
    operands = (Operand("x", None),)
    results = (Result("y", mm.float32),)
    traits: ClassVar[Any] = frozenset()

    def infer(self, types: Any, values: Any) -> Any:
        return (None,)

    def reference(self, x: Any) -> Any:
        return x[x != 0]

    def decompose(self, graph: Any, x: Any) -> Any:
        kept = graph.cast(graph.not_equal(x, 0.0), to=mm.int64)
        count = graph.sizes(graph.reduce_sum(kept, axes=(0,), keepdims=True))
        order = graph.topk(kept, [x.type.shape[0]], axis=0)[1]
        return graph.slice(graph.gather(x, order, axis=0), [0], count, [0], [1])


def test_what_a_decomposition_knows_of_sizes_reaches_the_network() -> None:
    definition = Kept()
    try:
        lookup(definition.name)
    except mm.MMError:
        register(Kept)
    network = mm.Network("kept")
    x = network.add_input("x", mm.float32, (6,))
    kept = network.op("sizetest.kept", x)
    doubled = network.relu(kept)
    network.mark_output(doubled, "y")
    operation = kept.defining_op
    name = str(kept.type.shape[0])
    values = decompose(operation)
    replace(operation, values)
    assert name not in str(doubled.type)
    assert doubled.type == values[0].type
    network.verify()
    data = np.array([0, 1, 0, 2, 3, 0], np.float32)
    for backend in ("cpu", "reference"):
        np.testing.assert_array_equal(run(network, backend, x=data)["y"], data[data != 0])


def test_plan_reads_sizes_from_integers_only() -> None:
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"])).build(ones())
    plan = model.plan
    assert Plan.from_json(plan.to_json()) == plan
    step = next(step for step in plan.main.instructions if isinstance(step, Sizes))
    data = plan.to_json()
    data["slots"][step.source] = "tensor<2xf32>"
    with pytest.raises(mm.ModelFileError):
        check_plan(Plan.from_json(data), [c.type for c in ()], model.inputs, model.outputs)
    data = plan.to_json()
    next(item for item in data["main"]["instructions"] if item["do"] == "sizes")["names"] = ["no name", "b"]
    with pytest.raises(mm.MMError):
        Plan.from_json(data)


def test_sizes_that_turn_out_to_be_known_are_known_everywhere() -> None:
    network = mm.Network("late")
    count = network.cast(network.floor(network.constant(np.array([3.5], np.float32))), to=mm.int64)
    ones = network.expand(np.float32(1), network.sizes(count))
    network.mark_output(network.relu(ones), "y")
    assert not ones.type.is_static
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(network)
    assert model.outputs[0].shape == network.output_specs[0].shape
    np.testing.assert_array_equal(model.create_engine().create_context().run({})["y"], np.ones(3, np.float32))
