"""The text form: reading is the inverse of printing for every network, and MLIR tooling accepts it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import mm_core as mm
from mm_core.errors import MMError, ParseError
from mm_core.ir import Graph, Location, Network
from mm_core.ops import Attribute, OpDef, Operand, Result, register
from mm_core.ops.registry import unregister
from mm_core.types import DTYPES, DType, OptionalType, SequenceType, TensorData, TensorType, parse_type, symbol
from tests.mlir_reader import accept

ANY = frozenset(DTYPES)


class Everything(OpDef):
    """Attributes of every kind, for the round trip."""

    name = "mm.test_everything"
    operands = (Operand("x", "T"),)
    results = (Result("y", "T"),)
    dtypes = {"T": ANY}
    attributes = (
        Attribute("flag", bool, False), Attribute("number", int, 0), Attribute("real", float, 0.0),
        Attribute("text", str, ""), Attribute("kind", DType, "float32"), Attribute("numbers", (int,), ()),
        Attribute("reals", (float,), ()), Attribute("texts", (str,), ()), Attribute("data", TensorData, None),
        Attribute("other", object, None),
    )  # fmt: skip

    def infer(self, types: object, values: object, **attributes: object) -> object:
        return types[0].shape


@pytest.fixture(scope="module", autouse=True)
def everything() -> Iterator[None]:
    register(Everything)
    yield
    unregister(Everything.name)


def same(network: Network) -> Network:
    """The network read back from its text; checked to print the same and to verify."""
    text = str(network)
    again = Network.from_text(text, network.weights())
    assert str(again) == text
    again.verify()
    return again


# ---- strategies --------------------------------------------------------------------------------------------------

texts = st.text(st.characters(codec="utf-8"), max_size=12)
ODD_NAMES = ("x", "0", "%0", "a/b:0", 'quo"te', "back\\slash", "\\41", "new\nline", "// no comment")
names = st.one_of(texts, st.sampled_from(ODD_NAMES))
integers = st.integers(-(2**63), 2**63 - 1)
reals = st.floats()
plain = st.one_of(st.booleans(), integers, reals, texts, st.sampled_from(DTYPES))
nested = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple), st.dictionaries(texts.filter(bool), inner, max_size=3)
    ),
    max_leaves=6,
)
locations = st.builds(
    Location, st.sampled_from(["", "onnx", "torch.export"]), names, st.sampled_from(["", "Conv", "aten::add", "a/b"])
)
dims = st.one_of(st.integers(0, 9), st.sampled_from(["N", "2*N + 1", "floordiv(H, 2)", "max(H - 3, 0)"]))
shapes = st.lists(dims, max_size=4).map(tuple)


def bits(dtype: DType) -> st.SearchStrategy[np.ndarray]:
    """Arrays of any bit patterns that the type has."""
    shape = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
    if dtype.kind == "string":
        return arrays.arrays(object, shape, elements=texts)
    if dtype.kind == "bool":
        return arrays.arrays(np.bool_, shape)

    def view(raw: np.ndarray) -> np.ndarray:
        if dtype.bits < 8:
            low = raw.astype(np.int64) & ((1 << dtype.bits) - 1)
            if dtype.kind == "signed":
                low -= (low >> (dtype.bits - 1)) << dtype.bits
                return low.astype(np.int8).astype(dtype.numpy)
            if dtype.kind == "unsigned":
                return low.astype(dtype.numpy)
            return low.astype(np.uint8).view(dtype.numpy)
        return raw.view(dtype.numpy)

    if dtype.bits == 128:
        return arrays.arrays(np.uint64, shape.map(lambda s: (*s, 2))).map(lambda a: a.view(dtype.numpy)[..., 0])
    return arrays.arrays(np.dtype(f"u{dtype.itemsize}"), shape).map(view)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Any values under any names, regions, several results, absent operands."""
    net = Network(draw(names.filter(bool)))
    used = set()
    for _ in range(draw(st.integers(1, 3))):
        name = draw(names.filter(lambda n: n and n not in used))
        used.add(name)
        net.add_input(name, mm.float32, draw(shapes))
    values = list(net.arguments)
    for _ in range(draw(st.integers(0, 8))):
        x = draw(st.sampled_from(values))
        kind = draw(st.sampled_from(["relu", "clip", "split", "if", "constant", "everything"]))
        with net.at(*draw(st.lists(locations, max_size=3))):
            if kind == "relu":
                made = [net.relu(x, name=draw(st.one_of(st.none(), names)))]
            elif kind == "clip":
                made = [net.clip(x, None, draw(reals))]
            elif kind == "split" and len(x.type.shape) and isinstance(x.type.shape[0], int):
                made = list(net.split(x, parts=draw(st.integers(1, 3))))
            elif kind == "if":
                condition = net.constant(draw(st.booleans()))
                regions = []
                for _ in range(2):
                    region = Graph(within=net)
                    argument = region.add_argument(x.type, draw(names))
                    region.set_outputs([region.neg(argument), region.relu(argument)])
                    regions.append(region)
                made = list(net.if_(condition, x, regions=regions))
            elif kind == "constant":
                dtype = draw(st.sampled_from(DTYPES))
                key = draw(st.one_of(st.none(), names.filter(bool)))
                net.constant(TensorData.of(draw(bits(dtype)), dtype, key=key))
                made = []
            else:
                made = [net.op("mm.test_everything", x, flag=draw(st.booleans()), number=draw(integers),
                               real=draw(reals), text=draw(texts), kind=draw(st.sampled_from(DTYPES)),
                               numbers=draw(st.lists(integers, max_size=3)), reals=draw(st.lists(reals, max_size=3)),
                               texts=draw(st.lists(texts, max_size=3)), other=draw(nested))]  # fmt: skip
        values += [value for value in made if value.type.dtype is mm.float32]
    outputs = draw(st.lists(st.sampled_from(values), max_size=3))
    for index, value in enumerate(outputs):
        net.mark_output(value, f"{draw(names)}{index}")
    return net


