"""Casts between all numeric types, by the library and by generated code: bit by bit what the definition says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mm_backend_cpu import compiler

import mm_core as mm
from mm_core.ops import lookup
from mm_core.types import DTYPES, Array, DType

NUMERIC = tuple(dtype for dtype in DTYPES if dtype.kind != "string")
ROUNDINGS = ((True, "up"), (False, "nearest"), (False, "down"))
LIMITS = (
    -1e30, -300.7, -5e18, 1.9e19, 1.8e19, 3e9, np.inf, -np.inf, np.nan, 0.0, -0.0, 2.0**31, 2.0**31 - 1, -(2.0**31),
    2.0**32, 2.0**63, 65519.99, 65520, 1 + 2**-11 + 2**-40, 127.5, 128, -129, 2.0**-127, 1.5 * 2.0**-126, 2.0**-140,
    1.7e38, 3.3e38,
)  # fmt: skip
"""Numbers at the ends of types, between two floats, and none."""


def samples(dtype: DType) -> Array:
    rng = np.random.default_rng(0)
    if dtype.kind == "bool":
        return rng.random(50) < 0.5
    if dtype.is_integer:
        return (rng.integers(-(2**62), 2**62, 100) >> rng.integers(0, 62, 100)).astype(dtype.numpy)
    if dtype.kind == "complex":
        return (rng.normal(size=50) + 1j * rng.normal(size=50)).astype(dtype.numpy)
    if dtype.bits <= 8:
        return np.arange(2**dtype.bits, dtype=np.uint8).view(dtype.numpy)
    with np.errstate(over="ignore"):
        return np.append(LIMITS, rng.normal(size=200) * 10.0 ** rng.integers(-5, 12, 200)).astype(dtype.numpy)


def comparable(array: Array, dtype: DType) -> Any:
    """Integers as Python's, floats as bits with one NaN: sub-byte integers have bytes that mean nothing."""
    if dtype.is_float:
        bits = array.view(f"u{dtype.itemsize}")
        return bits if dtype.name == "float4_e2m1fn" else np.where(np.isnan(array.astype(np.float64)), -1.0, bits)
    return array if dtype.kind == "complex" else array.astype(object)


@pytest.mark.parametrize("small_work", [None, 0], ids=["library", "generated"])
@pytest.mark.parametrize("source", NUMERIC, ids=str)
def test_every_pair_of_types(source: DType, small_work: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if small_work is not None:
        monkeypatch.setattr(compiler, "SMALL_WORK", small_work)
    x = samples(source)
    network = mm.Network("casts")
    value = network.add_input("x", source, x.shape)
    wanted = {}
    for target in NUMERIC:
        for saturate, mode in ROUNDINGS:
            name = f"{target.name}_{saturate}_{mode}"
            how = {"to": target, "saturate": saturate, "round_mode": mode}
            network.mark_output(network.cast(value, **how), name)
            wanted[name] = target, lookup("mm.cast").reference(x, **how)
    config = mm.BuilderConfig(backends=["cpu"], strict=True)
    results = mm.Builder(config).build(network).create_engine().create_context().run({"x": x})
    for name, (target, expected) in wanted.items():
        np.testing.assert_array_equal(comparable(results[name], target), comparable(expected, target), name)


@pytest.mark.parametrize(
    ("numbers", "target", "expected"),
    [
        ([-9.0, -8.5, 8.0, 15.9, 300.0, np.nan], mm.int4, [7, -8, -8, -1, -4, 0]),  # ONNX's own cases: low bits
        ([-3.0, -1.0, 2.0, 3.0], mm.uint2, [1, 3, 2, 3]),
        ([300.0, -1.0, 3e9, -np.inf], mm.uint8, [44, 255, 255, 0]),
        ([3e9, -3e9, np.nan], mm.int32, [2**31 - 1, -(2**31), 0]),
        ([-1.0, 2.0**64, -np.inf], mm.uint64, [2**64 - 1, 2**64 - 1, 2**63]),
    ],
)
def test_floats_beyond_integers(numbers: list[float], target: DType, expected: list[int]) -> None:
    """By the definition's numpy; that the kernels agree with it, the other test says."""
    x = np.array(numbers, np.float32)
    y = lookup("mm.cast").reference(x, to=target, saturate=True, round_mode="up")
    assert [int(item) for item in y] == expected
