"""Products of matrices against numpy, torch and ONNX."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

import mm_core as mm
from mm_core.testing.opcheck import opcheck

RNG = np.random.default_rng(3)


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    ("left", "right"),
    [((3, 4), (4, 5)), ((2, 1, 3, 4), (5, 4, 2)), ((4,), (4,)), ((3, 4), (4,)), ((4,), (2, 4, 3)), ((2, 0), (0, 3))],
)
def test_matmul_is_numpys(reference: Any, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    a, b = normal(*left), normal(*right)
    np.testing.assert_allclose(reference("mm.matmul", a, b), np.matmul(a, b), rtol=1e-6)
    opcheck("mm.matmul", [a, b])


def test_matmul_of_integers_and_bfloat16(reference: Any) -> None:
    a, b = RNG.integers(-9, 9, (3, 4)), RNG.integers(-9, 9, (4, 2))
    np.testing.assert_array_equal(reference("mm.matmul", a, b), a @ b)
    x, y = normal(3, 4).astype(ml_dtypes.bfloat16), normal(4, 2).astype(ml_dtypes.bfloat16)
    wanted = (x.astype(np.float32) @ y.astype(np.float32)).astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(reference("mm.matmul", x, y), wanted)


def test_matmul_refuses() -> None:
    network = mm.Network()
    a, b = network.add_input("a", mm.float32, (3, 4)), network.add_input("b", mm.float32, (5, 2))
    with pytest.raises(mm.VerifyError, match="4 and 5"):
        network.matmul(a, b)
    with pytest.raises(mm.VerifyError, match="scalars"):
        network.matmul(a, 1.0)


@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("trans_b", [False, True])
@pytest.mark.parametrize("c", [None, (), (5,), (3, 1), (3, 5)])
def test_gemm_is_onnxs(reference: Any, run_onnx: Any, trans_a: bool, trans_b: bool, c: Any) -> None:
    a, b = normal(*((4, 3) if trans_a else (3, 4))), normal(*((5, 4) if trans_b else (4, 5)))
    inputs = [a, b] if c is None else [a, b, np.asarray(normal(*c))]
    factors = {"alpha": 0.5, "beta": 2.0}
    wanted = run_onnx("Gemm", *inputs, transA=int(trans_a), transB=int(trans_b), **factors)
    attributes = {"trans_a": trans_a, "trans_b": trans_b, **factors}
    np.testing.assert_allclose(reference("mm.gemm", *inputs, **attributes), wanted, rtol=1e-5, atol=1e-5)
    opcheck("mm.gemm", inputs, attributes)


def test_linear_is_torchs(reference: Any) -> None:
    x, w, b = normal(2, 3, 4), normal(5, 4), normal(5)
    wanted = torch.nn.functional.linear(*map(torch.tensor, (x, w, b)))
    np.testing.assert_allclose(reference("mm.linear", x, w, b), wanted.numpy(), rtol=1e-5, atol=1e-6)
    opcheck("mm.linear", [x, w, b])
    opcheck("mm.linear", [x, w])


def test_matmul_integer_is_onnxs(reference: Any, run_onnx: Any) -> None:
    a = RNG.integers(0, 256, (4, 6)).astype(np.uint8)
    b = RNG.integers(-128, 128, (6, 5)).astype(np.int8)
    for zeros in ((), (np.array(3, np.uint8), np.arange(5, dtype=np.int8)), (np.array([3], np.uint8),)):
        wanted = run_onnx("MatMulInteger", a, b, *zeros)
        np.testing.assert_array_equal(reference("mm.matmul_integer", a, b, *zeros), wanted)
        opcheck("mm.matmul_integer", [a, b, *zeros])
    rows = np.arange(4, dtype=np.uint8)
    exact = (a.astype(np.int32) - rows[:, None]) @ b.astype(np.int32)
    np.testing.assert_array_equal(reference("mm.matmul_integer", a, b, rows), exact)
    opcheck("mm.matmul_integer", [a, b, rows])


@pytest.mark.parametrize("size", [1, 2, 5])
def test_det_is_numpys(reference: Any, size: int) -> None:
    x = normal(3, size, size)
    x[0, :, 0] = 0  # singular
    x[1, 0, 0] = 0  # needs a swap of rows
    wanted = np.linalg.det(x.astype(np.float64))
    np.testing.assert_allclose(reference("mm.det", x), wanted, rtol=1e-4, atol=1e-5)
    opcheck("mm.det", [x], symbolic=False)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("bhld,bhsd->bhls", [(2, 3, 4, 5), (2, 3, 6, 5)]),
        ("ij->ji", [(2, 3)]),
        ("ij->", [(2, 3)]),
        ("ii->i", [(3, 3)]),
        ("ii", [(3, 3)]),
        ("bij,bjk", [(2, 3, 4), (2, 4, 5)]),
        ("...ij,...jk->...ik", [(2, 3, 4), (2, 4, 5)]),
        ("...ij,...jk->...ik", [(7, 1, 3, 4), (2, 4, 5)]),
        ("i,j->ij", [(2,), (3,)]),
        ("i,i->", [(4,), (4,)]),
        ("ij,ik,jl->kl", [(2, 3), (2, 4), (3, 5)]),
        ("ij,jk,k->i", [(2, 3), (3, 4), (4,)]),
        ("iij,jk->ik", [(2, 2, 3), (3, 4)]),
        (" b i j , b k -> b k j i ", [(2, 3, 4), (2, 5)]),
        ("ij,kl->jl", [(2, 3), (4, 5)]),
    ],
)
def test_einsum_is_numpys(reference: Any, equation: str, shapes: list[tuple[int, ...]]) -> None:
    inputs = [normal(*shape) for shape in shapes]
    wanted = np.einsum(equation.replace(" ", ""), *inputs)
    np.testing.assert_allclose(reference("mm.einsum", *inputs, equation=equation), wanted, rtol=1e-4, atol=1e-5)
    opcheck("mm.einsum", inputs, {"equation": equation})


@pytest.mark.parametrize(
    ("equation", "message"),
    [
        ("ij,jk->iz", "'z'"),
        ("ij->ij", "for 1 operands, got 2"),
        ("ij,jkl->il", "3 labels"),
        ("i?,jk->i", "not an equation"),
    ],
)
def test_einsum_refuses(equation: str, message: str) -> None:
    network = mm.Network()
    a, b = network.add_input("a", mm.float32, (2, 3)), network.add_input("b", mm.float32, (3, 4))
    with pytest.raises(mm.VerifyError, match=message):
        network.einsum(a, b, equation=equation)
