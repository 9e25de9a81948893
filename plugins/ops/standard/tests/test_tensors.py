"""Reductions, movement, slicing, assembly and shapes: against ONNX, and against themselves with symbolic sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest

import mm_core as mm
from mm_core.ops import dialect, lookup
from mm_core.testing.opcheck import assert_close, opcheck
from mm_core.types import BY_NAME, TensorData


def ramp(*shape: int, dtype: Any = np.float32) -> Any:
    """Distinct values around zero."""
    count = int(np.prod(shape))
    return ((np.arange(count) * 7) % (count or 1) - count // 2).astype(dtype).reshape(shape)


def ints(*items: int) -> Any:
    return np.array(items, np.int64)


class Case(NamedTuple):
    """Our operator, and ONNX's with its own inputs and attributes where they are not the same."""

    op: str
    inputs: tuple[Any, ...]
    attributes: dict[str, Any]
    onnx: str = ""
    onnx_inputs: tuple[Any, ...] | None = None
    onnx_attributes: dict[str, Any] = {}
    outputs: int = 1


X = ramp(2, 3, 4)
IMAGE = ramp(2, 8, 4, 6)
REDUCTIONS = {
    "reduce_sum": "ReduceSum", "reduce_prod": "ReduceProd", "reduce_max": "ReduceMax", "reduce_min": "ReduceMin",
    "reduce_mean": "ReduceMean", "reduce_l1": "ReduceL1", "reduce_l2": "ReduceL2",
    "reduce_sum_square": "ReduceSumSquare", "reduce_log_sum": "ReduceLogSum",
    "reduce_log_sum_exp": "ReduceLogSumExp",
}  # fmt: skip


