"""PyTorch eager, in inference mode."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.request import Inputs, Request, Runner
from tests.zoo import catalog


def version() -> str:
    return torch.__version__


def runner(module: torch.nn.Module) -> Runner:
    """Call `module` with numpy inputs; sharing memory with numpy costs nothing measurable."""

    def run(inputs: Inputs) -> list[np.ndarray]:
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
            return [output.numpy() for output in module(**tensors, return_dict=False)]

    return run


def load(request: Request) -> Runner:
    torch.set_num_threads(request.threads)
    return runner(catalog.module(request.model, request.small))
