"""Quantized programs: PT2E's from end to end, torchao's weights, and each operator of the library, against eager."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.ao.quantization.fx._decomposed  # registers the operators
import torch.nn.functional as F
import torchao.quantization as torchao
from running import Function, check, run
from torch import nn
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
    X86InductorQuantizer,
    get_default_x86_inductor_quantization_config,
)
from torchao.testing.pt2e._xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config

import mm_core as mm
from mm_core.passes import default_pipeline

LIBRARY = torch.ops.quantized_decomposed
CODES = {
    torch.int8: (-128, 127), torch.uint8: (0, 255), torch.int16: (-32768, 32767), torch.uint16: (0, 65535),
    torch.int32: (-(2**31), 2**31 - 1), torch.float8_e4m3fn: (-448, 448),
}  # fmt: skip
EXACT = {"rtol": 0.0, "atol": 0.0}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


# --- operators --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [4, 1e6], ids=["inside", "saturated"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("codes", CODES, ids=str)
def test_tensors(codes: torch.dtype, dtype: torch.dtype, factor: float) -> None:
    limits = (0.037, 3, *CODES[codes], codes)

    def forward(self: Any, x: torch.Tensor) -> Any:
        quantized = LIBRARY.quantize_per_tensor(x, *limits)
        shown = quantized.float() if codes.is_floating_point else quantized
        return shown, LIBRARY.dequantize_per_tensor(quantized, *limits)

    check(Function(forward), ((torch.randn(3, 50) * factor).to(dtype),), **EXACT)


def test_limits_of_fewer_bits_and_halves() -> None:
    def forward(self: Any, x: torch.Tensor) -> Any:
        quantized = LIBRARY.quantize_per_tensor(x, 0.05, 2, -7, 100, torch.int8)
        limits = (0.05, 2, -7, 100, torch.int8)
        return quantized, LIBRARY.dequantize_per_tensor(quantized, *limits, out_dtype=torch.float16)

    check(Function(forward), (torch.randn(3, 50) * 4,), **EXACT)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_channels(axis: int) -> None:
    x = torch.randn(5, 6, 7) * 4
    scales, zeros = torch.rand(x.shape[axis]) * 0.2 + 0.05, torch.randint(-9, 9, x.shape[axis : axis + 1])

    def forward(self: Any, x: torch.Tensor) -> Any:
        grain = (self.scales, self.zeros, axis, -128, 127, torch.int8)
        quantized = LIBRARY.quantize_per_channel(x, *grain)
        return quantized, LIBRARY.dequantize_per_channel(quantized, *grain)

    module = Function(forward)
    module.register_buffer("scales", scales)
    module.register_buffer("zeros", zeros)
    network = check(module, (x,), **EXACT)
    (dequantize,) = (operation for operation in network if operation.name == "mm.dequantize")
    assert all(value.defining_op.name == "mm.constant" for value in dequantize.operands[1:])
    check(Function(lambda self, x: LIBRARY.fake_quant_per_channel(x, scales, zeros, axis, -20, 20)), (x,), **EXACT)


@pytest.mark.parametrize("choose", [LIBRARY.choose_qparams.tensor, LIBRARY.choose_qparams_symmetric.tensor], ids=str)
@pytest.mark.parametrize("codes", [torch.int8, torch.uint8], ids=str)
def test_scales_chosen_while_running(codes: torch.dtype, choose: Any) -> None:
    def forward(self: Any, x: torch.Tensor) -> Any:
        limits = (*CODES[codes], codes)
        grain = choose(x, *CODES[codes], 1e-9, codes)
        quantized = LIBRARY.quantize_per_tensor.tensor(x, *grain, *limits)
        return *grain, quantized, LIBRARY.dequantize_per_tensor.tensor(quantized, *grain, *limits)

    x = torch.randn(4, 6, 16) * 3
    check(Function(forward), (x,), {"x": ("N", 6, 16)}, (x[:3] + 1,), **EXACT)


@pytest.mark.parametrize("choose", ["choose_qparams_per_token", "choose_qparams_per_token_asymmetric"])
def test_tokens(choose: str) -> None:
    def forward(self: Any, x: torch.Tensor) -> Any:
        grain = getattr(LIBRARY, choose)(x, torch.int8)
        quantized = LIBRARY.quantize_per_token(x, *grain, -128, 127, torch.int8)
        back = LIBRARY.dequantize_per_token(quantized, *grain, -128, 127, torch.int8, torch.float32)
        return *grain, quantized, back, LIBRARY.convert_element_type.no_fuse(back, torch.float16)

    x = torch.randn(4, 6, 16) * 3
    check(Function(forward), (x,), {"x": ("N", 6, 16)}, (x[:3],), **EXACT)


@pytest.mark.parametrize("zeros", [torch.randint(-3, 4, (8, 4)), None], ids=["zeros", "none"])
@pytest.mark.parametrize("group", [8, 128])
def test_groups_of_a_channel(group: int, zeros: torch.Tensor | None) -> None:
    groups = 32 // min(group, 32)
    scales = torch.rand(8, groups) * 0.2 + 0.05
    zeros = None if zeros is None else zeros[:, :groups]

    def forward(self: Any, x: torch.Tensor) -> Any:
        points = torch.zeros(8, groups, dtype=torch.int32) if zeros is None else zeros
        quantized = LIBRARY.quantize_per_channel_group(x, scales, points, -8, 7, torch.int8, group)
        limits = (-8, 7, torch.int8, group, torch.float32)
        return quantized, LIBRARY.dequantize_per_channel_group(quantized, scales, zeros, *limits)

    check(Function(forward), (torch.randn(8, 32),), **EXACT)


def test_a_file_brings_the_operators_along(tmp_path: Path) -> None:
    """A program is read by whoever never loaded the library that quantized it."""
    limits = (0.1, 3, 0, 255, torch.uint8)
    module = Function(lambda self, x: LIBRARY.quantize_per_tensor(x, *limits))
    torch.export.save(torch.export.export(module, (torch.randn(3),)), tmp_path / "codes.pt2")
    code = "import sys, mm_core; print(mm_core.parse(sys.argv[1]).output_specs[0].type)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "codes.pt2")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "tensor<3xui8>"


# --- networks ---------------------------------------------------------------------------------------------------------


class Images(nn.Module):
    """Convolutions with batch norm, a residual sum, pooling and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv, self.head = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3, padding=1), nn.Linear(16, 10)
        self.norms = nn.ModuleList([nn.BatchNorm2d(16), nn.BatchNorm2d(16)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.norms[0](self.stem(x))), 2)
        x = F.relu(self.norms[1](self.conv(x)) + x)
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))  # type: ignore[no-any-return]