def reduction_cases() -> list[Case]:
    found = []
    for op, onnx in REDUCTIONS.items():
        x = np.abs(X) + 1 if op == "reduce_log_sum" else X
        for axes in ((1,), (0, -1), None):
            for keepdims in (True, False):
                given = None if axes is None else ints(*axes)
                attributes = {"axes": axes, "keepdims": keepdims}
                found.append(Case(op, (x,), attributes, onnx, (x, given), {"keepdims": int(keepdims)}))
        found.append(Case(op, (x,), {"axes": ()}, onnx, (x, ints()), {"noop_with_empty_axes": 1}))
        integers = np.abs(ramp(2, 3, dtype=np.int32)) + 1
        found.append(Case(op, (integers,), {"axes": (1,)}, onnx, (integers, ints(1)), {}))
    zero = np.empty((2, 0, 3), np.float32)
    found += [Case(op, (zero,), {"axes": (1,)}, REDUCTIONS[op], (zero, ints(1))) for op in
              ("reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "reduce_l1", "reduce_log_sum")]  # fmt: skip
    ties = np.array([[1, 3, 3, 0], [2, 2, 0, 0]], np.float32)
    for op, onnx in (("argmax", "ArgMax"), ("argmin", "ArgMin")):
        for last in (False, True):
            for axis, keepdims in ((1, True), (-2, False)):
                attributes = {"axis": axis, "keepdims": keepdims, "select_last_index": last}
                found.append(Case(op, (ties,), attributes, onnx, None, {k: int(v) for k, v in attributes.items()}))
    for exclusive in (False, True):
        for reverse in (False, True):
            flags = {"exclusive": exclusive, "reverse": reverse}
            numbers = {key: int(value) for key, value in flags.items()}
            found.append(Case("cumsum", (X,), {"axis": 1, **flags}, "CumSum", (X, np.array(1)), numbers))
    return found


def slice_cases() -> list[Case]:
    far = 2**63 - 1
    parts: list[tuple[Any, ...]] = [
        (ints(1), ints(3)), (ints(0, 1), ints(2, -1), ints(0, 2)), (ints(-1), ints(-far), ints(2), ints(-1)),
        (ints(far), ints(-far), ints(1), ints(-2)), (ints(-3), ints(far), ints(-1), ints(2)),
        (ints(5), ints(9), ints(2)), (ints(3), ints(1), ints(2)), (ints(-9, 1), ints(9, 2), ints(1, 0)),
        (ints(2), ints(0), ints(2), ints(-1)), (np.array([1], np.int32), np.array([2], np.int32)),
    ]  # fmt: skip
    return [Case("slice", (X, *part), {}, "Slice") for part in parts]


def pad_cases() -> list[Case]:
    found = [Case("pad", (X, ints(0, 1, 2, 0, 0, 1)), {"mode": mode}, "Pad", None, {"mode": mode})
             for mode in ("constant", "reflect", "edge", "wrap")]  # fmt: skip
    value = np.array(2.5, np.float32)
    found.append(Case("pad", (X, ints(1, 0, -1, 0, -1, 2), value), {}, "Pad"))
    found.append(Case("pad", (X, ints(1, 2), value), {"axes": (-1,)}, "Pad", (X, ints(1, 2), value, ints(2))))
    found.append(Case("pad", (np.empty((0, 2), np.float32), ints(1, 0, 1, 0)), {}, "Pad"))
    return found


CASES = [
    *reduction_cases(), *slice_cases(), *pad_cases(),
    Case("reshape", (X, ints(4, 6)), {}, "Reshape"),
    Case("reshape", (X, ints(-1, 2)), {}, "Reshape"),
    Case("reshape", (X, ints(24)), {}, "Reshape"),
    Case("reshape", (ramp(1), ints()), {}, "Reshape"),
    Case("reshape", (np.empty((0, 3), np.float32), ints(3, 0)), {}, "Reshape", None, {"allowzero": 1}),
    Case("transpose", (X,), {}, "Transpose"),
    Case("transpose", (X,), {"permutation": (1, -1, 0)}, "Transpose", None, {"perm": (1, 2, 0)}),
    Case("expand", (ramp(3, 1), ints(2, 1, 4)), {}, "Expand"),
    Case("expand", (ramp(3, 4), ints(1, 1)), {}, "Expand"),
    Case("expand", (ramp(), ints(2, 0)), {}, "Expand"),
    Case("tile", (X, ints(1, 2, 3)), {}, "Tile"),
    Case("tile", (X, ints(2, 0, 1)), {}, "Tile"),
    Case("reverse", (X,), {"axes": (0, -1)}),
    Case("reverse", (X,), {}),
    Case("reverse_sequence", (ramp(4, 3, 2), ints(4, 2, 1)), {}, "ReverseSequence"),
    Case("reverse_sequence", (ramp(3, 4), ints(0, 2, 4)), {"time_axis": 1, "batch_axis": 0}, "ReverseSequence", None,
         {"time_axis": 1, "batch_axis": 0}),
    Case("depth_to_space", (IMAGE,), {"blocksize": 2}, "DepthToSpace", None, {"blocksize": 2}),
    Case("depth_to_space", (IMAGE,), {"blocksize": 2, "mode": "CRD"}, "DepthToSpace", None,
         {"blocksize": 2, "mode": "CRD"}),
    Case("space_to_depth", (IMAGE,), {"blocksize": 2}, "SpaceToDepth", None, {"blocksize": 2}),
    Case("squeeze", (ramp(1, 3, 1),), {"axes": (0,)}, "Squeeze", (ramp(1, 3, 1), ints(0))),
    Case("squeeze", (ramp(1, 3, 1),), {}, "Squeeze"),
    Case("unsqueeze", (ramp(3, 2),), {"axes": (-1, 0)}, "Unsqueeze", (ramp(3, 2), ints(-1, 0))),
    Case("unsqueeze", (ramp(),), {"axes": (0,)}, "Unsqueeze", (ramp(), ints(0))),
    *(Case("flatten", (X,), {"axis": axis}, "Flatten", None, {"axis": axis}) for axis in (0, 1, 2, 3, -1)),
    Case("flatten", (np.empty((0, 2, 3), np.float32),), {}, "Flatten"),
    *(Case("shape", (X,), part, "Shape", None, part)
      for part in ({}, {"start": 1}, {"start": -2, "end": -1}, {"start": 2, "end": 1}, {"end": 9})),
    Case("size", (X,), {}, "Size"),
    Case("split", (X,), {"axis": 2, "parts": 2}, "Split", None, {"axis": 2, "num_outputs": 2}, 2),
    Case("split", (ramp(7),), {"parts": 3}, "Split", None, {"num_outputs": 3}, 3),
    Case("split", (X,), {"axis": -2, "parts": 1}, "Split", None, {"axis": -2, "num_outputs": 1}, 1),
    Case("split", (X, ints(1, 3)), {"axis": 2}, "Split", None, {"axis": 2}, 2),
    Case("split", (X, ints(0, 4)), {"axis": 2}, "Split", None, {"axis": 2}, 2),
    Case("concat", (X, ramp(2, 1, 4), X), {"axis": 1}, "Concat", None, {"axis": 1}),
    Case("concat", (X,), {"axis": -1}, "Concat", None, {"axis": -1}),
    Case("range", (np.array(1), np.array(10), np.array(3)), {}, "Range"),
    Case("range", (np.array(10), np.array(1), np.array(-4)), {}, "Range"),
    Case("range", (np.array(3), np.array(1), np.array(1)), {}, "Range"),
    Case("range", (np.float32(0), np.float32(1), np.float32(0.3)), {}, "Range"),
    Case("constant_of_shape", (ints(2, 3),), {"value": TensorData.of(np.array([7]))}, "ConstantOfShape", None, {}),
    Case("constant_of_shape", (ints(),), {}, "ConstantOfShape"),
    Case("eye_like", (ramp(3, 4),), {"dtype": BY_NAME["int32"], "k": 1}, "EyeLike", None, {"dtype": 6, "k": 1}),
    Case("eye_like", (ramp(3, 2),), {"dtype": BY_NAME["float32"], "k": -1}, "EyeLike", None, {"dtype": 1, "k": -1}),
    Case("iota", (ints(2, 3),), {"axis": 1, "dtype": BY_NAME["float32"]}),
    Case("iota", (ints(2, 3),), {"axis": -2}),
]  # fmt: skip


def name_of(case: Case) -> str:
    shapes = "-".join(str(list(np.shape(value))) for value in case.inputs)
    options = ",".join(f"{key}={value}" for key, value in case.attributes.items() if key != "value")
    return f"{case.op} {shapes} {options}"


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_definition_agrees_with_itself(case: Case) -> None:
    report = opcheck(f"mm.{case.op}", case.inputs, case.attributes)
    assert not report.not_decomposed
    if np.asarray(case.inputs[0]).dtype.kind != "f" or case.op != "range":
        assert not report.unknown


@pytest.mark.parametrize("case", [case for case in CASES if case.onnx], ids=name_of)
def test_reference_equals_onnx(case: Case, run_onnx: Callable[..., Any]) -> None:
    definition = lookup(f"mm.{case.op}")
    attributes = definition.normalize_attributes(case.attributes)
    extra = dict(case.onnx_attributes)
    if case.op == "constant_of_shape" and case.attributes:
        import onnx

        extra["value"] = onnx.numpy_helper.from_array(case.attributes["value"].numpy())
    given = case.inputs if case.onnx_inputs is None else case.onnx_inputs
    mine = definition.reference(*case.inputs, **attributes)
    theirs = run_onnx(case.onnx, *given, outputs=case.outputs, **extra)
    if not isinstance(mine, tuple):
        mine, theirs = (mine,), [theirs]
    elif case.outputs == 1:
        theirs = [theirs]
    assert len(mine) == len(theirs)
    for left, right in zip(mine, theirs):
        assert_close(left, right, case.op, 1e-5)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64, np.int8, np.uint8, np.int64])
