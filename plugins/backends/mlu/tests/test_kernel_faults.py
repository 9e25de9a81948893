"""Faults planted in the library kernels' own text: the emulator has to see each of them in each kernel.

A fault is a change of the generated source, so a test proves two things: that the kernel's text holds what the fault
takes away, and that the emulator's checks reach this kernel. Unchanged, every one of these networks runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from library_running import Runner
from mlu_running import Violation

import mm_core as mm

Array = np.ndarray
Network = tuple[mm.Network, dict[str, Array]]


def _array(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def _network(*shapes: tuple[int, ...]) -> tuple[mm.Network, list[mm.Value], dict[str, Array]]:
    network = mm.Network("faulty")
    inputs = [network.add_input(f"x{place}", mm.float32, shape) for place, shape in enumerate(shapes)]
    return network, inputs, {f"x{place}": _array(*shape) for place, shape in enumerate(shapes)}


def _packed() -> Network:
    network, (a,), feeds = _network((300, 7))
    network.mark_output(network.matmul(a, _array(7, 200)))
    return network, feeds


def _running() -> Network:
    network, (a, b), feeds = _network((2, 300, 70), (2, 70, 200))
    network.mark_output(network.matmul(a, b))
    return network, feeds


def _product_together() -> Network:
    network, (a,), feeds = _network((200, 300))
    network.mark_output(network.matmul(a, _array(300, 256)))
    return network, feeds


def _conv_together() -> Network:
    network, (x,), feeds = _network((1, 32, 20, 20))
    network.mark_output(network.conv(x, _array(64, 32, 3, 3), pads=(1, 1, 1, 1)))
    return network, feeds


def _conv() -> Network:
    network, (x,), feeds = _network((2, 20, 24, 30))
    network.mark_output(network.conv(x, _array(70, 20, 3, 3), _array(70), pads=(1, 1, 1, 1)))
    return network, feeds


def _depthwise() -> Network:
    network, (x,), feeds = _network((2, 70, 24, 30))
    network.mark_output(network.conv(x, _array(70, 1, 3, 3), _array(70), pads=(1, 1, 1, 1), group=70))
    return network, feeds


def _window_pool() -> Network:
    network, (x,), feeds = _network((2, 70, 24, 30))
    network.mark_output(network.average_pool(x, kernel_shape=(3, 3), pads=(1, 1, 1, 1), strides=(2, 2)))
    return network, feeds


def _global_pool() -> Network:
    network, (x,), feeds = _network((40, 70, 60, 60))
    network.mark_output(network.global_max_pool(x))
    return network, feeds


def _softmax() -> Network:
    network, (x,), feeds = _network((300, 70))
    network.mark_output(network.softmax(x))
    return network, feeds


def _normalization() -> Network:
    network, (x,), feeds = _network((300, 70))
    network.mark_output(network.layer_norm(x, _array(70), _array(70)))
    return network, feeds


def _attention() -> Network:
    network, inputs, feeds = _network((1, 30, 9, 20), (1, 30, 600, 20), (1, 30, 600, 20))
    network.mark_output(network.attention(*inputs))
    return network, feeds


def _transpose() -> Network:
    network, (x,), feeds = _network((2, 70, 300))
    network.mark_output(network.transpose(x, permutation=(0, 2, 1)))
    return network, feeds


def _gather() -> Network:
    network, (x,), feeds = _network((50, 70))
    feeds["places"] = np.random.default_rng(0).integers(-50, 50, 300)
    network.mark_output(network.gather(x, network.add_input("places", mm.int64, (300,))))
    return network, feeds


NETWORKS: dict[str, Callable[[], Network]] = {
    "packed product": _packed,
    "running product": _running,
    "convolution": _conv,
    "depthwise": _depthwise,
    "window pool": _window_pool,
    "global pool": _global_pool,
    "softmax": _softmax,
    "normalization": _normalization,
    "attention": _attention,
    "transpose": _transpose,
    "gather": _gather,
}
TOGETHER: dict[str, Callable[[], Network]] = {
    "product together": _product_together,
    "convolution together": _conv_together,
}
"""Kernels in which the cores of a cluster share weights."""

Change = Callable[[str], str]


def _replaced(old: str, new: str) -> Change:
    """Replace a text that has to be there."""

    def change(source: str) -> str:
        assert old in source, f"the source does not hold {old!r}"
        return source.replace(old, new)

    return change


def _shrunk(memory: str) -> Change:
    """A memory too small for the tiles that lie in it."""

    def change(source: str) -> str:
        declared = re.compile(rf"(char mm_{memory})\[(\d+)\]")
        assert declared.search(source), f"the source declares no {memory}"
        return declared.sub(lambda found: f"{found[1]}[{int(found[2]) // 3 // 128 * 128}]", source)

    return change


_ROUND = "if (round - 2 >= begin) kernel.store(round - 2);\n    __sync();"
_SHARE = "return share_of(count, taskId, taskDim);"
_CARVED = "next += round_up(count * (int)sizeof(T), kVectorBytes);"
GENERAL: dict[str, tuple[Change, str]] = {
    "no wait between rounds": (_replaced(_ROUND, _ROUND.removesuffix("__sync();")), "before the copy of line"),
    "tiles one element off": (_replaced(_CARVED, _CARVED.removesuffix(";") + " + (int)sizeof(T);"), "misaligned"),
    "a tile larger than NRAM": (_shrunk("nram"), "NRAM|out of bounds"),
    "every task does everything": (_replaced(_SHARE, "return share_of(count, 0, 1);"), "task"),
    "one step too far": (
        _replaced(
            "share.end = (int)((int64_t)count * (part + 1) / parts);",
            "share.end = (int)((int64_t)count * (part + 1) / parts) + (part + 1 == parts ? 3 : 0);",
        ),
        "out of bounds|has to be positive|race",
    ),
}
"""Faults of what all kernels share."""


NOT_FAULTS = {("gather", "tiles one element off")}
"""Copies need no alignment in NRAM, and this kernel does nothing but copy."""


@pytest.mark.parametrize(
    ("kernel", "fault"), [pair for pair in product(NETWORKS, GENERAL) if pair not in NOT_FAULTS], ids=str
)
def test_fault_of_every_kernel_is_caught(kernel: str, fault: str) -> None:
    network, feeds = NETWORKS[kernel]()
    change, message = GENERAL[fault]
    with pytest.raises(Violation, match=message):
        Runner(network, change).run(feeds)


_TURNS = "share_of(turns, taskId / coreDim, taskDim / coreDim);"
CLUSTER: dict[str, tuple[Change, str]] = {
    "no barrier": (_replaced("    __sync_cluster();\n", ""), "not been written|barrier|race|initialised"),
    "tiles one element off": (GENERAL["tiles one element off"][0], "misaligned|out of bounds"),
    "a tile larger than SRAM": (_shrunk("sram"), "SRAM|out of bounds"),
    "every cluster does everything": (_replaced(_TURNS, "share_of(turns, 0, 1);"), "race|task"),
    "one slot of SRAM": (_replaced("shared[block(here) % 2]", "shared[0]"), "race|barrier|before"),
    "a block too far": (_replaced("packed.source, packed.bytes", "packed.source + 99999999, 64"), "bounds"),
}


@pytest.mark.parametrize("fault", CLUSTER)
@pytest.mark.parametrize("kernel", TOGETHER)
def test_fault_of_cores_that_share_is_caught(kernel: str, fault: str) -> None:
    network, feeds = TOGETHER[kernel]()
    change, message = CLUSTER[fault]
    with pytest.raises(Violation, match=message):
        Runner(network, change).run(feeds)


@pytest.mark.parametrize("kernel", TOGETHER)
def test_cores_that_share_run_in_every_order(kernel: str) -> None:
    network, feeds = TOGETHER[kernel]()
    runner = Runner(network)
    assert [launch.kind for launch in runner.written.planned.launches if launch.kind] == [1]
    results = [runner.run(feeds, seed)[0] for seed in range(4)]
    assert all(np.array_equal(results[0], other) for other in results[1:])


_FILL = "fill(chip, patch.rows * patch.columns * patch.chip_depth, outside);"
SPECIAL: dict[str, tuple[str, Change, str]] = {
    "packed product: columns beyond K are not cleared": (
        "packed product",
        _replaced("if (at.depth < shape.tile_k) fill(tile, at.rows * shape.tile_k, (T)0);", ""),
        "__bang_matmul.*not been written|__bang_matmul.*initialised",
    ),
    "packed product: a block of weights too far": (
        "packed product",
        _replaced("offset = ((int64_t)at.column * chunks", "offset = ((int64_t)(at.column + 999) * chunks"),
        "__memcpy_async.*out of bounds",
    ),
    "packed product: weights into NRAM": (
        "packed product",
        _replaced("packed.bytes, GDRAM2WRAM);", "packed.bytes, GDRAM2NRAM);"),
        "has to be in NRAM",
    ),
    "running product: WRAM is filled behind the product's back": (
        "running product",
        _replaced("at.lanes * shape.tile_k * (int)sizeof(T), NRAM2WRAM);\n    __sync_move();", "64, NRAM2WRAM);"),
        "__bang_matmul",
    ),
    "running product: moved before it is arranged": (
        "running product",
        _replaced("__sync_compute();\n    __memcpy_async(wram, arranged", "__memcpy_async(wram, arranged"),
        "arranged|__sync_compute|computed",
    ),
    "convolution: padding is not cleared": ("convolution", _replaced(_FILL, ";"), "__bang_conv"),
    "convolution: a patch beside the image": (
        "convolution",
        _replaced("const int64_t row = patch.top + rows.begin * patch.step_y", "const int64_t row = 9999 + patch.top"),
        "out of bounds",
    ),
    "convolution: more lanes than there are": (
        "convolution",
        _replaced("shape.sx, shape.sy,\n                  at.lanes);", "shape.sx, shape.sy, at.lanes + 1);"),
        "__bang_conv",
    ),
    "depthwise: padding is not cleared": ("depthwise", _replaced(_FILL, ";"), "__bang_cycle_mul"),
    "window pool: padding is not cleared": ("window pool", _replaced(_FILL, ";"), "__bang_add"),
    "depthwise: a tap outside of the patch": (
        "depthwise",
        _replaced("return phase * phase_size(at) + (", "return 900000 + phase * phase_size(at) + ("),
        "__bang_cycle_mul.*has to be in NRAM",
    ),
    "softmax: columns beyond the last are not cleared": (
        "softmax", _replaced("fill(tile, count(step) * pitch, outside);", ";"), "__bang_maxpool"
    ),
    "normalization: columns beyond the last are not cleared": (
        "normalization", _replaced("fill(tile, count(step) * pitch, outside);", ";"), "__bang_sumpool"
    ),
    "attention: scores of keys that do not exist": (
        "attention", _replaced("if (count < room || columns < pitch) fill(tile, room * pitch, (T)0);", ""), "attention"
    ),
    "attention: weights of the keys are not waited for": (
        "attention",
        _replaced("* (int)sizeof(T), NRAM2WRAM);\n    __sync_move();", "* (int)sizeof(T), NRAM2WRAM);"),
        "__bang_matmul.*before the copy",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", SPECIAL)
def test_fault_of_one_kernel_is_caught(fault: str) -> None:
    kernel, change, message = SPECIAL[fault]
    network, feeds = NETWORKS[kernel]()
    with pytest.raises(Violation, match=message):
        Runner(network, change).run(feeds)


@pytest.mark.parametrize("kernel", NETWORKS)
def test_unchanged_kernels_run(kernel: str) -> None:
    network, feeds = NETWORKS[kernel]()
    (result,) = Runner(network).run(feeds)
    assert np.isfinite(result).all()
