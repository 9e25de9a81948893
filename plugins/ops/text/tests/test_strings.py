"""Operators on strings: what they give, what they refuse, and that models with strings build and run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mm_ops_text import operators

import mm_core as mm
from mm_core.ops import lookup
from mm_core.testing.opcheck import opcheck


def strings(*items: Any) -> np.ndarray:
    return np.array(items, object)


def reference(name: str, *inputs: np.ndarray, **attributes: Any) -> Any:
    definition = lookup(name)
    return definition.reference(*inputs, **definition.normalize_attributes(attributes))


CASES: list[tuple[str, list[np.ndarray], dict[str, Any]]] = [
    ("text.concat", [strings("a", "é"), strings(["x"], [""])], {}),
    ("text.split", [strings("a,b,,c", "", "d")], {"delimiter": ","}),
    ("text.split", [strings(" a  b\tc ", "")], {}),
    ("text.split", [np.zeros((2, 0), object)], {}),
    ("text.tokens", [strings("a1 bc2", "", "été")], {"pattern": "[a-z]+", "pad": "#", "marks": True}),
    ("text.normalize", [strings("The", "Cat", "the")], {"stopwords": ("the",), "case": "upper"}),
    ("text.normalize", [strings(["A", "b"])], {"case": "lower"}),
    ("text.regex_full_match", [strings("www.mm.org", "mm")], {"pattern": r"www\.[\w.-]+\.\w+"}),
    ("text.find", [strings(["a", "b"], ["c", ""]), strings("b", "", "b")], {}),
]


@pytest.mark.parametrize(("op", "inputs", "attributes"), CASES)
def test_definitions_agree_with_themselves(op: str, inputs: list[np.ndarray], attributes: dict[str, Any]) -> None:
    opcheck(op, inputs, attributes, symbolic=op != "text.normalize")


def test_every_operator_is_checked() -> None:
    assert {op.name for op in operators()} == {op for op, _, _ in CASES} | {"text.ngram_counts"}


def test_split() -> None:
    pieces, counts = reference("text.split", strings("a b c", "", "d  e"), max_splits=1)
    np.testing.assert_array_equal(pieces, [["a", "b c"], ["", ""], ["d", "e"]])
    np.testing.assert_array_equal(counts, [2, 0, 2])
    pieces, counts = reference("text.split", strings("", "-x-"), delimiter="-")
    np.testing.assert_array_equal(pieces, [["", "", ""], ["", "x", ""]])
    np.testing.assert_array_equal(counts, [1, 3])


def test_tokens() -> None:
    tokens = reference("text.tokens", strings("The (c)at", ""), pattern=r"\(?\w+", least=2, pad="#", marks=True)
    np.testing.assert_array_equal(tokens, [["\x02", "The", "(c", "at", "\x03"], ["\x02", "\x03", "#", "#", "#"]])
    assert reference("text.tokens", strings("", "1"), pattern="[a-z]*", marks=True).shape == (2, 0)


def test_normalize() -> None:
    words = strings("Monday", "MONDAY", "Straße")
    np.testing.assert_array_equal(reference("text.normalize", words, stopwords=("monday",)), ["Straße"])
    kept = reference("text.normalize", words, stopwords=("MONDAY",), case_sensitive=True, case="upper")
    np.testing.assert_array_equal(kept, ["MONDAY", "STRASSE"])
    np.testing.assert_array_equal(reference("text.normalize", words[None, :2], stopwords=("monday",)), [[""]])


def test_find_takes_the_last_of_equal_words() -> None:
    np.testing.assert_array_equal(reference("text.find", strings("b", "x"), strings("b", "a", "b")), [2, -1])


def test_expressions_are_those_of_re2() -> None:
    texts = strings("a\n", "a", "é", "ab")
    np.testing.assert_array_equal(reference("text.regex_full_match", texts, pattern="a$"), [False, True, False, False])
    np.testing.assert_array_equal(reference("text.regex_full_match", texts, pattern=r"\pL+"), [False, True, True, True])
    bomb = strings("a" * 5000 + "b")  # A backtracking matcher would not come back.
    np.testing.assert_array_equal(reference("text.regex_full_match", bomb, pattern="(a*)*c"), [False])


@pytest.mark.parametrize("pattern", [r"(a)\1", "(?=a)", "(a", "[[:letters:]]"])
def test_other_expressions_are_refused(pattern: str) -> None:
    network = mm.Network("refused")
    x = network.add_input("x", mm.string, ("N",))
    with pytest.raises(mm.UnsupportedOpError, match="no expression that RE2 takes"):
        network.op("text.regex_full_match", x, pattern=pattern)


def test_a_saved_model_splits_and_looks_up(tmp_path: Any) -> None:
    network = mm.Network("words")
    x = network.add_input("x", mm.string, ("N",))
    pieces, _ = network.op("text.split", x)
    places = network.op("text.find", pieces, strings("is", "this"))
    network.mark_output(network.reduce_max(places, axes=(1,), keepdims=False), "y")
    mm.Builder().build(network).save(tmp_path / "words.mm")
    model = mm.Model.load(tmp_path / "words.mm")
    assert any("mm-ops-text" in requirement for requirement in model.requires.run)
    y = model.create_engine().create_context().run({"x": strings("it is", "this", "?")})["y"]
    np.testing.assert_array_equal(y, [0, 1, -1])


def test_normalize_refuses_batches() -> None:
    network = mm.Network("batch")
    x = network.add_input("x", mm.string, (2, 3))
    with pytest.raises(mm.UnsupportedOpError, match=r"\[1, C\]"):
        network.op("text.normalize", x)
