"""Decision trees of ai.onnx.ml: random ones against ONNX Runtime, trained ones against scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from classical_models import assert_like_onnxruntime, assert_same, feeds, one_node, onnxruntime_says, run
from onnx import numpy_helper
from skl2onnx import to_onnx
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, NuSVC, OneClassSVM

import mm_core as mm

random = np.random.default_rng(11)
START = random.bit_generator.state
MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ"]
"""All but BRANCH_NEQ: there ONNX Runtime lets NaN go where the comparison holds, whatever the model says."""
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


@pytest.fixture(autouse=True)
def the_same_numbers_in_any_order() -> None:
    random.bit_generator.state = START


def rows(features: int = 4, holes: float = 0.2) -> np.ndarray:
    x = random.integers(-3, 4, (30, features)).astype(np.float32)
    x[random.random(x.shape) < holes] = np.nan
    return x


def listed(trees: int, features: int, modes: list[str], missing: bool = True) -> tuple[dict[str, Any], list[Any]]:
    """Attributes nodes_* of random trees, and the (tree, node) of their leaves."""
    names = ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")
    nodes: dict[str, list[Any]] = {f"nodes_{name}": [] for name in (*names, "missing_value_tracks_true")}
    leaves = []
    for tree in range(trees):
        # A node may be split while the tree is small; children follow later, so they have higher numbers.
        below, total, place = {}, 1, 0
        while place < total:
            if total < 12 and random.random() < 0.8:
                below[place] = (total, total + 1)
                total += 2
            place += 1
        for node in range(total):
            holds, fails = below.get(node, (0, 0))
            mode = str(random.choice(modes)) if node in below else "LEAF"
            row = (tree, node, random.integers(features), float(random.integers(-2, 3)), mode, holds, fails)
            for name, value in zip(nodes, (*row, int(missing and random.random() < 0.5))):
                nodes[name].append(value)
            if node not in below:
                leaves.append((tree, node))
    return nodes, leaves


def votes(leaves: list[Any], prefix: str, targets: int, negative: bool = True) -> dict[str, Any]:
    every = [(*leaf, target) for leaf in leaves for target in range(targets)]
    weights = random.standard_normal(len(every)) if negative else random.random(len(every)) / 10
    columns = dict(zip((f"{prefix}_{name}" for name in ("treeids", "nodeids", "ids")), map(list, zip(*every))))
    return {**columns, f"{prefix}_weights": weights.astype(np.float32)}


@pytest.mark.parametrize("mode", MODES)
def test_each_comparison_and_what_nan_does(mode: str) -> None:
    nodes, leaves = listed(5, 4, [mode])
    assert_like_onnxruntime("TreeEnsembleRegressor", rows(), n_targets=1, **nodes, **votes(leaves, "target", 1))


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("targets", [1, 3])
def test_regressor(aggregate: str, targets: int) -> None:
    nodes, leaves = listed(6, 4, MODES)
    assert_like_onnxruntime(
        "TreeEnsembleRegressor", rows(), n_targets=targets, aggregate_function=aggregate,
        base_values=random.standard_normal(targets).astype(np.float32), **nodes, **votes(leaves, "target", targets),
    )  # fmt: skip


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transforms(transform: str) -> None:
    nodes, leaves = listed(3, 4, MODES[:2])
    ballots = votes(leaves, "target", 3, negative=False)
    ballots["target_weights"] += np.float32(0.01)  # Away from 0, where a probit is infinite.
    assert_like_onnxruntime("TreeEnsembleRegressor", rows(), n_targets=3, post_transform=transform, **nodes, **ballots)


def test_unequal() -> None:
    nodes, leaves = listed(5, 4, ["BRANCH_NEQ"])
    ballots = votes(leaves, "target", 1)
    assert_like_onnxruntime("TreeEnsembleRegressor", rows(holes=0), n_targets=1, **nodes, **ballots)
    # NaN goes where the model says: with equality, its ways exchanged, to the same leaves.
    turned = dict(nodes, nodes_modes=[mode.replace("NEQ", "EQ") for mode in nodes["nodes_modes"]])
    turned |= {"nodes_truenodeids": nodes["nodes_falsenodeids"], "nodes_falsenodeids": nodes["nodes_truenodeids"]}
    turned["nodes_missing_value_tracks_true"] = [1 - tracks for tracks in nodes["nodes_missing_value_tracks_true"]]
    x = rows()
    (got,) = run(one_node("TreeEnsembleRegressor", x, n_targets=1, **nodes, **ballots), feeds(x))
    assert_same(
        [got], onnxruntime_says(one_node("TreeEnsembleRegressor", x, n_targets=1, **turned, **ballots), feeds(x))
    )


@pytest.mark.parametrize("dtype", ["float64", "int64", "int32"])
def test_other_inputs(dtype: str) -> None:
    nodes, leaves = listed(4, 4, MODES, missing=False)
    attributes = {**nodes, **votes(leaves, "target", 2), "n_targets": 2}
    x = rows(holes=0)
    wanted = onnxruntime_says(one_node("TreeEnsembleRegressor", x, **attributes), feeds(x))
    same = x.astype(dtype)
    assert_same(run(one_node("TreeEnsembleRegressor", same, **attributes), feeds(same)), wanted)


def test_thresholds_in_double_precision() -> None:
    """Two thresholds that float32 cannot tell from each other, nor from the features around them."""
    step = 1e-12
    tree = {
        "nodes_treeids": [0] * 5, "nodes_nodeids": [0, 1, 2, 3, 4], "nodes_featureids": [0] * 5,
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_truenodeids": [1, 0, 3, 0, 0], "nodes_falsenodeids": [2, 0, 4, 0, 0],
        "nodes_values_as_tensor": numpy_helper.from_array(1 + np.array([1, 0, 2, 0, 0]) * step),
        "target_treeids": [0] * 3, "target_nodeids": [1, 3, 4], "target_ids": [0] * 3,
        "target_weights_as_tensor": numpy_helper.from_array(np.array([10.0, 20.0, 30.0])),
    }  # fmt: skip
    x = 1 + np.array([[0.5], [1.5], [2.5]]) * step
    (got,) = assert_like_onnxruntime("TreeEnsembleRegressor", x, n_targets=1, **tree)
    np.testing.assert_array_equal(got[:, 0], [10, 20, 30])


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("negative", [False, True])
def test_classifier_of_three(transform: str, negative: bool) -> None:
    nodes, leaves = listed(4, 4, MODES)
    ballots = votes(leaves, "class", 3, negative=negative and transform != "PROBIT")
    assert_like_onnxruntime(
        "TreeEnsembleClassifier", rows(), outputs=2, classlabels_int64s=[5, 3, 8], post_transform=transform, **nodes,
        **ballots, base_values=[0.1, 0.2, 0.05],
    )  # fmt: skip


@pytest.mark.parametrize("transform", ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"])
@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("base", [[], [0.25]])
def test_two_classes_with_one_score(transform: str, negative: bool, base: list[float]) -> None:
    nodes, leaves = listed(7, 4, MODES)
    assert_like_onnxruntime(
        "TreeEnsembleClassifier", rows(), outputs=2, classlabels_int64s=[5, 3], post_transform=transform,
        **nodes, **votes(leaves, "class", 1, negative), **({"base_values": base} if base else {}),
    )  # fmt: skip


def test_two_classes_with_two_scores() -> None:
    """The top class, as the specification says; ONNX Runtime gives a label that is none of the model's."""
    nodes, leaves = listed(5, 4, MODES)
    model = one_node(
        "TreeEnsembleClassifier", rows(), outputs=2, classlabels_int64s=[5, 3], **nodes, **votes(leaves, "class", 2)
    )
    x = rows()
    label, scores = run(model, feeds(x))
    np.testing.assert_allclose(scores, onnxruntime_says(model, feeds(x))[1], rtol=1e-5)
    np.testing.assert_array_equal(label, np.array([5, 3])[scores.argmax(1)])


