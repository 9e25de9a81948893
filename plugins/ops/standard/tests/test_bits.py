"""Bits read as another type, against numpy's views and by hand below a byte."""

from __future__ import annotations

import numpy as np
import pytest

import mm_core as mm
from mm_core.errors import MMError
from mm_core.ops import lookup
from mm_core.types import Array, DType


@pytest.mark.parametrize(
    ("x", "target", "expected"),
    [
        (np.array([1.0, -0.0, np.nan], np.float32), mm.int32, np.array([0x3F800000, -(2**31), 0x7FC00000], np.int32)),
        (np.array(1 + 2j, np.complex64), mm.uint64, np.array(0x400000003F800000, np.uint64)),
        (np.array([0, 1, 255], np.uint8), mm.bool_, np.array([False, True, True])),
        (np.array([True, False]), mm.int8, np.array([1, 0], np.int8)),
    ],
    ids=["float32", "complex", "to bool", "from bool"],
)
def test_bit_cast(x: Array, target: DType, expected: Array) -> None:
    y = lookup("mm.bit_cast").reference(x, to=target)
    assert y.dtype == expected.dtype
    np.testing.assert_array_equal(y, expected)


def test_bit_cast_below_a_byte() -> None:
    x = np.arange(-8, 8).astype(mm.int4.numpy)
    as_unsigned = lookup("mm.bit_cast").reference(x, to=mm.uint4)
    assert as_unsigned.astype(int).tolist() == [*range(8, 16), *range(8)]
    as_float = lookup("mm.bit_cast").reference(x, to=mm.float4_e2m1fn)
    assert as_float.astype(float).tolist()[-8:] == [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    back = lookup("mm.bit_cast").reference(as_float, to=mm.int4)
    np.testing.assert_array_equal(back.astype(int), x.astype(int))


@pytest.mark.parametrize(("source", "target"), [(mm.float32, mm.int64), (mm.int4, mm.int8), (mm.uint8, mm.string)])
def test_another_number_of_bits(source: DType, target: DType) -> None:
    network = mm.Network("bits")
    with pytest.raises(MMError, match="bits of"):
        network.bit_cast(network.add_input("x", source, (3,)), to=target)
