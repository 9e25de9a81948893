"""The order of weights: what is made when building is what the emulated instruction makes; and tiles that fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mlu_running import kernels, source_of
from mm_backend_mlu.compiler import MluCompiler
from mm_backend_mlu.lowering.contraction_tiling import ConvProblem, conv_tiles, matmul_tiles
from mm_backend_mlu.lowering.filters import packed_filters, packed_matrices, reshape_filter
from mm_backend_mlu.lowering.normalization import row_tiles
from mm_backend_mlu.lowering.tiling import NO_EPILOGUE, EpilogueCost
from mm_backend_mlu.lowering.window_tiling import WindowProblem, window_tiles
from mm_backend_mlu.target import find_card

import mm_core as mm
from mm_core.compiler import No

S4 = find_card("MLU370-S4")
TINY = replace(S4, nram_bytes=4096, wram_bytes=8192, sram_bytes=0)


@pytest.mark.parametrize("shape", [(64, 1, 1, 16), (128, 3, 2, 16), (192, 1, 1, 32)], ids=str)
def test_reorder_is_that_of_the_instruction(shape: tuple[int, ...]) -> None:
    filters = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    n, h, w, c = shape
    source = source_of(
        [
            f"""
  float *raw = (float *)mm_nram, *ordered = raw + {filters.size};
  __memcpy(raw, x, {filters.nbytes}, GDRAM2NRAM);
  __bang_reshape_filter(ordered, raw, {n}, {h}, {w}, {c});
  __memcpy(y, ordered, {filters.nbytes}, NRAM2GDRAM);"""
        ],
        "const float *x, float *y",
        nram=2 * filters.nbytes,
    )
    ordered = np.zeros_like(filters)
    kernels(source).run(filters, ordered, tasks=1)
    np.testing.assert_array_equal(reshape_filter(filters), ordered.reshape(-1))


def test_blocks_and_chunks_follow_each_other() -> None:
    filters = np.random.default_rng(0).standard_normal((2, 70, 2, 3, 20)).astype(np.float32)
    packed = packed_filters(filters, stored=96, tile_o=64, tile_c=16, by_tap=False)
    block = 64 * 6 * 16
    assert packed.size == 2 * 2 * 2 * block
    second_chunk = packed[block : 2 * block].reshape(64, 2, 3, 16)
    np.testing.assert_array_equal(second_chunk[..., :4], filters[0, :64, :, :, 16:])
    assert not second_chunk[..., 4:].any()
    last_lanes = packed[2 * block : 3 * block].reshape(64, 2, 3, 16)
    np.testing.assert_array_equal(last_lanes[:6], filters[0, 64:, :, :, :16])
    assert not last_lanes[6:].any()
    taps = packed_filters(filters, stored=96, tile_o=128, tile_c=32, by_tap=True).reshape(2, 6, 64, 2, 32)
    np.testing.assert_array_equal(taps[1, 4, :, 0, :20], filters[1, :64, 1, 1])
    matrix = filters[0, :, 0, 0][None]
    np.testing.assert_array_equal(packed_matrices(matrix, 70, 128, 32).reshape(64, 2, 32)[:6, 1, :20], matrix[0, 64:])


@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize("target", [S4, find_card("MLU370-X8"), find_card("MLU590")], ids=lambda target: target.name)
def test_tiles_fit_the_memories(target: object, itemsize: int) -> None:
    rng = np.random.default_rng(itemsize)
    costly = EpilogueCost(channels=8, tensors=8, scratch=16, bias=True)
    for _ in range(40):
        m, n, k = (int(2 ** rng.uniform(0, 13)) for _ in range(3))
        tiles = matmul_tiles(m, n, k, 3, itemsize, int(rng.choice([0, 3, 4])), costly, target)
        assert tiles is not None
        memory = tiles.on_chip
        assert memory.nram <= target.nram_bytes
        assert memory.wram <= target.wram_bytes
        assert memory.sram <= target.sram_bytes
        assert tiles.k * itemsize % 64 == 0
        assert tiles.n % 64 == 0
        size, c, o, window = int(rng.integers(1, 200)), int(2 ** rng.uniform(0, 11)), 64, int(rng.integers(1, 8))
        conv = ConvProblem(1, size, size, c, o, 1, (window, window), (1, 1), (1, 1), itemsize)
        found = conv_tiles(conv, costly, target)
        assert found is not None
        assert max(found.on_chip.nram - target.nram_bytes, found.on_chip.wram - target.wram_bytes) <= 0
        windows = WindowProblem(1, size, size, 128, (window, window), (2, 2), (1, 1), itemsize)
        depthwise = window_tiles(windows, True, 2, True, costly, target)
        assert depthwise is not None
        assert depthwise.nram <= target.nram_bytes


def test_what_fits_no_tiling() -> None:
    assert matmul_tiles(8, 512, 4096, 1, 4, 4, NO_EPILOGUE, TINY) is None
    assert conv_tiles(ConvProblem(1, 8, 8, 64, 64, 1, (3, 3), (1, 1), (1, 1), 4), NO_EPILOGUE, TINY) is None
    assert window_tiles(WindowProblem(1, 8, 8, 64, (9, 9), (1, 1), (1, 1), 4), True, 2, True, NO_EPILOGUE, TINY) is None
    assert row_tiles(10, 5000, 0, TINY) is None


def test_refusals_say_what_does_not_fit() -> None:
    network = mm.Network("long")
    x = network.add_input("x", mm.float32, (1, 1_000_000))
    network.mark_output(network.softmax(x), "softmax")
    network.mark_output(network.layer_norm(x), "norm")
    image = network.add_input("image", mm.float32, (1, 4, 2000, 2000))
    network.mark_output(network.max_pool(image, kernel_shape=(1500, 1500)), "pool")
    compiler = MluCompiler("mtp_372")
    for operation in network.operations:
        answer = compiler.supports(operation)
        assert isinstance(answer, No), operation.name
        assert "tiling of mtp_372" in answer.reason
