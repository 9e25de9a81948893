"""Cases with their dimensions made symbolic: what is freed, and that sizes which became numbers again are found."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_models import model

import mm_core as mm
from mm_core.testing.backend_engine import SymbolicEngine
from mm_core.testing.case import Case, DataSet
from mm_core.testing.engine import WrongResult
from mm_core.testing.harness import Lane
from mm_core.testing.symbolic import EVERY, FREE, check_symbolic, forms, freed
from mm_core.testing.verdict import Verdict


def case(text: str, **values: np.ndarray) -> Case:
    """A case whose output is called y; the other values are its inputs."""
    outputs = {"y": values.pop("y")}
    return Case("case", model(text).SerializeToString(), (DataSet(values, outputs),), tensors=tuple(values))


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


ADD = case(
    "add (float[2,3] a, float[1,3] b) => (float[2,3] y) { y = Add (a, b) }",
    a=zeros(2, 3), b=zeros(1, 3), y=zeros(2, 3),
)  # fmt: skip
RESHAPE = case(
    "reshape (float[2,3] a, int64[2] shape) => (float[3,2] y) { y = Reshape (a, shape) }",
    a=zeros(2, 3), shape=np.array([3, 2]), y=zeros(3, 2),
)  # fmt: skip
BAKED = case("baked (float[2,3] a) => (float[2,3] y) { y = Relu (a) }", a=zeros(2, 3), y=zeros(2, 3))


def shapes(network: mm.Network) -> list[list[str]]:
    return [list(map(str, spec.shape or ())) for spec in network.inputs]


def test_every_dimension_gets_a_symbol_of_its_own() -> None:
    assert shapes(freed(ADD, EVERY)) == [["s0_0", "s0_1"], ["s1_0", "s1_1"]]


def test_sizes_with_a_meaning_of_their_own_may_stay() -> None:
    assert shapes(freed(ADD, FREE)) == [["s0_0", "s0_1"], ["1", "s1_1"]]
    assert shapes(freed(RESHAPE, FREE)) == [["s0_0", "s0_1"], ["2"]]


def test_the_second_form_exists_where_it_differs() -> None:
    assert forms(ADD) == forms(RESHAPE) == (EVERY, FREE)
    assert forms(BAKED) == (EVERY,)


def test_the_first_form_that_is_native_counts() -> None:
    with Lane(SymbolicEngine("cpu")) as lane:
        outcome = lane.judge(ADD)
    assert (outcome.verdict, outcome.form) == (Verdict.NATIVE, FREE)


def build(network: mm.Network) -> mm.Model:
    return mm.Builder(mm.BuilderConfig(backends=["cpu"])).build(network)


def test_symbolic_models_pass() -> None:
    network = freed(BAKED, EVERY)
    check_symbolic(build(network), BAKED, network)


def test_inputs_with_sizes_that_became_numbers_are_found() -> None:
    with pytest.raises(WrongResult, match="the model's inputs are"):
        check_symbolic(build(mm.parse(BAKED.source)), BAKED, freed(BAKED, EVERY))


def test_results_with_sizes_that_became_numbers_are_found() -> None:
    network = mm.Network("baked")
    network.add_input("a", mm.float32, ("s0_0", "s0_1"))
    network.mark_output(network.constant(zeros(2, 3)), "y")
    with pytest.raises(WrongResult, match="dimension 0 of y is always 2; larger inputs make it 3"):
        check_symbolic(build(network), BAKED, freed(BAKED, EVERY))


def test_results_that_do_not_depend_on_the_inputs_may_be_fixed() -> None:
    size = case("rank (float[2,3] a) => (int64[2] y) { y = Shape (a) }", a=zeros(2, 3), y=np.array([2, 3]))
    network = freed(size, EVERY)
    check_symbolic(build(network), size, network)
