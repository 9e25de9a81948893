"""torch.compile(backend="mm"): open sizes, numbers, element types, and how often anything is compiled."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch
from compiling import assert_equal, check, compiled, fresh, latest
from mm_parser_torch.backend import CompileReport, reports
from torch import nn

__all__ = ["fresh"]


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(2)).eval()


class Watch:
    """Graphs and engines that are made from here on."""

    def __init__(self) -> None:
        self.before = list(map(id, reports()))

    @property
    def fresh(self) -> list[CompileReport]:
        return [report for report in reports() if id(report) not in self.before]

    @property
    def graphs(self) -> int:
        return len(self.fresh)

    @property
    def engines(self) -> int:
        return sum(report.builds for report in self.fresh)


@pytest.mark.parametrize(("dynamic", "graphs"), [(None, 2), (True, 1), (False, 3)])
def test_graphs_are_compiled_as_pytorch_asks(dynamic: bool | None, graphs: int) -> None:
    module, watch = network(), Watch()
    fast = compiled(module, dynamic=dynamic)
    for _ in range(2):
        for batch in (2, 3, 4):
            x = torch.randn(batch, 3, 8, 8)
            assert_equal(fast(x), module(x))
    assert (watch.graphs, watch.engines) == (graphs, graphs)


def test_marked_sizes_are_open_from_the_start() -> None:
    module, watch = network(), Watch()
    fast = compiled(module)
    for batch in (2, 7, 9):
        x = torch.randn(batch, 3, 8, 8)
        torch._dynamo.mark_dynamic(x, 0)
        assert_equal(fast(x), module(x))
    assert (watch.graphs, watch.engines) == (1, 1)


def test_the_second_call_compiles_nothing() -> None:
    module = network()
    fast, x = compiled(module, fullgraph=True), torch.randn(2, 3, 8, 8)
    fast(x)
    watch = Watch()
    torch._dynamo.utils.counters.clear()
    with torch.compiler.set_stance("fail_on_recompile"):
        assert_equal(fast(x + 1), module(x + 1))
    assert watch.graphs == 0
    assert latest().builds == 1
    assert not torch._dynamo.utils.counters["aot_autograd"]


def test_a_reset_forgets() -> None:
    module, watch = network(), Watch()
    fast, x = compiled(module), torch.randn(2, 3, 8, 8)
    for _ in range(2):
        assert_equal(fast(x), module(x))
        torch._dynamo.reset()
    assert watch.engines == 2


def joined(x: torch.Tensor, y: torch.Tensor) -> Any:
    both = torch.cat([x, y])
    return both.view(-1, 2, x.shape[1] // 2).sum(1), both.shape[0], x.new_zeros(x.shape[0]), both.expand(2, -1, -1)[0]


def test_arithmetic_of_sizes() -> None:
    fast = compiled(joined, dynamic=True)
    for rows in (2, 4, 6):
        x, y = torch.randn(rows, 4), torch.randn(2 * rows, 4)
        assert_equal(fast(x, y), joined(x, y))


def scaled(x: torch.Tensor, n: Any) -> Any:
    return x * n + n


@pytest.mark.parametrize("dynamic", [None, True])
def test_numbers(dynamic: bool | None) -> None:
    fast, x = compiled(scaled, dynamic=dynamic), torch.randn(3)
    for number in (1.5, 2.5, 2, 3, 4, True, np.float32(2.5), np.int64(3)):
        assert_equal(fast(x, number), scaled(x, number))


def test_tensors_without_axes_and_without_elements() -> None:
    check(lambda x, y: (x * y, x.sum(), (x > y).any()), torch.tensor(2.0), torch.tensor(3.0))
    check(lambda x, y: x * y, torch.randn(3), torch.tensor(3))
    check(lambda x: (x.sum(0), x + 1), torch.zeros(0, 3))
    check(lambda: torch.arange(4) * 2)
    check(lambda x: (torch.tensor(3.0) * x, torch.tensor([1, 2]), None, 5), torch.randn(3))


TYPES = (torch.float64, torch.float16, torch.bfloat16, torch.int32, torch.uint8, torch.bool)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_element_types(dtype: torch.dtype) -> None:
    report = check(lambda x: (x.t().contiguous(), torch.cat([x, x]), x == x.t()), (torch.randn(4, 4) * 3).to(dtype))
    assert report.parts == 1


def test_doubles_stay_exact() -> None:
    check(nn.Linear(32, 32).double(), torch.randn(4, 32, dtype=torch.float64), tolerance=1e-12)


@pytest.mark.parametrize("outside", [True, False])
def test_autocast(outside: bool) -> None:
    layers, x = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4)), torch.randn(4, 16)

    def inside(x: torch.Tensor) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return layers(x)

    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=outside):
        report = check(layers if outside else inside, x, tolerance=2e-2)
    assert (report.parts, report.left) == (1, [])


def test_sizes_that_data_tell() -> None:
    def chosen(x: torch.Tensor) -> Any:
        return x.nonzero().contiguous(), x[x > 0] * 2

    def counted(x: torch.Tensor, i: torch.Tensor) -> Any:
        n = i.item()
        torch._check(n >= 0)
        torch._check(n <= x.shape[0])
        return x[:n] * 2

    with torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True, capture_scalar_outputs=True):
        fast = compiled(chosen, fullgraph=True)
        for _ in range(3):
            x = torch.randn(7, 2)
            assert_equal(fast(x), chosen(x))
        fast = compiled(counted, fullgraph=True)
        for n in (3, 0, 6):
            assert_equal(fast(torch.arange(6.0), torch.tensor(n)), torch.arange(6.0)[:n] * 2)


def test_nested_arguments_and_results() -> None:
    def nested(d: dict[str, Any]) -> Any:
        return {"a": d["x"] + 1, "b": [d["x"].shape[0], None, (d["x"].mean(), d["y"][0] * 2)]}

    check(nested, {"x": torch.randn(3), "y": (torch.randn(2),)})


def test_a_part_of_a_model_and_several_models() -> None:
    layers, x = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)), torch.randn(3, 4)
    expected = layers(x)
    layers[0] = compiled(layers[0])
    layers[2].compile(backend="mm")
    for _ in range(2):
        assert_equal(layers(x), expected)
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    one, other = compiled(first), compiled(second)
    for _ in range(2):
        assert_equal(other(one(x)), second(first(x)))


def test_threads_with_different_sizes() -> None:
    module = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    fast, failures = compiled(module, dynamic=True), []
    fast(torch.randn(2, 8))

    def work(number: int) -> None:
        try:
            with torch.no_grad():
                for turn in range(40):
                    x = torch.randn(2 + (number + turn) % 3, 8)
                    assert_equal(fast(x), module(x))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert latest().builds == 1


def test_as_many_threads_as_pytorch_has() -> None:
    import gc

    from mm_parser_torch.part import Part

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        compiled(nn.Linear(4, 4))(torch.randn(2, 4))
    finally:
        torch.set_num_threads(before)
    (part,) = (item for item in gc.get_objects() if type(item) is Part and item.report is latest())
    assert part._session is not None
    assert part._session.engine.threads == 1
