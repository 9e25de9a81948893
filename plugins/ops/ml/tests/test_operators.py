"""The operators of the dialect against plain Python, libsvm by way of scikit-learn, and themselves decomposed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mm_ops_ml import operators
from sklearn.metrics.pairwise import polynomial_kernel, rbf_kernel, sigmoid_kernel

import mm_core as mm
from mm_core.ops import lookup
from mm_core.testing.opcheck import opcheck

random = np.random.default_rng(5)
START = random.bit_generator.state


@pytest.fixture(autouse=True)
def the_same_numbers_in_any_order() -> None:
    random.bit_generator.state = START


def native(op: str, inputs: dict[str, np.ndarray], attributes: dict[str, Any] | None = None, **constants: Any) -> Any:
    """The operator on the CPU backend, decomposed, with a symbol for the number of rows of every input."""
    network = mm.Network("one")
    values = [
        network.add_input(name, array.dtype, (f"rows_{name}", *array.shape[1:])) for name, array in inputs.items()
    ]
    network.mark_output(network.op(op, *values, **constants, **(attributes or {})), "y")
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(network)
    return model.create_engine().create_context().run(inputs)["y"]


# --- find -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 33])
@pytest.mark.parametrize("dtype", ["int64", "int32", "int16", "float32", "float64"])
def test_find(count: int, dtype: str) -> None:
    keys = np.sort(random.choice(100, count, replace=False)).astype(dtype)
    x = np.arange(-3, 105).astype(dtype).reshape(4, -1)
    wanted = [[keys.tolist().index(item) if item in keys else -1 for item in row] for row in x.tolist()]
    np.testing.assert_array_equal(lookup("ml.find").reference(x, keys), wanted)
    np.testing.assert_array_equal(native("ml.find", {"x": x}, keys=keys), wanted)


def test_find_nan_and_signed_zero() -> None:
    keys = np.array([-np.inf, 0.0, 1.5, np.nan], np.float32)
    x = np.array([np.nan, -0.0, 1.5, np.inf, -np.inf, 1.0], np.float32)
    wanted = [3, 1, 2, -1, 0, -1]
    np.testing.assert_array_equal(lookup("ml.find").reference(x, keys), wanted)
    np.testing.assert_array_equal(native("ml.find", {"x": x}, keys=keys), wanted)
    np.testing.assert_array_equal(native("ml.find", {"x": x}, keys=keys[:0]), [-1] * 6)


# --- support vector machines ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernels(dtype: str) -> None:
    x, vectors = (random.standard_normal((rows, 6)).astype(dtype) for rows in (7, 4))
    options = {"gamma": 0.3, "offset": 0.5, "degree": 3.0}
    answers = {
        "linear": x @ vectors.T,
        "poly": polynomial_kernel(x, vectors, 3, 0.3, 0.5),
        "rbf": rbf_kernel(x, vectors, 0.3),
        "sigmoid": sigmoid_kernel(x, vectors, 0.3, 0.5),
    }
    for kind, answer in answers.items():
        opcheck("ml.svm_kernel", [x, vectors], {"kind": kind, **options})
        got = native("ml.svm_kernel", {"x": x}, {"kind": kind, **options}, vectors=vectors)
        np.testing.assert_allclose(got, answer, rtol=2e-5, atol=1e-6)


def test_polynomials_of_negative_numbers() -> None:
    x, vectors = np.array([[-2.0], [3.0]], np.float32), np.array([[1.0]], np.float32)
    got = native("ml.svm_kernel", {"x": x}, {"kind": "poly", "degree": 3.0}, vectors=vectors)
    np.testing.assert_allclose(got, [[-8], [27]], rtol=1e-6)


def pairs_of(probabilities: np.ndarray) -> np.ndarray:
    left, right = probabilities[:, :, None], probabilities[:, None, :]
    return (left / (left + right)).astype(np.float32)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_pairs_that_agree_give_back_the_probabilities(classes: int) -> None:
    probabilities = random.dirichlet(np.ones(classes) * 2, 8)
    pairs = pairs_of(probabilities)
    opcheck("ml.couple_probabilities", [pairs], symbolic=False)
    got = native("ml.couple_probabilities", {"pairs": pairs})
    np.testing.assert_allclose(got, probabilities, atol=0.02)
    np.testing.assert_allclose(got, lookup("ml.couple_probabilities").reference(pairs), atol=1e-5)


# --- trees ------------------------------------------------------------------------------------------------------------


def forest(trees: int, depth: int, features: int, targets: int, mixed: bool) -> dict[str, np.ndarray]:
    """Complete random trees; with `mixed`, nodes compare in different ways and know what NaN does."""
    inner, leaves = trees * (2**depth - 1), trees * 2**depth
    nodes = inner + leaves
    children = np.repeat(np.arange(nodes)[:, None], 2, axis=1)
    for tree in range(trees):
        begin, first = tree * (2**depth - 1), inner + tree * 2**depth
        for place in range(2**depth - 1):
            below = [2 * place + 1, 2 * place + 2]
            children[begin + place] = [begin + at if at < 2**depth - 1 else first + at - (2**depth - 1) for at in below]
    made = {
        "roots": np.arange(trees) * (2**depth - 1),
        "features": random.integers(0, features, nodes),
        "thresholds": random.integers(-2, 3, nodes).astype(np.float32),
        "children": children,
        "values": random.standard_normal((leaves, targets)).astype(np.float32),
    }
    if mixed:
        made |= {"missing": random.random(nodes) < 0.5, "kinds": random.integers(0, 3, nodes)}
    return made


def walked(x: np.ndarray, made: dict[str, np.ndarray], depth: int, aggregate: str) -> np.ndarray:
    leaves = len(made["features"]) - len(made["values"])
    y = []
    for row in x:
        reached = []
        for node in made["roots"]:
            for _ in range(depth):
                seen, limit = row[made["features"][node]], made["thresholds"][node]
                kind = made["kinds"][node] if "kinds" in made else 0
                goes = [seen <= limit, seen < limit, seen == limit][kind]
                if "missing" in made and np.isnan(seen):
                    goes = made["missing"][node]
                node = made["children"][node, int(goes)]
            reached.append(made["values"][node - leaves])
        fold = {"sum": np.sum, "average": np.mean, "min": np.nanmin, "max": np.nanmax}[aggregate]
        y.append(fold(np.stack(reached), axis=0))
    return np.array(y)


@pytest.mark.parametrize("aggregate", ["sum", "average", "min", "max"])
@pytest.mark.parametrize("mixed", [False, True])
def test_trees(aggregate: str, mixed: bool) -> None:
    made = forest(trees=5, depth=3, features=4, targets=3, mixed=mixed)
    x = random.integers(-3, 4, (40, 4)).astype(np.float32)
    if mixed:
        x[random.random(x.shape) < 0.3] = np.nan
    attributes: dict[str, Any] = {"depth": 3, "aggregate": aggregate}
    if mixed:
        attributes["comparisons"] = ("less_or_equal", "less", "equal")
    wanted = walked(x, made, 3, aggregate)
    opcheck("ml.tree_ensemble", [x, *made.values()], attributes, symbolic=False)
    got = native("ml.tree_ensemble", {"x": x}, attributes, **made)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("aggregate", ["min", "max"])
def test_targets_without_a_vote_are_zero(aggregate: str) -> None:
    made = forest(trees=2, depth=1, features=1, targets=2, mixed=False)
    made["values"][:, 1] = np.nan
    x = np.array([[-9.0], [9.0]], np.float32)
    attributes = {"depth": 1, "aggregate": aggregate}
    got = native("ml.tree_ensemble", {"x": x}, attributes, **made)
    np.testing.assert_array_equal(got[:, 1], 0)
    np.testing.assert_allclose(got[:, 0], walked(x, {**made, "values": made["values"][:, :1]}, 1, aggregate)[:, 0])
    np.testing.assert_array_equal(
        lookup("ml.tree_ensemble").reference(x, *made.values(), comparisons=("less_or_equal",), **attributes), got
    )


def test_trees_whose_tables_do_not_fit_are_refused() -> None:
    made = forest(trees=2, depth=2, features=3, targets=1, mixed=True)
    network = mm.Network("wrong")
    x = network.add_input("x", mm.float32, ("N", 3))
    with pytest.raises(mm.UnsupportedOpError, match=r"ml\.tree_ensemble takes"):
        network.op("ml.tree_ensemble", x, **{**made, "thresholds": made["thresholds"][1:]}, depth=2)
    with pytest.raises(mm.UnsupportedOpError, match="need `kinds`"):
        network.op("ml.tree_ensemble", x, **made, depth=2)


def test_every_operator_is_here() -> None:
    tested = {"ml.find", "ml.svm_kernel", "ml.couple_probabilities", "ml.tree_ensemble"}
    assert {op.name for op in operators()} == tested
