"""Strings and images in ONNX: against ONNX Runtime where it has the operator, whole trained pipelines, refusals."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from classical_models import run
from onnx import helper
from onnx_models import assert_agrees, single
from PIL import Image
from skl2onnx import to_onnx
from skl2onnx.common.data_types import StringTensorType
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import mm_core as mm

WORDS = np.array(["Monday", "tuesday", "MONDAY", "été", ""], object)
NUMBERS = np.array([[1, 2, 1, 3, 2, 1], [3, 3, 3, 1, 2, 0]])
POOL = [1, 2, 3, 1, 2, 3, 3]
NGRAMS: dict[str, Any] = {
    "max_gram_length": 2, "min_gram_length": 1, "ngram_counts": [0, 3], "ngram_indexes": [4, 0, 2, 1, 7],
}  # fmt: skip


@pytest.mark.parametrize("mode", ["TF", "IDF", "TFIDF"])
@pytest.mark.parametrize("skips", [0, 2])
@pytest.mark.parametrize("weights", [{}, {"weights": [10.0, 20.0, 30.0, 40.0, 50.0]}])
def test_counts_of_ngrams(mode: str, skips: int, weights: dict[str, Any]) -> None:
    attributes = {**NGRAMS, **weights, "mode": mode, "max_skip_count": skips, "opset": 18}
    for numbers in (NUMBERS, NUMBERS[0], NUMBERS.astype(np.int32)):
        proto = single("TfIdfVectorizer", {"x": numbers}, pool_int64s=POOL, **attributes)
        assert_agrees(proto, {"x": numbers})
        run(proto, {"x": numbers})  # Numbers are counted without fallback.
    names = np.array(["zero", "one", "two", "three"], object)
    pool = names[POOL].tolist()
    assert_agrees(
        single("TfIdfVectorizer", {"x": names[NUMBERS]}, pool_strings=pool, **attributes), {"x": names[NUMBERS]}
    )


@pytest.mark.parametrize("stopwords", [[], ["monday", "tuesday"], WORDS.tolist()])
def test_normalizer(stopwords: list[str]) -> None:
    """Without a change of case, for which ONNX Runtime needs a locale that the machine may lack."""
    attributes = {"stopwords": stopwords} if stopwords else {}
    for words in (WORDS, WORDS[None]):
        proto = single("StringNormalizer", {"x": words}, is_case_sensitive=1, **attributes)
        assert_agrees(proto, {"x": words})


def test_concatenation_pieces_and_matches() -> None:
    both = {"x": WORDS[:, None], "w": WORDS[None]}
    assert_agrees(single("StringConcat", both, opset=20), both)
    words = WORDS[:4]  # An empty string has one piece, as in Python and in ONNX's evaluator; ONNX Runtime gives none.
    for attributes in ({}, {"delimiter": "d"}, {"delimiter": "day", "maxsplit": 1}):
        assert_agrees(single("StringSplit", {"x": words}, outputs=2, opset=20, **attributes), {"x": words})
    pattern = r"(?i)m\w+y|\pL+é"
    assert_agrees(single("RegexFullMatch", {"x": WORDS}, opset=20, pattern=pattern), {"x": WORDS})


def tokenizer(**attributes: Any) -> Any:
    proto = single("Tokenizer", {"x": WORDS}, domain="com.microsoft", **attributes)
    proto.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return proto


@pytest.mark.parametrize("marks", [0, 1])
@pytest.mark.parametrize("how", [{"tokenexp": "[a-z]+"}, {"tokenexp": "."}, {"separators": [""]}])
def test_tokenizer(marks: int, how: dict[str, Any]) -> None:
    proto = tokenizer(mark=marks, mincharnum=1, pad_value="#", **how)
    assert_agrees(proto, {"x": WORDS})


def test_tokens_between_separators_are_refused() -> None:
    with pytest.raises(mm.UnsupportedOpError, match=r"it cuts at \[' '\]"):
        mm.parse(tokenizer(mark=0, mincharnum=1, pad_value="#", separators=[" "]))


@pytest.mark.parametrize("ngrams", [(1, 1), (1, 2)])
def test_a_trained_text_classifier(ngrams: tuple[int, int]) -> None:
    texts = ["the cat sat", "a dog ran far", "cats and dogs", "the dog sat", "a bird flew", "far and away the best"]
    labels = ["cat", "dog", "cat", "dog", "bird", "bird"]
    vectorizer = TfidfVectorizer(ngram_range=ngrams, token_pattern="[a-zA-Z0-9_]+")
    estimator = make_pipeline(vectorizer, LogisticRegression()).fit(texts, labels)
    proto = to_onnx(
        estimator, initial_types=[("text", StringTensorType([None, 1]))], options={"zipmap": False}, target_opset=18
    )
    label, probabilities = run(proto, {"text": np.array(texts, object)[:, None]}, strict=False)
    np.testing.assert_array_equal(label, estimator.predict(texts))
    np.testing.assert_allclose(probabilities, estimator.predict_proba(texts), atol=1e-5)


def test_images_become_tensors() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 3), np.uint8)
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    data = np.frombuffer(stream.getvalue(), np.uint8)
    for order, wanted in (("RGB", pixels), ("BGR", pixels[:, :, ::-1])):
        (got,) = run(single("ImageDecoder", {"x": data}, opset=20, pixel_format=order), {"x": data}, strict=False)
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "match"),
    [
        ("TfIdfVectorizer", NUMBERS, {**NGRAMS, "mode": "TF", "max_skip_count": 0, "pool_strings": ["a"]}, "one pool"),
        ("TfIdfVectorizer", NUMBERS, {**NGRAMS, "mode": "BM25", "max_skip_count": 0, "pool_int64s": POOL}, "'BM25'"),
        (
            "TfIdfVectorizer",
            NUMBERS,
            {**NGRAMS, "mode": "TF", "max_skip_count": 0, "pool_int64s": POOL, "ngram_indexes": [0, 1, 2, 3, 2**60]},
            "columns from 0 to",
        ),
        ("RegexFullMatch", WORDS, {"pattern": "(?<=a)b", "opset": 20}, "RE2"),
        ("RegexFullMatch", WORDS, {"opset": 20}, "needs the attribute 'pattern'"),
        ("StringNormalizer", WORDS, {"case_change_action": "TITLE"}, "'TITLE'"),
        ("ImageDecoder", np.zeros(4, np.uint8), {"pixel_format": "CMYK", "opset": 20}, "'CMYK'"),
    ],
)
def test_refusals_name_the_node_and_the_reason(op: str, inputs: Any, attributes: dict[str, Any], match: str) -> None:
    with pytest.raises(mm.MMError, match=match) as caught:
        mm.parse(single(op, {"x": inputs}, **attributes))
    assert f"it ({op})" in str(caught.value)
