"""Who runs what: the whole, its parts, the next backend; reasons; parts and copies between memory spaces."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

import mm_core as mm
from mm_core.build.partition import partition
from mm_core.build.placement import HOST_DEVICE, decompose, place
from mm_core.compiler import Compiler, No, Stage, Support, Yes
from mm_core.errors import BuildError
from mm_core.ir import Graph, Network, Operation, known_value
from mm_core.model import Copy, Launch


class Chooser(Compiler):
    """A backend that takes the named operators."""

    def __init__(self, backend: str, *names: str, fallback: bool = False) -> None:
        self.backend = backend  # type: ignore[misc]
        self.names = {f"mm.{name}" for name in names}
        self.fallback = fallback

    def supports(self, operation: Operation) -> Support:
        if operation.name in self.names:
            return Yes(self.fallback)
        return No(f"{self.backend} has no {operation.name}")

    @property
    def stages(self) -> Sequence[Stage]:
        return ()


def network(build: Callable[[Network, mm.Value], mm.Value], shape: tuple[object, ...] = (3, 4)) -> Network:
    net = Network("test")
    net.mark_output(build(net, net.add_input("x", mm.float32, shape)), "y")
    return net


def names(net: Network) -> list[str]:
    return [op.name.removeprefix("mm.") for op in net.operations if op.name != "mm.constant"]


def test_the_composite_goes_before_its_parts_and_the_next_backend() -> None:
    net = network(lambda g, x: g.softplus(x))
    placed = place(net, [Chooser("a", "softplus", "exp", "log", "add"), Chooser("b", "softplus")], strict=False)
    assert names(net) == ["softplus"]
    assert [record.device for record in placed.records] == ["a"]


def test_parts_go_before_the_next_backend() -> None:
    net = network(lambda g, x: g.reduce_l2(x, axes=(1,)))
    place(net, [Chooser("a", "mul", "reduce_sum", "sqrt", "square"), Chooser("b", "reduce_l2")], strict=False)
    assert "reduce_l2" not in names(net)
    net.verify()


def test_parts_of_parts_take_the_place_of_the_whole() -> None:
    """The last operation of a decomposition is itself decomposed: the result is that of its parts."""
    net = network(lambda g, x: g.reduce_l2(x, axes=(1,)))
    primitives = {"mul", "reduce_sum", "sqrt", "abs", "pow"}
    place(net, [Chooser("a", *primitives)], strict=True)
    net.verify()
    assert set(names(net)) <= primitives
    net = network(lambda g, x: g.relu(g.clip(x, 0.0, 1.0)))
    place(net, [Chooser("a", "maximum", "minimum")], strict=True)
    net.verify()
    assert set(names(net)) == {"maximum", "minimum"}


def test_a_refused_decomposition_leaves_nothing_behind() -> None:
    net = network(lambda g, x: g.softmax(x, name="soft"))
    before = str(net)
    placed = place(net, [Chooser("a", "exp", "sub"), Chooser("b", "softmax")], strict=False)
    assert str(net) == before
    (record,) = placed.records
    assert record.device == "b"
    assert record.reason.startswith("a: a has no mm.softmax, and of its decomposition mm.")


def test_nobody_takes_it() -> None:
    kernel = np.ones((1, 1, 2, 2), np.float32)
    net = network(lambda g, x: g.conv(g.reshape(x, np.array([1, 1, 3, 4])), kernel, name="c1"))
    with pytest.raises(BuildError) as caught:
        place(net, [Chooser("a", "reshape"), Chooser("b")], strict=False)
    message = str(caught.value)
    assert message.startswith("c1: no backend runs mm.conv: a: a has no mm.conv")
    assert "b has no mm.conv" in message
    assert "available: a, b" in message


def test_strict_refuses_fallbacks_and_says_so() -> None:
    compilers = [Chooser("a"), Chooser("b", "relu", fallback=True)]
    net = network(lambda g, x: g.relu(x, name="r"))
    placed = place(net.clone(), compilers, strict=False)
    assert [(record.kind, record.device) for record in placed.records] == [("fallback", "b")]
    with pytest.raises(BuildError, match=r"r: no backend runs mm\.relu.*refused by strict.*build without strict"):
        place(net, compilers, strict=True)


def test_a_part_of_a_decomposition_that_runs_elsewhere_is_recorded() -> None:
    """The first backend has all of a product of rows but its loop: the report says who runs the loop, and why."""
    net = network(lambda g, x: g.cumprod(x, axis=1))
    placed = place(net, [Chooser("a", "expand", "mul"), Chooser("b", "scan")], strict=True)
    found = [(record.op, record.device, record.reason) for record in placed.records]
    assert found == [("mm.scan", "b", "a: a has no mm.scan"), ("mm.cumprod", "a", "")]


def test_a_decomposition_keeps_types_and_places() -> None:
    net = network(lambda g, x: g.gelu(x, name="activation"), ("N", 4))
    operation = net.outputs[0].defining_op
    values = decompose(operation)
    assert values[0].type == operation.result.type
    made = [op for op in net.operations if op is not operation]
    assert made
    assert {op.where for op in made if op.name != "mm.constant"} == {"activation"}


# ---- parts -------------------------------------------------------------------------------------------------------


def alternating() -> Network:
    """Two chains that change devices, joined at the end."""
    net = Network("chains")
    x = net.add_input("x", mm.float32, (4,))
    a = net.tanh(net.relu(net.tanh(net.relu(x))))
    b = net.relu(net.tanh(x))
    net.mark_output(net.add(a, b), "y")
    return net


def cut(net: Network, spaces: tuple[str, ...]):
    placed = place(net, [Chooser("a", "relu", "add"), Chooser("b", "tanh")], strict=False)
    return partition(net, placed.device, spaces)


def test_parts_run_after_what_they_read() -> None:
    parts = cut(alternating(), ("host", "host"))
    defined = set(parts.main.arguments)
    for step in parts.main.instructions:
        assert isinstance(step, Launch), "nothing is copied within one memory space"
        assert set(step.inputs) <= defined
        assert not set(step.outputs) & defined
        defined |= set(step.outputs)
    assert set(parts.main.results) <= defined
    for part in parts.parts:
        part.network.verify()
        allowed = {"mm.relu", "mm.add"} if part.device == 0 else {"mm.tanh"}
        assert {op.name for op in part.network.operations} <= allowed


def test_values_cross_spaces_once_and_by_way_of_the_host() -> None:
    parts = cut(alternating(), ("one", "two"))
    copies = [step for step in parts.main.instructions if isinstance(step, Copy)]
    assert copies
    assert all(HOST_DEVICE in (step.source_device, step.target_device) for step in copies)
    crossings = [(step.source, step.target_device) for step in copies]
    assert len(set(crossings)) == len(crossings)
    defined = set(parts.main.arguments)
    for step in parts.main.instructions:
        read, written = (step.inputs, step.outputs) if isinstance(step, Launch) else ((step.source,), (step.target,))
        assert set(read) <= defined
        defined |= set(written)


def test_one_backend_takes_a_whole_network_as_one_part() -> None:
    net = alternating()
    placed = place(net, [Chooser("a", "relu", "add", "tanh")], strict=True)
    parts = partition(net, placed.device, ("host",))
    assert len(parts.parts) == 1
    assert len(parts.main.instructions) == 1


def test_constants_go_with_the_parts_that_read_them() -> None:
    net = network(lambda g, x: g.tanh(g.add(x, np.ones((3, 4), np.float32))))
    placed = place(net, [Chooser("a", "add"), Chooser("b", "tanh")], strict=True)
    parts = partition(net, placed.device, ("host", "host"))
    held = [sum(op.name == "mm.constant" for op in part.network.operations) for part in parts.parts]
    assert held == [1, 0]
    assert not parts.constants


def test_regions_are_placed_too() -> None:
    net = Network("choice")
    condition = net.add_input("c", mm.bool_, ())
    x = net.add_input("x", mm.float32, (4,))
    branches = []
    for name in ("relu", "tanh"):
        branch = Graph(within=net)
        branch.set_outputs([getattr(branch, name)(branch.add_argument(x.type))])
        branches.append(branch)
    net.mark_output(net.if_(condition, x, regions=branches)[0], "y")
    placed = place(net, [Chooser("a", "relu"), Chooser("b", "tanh")], strict=False)
    parts = partition(net, placed.device, ("host", "host"))
    (step,) = parts.main.instructions
    inner = [block.instructions[0].part for block in (step.then_block, step.else_block)]
    assert [parts.parts[number].device for number in inner] == [0, 1]


def test_parts_know_what_was_known_of_their_inputs() -> None:
    """Sizes computed on one device are bounds on the other: accepting them and compiling them must agree."""
    net = Network("sizes")
    x = net.add_input("x", mm.float32, ("N", 4))
    half = net.div(net.shape(x, end=1), 2)
    net.mark_output(net.slice(x, half, net.shape(x, end=1), [0]), "y")
    placed = place(net, [Chooser("a", "slice"), Chooser("b", "div", "shape")], strict=False)
    parts = partition(net, placed.device, ("host", "host"))
    (part,) = (part for part in parts.parts if part.device == 0)
    (operation,) = (op for op in part.network.operations if op.name == "mm.slice")
    assert [str(known_value(operation.operands[index])[0]) for index in (1, 2)] == ["floordiv(N, 2)", "N"]
