"""Attention against torch and ONNX, rotary embeddings against ONNX."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import mm_core as mm
from mm_core.testing.opcheck import opcheck

RNG = np.random.default_rng(6)


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


K, V = normal(2, 2, 7, 8), normal(2, 2, 7, 6)
QUERIES = {1: normal(2, 2, 5, 8), 2: normal(2, 4, 5, 8)}
MASK = RNG.random((2, 1, 5, 7)) > 0.4
MASK[0, 0, 2] = False
MASKS = {"none": None, "bool": MASK, "added": np.where(MASK, 0, -np.inf).astype(np.float32), "row": MASK[0, 0, 0]}


@pytest.mark.parametrize("group", QUERIES)
@pytest.mark.parametrize("mask", MASKS)
def test_attention_is_torchs(reference: Any, group: int, mask: str) -> None:
    q, given = QUERIES[group], MASKS[mask]
    wide = None if given is None else torch.tensor(np.broadcast_to(given, (2, 1, 5, 7)))
    wanted = F.scaled_dot_product_attention(*map(torch.tensor, (q, K, V)), attn_mask=wide, enable_gqa=True)
    np.testing.assert_allclose(reference("mm.attention", q, K, V, given), wanted.numpy(), rtol=1e-5, atol=1e-6)
    opcheck("mm.attention", [q, K, V, given], symbolic=group == 1)


@pytest.mark.parametrize("group", QUERIES)
@pytest.mark.parametrize(
    "attributes",
    [
        {"causal": True},
        {"causal": True, "alignment": "bottom_right"},
        {"causal": True, "alignment": "bottom_right", "softcap": 5.0, "scale": 0.3, "left_window": 2},
        {"left_window": 1, "right_window": 1},
        {"left_window": 0, "right_window": 3, "alignment": "bottom_right"},
    ],
)
def test_restricted_attention(reference: Any, group: int, attributes: dict[str, Any]) -> None:
    """The keys that each query may attend, written out as a mask."""
    q = QUERIES[group]
    offset = 2 if attributes.get("alignment") == "bottom_right" else 0
    distance = np.arange(7) - (np.arange(5)[:, None] + offset)
    mask = np.ones((5, 7), bool)
    if attributes.get("causal"):
        mask &= distance <= 0
    for name, sign in (("left_window", -1), ("right_window", 1)):
        if attributes.get(name, -1) >= 0:
            mask &= distance * sign <= attributes[name]
    scale = attributes.get("scale", 8**-0.5)
    scores = torch.tensor(np.repeat(K, group, 1)) @ torch.tensor(q).transpose(-1, -2)
    scores = scores.transpose(-1, -2) * scale
    if "softcap" in attributes:
        scores = torch.tanh(scores / attributes["softcap"]) * attributes["softcap"]
    weights = torch.softmax(scores.masked_fill(~torch.tensor(mask), -torch.inf), -1).nan_to_num(0)
    wanted = weights @ torch.tensor(np.repeat(V, group, 1))
    np.testing.assert_allclose(reference("mm.attention", q, K, V, **attributes), wanted.numpy(), rtol=1e-5, atol=1e-6)
    opcheck("mm.attention", [q, K, V], attributes, symbolic=group == 1)


def test_queries_before_all_keys_give_zeros(reference: Any) -> None:
    q, k, v = normal(1, 1, 5, 4), normal(1, 1, 3, 4), normal(1, 1, 3, 4)
    attributes = {"causal": True, "alignment": "bottom_right"}
    y = reference("mm.attention", q, k, v, **attributes)
    assert not y[0, 0, :2].any()
    assert y[0, 0, 2:].all()
    opcheck("mm.attention", [q, k, v], attributes)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_onnxs(reference: Any, run_onnx: Any, causal: bool) -> None:
    q = QUERIES[2]
    wanted = run_onnx("Attention", q, K, V, MASK, opset=23, is_causal=int(causal), softcap=2.0)
    found = reference("mm.attention", q, K, V, MASK, causal=causal, softcap=2.0)
    rows = MASK.any(-1)[:, :, :, None] & np.ones_like(found, bool)
    np.testing.assert_allclose(found[rows], wanted[rows], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_attention_in_sixteen_bits(reference: Any, dtype: Any) -> None:
    small = [item.astype(dtype) for item in (QUERIES[2], K, V)]
    found = reference("mm.attention", *small, MASK)
    wanted = reference("mm.attention", *(item.astype(np.float32) for item in small), MASK).astype(dtype)
    np.testing.assert_array_equal(found, wanted)
    opcheck("mm.attention", [*small, MASK], symbolic=False)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(2, 3, 5, 8), (2, 2, 7, 8), (2, 2, 7, 8)], "not a multiple of 2"),
        ([(2, 2, 5, 8), (2, 2, 7, 4), (2, 2, 7, 4)], "head sizes"),
        ([(2, 2, 5, 8), (2, 2, 7, 8), (2, 2, 6, 8)], "lengths of k and v"),
        ([(2, 5, 8), (2, 2, 7, 8), (2, 2, 7, 8)], "rank 4"),
    ],
)
def test_attention_refuses(shapes: list[tuple[int, ...]], message: str) -> None:
    network = mm.Network()
    operands = [network.add_input(f"x{index}", mm.float32, shape) for index, shape in enumerate(shapes)]
    with pytest.raises(mm.VerifyError, match=message):
        network.attention(*operands)


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("rotary_dim", [0, 4])
@pytest.mark.parametrize("with_positions", [False, True])
def test_rotary_embedding_is_onnxs(
    reference: Any, run_onnx: Any, interleaved: bool, rotary_dim: int, with_positions: bool
) -> None:
    x, half = normal(2, 3, 5, 8), (rotary_dim or 8) // 2
    tables = [normal(10, half) if with_positions else normal(2, 5, half) for _ in range(2)]
    inputs = [x, *tables, *([RNG.integers(0, 10, (2, 5))] if with_positions else [])]
    wanted = run_onnx(
        "RotaryEmbedding", *inputs, opset=23, interleaved=int(interleaved), rotary_embedding_dim=rotary_dim,
        **({"num_heads": 3} if rotary_dim else {}),
    )  # fmt: skip
    attributes = {"interleaved": interleaved, "rotary_dim": rotary_dim}
    np.testing.assert_allclose(reference("mm.rotary_embedding", *inputs, **attributes), wanted, rtol=1e-5, atol=1e-6)
    opcheck("mm.rotary_embedding", inputs, attributes, symbolic=rotary_dim > 0)
