"""Sequences and optionals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import mm_core as mm
from mm_core.ir import Graph
from mm_core.ops import lookup
from mm_core.testing.interpreter import interpret, lower
from mm_core.testing.opcheck import assert_close, opcheck

A, B, C = (np.arange(n * 2, dtype=np.float32).reshape(n, 2) for n in (1, 2, 3))
ONE = np.array(1)


@pytest.mark.parametrize(("op", "inputs", "attributes", "expected"), [
    ("sequence_construct", [A, B], {}, [A, B]),
    ("sequence_empty", [], {"dtype": "int32"}, []),
    ("sequence_insert", [[A, B], C], {}, [A, B, C]),
    ("sequence_insert", [[A, B], C, np.array(-1)], {}, [A, C, B]),
    ("sequence_insert", [[A, B], C, np.array(2, np.int32)], {}, [A, B, C]),
    ("sequence_erase", [[A, B, C]], {}, [A, B]),
    ("sequence_erase", [[A, B, C], ONE], {}, [A, C]),
    ("sequence_at", [[A, B, C], np.array(-2)], {}, B),
    ("sequence_length", [[A, B, C]], {}, np.array(3)),
    ("split_to_sequence", [C], {}, [C[:1], C[1:2], C[2:]]),
    ("split_to_sequence", [C], {"keepdims": False}, [C[0], C[1], C[2]]),
    ("split_to_sequence", [C, np.array(2)], {}, [C[:2], C[2:]]),
    ("split_to_sequence", [C, np.array([1, 2])], {}, [C[:1], C[1:]]),
    ("split_to_sequence", [C, np.array([1, 1])], {"axis": 1}, [C[:, :1], C[:, 1:]]),
    ("concat_from_sequence", [[A, B]], {"axis": 0}, np.concatenate([A, B])),
    ("concat_from_sequence", [[A, A]], {"axis": -1, "new_axis": True}, np.stack([A, A], -1)),
    ("optional", [A], {}, A),
    ("optional_has_element", [A], {}, np.array(True)),
    ("optional_has_element", [], {}, np.array(False)),
    ("optional_get_element", [A], {}, A),
])  # fmt: skip
def test_results(op: str, inputs: list[Any], attributes: dict[str, Any], expected: Any) -> None:
    opcheck(f"mm.{op}", inputs, attributes)
    network = mm.Network()
    values = [network.sequence_construct(*map(network.constant, x)) if isinstance(x, list) else x for x in inputs]
    network.mark_output(network.op(f"mm.{op}", *values, **attributes))
    (result,) = interpret(network, [])
    if isinstance(expected, list):
        assert len(result) == len(expected)
        for mine, theirs in zip(result, expected):
            assert_close(mine, theirs, op)
    else:
        assert_close(result, expected, op)


def test_absent_optional() -> None:
    type_ = mm.OptionalType(mm.TensorType(mm.float32, ("N",)[:0]))
    opcheck("mm.optional_has_element", [None], types=[type_])
    network = mm.Network()
    nothing = network.optional(None, type=mm.TensorType(mm.float32, (2,)))
    assert nothing.type == mm.OptionalType(mm.TensorType(mm.float32, (2,)))
    network.mark_output(network.optional_has_element(nothing))
    network.mark_output(network.optional_get_element(nothing))
    assert str(mm.Network.from_text(str(network))) == str(network)
    with pytest.raises(mm.InputError, match="absent"):
        interpret(network, [])


@pytest.mark.parametrize(("op", "operands", "message"), [
    ("sequence_at", ([A, B], np.array(2)), "out of a sequence"), ("sequence_at", ([A, B], np.array(-3)), "out of a"),
    ("sequence_erase", ([A], np.array(1)), "out of a sequence"), ("sequence_insert", ([A], B, np.array(2)), "out of a"),
])  # fmt: skip
def test_positions_are_checked(op: str, operands: tuple[Any, ...], message: str) -> None:
    with pytest.raises(mm.InputError, match=message):
        lookup(f"mm.{op}").reference(*operands)


def test_types_of_elements_must_agree() -> None:
    network = mm.Network()
    floats, integers = network.constant(A), network.constant(np.zeros(2, np.int32))
    with pytest.raises(mm.VerifyError, match="an element is"):
        network.sequence_construct(floats, integers)
    with pytest.raises(mm.VerifyError, match="an element is"):
        network.sequence_insert(network.sequence_construct(floats), integers)
    with pytest.raises(mm.VerifyError, match="takes a sequence"):
        network.sequence_length(floats)
    assert network.sequence_construct(network.constant(A), network.constant(C)).type.element.shape[1] == 2


def test_map_is_a_loop() -> None:
    def body(graph: Graph, values: Sequence[Any]) -> list[Graph]:
        made = Graph(within=graph)
        x = made.add_argument(values[0].type.element)
        k = made.add_argument(values[1].type)
        made.set_outputs([made.mul(x, k), made.shape(x)])
        return [made]

    opcheck("mm.sequence_map", [[A, B, C], np.float32(2)], regions=body)
    network = mm.Network()
    items = network.sequence_construct(*map(network.constant, (A, B, C)))
    factor = network.constant(2.0)
    for result in network.sequence_map(items, factor, regions=body(network, [items, factor])):
        network.mark_output(result)
    assert lower(network) == []
    network.verify()
    scaled, shapes = interpret(network, [])
    assert [x.tolist() for x in scaled] == [(x * 2).tolist() for x in (A, B, C)]
    assert [x.tolist() for x in shapes] == [[1, 2], [2, 2], [3, 2]]
