"""PyTorch's promotion, rounding, casts, views and in-place changes, bit by bit against eager, fixed and open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from running import Function, build, check

import mm_core as mm

EXACT = {"rtol": 0.0, "atol": 0.0}
Case = Callable[[torch.Tensor], Any]


def both(function: Case, x: torch.Tensor, **tolerance: float) -> None:
    """The same bits from a program of fixed sizes and from one whose first size is open, at another size."""
    module = Function(lambda self, x: function(x))
    check(module, (x,), **{**EXACT, **tolerance})
    check(module, (x,), {"x": ("N", *x.shape[1:])}, (torch.cat([x, x[:2]]),), **{**EXACT, **tolerance})


# --- in place ---------------------------------------------------------------------------------------------------------


def _add_to_slice(x: torch.Tensor) -> Any:
    y = x.clone()
    y[1:].add_(10)
    return y


def _through_a_view_of_a_view(x: torch.Tensor) -> Any:
    y = x.clone()
    part = y.transpose(1, 2)[:, 1]
    part[..., ::2] *= 3
    part += 1
    return y, part


def _assign(x: torch.Tensor) -> Any:
    y = x.clone()
    y[:, 1] = y[:, 0]
    y[..., -1] = 7
    y[:, :, 1:3] = torch.arange(2.0)
    y[0, ..., None] = -1
    return y


def _base_changes_the_view(x: torch.Tensor) -> Any:
    y = x.clone()
    row = y[:, 0]
    y.mul_(2)
    return row + 0, y.view(-1)[3:5].fill_(9), y


def _copy(x: torch.Tensor) -> Any:
    y, z = x.clone(), torch.zeros_like(x, dtype=torch.int32)
    y[:, 0].copy_(torch.full((x.shape[2],), 2.7))
    z.copy_(x * 3)
    y[:, 1].copy_(z[:, 2])
    return y, z


def _masks(x: torch.Tensor) -> Any:
    y, z, w = x.clone(), x.clone(), x.clone()
    y[y > 0] = 0.5
    z.masked_fill_(z.isnan() | (z < 0), -2.0)
    w[:, 0].masked_fill_(w[:, 0] < 1, torch.tensor(4.0))
    return y, z, w, torch.where(x > 0, x, 0), torch.where(x > 0, 1, 0.5), x.masked_fill(x > 0, float("-inf"))


def _index_put(x: torch.Tensor) -> Any:
    rows, columns = torch.tensor([0, 1, 0]), torch.tensor([2, -1, 2])
    y, z, w = x.clone(), x.clone(), x.clone()
    y[rows[:2], columns[:2]] = 5.0
    z.index_put_((rows, columns), torch.ones(3, 1), accumulate=True)
    w[:, columns[:2]] += 1
    return y, z, w, x.index_add(1, columns % 3, x[:, :3], alpha=2), x.index_copy(1, rows[:2], x[:, 1:3])


def _scatters(x: torch.Tensor) -> Any:
    index = (x.abs() * 10).long() % x.shape[1]
    y, z = x.clone(), x.clone()
    y.scatter_(1, index[:, :1], 3.5)
    z.scatter_add_(1, index, x)
    found = [y, z, x.scatter(1, index[:, :1], x[:, 1:2])]
    for how in ("sum", "prod", "amax", "amin", "mean"):
        found += [x.scatter_reduce(1, index, x * 2, how), x.scatter_reduce(1, index, x, how, include_self=False)]
    return found


def _outs(x: torch.Tensor) -> Any:
    y = torch.empty_like(x)
    torch.mul(x, 2, out=y)
    z = torch.zeros(x.shape, dtype=torch.float64)
    torch.add(x, x, out=z)
    return y, z


def _chains(x: torch.Tensor) -> Any:
    y = x.clone().add_(1).mul_(2).clamp_(-1, 3).sub_(x).neg_().abs_().relu_()
    y.unsqueeze_(0).squeeze_(0).transpose_(1, 2)
    return y, y.t_() if y.ndim == 2 else y


def _loops(x: torch.Tensor) -> Any:
    state, found = torch.zeros_like(x[:, 0]), torch.empty_like(x)
    for step in range(x.shape[1]):
        state = state * 0.5 + x[:, step]
        found[:, step] = state
    return found, found.cumsum_(1)


def _other_writers(x: torch.Tensor) -> Any:
    y = x.clone()
    y.zero_()[:, 0].fill_(3).add_(x[:, 0], alpha=2)
    z = x.clone()
    z.diagonal(0, 1, 2).fill_(8)
    w = x.clone()
    w.select(1, 1).addcmul_(x[:, 0], x[:, 1], value=0.5)
    return y, z, w, x.clone().lerp_(x + 1, 0.25), x.clone().swapaxes_(1, 2), x.clone().triu_(1).tril_(2)


def _inputs_change(x: torch.Tensor) -> Any:
    x.add_(1)
    return x * 2


IN_PLACE: dict[str, Case] = {
    "slices": _add_to_slice,
    "views of views": _through_a_view_of_a_view,
    "assignments": _assign,
    "a base below its view": _base_changes_the_view,
    "copies": _copy,
    "masks": _masks,
    "indices": _index_put,
    "scatters": _scatters,
    "out arguments": _outs,
    "chains": _chains,
    "loops": _loops,
    "others": _other_writers,
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_changes_in_place(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-20, 20, (3, 4, 5), generator=generator) / 4
    both(IN_PLACE[name], x, **({"rtol": 1e-6, "atol": 1e-6} if name in ("scatters", "loops", "others") else {}))


# --- promotion --------------------------------------------------------------------------------------------------------

TYPES = (
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bfloat16, torch.float16,
    torch.float32, torch.float64,
)  # fmt: skip


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_promotion_with_every_type_and_number(dtype: torch.dtype) -> None:
    """Tensors, scalars of tensors and numbers of Python are of three ranks; the higher type counts in the highest."""

    def forward(x: torch.Tensor) -> Any:
        found = []
        for other in TYPES:
            tensor, scalar = torch.tensor([1, 2, 3]).to(other), torch.tensor(2).to(other)
            found += [
                x + tensor,
                x * scalar,
                scalar * x,
                torch.maximum(x, tensor),
                x < scalar,
                torch.where(x > 0, x, tensor),
            ]
            found.append(torch.cat([x[0], tensor]))
        found += [
            x + 1,
            x * 2.5,
            x * True,
            3 - (x if dtype is not torch.bool else x.int()),
            x / 2,
            x**2,
            2.0**x,
            x == 1.0,
        ]
        found += [x.sum(), x.sum(0), x.cumsum(1), x.prod(), x.float().mean().to(dtype), x.any(), x.new_full((2,), 3)]
        return found

    x = torch.tensor([[0, 1, 2], [3, 1, 0]]).to(dtype)
    tolerance = {"rtol": 1e-2, "atol": 1e-2} if dtype in (torch.float16, torch.bfloat16) else EXACT
    check(Function(lambda self, x: forward(x)), (x,), {"x": ("N", 3)}, (torch.cat([x, x]),), **tolerance)


def test_sums_and_products_of_narrow_types_are_wide() -> None:
    both(lambda x: (x.sum(), x.prod(1), x.cumsum(1), x.sum(dtype=torch.int32), x.sum(1, dtype=torch.float32)),
         torch.tensor([[100, 100, 27], [1, -100, -101]], dtype=torch.int8))  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64], ids=str)
def test_whole_numbers_wrap_around(dtype: torch.dtype) -> None:
    limits = torch.iinfo(dtype)

    def forward(x: torch.Tensor) -> Any:
        return x + x, x * 3, x - 1, -x, x.abs(), x * x, x << 1, x >> 1, ~x, x.square(), x + limits.max

    x = torch.tensor([[limits.min, limits.max, 0], [1, limits.max - 1, limits.max // 3 + 1]], dtype=dtype)
    both(forward, x)


# --- division and rounding --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.int64, torch.float32, torch.float64], ids=str)
def test_divisions_of_all_kinds(dtype: torch.dtype) -> None:
    def forward(x: torch.Tensor) -> Any:
        found = [x / 4, x // 3, x % 3, x % -3, torch.fmod(x, 3), torch.remainder(x, -4), x // -2]
        for divisor in (3, -3, torch.tensor([2, -5, 7]).to(dtype)):
            found += [torch.div(x, divisor, rounding_mode=mode) for mode in (None, "trunc", "floor")]
        return found + [100 // (x + 100), 100 % (x + 100), torch.fmod(x + 20, x + 100)]

    both(forward, torch.tensor([[-7, 7, -6], [6, 0, 1], [-1, 8, -9]]).to(dtype), rtol=1e-7, atol=1e-7)


def test_division_by_zero_and_infinity() -> None:
    def forward(x: torch.Tensor) -> Any:
        zero, one = x * 0, x * 0 + 1
        finite = x.nan_to_num(0, 5, -5)
        return (
            x / 0,
            finite // (finite * 0),
            finite % (finite * 0),
            one / x,
            one // x,
            x % one,
            torch.fmod(one, x),
            zero / 3,
        )

    both(forward, torch.tensor([[torch.inf, -torch.inf, 2.0], [-2.5, 1e-45, -1.0]]))


def test_halves_are_rounded_to_even() -> None:
    def forward(x: torch.Tensor) -> Any:
        return (
            x.round(),
            (x * 10).round(decimals=1),
            x.floor(),
            x.ceil(),
            x.trunc(),
            x.frac(),
            torch.round(x, decimals=-1),
            x.to(torch.int32),
        )

    values = torch.tensor([[0.5, 1.5, 2.5], [-0.5, -1.5, -2.5], [0.49999997, -0.0, 1e20], [15.0, 25.0, -35.0]])
    check(Function(lambda self, x: forward(x.clamp(max=1e6))), (values,), **EXACT)
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        both(lambda x: (x.round(), x.floor(), x.ceil(), x.trunc()), values.to(dtype))


# --- casts ------------------------------------------------------------------------------------------------------------

INSIDE = torch.tensor([[0.0, -0.0, 0.99, -0.99], [1.5, 2.5, 100.7, 126.9], [0.1, 65504.0, 3.0e-8, 255.5]])


@pytest.mark.parametrize("to", TYPES, ids=str)
def test_casts_inside_the_range(to: torch.dtype) -> None:
    limit = 120 if to.itemsize == 1 and to is not torch.bool else 30000 if to is torch.int16 else 1e9
    both(lambda x: x.clamp(max=limit).to(to), INSIDE)
    both(lambda x: [x.to(other).to(to) for other in TYPES], torch.tensor([[0, 1, 2, 77], [5, 100, 127, 0]]))


@pytest.mark.parametrize("source", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("to", [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64], ids=str)
def test_casts_out_of_the_range(to: torch.dtype, source: torch.dtype) -> None:
    """Numbers too large for the type, but not for int64, wrap around as eager's do on this machine."""
    x = torch.tensor([[300.0, -300.0, 129.0], [-129.0, 256.0, 40000.0], [70000.0, -40000.0, 1000.0]])
    both(lambda x: x.to(to), x.clamp(-60000, 60000).to(source))


