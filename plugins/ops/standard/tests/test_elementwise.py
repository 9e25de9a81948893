"""Element-wise operators: every element type, against torch and ONNX, and against themselves."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

from mm_core.errors import MMError
from mm_core.ops import BOOL, Tier, Trait, dialect, lookup
from mm_core.testing.opcheck import assert_close, opcheck
from mm_core.types import BY_NAME, DType

TORCH_NAMES: dict[str, str | Callable[..., Any]] = {
    "mod": torch.remainder,
    "div": lambda a, b: torch.div(a, b, rounding_mode=None if a.is_floating_point() else "trunc"),
    "equal": torch.eq, "less": torch.lt, "less_or_equal": torch.le, "greater": torch.gt, "greater_or_equal": torch.ge,
    "not_equal": torch.ne, "is_nan": torch.isnan, "is_inf": torch.isinf, "shift_left": torch.bitwise_left_shift,
    "shift_right": torch.bitwise_right_shift, "sum": lambda a, b: a + b, "mean": lambda a, b: (a + b) / 2,
    "max": torch.maximum, "min": torch.minimum, "identity": lambda x: x, "select": torch.where,
    "sign": lambda x: torch.where(torch.isnan(x), x, torch.sign(x)),
}  # fmt: skip
"""Where torch's name is another; else it is ours."""

EXEMPT = {"cast": "test_cast", "cast_like": "test_cast", "clip": "test_clip"}
TORCH_LACKS = ("uint16", "uint32", "uint64")
OURS = "mm_ops_standard"
FAMILIES = ("unary", "binary", "comparison", "selection", "variadic")
NAMES = sorted(
    name.removeprefix("mm.")
    for name, op in dialect("mm").items()
    if type(op).__module__ in {f"{OURS}.{family}" for family in (*FAMILIES, "elementwise")}
    and Trait.ELEMENTWISE in op.traits and name.removeprefix("mm.") not in EXEMPT
)  # fmt: skip
CASES = [
    (name, dtype.name)
    for name in NAMES
    for dtype in sorted(lookup(f"mm.{name}").dtypes.get("T", lookup("mm.add").dtypes["T"]), key=lambda d: d.name)
    if dtype.name in BY_NAME and dtype.kind in ("float", "signed", "unsigned", "bool") and dtype.bits >= 8
    and not dtype.name.startswith("float8") and dtype.name not in TORCH_LACKS
]  # fmt: skip


def sample(dtype: DType, shape: tuple[int, ...], seed: int, name: str = "") -> Any:
    """Values that reach the operator's interesting places: signs, halves, and in floats NaN and infinities."""
    random = np.random.default_rng(seed)
    if dtype in BOOL:
        return random.random(shape) < 0.5
    if dtype.is_integer:
        low = 0 if dtype.kind == "unsigned" or name.startswith("shift") else -9
        values = random.integers(low, 10, shape)
        if seed % 2 and name in ("div", "mod", "fmod"):
            values[values == 0] = 3
        if seed % 2 and (name == "pow" or name.startswith("shift")):
            values = np.abs(values) % (3 if name == "pow" else 8)
        return values.astype(dtype.numpy)
    values = random.normal(0, 2, shape)
    if name in ("acosh",):
        values = np.abs(values) + 1
    values = np.round(values * 4) / 4
    flat = values.reshape(-1)
    if flat.size > 4:
        flat[:5] = np.nan, np.inf, -np.inf, 0.5, -1.5
    return flat.reshape(shape).astype(dtype.numpy)


def operands(name: str, dtype: DType, shapes: tuple[tuple[int, ...], ...]) -> list[Any]:
    schema = lookup(f"mm.{name}").operands
    kinds = [BY_NAME["bool"] if operand.dtype == "C" else dtype for operand in schema]
    return [sample(kind, shape, index, name) for index, (kind, shape) in enumerate(zip(kinds, shapes))]


