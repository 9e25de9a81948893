"""torch.compile(backend="mm"): whose memory results, arguments and parameters are, and how they lie in it."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from compiling import assert_equal, check, compiled, fresh, kinds, latest
from mm_parser_torch.layout import inverse, memory_order
from mm_parser_torch.part import Part
from torch import nn

__all__ = ["fresh"]

CHANNELS_LAST = torch.channels_last


# --- memory orders ----------------------------------------------------------------------------------------------------


def convolutions() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3)).eval()


@pytest.mark.parametrize("dynamic", [None, True])
def test_channels_last_stays_channels_last(dynamic: bool | None) -> None:
    network, image = convolutions().to(memory_format=CHANNELS_LAST), torch.randn(2, 3, 16, 16)
    report = check(network, image.to(memory_format=CHANNELS_LAST), dynamic=dynamic)
    assert (report.parts, report.left) == (1, [])


def test_pytorch_reads_our_results_by_the_strides_that_it_traced() -> None:
    network = convolutions().to(memory_format=CHANNELS_LAST)

    def flat_rows(image: torch.Tensor) -> Any:
        y = network(image)
        rows = y.permute(0, 2, 3, 1).view(2, -1)  # legal in this memory order alone
        return y, rows, torch.linalg.svdvals(rows)

    report = check(flat_rows, torch.randn(2, 3, 16, 16).to(memory_format=CHANNELS_LAST))
    assert "aten._linalg_svd.default" in kinds(report)


def strided(base: torch.Tensor) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    return {
        "transposed": (base[:24].view(6, 4).t(), base[24:48].view(4, 6)),
        "expanded": (base[:24].view(4, 6), base[:6].expand(4, 6)),
        "with gaps": (base[:96].view(8, 12)[::2, ::2], base[:28].view(4, 7)[:, 1:]),
        "overlapping": (base.as_strided((4, 6), (1, 2)), base.as_strided((4, 6), (2, 1))),
        "not aligned": (base[1:25].view(4, 6), base[3:27].view(4, 6)),
    }


@pytest.mark.parametrize("name", strided(torch.empty(96)))
def test_arguments_lie_anyhow(name: str) -> None:
    one, other = strided(torch.randn(96))[name]
    fast = compiled(lambda x, y: (x + y, x @ y.t()))
    for _ in range(2):
        assert_equal(fast(one, other), (one + other, one @ other.t()))


def test_memory_order_is_that_of_dense_tensors() -> None:
    image = torch.empty(2, 3, 4, 5)
    assert memory_order(image) == (0, 1, 2, 3)
    assert memory_order(image.to(memory_format=CHANNELS_LAST)) == (0, 2, 3, 1)
    assert memory_order(image[:, :, ::2]) == (0, 1, 2, 3)
    assert memory_order(torch.empty(4).expand(3, 4)) == (0, 1)
    turned = torch.empty(2, 1, 4, 5).permute(3, 1, 0, 2)
    order = memory_order(turned)
    assert turned.permute(order).is_contiguous()
    assert turned.permute(order).permute(inverse(order)).stride() == turned.stride()


# --- aliases ----------------------------------------------------------------------------------------------------------


def sine_and_views(x: torch.Tensor) -> Any:
    y = x.sin()
    return y, y.view(-1), y.t(), y.split(2), y


def test_results_that_share_memory_in_eager_share_it() -> None:
    check(sine_and_views, torch.randn(4, 2))
    whole, flat, turned, (first, _), again = compiled(sine_and_views)(torch.randn(4, 2))
    flat[0] = 7
    first[0, 1] = 8
    assert whole[0].tolist() == [7, 8]
    assert turned[1, 0] == 8
    assert again is whole
    assert latest().parts == 1


def test_views_of_arguments_are_views() -> None:
    def views(x: torch.Tensor) -> Any:
        return x.view(-1), x, x[0], x.split(2), x.reshape(-1), x.detach(), x + 1

    x = torch.randn(4, 2)
    flat, same, row, (head, _), reshaped, detached, _ = compiled(views)(x)
    assert same is x
    assert all(view.data_ptr() == x.data_ptr() for view in (flat, row, head, reshaped, detached))


def test_results_belong_to_the_caller() -> None:
    weight = torch.ones(3)
    fast = compiled(lambda x: (weight * 2, weight, x * 1))
    for _ in range(2):
        doubled, same, y = fast(torch.ones(3))
        assert doubled.tolist() == [2, 2, 2]
        assert same is weight
        doubled.add_(5)
        y.zero_()


# --- what a graph changes ---------------------------------------------------------------------------------------------


def changed_both(x: torch.Tensor, y: torch.Tensor) -> Any:
    x.add_(1)
    y[1:].mul_(x[1:])
    return x + y


def test_arguments_are_changed_in_place() -> None:
    report = check(changed_both, torch.randn(4), torch.randn(4))
    assert (report.parts, report.left) == (1, [])
    check(lambda x: x.t_() + 1, torch.randn(2, 3), calls=1)
    base, theirs = torch.arange(4.0), torch.arange(4.0)
    fast = compiled(added_to)
    for _ in range(3):  # one memory under two names
        assert_equal(fast(base, base), added_to(theirs, theirs))
        assert_equal(base, theirs)


def added_to(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    x.add_(1)
    return x * y


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)
        self.total: torch.Tensor
        self.register_buffer("total", torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.total.add_(x.sum(0))
        return self.norm(self.layer(x)) + self.total


def test_buffers_that_a_graph_changes_cost_no_build() -> None:
    report = check(Counting().train(), torch.randn(3, 4), calls=5)
    assert report.builds == 1
    report = check(Counting().eval(), torch.randn(3, 4), calls=5)
    assert report.builds == 1


# --- parameters -------------------------------------------------------------------------------------------------------


def through_data(layer: nn.Linear) -> None:
    layer.weight.data.mul_(2)


def other_memory(layer: nn.Linear) -> None:
    layer.weight.data = torch.randn(3, 4)


def other_parameter(layer: nn.Linear) -> None:
    layer.weight = nn.Parameter(torch.randn(3, 4))


def loaded(layer: nn.Linear) -> None:
    layer.load_state_dict({"weight": torch.randn(3, 4), "bias": torch.randn(3)})


def through_numpy(layer: nn.Linear) -> None:
    layer.bias.detach().numpy()[:] = 5


def counted(layer: nn.Linear) -> None:
    layer.weight[1:].mul_(3)


CHANGES: tuple[Callable[[nn.Linear], None], ...] = (
    through_data, other_memory, other_parameter, loaded, through_numpy, counted,
)  # fmt: skip


@pytest.mark.parametrize("inference", [False, True])
def test_changed_parameters_are_seen(inference: bool) -> None:
    with torch.inference_mode() if inference else torch.no_grad():
        layer, x = nn.Linear(4, 3), torch.randn(2, 4)
        fast = compiled(layer)
        for change in CHANGES:
            for _ in range(20):
                fast(x)
            change(layer)
            assert_equal(fast(x), layer(x))
    assert latest().builds > 1


def test_memory_of_a_dropped_parameter_is_not_taken_for_it() -> None:
    layer, x = nn.Linear(64, 64), torch.randn(2, 64)
    fast = compiled(layer)
    for _ in range(4):
        fast(x)
        layer.weight.data = torch.randn(64, 64)
        gc.collect()
        layer.weight.data = torch.randn(64, 64)  # may get the memory that was given back
        assert_equal(fast(x), layer(x))


def test_parameters_that_keep_changing_become_inputs() -> None:
    layer, x = nn.Linear(4, 3), torch.randn(2, 4)
    fast = compiled(layer)
    for _ in range(12):
        layer.weight.mul_(1.1)
        assert_equal(fast(x), layer(x))
    assert latest().builds == 3


def test_parameters_are_built_in_again_after_many_calls() -> None:
    layer, x = nn.Linear(4, 3), torch.randn(2, 4)
    fast = compiled(layer)
    for _ in range(4):
        for _ in range(20):
            fast(x)
        layer.weight.mul_(1.1)
    assert_equal(fast(x), layer(x))
    assert latest().builds == 5


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(1024, 64), nn.Linear(64, 1024, bias=False)
        self.head.weight = self.table.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.table(tokens))


def test_parameters_are_shared_with_the_engine() -> None:
    """What kernels read as PyTorch has it is read there; weights of products lie in the kernels' own order, once."""
    module = Tied()
    check(module, torch.tensor([1, 2, 3]))
    (part,) = (item for item in gc.get_objects() if type(item) is Part and item.report is latest())
    assert part._session is not None
    (loaded_part,) = part._session.engine.parts
    constants: list[np.ndarray[Any, Any]] = loaded_part.program.constants  # type: ignore[attr-defined]
    addresses = {array.ctypes.data for array in constants}
    assert module.table.weight.data_ptr() in addresses
    table = module.table.weight.nbytes
    own = sum(array.nbytes for array in constants if array.ctypes.data not in _addresses(module))
    assert table <= own < table + 4096  # the head's copy in its kernel's order
    in_model = {data.numpy().ctypes.data for data in part._session.engine.model.executables[0].constants}
    assert {array.ctypes.data for array in constants if array.nbytes >= 4096} <= in_model  # and no second one


def _addresses(module: nn.Module) -> set[int]:
    return {tensor.data_ptr() for tensor in module.state_dict().values()}
