"""Open sizes: names and limits that the user gave, expressions, equal ones, sizes that follow from the data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from running import Function, build, check, run
from torch.export import Dim
from torch.nn import functional as F

import mm_core as mm
from mm_core.cli.build import command as mm_build
from mm_core.errors import InputError, ParseError


def exported(forward: Callable[..., Any], *tensors: torch.Tensor, **shapes: Any) -> torch.export.ExportedProgram:
    class Module(torch.nn.Module):
        pass

    Module.forward = forward  # type: ignore[assignment]
    return torch.export.export(Module(), tensors, dynamic_shapes=shapes)


def types(specs: Any) -> list[str]:
    return [str(spec.type) for spec in specs]


def add(self: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return x + y


def doubled(self: Any, x: torch.Tensor, y: torch.Tensor) -> Any:
    return x + y[::2], y + 1


# --- names and limits -------------------------------------------------------------------------------------------------


def test_names_and_limits_of_dim_are_those_of_the_network_and_are_checked() -> None:
    rows = Dim("rows", min=3, max=32)
    program = exported(doubled, torch.ones(4, 3), torch.ones(8, 3), x={0: rows}, y={0: 2 * rows})
    network = mm.parse(program)
    assert types(network.inputs) == ['tensor<?x3xf32, ["rows"]>', 'tensor<?x3xf32, ["2*rows"]>']
    assert types(network.output_specs) == ['tensor<?x3xf32, ["rows"]>', 'tensor<?x3xf32, ["2*rows"]>']
    assert network.dim_range == {"rows": (3, 32)}
    context = build(network).create_engine().create_context()

    def request(x: int, y: int) -> list[tuple[int, ...]]:
        feed = {"x": np.zeros((x, 3), np.float32), "y": np.zeros((y, 3), np.float32)}
        return [result.shape for result in context.run(feed).values()]

    assert request(5, 10) == [(5, 3), (10, 3)]
    with pytest.raises(InputError, match=r"2\*rows is 10 here, the size is 9"):
        request(5, 9)
    with pytest.raises(InputError, match="rows is 40, the model was built for 3 to 32"):
        request(40, 80)


def test_sizes_that_must_be_equal_are_one_name_and_are_checked() -> None:
    both = {0: Dim.AUTO, 1: Dim.AUTO}
    program = exported(add, torch.ones(4, 3), torch.ones(4, 3), x=both, y=both)
    network = mm.parse(program, input_shapes={"x": ("N", "C")})
    assert set(types(network.inputs)) == {'tensor<?x?xf32, ["N", "C"]>'}
    context = build(network).create_engine().create_context()
    for rows in (0, 1, 5):
        ones = np.ones((rows, 2), np.float32)
        assert context.run({"x": ones, "y": ones})["output"].shape == (rows, 2)
    with pytest.raises(InputError, match="N is 5 here, the size is 6"):
        context.run({"x": np.ones((5, 2), np.float32), "y": np.ones((6, 2), np.float32)})


def test_a_file_keeps_limits_but_not_names_which_can_be_given_again(tmp_path: Path) -> None:
    path = tmp_path / "add.pt2"
    rows = Dim("rows", max=64)
    torch.export.save(exported(add, torch.ones(4, 3), torch.ones(4, 3), x={0: rows}, y={0: rows}), path)
    network = mm.parse(path, input_shapes={"x": ("rows", 3)})
    assert set(types(network.inputs)) == {'tensor<?x3xf32, ["rows"]>'}
    assert network.dim_range == {"rows": (0, 64)}
    for options, shown in (([], ": 0 to 64"), (["--input_dims", "x=7,3 y=7,3"], "float32 7x3")):
        arguments = [str(path), *options, "-o", str(tmp_path / "add.mm")]
        done = CliRunner().invoke(mm_build, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        assert shown in done.output


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"x": (16, 3), "y": (30, 3)}, "says both 16 and 15 of one size"),
        ({"y": (31, 3)}, r"exported for the size 2\*rows, input_shapes says 31"),
        ({"x": (16, 4)}, "exported for the size 3, input_shapes says 4"),
        ({"y": (66, 3)}, "sets s.* to 33, the program was exported for 3 to 32"),
        ({"y": ("M", 3)}, r"exported for the size 2\*rows, input_shapes says M"),
        ({"x": (3,)}, "input_shapes gives 1 sizes, the program has 2"),
    ],
)
def test_shapes_that_contradict_the_program_are_refused(shapes: Any, message: str) -> None:
    rows = Dim("rows", min=3, max=32)
    program = exported(doubled, torch.ones(4, 3), torch.ones(8, 3), x={0: rows}, y={0: 2 * rows})
    with pytest.raises(ParseError, match=message):
        mm.parse(program, input_shapes=shapes)
    assert types(mm.parse(program, input_shapes={"y": (16, 3)}).inputs) == ["tensor<8x3xf32>", "tensor<16x3xf32>"]


def test_a_size_inside_an_expression_can_be_set() -> None:
    half = Dim("half", max=16)
    program = exported(lambda self, x: F.pixel_unshuffle(x, 2), torch.ones(1, 3, 8, 8), x={2: 2 * half, 3: 2 * half})
    assert types(mm.parse(program, input_shapes={"x": (1, 3, 16, 16)}).output_specs) == ["tensor<1x12x8x8xf32>"]


def test_examples_of_size_one_cannot_stay_open() -> None:
    with pytest.raises(ParseError, match=r"the example has the size 1.*open sizes are 2 or more"):
        mm.parse(torch.nn.ReLU(), example_inputs=(torch.ones(1, 3),), input_shapes={"input": ("N", 3)})


# --- sizes that follow from the data ----------------------------------------------------------------------------------

COUNTS = torch.tensor([1, 0, 2]), torch.tensor([4, 1, 0])
ROWS = torch.arange(12.0).reshape(3, 4) - 5


def bounded(self: Any, x: torch.Tensor, counts: torch.Tensor) -> Any:
    total = counts.sum().item()
    torch._check(total >= 0)
    torch._check(total <= 100)
    return torch.zeros(total) + 1, torch.full((total, 2), 3), torch.arange(total) * 2


FROM_DATA: dict[str, Callable[..., Any]] = {
    "nonzero": lambda self, x, counts: (torch.nonzero(x > 0), torch.nonzero(counts, as_tuple=True)),
    "mask": lambda self, x, counts: (x[x > 0], x[counts > 0], x[x > 0].sum(), torch.cat([x[x > 0], x[x < 0]])),
    "masked_select": lambda self, x, counts: torch.masked_select(x, (counts > 0)[:, None]),
    "repeat_interleave": lambda self, x, counts: (x.repeat_interleave(counts, dim=0), counts.repeat_interleave(counts)),
    "unique": lambda self, x, counts: torch.unique(counts, return_inverse=True, return_counts=True),
    "unique_slices": lambda self, x, counts: torch.unique(x > 0, return_inverse=True, return_counts=True, dim=1),
    "runs": lambda self, x, counts: torch.unique_consecutive(x > 0, return_inverse=True, return_counts=True),
    "item": bounded,
    "sorted": lambda self, x, counts: x[x > 0].sort(descending=True)[0],
}


@pytest.mark.parametrize("name", FROM_DATA)
def test_sizes_from_data(name: str) -> None:
    check(Function(FROM_DATA[name]), (ROWS, COUNTS[0]), None, (ROWS.flip(1) - 1, COUNTS[1]))


def test_nothing_may_be_found() -> None:
    network = mm.parse(Function(FROM_DATA["mask"]), example_inputs=(ROWS, COUNTS[0]))
    found = run(network, torch.full((3, 4), -1.0), torch.zeros(3, dtype=torch.int64))
    assert [result.shape for result in found] == [(0,), (0, 4), (), (12,)]