SHAPES = {
    "flat": ((4, 6), (4, 6), (4, 6)),
    "broadcast": ((2, 1, 6), (4, 1), (2, 4, 6)),
    "scalars": ((), (), ()),
    "empty": ((0, 3), (1, 3), (0, 1)),
}


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_definition_agrees_with_itself(name: str, shapes: str) -> None:
    allowed = lookup(f"mm.{name}").dtypes.get("T") or frozenset({BY_NAME["float32"]})
    for wanted in ("float32", "int64", "bool", "float16", "bfloat16"):
        if BY_NAME[wanted] in allowed:
            report = opcheck(f"mm.{name}", operands(name, BY_NAME[wanted], SHAPES[shapes]))
            assert not report.unknown
            assert not report.not_decomposed


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_reference_equals_torch(name: str, dtype: str) -> None:
    found = TORCH_NAMES.get(name, name)
    function = getattr(torch, found) if isinstance(found, str) else found
    values = operands(name, BY_NAME[dtype], SHAPES["broadcast"])
    with np.errstate(all="ignore"):
        mine = np.asarray(lookup(f"mm.{name}").reference(*values, **attributes(name)))
    tensors = [torch.from_numpy(v.astype(np.float32)).bfloat16() if dtype == "bfloat16" and v.dtype != bool
               else torch.from_numpy(v.copy()) for v in values]  # fmt: skip
    theirs = function(*tensors)
    if theirs.dtype == torch.bfloat16:
        expected = theirs.float().numpy().astype(ml_dtypes.bfloat16)
    else:
        expected = theirs.numpy()
    assert_close(mine, expected, f"{name} on {dtype}: reference and torch differ", None if dtype != "float32" else 1e-6)


def attributes(name: str) -> dict[str, Any]:
    return lookup(f"mm.{name}").normalize_attributes({})


def test_pow_of_integers_to_negative_powers_truncates() -> None:
    base, exponent = np.array([1, -1, -1, 2, -3], np.int32), np.array([-5, -2, -3, -1, -2], np.int32)
    assert lookup("mm.pow").reference(base, exponent).tolist() == [1, 1, -1, 0, 0]


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64"])
@pytest.mark.parametrize(("name", "onnx_name"), [
    ("add", "Add"), ("mul", "Mul"), ("div", "Div"), ("maximum", "Max"), ("bitwise_and", "BitwiseAnd"),
    ("shift_left", "BitShift"),
])  # fmt: skip
def test_unsigned_integers_equal_onnx(name: str, onnx_name: str, dtype: str, run_onnx: Callable[..., Any]) -> None:
    a, b = operands(name, BY_NAME[dtype], SHAPES["flat"])[:2]
    b = np.maximum(b, 1).astype(b.dtype)
    extra = {"direction": "LEFT"} if onnx_name == "BitShift" else {}
    assert_close(lookup(f"mm.{name}").reference(a, b), run_onnx(onnx_name, a, b, **extra), name)


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("positive", [False, True])
def test_is_inf_by_sign(negative: bool, positive: bool, run_onnx: Callable[..., Any]) -> None:
    x = np.array([np.inf, -np.inf, 1, np.nan], np.float32)
    report = opcheck("mm.is_inf", [x], {"detect_negative": negative, "detect_positive": positive})
    assert not report.unknown
    expected = run_onnx("IsInf", x, detect_negative=int(negative), detect_positive=int(positive))
    mine = lookup("mm.is_inf").reference(x, detect_negative=negative, detect_positive=positive)
    assert mine.tolist() == expected.tolist()


