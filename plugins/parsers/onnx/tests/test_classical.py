"""Operators of ai.onnx.ml against ONNX Runtime: features, labels, linear models, support vector machines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from classical_models import assert_like_onnxruntime, feeds, one_node, onnxruntime_says, run

import mm_core as mm

random = np.random.default_rng(3)
START = random.bit_generator.state
ROWS = random.standard_normal((6, 4)).astype(np.float32)
COUNTS = random.integers(-5, 6, (6, 4))
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
NUMBERS = ("float32", "float64", "int64", "int32")


@pytest.fixture(autouse=True)
def the_same_numbers_in_any_order() -> None:
    random.bit_generator.state = START


def like(dtype: str) -> np.ndarray:
    return (ROWS if dtype.startswith("float") else COUNTS).astype(dtype)


# --- features ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("places", [[2], [3, 0, 0], [[1, 2]]])
def test_array_feature_extractor(places: Any) -> None:
    assert_like_onnxruntime("ArrayFeatureExtractor", ROWS, np.array(places))
    if np.ndim(places) == 1:
        assert_like_onnxruntime("ArrayFeatureExtractor", ROWS[0], np.array(places))


@pytest.mark.parametrize("dtype", NUMBERS)
def test_binarizer(dtype: str) -> None:
    (got,) = run(one_node("Binarizer", like(dtype), threshold=0.5), feeds(like(dtype)))
    np.testing.assert_array_equal(got, (like(dtype) > 0.5).astype(dtype))
    assert got.dtype == dtype


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize(("offset", "scale"), [([0.5], [2.0]), ([0.0, 1.0, 2.0, 3.0], [1.0, 0.5, 2.0, -1.0])])
def test_scaler(dtype: str, offset: list[float], scale: list[float]) -> None:
    assert_like_onnxruntime("Scaler", like(dtype), offset=offset, scale=scale)


def test_feature_vectorizer() -> None:
    assert_like_onnxruntime("FeatureVectorizer", COUNTS, COUNTS * 2, inputdimensions=[4, 4])
    model = one_node("FeatureVectorizer", ROWS, COUNTS, inputdimensions=[2, 6])
    wanted = np.concatenate([ROWS[:, :2], COUNTS, np.zeros((6, 2))], 1).astype(np.float32)
    np.testing.assert_array_equal(run(model, feeds(ROWS, COUNTS))[0], wanted)


@pytest.mark.parametrize("width", [1, 4])
def test_imputer(width: int) -> None:
    missing = np.where(ROWS > 0.5, np.float32(np.nan), ROWS)
    values = [0.5, 1.5, 2.5, 3.5][:width]
    assert_like_onnxruntime("Imputer", missing, imputed_value_floats=values, replaced_value_float=float("nan"))
    assert_like_onnxruntime("Imputer", np.round(ROWS), imputed_value_floats=values, replaced_value_float=-1.0)
    whole = list(range(7, 7 + width))
    assert_like_onnxruntime("Imputer", COUNTS, imputed_value_int64s=whole, replaced_value_int64=3)


@pytest.mark.parametrize("norm", ["MAX", "L1", "L2"])
def test_normalizer(norm: str) -> None:
    rows = ROWS.copy()
    rows[2] = 0
    assert_like_onnxruntime("Normalizer", rows, norm=norm)
    assert_like_onnxruntime("Normalizer", COUNTS, norm=norm)


# --- labels -----------------------------------------------------------------------------------------------------------

WORDS = np.array([["b", "a"], ["zz", ""]], object)


def test_label_encoder_of_numbers() -> None:
    assert_like_onnxruntime("LabelEncoder", COUNTS, keys_int64s=[3, -2, 5], values_floats=[0.5, 1.5, 2.5], version=2)
    rounded = np.where(ROWS > 1, np.float32(np.nan), np.round(ROWS))
    assert_like_onnxruntime(
        "LabelEncoder", rounded, keys_floats=[1.0, float("nan"), 0.0], values_int64s=[4, 5, 6], default_int64=9,
        version=4,
    )  # fmt: skip


def test_label_encoder_of_words() -> None:
    assert_like_onnxruntime(
        "LabelEncoder", WORDS, keys_strings=["a", "b"], values_int64s=[7, 8], version=2, strict=False
    )
    assert_like_onnxruntime(
        "LabelEncoder", COUNTS, keys_int64s=[1, 2], values_strings=["one", "two"], version=4, strict=False
    )
    assert_like_onnxruntime("LabelEncoder", WORDS, classes_strings=["a", "b"], version=1, strict=False)
    assert_like_onnxruntime("LabelEncoder", COUNTS, classes_strings=["a", "b"], version=1, strict=False)


def test_of_equal_keys_the_last_counts() -> None:
    model = one_node("LabelEncoder", COUNTS, keys_int64s=[1, 2, 1], values_int64s=[10, 20, 30], version=4)
    (got,) = run(model, feeds(COUNTS))
    np.testing.assert_array_equal(got, np.select([COUNTS == 1, COUNTS == 2], [30, 20], -1))


def test_category_mapper() -> None:
    both = {"cats_int64s": [4, 2], "cats_strings": ["a", "b"]}
    assert_like_onnxruntime("CategoryMapper", WORDS, strict=False, default_int64=-7, **both)
    assert_like_onnxruntime("CategoryMapper", COUNTS, strict=False, default_string="none", **both)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_one_hot_encoder(dtype: str) -> None:
    assert_like_onnxruntime("OneHotEncoder", np.round(like(dtype)[:, 0]).astype(dtype), cats_int64s=[1, -1, 0, 4])


def test_one_hot_encoder_of_words_and_of_the_unknown() -> None:
    assert_like_onnxruntime("OneHotEncoder", WORDS[:, 0], cats_strings=["a", "b"], strict=False)
    model = one_node("OneHotEncoder", COUNTS, cats_int64s=[1, 2], zeros=0)
    context = mm.Builder(mm.BuilderConfig(backends=["cpu"])).build(mm.parse(model)).create_engine().create_context()
    np.testing.assert_array_equal(context.run({"x0": np.full((1, 4), 2)})["y0"], [[[0, 1]] * 4])
    with pytest.raises(mm.InputError, match="it"):
        context.run(feeds(COUNTS))


# --- linear models ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_linear_regressor(transform: str) -> None:
    weights = random.standard_normal(8).astype(np.float32) / 10
    options: dict[str, Any] = {"coefficients": weights, "intercepts": [0.4, 0.5], "targets": 2}
    assert_like_onnxruntime("LinearRegressor", ROWS, post_transform=transform, **options)


@pytest.mark.parametrize("dtype", NUMBERS)
def test_linear_regressor_of_any_number(dtype: str) -> None:
    weights = np.array([1.0, -2.0, 0.5, 3.0], np.float32)
    (got,) = run(one_node("LinearRegressor", like(dtype), coefficients=weights, version=1), feeds(like(dtype)))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got[:, 0], like(dtype) @ weights, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("classes", [2, 3])
def test_linear_classifier(transform: str, classes: int) -> None:
    weights = random.standard_normal(4 * classes).astype(np.float32) / 10
    assert_like_onnxruntime(
        "LinearClassifier", ROWS, outputs=2, coefficients=weights, intercepts=[0.4, 0.5, 0.6][:classes],
        classlabels_ints=[5, 3, 9][:classes], post_transform=transform, version=1,
        tolerance=1e-3 if transform == "PROBIT" else 1e-5,  # Theirs cancels near 0.5.
    )  # fmt: skip


@pytest.mark.parametrize("transform", ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"])
def test_two_classes_with_one_score(transform: str) -> None:
    assert_like_onnxruntime(
        "LinearClassifier", ROWS, outputs=2, coefficients=[1.0, -0.5, 0.25, 2.0], intercepts=[0.1],
        classlabels_ints=[5, 3], post_transform=transform, version=1,
    )  # fmt: skip


def test_labels_may_be_words() -> None:
    label, _ = assert_like_onnxruntime(
        "LinearClassifier", ROWS, outputs=2, coefficients=[1.0, -0.5, 0.25, 2.0], intercepts=[0.1],
        classlabels_strings=["no", "yes"], version=1, strict=False,
    )  # fmt: skip
    assert set(label.tolist()) == {"no", "yes"}


def test_a_transform_of_one_target_is_applied() -> None:
    """The specification's words; ONNX Runtime leaves a single target as it is."""
    model = one_node("LinearRegressor", ROWS, coefficients=[1.0, 2.0, 0.0, 0.5], post_transform="LOGISTIC")
    (got,) = run(model, feeds(ROWS))
    np.testing.assert_allclose(got, 1 / (1 + np.exp(-ROWS @ [[1.0], [2.0], [0.0], [0.5]])), rtol=1e-5)


