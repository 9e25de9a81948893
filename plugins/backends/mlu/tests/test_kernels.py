"""Library kernels against the operators' definitions: odd shapes, both float types, orders of tasks, NaN."""

from __future__ import annotations

import numpy as np
import pytest
from library_running import CARDS, Runner, one_operation

import mm_core as mm
from mm_core.types import as_dtype

Array = np.ndarray
TOLERANCE = {np.float32: 4e-6, np.float16: 2e-3}
DTYPES = tuple(TOLERANCE)


class Make:
    """Random arrays of one type."""

    def __init__(self, dtype: type, seed: int = 0) -> None:
        self.dtype = dtype
        self.rng = np.random.default_rng(seed)

    def __call__(self, *shape: int) -> Array:
        return (self.rng.standard_normal(shape) * 0.5).astype(self.dtype)

    def odd(self, *shape: int) -> Array:
        """With numbers that are none, and infinite ones."""
        array = self(*shape)
        flat = array.reshape(-1)
        for number in (np.nan, np.inf, -np.inf):
            flat[self.rng.integers(flat.size)] = number
        return array


class Cases:
    """Operations in one network, so that one compilation serves them all."""

    def __init__(self) -> None:
        self.network = mm.Network("cases")
        self.feeds: dict[str, Array] = {}
        self.wanted: list[tuple[str, Array, float]] = []

    def add(
        self, label: str, name: str, inputs: list[Array], constants: tuple[int, ...] = (), **attributes: object
    ) -> None:
        """One operation; operands at the places `constants` are constants."""
        operands = []
        for place, array in enumerate(inputs):
            if place in constants:
                operands.append(self.network.constant(array))
                continue
            self.feeds[f"x{len(self.feeds)}"] = array
            operands.append(self.network.add_input(f"x{len(self.feeds) - 1}", as_dtype(array.dtype), array.shape))
        result = self.network.op(name, *operands, **attributes)
        self.network.mark_output(result, f"y{len(self.wanted)}")
        operation = result.defining_op
        with np.errstate(all="ignore"):
            wanted = operation.definition.reference(*inputs, **operation.attributes)
        self.wanted.append((f"{name}, {label}", wanted, TOLERANCE[inputs[0].dtype.type]))

    def compare(self) -> None:
        """The results under two orders of tasks on two cards against the definitions in numpy."""
        runner = Runner(self.network)
        for seed, card in enumerate(CARDS):
            for got, (label, wanted, tolerance) in zip(runner.run(self.feeds, seed, card), self.wanted):
                assert got.shape == wanted.shape, label
                assert got.dtype == wanted.dtype, label
                np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted), label)
                infinite, finite = np.isinf(wanted), np.isfinite(wanted)
                np.testing.assert_array_equal(got[infinite], wanted[infinite], label)
                scale = max(1.0, float(np.abs(wanted[finite]).max(initial=0)))
                error = np.abs(got[finite].astype(np.float64) - wanted[finite]).max(initial=0)
                assert error <= tolerance * scale, f"{label}: {error} of {scale}"


# --- products ---------------------------------------------------------------------------------------------------------

PRODUCTS: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((5, 7), (7, 9)),
    ((1, 1), (1, 1)),
    ((7,), (7, 3)),
    ((3, 4, 7), (7,)),
    ((130, 300), (300, 200)),
    ((2, 3, 17, 70), (2, 3, 70, 65)),
    ((2, 1, 5, 33), (3, 33, 4)),
)


@pytest.mark.parametrize("dtype", DTYPES)
def test_products(dtype: type) -> None:
    make, cases = Make(dtype), Cases()
    for constants in ((), (1, 2)):
        for a, b in PRODUCTS:
            cases.add(f"{a} by {b}, constants {constants}", "mm.matmul", [make(*a), make(*b)], constants[:1])
        cases.add("linear", "mm.linear", [make(2, 19, 70), make(100, 70), make(100)], constants)
        cases.add("gemm", "mm.gemm", [make(19, 70), make(100, 70), make(1, 100)], constants, trans_b=True)
        cases.add("gemm", "mm.gemm", [make(19, 70), make(70, 100)], constants[:1])
    cases.compare()


@pytest.mark.parametrize("dtype", DTYPES)
def test_long_products_are_summed_in_float(dtype: type) -> None:
    """Several chunks of K. Summed in half, thousands of ones would stop at 2048."""
    make, cases = Make(dtype), Cases()
    cases.add("ones", "mm.matmul", [np.ones((3, 9000), dtype), np.ones((9000, 5), dtype)], (1,))
    cases.add("running", "mm.matmul", [make(40, 5000), make(5000, 70) * dtype(0.1)])
    cases.compare()


def test_what_is_outside_of_a_product_does_not_reach_it() -> None:
    """Infinite numbers beside the tile would become NaN where they meet the zeros that pad it."""
    cases, a = Cases(), np.full((5, 13), np.inf, np.float32)
    cases.add("packed", "mm.matmul", [a, np.ones((13, 3), np.float32)], (1,))
    cases.add("running", "mm.matmul", [a, np.ones((13, 3), np.float32)])
    cases.compare()


