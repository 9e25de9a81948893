"""Operators that are kept whole, control flow, and operators with several forms, against eager."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from running import Function, check
from torch import nn
from torch._higher_order_ops.associative_scan import associative_scan
from torch._higher_order_ops.map import map as map_rows
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def names(network: Any) -> set[str]:
    return {operation.name for operation in network}


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("kind", "operator"), [(nn.LSTM, "mm.lstm"), (nn.GRU, "mm.gru"), (nn.RNN, "mm.rnn")])
def test_recurrent_layers(kind: Any, operator: str, bidirectional: bool, batch_first: bool) -> None:
    layer = kind(4, 5, 2, batch_first=batch_first, bidirectional=bidirectional)
    assert operator in names(check(layer, (torch.randn(3, 6, 4),)))


def test_a_recurrent_layer_without_biases() -> None:
    check(nn.RNN(4, 5, nonlinearity="relu", bias=False), (torch.randn(3, 6, 4),))


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"scale": 0.3}])
@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (3, 5, 4), (2, 2, 3, 5, 4)])
def test_attention_is_one_operator(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    module = Function(lambda self, q, k, v: F.scaled_dot_product_attention(q, k, v, **options))
    assert "mm.attention" in names(check(module, tuple(torch.randn(shape) for _ in range(3))))


def test_attention_with_masks_and_grouped_heads() -> None:
    q, k, v = torch.randn(2, 4, 5, 8), torch.randn(2, 2, 6, 8), torch.randn(2, 2, 6, 8)
    mask = torch.rand(2, 1, 5, 6) > 0.3

    def forward(self: Any, q: Any, k: Any, v: Any, mask: Any) -> Any:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)

    check(Function(forward), (q, k, v, mask))
    check(Function(forward), (q, k, v, torch.randn(5, 6)))


def test_transformer_layers_of_any_batch_and_length() -> None:
    decoder = nn.TransformerDecoderLayer(16, 4, 32, batch_first=True)
    encoder = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = encoder, decoder

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.decoder(x, self.encoder(x))

    check(Both().eval(), (torch.randn(2, 5, 16),), {"x": ("N", "S", 16)}, (torch.randn(3, 7, 16),))


@pytest.mark.parametrize(
    "options",
    [
        {"scale_factor": 2}, {"scale_factor": 1.7}, {"scale_factor": 1.5, "mode": "nearest-exact"},
        {"scale_factor": 1.7, "mode": "bilinear"}, {"scale_factor": 1.7, "mode": "bilinear", "align_corners": True},
        {"size": (7, 9), "mode": "bilinear"}, {"size": (3, 3), "mode": "bicubic"},
        {"size": (3, 4), "mode": "bilinear", "antialias": True}, {"size": (9, 4), "mode": "bicubic", "antialias": True},
        {"scale_factor": 1.7, "recompute_scale_factor": True},
    ],
    ids=str,
)  # fmt: skip
def test_interpolation_of_fixed_and_open_sizes(options: dict[str, Any]) -> None:
    module = Function(lambda self, x: F.interpolate(x, **options))
    check(module, (torch.randn(2, 3, 5, 6),))
    open_sizes = {"x": ("N", 3, "H", "W")}
    check(module, (torch.randn(2, 3, 5, 6),), open_sizes, (torch.randn(3, 3, 8, 9),))


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_grid_sample(mode: str, padding: str) -> None:
    module = Function(lambda self, x, g: F.grid_sample(x, g, mode=mode, padding_mode=padding, align_corners=False))
    check(module, (torch.randn(2, 3, 5, 6), torch.rand(2, 4, 4, 2) * 2.4 - 1.2))


def test_pooling() -> None:
    def forward(self: Any, x: torch.Tensor) -> Any:
        return (
            F.adaptive_avg_pool2d(x, (3, 4)), F.adaptive_max_pool2d(x, (2, 3)), F.lp_pool2d(x, 2, 2),
            F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False), F.avg_pool2d(x, 2, divisor_override=3),
            F.max_pool2d(x, 3, 2, 1, ceil_mode=True, return_indices=True), F.max_pool1d(x[0], 2),
        )  # fmt: skip

    check(Function(forward), (torch.randn(2, 3, 8, 10),))


def test_indexing() -> None:
    def forward(self: Any, x: torch.Tensor, i: torch.Tensor, j: torch.Tensor) -> Any:
        y, z = x.clone(), x.clone()
        y[i, :, j] = 1.5
        z.index_put_((i,), torch.ones(1), accumulate=True)
        w = x.clone()
        w[:, i, j] = torch.arange(4.0)[:, None]
        return x[i], x[:, i], x[i, j], x[i, :, j], x[:, i, j], x[..., None, i], x[i[:, None], j], y, z, w

    check(Function(forward), (torch.randn(4, 5, 6), torch.tensor([1, 0]), torch.tensor([2, -1])))


def test_complex_numbers_inside_a_program() -> None:
    def forward(self: Any, x: torch.Tensor) -> Any:
        turned = torch.view_as_complex(x.reshape(3, 4, 2)) * torch.polar(torch.ones(4), torch.arange(4.0))
        spectrum = torch.fft.fft2(turned)
        return torch.view_as_real(turned), spectrum.abs(), torch.fft.irfft(torch.fft.rfft(x)), spectrum.real

    check(Function(forward), (torch.randn(3, 8),))


# --- control flow -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [-9.0, 9.0])
def test_cond(shift: float) -> None:
    def forward(self: Any, x: torch.Tensor, y: torch.Tensor) -> Any:
        return torch.cond(x.sum() > 0, lambda a, b: self.layer(a) + b, lambda a, b: a * b - 1, (x, y))

    module = Function(forward, layer=nn.Linear(4, 4))
    arguments = (torch.randn(3, 4) + shift, torch.randn(3, 4))
    assert "mm.if" in names(check(module, arguments))


def test_while_loop() -> None:
    def forward(self: Any, n: torch.Tensor, x: torch.Tensor) -> Any:
        return while_loop(lambda n, x: n > 0, lambda n, x: (n - 1, self.layer(x)), (n, x))

    module = Function(forward, layer=nn.Linear(4, 4))
    x = torch.randn(3, 4)
    assert "mm.loop" in names(check(module, (torch.tensor(4), x), None, (torch.tensor(2), x)))
    check(module, (torch.tensor(4), x), None, (torch.tensor(0), x))


def test_scan_and_map_and_associative_scan() -> None:
    def forward(self: Any, x: torch.Tensor, h: torch.Tensor) -> Any:
        def step(state: torch.Tensor, row: torch.Tensor) -> Any:
            state = torch.tanh(self.layer(row) + state)
            return state, state * 2

        running = associative_scan(lambda a, b: a * b, x, 0, combine_mode="generic")
        return scan(step, h, x), map_rows(lambda row, h: row.cos() + h, x, h), running

    check(Function(forward, layer=nn.Linear(4, 4)), (torch.randn(6, 3, 4), torch.randn(3, 4)))