@pytest.mark.parametrize("op", REDUCTIONS)
def test_reductions_of_every_type(op: str, dtype: Any) -> None:
    x = (np.abs(ramp(3, 5)) % 3 + 1).astype(dtype)
    assert not opcheck(f"mm.{op}", [x], {"axes": (1,)}).unknown
    mine = lookup(f"mm.{op}").reference(x, axes=(1,), keepdims=True)
    exact = lookup(f"mm.{op}").reference(x.astype(np.float64), axes=(1,), keepdims=True)
    assert mine.dtype == dtype
    assert_close(mine, exact.astype(dtype), f"{op} of {dtype}")


def test_halves_are_summed_in_single_precision() -> None:
    x = np.full((1, 5000), 1, np.float16)
    assert lookup("mm.reduce_sum").reference(x, axes=(1,), keepdims=False)[0] == 5000
    large = np.full((1, 8), 60000, np.float16)
    opcheck("mm.reduce_mean", [large], {"axes": (1,)})
    assert lookup("mm.reduce_mean").reference(large, axes=(1,), keepdims=False)[0] == np.float16(60000)


def test_log_sum_exp_does_not_overflow() -> None:
    x = np.array([[1e4, 1e4], [-1e4, -1e4], [-np.inf, -np.inf], [np.inf, 0], [np.nan, 0]], np.float32)
    opcheck("mm.reduce_log_sum_exp", [x], {"axes": (1,)})
    result = lookup("mm.reduce_log_sum_exp").reference(x, axes=(1,), keepdims=False)
    with np.errstate(invalid="ignore"):
        expected = np.logaddexp(x[:, 0], x[:, 1])
    assert_close(result, expected, "log_sum_exp", 1e-6)