def test_labels_may_be_words_and_a_tree_a_leaf() -> None:
    nodes: dict[str, Any] = {
        "nodes_treeids": [0], "nodes_nodeids": [0], "nodes_featureids": [0], "nodes_values": [0.0],
        "nodes_modes": ["LEAF"], "nodes_truenodeids": [0], "nodes_falsenodeids": [0],
    }  # fmt: skip
    label, _ = assert_like_onnxruntime(
        "TreeEnsembleClassifier", rows(), outputs=2, strict=False, classlabels_strings=["a", "b", "c"], **nodes,
        class_ids=[0, 1, 2], class_treeids=[0] * 3, class_nodeids=[0] * 3, class_weights=[0.1, 0.7, 0.2],
    )  # fmt: skip
    assert set(label.tolist()) == {"b"}


# --- TreeEnsemble, version 5 ------------------------------------------------------------------------------------------


def numbered(dtype: str = "float32") -> dict[str, Any]:
    """Two trees of three nodes each, in every mode but the last, for three targets."""
    return {
        "tree_roots": [0, 3], "n_targets": 3, "nodes_featureids": [0, 1, 2, 1, 3, 0],
        "nodes_splits": numpy_helper.from_array(np.array([0, 1, -1, 0.5, 2, 0], dtype)),
        "nodes_modes": numpy_helper.from_array(np.arange(6, dtype=np.uint8)),
        "nodes_truenodeids": [1, 0, 2, 4, 4, 6], "nodes_trueleafs": [0, 1, 1, 0, 1, 1],
        "nodes_falsenodeids": [2, 1, 3, 5, 5, 7], "nodes_falseleafs": [0, 1, 1, 0, 1, 1],
        "nodes_missing_value_tracks_true": [0, 1, 0, 1, 0, 1],
        "leaf_targetids": [0, 1, 2, 0, 1, 2, 0, 1],
        "leaf_weights": numpy_helper.from_array((np.arange(8) / 4 + 0.125).astype(dtype)),
    }  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("aggregate", range(4))
