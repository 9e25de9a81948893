"""Layers as PyTorch's users write them, against eager: fixed and open batches, odd sizes and no elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from running import Function, check
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

HALF = {"rtol": 2e-2, "atol": 2e-2}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def names(network: Any) -> list[str]:
    return [operation.name for operation in network]


def both(module: nn.Module, x: torch.Tensor, **tolerance: float) -> list[str]:
    """Check a fixed batch, an open one, and an open one of another size; gives the operators of the open form."""
    module = module.eval()
    check(module, (x,), **tolerance)
    example = x if x.shape[0] > 1 else torch.cat([x, x])
    (name,) = [n for n in ("input", "x", "src", "query") if n in _parameters(module)]
    network = check(module, (example,), {name: ("N", *x.shape[1:])}, (torch.cat([example, example[:1]]),), **tolerance)
    return names(network)


def _parameters(module: nn.Module) -> list[str]:
    import inspect

    return list(inspect.signature(module.forward).parameters)


# --- convolution ------------------------------------------------------------------------------------------------------

CONVOLUTIONS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "1d": (lambda: nn.Conv1d(3, 4, 3), (2, 3, 11)),
    "1d same": (lambda: nn.Conv1d(3, 4, 4, padding="same"), (2, 3, 11)),
    "1d same dilated": (lambda: nn.Conv1d(3, 4, 4, padding="same", dilation=3), (2, 3, 17)),
    "1d reflect": (lambda: nn.Conv1d(3, 4, 3, padding=2, padding_mode="reflect"), (1, 3, 9)),
    "2d": (lambda: nn.Conv2d(3, 4, 3, 2, 1), (2, 3, 7, 9)),
    "2d valid": (lambda: nn.Conv2d(3, 4, (1, 3), padding="valid", bias=False), (2, 3, 7, 9)),
    "2d same": (lambda: nn.Conv2d(3, 4, (2, 5), padding="same"), (2, 3, 7, 9)),
    "2d circular": (lambda: nn.Conv2d(3, 4, 3, padding=(1, 2), padding_mode="circular"), (2, 3, 7, 9)),
    "2d replicate": (lambda: nn.Conv2d(3, 4, 3, padding=1, padding_mode="replicate"), (2, 3, 7, 9)),
    "2d grouped": (lambda: nn.Conv2d(6, 9, 3, groups=3, dilation=(2, 1)), (2, 6, 8, 7)),
    "2d depthwise": (lambda: nn.Conv2d(6, 12, 3, groups=6, stride=2), (3, 6, 9, 9)),
    "2d unbatched": (lambda: nn.Conv2d(3, 4, 3), (3, 7, 7)),
    "3d": (lambda: nn.Conv3d(2, 4, (1, 3, 2), (1, 2, 1), (0, 1, 1)), (2, 2, 3, 6, 5)),
    "transposed 1d": (lambda: nn.ConvTranspose1d(4, 3, 4, 3, 1, output_padding=2), (2, 4, 5)),
    "transposed 2d": (lambda: nn.ConvTranspose2d(4, 6, (3, 4), 2, 1, groups=2), (2, 4, 5, 4)),
    "transposed 2d dilated": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, dilation=2, bias=False), (1, 4, 5, 5)),
    "transposed 3d": (lambda: nn.ConvTranspose3d(2, 3, 2, 2), (2, 2, 3, 2, 3)),
    "weight norm": (lambda: weight_norm(nn.Conv2d(3, 4, 3)), (2, 3, 7, 9)),
    "spectral norm": (lambda: spectral_norm(nn.Conv2d(3, 4, 3)).eval(), (2, 3, 7, 9)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name: str) -> None:
    make, shape = CONVOLUTIONS[name]
    if name.endswith("unbatched"):
        check(make(), (torch.randn(shape),))
        return
    found = both(make(), torch.randn(shape))
    assert found.count("mm.conv_transpose" if "transposed" in name else "mm.conv") == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_convolutions_of_other_types(dtype: torch.dtype) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(4, 2, 2, 2)).to(dtype)
    both(module, torch.randn(2, 3, 7, 5).to(dtype), **({} if dtype is torch.float64 else HALF))


@pytest.mark.parametrize("transposed", [False, True])
def test_convolutions_of_whole_numbers_keep_every_bit(transposed: bool) -> None:
    function = F.conv_transpose2d if transposed else F.conv2d

    def forward(self: Any, x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> Any:
        return function(x, w, b, stride=2, padding=1, groups=2, dilation=(1, 2))

    x, w = torch.randint(-(2**40), 2**40, (2, 4, 7, 8)), torch.randint(-99, 99, (4, 2, 3, 2))
    b = torch.randint(-9, 9, (4,))
    check(Function(forward), (x, w, b), {"x": ("N", 4, 7, 8)}, (x[:1], w, b), rtol=0, atol=0)


def test_a_convolution_of_no_images() -> None:
    check(nn.Conv2d(3, 4, 3), (torch.randn(2, 3, 7, 7),), {"input": ("N", 3, 7, 7)}, (torch.randn(0, 3, 7, 7),))


# --- linear -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5), (2, 1, 3, 5), (0, 5)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_linear(shape: tuple[int, ...], bias: bool) -> None:
    check(nn.Linear(5, 4, bias=bias), (torch.randn(shape),))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_linear_and_bilinear_of_other_types(dtype: torch.dtype) -> None:
    tolerance = {} if dtype is torch.float64 else HALF
    both(nn.Linear(50, 7).to(dtype), torch.randn(3, 50).to(dtype), **tolerance)
    layer = nn.Bilinear(4, 5, 3).to(dtype)
    check(layer, (torch.randn(2, 4).to(dtype), torch.randn(2, 5).to(dtype)), **tolerance)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8], ids=str)
def test_products_of_whole_numbers(dtype: torch.dtype) -> None:
    module = Function(
        lambda self, a, b, c: (a @ b, torch.addmm(c, a, b, beta=2, alpha=3), torch.einsum("ij,jk->ki", a, b))
    )
    check(module, tuple(torch.randint(0, 9, shape).to(dtype) for shape in ((3, 4), (4, 5), (3, 5))), rtol=0, atol=0)


# --- normalization ----------------------------------------------------------------------------------------------------

NORMS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str]] = {
    "layer": (lambda: nn.LayerNorm(7), (3, 5, 7), "mm.layer_norm"),
    "layer of two axes": (lambda: nn.LayerNorm((5, 7), eps=1e-3), (3, 5, 7), "mm.layer_norm"),
    "layer without bias": (lambda: nn.LayerNorm(7, bias=False), (3, 5, 7), "mm.layer_norm"),
    "layer without weights": (lambda: nn.LayerNorm(7, elementwise_affine=False), (3, 7), "mm.layer_norm"),
    "rms": (lambda: nn.RMSNorm(7), (3, 5, 7), "mm.rms_norm"),
    "rms of two axes": (lambda: nn.RMSNorm((5, 7), eps=1e-5, elementwise_affine=False), (3, 5, 7), "mm.rms_norm"),
    "group": (lambda: nn.GroupNorm(3, 6), (2, 6, 4, 5), "mm.group_norm"),
    "group of a vector": (lambda: nn.GroupNorm(2, 6, affine=False), (3, 6), "mm.group_norm"),
    "batch 1d": (lambda: nn.BatchNorm1d(6), (3, 6), "mm.batch_norm"),
    "batch 1d of a sequence": (lambda: nn.BatchNorm1d(6, affine=False), (3, 6, 5), "mm.batch_norm"),
    "batch 2d": (lambda: nn.BatchNorm2d(6), (3, 6, 4, 5), "mm.batch_norm"),
    "batch 3d": (lambda: nn.BatchNorm3d(6), (2, 6, 2, 3, 4), "mm.batch_norm"),
    "batch without statistics": (lambda: nn.BatchNorm2d(6, track_running_stats=False), (3, 6, 4, 5), ""),
    "instance 1d": (lambda: nn.InstanceNorm1d(6), (3, 6, 5), ""),
    "instance 2d": (lambda: nn.InstanceNorm2d(6, affine=True), (3, 6, 4, 5), ""),
    "instance with statistics": (lambda: nn.InstanceNorm2d(6, track_running_stats=True), (3, 6, 4, 5), ""),
    "local response": (lambda: nn.LocalResponseNorm(3), (2, 7, 4, 4), ""),
    "normalize": (lambda: Function(lambda self, x: F.normalize(x, p=3, dim=1)), (2, 7, 4), ""),
}


def _moved(module: nn.Module) -> nn.Module:
    """With parameters and statistics that are neither 0 nor 1."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            tensor.data = torch.rand_like(tensor) + 0.5
    return module