# ---- the identity ------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=150)
@given(networks())
def test_reading_is_the_inverse_of_printing(net: Network) -> None:
    again = same(net)
    assert [a.name for a in again.arguments] == [a.name for a in net.arguments]
    assert again.output_names == net.output_names
    assert again.name == net.name
    for mine, theirs in zip(net.walk(), again.walk(), strict=True):
        assert mine.name == theirs.name
        assert mine.locations == theirs.locations
        assert [r.type for r in mine.results] == [r.type for r in theirs.results]
        assert len(mine.operands) == len(theirs.operands)
        for key, value in mine.attributes.items():
            assert repr(theirs.attributes[key]) == repr(value) or theirs.attributes[key] == value


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@settings(deadline=None, max_examples=25)
@given(st.data())
def test_constants_keep_every_bit(dtype: DType, data: st.DataObject) -> None:
    array = data.draw(bits(dtype))
    net = Network("constant")
    net.mark_output(net.constant(TensorData.of(array, dtype)), "y")
    read = same(net).outputs[0].defining_op.attributes["value"]
    assert read.dtype is dtype
    assert read.shape == array.shape
    if dtype.kind == "string":
        assert read.numpy().tolist() == array.tolist()
    else:
        assert read.numpy().tobytes() == array.tobytes()


@pytest.mark.parametrize("count", [16, 17, 1000])
def test_large_constants_stand_by_key(count: int) -> None:
    net = Network("large")
    array = np.arange(count, dtype=np.float32)
    net.mark_output(net.constant(array), "y")
    text = str(net)
    assert ("dense_resource" in text) == (count > 16)
    assert len(text) < 1000
    read = Network.from_text(text, net.weights()).outputs[0].defining_op.attributes["value"].numpy()
    np.testing.assert_array_equal(read, array)
    if count > 16:
        handle = Network.from_text(text).outputs[0].defining_op.attributes["value"]
        assert handle.shape == (count,)
        with pytest.raises(ParseError, match=r"by key only.*pass it in `weights`"):
            handle.numpy()


def test_equal_keys_of_unequal_weights_are_told_apart() -> None:
    net = Network("keys")
    first, second, third = (np.full(2, n, np.float32) for n in (1, 2, 1))
    for index, array in enumerate((first, second, third)):
        net.mark_output(net.constant(TensorData.of(array, key="w")), f"y{index}")
    again = same(net)
    values = [value.defining_op.attributes["value"].numpy()[0] for value in again.outputs]
    assert values == [1, 2, 1]


@pytest.mark.parametrize(
    "type_",
    [TensorType(mm.float32, None), TensorType(mm.bool_, ()), TensorType(mm.string, (symbol("N"), 0)),
     TensorType(mm.complex64, (2,)), SequenceType(TensorType(mm.string, (2,))),
     OptionalType(SequenceType(TensorType(mm.float32, (symbol("N") * 2 + 1, 3)))),
     SequenceType(SequenceType(TensorType(mm.complex128, None)))],
    ids=str,
)  # fmt: skip
def test_types_read_back(type_: mm.ValueType) -> None:
    assert parse_type(str(type_)) == type_
    net = Network("types")
    net.mark_output(net.add_typed_input("x", type_), "y")
    assert same(net).arguments[0].type == type_


# ---- bad text ----------------------------------------------------------------------------------------------------

GOOD = """"mm.network"() ({
^bb0(%x: tensor<?x4xf32, ["N"]>):
  %0 = "mm.constant"() {value = dense<[1.0, 2.0]> : tensor<2xf32>} : () -> tensor<2xf32>
  %y = "mm.softmax"(%x) {axis = 1 : i64} : (tensor<?x4xf32, ["N"]>) -> tensor<?x4xf32, ["N"]> loc("n"("onnx/Op":0:0))
  "mm.yield"(%y) : (tensor<?x4xf32, ["N"]>) -> ()
}) {name = "net", inputs = ["x"], outputs = ["y"]} : () -> ()
"""


def test_the_sample_is_good() -> None:
    net = Network.from_text(GOOD)
    net.verify()
    assert net.outputs[0].defining_op.locations == {Location("onnx", "n", "Op")}
    assert Network.from_text(f'"builtin.module"() ({{\n{GOOD}}}) : () -> ()').name == "net"