# --- support vector machines ------------------------------------------------------------------------------------------

KERNELS = [
    ("LINEAR", [0.0, 0.0, 0.0]),
    ("POLY", [0.5, 0.2, 3.0]),
    ("RBF", [0.3, 0.0, 0.0]),
    ("SIGMOID", [0.4, 0.1, 0.0]),
]


@pytest.mark.parametrize(("kernel", "parameters"), KERNELS)
@pytest.mark.parametrize("one_class", [0, 1])
def test_svm_regressor(kernel: str, parameters: list[float], one_class: int) -> None:
    vectors = random.standard_normal((5, 4)).astype(np.float32)
    assert_like_onnxruntime(
        "SVMRegressor", ROWS, coefficients=random.standard_normal(5).astype(np.float32), rho=[0.2], n_supports=5,
        support_vectors=vectors.reshape(-1), kernel_type=kernel, kernel_params=parameters, one_class=one_class,
        version=1,
    )  # fmt: skip


def test_svm_regressor_without_vectors() -> None:
    weights = [0.5, -1.0, 2.0, 0.25]
    assert_like_onnxruntime(
        "SVMRegressor",
        ROWS,
        coefficients=weights,
        rho=[0.2],
        kernel_type="LINEAR",
        kernel_params=[0.0, 0.0, 0.0],
        version=1,
    )


