"""Random networks on the emulated device, the CPU beside it: layouts side by side, views, several outputs.

Every network is made from a seed, so a failure names the seed that repeats it.
"""

from __future__ import annotations

import numpy as np
import pytest
from mm_backend_reference import interpret

import mm_core as mm

Array = np.ndarray
RANKS = ((2, 3, 5, 4), (1, 40, 6, 6), (3, 70), (5,), (4, 3, 6), (1, 1, 1, 5), ())
LENGTH = 12


class Author:
    """Writes a random network over values of known shapes."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.network = mm.Network(f"random{seed}")
        self.inputs: dict[str, Array] = {}
        self.values: list[mm.Value] = []
        for _ in range(self.integer(1, 3)):
            shape = RANKS[self.integer(0, len(RANKS) - 1)]
            name = f"x{len(self.inputs)}"
            self.inputs[name] = self.array(*shape)
            self.values.append(self.network.add_input(name, mm.float32, shape))

    def integer(self, least: int, largest: int) -> int:
        return int(self.rng.integers(least, largest + 1))

    def pick(self, *choices: str) -> str:
        return choices[self.integer(0, len(choices) - 1)]

    def array(self, *shape: int) -> Array:
        return (self.rng.standard_normal(shape) * 0.5).astype(np.float32)

    def some(self, least_rank: int = 0, rank: int | None = None) -> mm.Value | None:
        """A value; what was made last is read most, so that chains get long."""
        fitting = [v for v in self.values if len(v.type.shape) >= least_rank and rank in (None, len(v.type.shape))]
        if not fitting:
            return None
        weights = np.arange(1, len(fitting) + 1, dtype=np.float64) ** 2
        return fitting[int(self.rng.choice(len(fitting), p=weights / weights.sum()))]

    def write(self) -> None:
        """Append operations, and mark what nobody reads and some of the rest as outputs."""
        steps = (
            self.unary, self.binary, self.reduction, self.transpose, self.cut, self.concat, self.pad, self.select,
            self.along_an_axis, self.matmul, self.image, self.image, self.broadcast_of_a_mean,
        )  # fmt: skip
        for _ in range(LENGTH):
            made = steps[self.integer(0, len(steps) - 1)]()
            if made is not None and max(made.type.shape, default=1) <= 512:
                self.values.append(made)
        kept = [value for value in self.values if not value.is_used or self.rng.random() < 0.15]
        for index, value in enumerate(dict.fromkeys(kept)):
            self.network.mark_output(value, f"y{index}")

    # --- operations -------------------------------------------------------------------------------------------------

    def unary(self) -> mm.Value:
        name = self.pick("relu", "tanh", "sigmoid", "neg", "abs", "silu", "gelu", "hard_swish", "erf", "floor")
        return getattr(self.network, name)(self.some())

    def binary(self) -> mm.Value:
        x = self.some()
        partners = [value for value in self.values if value.type.shape == x.type.shape]
        y = partners[self.integer(0, len(partners) - 1)]
        if self.rng.random() < 0.5:
            shape = [size if self.rng.random() < 0.6 else 1 for size in x.type.shape]
            y = self.network.constant(self.array(*shape[self.integer(0, len(shape)) :]))
        operands = (x, y) if self.rng.random() < 0.5 else (y, x)
        return getattr(self.network, self.pick("add", "sub", "mul", "maximum", "minimum"))(*operands)

    def select(self) -> mm.Value:
        x = self.some()
        return self.network.select(self.network.less(x, np.float32(0.1)), x, self.network.mul(x, np.float32(0.5)))

    def broadcast_of_a_mean(self) -> mm.Value | None:
        x = self.some(1)
        if x is None:
            return None
        return self.network.sub(x, self.network.reduce_mean(x, axes=(self.integer(0, len(x.type.shape) - 1),)))

    def reduction(self) -> mm.Value | None:
        x = self.some(2)
        if x is None:
            return None
        rank = len(x.type.shape)
        axes = tuple(axis for axis in range(rank) if self.rng.random() < 0.4) or (rank - 1,)
        name = self.pick("reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_l2")
        return getattr(self.network, name)(x, axes=axes, keepdims=self.rng.random() < 0.7)

    def transpose(self) -> mm.Value | None:
        x = self.some(2)
        if x is None:
            return None
        return self.network.transpose(x, permutation=tuple(self.rng.permutation(len(x.type.shape)).tolist()))

    def cut(self) -> mm.Value | None:
        x = self.some(1)
        if x is None:
            return None
        axis = self.integer(0, len(x.type.shape) - 1)
        if x.type.shape[axis] < 2:
            return self.network.unsqueeze(x, axes=(axis,)) if len(x.type.shape) < 4 else None
        step = (1, 1, 2, -1)[self.integer(0, 3)]
        bounds = (self.integer(0, 1), 2**31) if step > 0 else (-1, -(2**31))
        return self.network.slice(x, *(np.array([n]) for n in (*bounds, axis, step)))

    def concat(self) -> mm.Value | None:
        x = self.some(1)
        if x is None:
            return None
        partners = [value for value in self.values if value.type.shape == x.type.shape]
        other = partners[self.integer(0, len(partners) - 1)]
        return self.network.concat(x, other, axis=self.integer(0, len(x.type.shape) - 1))

    def pad(self) -> mm.Value | None:
        x = self.some(1)
        if x is None:
            return None
        return self.network.pad(x, self.rng.integers(0, 3, 2 * len(x.type.shape)).astype(np.int64), np.float32(0.25))

    def along_an_axis(self) -> mm.Value | None:
        x = self.some(1)
        if x is None:
            return None
        name = self.pick("softmax", "log_softmax", "cumsum", "layer_norm", "rms_norm")
        return getattr(self.network, name)(x, axis=self.integer(0, len(x.type.shape) - 1))

    def matmul(self) -> mm.Value | None:
        x = self.some(2)
        if x is None:
            return None
        columns = self.integer(1, 70)
        if self.rng.random() < 0.5:
            return self.network.linear(x, self.array(columns, x.type.shape[-1]), self.array(columns))
        return self.network.matmul(x, self.array(x.type.shape[-1], columns))

    def image(self) -> mm.Value | None:
        """A convolution or a pool, with what follows it in networks."""
        x = self.some(rank=4)
        if x is None or min(x.type.shape[2:]) < 2:
            return None
        strides, pads = tuple(self.rng.integers(1, 3, 2).tolist()), tuple(self.rng.integers(0, 2, 4).tolist())
        if self.rng.random() < 0.3:
            pool = getattr(self.network, self.pick("max_pool", "average_pool"))
            return pool(x, kernel_shape=(2, 2), strides=strides, pads=pads)
        channels = x.type.shape[1]
        group = channels if self.rng.random() < 0.3 else 1
        filters = self.array(self.integer(1, 2) * group, channels // group, self.integer(1, 2), self.integer(1, 2))
        y = self.network.conv(x, filters, self.array(filters.shape[0]), strides=strides, pads=pads, group=group)
        return self.network.relu(y) if self.rng.random() < 0.5 else y


@pytest.mark.parametrize("seed", range(24))
def test_random(seed: int) -> None:
    author = Author(seed)
    author.write()
    wanted = interpret(author.network, list(author.inputs.values()))
    names, text = list(author.network.output_names), str(author.network)
    config = mm.BuilderConfig(backends=["mlu", "cpu"], strict=True, opt_level=seed % 3)
    model = mm.Builder(config).build(author.network)
    assert any(record.device == "mlu" for record in model.report.placement)
    got = model.create_engine().create_context().run(author.inputs)
    for name, expected in zip(names, wanted, strict=True):
        scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
        where = f"seed {seed}, {name}\n{text}"
        np.testing.assert_allclose(got[name], expected, rtol=5e-4, atol=5e-5 * scale, err_msg=where, strict=True)