class Words(nn.Module):
    """A block of a transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Linear(32, 32) for _ in range(4))
        self.norms = nn.ModuleList(nn.LayerNorm(32) for _ in range(2))
        self.up, self.down = nn.Linear(32, 64), nn.Linear(64, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, _ = x.shape
        h = self.norms[0](x)
        q, k, v = (layer(h).view(batch, length, 4, 8).transpose(1, 2) for layer in self.projections[:3])
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, length, 32)
        x = x + self.projections[3](attended)
        return x + self.down(F.gelu(self.up(self.norms[1](x))))  # type: ignore[no-any-return]


def _x86(**options: bool) -> Any:
    return X86InductorQuantizer().set_global(get_default_x86_inductor_quantization_config(**options))


def _xnnpack(**options: bool) -> Any:
    return XNNPACKQuantizer().set_global(get_symmetric_quantization_config(**options))


QUANTIZERS: dict[str, Callable[[], Any]] = {
    "x86": _x86,
    "x86 of 7 bits": lambda: _x86(reduce_range=True),
    "xnnpack": lambda: _xnnpack(is_per_channel=True),
    "xnnpack by tensor": _xnnpack,
}
DYNAMIC: dict[str, Callable[[], Any]] = {
    "x86": lambda: _x86(is_dynamic=True),
    "xnnpack": lambda: _xnnpack(is_per_channel=True, is_dynamic=True),
}
SHAPES: dict[type[nn.Module], tuple[int, ...]] = {Images: (4, 3, 18, 18), Words: (4, 7, 32)}


def quantized(network: type[nn.Module], quantizer: Any) -> tuple[nn.Module, torch.export.ExportedProgram]:
    """A network calibrated and converted by PT2E, and its program for any batch."""
    example, dynamic = torch.randn(SHAPES[network]), ({0: torch.export.Dim.DYNAMIC},)
    module = network().eval()
    prepared = prepare_pt2e(torch.export.export(module, (example,), dynamic_shapes=dynamic).module(), quantizer)
    for _ in range(3):
        prepared(torch.randn(SHAPES[network]))
    converted = convert_pt2e(prepared)
    return converted, torch.export.export(converted, (example,), dynamic_shapes=dynamic)


def compare(converted: nn.Module, program: torch.export.ExportedProgram, network: type[nn.Module]) -> mm.Model:
    """The CPU backend, which may hand nothing over, against eager, in a batch of another size; gives the model."""
    x = torch.randn(3, *SHAPES[network][1:])
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(mm.parse(program))
    (mine,) = model.create_engine(threads=1).create_context().run({"x": x.numpy()}).values()
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(mine), converted(x), rtol=1e-5, atol=1e-5)
    return model


@pytest.mark.parametrize("network", SHAPES)
@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_networks_of_pt2e_run_on_integers(quantizer: str, network: type[nn.Module]) -> None:
    converted, program = quantized(network, QUANTIZERS[quantizer]())
    model = compare(converted, program, network)
    # The backend took every region whole: none was inlined for it.
    assert not {"mm.conv", "mm.linear", "mm.matmul", "mm.gemm"} & {placed.op for placed in model.report.placement}
    optimized = mm.parse(program)
    default_pipeline().run(optimized)
    kinds = Counter(str(operation.attributes.get("kind", operation.name)) for operation in optimized)
    if network is Images:
        assert (kinds["quantized_conv"], kinds["quantized_matmul"]) == (2, 1)
        assert not kinds["mm.quantize"] + kinds["mm.dequantize"] + kinds["conv"]
    else:
        assert kinds["quantized_matmul"] == 6
        assert not kinds["matmul"] + kinds["mm.linear"]


@pytest.mark.parametrize("network", SHAPES)
@pytest.mark.parametrize("quantizer", DYNAMIC)
def test_networks_of_pt2e_with_scales_chosen_while_running(quantizer: str, network: type[nn.Module]) -> None:
    compare(*quantized(network, DYNAMIC[quantizer]()), network)


@pytest.mark.parametrize(
    "config",
    [
        torchao.Int8WeightOnlyConfig(), torchao.Int8DynamicActivationInt8WeightConfig(),
        torchao.IntxWeightOnlyConfig(weight_dtype=torch.int4), torchao.Int8DynamicActivationIntxWeightConfig(),
        torchao.Float8WeightOnlyConfig(),
    ],
    ids=lambda config: type(config).__name__,
)  # fmt: skip
def test_weights_quantized_by_torchao(config: Any) -> None:
    module = nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 32)).eval()
    torchao.quantize_(module, config)
    x = torch.randn(5, 64)
    (mine,) = run(mm.parse(torch.export.export(module, (x,))), x)
    torch.testing.assert_close(torch.from_numpy(mine), module(x).detach(), rtol=1e-5, atol=1e-5)
