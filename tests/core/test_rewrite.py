"""The rewrite engine: what patterns match, what they refuse and why, and how the driver goes about it."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mm_core as mm
from mm_core.errors import PassError, UnsupportedOpError
from mm_core.ir import Graph, Operation, Value
from mm_core.rewrite import Match, Pattern, Reason, Rewriter, rewrite, rule
from mm_core.testing.interpreter import interpret

Build = Callable[[mm.Network, Value], Value]


def network_of(build: Build, shape: tuple[object, ...] = ("N", 4), dtype: object = mm.float32) -> mm.Network:
    network = mm.Network("test")
    network.mark_output(build(network, network.add_input("x", dtype, shape)), "y")
    return network


def names(network: mm.Network) -> list[str]:
    return [op.name.removeprefix("mm.") for op in network.walk() if op.name != "mm.constant"]


GELU = Pattern(
    "gelu",
    lambda p, x: p.mul(p.mul(x, 0.5), p.add(p.erf(p.div(x, p.any_constant("s"))), 1.0)),
    lambda g, x: g.gelu(x),
    lambda match: None if abs((match.number("s") or 0) - 2**0.5) < 1e-6 else "the divisor is not the root of 2",
)


@pytest.mark.parametrize("order", range(8))
def test_commutative_operands_match_both_ways(order: int) -> None:
    def pair(kind: Callable[..., Value], a: object, b: object, bit: int) -> Value:
        return kind(b, a) if order >> bit & 1 else kind(a, b)

    def build(n: mm.Network, x: Value) -> Value:
        gate = pair(n.add, n.erf(n.div(x, np.float32(2**0.5))), 1.0, 0)
        return pair(n.mul, pair(n.mul, x, 0.5, 1), gate, 2)

    network = network_of(build)
    assert rewrite(network, [GELU]).fired == {"gelu": 1}
    network.verify()
    assert names(network) == ["gelu"]


def test_a_check_refuses_with_its_reason() -> None:
    network = network_of(lambda n, x: n.mul(n.mul(x, 0.5), n.add(n.erf(n.div(x, 3.0)), 1.0)))
    report = rewrite(network, [GELU])
    assert not report.changed
    assert report.refused["gelu"] == {"the divisor is not the root of 2": 1}
    assert "tests/core/test_rewrite.py" not in str(report)  # a path says no more than the folder and the file
    assert "core/test_rewrite.py:" in str(report)


NEGATED_SUM = Pattern("negated-sum", lambda p, x, y: p.neg(p.add(x, y)), lambda g, x, y: g.sub(g.neg(x), y))


def test_inner_results_may_not_be_used_outside() -> None:
    def build(n: mm.Network, x: Value) -> Value:
        total = n.add(x, x)
        return n.mul(n.neg(total), total)

    report = rewrite(network_of(build), [NEGATED_SUM])
    assert report.refused["negated-sum"] == {"the result of mm.add is also used by mm.mul": 1}


def test_shared_nodes_may_be_used_outside() -> None:
    shared = Pattern("shared", lambda p, x: p.neg(p.abs(x, shared=True)), lambda g, x: g.minimum(x, g.neg(x)))
    network = network_of(lambda n, x: n.mul(n.neg(a := n.abs(x)), a))
    assert rewrite(network, [shared]).fired == {"shared": 1}
    assert sorted(names(network)) == ["abs", "minimum", "mul", "neg"]


def test_a_variable_means_one_value() -> None:
    twice = Pattern("twice", lambda p, x: p.add(x, x), lambda g, x: g.mul(x, 2.0))
    same, other = network_of(lambda n, x: n.add(x, x)), network_of(lambda n, x: n.add(x, n.neg(x)))
    assert rewrite(same, [twice]).changed
    assert not rewrite(other, [twice]).changed


def test_a_node_in_two_places_means_one_operation() -> None:
    def find(p: object, x: object) -> object:
        inner = p.exp(x)
        return p.div(inner, p.reduce_sum(inner, axes=p.attribute("axes")))

    pattern = Pattern("softmax", find, lambda g, x, axes: g.softmax(x, axis=axes[0]))
    one = network_of(lambda n, x: n.div(e := n.exp(x), n.reduce_sum(e, axes=(1,))))
    two = network_of(lambda n, x: n.div(n.exp(x), n.reduce_sum(n.exp(x), axes=(1,))))
    assert rewrite(one, [pattern]).changed
    assert names(one) == ["softmax"]
    assert not rewrite(two, [pattern]).changed


def test_optional_nodes_and_alternatives() -> None:
    pattern = Pattern(
        "shifted-exp",
        lambda p, x: p.exp(p.optional(p.one_of(p.neg(x), p.abs(x)), lambda t: p.mul(t, p.any_constant("scale")))),
        lambda g, x, scale: g.tanh(x) if scale is None else g.mul(g.tanh(x), scale),
    )
    for build, expected in (
        (lambda n, x: n.exp(n.neg(x)), ["tanh"]),
        (lambda n, x: n.exp(n.mul(3.0, n.abs(x))), ["tanh", "mul"]),
        (lambda n, x: n.exp(n.mul(x, n.abs(x))), ["abs", "mul", "exp"]),
    ):
        network = network_of(build)
        rewrite(network, [pattern])
        network.verify()
        assert names(network) == expected


def test_attributes_match_by_value_predicate_or_name() -> None:
    pattern = Pattern(
        "leaky",
        lambda p, x: p.leaky_relu(p.leaky_relu(x, alpha=0.5), alpha=lambda alpha: alpha < 0.3, name="outer"),
        lambda g, x, outer: g.leaky_relu(x, alpha=outer.attributes["alpha"] * 0.5),
    )
    network = network_of(lambda n, x: n.leaky_relu(n.leaky_relu(x, alpha=0.5), alpha=0.25))
    rewrite(network, [pattern])
    assert [op.attributes["alpha"] for op in network.operations] == [0.125]
    assert not rewrite(network_of(lambda n, x: n.leaky_relu(n.leaky_relu(x, alpha=0.5), alpha=0.5)), [pattern]).changed


def test_numbers_match_in_the_precision_of_the_element_type() -> None:
    pattern = Pattern("cubic", lambda p, x: p.mul(x, 0.044715), lambda g, x: g.neg(x))
    for dtype, number, fits in (
        (mm.float32, 0.044715, True),
        (mm.float32, 0.0448, False),
        (mm.float16, 0.0448, True),
        (mm.float64, 0.04471501, True),
        (mm.float64, 0.0447152, False),
    ):
        network = network_of(lambda n, x, number=number: n.mul(x, number), dtype=dtype)
        assert rewrite(network, [pattern]).changed is fits, (dtype, number)
    vector = network_of(lambda n, x: n.mul(x, np.full(4, 0.044715, np.float32)))
    assert rewrite(vector, [pattern]).changed


def test_several_results() -> None:
    def find(p: object, x: object) -> object:
        parts = p.split(x, axis=1, parts=2)
        return p.sub(parts[0], parts[1])

    pattern = Pattern("halves", find, lambda g, x: g.neg(g.slice(x, [0], [2], [1])))
    network = network_of(lambda n, x: n.sub(*n.split(x, axis=1, parts=2)))
    assert rewrite(network, [pattern]).changed
    swapped = network_of(lambda n, x: n.sub(*n.split(x, axis=1, parts=2)[::-1]))
    assert not rewrite(swapped, [pattern]).changed


def test_locations_are_united() -> None:
    network = mm.Network("locations")
    x = network.add_input("x", mm.float32, (4,))
    with network.at(mm.Location("onnx", "A")):
        total = network.add(x, x)
    with network.at(mm.Location("onnx", "B")):
        network.mark_output(network.neg(total), "y")
    rewrite(network, [NEGATED_SUM])
    assert [{place.name for place in op.locations} for op in network.operations] == [{"A", "B"}] * 2


def test_regions_are_rewritten_but_not_those_of_fused_operations() -> None:
    network = mm.Network("regions")
    x = network.add_input("x", mm.float32, (4,))

    def region() -> Graph:
        inner = Graph(within=network)
        value = inner.add_argument(x.type)
        inner.mark_output(inner.neg(inner.add(value, value)))
        return inner

    chosen = network.if_(network.add_input("c", mm.bool_, ()), x, regions=(region(), region()))
    network.mark_output(chosen[0], "a")
    network.mark_output(network.op("mm.fused", x, kind="elementwise", regions=(region(),))[0], "b")
    assert rewrite(network, [NEGATED_SUM]).fired == {"negated-sum": 2}
    network.verify()


def test_function_rules_and_their_three_answers() -> None:
    @rule("mm.mul")
    def halve(rewriter: Rewriter, operation: Operation) -> Reason | None:
        x, factor = operation.operands
        if factor.defining_op is None or factor.defining_op.name != "mm.constant":
            return "the factor is not constant"
        if factor.defining_op.attributes["value"].numpy() != 0.5:
            return None
        rewriter.replace(operation, [rewriter.div(x, 2.0)])
        return None

    network = network_of(lambda n, x: n.mul(n.mul(n.mul(x, 0.5), 3.0), x))
    report = rewrite(network, [halve])
    assert report.fired == {"halve": 1}
    assert report.refused["halve"] == {"the factor is not constant": 1}
    assert names(network) == ["div", "mul", "mul"]


def test_what_a_refusing_replacement_built_is_taken_back() -> None:
    def build(g: Rewriter, x: Value) -> Value | str:
        g.exp(g.abs(x))
        return "on second thoughts, no"

    network = network_of(lambda n, x: n.neg(x))
    text = str(network)
    report = rewrite(network, [Pattern("shy", lambda p, x: p.neg(x), build)])
    assert report.refused["shy"] == {"on second thoughts, no": 1}
    assert str(network) == text


def test_a_replacement_of_another_type_is_an_error() -> None:
    network = network_of(lambda n, x: n.neg(x))
    wrong = Pattern("wrong", lambda p, x: p.neg(x), lambda g, x: g.cast(x, to="int64"))
    with pytest.raises(PassError, match=r"'wrong' \(core/test_rewrite.py:\d+\).*i64.*cannot replace"):
        rewrite(network, [wrong])


def test_rules_that_undo_each_other_are_found() -> None:
    there = Pattern("there", lambda p, x: p.neg(x), lambda g, x: g.mul(x, -1.0))
    back = Pattern("back", lambda p, x: p.mul(x, -1.0), lambda g, x: g.neg(x))
    with pytest.raises(PassError, match="does not come to an end"):
        rewrite(network_of(lambda n, x: n.neg(x)), [there, back])


def test_mistakes_in_patterns_are_found_when_they_are_written_or_first_used() -> None:
    with pytest.raises(PassError, match="takes y"):
        Pattern("bad", lambda p, x: p.neg(x), lambda g, y: y)
    with pytest.raises(PassError, match="must end in an operation"):
        Pattern("bad", lambda p, x: x, lambda g, x: x)
    with pytest.raises(UnsupportedOpError, match="no_such_operator"):
        rewrite(mm.Network("n"), [Pattern("bad", lambda p, x: p.no_such_operator(x), lambda g, x: x)])


@pytest.mark.serial
def test_deep_commutative_patterns_do_not_blow_up() -> None:
    def find(p: object, x: object) -> object:
        for index in range(24):
            x = p.add(x, p.var(f"v{index}"))
        return p.neg(x)

    def refuse(match: Match) -> Reason:
        return "never"

    pattern = Pattern("deep", find, lambda g, x: x, refuse)

    def build(n: mm.Network, x: Value) -> Value:
        for _ in range(24):
            x = n.add(n.abs(x), n.abs(x))
        return n.neg(x)

    network = network_of(build)
    start = time.perf_counter()
    report = rewrite(network, [pattern])
    assert time.perf_counter() - start < 1.0
    assert not report.changed


@pytest.mark.serial
def test_a_long_chain_is_rewritten_in_linear_time() -> None:
    pattern = Pattern("exp-log", lambda p, x: p.exp(p.log(x)), lambda g, x: g.abs(x))

    def build(n: mm.Network, x: Value) -> Value:
        for _ in range(5000):
            x = n.exp(n.log(x))
        return x

    def seconds(network: mm.Network) -> float:
        start = time.perf_counter()
        rewrite(network, [pattern])
        return time.perf_counter() - start

    network = network_of(build)
    assert seconds(network) < 5.0
    assert len(network) == 5000
    assert seconds(network) < 0.5  # nothing left to do


UNARY = ("neg", "abs", "relu", "floor")
RULES = (
    Pattern("neg-neg", lambda p, x: p.neg(p.neg(x)), lambda g, x: x),
    Pattern("abs-neg", lambda p, x: p.abs(p.neg(x, shared=True)), lambda g, x: g.abs(x)),
    Pattern("relu-abs", lambda p, x: p.relu(p.abs(x, name="inner", shared=True)), lambda g, inner: inner.result),
    Pattern("add-neg", lambda p, x, y: p.add(x, p.neg(y)), lambda g, x, y: g.sub(x, y)),
)


STEP = st.tuples(st.sampled_from((*UNARY, "add")), st.integers(0, 20), st.integers(0, 20))


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, min_size=1, max_size=15))
def test_rewriting_keeps_graphs_valid_and_their_meaning(steps: list[tuple[str, int, int]]) -> None:
    network = mm.Network("random")
    values = [network.add_input("x", mm.float32, (5,))]
    for name, first, second in steps:
        operands = [values[first % len(values)]]
        if name == "add":
            operands.append(values[second % len(values)])
        values.append(getattr(network, name)(*operands))
    network.mark_output(values[-1], "y")
    network.mark_output(values[len(values) // 2], "z")
    x = np.array([1.5, -2.25, 0.0, 3.0, -0.5], np.float32)
    wanted = interpret(network, [x])
    rewrite(network, RULES)
    network.verify()
    for left, right in zip(wanted, interpret(network, [x]), strict=True):
        np.testing.assert_array_equal(left, right)
    assert not rewrite(network, RULES).changed
