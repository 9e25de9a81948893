"""Inverses of matrices against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mm_core as mm
from mm_core.testing.opcheck import opcheck


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (2, 3, 5, 5)])
def test_inverse_is_numpys(reference: Any, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(5).standard_normal(shape).astype(np.float32)
    if shape[-1] > 1:
        x[..., 0, 0] = 0  # needs a swap of rows
    wanted = np.linalg.inv(x.astype(np.float64))
    np.testing.assert_allclose(reference("mm.inverse", x), wanted, rtol=1e-3, atol=1e-4)
    opcheck("mm.inverse", [x], symbolic=False)


def test_rows_and_columns_agree() -> None:
    network = mm.Network()
    with pytest.raises(mm.VerifyError, match="rows and columns"):
        network.inverse(network.add_input("x", mm.float32, (3, 4)))