def test_one_numbering(dtype: str, aggregate: int) -> None:
    x = rows(holes=0).astype(dtype)
    assert_like_onnxruntime("TreeEnsemble", x, version=5, aggregate_function=aggregate, **numbered(dtype))


@pytest.mark.parametrize(("transform", "theirs"), [(0, 0), (1, 2), (2, 1), (3, 3)])
def test_one_numbering_transformed(transform: int, theirs: int) -> None:
    """The specification numbers SOFTMAX 1 and LOGISTIC 2, ONNX Runtime the other way round."""
    x = rows(holes=0)
    wanted = onnxruntime_says(one_node("TreeEnsemble", x, version=5, post_transform=theirs, **numbered()), feeds(x))
    assert_same(run(one_node("TreeEnsemble", x, version=5, post_transform=transform, **numbered()), feeds(x)), wanted)


def test_membership() -> None:
    """The set of a node, the empty one and a NaN in the features."""
    members = [np.arange(-2, 3, dtype=np.float32), np.float32([1]), np.float32([])]
    flat = np.concatenate([np.append(part, np.float32(np.nan)) for part in members])
    tree = {
        "tree_roots": [0, 1, 2], "n_targets": 1, "nodes_featureids": [0, 1, 2],
        "nodes_splits": numpy_helper.from_array(np.zeros(3, np.float32)),
        "nodes_modes": numpy_helper.from_array(np.full(3, 6, np.uint8)),
        "nodes_truenodeids": [0, 2, 4], "nodes_trueleafs": [1] * 3,
        "nodes_falsenodeids": [1, 3, 5], "nodes_falseleafs": [1] * 3, "nodes_missing_value_tracks_true": [0, 1, 0],
        "leaf_targetids": [0] * 6, "leaf_weights": numpy_helper.from_array(2.0 ** np.arange(6, dtype=np.float32)),
        "membership_values": numpy_helper.from_array(flat),
    }  # fmt: skip
    x = rows(3)
    held = [np.isin(x[:, place], part) for place, part in enumerate(members)]
    held[1] |= np.isnan(x[:, 1])
    wanted = sum(np.where(hold, 2.0 ** (2 * place), 2.0 ** (2 * place + 1)) for place, hold in enumerate(held))
    (got,) = run(one_node("TreeEnsemble", x, version=5, **tree), feeds(x))
    np.testing.assert_array_equal(got[:, 0], wanted)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"nodes_truenodeids": [1, 0, 2, 4, 4, 99]}, "99"),
        ({"nodes_truenodeids": [0, 0, 2, 4, 4, 6]}, "leads back to itself"),
        ({"nodes_featureids": [0, 1]}, "not of one length"),
        ({"leaf_targetids": [7] * 8}, "no such target"),
        ({"nodes_modes": numpy_helper.from_array(np.full(6, 9, np.uint8))}, "nodes_modes"),
        ({"nodes_modes": numpy_helper.from_array(np.full(6, 6, np.uint8))}, "6 nodes test membership in 0 sets"),
        ({"n_targets": 2**60}, "more than it may have"),
        ({"aggregate_function": 4}, "aggregate_function 4"),
    ],
)
def test_damaged_trees_are_refused(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(mm.UnsupportedOpError, match=match) as caught:
        mm.parse(one_node("TreeEnsemble", rows(), version=5, **{**numbered(), **changes}))
    assert "it (TreeEnsemble)" in str(caught.value)


def test_a_feature_that_is_not_there_is_an_error_of_the_model() -> None:
    changed = {**numbered(), "nodes_featureids": [0, 1, 2, 1, 9, 0]}
    with pytest.raises(mm.MMError, match="it"):
        run(one_node("TreeEnsemble", rows(), version=5, **changed), feeds(rows()))


# --- trained models ---------------------------------------------------------------------------------------------------

CLASSES = make_classification(120, 6, n_informative=4, n_classes=3, random_state=0)
TWO = make_classification(120, 6, random_state=1)
NUMBERS = make_regression(120, 6, n_targets=1, noise=3, random_state=2)
TRAINED = [
    (RandomForestClassifier(8, random_state=0), CLASSES),
    (RandomForestClassifier(8, random_state=0), TWO),
    (GradientBoostingClassifier(n_estimators=6, random_state=0), CLASSES),
    (GradientBoostingClassifier(n_estimators=6, random_state=0), TWO),
    (AdaBoostClassifier(n_estimators=4, random_state=0), CLASSES),
    (make_pipeline(StandardScaler(), LogisticRegression()), CLASSES),
    (make_pipeline(StandardScaler(), SVC(probability=False)), CLASSES),
    (make_pipeline(StandardScaler(), NuSVC(kernel="poly")), TWO),
    (RandomForestRegressor(8, random_state=0), NUMBERS),
    (ExtraTreesRegressor(8, random_state=0), NUMBERS),
    (GradientBoostingRegressor(n_estimators=6, random_state=0), NUMBERS),
    (make_pipeline(StandardScaler(), SVR()), NUMBERS),
    (make_pipeline(StandardScaler(), OneClassSVM()), NUMBERS),
    (IsolationForest(n_estimators=5, random_state=0), NUMBERS),
]


@pytest.mark.parametrize(
    ("estimator", "data"), TRAINED, ids=[f"{number}-{type(item).__name__}" for number, (item, _) in enumerate(TRAINED)]
)
def test_trained_models(estimator: Any, data: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = data[0].astype(np.float32), data[1]
    estimator.fit(x, y)
    is_classifier = hasattr(estimator, "classes_")
    options = {"zipmap": False} if is_classifier else None
    model = to_onnx(estimator, x[:1], options=options, target_opset={"": 18, "ai.onnx.ml": 3})
    outputs = run(model, {model.graph.input[0].name: x})
    wanted = estimator.predict(x)
    if is_classifier:
        np.testing.assert_array_equal(outputs[0], wanted)
        if hasattr(estimator, "predict_proba"):
            np.testing.assert_allclose(outputs[1], estimator.predict_proba(x), atol=1e-4)
    else:
        np.testing.assert_allclose(outputs[0].reshape(-1), wanted, rtol=1e-3, atol=1e-3)


def test_zipmap_is_refused_with_the_way_out() -> None:
    estimator = LogisticRegression().fit(CLASSES[0], CLASSES[1])
    with pytest.raises(mm.UnsupportedOpError, match="'zipmap': False"):
        mm.parse(to_onnx(estimator, CLASSES[0][:1].astype(np.float32)))
