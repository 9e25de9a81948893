"""`force_float16`: results stay close to float32, types at the border stay, what float16 cannot hold stays float32."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from mm_passes_precision.table import KEEPS_FLOAT32

import mm_core as mm
from mm_core.ops import lookup
from mm_core.passes import PassContext, parse_pipeline
from mm_core.types import BY_NAME, TensorData, TensorType

Array = npt.NDArray[np.float32]
_RANDOM = np.random.default_rng(7)


def _weight(*shape: int, scale: float = 1.0) -> Array:
    fan = int(np.prod(shape[1:])) or 1
    return (_RANDOM.standard_normal(shape) * scale / np.sqrt(fan)).astype(np.float32)


def _residual_network(batch: int | str = 2) -> mm.Network:
    net = mm.Network("residual")
    x = net.add_input("x", mm.float32, (batch, 3, 16, 16))
    x = net.relu(net.conv(x, _weight(8, 3, 3, 3), _weight(8), pads=(1, 1, 1, 1)))
    y = net.conv(x, _weight(8, 8, 3, 3), pads=(1, 1, 1, 1))
    y = net.batch_norm(y, _weight(8), _weight(8), _weight(8), np.abs(_weight(8)) + 1)
    y = net.global_average_pool(net.relu(net.add(y, x)))
    net.mark_output(net.softmax(net.linear(net.flatten(y), _weight(10, 8), _weight(10))), "y")
    return net


def _encoder(batch: int | str = 2) -> mm.Network:
    net = mm.Network("encoder")
    tokens = net.add_input("tokens", mm.int64, (batch, 12))
    mask = net.add_input("mask", mm.float32, (batch, 12))
    x = net.gather(_weight(50, 32), tokens)
    away = net.mul(net.unsqueeze(net.sub(1.0, mask), axes=(1, 2)), np.float32(-3.4028235e38))
    q, k, v = (net.unsqueeze(net.matmul(x, _weight(32, 32)), axes=(1,)) for _ in range(3))
    scores = net.add(net.mul(net.matmul(q, net.transpose(k, permutation=(0, 1, 3, 2))), np.float32(0.2)), away)
    x = net.add(net.squeeze(net.matmul(net.softmax(scores), v), axes=(1,)), x)
    x = net.layer_norm(x, np.ones(32, np.float32), _weight(32), epsilon=1e-12)
    net.mark_output(net.gelu(net.matmul(x, _weight(32, 32))), "y")
    return net


def _inputs(net: mm.Network) -> dict[str, npt.NDArray[np.generic]]:
    if net.name == "residual":
        return {"x": _RANDOM.standard_normal((2, 3, 16, 16)).astype(np.float32)}
    mask = np.ones((2, 12), np.float32)
    mask[1, 7:] = 0
    return {"tokens": _RANDOM.integers(0, 50, (2, 12)), "mask": mask}


def _run(net: mm.Network, inputs: dict[str, npt.NDArray[np.generic]], **options: object) -> Array:
    model = mm.Builder(mm.BuilderConfig(**options)).build(net)  # type: ignore[arg-type]
    assert [str(spec.dtype) for spec in model.outputs] == ["f32"]
    result: Array = model.create_engine().create_context().run(inputs)["y"]
    return result


@pytest.mark.parametrize("opt_level", [0, 2])
@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("make", [_residual_network, _encoder])
@pytest.mark.parametrize("batch", [2, "N"])
def test_close_to_float32(make: object, backend: str, opt_level: int, batch: int | str) -> None:
    net = make(batch)  # type: ignore[operator]
    inputs = _inputs(net)
    expected = _run(net, inputs, backends=[backend])
    found = _run(net, inputs, backends=[backend], precision="force_float16", opt_level=opt_level)
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert 0 < error < 3e-2  # not zero: it must have been computed in float16


def _lowered(net: mm.Network) -> mm.Network:
    work = net.clone()
    parse_pipeline("lower-precision,eliminate-dead-code").run(work, PassContext(precision="force_float16"))
    return work


def test_it_changes_nothing_unless_asked() -> None:
    net = _encoder()
    before = str(net)
    assert not parse_pipeline("lower-precision").run(net).changed
    assert str(net) == before


def test_twice_is_once() -> None:
    once = _lowered(_encoder())
    assert str(_lowered(once)) == str(once)


def test_casts_there_and_back_cancel() -> None:
    """A chain of operations that all stand float16 has casts at its ends alone."""
    work = _lowered(_residual_network())
    casts = [operation for operation in work.operations if operation.name == "mm.cast"]
    assert len(casts) == 2


def test_a_mask_of_huge_numbers_stays_finite() -> None:
    net = mm.Network("mask")
    x = net.add_input("x", mm.float32, (4,))
    net.mark_output(net.add(x, np.float32([-3.4e38, 0, 70000, np.inf])), "y")
    found = _run(net, {"x": np.zeros(4, np.float32)}, precision="force_float16")
    np.testing.assert_array_equal(found, np.float32([-65504, 0, 65504, np.inf]))


def test_an_epsilon_that_would_vanish_keeps_its_reader() -> None:
    net = mm.Network("epsilon")
    x = net.add_input("x", mm.float32, (3,))
    net.mark_output(net.relu(net.rsqrt(net.add(x, np.float32(1e-12)))), "y")
    found = _run(net, {"x": np.float32([0, 1, 4])}, precision="force_float16")
    assert np.isinf(found[0])  # 1e6 is too large, but 0 / 0 has not become NaN
    np.testing.assert_allclose(found[1:], [1, 0.5], rtol=1e-3)
    types = {op.name: str(op.operands[0].type.dtype) for op in _lowered(net).operations if op.operands}  # type: ignore[union-attr]
    assert types == {"mm.add": "f32", "mm.rsqrt": "f32", "mm.cast": "f16", "mm.relu": "f16"}


def test_sums_stay_in_float32() -> None:
    net = mm.Network("sum")
    x = net.add_input("x", mm.float32, (70000,))
    net.mark_output(net.reduce_sum(net.relu(x)), "y")
    found = _run(net, {"x": np.ones(70000, np.float32)}, precision="force_float16")
    assert found == 70000


def test_weights_are_not_read_before_they_are_packed() -> None:
    def load() -> Array:
        raise AssertionError("the pass read a weight")

    net = mm.Network("large")
    x = net.add_input("x", mm.float32, (4, 256))
    weight = TensorData(BY_NAME["float32"], (256, 256), load, key="w")
    net.mark_output(net.matmul(x, net.constant(weight)), "y")
    weights = _lowered(net).weights()
    assert [(key, str(data.dtype)) for key, data in weights.items()] == [("w.float16", "f16")]


def test_other_types_are_left_alone() -> None:
    net = mm.Network("integers")
    x = net.add_input("x", mm.int64, (4,))
    y = net.add_input("y", "float64", (4,))
    net.mark_output(net.add(net.cast(x, to="float64"), y), "z")
    assert str(_lowered(net)) == str(net)


@pytest.mark.parametrize("name", sorted(KEEPS_FLOAT32))
def test_the_table_names_operators_that_could_be_lowered(name: str) -> None:
    definition = lookup(name)
    allowed = [definition.dtypes[schema.dtype] for schema in definition.operands if isinstance(schema.dtype, str)]
    assert any({BY_NAME["float32"], BY_NAME["float16"]} <= dtypes for dtypes in allowed)


def test_notes_say_what_stays() -> None:
    net = mm.Network("note")
    x = net.add_input("x", mm.float32, (4,))
    net.mark_output(net.cumsum(x, axis=0), "y")
    result = parse_pipeline("lower-precision").run(net, PassContext(precision="force_float16"))
    assert result.notes == ("mm.cumsum stays in float32: its error grows from step to step",)
    assert isinstance(net.outputs[0].type, TensorType)
