"""Fused element-wise loops against numpy, on every instruction set of this machine."""

from __future__ import annotations

import numpy as np
import pytest
from mm_backend_cpu.codegen.elementwise import ElementwiseSpec, Operand, elementwise
from mm_backend_cpu.codegen.expression import Node
from mm_backend_cpu.codegen.strides import broadcast_strides
from mm_backend_cpu.testing import instruction_sets, run

from mm_core.errors import CompileError
from mm_core.types import symbol

ISAS = pytest.mark.parametrize("isa", instruction_sets(), ids=lambda isa: isa.name)
TEXT = {np.dtype(t): name for name, t in (
    ("f32", np.float32), ("f64", np.float64), ("i1", np.bool_), ("i8", np.int8), ("i32", np.int32), ("i64", np.int64),
    ("ui8", np.uint8),
)}  # fmt: skip
IN, NODE = lambda i: ("input", i), lambda i: ("node", i)


def compute(isa, expression, arrays, outputs=None, shape=None):
    shape = np.broadcast_shapes(*(a.shape for a in arrays)) if shape is None else shape
    operands = tuple(Operand(TEXT[a.dtype], broadcast_strides(a.shape, shape)) for a in arrays)
    outputs = outputs or [(NODE(len(expression) - 1), np.float32)]
    spec = ElementwiseSpec(shape, operands, tuple(expression), tuple(ref for ref, _ in outputs))
    return run(elementwise(spec), isa, arrays, [(shape, dtype) for _, dtype in outputs])


