"""Attention kernels against a float64 formula, on every instruction set of this machine."""

from __future__ import annotations

import numpy as np
import pytest
from mm_backend_cpu.codegen.attention import AttentionSpec, Heads, Mask, attention
from mm_backend_cpu.codegen.attention_step import heads_together
from mm_backend_cpu.testing import instruction_sets, run

from mm_core.types import symbol

ISAS = pytest.mark.parametrize("isa", instruction_sets(), ids=lambda isa: isa.name)


def rows_of(input, heads, rows, size):
    """[batch, heads, rows, size]"""
    return Heads(input, 0, heads * rows * size, rows * size, size)


def interleaved(input, heads, rows, size, *, parts=1, part=0):
    """[batch, rows, parts, heads, size]"""
    width = parts * heads * size
    return Heads(input, part * heads * size, rows * width, size, width)


def reference(q, k, v, scale, mask=None, causal_offset=None):
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    k, v = (np.repeat(x, q.shape[1] // x.shape[1], axis=1) for x in (k, v))
    scores = q @ k.transpose(0, 1, 3, 2) * scale
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    if causal_offset is not None:
        i, j = np.ogrid[: q.shape[2], : k.shape[2]]
        scores = np.where(j <= i + causal_offset, scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    powers = np.exp(scores - np.where(np.isneginf(top), 0, top))
    total = powers.sum(-1, keepdims=True)
    return powers / np.where(total == 0, 1, total) @ v


def tensors(batch, heads, key_heads, queries, keys, size, value_size, seed=0):
    rng = np.random.default_rng(seed)
    shapes = ((batch, heads, queries, size), (batch, key_heads, keys, size), (batch, key_heads, keys, value_size))
    return [rng.standard_normal(shape, dtype=np.float32) * 2 for shape in shapes]


def spec_of(q, k, v, **options):
    (batch, heads, queries, size), (_, key_heads, keys, value_size) = q.shape, v.shape
    return AttentionSpec(
        batch, heads, key_heads, queries, keys, size, value_size, size**-0.5,
        rows_of(0, heads, queries, size), rows_of(1, key_heads, keys, size), rows_of(2, key_heads, keys, value_size),
        rows_of(0, heads, queries, value_size), options.pop("n_inputs", 3), **options,
    )  # fmt: skip


@ISAS
@pytest.mark.parametrize(
    "sizes",
    [
        (1, 2, 2, 128, 128, 64, 64), (2, 3, 3, 197, 197, 64, 64), (1, 1, 1, 1, 1, 1, 1), (1, 4, 2, 5, 300, 32, 32),
        (1, 2, 1, 33, 1000, 80, 80), (1, 1, 1, 70, 7, 17, 9), (1, 2, 2, 1, 513, 128, 128), (1, 1, 1, 17, 256, 8, 144),
        (0, 2, 2, 8, 8, 16, 16), (1, 2, 2, 0, 8, 16, 16),
    ],
    ids=str,
)  # fmt: skip
def test_dense_heads(isa, sizes):
    q, k, v = tensors(*sizes)
    shape = (*q.shape[:3], sizes[-1])
    (actual,) = run(attention(spec_of(q, k, v), isa), isa, [q, k, v], [(shape, np.float32)])
    np.testing.assert_allclose(actual, reference(q, k, v, sizes[5] ** -0.5).reshape(shape), rtol=2e-5, atol=2e-5)


@ISAS
def test_packed_projection_in_and_merged_heads_out(isa):
    batch, heads, rows, size = 2, 3, 45, 24
    packed = np.random.default_rng(1).standard_normal((batch, rows, 3, heads, size), dtype=np.float32)
    parts = [interleaved(0, heads, rows, size, parts=3, part=part) for part in range(3)]
    spec = AttentionSpec(
        batch, heads, heads, rows, rows, size, size, 0.3, *parts, interleaved(0, heads, rows, size), 1
    )  # fmt: skip
    (actual,) = run(attention(spec, isa), isa, [packed], [((batch, rows, heads, size), np.float32)])
    q, k, v = (packed[:, :, part].transpose(0, 2, 1, 3) for part in range(3))
    np.testing.assert_allclose(actual.transpose(0, 2, 1, 3), reference(q, k, v, 0.3), rtol=2e-5, atol=2e-5)


@ISAS
@pytest.mark.parametrize("dtype", [np.float32, np.bool_])
@pytest.mark.parametrize("queries", [40, 1])
@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 301), (2, 1, 1, 301), (1, 3, None, 301), (2, 1, None, 301), (2, 3, None, 1)]
)
def test_masks(isa, dtype, shape, queries):
    q, k, v = tensors(2, 3, 3, queries, 301, 19, 19)
    shape = tuple(extent or queries for extent in shape)
    mask = np.random.default_rng(2).integers(0, 2, shape).astype(bool)
    mask[..., 0] = True
    if dtype == np.float32:
        mask = np.where(mask, np.float32(0.5), np.float32(-1e4))
    strides = [0 if extent == 1 else step // mask.itemsize for extent, step in zip(shape, mask.strides)]
    spec = spec_of(q, k, v, n_inputs=4, mask=Mask(3, "f32" if dtype == np.float32 else "i1", *strides))
    (actual,) = run(attention(spec, isa), isa, [q, k, v, mask], [(q.shape, np.float32)])
    np.testing.assert_allclose(actual, reference(q, k, v, 19**-0.5, mask), rtol=2e-5, atol=2e-5)


@ISAS
@pytest.mark.parametrize(("queries", "keys", "offset"), [(150, 150, 0), (37, 300, 263), (300, 300, 0), (1, 9, 8)])
def test_causal(isa, queries, keys, offset):
    q, k, v = tensors(1, 2, 2, queries, keys, 32, 32)
    (actual,) = run(attention(spec_of(q, k, v, causal_offset=offset), isa), isa, [q, k, v], [(q.shape, np.float32)])
    np.testing.assert_allclose(actual, reference(q, k, v, 32**-0.5, causal_offset=offset), rtol=2e-5, atol=2e-5)


@ISAS
def test_a_query_that_sees_no_key_gives_zeros(isa):
    q, k, v = tensors(1, 1, 1, 20, 600, 8, 8)
    mask = np.ones((1, 1, 20, 600), bool)
    mask[..., 3, :] = False
    mask[..., 4, :500] = False
    spec = spec_of(q, k, v, n_inputs=4, mask=Mask(3, "i1", 0, 0, 600, 1))
    (actual,) = run(attention(spec, isa), isa, [q, k, v, mask], [(q.shape, np.float32)])
    np.testing.assert_allclose(actual, reference(q, k, v, 8**-0.5, mask), rtol=2e-5, atol=2e-5)
    hidden = q[:, :, 3:4]
    step = spec_of(hidden, k, v, n_inputs=4, mask=Mask(3, "i1", 0, 0, 600, 1))
    (actual,) = run(attention(step, isa), isa, [hidden, k, v, mask[:, :, 3:4]], [((8,), np.float32)])
    assert not actual.any()
    q[0, 0, 7, 2] = np.nan
    (actual,) = run(attention(spec_of(q, k, v), isa), isa, [q, k, v], [(q.shape, np.float32)])
    assert np.isnan(actual[0, 0, 7]).all()
    assert np.isfinite(np.delete(actual[0, 0], 7, axis=0)).all()


@ISAS
def test_symbolic_lengths_share_one_kernel(isa):
    n, s, t = symbol("N"), symbol("S"), symbol("T")
    spec = AttentionSpec(
        n, 2, 2, s, t, 16, 16, 0.25, rows_of(0, 2, s, 16), rows_of(1, 2, t, 16), rows_of(2, 2, t, 16),
        rows_of(0, 2, s, 16), 3, causal_offset=t - s,
    )  # fmt: skip
    source = attention(spec, isa)
    for batch, queries, keys in ((1, 1, 70), (3, 1, 9), (2, 65, 65), (1, 30, 400), (3, 0, 5)):
        q, k, v = tensors(batch, 2, 2, queries, keys, 16, 16)
        dims = {"N": batch, "S": queries, "T": keys}
        (actual,) = run(source, isa, [q, k, v], [(q.shape, np.float32)], dims)
        expected = reference(q, k, v, 0.25, causal_offset=keys - queries).reshape(q.shape)
        np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-5)