@pytest.mark.parametrize("name", NORMS)
def test_normalizations(name: str) -> None:
    make, shape, operator = NORMS[name]
    found = both(_moved(make()), torch.randn(shape) * 3 + 1, rtol=2e-5, atol=2e-5)
    assert not operator or operator in found


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("name", ["layer", "rms", "group", "batch 2d", "instance 2d"])
def test_normalizations_of_other_types(name: str, dtype: torch.dtype) -> None:
    make, shape, _ = NORMS[name]
    both(_moved(make()).to(dtype), torch.randn(shape).to(dtype), **({} if dtype is torch.float64 else HALF))


# --- activations ------------------------------------------------------------------------------------------------------

ACTIVATIONS = (
    nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(0.3), nn.PReLU(), nn.PReLU(3), nn.RReLU(), nn.ELU(0.7), nn.SELU(), nn.CELU(1.5),
    nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Mish(), nn.Sigmoid(), nn.LogSigmoid(), nn.Hardsigmoid(), nn.Hardswish(),
    nn.Hardtanh(-2, 3), nn.Hardshrink(), nn.Softshrink(0.3), nn.Softplus(2, 5), nn.Softsign(), nn.Tanh(),
    nn.Tanhshrink(), nn.Threshold(0.1, 20), nn.Softmax(1), nn.LogSoftmax(-1), nn.Softmin(0), nn.GLU(2),
)  # fmt: skip


