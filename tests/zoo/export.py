"""From a torch module to an ONNX file, with either of PyTorch's two exporters."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

EXPORTERS = ("dynamo", "script")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporters' progress lines and warnings out of test output."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)


def to_onnx(
    module: torch.nn.Module,
    inputs: dict[str, np.ndarray],
    axes: dict[str, dict[int, str]],
    path: Path,
    exporter: str,
    opset: int,
    optimize: bool,
) -> None:
    """Write `module` to `path`; `axes` names the dynamic dimensions of each input (empty: all static)."""
    import torch

    class Positional(torch.nn.Module):
        """Takes tensors by position and returns a plain tuple, which both exporters understand."""

        def __init__(self, wrapped: torch.nn.Module) -> None:
            super().__init__()
            self.wrapped = wrapped

        def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return self.wrapped(**dict(zip(inputs, values, strict=True)), return_dict=False)

    wrapped = Positional(module).eval()
    values = tuple(torch.from_numpy(value) for value in inputs.values())
    with torch.no_grad():
        count = len(wrapped(*values))
    names = {"input_names": list(inputs), "output_names": [f"output_{index}" for index in range(count)]}
    with quiet(), torch.no_grad():
        if exporter == "dynamo":
            shapes = {"values": tuple(dict(axes.get(name, {})) for name in inputs)} if axes else None
            torch.onnx.export(
                wrapped,
                values,
                path,
                dynamo=True,
                opset_version=opset,
                external_data=False,
                optimize=optimize,
                dynamic_shapes=shapes,
                **names,
            )
        elif exporter == "script":
            torch.onnx.export(
                wrapped,
                values,
                path,
                dynamo=False,
                opset_version=opset,
                dynamic_axes=axes or None,
                do_constant_folding=optimize,
                # In PRESERVE mode (the module is in evaluation mode already) batch norms are not folded away.
                training=torch.onnx.TrainingMode.EVAL if optimize else torch.onnx.TrainingMode.PRESERVE,
                **names,
            )
        else:
            raise ValueError(f"unknown exporter {exporter!r}; there are {', '.join(EXPORTERS)}")
