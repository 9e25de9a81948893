"""If, loop and scan: their results, their types, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import mm_core as mm
from mm_core.ir import Graph
from mm_core.testing.interpreter import interpret
from mm_core.testing.opcheck import OpcheckError, opcheck

X = np.arange(6, dtype=np.float32).reshape(3, 2) - 2


def region(graph: Graph, types: Sequence[Any], build: Callable[..., Sequence[Any]]) -> Graph:
    """A region whose arguments have these types and whose outputs `build(region, *arguments)` gives."""
    made = Graph(within=graph)
    made.set_outputs(build(made, *[made.add_argument(type_) for type_ in types]))
    return made


def scalars() -> list[Any]:
    return [mm.TensorType(mm.int64, ()), mm.TensorType(mm.bool_, ())]


def types_of(values: Sequence[Any]) -> list[Any]:
    return [value.type for value in values]


@pytest.mark.parametrize("condition", [True, False])
def test_if_takes_one_branch(condition: bool) -> None:
    def branches(graph: Graph, values: Sequence[Any]) -> list[Graph]:
        return [
            region(graph, types_of(values[1:]), lambda g, x: [g.neg(x)]),
            region(graph, types_of(values[1:]), lambda g, x: [g.add(x, 1.0)]),
        ]

    assert not opcheck("mm.if", [np.array(condition), X], regions=branches).unknown
    network = mm.Network()
    x = network.add_input("x", mm.float32, (3, 2))
    c = network.add_input("c", mm.bool_, ())
    (y,) = network.if_(c, x, regions=branches(network, [c, x]))
    network.mark_output(y)
    assert interpret(network, [X, np.array(condition)])[0].tolist() == (-X if condition else X + 1).tolist()


def test_if_joins_the_types_of_its_branches() -> None:
    network = mm.Network()
    x = network.add_input("x", mm.float32, ("N", 2))
    c = network.add_input("c", mm.bool_, ())
    twice = region(network, [x.type], lambda g, x: [g.concat(x, x, axis=0), g.reshape(x, [-1])])
    same = region(network, [x.type], lambda g, x: [g.identity(x), x])
    first, second = network.if_(c, x, regions=(twice, same))
    rows, columns = first.type.shape
    assert columns == 2
    assert isinstance(rows, mm.SymDim)
    assert str(rows) not in ("N", "2*N")
    assert second.type.shape is None
    network.mark_output(first)
    network.verify()


def test_symbols_of_a_region_stay_inside() -> None:
    network = mm.Network()
    x = network.add_input("x", mm.float32, ("N",))
    c = network.add_input("c", mm.bool_, ())
    sizes = network.add_input("sizes", mm.int64, (1,))
    branch = [region(network, [x.type, sizes.type], lambda g, x, s: [g.expand(g.constant(0.0), s)]) for _ in range(2)]
    (y,) = network.if_(c, x, sizes, regions=branch)
    inner = {str(output.type.shape[0]) for graph in branch for output in graph.outputs}
    assert str(y.type.shape[0]) not in inner | {"N"}


def powers(graph: Graph, values: Sequence[Any]) -> list[Graph]:
    """Carries p, collects p * x; p grows by x each time."""

    def body(g: Graph, i: Any, going: Any, p: Any, x: Any) -> list[Any]:
        following = g.add(p, x)
        return [going, following, g.mul(following, x), i]

    return [region(graph, scalars() + types_of(values[2:]), body)]


@pytest.mark.parametrize("trips", [0, 1, 4])
def test_loop_with_a_trip_count(trips: int) -> None:
    inputs = [np.array(trips), None, np.zeros((3, 2), np.float32), X]
    assert not opcheck("mm.loop", inputs, {"carried": 1}, regions=powers).unknown
    network = mm.Network()
    x = network.add_input("x", mm.float32, (3, 2))
    count = network.constant(trips)
    total, each, numbers = network.loop(count, None, network.constant(np.zeros((3, 2), np.float32)), x, carried=1,
                                        regions=powers(network, [None, None, x, x]))  # fmt: skip
    assert each.type.shape == (trips, 3, 2)
    for value in (total, each, numbers):
        network.mark_output(value)
    network.verify()
    result = interpret(network, [X])
    assert result[0].tolist() == (X * trips).tolist()
    assert result[1].tolist() == [(X * (n + 1) * X).tolist() for n in range(trips)]
    assert result[2].tolist() == list(range(trips))
    assert result[1].shape == (trips, 3, 2)


def test_loop_until_a_condition() -> None:
    def body(g: Graph, i: Any, going: Any, n: Any, limit: Any) -> list[Any]:
        double = g.mul(n, 2)
        return [g.less(double, limit), double, double]

    def regions(graph: Graph, values: Sequence[Any]) -> list[Graph]:
        return [region(graph, scalars() + types_of(values[2:]), body)]

    inputs = [None, np.array(True), np.array(3), np.array(40)]
    report = opcheck("mm.loop", inputs, {"carried": 1}, regions=regions)
    assert report.unknown == ("mm.loop, symbolic, result 1: size of axis 0",)
    network = mm.Network()
    values = [None, network.constant(True), network.constant(3), network.constant(40)]
    last, each = network.loop(*values, carried=1, regions=regions(network, values))
    network.mark_output(last)
    network.mark_output(each)
    assert [result.tolist() for result in interpret(network, [])] == [48, [6, 12, 24, 48]]


def test_loop_may_change_the_size_it_carries() -> None:
    network = mm.Network()
    x = network.add_input("x", mm.float32, ("N", 2))
    grow = region(network, [*scalars(), mm.TensorType(mm.float32, (network.fresh_symbol(), 2))],
                  lambda g, i, c, v: [c, g.concat(v, v, axis=0)])  # fmt: skip
    (y,) = network.loop(network.constant(3), None, x, carried=1, regions=(grow,))
    network.mark_output(y)
    network.verify()
    assert "N" not in str(y.type.shape)
    assert interpret(network, [X])[0].shape == (24, 2)


def test_loop_refuses_a_size_that_changes_in_secret() -> None:
    network = mm.Network()
    x = network.add_input("x", mm.float32, ("N", 2))
    grow = region(network, [*scalars(), x.type], lambda g, i, c, v: [c, g.concat(v, v, axis=0)])
    with pytest.raises(mm.VerifyError, match="new symbol"):
        network.loop(network.constant(3), None, x, carried=1, regions=(grow,))


@pytest.mark.parametrize(("types", "carried", "message"), [
    ([mm.float32, mm.float32], 1, "arguments"), ([mm.int32], 1, "argument 2"), ([mm.float32], 2, "carried values"),
])  # fmt: skip
def test_loop_refuses_regions_that_do_not_fit(types: list[Any], carried: int, message: str) -> None:
    network = mm.Network()
    x = network.add_input("x", mm.float32, (2,))
    arguments = [*scalars(), *(mm.TensorType(dtype, (2,)) for dtype in types)]
    body = region(network, arguments, lambda g, i, c, *values: [c, *values])
    with pytest.raises(mm.VerifyError, match=message):
        network.loop(network.constant(1), None, x, carried=carried, regions=(body,))


def running(graph: Graph, values: Sequence[Any]) -> list[Graph]:
    """State s, scanned x (rows): s + x goes on, and is given out, twice."""
    state, scanned = values[0].type, values[1].type
    row = scanned.with_shape(scanned.shape[1:])

    def body(g: Graph, s: Any, x: Any, k: Any) -> list[Any]:
        following = g.add(s, g.mul(x, k))
        return [following, following, g.neg(following)]

    return [region(graph, [state, row, values[2].type], body)]


@pytest.mark.parametrize("places", [
    {}, {"input_reverse": (True,), "output_reverse": (False, True)}, {"output_axes": (1, -1)},
])  # fmt: skip
@pytest.mark.parametrize("rows", [3, 1, 0])
def test_scan_is_a_loop_over_slices(places: dict[str, Any], rows: int) -> None:
    x = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)
    inputs = [np.zeros(2, np.float32), x, np.array(2, np.float32)]
    attributes = {"states": 1, "scans": 1, **places}
    opcheck("mm.scan", inputs, attributes, regions=running)
    network = mm.Network()
    values = [network.add_input(name, mm.float32, shape) for name, shape in (("s", (2,)), ("x", ("T", 2)), ("k", ()))]
    results = network.scan(*values, **attributes, regions=running(network, values))
    for value in results:
        network.mark_output(value)
    network.verify()
    wanted = (2, "T") if "output_axes" in places else ("T", 2)
    assert tuple(str(d) if isinstance(d, mm.SymDim) else d for d in results[1].type.shape) == wanted
    last, sums, negated = interpret(network, inputs)
    order = x[::-1] if "input_reverse" in places else x
    expected = np.cumsum(2 * order, 0)
    assert last.tolist() == (expected[-1] if rows else inputs[0]).tolist()
    assert sums.tolist() == (expected.T if "output_axes" in places else expected).tolist()
    flipped = -expected[::-1] if "output_reverse" in places else -expected
    assert negated.tolist() == (flipped.T if "output_axes" in places else flipped).tolist()


@pytest.mark.parametrize(("attributes", "shape", "message"), [
    ({"states": 1, "scans": 1, "input_axes": (0, 1)}, (3, 2), "2 input axes"),
    ({"states": 1, "scans": 1}, None, "rank"),
    ({"states": 3, "scans": 1}, (3, 2), "do not fit"),
    ({"states": 1, "scans": 1, "input_axes": (5,)}, (3, 2), "axis 5"),
    ({"states": 1, "scans": 1, "output_reverse": (True,)}, (3, 2), "output axes or directions for 2"),
])  # fmt: skip
def test_scan_refuses_what_does_not_fit(attributes: dict[str, Any], shape: Any, message: str) -> None:
    network = mm.Network()
    types = [mm.TensorType(mm.float32, (2,)), mm.TensorType(mm.float32, (3, 2)), mm.TensorType(mm.float32, ())]
    body = running(network, [network.add_argument(type_, name) for type_, name in zip(types, "abc")])
    scanned = network.add_typed_input("x", mm.TensorType(mm.float32, shape))
    with pytest.raises(mm.VerifyError, match=message):
        network.scan(network.arguments[0], scanned, network.arguments[2], **attributes, regions=body)


def test_scan_along_another_axis() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)

    def regions(graph: Graph, values: Sequence[Any]) -> list[Graph]:
        column = mm.TensorType(mm.float32, values[1].type.shape[:1])
        return [region(graph, [values[0].type, column], lambda g, s, c: [g.add(s, g.reduce_sum(c, keepdims=False)), c])]

    report = opcheck("mm.scan", [np.float32(1), x], {"states": 1, "scans": 1, "input_axes": (-1,)}, regions=regions)
    assert not report.unknown


def test_opcheck_finds_contradictions() -> None:
    class Wrong(mm.OpDef):
        """Says one shape and gives another; decomposes into something else."""

        name = "vendor.wrong"
        operands = (mm.Operand("x"),)
        dtypes = {"T": frozenset({mm.float32})}
        attributes = (mm.Attribute("what", str),)

        def infer(self, types: Any, values: Any, *, what: str) -> Any:
            return (types[0].shape[0] + 1,) if what == "shape" else types[0].shape

        def known(self, types: Any, values: Any, *, what: str) -> Any:
            return np.array([1, 2, 3], object) if what == "known" else None

        def reference(self, x: Any, *, what: str) -> Any:
            return x.astype(np.float64) if what == "dtype" else x

        def decompose(self, graph: Any, x: Any, *, what: str) -> Any:
            return graph.neg(x) if what == "value" else graph.op(self.name, x, what=what) if what == "circle" else x

    from mm_core.ops import register, unregister

    register(Wrong)
    try:
        x = np.array([5, 6, 7], np.float32)
        opcheck("vendor.wrong", [x], {"what": "nothing"})
        for what, message in (
            ("shape", "inference says"), ("known", "inference knows"), ("dtype", "gave float64"),
            ("value", "differ"), ("circle", "circles"),
        ):  # fmt: skip
            with pytest.raises(OpcheckError, match=message):
                opcheck("vendor.wrong", [x], {"what": what})
    finally:
        unregister("vendor.wrong")


@pytest.mark.parametrize("trips", [0, 3])
def test_a_loop_carries_an_optional_that_gets_a_value(trips: int) -> None:
    """What enters as an absent optional leaves as one, although the region gives the value itself."""
    network = mm.Network()
    absent = network.optional(None, type=mm.SequenceType(mm.TensorType(mm.float32, None)))
    count = network.add_input("count", mm.int64, ())

    def body(g: Graph, i: Any, going: Any, items: Any) -> list[Any]:
        return [going, g.sequence_construct(g.cast(i, to="float32"))]

    (items,) = network.loop(count, None, absent, carried=1, regions=(region(network, [*scalars(), absent.type], body),))
    assert items.type == absent.type
    network.mark_output(network.optional_has_element(items))
    network.verify()
    assert interpret(network, [np.array(trips)])[0].item() == (trips > 0)
