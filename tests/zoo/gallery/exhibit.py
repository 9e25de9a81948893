"""One exported model: how its file is made, and inputs of several sizes to run it on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from tests.zoo import cache, catalog
from tests.zoo.export import quiet

if TYPE_CHECKING:
    import torch

Inputs = dict[str, np.ndarray]
Axes = Mapping[str, Sequence[str | None]]
"""Names of an input's dimensions: those that stay open, None for one that is fixed."""
FILE = "model.onnx"


@dataclass(frozen=True)
class Exhibit:
    """A model by name. `make(folder)` writes FILE into the folder; `runs()` gives inputs, each of another size."""

    name: str
    make: Callable[[Path], None]
    runs: Callable[[], Sequence[Inputs]]
    expects: tuple[str, ...] = ()
    """ONNX operators without which the file would not test what it is here for."""


def obtain(exhibit: Exhibit) -> Path:
    """The exhibit's file, made on first use and again when the gallery changes."""
    sources = [*catalog.SOURCES, *map(str, sorted(Path(__file__).parent.glob("*.py")))]
    digest = cache.fingerprint(sources)
    return cache.obtain(f"gallery-{exhibit.name}-{digest}", exhibit.make) / FILE


def operators(path: Path) -> set[str]:
    """The ONNX operators of a file, those in branches and bodies included."""

    def within(graph: onnx.GraphProto) -> set[str]:
        inner = [attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")]
        return {node.op_type for node in graph.node}.union(*map(within, inner))

    return within(onnx.load(path, load_external_data=False).graph)


def exported(
    name: str,
    module: Callable[[], torch.nn.Module],
    inputs: Callable[[np.random.Generator, int, int], Inputs],
    sizes: Sequence[tuple[int, int]],
    axes: Axes,
    exporter: str,
    opset: int,
    expects: tuple[str, ...] = (),
) -> Exhibit:
    """A torch module written by one of its two exporters.

    The module is one of `modules.only`. `inputs` makes its inputs from a batch and a length; the first of `sizes` is
    what the exporter sees.
    """

    def runs() -> list[Inputs]:
        return [inputs(np.random.default_rng(index), *size) for index, size in enumerate(sizes)]

    def make(folder: Path) -> None:
        import torch

        torch.manual_seed(0)
        write(module().eval(), runs()[0], axes, folder / FILE, exporter, opset)

    return Exhibit(f"{name}-{exporter}-{opset}", make, runs, expects)


def write(module: torch.nn.Module, inputs: Inputs, axes: Axes, path: Path, exporter: str, opset: int) -> None:
    """Export a module that is in evaluation mode."""
    import torch

    values = tuple(map(torch.from_numpy, inputs.values()))
    with torch.no_grad():
        count = len(module(*values))
    named: dict[str, Any] = {"input_names": list(inputs), "output_names": [f"output_{index}" for index in range(count)]}
    opened = {name: {place: dim for place, dim in enumerate(axes.get(name, ())) if dim} for name in inputs}
    with quiet(), torch.no_grad():
        if exporter == "script":
            torch.onnx.export(module, values, path, dynamo=False, opset_version=opset, dynamic_axes=opened, **named)
        else:
            shapes = (tuple(dict.fromkeys(places, torch.export.Dim.DYNAMIC) for places in opened.values()),)
            torch.onnx.export(
                module, values, path, dynamo=True, opset_version=opset, dynamic_shapes=shapes, external_data=False,
                **named,
            )  # fmt: skip