# --- convolutions -----------------------------------------------------------------------------------------------------

CONVOLUTIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, object]]] = {
    "plain": ((2, 5, 9, 11), (7, 5, 3, 3), {"pads": (1, 1, 1, 1)}),
    "one row": ((1, 3, 1, 1), (2, 3, 1, 1), {}),
    "pointwise": ((1, 70, 13, 9), (130, 70, 1, 1), {}),
    "strided pointwise": ((1, 64, 13, 9), (65, 64, 1, 1), {"strides": (2, 2)}),
    "strided": ((1, 3, 31, 33), (64, 3, 7, 7), {"strides": (2, 2), "pads": (3, 3, 3, 3)}),
    "uneven": ((2, 12, 9, 10), (9, 12, 3, 2), {"strides": (2, 1), "pads": (0, 2, 1, 1)}),
    "dilated": ((1, 8, 15, 14), (5, 8, 3, 3), {"dilations": (2, 3), "pads": (2, 3, 2, 3)}),
    "grouped": ((2, 12, 9, 10), (18, 4, 3, 2), {"group": 3, "pads": (1, 1, 1, 0)}),
    "large groups": ((1, 132, 5, 6), (132, 44, 3, 3), {"group": 3, "pads": (1, 1, 1, 1)}),
    "stride beyond the window": ((1, 6, 12, 13), (4, 6, 2, 1), {"strides": (3, 2)}),
    "one axis": ((2, 5, 33), (7, 5, 3), {"pads": (1, 1), "strides": (2,)}),
    "same": ((1, 5, 10, 11), (6, 5, 3, 4), {"auto_pad": "same_upper", "strides": (2, 2)}),
    "deep": ((1, 520, 6, 7), (66, 520, 3, 3), {"pads": (1, 1, 1, 1)}),
    "depthwise": ((2, 70, 9, 11), (70, 1, 3, 3), {"group": 70, "pads": (1, 1, 1, 1)}),
    "strided depthwise": ((1, 33, 20, 19), (33, 1, 5, 3), {"group": 33, "pads": (2, 1, 2, 1), "strides": (2, 3)}),
    "dilated depthwise": ((1, 40, 20, 19), (40, 1, 3, 3), {"group": 40, "strides": (2, 1), "dilations": (3, 2)}),
    "depthwise on one axis": ((2, 10, 40), (10, 1, 4), {"group": 10, "pads": (1, 2)}),
    "two outputs of a channel": ((1, 6, 8, 8), (12, 1, 3, 3), {"group": 6}),
}  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_convolutions(dtype: type) -> None:
    make, cases = Make(dtype), Cases()
    for label, (x, w, attributes) in CONVOLUTIONS.items():
        cases.add(label, "mm.conv", [make(*x), make(*w), make(w[0])], (1, 2), **attributes)
    cases.compare()


@pytest.mark.parametrize("dtype", DTYPES)
def test_convolutions_by_weights_known_when_running(dtype: type) -> None:
    make, cases = Make(dtype), Cases()
    for label, (x, w, attributes) in CONVOLUTIONS.items():
        cases.add(label, "mm.conv", [make(*x), make(*w), make(w[0])], **attributes)
    cases.compare()


def test_padding_of_images_stays_out_of_convolutions() -> None:
    """What padding lanes of an image hold (here 1 / 0) may not meet the weights' zeros."""
    x = np.ones((1, 5, 4, 4), np.float32)
    network, feeds = one_operation("mm.reciprocal", [x])
    (reciprocal,) = network.outputs
    pooled = network.max_pool(reciprocal, kernel_shape=(1, 1))
    inverse = network.reciprocal(pooled)
    network.mark_output(network.conv(inverse, np.ones((3, 5, 1, 1), np.float32)), "z")
    _, z = Runner(network).run(feeds)
    np.testing.assert_array_equal(z, np.full((1, 3, 4, 4), 5, np.float32))


# --- pooling ----------------------------------------------------------------------------------------------------------

POOLS: dict[str, tuple[tuple[int, ...], dict[str, object]]] = {
    "halving": ((2, 70, 8, 10), {"kernel_shape": (2, 2), "strides": (2, 2)}),
    "padded": ((2, 33, 19, 11), {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)}),
    "uneven": ((1, 5, 9, 12), {"kernel_shape": (3, 2), "strides": (1, 3), "pads": (2, 0, 0, 1)}),
    "dilated": ((1, 5, 19, 12), {"kernel_shape": (3, 2), "dilations": (2, 3)}),
    "overhanging": ((1, 40, 10, 11), {"kernel_shape": (3, 3), "strides": (2, 2), "ceil_mode": True}),
    "one axis": ((2, 7, 30), {"kernel_shape": (3,), "strides": (2,), "pads": (1, 1)}),
    "one pixel": ((1, 7, 5, 5), {"kernel_shape": (1, 1)}),
}  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_pools(dtype: type) -> None:
    make, cases = Make(dtype), Cases()
    for label, (shape, attributes) in POOLS.items():
        cases.add(label, "mm.max_pool", [make.odd(*shape)], **attributes)
        cases.add(label, "mm.average_pool", [make.odd(*shape)], **attributes)
        cases.add(label, "mm.average_pool", [make(*shape)], count_include_pad=True, **attributes)
    for shape in ((2, 70, 19, 11), (1, 3, 1, 1), (30, 33, 7, 7), (1, 64, 150, 160), (2, 5, 30)):
        cases.add(str(shape), "mm.global_average_pool", [make(*shape)])
        cases.add(str(shape), "mm.global_max_pool", [make.odd(*shape)])
    cases.compare()