def test_wide_whole_numbers_are_cut() -> None:
    both(
        lambda x: [x.to(to) for to in TYPES[:6]], torch.tensor([[2**40 + 5, -(2**33) - 1], [300, -129], [65536, 2**31]])
    )


def test_numbers_that_no_float_holds() -> None:
    large = torch.tensor([[2**24 + 1, 2**53 + 1], [-(2**62) - 1, 2**31 - 1]])
    both(lambda x: (x.float(), x.double(), x.half(), x.bfloat16(), x.float().long() // 3), large.clamp(-(2**61), 2**61))


# --- special numbers --------------------------------------------------------------------------------------------------


def _order_of_nan(x: torch.Tensor) -> Any:
    other = x.flip(0)
    return (
        x.max(), x.min(1), x.amax(0), x.argmax(1), x.argmin(0), torch.maximum(x, other), torch.fmax(x, other),
        torch.fmin(x, other), x.clamp(-1, 1), x.clamp(min=torch.zeros(3)), x.sort(1).values, x.isnan().sum(),
        x.nan_to_num(), x.nan_to_num(1, 2, 3), x.nansum(1), x == x, x != other, x.isfinite(), x.isposinf(), x.signbit(),
        torch.copysign(torch.ones(3), x), x.sign(), torch.heaviside(x, torch.tensor(0.5)), x.relu(), F.hardtanh(x),
        x.cummax(1),
        torch.logaddexp(x, other), torch.hypot(x, other), torch.special.xlogy(x.abs(), other.abs()), x.logsumexp(1),
    )  # fmt: skip


def test_nan_infinity_and_zeros_of_both_signs() -> None:
    x = torch.tensor([[torch.nan, 1.0, -0.0], [torch.inf, -torch.inf, 0.0], [-2.5, torch.nan, 3.0], [0.0, -0.0, 1e-40]])
    both(_order_of_nan, x, rtol=1e-6, atol=1e-6)


FUNCTIONS = (
    "exp", "expm1", "exp2", "log", "log1p", "log2", "log10", "sqrt", "rsqrt", "reciprocal", "sin", "cos", "tan", "asin",
    "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "erfinv", "sigmoid", "logit",
    "sinc",
)  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_functions_at_their_limits(dtype: torch.dtype) -> None:
    limits = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -0.5,
        torch.inf,
        -torch.inf,
        torch.nan,
        1e-30,
        -1e-30,
        88.0,
        -104.0,
        1e30,
        -1e30,
        20.5,
    ]
    x = torch.tensor(limits, dtype=dtype).reshape(4, 4)
    small = torch.tensor([[-0.999, 1e-8, 0.3, 2.0], [1e-3, 5.5, -0.25, 0.75]], dtype=dtype)
    for values in (x, small):
        check(Function(lambda self, x: [getattr(torch, n)(x) for n in FUNCTIONS]), (values,), rtol=2e-5, atol=1e-6)


# --- complex ----------------------------------------------------------------------------------------------------------


def _complex_functions(x: torch.Tensor) -> Any:
    z = torch.complex(x, x.flip(1) + 0.25)
    w = torch.polar(x.abs() + 0.5, x)
    found = [
        z + w, z - w, z * w, z / w, z + 1, 2.5 * z, z * 1j, (z + 2j) - 1, z / 2, -z, z.conj(), z.abs(), z.angle(),
        z.exp(),
        z.sum(1), z.mean(), z**2, z.reciprocal(), z.sqrt(), z.log(), z.sin(), z.cos(), z.tanh(), z.sigmoid(), z == w,
        z.view(-1)[::2].reshape(-1), z @ w.mT, torch.add(z, w, alpha=2), z.square(), z.cumsum(1),
        torch.where(x > 0, z, w),
        z.isnan(), z.sgn(), z.real, z.imag, z.mH, torch.stack([z, w]), z.unsqueeze(0).expand(2, *z.shape), z.pow(3),
    ]  # fmt: skip
    return [part for value in found for part in ((value.real, value.imag) if value.is_complex() else (value,))]


def test_complex_numbers() -> None:
    x = torch.tensor([[0.5, -1.5, 2.0], [3.0, -0.25, 1.0]])
    check(Function(lambda self, x: _complex_functions(x)), (x,), rtol=2e-5, atol=2e-5)


def test_complex_numbers_go_in_and_out() -> None:
    """A complex tensor is two real ones on either side."""
    x = torch.tensor([[1 + 2j, -3j, 0.5], [2, 1j, -1 - 1j]])
    module = Function(lambda self, x: (x * (1 - 1j), x.abs(), torch.view_as_real(x)))
    network = mm.parse(module, example_inputs=(x,))
    assert [spec.name for spec in network.inputs] == ["x.real", "x.imag"]
    feed = {"x.real": x.real.numpy(), "x.imag": x.imag.numpy()}
    results = build(network).create_engine(threads=1).create_context().run(feed)
    expected = [part for value in module(x) for part in ((value.real, value.imag) if value.is_complex() else (value,))]
    for mine, theirs in zip(results.values(), expected, strict=True):
        torch.testing.assert_close(torch.from_numpy(mine), theirs)


# --- no elements ------------------------------------------------------------------------------------------------------


def test_tensors_of_no_elements() -> None:
    def forward(x: torch.Tensor) -> Any:
        return (
            x + 1, x.sum(), x.sum(1), x.prod(), x.mean(1), x @ x.mT, x.mT @ x, x.reshape(-1), x.transpose(0, 1),
            torch.cat([x, x]),
            x.softmax(1), F.layer_norm(x, (4,)), x[:, :2], x.any(), x.all(), x.cumsum(1), x.flip(0), F.pad(x, (1, 1)),
            x.repeat(2, 2), x.sort(1).values, x[x > 0], x.nonzero(), F.linear(x, torch.ones(3, 4)),
            x.clone().fill_(1).sum(),
            x.unsqueeze(0).expand(3, -1, -1), x.index_select(0, torch.tensor([], dtype=torch.int64)), x.var(1),
            x.amax(1),
        )  # fmt: skip

    module = Function(lambda self, x: forward(x))
    check(module, (torch.randn(3, 4),), {"x": ("N", 4)}, (torch.zeros(0, 4),), rtol=1e-6, atol=1e-6)
    check(module, (torch.zeros(0, 4),), rtol=1e-6, atol=1e-6)
