"""Sources, names, sizes, weights and errors of the parser."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from running import Function, check, run
from torch import nn

import mm_core as mm
from mm_core.errors import ParseError, UnsupportedOpError
from mm_core.types import symbol


class Block(nn.Module):
    """Two layers with parts that can be told apart."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        self.register_buffer("offset", torch.arange(3.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x) + self.offset


@pytest.fixture
def block() -> Block:
    torch.manual_seed(0)
    return Block()


# --- sources ----------------------------------------------------------------------------------------------------------


def test_a_program_a_file_and_a_module_give_the_same(block: Block, tmp_path: Path) -> None:
    x = torch.randn(2, 4)
    program = torch.export.export(block, (x,))
    torch.export.save(program, tmp_path / "block.pt2")
    sources = ((program, None), (tmp_path / "block.pt2", None), (block, (x,)))
    networks = [mm.parse(source, example_inputs=example) for source, example in sources]
    assert len({str(network).partition("name = ")[0] for network in networks}) == 1
    (result,) = run(mm.parse(tmp_path / "block.pt2"), x)
    np.testing.assert_allclose(result, block(x).detach(), rtol=1e-6)


@pytest.mark.parametrize("make", [torch.jit.script, lambda m: torch.jit.trace(m, torch.randn(2, 4))])
def test_torchscript_goes_through_the_frameworks_converter(block: Block, tmp_path: Path, make: Any) -> None:
    x = torch.randn(2, 4)
    make(block.eval()).save(tmp_path / "block.pt")
    for given in ({"example_inputs": (x,)}, {"input_shapes": {"x": (2, 4)}}):
        (result,) = run(mm.parse(tmp_path / "block.pt", **given), x)
        np.testing.assert_allclose(result, block(x).detach(), rtol=1e-6)


class Trap:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_is_refused_and_not_loaded(tmp_path: Path, legacy: bool) -> None:
    path, trace = tmp_path / "model.pt", tmp_path / "it-ran"
    torch.save(Trap(trace), path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ParseError, match="pickle"):
        mm.parse(path, example_inputs=(torch.zeros(1),))
    assert not trace.exists()
    path.write_bytes(pickle.dumps(Trap(trace)))
    with pytest.raises(ParseError, match="pickle"):
        mm.parse(path)
    assert not trace.exists()