def test_extremes_pass_nan_and_take_bools() -> None:
    x = np.array([[1, np.nan], [2, 3]], np.float32)
    assert np.isnan(lookup("mm.reduce_max").reference(x, axes=(1,), keepdims=False)[0])
    flags = np.array([[True, False], [False, False]])
    assert lookup("mm.reduce_max").reference(flags, axes=(1,), keepdims=False).tolist() == [True, False]
    opcheck("mm.reduce_min", [flags], {"axes": (1,)})


MOVED = ["bool", "int4", "uint2", "int16", "uint64", "float8_e4m3fn", "float8_e8m0fnu", "float4_e2m1fn", "bfloat16",
         "complex64", "string"]  # fmt: skip


@pytest.mark.parametrize("dtype", MOVED)
def test_movement_takes_every_type(dtype: str) -> None:
    storage = BY_NAME[dtype].numpy
    x = np.array([["a", "b", ""]] * 2, object) if dtype == "string" else np.array([[0, 1, 1]] * 2).astype(storage)
    for op, inputs, attributes in (
        ("reshape", [x, ints(3, 2)], {}), ("transpose", [x], {}), ("expand", [x, ints(2, 2, 3)], {}),
        ("concat", [x, x], {"axis": 0}), ("slice", [x, ints(1), ints(2), ints(1)], {}), ("tile", [x, ints(2, 1)], {}),
        ("pad", [x, ints(0, 1, 1, 0)], {}), ("reverse", [x], {"axes": (1,)}), ("split", [x], {"parts": 2}),
        ("select", [np.array([True, False, True]), x, x[::-1]], {}), ("flatten", [x], {}),
        ("unsqueeze", [x], {"axes": (0,)}),
    ):  # fmt: skip
        assert not opcheck(f"mm.{op}", inputs, attributes).unknown


