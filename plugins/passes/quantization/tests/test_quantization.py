"""What golden files cannot show: networks without integers stay as they are, and whole networks mean the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mm_core as mm
from mm_core.passes import default_pipeline, parse_pipeline
from mm_core.testing.passcheck import passcheck

ALL = "postpone-dequantize,recognize-quantized,fuse-quantized,fuse-quantized-elementwise"


def kinds(network: mm.Network) -> list[str]:
    return [operation.attributes["kind"] for operation in network.operations if operation.name == "mm.fused"]


def step(network: mm.Network, x: Any, scale: float = 0.05, zero: int = 120) -> Any:
    """Quantized and dequantized."""
    integers = network.quantize(x, np.float32(scale), np.uint8(zero), to="uint8")
    return network.dequantize(integers, np.float32(scale), np.uint8(zero))


def weights(network: mm.Network, *shape: int) -> Any:
    generator = np.random.default_rng(len(network))
    values = generator.integers(-128, 128, shape).astype(np.int8)
    return network.dequantize(values, np.full(shape[0], 0.004, np.float32), axis=0)


def test_a_network_of_blocks() -> None:
    network = mm.Network("blocks")
    x = step(network, network.add_input("x", mm.float32, ("N", 4, 9, 9)))
    for _ in range(2):
        h = step(network, network.relu(network.conv(x, weights(network, 4, 4, 3, 3), pads=(1, 1, 1, 1))))
        h = step(network, network.conv(h, weights(network, 4, 4, 1, 1)))
        x = step(network, network.relu(network.add(h, x)))
    x = step(network, network.max_pool(x, kernel_shape=(3, 3), strides=(3, 3)))
    network.mark_output(network.linear(network.flatten(x, axis=1), weights(network, 5, 36)), "y")
    passcheck(str(default_pipeline()), network, 1e-5, nan=False)
    assert kinds(network) == ["quantized_conv"] * 4 + ["quantized_matmul"]
    inside = [op.name for fused in network.operations if fused.regions for op in fused.regions[0].operations]
    assert inside.count("mm.add") == 2
    assert [op.name for op in network.operations if op.name in ("mm.quantize", "mm.dequantize")] == ["mm.quantize"]


def test_networks_of_floats_stay_as_they_are() -> None:
    network = mm.Network("floats")
    x = network.add_input("x", mm.float32, (2, 8))
    left, right = network.split(x, axis=1, parts=2)
    product = network.matmul(left, network.transpose(right, permutation=(1, 0)))
    network.mark_output(network.reshape(network.gelu(network.reshape(product, [-1])), [2, 2]), "y")
    before = str(network)
    assert not parse_pipeline(ALL).run(network).changed
    assert str(network) == before


@pytest.mark.parametrize("where", ["scale", "zero_point"])
def test_a_grain_known_only_when_running_is_left_alone(where: str) -> None:
    network = mm.Network("dynamic")
    x = network.add_input("x", mm.uint8, (1, 4, 3, 3))
    scale: Any = network.add_input("scale", mm.float32, ()) if where == "scale" else np.float32(0.1)
    zero: Any = network.add_input("zero", mm.uint8, ()) if where == "zero_point" else np.uint8(3)
    network.mark_output(network.conv(network.dequantize(x, scale, zero), weights(network, 4, 4, 1, 1)), "y")
    parse_pipeline(ALL).run(network)
    assert kinds(network) == []


def test_a_result_that_leaves_the_network_ends_the_region() -> None:
    network = mm.Network("outputs")
    x = step(network, network.add_input("x", mm.float32, (1, 4, 3, 3)))
    y = network.conv(x, weights(network, 4, 4, 1, 1))
    network.mark_output(y, "sums")
    network.mark_output(network.relu(y), "positive")
    parse_pipeline(ALL).run(network)
    assert kinds(network) == ["quantized_conv"]
    assert [op.name for op in network.operations][-2:] == ["mm.fused", "mm.relu"]


def whole_steps(network: mm.Network, x: Any, scale: float, zero: int) -> Any:
    """Quantized as PyTorch does it: multiplied by 1 / scale, then rounded."""
    return network.quantize(network.mul(x, np.float32(1 / scale)), np.float32(1), np.uint8(zero), to="uint8")


@pytest.mark.parametrize(("scale", "zero", "vanishes"), [(0.037, 3, True), (0.0371, 3, False), (0.037, 4, False)])
def test_integers_rounded_to_whole_steps_again(scale: float, zero: int, vanishes: bool) -> None:
    network = mm.Network("steps")
    x = network.add_input("x", mm.uint8, (4, 64))
    network.mark_output(whole_steps(network, network.dequantize(x, np.float32(0.037), np.uint8(3)), scale, zero), "y")
    passcheck("postpone-dequantize", network, 0)
    assert any(operation.name == "mm.quantize" for operation in network.operations) is not vanishes


def test_whole_steps_are_counted_in_one_loop() -> None:
    network = mm.Network("steps")
    x = network.add_input("x", mm.float32, (4, 64))
    network.mark_output(whole_steps(network, x, 0.037, 3), "y")
    passcheck(ALL, network, 0)
    assert kinds(network) == ["elementwise"]


@pytest.mark.parametrize("test", ["is_nan", "is_inf"])
@pytest.mark.parametrize("of_bytes", [True, False])
def test_a_guard_against_what_bytes_cannot_be_goes(test: str, of_bytes: bool) -> None:
    network = mm.Network("guard")
    x: Any = network.add_input("x", mm.uint8 if of_bytes else mm.float32, (4, 64))
    numbers = network.dequantize(x, np.float32(0.037), np.uint8(3)) if of_bytes else x
    condition = getattr(network, test)(numbers)
    network.mark_output(network.select(condition, np.float32(0), numbers), "y")
    passcheck("postpone-dequantize", network, 0)
    assert any(operation.name == "mm.select" for operation in network.operations) is not of_bytes


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_resizing_picks_integers(mode: str) -> None:
    network = mm.Network("resize")
    x = network.add_input("x", mm.uint8, (1, 2, 5, 4))
    numbers = network.dequantize(x, np.float32(0.037), np.uint8(3))
    network.mark_output(network.resize(numbers, scales=(2.0, 3.0), axes=(2, 3), mode=mode), "y")
    passcheck("postpone-dequantize", network, 0)
    assert [operation.name for operation in network.operations][-1] == (
        "mm.dequantize" if mode == "nearest" else "mm.resize"
    )


def test_integers_with_other_scales_side_by_side() -> None:
    """Pieces are brought to the scale of the whole; one that has it stays as it is."""
    network = mm.Network("concat")
    pieces = [
        network.dequantize(network.add_input(name, mm.uint8, (2, 3, 4)), np.float32(scale), np.uint8(3))
        for name, scale in (("a", 0.037), ("b", 0.05), ("c", 0.021))
    ]
    joined = network.concat(*pieces, axis=1)
    network.mark_output(network.quantize(joined, np.float32(0.05), np.uint8(3), to="uint8"), "y")
    passcheck("postpone-dequantize", network, 0)
    names = [operation.name for operation in network.operations if operation.name != "mm.constant"]
    assert sorted(names) == ["mm.concat", *["mm.dequantize"] * 2, *["mm.quantize"] * 2]


@pytest.mark.parametrize("constant", [True, False])
def test_sums_of_integers_and_what_makes_floats_of_them(constant: bool) -> None:
    """The scale is known only when running; weights must be known now, else no kernel would take the whole."""
    network = mm.Network("dynamic")
    x = network.add_input("x", mm.float32, ("N", 6))
    rows, scale, zero = network.dynamic_quantize(x)
    w: Any = np.arange(-12, 12, dtype=np.int8).reshape(6, 4)
    w = w if constant else network.add_input("w", mm.int8, (6, 4))
    sums = network.add(network.matmul_integer(rows, w, zero), np.arange(4, dtype=np.int32))
    y = network.mul(network.cast(sums, to="float32"), scale)
    network.mark_output(network.relu(network.add(y, np.ones(4, np.float32))), "y")
    passcheck("fuse-quantized", network, 0, nan=False)
    assert kinds(network) == (["integer_matmul"] if constant else [])
    if constant:
        (fused,) = [operation for operation in network.operations if operation.regions]
        inside = [operation.name for operation in fused.regions[0].operations]
        assert inside == ["mm.matmul_integer", "mm.add", "mm.cast", "mm.mul", "mm.add", "mm.relu"]


def test_products_of_what_is_computed() -> None:
    """Both operands are bytes, and so is what comes of them; one whose scale only running tells is left alone."""
    network = mm.Network("attention")
    x, w = (network.add_input(name, mm.float32, (2, 4, 4)) for name in ("x", "w"))
    scores = step(network, network.matmul(step(network, x), step(network, w, 0.02, 90)), 0.3, 7)
    network.mark_output(network.softmax(scores, axis=-1), "y")
    scale = network.add_input("scale", mm.float32, ())
    numbers = network.dequantize(network.quantize(w, scale, np.uint8(3), to="uint8"), scale, np.uint8(3))
    network.mark_output(network.matmul(step(network, x), numbers), "z")
    passcheck(ALL, network, 1e-6, nan=False)
    found = [operation for operation in network.operations if operation.regions]
    assert [operation.attributes["kind"] for operation in found].count("quantized_product") == 1
    (product,) = (operation for operation in found if operation.attributes["kind"] == "quantized_product")
    inside = [operation.name for operation in product.regions[0].operations if operation.name != "mm.constant"]
    assert inside == ["mm.dequantize", "mm.dequantize", "mm.matmul", "mm.quantize", "mm.dequantize"]


@pytest.mark.parametrize("loop", [True, False])
def test_bytes_lie_between_a_product_and_a_loop(loop: bool) -> None:
    """A loop dequantizes what it reads; other readers get floats. The mask broadcasts, so that it is no epilogue."""
    network = mm.Network("between")
    x, mask = (network.add_input(name, mm.float32, shape) for name, shape in (("x", (2, 3, 4)), ("m", (3, 4))))
    y = step(network, network.linear(step(network, x), weights(network, 4, 4)))
    network.mark_output(network.add(y, mask) if loop else network.softmax(y, axis=-1), "y")
    passcheck(str(default_pipeline()), network, 1e-5, nan=False)
    product = next(op for op in network.operations if op.regions and op.attributes["kind"] == "quantized_matmul")
    last = list(product.regions[0].operations)[-1].name
    assert last == ("mm.quantize" if loop else "mm.dequantize")