def test_files_that_are_nothing_say_so(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(b"hello")
    with pytest.raises(ParseError, match="no archive"):
        mm.parse(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ParseError, match="no archive of PyTorch that has a graph"):
        mm.parse(path)


def test_a_module_needs_inputs_that_fit(block: Block) -> None:
    with pytest.raises(ParseError, match="example_inputs"):
        mm.parse(block)
    with pytest.raises(ParseError, match="do not fit forward"):
        mm.parse(block, example_inputs={"z": torch.zeros(1)})
    with pytest.raises(ParseError, match="takes no example_inputs"):
        mm.parse(torch.export.export(block, (torch.zeros(2, 4),)), example_inputs=(1,))
    with pytest.raises(ParseError, match="no option 'colour'"):
        mm.parse(block, example_inputs=(torch.zeros(2, 4),), colour=1)


def test_the_module_is_as_before(block: Block) -> None:
    block.train()
    block.layers[1].eval()
    mm.parse(block, example_inputs=(torch.zeros(2, 4),))
    assert [part.training for part in block.layers] == [True, False, True]


# --- names ------------------------------------------------------------------------------------------------------------


def test_nested_arguments_and_results_are_flat_with_their_paths_as_names() -> None:
    class Nested(nn.Module):
        def forward(self, x: Any, *, extra: Any) -> Any:
            return {"sum": x[0] + x[1]["b"], "pair": (x[0] * extra[0], extra[1])}

    x, extra = (torch.ones(2), {"b": torch.full((2,), 2.0)}), [torch.full((2,), 3.0), torch.full((2,), 4.0)]
    network = mm.parse(Nested(), example_inputs=((x,), {"extra": extra}))
    assert [spec.name for spec in network.inputs] == ["x_0", "x_1_b", "extra_0", "extra_1"]
    assert [spec.name for spec in network.output_specs] == ["sum", "pair.0", "pair.1"]
    assert [result.tolist() for result in run(network, x, extra)] == [[3, 3], [3, 3], [4, 4]]


def test_every_operation_is_where_the_users_module_is(block: Block) -> None:
    network = mm.parse(block, example_inputs=(torch.zeros(2, 4),))
    places = {(op.name, place.name) for op in network for place in op.locations if op.name != "mm.constant"}
    assert ("mm.linear", "layers.0") in places
    assert ("mm.relu", "layers.1") in places
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"])).build(network)
    assert any("layers.0" in record.node for record in model.report.placement)


def test_all_that_is_unsupported_is_told_at_once() -> None:
    def forward(self: Any, x: torch.Tensor) -> Any:
        return torch.linalg.eigvalsh(self.first(x)), torch.linalg.svd(self.second(x)), torch.linalg.svd(x)

    module = Function(forward, first=nn.Linear(4, 4), second=nn.Linear(4, 4))
    with pytest.raises(UnsupportedOpError) as caught:
        mm.parse(module, example_inputs=(torch.randn(4, 4),))
    text = str(caught.value)
    assert "2 operators" in text
    assert "_linalg_eigh" in text
    assert "_linalg_svd.default: 2x" in text
    assert "torch.compile" in text


# --- sizes ------------------------------------------------------------------------------------------------------------


def test_open_sizes_have_the_callers_names(block: Block) -> None:
    network = check(block, (torch.randn(2, 5, 4),), {"x": ("N", "S", 4)}, (torch.randn(3, 7, 4),))
    assert str(network.inputs[0].type) == 'tensor<?x?x4xf32, ["N", "S"]>'
    assert str(network.output_specs[0].type) == 'tensor<?x?x3xf32, ["N", "S"]>'


def test_open_sizes_of_a_program_can_be_named_or_set(block: Block) -> None:
    size = torch.export.Dim("rows", max=64)
    program = torch.export.export(block, (torch.randn(2, 4),), dynamic_shapes={"x": {0: size}})
    assert mm.parse(program, input_shapes={"x": ("N", 4)}).output_specs[0].shape == (symbol("N"), 3)
    assert mm.parse(program, input_shapes={"x": (16, 4)}).output_specs[0].shape == (16, 3)
    assert mm.parse(program, input_shapes={"x": ("N", 4)}).dim_range == {"N": (0, 64)}
    with pytest.raises(ParseError, match="exported for the size 4"):
        mm.parse(program, input_shapes={"x": ("N", 5)})
    with pytest.raises(ParseError, match="input_shapes names y"):
        mm.parse(program, input_shapes={"y": (2, 4)})


def test_sizes_that_are_computed_follow_the_request() -> None:
    def forward(self: Any, x: torch.Tensor) -> Any:
        rows, columns = x.shape[0], x.shape[1]
        return x.reshape(rows * columns), x[: rows // 2], torch.zeros(rows, columns + 1) + torch.arange(columns + 1)

    check(Function(forward), (torch.randn(4, 6),), None)
    network = mm.parse(Function(forward), example_inputs=(torch.randn(4, 6),), dynamic_shapes={"x": {0: D, 1: D}})
    x = torch.randn(7, 3)
    for mine, theirs in zip(run(network, x), forward(None, x)):
        np.testing.assert_array_equal(mine, theirs)


D = torch.export.Dim.DYNAMIC


def test_sizes_that_follow_from_data() -> None:
    def forward(self: Any, x: torch.Tensor, count: torch.Tensor) -> Any:
        number = count.item()
        torch._check(number >= 0)
        torch._check(number <= x.shape[0])
        return x[x > 0], torch.nonzero(x > 1), x[:number] * 2, torch.zeros(number, 3)

    check(Function(forward), (torch.randn(5, 4), torch.tensor(2)), None, (torch.randn(5, 4), torch.tensor(4)))


# --- weights ----------------------------------------------------------------------------------------------------------


def test_parameters_are_shared_and_named(block: Block) -> None:
    network = mm.parse(block, example_inputs=(torch.zeros(2, 4),))
    weights = {op.attributes["value"].key: op.attributes["value"] for op in network if op.name == "mm.constant"}
    data = weights["layers.0.weight"]
    assert np.shares_memory(data.numpy(), block.layers[0].weight.detach().numpy())
    assert {"layers.0.bias", "layers.2.weight", "offset"} <= set(weights)


def test_tied_weights_are_one_constant() -> None:
    first, second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
    second.weight = first.weight
    module = Function(lambda self, x: self.second(self.first(x)), first=first, second=second)
    network = mm.parse(module, example_inputs=(torch.zeros(2, 4),))
    assert sum(op.name == "mm.constant" for op in network) == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_element_types_of_weights(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    check(nn.Linear(4, 3).to(dtype), (torch.randn(2, 4, dtype=dtype),), rtol=1e-2, atol=1e-2)


def test_weights_that_are_not_there_or_not_dense() -> None:
    with torch.device("meta"):
        empty = nn.Linear(4, 3)
    with pytest.raises(ParseError, match=r"meta|device"):
        mm.parse(empty, example_inputs=(torch.zeros(2, 4),))


# --- state ------------------------------------------------------------------------------------------------------------


def test_changes_in_place_become_values_and_changed_buffers_inputs_and_outputs() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.zeros(3))

        def forward(self, x: torch.Tensor) -> Any:
            y = x.clone()
            y[:, 1] = 7
            y[0] += 1
            y[y > 2] = 0
            y.relu_()
            view = y.view(-1)
            view[3:5].mul_(2)
            self.count.add_(1)
            return y, self.count + 1

    x = torch.randn(4, 3)
    network = mm.parse(Counter(), example_inputs=(x,))
    assert [spec.name for spec in network.inputs] == ["x", "count"]
    assert [spec.name for spec in network.output_specs] == ["output_0", "output_1", "count"]
    y, more, count = run(network, x, torch.full((3,), 5.0))
    expected, _ = Counter()(x)
    np.testing.assert_array_equal(y, expected)
    assert (more.tolist(), count.tolist()) == ([7.0] * 3, [6.0] * 3)


# --- quantization -----------------------------------------------------------------------------------------------------


def test_quantize_and_dequantize_equal_pt2e() -> None:
    import torch.ao.quantization.fx._decomposed  # registers the operators

    ops = torch.ops.quantized_decomposed
    scales, zeros = torch.tensor([0.1, 0.02, 0.3]), torch.tensor([0, 3, -2])

    def forward(self: Any, x: torch.Tensor) -> Any:
        whole = ops.quantize_per_tensor(x, 0.05, 10, 0, 255, torch.uint8)
        rows = ops.quantize_per_channel(x, self.scales, self.zeros, 0, -128, 127, torch.int8)
        back = ops.dequantize_per_channel(rows, self.scales, self.zeros, 0, -128, 127, torch.int8)
        return whole, ops.dequantize_per_tensor(whole, 0.05, 10, 0, 255, torch.uint8), rows, back

    module = Function(forward)
    module.register_buffer("scales", scales)
    module.register_buffer("zeros", zeros)
    check(module, (torch.randn(3, 50) * 4,), rtol=0, atol=0)