class Activations(nn.Module):
    """All of them, each on the same numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.each = nn.ModuleList(ACTIVATIONS)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        # PyTorch's GELU makes NaN of infinity, which it does not of 3e38.
        return tuple(module(x.clamp(max=99.0) if isinstance(module, nn.GELU) else x) for module in self.each)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_activations(dtype: torch.dtype) -> None:
    x = torch.randn(2, 3, 8) * 4
    x[0, 0, :5] = torch.tensor([torch.nan, torch.inf, -torch.inf, 0.0, -0.0])
    both(Activations().to(dtype), x.to(dtype), **({} if dtype.itemsize > 2 else HALF))


# --- embeddings, blocks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("options", [{}, {"include_last_offset": True}, {"padding_idx": 2}], ids=str)
def test_bags_of_embeddings(mode: str, options: dict[str, Any]) -> None:
    layer = nn.EmbeddingBag(10, 4, mode=mode, **options)
    ids = torch.tensor([1, 2, 4, 5, 4, 2, 2, 9])
    offsets = torch.tensor([0, 3, 3, 5, 8] if options.get("include_last_offset") else [0, 3, 3, 5])
    check(layer, (ids, offsets))
    check(nn.EmbeddingBag(10, 4, mode=mode), (ids.reshape(2, 4),))
    if mode == "sum" and not options:
        weighted = Function(lambda self, i, o, w: F.embedding_bag(i, layer.weight, o, mode="sum", per_sample_weights=w))
        check(weighted, (ids, offsets, torch.rand(8)))


def test_embeddings_and_one_hot() -> None:
    both(Function(lambda self, x: (self.layer(x), F.one_hot(x, 10)), layer=nn.Embedding(10, 4, padding_idx=1)),
         torch.randint(0, 10, (2, 5)))  # fmt: skip


BLOCKS: dict[str, Callable[[torch.Tensor], Any]] = {
    "shuffles": lambda x: (F.pixel_shuffle(x, 2), F.pixel_unshuffle(x, 2), F.channel_shuffle(x, 4)),
    "unfold": lambda x: F.unfold(x, (2, 3), dilation=(2, 1), padding=1, stride=2),
    "fold": lambda x: F.fold(x.reshape(x.shape[0], 12, -1)[:, :, :20], (5, 6), 2),
    "windows": lambda x: x.unfold(2, 3, 2).unfold(3, 2, 1),
    "zeros": lambda x: (F.pad(x, (1, 2)), F.pad(x, (1, 2, 3, 0), value=4.0), F.pad(x, (-1, 1))),
    "edges": lambda x: [F.pad(x, (2, 1, 1, 0), mode) for mode in ("reflect", "replicate", "circular")],
    "rolls": lambda x: (x.roll(2, 1), x.roll((1, -3), (2, 3)), x.roll(5), x.rot90(1, (2, 3)), x.rot90(3, (2, 3))),
    "meshes": lambda x: torch.meshgrid(x[0, 0, 0], x[0, 0, :, 0], indexing="xy"),
    "triangles": lambda x: (x.tril(1), x.triu(-1), x.diagonal(1, 2, 3), x[0, 0].diag(), torch.diag_embed(x[:, 0, 0])),
    "distances": lambda x: (torch.cdist(x[0], x[0]), F.pairwise_distance(x[0], x[0] + 1), F.pdist(x[0, 0])),
    "angles": lambda x: (F.cosine_similarity(x, x + 1), torch.linalg.cross(x[:, :3], x[:, 3:6], dim=1)),
    "counts": lambda x: (torch.bucketize(x, torch.tensor([-1.0, 0.0, 1.0])), (x > 0).count_nonzero((1, 2))),
    "histogram": lambda x: x.histc(5, -2, 2),
    "joins": lambda x: (torch.hstack((x, x)), torch.dstack((x, x)), torch.block_diag(x[0, 0], x[0, 1])),
    "parts": lambda x: (
        x.tensor_split(3, 1),
        x.chunk(3, 1),
        x.split((4, 5, 7), 1),
        x.unflatten(1, (2, 8)).movedim(1, 3),
    ),
    "products": lambda x: (torch.cartesian_prod(x[0, 0, 0], x[0, 0, 1]), torch.kron(x[0, 0], x[0, 1]), x.cumprod(2)),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks(name: str) -> None:
    both(Function(lambda self, x: BLOCKS[name](x)), torch.randn(2, 16, 6, 8))
