"""Finding operators by name, and definitions that are added by hand."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import mm_core as mm
from mm_core.errors import PluginConflictError, PluginMissingError, UnsupportedOpError, VerifyError
from mm_core.ops import Arity, Attribute, OpDef, Operand, Result, lookup, register
from mm_core.ops.registry import unregister
from mm_core.types import DType, TensorType


class Scale(OpDef):
    """x times a factor."""

    name = "mm.test_scale"
    operands = (Operand("x", "T"), Operand("offset", "T", Arity.OPTIONAL))
    results = (Result("y", "T"),)
    dtypes = {"T": frozenset({mm.float32, mm.float64})}
    attributes = (Attribute("factor", float), Attribute("axes", (int,), ()), Attribute("mode", str, "a", ("a", "b")),
                  Attribute("kind", DType, "float32"), Attribute("flag", bool, False))  # fmt: skip

    def infer(self, types: object, values: object, **attributes: object) -> object:
        return types[0].shape

    def reference(self, x: np.ndarray, offset: np.ndarray | None = None, *, factor: float, **rest: object) -> object:
        return (x * np.asarray(factor, x.dtype)) + (0 if offset is None else offset)


@pytest.fixture
def scale() -> Iterator[OpDef]:
    register(Scale)
    yield lookup(Scale.name)
    unregister(Scale.name)


def test_an_operator_of_ones_own(scale: OpDef) -> None:
    net = mm.Network("own")
    x = net.add_input("x", mm.float32, ("N",))
    net.mark_output(net.test_scale(net.op("mm.test_scale", x, factor=2), factor=3.0, offset=1), "y")
    assert str(mm.Network.from_text(str(net))) == str(net)
    got = mm.Builder().build(net).create_engine().create_context().run({"x": np.ones(3, np.float32)})
    np.testing.assert_array_equal(got["y"], np.full(3, 7, np.float32))


def test_a_name_is_taken_once(scale: OpDef) -> None:
    with pytest.raises(PluginConflictError, match=r"mm\.test_scale is defined already"):
        register(Scale)

    class Relu(Scale):
        name = "mm.relu"

    with pytest.raises(PluginConflictError, match=r"mm\.relu is defined already"):
        register(Relu)


def test_what_was_taken_back_is_unknown_again(scale: OpDef) -> None:
    unregister(Scale.name)
    with pytest.raises(UnsupportedOpError, match=r"mm\.test_scale is unknown"):
        lookup(Scale.name)


def test_unknown_names_and_dialects() -> None:
    with pytest.raises(UnsupportedOpError, match=r"mm\.convv is unknown; available: .*mm\.conv.*spelling"):
        lookup("mm.convv")
    with pytest.raises(PluginMissingError, match="acme"):
        lookup("acme.conv")


def test_attributes_are_brought_to_their_types(scale: OpDef) -> None:
    given = {"factor": np.int64(2), "axes": np.array([1, -1]), "kind": np.float16, "flag": 1}
    normal = scale.normalize_attributes(given)
    assert normal == {"factor": 2.0, "axes": (1, -1), "mode": "a", "kind": mm.float16, "flag": True}
    assert [type(normal[name]) for name in ("factor", "axes", "flag")] == [float, tuple, bool]
    assert list(normal) == ["factor", "axes", "mode", "kind", "flag"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "needs the attribute 'factor'"),
        ({"factor": "2"}, "'factor' is '2', wanted float"),
        ({"factor": None}, "'factor' is None"),
        ({"factor": 1, "axes": 3}, r"'axes' is 3, wanted a list of int"),
        ({"factor": 1, "axes": [1.5]}, "'axes'"),
        ({"factor": 1, "mode": "c"}, "'mode' is 'c'; available: 'a', 'b'"),
        ({"factor": 1, "kind": "f31"}, "'kind' is 'f31'"),
        ({"factor": 1, "flag": 2}, "'flag' is 2"),
        ({"factor": 1, "size": 2}, "no attribute 'size'; available: factor, axes, mode, kind, flag"),
    ],
)
def test_bad_attributes(scale: OpDef, given: dict[str, object], message: str) -> None:
    with pytest.raises(UnsupportedOpError, match=message):
        scale.normalize_attributes(given)


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ((), r"takes \(x, offset\?\), got 0"),
        ((mm.float32, mm.float32, mm.float32), r"takes \(x, offset\?\), got 3"),
        ((None,), "needs the operand 'x'"),
        ((mm.int8,), "operand 'x' has element type int8; available: float32, float64"),
        ((mm.float32, mm.float64), "operand 'offset' is float64, others are float32; cast"),
    ],
)
def test_bad_operands(scale: OpDef, types: tuple[object, ...], message: str) -> None:
    with pytest.raises(UnsupportedOpError, match=message):
        scale.bind_dtypes([None if dtype is None else TensorType(dtype, (2,)) for dtype in types])


def test_a_definition_that_forgets_its_result_type() -> None:
    class Forgetful(Scale):
        name = "mm.test_forgetful"
        results = (Result("y", None),)

    with pytest.raises(VerifyError, match="must state the element type of result 0"):
        Forgetful().infer_types([TensorType(mm.float32, (2,))], [None], {"factor": 1.0})