@pytest.mark.parametrize("limits", [(None, None), (-1, None), (None, 1), (-1, 1), (2, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "int8", "int64", "uint8"])
def test_clip(dtype: str, limits: tuple[Any, Any], run_onnx: Callable[..., Any]) -> None:
    x = sample(BY_NAME[dtype], (3, 5), 0)
    least = 0 if dtype == "uint8" else -1
    low, high = (None if limit is None else np.array(max(limit, least), dtype) for limit in limits)
    assert not opcheck("mm.clip", [x, low, high]).unknown
    mine = lookup("mm.clip").reference(x, low, high)
    if dtype.startswith("float"):
        assert np.isnan(mine[0, 0])
    finite = np.isfinite(x.astype(float))  # ONNX Runtime takes infinities to the largest number without a limit.
    assert_close(mine[finite], run_onnx("Clip", x, low, high)[finite], "clip")


NUMBERS = {9: "bool", 3: "int8", 6: "int32", 7: "int64", 2: "uint8", 10: "float16", 11: "float64"}
"""ONNX's numbers of element types."""

FLOAT8 = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")


@pytest.mark.parametrize("target", [*NUMBERS.values(), "bfloat16", *FLOAT8])
@pytest.mark.parametrize("source", ["bool", "int32", "uint8", "float16", "float32", "float64"])
def test_cast(source: str, target: str, run_onnx: Callable[..., Any]) -> None:
    x = np.array([0, 1, 2.75, 100.5, 117, 3], BY_NAME[source].numpy)
    attributes = {"to": BY_NAME[target]}
    assert not opcheck("mm.cast", [x], attributes).unknown
    assert not opcheck("mm.cast_like", [x, np.zeros(2, BY_NAME[target].numpy)], {}).unknown
    mine = lookup("mm.cast").reference(x, to=BY_NAME[target], saturate=True, round_mode="up")
    assert mine.dtype == BY_NAME[target].numpy
    if target == "bfloat16" or target in FLOAT8:
        wide = {"bfloat16": torch.bfloat16}.get(target) or getattr(torch, target)
        expected = torch.from_numpy(x.astype(np.float32)).to(wide).float().numpy()
        assert mine.astype(np.float32).tolist() == expected.tolist()
    else:
        number = {v: k for k, v in NUMBERS.items()}[target]
        assert_close(mine, run_onnx("Cast", x, to=number), "cast")


@pytest.mark.parametrize("target", FLOAT8)
@pytest.mark.parametrize("saturate", [True, False])
def test_cast_saturates_small_floats(target: str, saturate: bool) -> None:
    x = np.array([1e6, -1e6, np.nan, np.inf, 1], np.float32)
    mine = lookup("mm.cast").reference(x, to=BY_NAME[target], saturate=saturate, round_mode="up").astype(np.float32)
    largest = float(ml_dtypes.finfo(BY_NAME[target].numpy).max)
    assert np.isnan(mine[2])
    assert mine[4] == 1
    if saturate:
        assert mine[[0, 1, 3]].tolist() == [largest, -largest, largest]
    else:
        assert not np.isfinite(mine[[0, 1, 3]]).any()


def test_cast_to_powers_of_two() -> None:
    x, to = np.array([1, 3, 5, 6, 0.75], np.float32), BY_NAME["float8_e8m0fnu"]
    modes = {
        mode: lookup("mm.cast").reference(x, to=to, saturate=True, round_mode=mode).astype(np.float32).tolist()
        for mode in ("up", "down", "nearest")
    }
    assert modes == {"up": [1, 4, 8, 8, 1], "down": [1, 2, 4, 4, 0.5], "nearest": [1, 4, 4, 8, 1]}


def test_cast_through_text() -> None:
    cast = lookup("mm.cast").reference
    x = np.array([0.5, np.nan, np.inf, -np.inf, 1e20, 3], np.float32)
    text = cast(x, to=BY_NAME["string"], saturate=True, round_mode="up")
    assert text.dtype == object
    back = cast(text, to=BY_NAME["float32"], saturate=True, round_mode="up")
    assert_close(back, x, "text and back", 0.0)
    numbers = cast(np.array(["7", "-2"], object), to=BY_NAME["int8"], saturate=True, round_mode="up")
    assert_close(numbers, np.array([7, -2], np.int8), "integers from text")


@pytest.mark.parametrize(("name", "inputs"), [
    ("exp", [np.ones(2, np.int32)]), ("logical_and", [np.ones(2, np.float32)] * 2),
    ("add", [np.ones(2, np.float32), np.ones(2, np.float64)]), ("add", [np.ones(2, bool)] * 2),
    ("bitwise_not", [np.ones(2, np.float32)]), ("add", [np.ones((2, 3), np.float32), np.ones((2, 4), np.float32)]),
])  # fmt: skip
def test_wrong_operands_are_refused(name: str, inputs: list[Any]) -> None:
    with pytest.raises(MMError, match=r"element type|differ|are|broadcast"):
        opcheck(f"mm.{name}", inputs)


def test_tiers() -> None:
    for name in NAMES:
        definition = lookup(f"mm.{name}")
        assert definition.__doc__
        assert definition.has_decomposition == (definition.tier is Tier.COMPOSITE)


@pytest.mark.parametrize("source", BY_NAME)
def test_cast_between_all_types(source: str) -> None:
    one = np.array(["1", "0"], object) if source == "string" else np.array([1, 0]).astype(BY_NAME[source].numpy)
    for target in BY_NAME.values():
        x = one[:1] if "float8_e8m0fnu" in (source, target.name) else one  # It has no zero.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
            result = lookup("mm.cast").reference(x, to=target, saturate=True, round_mode="up")
        assert result.dtype == target.numpy
        if target.name != "string":
            assert [complex(item) for item in result] == [1, 0][: len(x)]


def test_texts_are_compared() -> None:
    a, b = np.array(["same", "this"], object), np.array(["same", "that"], object)
    opcheck("mm.equal", [a, b])
    assert lookup("mm.equal").reference(a, b).tolist() == [True, False]
    assert lookup("mm.not_equal").reference(a, b).tolist() == [False, True]