BAD = {
    "unknown operator": ('"mm.softmax"', '"mm.sofmax"', "mm.sofmax is unknown.*mm.softmax"),
    "unknown dialect": ('"mm.softmax"', '"acme.softmax"', "acme"),
    "unknown value": ('"mm.softmax"(%x)', '"mm.softmax"(%z)', "line 4.*a value defined before.*'%z'"),
    "wrong operand type": ("i64} : (tensor<?x4xf32", "i64} : (tensor<?x5xf32", "operand's type is"),
    "no type": ("() -> tensor<2xf32>", "() -> tensor<2xf31>", "line 3.*is not a type"),
    "number of elements": ("[1.0, 2.0]", "[1.0, 2.0, 3.0]", "2 elements expected, 3 given"),
    "element": ("[1.0, 2.0]", "[1.0, two]", "does not fit f32"),
    "attribute twice": ("axis = 1 : i64", "axis = 1 : i64, axis = 1 : i64", "'axis' is given twice"),
    "unknown attribute": ("axis = 1", "axes = 1", "no attribute 'axes'"),
    "attribute without a type": ("axis = 1 : i64", "axis = 1", "':' expected"),
    "version": ("axis = 1 : i64", "axis = 1 : i64, version = 7 : i64", "version 7 is not the installed version 1"),
    "names": ('inputs = ["x"]', 'inputs = ["x", "z"]', "lists of input and output names"),
    "unnamed dimension": ('(%x: tensor<?x4xf32, ["N"]>)', "(%x: tensor<?x4xf32>)", "name each '\\?' dimension"),
    "bad dimension": ('["N"]>):', '["N N"]>):', "not a (type|dimension)"),
    "rest": (": () -> ()\n", ": () -> ()\n %", "the end expected"),
    "not mm": ('"mm.network"', '"func.func"', '"mm.network" expected'),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_text_is_an_error_with_a_place(case: str) -> None:
    old, new, message = BAD[case]
    assert old in GOOD
    with pytest.raises(MMError, match=message):
        Network.from_text(GOOD.replace(old, new, 1))


def test_every_truncation_and_most_changes_are_errors_of_ours() -> None:
    for end in range(len(GOOD) - 1):
        with pytest.raises(MMError):
            Network.from_text(GOOD[:end])
    rng = np.random.default_rng(0)
    for _ in range(1500):
        letters = list(GOOD)
        letters[rng.integers(len(letters))] = str(rng.choice(list('"%(){}[]<>=:,x0-?\\ \n')))
        with suppress(MMError):
            Network.from_text("".join(letters))


@pytest.mark.parametrize("opening", ["[", "{a = ", '"mm.if"() ({'])
def test_nesting_is_bounded(opening: str) -> None:
    with pytest.raises(MMError):
        Network.from_text(GOOD.replace("axis = 1 : i64", f"axis = {opening * 100_000}"))
    with pytest.raises(MMError):
        Network.from_text(GOOD.replace("  %0 =", opening * 100_000))


# ---- an independent reader -------------------------------------------------------------------------------------------


def test_an_independent_reader_accepts_the_text() -> None:
    accept(GOOD)
    net = Network("all")
    x = net.add_input("x", mm.float32, ("N", 4))
    s = net.add_typed_input("s", SequenceType(TensorType(mm.float32, (symbol("N"),))))
    with net.at(Location("onnx", 'odd "name"\n', "Relu"), Location("", "plain")):
        y = net.clip(x, None, 2.0)
    region = Graph(within=net)
    region.set_outputs([region.relu(region.add_argument(y.type))])
    other = region.clone()
    y = net.if_(net.constant(True), y, regions=(region, other))[0]
    y = net.op("mm.test_everything", y, text='é"\\\n\x01', reals=(float("nan"), -0.0, 1e300), numbers=(1, -2),
               other={"odd key": (True, 2), "dtype": mm.int8})  # fmt: skip
    for dtype in (mm.float32, mm.float64, mm.float16, mm.bfloat16):
        net.constant(np.array([1.5, -0.0, np.nan, np.inf]).astype(dtype.numpy))
    for dtype in (mm.int64, mm.int8, mm.uint8, mm.int4):
        net.constant(np.array([1, 0]).astype(dtype.numpy))
    net.constant(np.array([True, False]))
    net.constant(np.arange(100))
    net.mark_output(y, "y")
    net.mark_output(s, "s")
    accept(str(same(net)))


def test_ranges_of_sizes_survive_the_text_and_reach_the_model() -> None:
    network = mm.Network("ranged")
    network.mark_output(network.relu(network.add_input("x", mm.float32, ("N", 4))), "y")
    network.dim_range = {"N": (1, 64)}
    again = mm.Network.from_text(str(network))
    assert (again.dim_range, again.clone().dim_range) == ({"N": (1, 64)},) * 2
    assert str(again) == str(network)
    config = mm.BuilderConfig(backends=["reference"])
    assert mm.Builder(config).build(again).dim_range == {"N": (1, 64)}
    with pytest.raises(ParseError, match="not a range"):
        mm.Network.from_text(str(network).replace("1 <= N <= 64", "1 <= N"))