# --- rows -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax(dtype: type) -> None:
    make, cases = Make(dtype), Cases()
    for shape in ((37, 100), (3, 5, 64), (1, 1000), (700, 3), (2, 1), (1, 20000)):
        cases.add(str(shape), "mm.softmax", [make.odd(*shape) if shape[-1] > 3 else make(*shape)], axis=-1)
        cases.add(str(shape), "mm.log_softmax", [make(*shape)], axis=-1)
    for axis in range(4):
        cases.add(f"along axis {axis}", "mm.softmax", [make.odd(3, 40, 6, 7)], axis=axis)
        cases.add(f"along axis {axis}", "mm.log_softmax", [make(3, 40, 6, 7)], axis=axis)
    cases.add("an axis of one element behind", "mm.softmax", [make(5, 7, 1)], axis=1)
    cases.compare()


def test_softmax_of_large_numbers_and_masked_rows() -> None:
    x = np.full((4, 70), -np.inf, np.float32)
    x[1, 3] = 5
    x[2] = np.linspace(-1e30, 1e30, 70)
    x[3] = 3e38
    cases = Cases()
    cases.add("extremes", "mm.softmax", [x])
    cases.compare()


@pytest.mark.parametrize("dtype", DTYPES)
def test_normalizations(dtype: type) -> None:
    make, cases = Make(dtype), Cases()
    for shape in ((37, 100), (3, 7, 768), (1, 1), (200, 64), (2, 9000)):
        width = shape[-1]
        operands = [make(*shape) + dtype(3), make(width), make(width)]
        cases.add(str(shape), "mm.layer_norm", operands, (1, 2))
        cases.add(str(shape), "mm.layer_norm", [make(*shape)])
        cases.add(str(shape), "mm.rms_norm", [make(*shape), make(width)], (1,), epsilon=1e-3)
    if dtype is np.float32:
        cases.add("several axes", "mm.layer_norm", [make(5, 6, 7), make(6, 7), make(6, 7)], axis=1)
    cases.compare()


ATTENTIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...], int, dict[str, object]]] = {
    "plain": ((2, 4, 30, 20), (2, 4, 50, 20), 24, {}),
    "grouped heads": ((2, 4, 30, 64), (2, 2, 50, 64), 64, {"scale": 0.3}),
    "causal": ((1, 2, 70, 32), (1, 2, 70, 32), 32, {"causal": True}),
    "key cache": ((1, 2, 3, 64), (1, 2, 700, 64), 64, {"causal": True, "alignment": "bottom_right"}),
    "more queries than keys": ((1, 1, 9, 16), (1, 1, 4, 16), 16, {"causal": True, "alignment": "bottom_right"}),
    "many keys": ((1, 2, 130, 16), (1, 2, 1300, 16), 70, {}),
}  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_attention(dtype: type) -> None:
    make, cases = Make(dtype), Cases()
    for label, (q, k, value_size, attributes) in ATTENTIONS.items():
        cases.add(label, "mm.attention", [make(*q), make(*k), make(*k[:3], value_size)], **attributes)
    cases.compare()


def _added(make: Make, *shape: int) -> Array:
    return np.where(make.rng.random(shape) < 0.4, make.dtype(-60000), make(*shape)).astype(make.dtype)


def _keeping(make: Make, *shape: int) -> Array:
    return np.asarray(make.rng.random(shape) < 0.5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_attention_with_a_mask(dtype: type) -> None:
    make, cases = Make(dtype), Cases()
    for shape in ((9, 70), (2, 1, 1, 70), (3, 9, 70), (2, 3, 9, 70), (70,)):
        for mask in (_added(make, *shape), _keeping(make, *shape)):
            q, k, v = make(2, 3, 9, 32), make(2, 3, 70, 32), make(2, 3, 70, 32)
            cases.add(f"{mask.dtype} {shape}", "mm.attention", [q, k, v, mask])
    cases.compare()


def test_rows_that_see_no_key_give_zeros() -> None:
    make, cases = Make(np.float32), Cases()
    keep = np.ones((5, 8), bool)
    keep[2] = False
    cases.add("one row", "mm.attention", [make(1, 1, 5, 16), make(1, 1, 8, 16), make(1, 1, 8, 16), keep])
    cases.compare()
