"""Products of two operands of bytes known only when running: sums are exact on every instruction set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mm_backend_cpu.codegen.byte_matmul import ByteMatmulSpec, ByteOperand, generate_byte_matmul
from mm_backend_cpu.codegen.expression import Epilogue, Node
from mm_backend_cpu.codegen.isa import usable
from mm_backend_cpu.codegen.matmul import matrix_strides
from mm_backend_cpu.testing import instruction_sets, run

import mm_core as mm
from mm_core.testing.interpreter import interpret
from mm_core.types import symbol

pytest.importorskip("mm_passes_quantization")
ISAS = pytest.mark.parametrize("isa", instruction_sets(), ids=lambda isa: isa.name)
ARCHS = pytest.mark.parametrize("arch", [isa.name for isa in usable()])
SUMS = Epilogue((), 0, 0, ("i32",))
RNG = np.random.default_rng(11)


def integers(dtype: type, *shape: int) -> np.ndarray:
    info = np.iinfo(dtype)
    return RNG.integers(info.min, info.max + 1, shape).astype(dtype)


def exact(left: np.ndarray, right: np.ndarray, zeros: tuple[int, int]) -> np.ndarray:
    return (left.astype(np.int32) - zeros[0]) @ (right.astype(np.int32) - zeros[1])


@ISAS
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (5, 3, 7), (13, 64, 32), (26, 67, 18), (9, 130, 197)])
@pytest.mark.parametrize(
    ("left_type", "right_type", "zeros"),
    [
        (np.uint8, np.uint8, (0, 0)),
        (np.uint8, np.uint8, (131, 128)),
        (np.int8, np.int8, (-128, 0)),
        (np.uint8, np.int8, (255, 127)),
        (np.int8, np.uint8, (3, 255)),
    ],
)
def test_sums(
    isa: Any, transposed: bool, sizes: tuple[int, int, int], left_type: type, right_type: type, zeros: tuple[int, int]
) -> None:
    rows, columns, terms = sizes
    left, right = integers(left_type, 2, 3, rows, terms), integers(right_type, 1, 3, terms, columns)
    operands = (
        ByteOperand(matrix_strides((2, 3), rows, terms), left_type is np.int8, zeros[0]),
        ByteOperand(matrix_strides((1, 3), terms, columns, transposed=transposed), right_type is np.int8, zeros[1]),
    )
    spec = ByteMatmulSpec((2, 3), rows, columns, terms, *operands, SUMS)
    stored = np.ascontiguousarray(right.swapaxes(-1, -2)) if transposed else right
    (actual,) = run(generate_byte_matmul(spec, isa), isa, [left, stored], [((2, 3, rows, columns), np.int32)])
    np.testing.assert_array_equal(actual, exact(left, right, zeros))


@ISAS
def test_extremes_do_not_saturate(isa: Any) -> None:
    left, right = np.full((6, 512), 255, np.uint8), np.full((512, 70), 255, np.uint8)
    strides = matrix_strides((), 6, 512), matrix_strides((), 512, 70)
    spec = ByteMatmulSpec((), 6, 70, 512, *(ByteOperand(each, False, 0) for each in strides), SUMS)
    (actual,) = run(generate_byte_matmul(spec, isa), isa, [left, right], [((6, 70), np.int32)])
    assert (actual == 512 * 255 * 255).all()


@ISAS
@pytest.mark.parametrize(("batch", "rows", "columns"), [(1, 1, 1), (3, 11, 75)])
def test_sizes_that_only_running_tells(isa: Any, batch: int, rows: int, columns: int) -> None:
    """A vector over the columns and a tensor of bytes follow, then a quantization."""
    b, m, n = map(symbol, "BMN")
    left, right = integers(np.uint8, batch, rows, 10), integers(np.uint8, batch, 10, columns)
    vector, tensor = RNG.standard_normal(columns, dtype=np.float32), integers(np.uint8, batch, rows, columns)
    nodes = (
        Node("cast", (("input", 0),), {"to": "f32"}),
        Node("mul", (("node", 0), ("scalar", 0.0004))),
        Node("add", (("node", 1), ("input", 1))),
        Node("cast", (("input", 2),), {"to": "f32"}),
        Node("add", (("node", 2), ("node", 3))),
        Node("quantize", (("node", 4),), {"to": "ui8", "zero_point": 5}),
    )
    strides = matrix_strides((b,), m, 10), matrix_strides((b,), 10, n)
    operands = (ByteOperand(each, False, zero) for each, zero in zip(strides, (7, 99), strict=True))
    spec = ByteMatmulSpec((b,), m, n, 10, *operands, Epilogue(nodes, 1, 1, ("i32", "f32", "ui8")))
    sizes = {"B": batch, "M": rows, "N": columns}
    outputs = [(tensor.shape, np.uint8)]
    (actual,) = run(generate_byte_matmul(spec, isa), isa, [left, right, vector, tensor], outputs, sizes)
    numbers = exact(left, right, (7, 99)) * np.float32(0.0004) + vector + tensor
    expected = np.clip(np.rint(numbers) + 5, 0, 255)
    assert np.abs(actual - expected).max() <= 1
    assert (actual != expected).mean() < 0.01


@ARCHS
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_attention_of_bytes(arch: str, dtype: str) -> None:
    """Heads lie side by side: views of the operands are multiplied where they lie."""
    kind: Any = np.dtype(dtype).type
    network = mm.Network("attention")
    q, k, v = (network.add_input(name, mm.types.BY_NAME[dtype], ("N", 17, 4 * 8)) for name in "qkv")
    zero = {"q": kind(100), "k": kind(90), "v": kind(40)}

    def heads(name: str, x: Any, order: tuple[int, ...]) -> Any:
        split = network.transpose(network.reshape(x, [-1, 17, 4, 8]), permutation=order)
        return network.dequantize(split, np.float32(0.02), zero[name])

    scores = network.matmul(heads("q", q, (0, 2, 1, 3)), heads("k", k, (0, 2, 3, 1)))
    scores = network.quantize(scores, np.float32(0.1), kind(60), to=dtype)
    weights = network.softmax(network.dequantize(scores, np.float32(0.1), kind(60)), axis=-1)
    weights = network.quantize(weights, np.float32(1 / 127), kind(0), to=dtype)
    y = network.matmul(network.dequantize(weights, np.float32(1 / 127), kind(0)), heads("v", v, (0, 2, 1, 3)))
    network.mark_output(network.quantize(y, np.float32(0.03), kind(10), to=dtype), "y")
    inputs = [integers(kind, 2, 17, 32) for _ in range(3)]
    (expected,) = interpret(network, inputs)
    config = mm.BuilderConfig(backends=["cpu"], target={"cpu_arch": arch}, strict=True)
    model = mm.Builder(config).build(network)
    letter = "i8" if dtype == "int8" else "ui8"
    kernels = [record.kernel for record in model.report.kernels if record.kernel != "copy"]
    assert [kernel for kernel in kernels if "matmul" in kernel] == [
        f"{letter}_matmul+quantize+dequantize", f"{letter}_matmul+quantize"
    ]  # fmt: skip
    actual = model.create_engine(threads=2).create_context().run(dict(zip("qkv", inputs, strict=True)))["y"]
    # One score that is rounded otherwise moves what is made of it.
    assert (actual != expected).mean() < 0.02
    assert len(np.unique(expected)) > 40