@ISAS
@pytest.mark.parametrize(
    "shapes",
    [
        [(), ()], [(1,), (7,)], [(5, 1), (1, 9)], [(3, 17), (17,)], [(2, 3, 5, 33), (3, 1, 1)], [(0, 4), (4,)],
        [(2, 5000), (2, 1)], [(4, 1, 6, 1), (1, 5, 1, 7)], [(8193,), (8193,)], [(2, 3, 4), ()],
    ],
    ids=str,
)  # fmt: skip
def test_broadcasting(isa, shapes):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(s, dtype=np.float32) for s in shapes)
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    expression = [Node("sub", (IN(0), IN(1))), Node("mul", (NODE(0), IN(1))), Node("maximum", (NODE(1), IN(0)))]
    total, product = compute(isa, expression, [a, b], [(NODE(2), np.float32), (NODE(1), np.float32)])
    np.testing.assert_allclose(product, (a - b) * b, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(total, np.maximum((a - b) * b, a), rtol=1e-6, atol=1e-6)


@ISAS
@pytest.mark.parametrize("start", [0, 5, symbol("S")], ids=str)
def test_parts_of_rows(isa, start):
    """Operands are read from where they begin, by strides that jump over the rest of a row."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((4, 3, 90), dtype=np.float32), rng.standard_normal((3, 33), dtype=np.float32)
    operands = Operand("f32", (270, 90, 1), start), Operand("f32", (0, 33, 1))
    spec = ElementwiseSpec((4, 3, 33), operands, (Node("sub", (IN(0), IN(1))),), (NODE(0),))
    (actual,) = run(elementwise(spec), isa, [a, b], [((4, 3, 33), np.float32)], {"S": 57})
    first = start if isinstance(start, int) else 57
    np.testing.assert_array_equal(actual, a[:, :, first : first + 33] - b)


SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.5, -2.5, 1e-40, 3e38, -7.0, 0.5], np.float32)


@ISAS
@pytest.mark.parametrize("op", ["maximum", "minimum", "add", "mul", "div", "sub"])
def test_special_values_in_pairs(isa, op):
    a, b = SPECIAL[:, None], SPECIAL[None, :]
    function = {"add": np.add, "mul": np.multiply, "div": np.divide, "sub": np.subtract}.get(op) or getattr(np, op)
    with np.errstate(all="ignore"):
        expected = function(a, b)
    (actual,) = compute(isa, [Node(op, (IN(0), IN(1)))], [a, b])
    np.testing.assert_array_equal(actual, expected)


@ISAS
@pytest.mark.parametrize(
    ("op", "function"),
    [("less", np.less), ("less_or_equal", np.less_equal), ("equal", np.equal), ("greater", np.greater)],
)
def test_comparisons_and_selection(isa, op, function):
    a, b = SPECIAL[:, None], SPECIAL[None, :]
    expression = [Node(op, (IN(0), IN(1))), Node("select", (NODE(0), IN(0), ("scalar", 9.0)))]
    mask, chosen = compute(isa, expression, [a, b], [(NODE(0), np.bool_), (NODE(1), np.float32)])
    np.testing.assert_array_equal(mask, function(a, b))
    np.testing.assert_array_equal(chosen, np.where(function(a, b), a, np.float32(9)))


@ISAS
@pytest.mark.parametrize("bounds", [{"min": 0.0, "max": 6.0}, {"min": -1.0}, {"max": 1.0}, {}], ids=str)
def test_clip_and_constant_bounds_keep_nan(isa, bounds):
    (actual,) = compute(isa, [Node("clip", (IN(0),), bounds)], [SPECIAL])
    np.testing.assert_array_equal(actual, np.clip(SPECIAL, bounds.get("min", -np.inf), bounds.get("max", np.inf)))
    for constant in (("scalar", 1.0), ("scalar", float("nan"))):
        for args in ((IN(0), constant), (constant, IN(0))):
            (actual,) = compute(isa, [Node("maximum", args)], [SPECIAL])
            np.testing.assert_array_equal(actual, np.maximum(SPECIAL, np.float32(constant[1])))


@ISAS
@pytest.mark.parametrize("dtype", [np.float64, np.int8, np.int32, np.int64, np.uint8], ids=lambda t: t.__name__)
def test_other_dtypes(isa, dtype):
    rng = np.random.default_rng(1)
    a, b = (rng.integers(1, 11, (3, 77)).astype(dtype) for _ in range(2))
    expression = [
        Node("mul", (IN(0), IN(1))), Node("minimum", (NODE(0), ("scalar", 40))), Node("less", (IN(0), IN(1))),
        Node("select", (NODE(2), NODE(1), IN(1))), Node("cast", (NODE(3),), {"to": "f32"}),
        Node("square", (NODE(4),)), Node("logical_not", (NODE(2),)),
    ]  # fmt: skip
    whole, squared, mask = compute(
        isa, expression, [a, b], [(NODE(3), dtype), (NODE(5), np.float32), (NODE(6), np.bool_)]
    )
    expected = np.where(a < b, np.minimum(a * b, dtype(40)), b)
    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_array_equal(squared, expected.astype(np.float32) ** 2)
    np.testing.assert_array_equal(mask, ~(a < b))


@ISAS
@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint8], ids=lambda t: t.__name__)
def test_integers_wrap(isa, dtype):
    limits = np.iinfo(dtype)
    a = np.array([limits.min, limits.max, limits.max - 1, limits.max // 2 + 1, 1, 0] * 5, dtype)
    b = np.array([limits.max, limits.max, 2, 3, limits.min, limits.min] * 5, dtype)
    nodes = [Node(op, (IN(0), IN(1))) for op in ("add", "sub", "mul")]
    nodes += [Node(op, (IN(0),)) for op in ("neg", "square", "abs")]
    actual = compute(isa, nodes, [a, b], [(NODE(k), dtype) for k in range(len(nodes))])
    for value, expected in zip(actual, (a + b, a - b, a * b, -a, a * a, np.abs(a))):
        np.testing.assert_array_equal(value, expected)


@ISAS
def test_booleans_and_integers_in_vectors(isa):
    rng = np.random.default_rng(2)
    mask = rng.integers(0, 2, (4, 37)).astype(bool)
    other = rng.integers(0, 2, (4, 1)).astype(bool)
    whole = rng.integers(-9, 9, (37,)).astype(np.int32)
    expression = [
        Node("logical_xor", (IN(0), IN(1))), Node("select", (NODE(0), IN(2), ("scalar", -1))),
        Node("cast", (NODE(1),), {"to": "f32"}), Node("cast", (IN(0),), {"to": "f32"}), Node("add", (NODE(2), NODE(3))),
        Node("abs", (IN(2),)),
    ]  # fmt: skip
    total, chosen, magnitude = compute(
        isa, expression, [mask, other, whole], [(NODE(4), np.float32), (NODE(1), np.int32), (NODE(5), np.int32)]
    )
    np.testing.assert_array_equal(chosen, np.where(mask ^ other, whole, -1))
    np.testing.assert_array_equal(total, (chosen + mask).astype(np.float32))
    np.testing.assert_array_equal(magnitude, np.broadcast_to(np.abs(whole), mask.shape))


@ISAS
def test_symbolic_extents_share_one_kernel(isa):
    n, m = symbol("N"), symbol("M")
    operands = tuple(Operand("f32", broadcast_strides(shape, (n, 3, m))) for shape in ((n, 3, m), (3, 1)))
    spec = ElementwiseSpec((n, 3, m), operands, (Node("add", (IN(0), IN(1))),), (NODE(0),))
    source = elementwise(spec)
    for sizes in ({"N": 2, "M": 19}, {"N": 1, "M": 5000}, {"N": 0, "M": 4}):
        x = np.random.default_rng(3).standard_normal((sizes["N"], 3, sizes["M"]), dtype=np.float32)
        y = np.arange(3, dtype=np.float32).reshape(3, 1)
        (actual,) = run(source, isa, [x, y], [(x.shape, np.float32)], sizes)
        np.testing.assert_array_equal(actual, x + y)


@ISAS
def test_strided_input(isa):
    x = np.random.default_rng(4).standard_normal((37, 21), dtype=np.float32)
    spec = ElementwiseSpec((21, 37), (Operand("f32", (1, 21)),), (Node("neg", (IN(0),)),), (NODE(0),))
    (actual,) = run(elementwise(spec), isa, [x], [((21, 37), np.float32)])
    np.testing.assert_array_equal(actual, -x.T)


def test_an_operation_without_code_is_refused_by_name():
    spec = ElementwiseSpec((4,), (Operand("f64", (1,)),), (Node("erf", (IN(0),)),), (NODE(0),))
    with pytest.raises(CompileError, match="'erf' on f64"):
        elementwise(spec)
