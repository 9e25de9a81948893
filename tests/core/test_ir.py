"""The graph: exact use lists under any edit, safe iteration, copies, fresh symbols, builders."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mm_core as mm
from mm_core.errors import InputError, MMError, UnsupportedOpError, VerifyError
from mm_core.ir import Builder, Graph, Location, Network, Operation, Value, known_value
from mm_core.types import SymDim, TensorType, symbol

# ---- use lists -----------------------------------------------------------------------------------------------------


def check_uses(network: Network) -> None:
    """Uses are exactly the operand slots, and the list is linked consistently both ways."""
    operations = [*network.operations, network.terminator]
    wanted: dict[Value, set[tuple[int, int]]] = {}
    for operation in operations:
        for index, value in enumerate(operation.operands):
            if value is not None:
                wanted.setdefault(value, set()).add((id(operation), index))
    values = [*network.arguments, *(result for operation in operations for result in operation.results)]
    for value in values:
        assert {(id(use.operation), use.index) for use in value.uses} == wanted.pop(value, set())
        assert value.is_used == bool(value.uses)
    assert not wanted, "a value is read that is not in the network"
    assert len(network) == len(operations) - 1
    for before, after in pairwise(operations):
        assert before.next is after
        assert after.previous is before
    assert all(operation.parent is network for operation in operations)


EDITS = ("insert", "erase", "replace", "move", "set_operand", "set_operands", "set_outputs", "erase_all_unused")


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(EDITS), st.integers(0, 999), st.integers(0, 999)), max_size=40))
def test_uses_stay_exact_under_random_edits(edits: list[tuple[str, int, int]]) -> None:
    net = Network("edits")
    a, b = (net.add_input(name, mm.float32, (4,)) for name in "ab")
    net.set_outputs([net.add(net.neg(a), b)])
    for edit, first, second in edits:
        operations = list(net.operations)
        values = [a, b, *(result for operation in operations for result in operation.results)]
        x, y = values[first % len(values)], values[second % len(values)]
        operation = operations[first % len(operations)] if operations else None
        if edit == "insert":
            before = operations[second % len(operations)] if operations and second % 2 else None
            Builder(net, before).maximum(x, y)
        elif edit == "set_outputs":
            net.set_outputs([x, y, x])
        elif edit == "replace":
            x.replace_all_uses_with(y)
        elif edit == "erase_all_unused":
            for candidate in net.operations:
                if not any(result.is_used for result in candidate.results):
                    candidate.erase()
        elif operation is not None:
            if edit == "erase":
                if operation.result.is_used:
                    with pytest.raises(VerifyError, match="its results are used"):
                        operation.erase()
                else:
                    operation.erase()
            elif edit == "move":
                place = operations[second % len(operations)]
                net.move(operation, None if place is operation else place)
            elif edit == "set_operand":
                operation.set_operand(second % len(operation.operands), y)
            else:
                operation.set_operands([y] * len(operation.operands))
        check_uses(net)


@settings(deadline=None)
@given(st.sets(st.integers(0, 9)), st.integers(0, 9))
def test_iteration_survives_erasing_anything(erased: set[int], moment: int) -> None:
    net = Network("chain")
    x = net.add_input("x", mm.float32, (4,))
    operations = [net.neg(x).defining_op for _ in range(10)]
    seen = []
    for index, operation in enumerate(net.operations):
        seen.append(operation)
        assert operation.parent is net, "an erased operation is visited"
        if index == moment:
            for number in erased:
                operations[number].erase()
    wanted = [op for number, op in enumerate(operations) if number <= moment or number not in erased]
    assert seen == wanted
    check_uses(net)


def test_replaced_values_hand_on_their_names() -> None:
    net = Network("names")
    x = net.add_input("x", mm.float32, (4,))
    old = net.neg(x, name="user")
    net.mark_output(old, "y")
    new = Builder(net, old.defining_op).relu(x)
    old.defining_op.replace_with([new])
    assert new.name == "user"
    assert net.outputs == (new,)
    with pytest.raises(VerifyError, match="2 to replace them"):
        new.defining_op.replace_with([x, x])


def test_an_operation_has_one_place() -> None:
    net, other = Network("one"), Network("other")
    x = net.add_input("x", mm.float32, (4,))
    operation = net.neg(x).defining_op
    with pytest.raises(VerifyError, match="in another graph already"):
        other.insert(operation)
    with pytest.raises(VerifyError, match="in another graph already"):
        net.insert(operation)


def test_values_in_conditions_are_mistakes() -> None:
    net = Network("bool")
    x = net.add_input("x", mm.float32, (4,))
    with pytest.raises(TypeError, match="truth value"):
        bool(x)


# ---- builders ------------------------------------------------------------------------------------------------------


def test_scalars_take_the_type_of_the_other_operand() -> None:
    net = Network("scalars")
    for dtype in (mm.float16, mm.float64, mm.int8, mm.uint8, mm.int64):
        x = net.add_input(str(dtype), dtype, (4,))
        assert net.add(x, 1).type.dtype is dtype
        assert net.add(1, x).type.dtype is dtype


def test_several_results_come_as_a_tuple_and_one_as_itself() -> None:
    net = Network("results")
    x = net.add_input("x", mm.float32, (6,))
    values, indices = net.topk(x, [2])
    assert values.type == TensorType(mm.float32, (2,))
    assert indices.type.dtype is mm.int64
    assert len(net.split(x, parts=3)) == 3
    assert isinstance(net.split(x, parts=1), tuple)


def test_locations_of_a_block_and_of_one_operation() -> None:
    net = Network("places")
    x = net.add_input("x", mm.float32, (6,))
    with net.at(Location("onnx", "outer", "Relu")):
        first = net.relu(x)
        second = net.relu(x, name="mine")
    assert {str(place) for place in first.defining_op.locations} == {"outer (Relu)"}
    assert second.defining_op.where == "mine"
    assert second.name == "mine"
    assert not net.relu(x).defining_op.locations


BAD_BUILDS = {
    "unknown operator": (lambda net, x: net.op("mm.cov", x), UnsupportedOpError, "mm.cov is unknown.*mm.conv"),
    "unknown method": (lambda net, x: net.cov(x), AttributeError, "mm.cov is unknown"),
    "unknown dialect": (lambda net, x: net.op("acme.scale", x), MMError, "acme"),
    "unknown attribute": (lambda net, x: net.softmax(x, axes=1), UnsupportedOpError, "no attribute 'axes'.*axis"),
    "missing attribute": (lambda net, x: net.concat(x, x), UnsupportedOpError, "needs the attribute 'axis'"),
    "attribute of a wrong type": (lambda net, x: net.softmax(x, axis="last"), UnsupportedOpError, "'last', wanted int"),
    "choice": (lambda net, x: net.gelu(x, approximate="fast"), UnsupportedOpError, "'fast'.*'none'"),
    "too many operands": (lambda net, x: net.relu(x, x), UnsupportedOpError, r"takes \(x\), got 2"),
    "too few operands": (lambda net, x: net.add(x), UnsupportedOpError, r"takes \(a, b\), got 1"),
    "dtype": (lambda net, x: net.logical_not(x), UnsupportedOpError, "element type float32.*bool"),
    "mixed dtypes": (lambda net, x: net.add(x, np.ones(4)), UnsupportedOpError, "float64.*float32.*cast"),
    "shapes": (lambda net, x: net.add(x, np.ones(3, np.float32)), InputError, "4 and 3 do not broadcast"),
    "not an operand": (lambda net, x: net.add(x, object()), UnsupportedOpError, "operand 1 is a object"),
}


@pytest.mark.parametrize("case", BAD_BUILDS)
def test_what_cannot_be_built_says_why_and_leaves_nothing(case: str) -> None:
    build, kind, message = BAD_BUILDS[case]
    net = Network("bad")
    x = net.add_input("x", mm.float32, (4,))
    with pytest.raises(kind, match=message):
        build(net, x)
    assert not any(operation.name != "mm.constant" for operation in net.operations)


def test_an_error_names_the_users_node() -> None:
    net = Network("bad")
    x = net.add_input("x", mm.float32, (4,))
    with pytest.raises(InputError, match=r"^joining: "):
        net.add(x, np.ones(3, np.float32), name="joining")


@pytest.mark.parametrize("name", ["", "x"])
def test_input_names_are_unique(name: str) -> None:
    net = Network("names")
    net.add_input("x", mm.float32, (4,))
    with pytest.raises(InputError, match="empty or taken"):
        net.add_input(name, mm.float32, (4,))


def test_output_names_are_unique() -> None:
    net = Network("names")
    x = net.add_input("x", mm.float32, (4,))
    net.mark_output(x, "y")
    with pytest.raises(InputError, match="'y' is taken"):
        net.mark_output(net.relu(x), "y")
    net.mark_output(net.relu(x))
    assert len(set(net.output_names)) == 2
    net.verify()


# ---- fresh symbols and copies --------------------------------------------------------------------------------------


def unknown_size(value: Value) -> SymDim:
    return value.type.shape[1]


def test_fresh_symbols_differ_from_all_there_are() -> None:
    net = Network("fresh")
    x = net.add_input("x", mm.float32, ("d1", None, "d7"))
    taken = {str(dim) for dim in x.type.shape}
    made = {str(unknown_size(net.nonzero(x))) for _ in range(5)}
    assert len(taken) == 3
    assert len(made) == 5
    assert not made & taken


@pytest.mark.parametrize("copy", [lambda net: net.clone(), lambda net: Network.from_text(str(net))])
def test_copies_go_on_with_symbols_of_their_own(copy) -> None:
    net = Network("fresh")
    x = net.add_input("x", mm.float32, (4,))
    first = net.nonzero(x)
    net.mark_output(first, "y")
    other = copy(net)
    again = other.nonzero(other.arguments[0])
    assert unknown_size(again) != unknown_size(first)


def test_regions_of_a_copy_share_symbols_with_the_copy() -> None:
    net = Network("fresh")
    condition = net.add_input("c", mm.bool_, ())
    x = net.add_input("x", mm.float32, (4,))
    branches = []
    for _ in range(2):
        branch = Graph(within=net)
        value = branch.add_argument(x.type)
        branch.set_outputs([branch.nonzero(value)])
        branches.append(branch)
    result = net.if_(condition, x, regions=tuple(branches))
    net.mark_output(result[0] if isinstance(result, tuple) else result, "y")
    for other in (net.clone(), Network.from_text(str(net))):
        region = next(op for op in other.operations if op.regions).regions[0]
        inside = unknown_size(region.nonzero(region.arguments[0]))
        outside = unknown_size(other.nonzero(other.arguments[1]))
        assert inside != outside


def test_a_clone_is_equal_and_independent() -> None:
    net = Network("original")
    x = net.add_input("x", mm.float32, ("N", 4))
    weight = np.arange(400, dtype=np.float32).reshape(4, 100)
    net.mark_output(net.matmul(x, weight, name="product"), "y")
    copy = net.clone()
    text = str(net)
    assert str(copy) == text
    copy.mark_output(copy.relu(copy.outputs[0]), "z")
    assert str(net) == text
    constants = [
        next(op.attributes["value"] for op in network.operations if op.name == "mm.constant") for network in (net, copy)
    ]
    assert constants[0] is constants[1], "weights are shared, not copied"


# ---- known values and the verifier -----------------------------------------------------------------------------------


def test_known_values_follow_sizes_through_long_chains() -> None:
    net = Network("known")
    x = net.add_input("x", mm.float32, ("N", 4))
    value = net.shape(x)
    for _ in range(3000):
        value = net.add(value, 1)
    assert known_value(value).tolist() == [symbol("N") + 3000, 3004]
    value.defining_op.set_operand(1, net.constant([5, 5], mm.int64))
    assert known_value(value).tolist() == [symbol("N") + 3004, 3008]


def broken(change) -> Network:
    net = Network("broken")
    x = net.add_input("x", mm.float32, ("N", 4))
    y = net.relu(x, name="first")
    net.mark_output(net.neg(y, name="second"), "y")
    change(net, y)
    return net


def _later(net: Network, y: Value) -> None:
    net.move(y.defining_op)


def _foreign(net: Network, y: Value) -> None:
    other = Network("other")
    y.defining_op.set_operand(0, other.add_input("x", mm.float32, ("N", 4)))


def _erased(net: Network, y: Value) -> None:
    net.unlink(y.defining_op)


def _wrong_type(net: Network, y: Value) -> None:
    y.type = TensorType(mm.float64, y.type.shape)


def _wrong_shape(net: Network, y: Value) -> None:
    y.type = TensorType(mm.float32, (symbol("N"), 5))


def _wrong_rank(net: Network, y: Value) -> None:
    y.type = TensorType(mm.float32, (4,))


def _wrong_attribute(net: Network, y: Value) -> None:
    net.softmax(y, name="soft", axis=1).defining_op.attributes["axis"] = 9


def _no_name(net: Network, y: Value) -> None:
    net.output_names.clear()


def _same_names(net: Network, y: Value) -> None:
    net.set_outputs([y, y])
    net.output_names[:] = ["y", "y"]


def _unnamed_input(net: Network, y: Value) -> None:
    net.arguments[0].name = ""


@pytest.mark.parametrize(
    ("change", "message"),
    [(_later, "second: operand 0 of mm.neg is defined in another graph or later"), (_foreign, "first: operand 0"),
     (_erased, "second: operand 0 of mm.neg is erased"), (_wrong_type, "first: result 0 of mm.relu is declared"),
     (_wrong_shape, "first: result 0 .* declared"), (_wrong_rank, "first: result 0 .* declared"),
     (_wrong_attribute, "soft: .*axis"), (_no_name, "each output needs a name"),
     (_same_names, "each output needs a name"), (_unnamed_input, "input names must be unique and not empty")],
    ids=lambda item: getattr(item, "__name__", ""),
)  # fmt: skip
def test_the_verifier_names_the_rule_and_the_node(change, message: str) -> None:
    with pytest.raises(VerifyError, match=message):
        broken(change).verify()


def test_regions_are_isolated() -> None:
    net = Network("capture")
    condition = net.add_input("c", mm.bool_, ())
    x = net.add_input("x", mm.float32, (4,))
    branches = []
    for _ in range(2):
        branch = Graph(within=net)
        branch.add_argument(x.type)
        branch.set_outputs([x])
        branches.append(branch)
    net.if_(condition, x, regions=tuple(branches), name="choice")
    net.mark_output(x, "y")
    with pytest.raises(VerifyError, match="defined in another graph"):
        net.verify()


def test_an_operand_by_name() -> None:
    net = Network("named")
    x = net.add_input("x", mm.float32, (4,))
    operation: Operation = net.clip(x, high=2.0).defining_op
    assert operation.operand("low") is None
    assert operation.operand("high").defining_op.attributes["value"].numpy() == 2
    with pytest.raises(VerifyError, match="no operand 'middle'"):
        operation.operand("middle")