@ISAS
def test_one_query_of_symbolic_keys(isa):
    t = symbol("T")
    spec = AttentionSpec(
        1, 2, 1, 1, t, 20, 20, 0.5, rows_of(0, 2, 1, 20), rows_of(1, 1, t, 20), rows_of(2, 1, t, 20),
        rows_of(0, 2, 1, 20), 3,
    )  # fmt: skip
    for keys in (1, 3, 700):
        q, k, v = tensors(1, 2, 1, 1, keys, 20, 20)
        (actual,) = run(attention(spec, isa), isa, [q, k, v], [(q.shape, np.float32)], {"T": keys})
        np.testing.assert_allclose(actual, reference(q, k, v, 0.5), rtol=2e-5, atol=2e-5)


@ISAS
@pytest.mark.parametrize(
    "sizes", [(2, 8, 2, 1, 300, 64, 64), (1, 12, 1, 1, 700, 17, 9), (1, 16, 4, 1, 3, 128, 144), (1, 6, 1, 1, 50, 8, 8)]
)
def test_one_query_of_heads_that_share_keys(isa, sizes):
    q, k, v = tensors(*sizes)
    batch, heads, _, _, keys, size, value_size = sizes
    mask = np.random.default_rng(5).standard_normal((batch, heads, 1, keys), dtype=np.float32)
    spec = spec_of(q, k, v, n_inputs=4, mask=Mask(3, "f32", heads * keys, keys, keys, 1), causal_offset=keys - 2)
    (actual,) = run(attention(spec, isa), isa, [q, k, v, mask], [((batch, heads, 1, value_size), np.float32)])
    expected = reference(q, k, v, size**-0.5, mask, keys - 2)
    np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-5)


@ISAS
def test_a_kernel_for_any_number_of_queries_puts_heads_together_for_one(isa):
    n, s, t = symbol("N"), symbol("S"), symbol("T")
    spec = AttentionSpec(
        n, 16, 2, s, t, 16, 16, 0.25, rows_of(0, 16, s, 16), rows_of(1, 2, t, 16), rows_of(2, 2, t, 16),
        rows_of(0, 16, s, 16), 3,
    )  # fmt: skip
    source = attention(spec, isa)
    for batch, queries, keys in ((1, 1, 900), (3, 1, 7), (1, 2, 40)):
        q, k, v = tensors(batch, 16, 2, queries, keys, 16, 16)
        dims = {"N": batch, "S": queries, "T": keys}
        for parts in (2, 5, 7):
            (actual,) = run(source, isa, [q, k, v], [(q.shape, np.float32)], dims, parts)
            np.testing.assert_allclose(actual, reference(q, k, v, 0.25), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(("heads", "key_heads", "together"), [(12, 12, 1), (32, 8, 4), (8, 1, 2), (6, 1, 1), (2, 1, 1)])
def test_heads_are_together_while_there_are_tasks_for_the_threads(heads, key_heads, together):
    assert heads_together(spec_of(*tensors(1, heads, key_heads, 1, 4, 4, 4))) == together
