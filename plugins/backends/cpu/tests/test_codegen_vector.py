"""Elementary functions of generated code against float64, in vectors and one lane at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mm_backend_cpu.codegen.elementwise import ElementwiseSpec, Operand, elementwise
from mm_backend_cpu.codegen.expression import Epilogue, Node, emit, infer_dtypes, vectorizable
from mm_backend_cpu.testing import instruction_sets, run

from mm_core.errors import CompileError

ISAS = pytest.mark.parametrize("isa", instruction_sets(), ids=lambda isa: isa.name)
IN = ("input", 0)

_erf = np.vectorize(math.erf, otypes=[np.float64])


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


# operation: (exact function, error in units of the last place, absolute error allowed beside it)
FUNCTIONS = {
    "exp": (np.exp, 1.5, 0),
    "log": (np.log, 1.5, 0),
    "sqrt": (np.sqrt, 0.501, 0),
    "tanh": (np.tanh, 1.7, 0),
    "erf": (_erf, 1.7, 0),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 3, 1e-38),
    "silu": (lambda x: x / (1 + np.exp(-x)), 3, 1e-36),
    "gelu": (lambda x: 0.5 * x * (1 + _erf(x * math.sqrt(0.5))), 6, 9e-7),
    "softplus": (lambda x: np.logaddexp(0, x), 4, 1e-38),
    "elu": (lambda x: np.where(x < 0, np.expm1(x), x), 6, 0),
    "sin": (np.sin, 1.5, 0),
    "cos": (np.cos, 1.5, 0),
    "abs": (np.abs, 0, 0),
    "sign": (np.sign, 0, 0),
    "floor": (np.floor, 0, 0),
    "ceil": (np.ceil, 0, 0),
    "round": (np.rint, 0, 0),
    "relu": (lambda x: np.where(x < 0, 0, x), 0, 0),
    "reciprocal": (np.reciprocal, 0.501, 0),
}

EDGES = np.array(
    [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1.1e-38, 3.4e38, -3.4e38, 88.72, 88.73, -87.4, -103.9, -104.5,
     0.5, 1.5, 2.5, -0.5, 8388607.5, 8388608.0, 0.625, 0.92, 3.925, 4.1, -3.925, 1.0, -1.0, 0.99999994, 1.0000001,
     3.1415927, 1e5, -1e7, 2.5e8],
    np.float32,
)  # fmt: skip


def samples():
    """Every 9973rd float, a dense stretch about 0, and the edges."""
    bits = np.arange(0, 2**32, 9973, dtype=np.uint32).view(np.float32)
    return np.concatenate([bits, np.linspace(-12, 12, 100001, dtype=np.float32), EDGES])


def compute(isa, node, x, *others):
    arrays = [x, *others]
    spec = ElementwiseSpec(x.shape, tuple(Operand("f32", (1,)) for _ in arrays), (node,), (("node", 0),))
    return run(elementwise(spec), isa, arrays, [(x.shape, np.float32)])[0]


def ulps(actual, exact):
    """Error in units of the last place of the exact value; subnormals count as the smallest normal number."""
    with np.errstate(over="ignore", invalid="ignore"):
        unit = np.spacing(np.maximum(np.abs(exact), np.float32(1.2e-38)).astype(np.float32))
    return np.abs(actual.astype(np.float64) - exact) / unit


@ISAS
@pytest.mark.parametrize("op", FUNCTIONS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_accuracy_over_all_floats(isa, op):
    function, allowed, absolute = FUNCTIONS[op]
    x = samples()
    exact = function(x.astype(np.float64))
    rounded = exact.astype(np.float32)
    actual = compute(isa, Node(op, (IN,)), x)
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(rounded), err_msg="NaN")
    finite = np.isfinite(rounded)
    infinite = np.isinf(rounded)
    np.testing.assert_array_equal(actual[infinite], rounded[infinite])
    error = ulps(actual[finite], exact[finite])
    wrong = (error > allowed) & (np.abs(actual[finite] - exact[finite]) > absolute)
    worst = np.argmax(np.where(wrong, error, 0))
    assert not wrong.any(), f"{op}({x[finite][worst]!r}) is {error[worst]:.2f} ulp off"


@ISAS
def test_gelu_with_tanh(isa):
    x = np.linspace(-12, 12, 100001, dtype=np.float32)
    actual = compute(isa, Node("gelu", (IN,), {"approximate": "tanh"}), x)
    np.testing.assert_allclose(actual, gelu_tanh(x.astype(np.float64)), rtol=1e-6, atol=3e-7)


@ISAS
@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.0, 4.0, -1.0, -2.0, 0.5, -0.5])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_powers_by_a_constant(isa, exponent):
    x = np.concatenate([EDGES, np.linspace(-5, 5, 1001, dtype=np.float32)])
    actual = compute(isa, Node("pow", (IN, ("scalar", exponent))), x)
    expected = np.power(x.astype(np.float64), np.full(x.shape, exponent)).astype(np.float32)
    normal = ~(np.abs(x) < 1e-37)  # what overflows between two steps of a product depends on their order
    np.testing.assert_allclose(actual[normal], expected[normal], rtol=3e-7)


@ISAS
@pytest.mark.parametrize(
    ("node", "function"),
    [
        (Node("leaky_relu", (IN,), {"alpha": 0.1}), lambda x: np.where(x < 0, np.float32(0.1) * x, x)),
        (Node("hard_swish", (IN,)), lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
        (Node("hard_sigmoid", (IN,), {"alpha": 0.25, "beta": 0.5}), lambda x: np.clip(x / 4 + 0.5, 0, 1)),
        (Node("elu", (IN,), {"alpha": 2.0}), lambda x: np.where(x < 0, 2 * np.expm1(x), x)),
    ],
    ids=lambda value: getattr(value, "op", ""),
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_activations(isa, node, function):
    x = np.concatenate([np.linspace(-8, 8, 2001), [np.nan, 1e30, -1e30]]).astype(np.float32)
    np.testing.assert_allclose(compute(isa, node, x), function(x.astype(np.float64)), rtol=1e-6, atol=5e-7)


@ISAS
def test_the_scalar_form_equals_the_vector_form(isa):
    """A float64 result keeps the loop out of vectors; everything before it must be equal to the bit."""
    x = np.concatenate([EDGES, np.linspace(-9, 9, 500, dtype=np.float32)])
    for op in FUNCTIONS:
        nodes = (Node(op, (IN,)), Node("cast", (("node", 0),), {"to": "f64"}))
        spec = ElementwiseSpec(x.shape, (Operand("f32", (1,)),), nodes, (("node", 1),))
        scalar = run(elementwise(spec), isa, [x], [(x.shape, np.float64)])[0]
        vector = compute(isa, Node(op, (IN,)), x)
        np.testing.assert_array_equal(scalar.astype(np.float32), vector, err_msg=op)


def test_types_follow_the_operands():
    nodes = (
        Node("less", (IN, ("scalar", 1))), Node("select", (("node", 0), IN, ("scalar", 0))),
        Node("cast", (("node", 1),), {"to": "f32"}), Node("exp", (("node", 2),)),
    )  # fmt: skip
    assert infer_dtypes(nodes, ("i32",)) == ("i1", "i32", "f32", "f32")
    assert vectorizable(nodes, ("i32",))
    assert not vectorizable(nodes, ("i64",))


@pytest.mark.parametrize(
    ("node", "dtypes"),
    [
        (Node("add", (IN, ("input", 1))), ("f32", "i32")), (Node("exp", (IN,)), ("f64",)),
        (Node("nonsense", (IN,)), ("f32",)),
        (Node("pow", (IN, ("scalar", 2.7))), ("f32",)), (Node("cast", (IN,), {"to": "bf16"}), ("f32",)),
    ],
    ids=lambda value: getattr(value, "op", ""),
)  # fmt: skip
def test_what_has_no_code_is_refused(node, dtypes):
    with pytest.raises(CompileError, match=f"'{node.op}' on {', '.join(dtypes)}.*library"):
        infer_dtypes((node,), dtypes)


def test_an_epilogue_names_its_result():
    epilogue = Epilogue((Node("add", (IN, ("input", 1))), Node("relu", (("node", 0),))), channel_inputs=1)
    code, result = epilogue.emit(["acc", "bias"])
    assert "(acc + bias)" in code
    assert result == "e1"
    assert Epilogue().emit(["acc"]) == ("", "acc")
    with pytest.raises(CompileError, match="no vector form"):
        emit((Node("abs", (IN,)),), ["x"], ("i64",), vector=True)