@pytest.mark.parametrize(("op", "inputs", "attributes", "message"), [
    ("reshape", [X, ints(5, 5)], {}, "numbers of elements"), ("reshape", [X, ints(-1, 5)], {}, "do not fill"),
    ("reshape", [X, ints(-1, -1)], {}, "one size may be -1"), ("reshape", [X, ints(-2, 12)], {}, "not a shape"),
    ("transpose", [X], {"permutation": (0, 1)}, "permutation"), ("transpose", [X], {"permutation": (0, 0, 1)}, "twice"),
    ("expand", [X, ints(2, 3, 5)], {}, "broadcast"), ("concat", [X, ramp(2, 3)], {"axis": 0}, "ranks"),
    ("concat", [X, ramp(3, 3, 4)], {"axis": 1}, "sizes of axis 0"), ("squeeze", [X], {"axes": (0,)}, "axis 0"),
    ("slice", [X, ints(0), ints(1), ints(3)], {}, "axis 3"),
    ("slice", [X, ints(0), ints(1), ints(0), ints(0)], {}, "step"),
    ("slice", [X, ints(0, 1), ints(1)], {}, "differ in length"), ("split", [X], {"axis": 0}, "number of parts"),
    ("split", [X, ints(1, 2)], {"axis": 0}, "sum of the sizes"), ("pad", [X, ints(1, 1)], {}, "pads for"),
    ("pad", [X, ints(-2, 0, 0, -1, 0, 0)], {}, "crop more"), ("tile", [X, ints(1)], {}, "repeats"),
    ("reduce_sum", [X], {"axes": (3,)}, "axis 3"), ("reduce_sum", [X], {"axes": (0, -3)}, "twice"),
    ("depth_to_space", [ramp(1, 3, 2, 2)], {"blocksize": 2}, "divide"), ("range", [np.array(0)] * 3, {}, "delta is 0"),
    ("space_to_depth", [ramp(1, 3, 3, 2)], {"blocksize": 2}, "blocks"), ("eye_like", [X], {"dtype": "int32"}, "matrix"),
])  # fmt: skip
def test_wrong_operands_are_refused(op: str, inputs: list[Any], attributes: dict[str, Any], message: str) -> None:
    network = mm.Network()
    with pytest.raises(mm.MMError, match=message):
        network.op(f"mm.{op}", *inputs, **attributes)


def test_every_operator_of_these_families_has_a_case() -> None:
    families = {f"mm_ops_standard.{family}" for family in ("reduction", "movement", "slicing", "assembly", "shaping")}
    names = {name.removeprefix("mm.") for name, op in dialect("mm").items() if type(op).__module__ in families}
    elsewhere = {"cumprod"}  # test_signal
    assert names - elsewhere == {case.op for case in CASES}


@pytest.mark.parametrize(("op", "operands", "attributes", "expected"), [
    ("reshape", [ints(2, -1)], {}, ['2x?xf32, ["d1"]>']), ("reshape", [ints(2, 3)], {}, ["2x3xf32>"]),
    ("split", [], {"parts": 2}, ["*xf32>", "*xf32>"]), ("split", [ints(1, 2)], {}, ["*xf32>", "*xf32>"]),
    ("add", [np.float32(1)], {}, ["*xf32>"]), ("transpose", [], {}, ["*xf32>"]), ("size", [], {}, ["i64>"]),
    ("shape", [], {}, ['?xi64, ["d1"]>']), ("expand", [ints(2)], {}, ["*xf32>"]),
    ("cast", [], {"to": "int8"}, ["*xi8>"]),
])  # fmt: skip
def test_unknown_rank(op: str, operands: list[Any], attributes: dict[str, Any], expected: list[str]) -> None:
    network = mm.Network()
    x = network.add_typed_input("x", mm.TensorType(mm.float32, None))
    results = network.op(f"mm.{op}", x, *operands, **attributes)
    for value in results if isinstance(results, tuple) else (results,):
        network.mark_output(value)
    network.verify()
    assert [str(value.type).partition("<")[2] for value in network.outputs] == expected
