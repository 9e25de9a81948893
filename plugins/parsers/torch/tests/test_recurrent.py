"""Recurrent layers and transformers as PyTorch's users write them, against eager: fixed and open sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from running import Function, check
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import mm_core as mm
from mm_core.errors import ParseError

HALF = {"rtol": 2e-2, "atol": 2e-2}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def names(network: Any) -> list[str]:
    return [operation.name for operation in network]


def open_batch(options: dict[str, Any]) -> tuple[Any, ...]:
    """An example, shapes with an open batch, and a request: PyTorch's export fixes the length of a sequence."""
    if options.get("batch_first"):
        return (torch.randn(3, 6, 4),), {"input": ("N", 6, 4)}, (torch.randn(2, 6, 4),)
    return (torch.randn(6, 3, 4),), {"input": (6, "N", 4)}, (torch.randn(6, 2, 4),)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize(
    "options", [{}, {"bidirectional": True, "batch_first": True}, {"bias": False, "num_layers": 3}], ids=str
)
def test_layers_of_open_batches(kind: Any, options: dict[str, Any]) -> None:
    layer = kind(4, 5, **options)
    found = names(check(layer, *open_batch(options)))
    assert found.count(f"mm.{kind.__name__.lower()}") == options.get("num_layers", 1)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_layers_from_states(kind: Any) -> None:
    layer = kind(4, 5, 2, bidirectional=True)
    states = tuple(torch.randn(4, 3, 5) for _ in range(2 if kind is nn.LSTM else 1))
    check(
        Function(lambda self, x, *h: self.layer(x, h if len(h) > 1 else h[0]), layer=layer),
        (torch.randn(6, 3, 4), *states),
    )
    check(layer, (torch.randn(6, 4),))


@pytest.mark.parametrize(
    "options",
    [{}, {"bidirectional": True, "num_layers": 2}, {"bias": False, "batch_first": True, "bidirectional": True}],
    ids=str,
)
def test_projections(options: dict[str, Any]) -> None:
    layer = nn.LSTM(4, 6, proj_size=3, **options)
    found = names(check(layer, *open_batch(options)))
    assert "mm.scan" in found


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_layers_of_other_types(kind: Any, dtype: torch.dtype) -> None:
    tolerance = {} if dtype is torch.float64 else HALF
    check(kind(4, 5, 2).to(dtype), (torch.randn(6, 3, 4).to(dtype),), **tolerance)


def test_cells() -> None:
    x, h = torch.randn(3, 4), torch.randn(3, 5)
    check(nn.LSTMCell(4, 5), (x, (h, h + 1)))
    check(nn.GRUCell(4, 5), (x, h), {"input": ("N", 4), "hx": ("N", 5)}, (x[:2], h[:2]))
    check(nn.RNNCell(4, 5, nonlinearity="relu"), (x, h))


def test_packed_sequences_are_refused_by_export() -> None:
    def forward(self: Any, x: torch.Tensor, lengths: torch.Tensor) -> Any:
        return self.layer(pack_padded_sequence(x, lengths))[1]

    module = Function(forward, layer=nn.GRU(4, 5))
    with pytest.raises(ParseError, match="export refuses the module"):
        mm.parse(module, example_inputs=(torch.randn(6, 3, 4), torch.tensor([6, 3, 2])))


# --- attention --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"batch_first": True}, {"bias": False}, {"kdim": 6, "vdim": 7}], ids=str)
def test_multi_head_attention(options: dict[str, Any]) -> None:
    layer = nn.MultiheadAttention(8, 2, **options).eval()
    q = torch.randn(5, 3, 8)
    k, v = torch.randn(5, 3, options.get("kdim", 8)), torch.randn(5, 3, options.get("vdim", 8))
    weighted = Function(lambda self, q, k, v: self.layer(q, k, v), layer=layer)
    plain = Function(lambda self, q, k, v: self.layer(q, k, v, need_weights=False)[0], layer=layer)
    check(weighted, (q, k, v))
    shapes = {name: (5, "N", value.shape[2]) for name, value in (("x", q), ("others_0", k), ("others_1", v))}
    request = (q[:, :2], k[:, :2], v[:, :2])
    assert "mm.attention" in names(check(plain, (q, k, v), shapes, request))


@pytest.mark.parametrize("name", ["padding", "causal", "each head"])
def test_masks_of_multi_head_attention(name: str) -> None:
    layer = nn.MultiheadAttention(8, 2, batch_first=True).eval()

    def forward(self: Any, x: torch.Tensor) -> Any:
        masks = {
            "padding": {
                "key_padding_mask": torch.tensor([[False] * 5, [False] * 3 + [True] * 2, [False] * 4 + [True]])
            },
            "causal": {"attn_mask": nn.Transformer.generate_square_subsequent_mask(5), "is_causal": True},
            "each head": {"attn_mask": torch.arange(150).reshape(6, 5, 5) % 3 == 1},
        }[name]
        return self.layer(x, x, x, **masks)

    check(Function(forward, layer=layer), (torch.randn(3, 5, 8),))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_whole_transformer(dtype: torch.dtype) -> None:
    module = nn.Transformer(16, 4, 2, 2, 32, batch_first=True, activation="gelu", norm_first=True).to(dtype).eval()
    source, target = torch.randn(2, 5, 16).to(dtype), torch.randn(2, 4, 16).to(dtype)
    tolerance = {} if dtype is torch.float32 else {"rtol": 5e-2, "atol": 5e-2}
    shapes = {"src": ("N", "S", 16), "tgt": ("N", "T", 16)}
    request = (torch.randn(3, 7, 16).to(dtype), torch.randn(3, 6, 16).to(dtype))
    check(module, (source, target), shapes, request, **tolerance)