@pytest.mark.parametrize(("kernel", "parameters"), KERNELS)
@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("probabilities", [False, True])
def test_svm_classifier(kernel: str, parameters: list[float], classes: int, probabilities: bool) -> None:
    sizes = [2, 3, 1, 2][:classes]
    pairs = classes * (classes - 1) // 2
    extra: dict[str, Any] = {}
    if probabilities:
        extra = {"prob_a": -1 - random.random(pairs), "prob_b": random.random(pairs)}
    assert_like_onnxruntime(
        "SVMClassifier", ROWS, outputs=2, vectors_per_class=sizes, rho=random.standard_normal(pairs) / 10,
        coefficients=random.standard_normal(sum(sizes) * (classes - 1)), classlabels_ints=[4, 2, 7, 1][:classes],
        support_vectors=random.standard_normal(4 * sum(sizes)), kernel_type=kernel, kernel_params=parameters,
        version=1, tolerance=1e-4, **extra,
    )  # fmt: skip


def test_svm_classifier_without_vectors() -> None:
    assert_like_onnxruntime(
        "SVMClassifier", ROWS, outputs=2, coefficients=random.standard_normal(12), rho=[0.3], version=1,
        classlabels_ints=[1, 2, 3], kernel_type="LINEAR", kernel_params=[0.0, 0.0, 0.0],
    )  # fmt: skip


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "attributes", "match"),
    [
        ("ZipMap", {"classlabels_int64s": [1, 2, 3, 4]}, "zipmap"),
        ("LinearRegressor", {"coefficients": [1.0, 2.0, 3.0], "targets": 2}, "3 coefficients"),
        ("LinearClassifier", {"coefficients": [1.0] * 4, "intercepts": [0.0]}, "one of classlabels_strings"),
        ("LabelEncoder", {"keys_int64s": [1], "values_int64s": [1, 2], "version": 2}, "1 keys and 2 values"),
        ("LabelEncoder", {"keys_strings": ["a"], "values_int64s": [1], "version": 2}, "not of one type"),
        (
            "SVMClassifier",
            {"coefficients": [1.0], "rho": [0.0], "vectors_per_class": [2**40, 1], "classlabels_ints": [1, 2]},
            "1 coefficients for",
        ),
        ("Scaler", {"scael": [1.0]}, "'scael'"),
        ("Normalizer", {"norm": "L3"}, "'L3'"),
    ],
)
def test_refusals_name_the_node_and_the_reason(op: str, attributes: dict[str, Any], match: str) -> None:
    with pytest.raises(mm.UnsupportedOpError, match=match) as caught:
        mm.parse(one_node(op, ROWS, **attributes))
    assert f"it ({op})" in str(caught.value)


def test_onnxruntime_is_asked_in_earnest() -> None:
    (wanted,) = onnxruntime_says(one_node("Scaler", ROWS, offset=[1.0], scale=[3.0]), feeds(ROWS))
    np.testing.assert_allclose(wanted, (ROWS - 1) * 3, rtol=1e-6)
