"""Tensors without elements, and scalars: inference, reference and decomposition agree and nothing warns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mm_core.testing.opcheck import opcheck


def zeros(*shape: int) -> Any:
    return np.zeros(shape, np.float32)


def ints(*shape: int) -> Any:
    return np.zeros(shape, np.int64)


ONE = np.ones((), np.float32)
CASES: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("conv", [zeros(0, 4, 5, 5), zeros(2, 4, 3, 3), zeros(2)], {}),
    ("conv_transpose", [zeros(0, 4, 5, 5), zeros(4, 2, 3, 3)], {}),
    ("max_pool", [zeros(0, 2, 5, 5)], {"kernel_shape": (2, 2)}),
    ("average_pool", [zeros(0, 2, 5, 5)], {"kernel_shape": (2, 2)}),
    ("max_pool_with_indices", [zeros(0, 2, 5, 5)], {"kernel_shape": (2, 2)}),
    ("lp_pool", [zeros(0, 2, 5, 5)], {"kernel_shape": (2, 2)}),
    ("global_average_pool", [zeros(0, 2, 5, 5)], {}),
    ("global_max_pool", [zeros(0, 2, 5, 5)], {}),
    ("matmul", [zeros(0, 3), zeros(3, 2)], {}),
    ("matmul", [zeros(2, 0), zeros(0, 2)], {}),
    ("gemm", [zeros(0, 3), zeros(3, 2), zeros(2)], {}),
    ("linear", [zeros(0, 3), zeros(2, 3)], {}),
    ("einsum", [zeros(0, 3), zeros(3, 2)], {"equation": "ij,jk->ik"}),
    ("det", [zeros(0, 3, 3)], {}),
    ("batch_norm", [zeros(0, 2, 5), zeros(2), zeros(2), zeros(2), zeros(2) + 1], {}),
    ("instance_norm", [zeros(0, 4, 3), zeros(4), zeros(4)], {}),
    ("group_norm", [zeros(0, 4, 3), zeros(4), zeros(4)], {"num_groups": 2}),
    ("layer_norm", [zeros(0, 4), zeros(4)], {}),
    ("rms_norm", [zeros(0, 4), zeros(4)], {}),
    ("lp_norm", [zeros(0, 3)], {}),
    ("local_response_norm", [zeros(0, 3, 2)], {"size": 3}),
    ("relu", [zeros(0)], {}),
    ("relu", [zeros()], {}),
    ("gelu", [zeros(0)], {}),
    ("gelu", [zeros()], {}),
    ("prelu", [zeros(0, 3), zeros(3)], {}),
    ("softmax", [zeros(0, 3)], {}),
    ("softmax", [zeros(3, 0)], {}),
    ("log_softmax", [zeros(3, 0)], {}),
    ("hardmax", [zeros(0, 3)], {}),
    ("attention", [zeros(0, 2, 3, 4)] * 3, {}),
    ("attention", [zeros(1, 2, 0, 4), zeros(1, 2, 3, 4), zeros(1, 2, 3, 4)], {"causal": True}),
    ("attention", [zeros(1, 2, 3, 4), zeros(1, 2, 0, 4), zeros(1, 2, 0, 4)], {}),
    ("rotary_embedding", [zeros(0, 2, 3, 4), zeros(0, 3, 2), zeros(0, 3, 2)], {}),
    ("gather", [zeros(3, 2), ints(0)], {}),
    ("gather_elements", [zeros(3, 2), ints(0, 2)], {}),
    ("gather_nd", [zeros(3, 2), ints(0, 1)], {}),
    ("scatter_elements", [zeros(3, 2), ints(0, 2), zeros(0, 2)], {}),
    ("scatter_nd", [zeros(3, 2), ints(0, 1), zeros(0, 2)], {}),
    ("topk", [zeros(0, 4), np.array([2])], {}),
    ("topk", [zeros(3, 4), np.array([0])], {}),
    ("one_hot", [ints(0), np.array(3), zeros(2)], {}),
    ("nonzero", [zeros(0, 2)], {}),
    ("compress", [zeros(0, 2), np.zeros(0, bool)], {"axis": 0}),
    ("unique", [zeros(0)], {}),
    ("resize", [zeros(0, 2, 4, 4)], {"scales": (1, 1, 2, 2), "mode": "linear"}),
    ("quantize", [zeros(0, 3), ONE], {}),
    ("dequantize", [np.zeros((0, 3), np.uint8), ONE], {}),
    ("dynamic_quantize", [zeros(0)], {}),
    ("lstm", [zeros(0, 2, 3), zeros(1, 8, 3), zeros(1, 8, 2)], {}),
    ("gru", [zeros(3, 0, 3), zeros(1, 6, 3), zeros(1, 6, 2)], {}),
    ("grid_sample", [zeros(0, 2, 3, 3), zeros(0, 2, 2, 2)], {}),
    ("grid_sample", [zeros(1, 2, 3, 3), zeros(1, 0, 2, 2)], {}),
    ("roi_align", [zeros(1, 2, 3, 3), zeros(0, 4), ints(0)], {"sampling_ratio": 2}),
    ("max_roi_pool", [zeros(1, 2, 3, 3), zeros(0, 5)], {"pooled_shape": (2, 2)}),
    ("non_max_suppression", [zeros(1, 0, 4), zeros(1, 2, 0)], {}),
    ("random_uniform", [np.array([0, 3])], {}),
]
NEED_STATIC_SIZES = {"lstm", "gru", "gather_nd", "scatter_nd", "det", "rotary_embedding"}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("op", "inputs", "attributes"), CASES)
def test_nothing_to_do(op: str, inputs: list[Any], attributes: dict[str, Any]) -> None:
    opcheck(f"mm.{op}", inputs, attributes, symbolic=op not in NEED_STATIC_SIZES)
