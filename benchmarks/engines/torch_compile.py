"""torch.compile with our engine as its backend: what PyTorch's own users type."""

from __future__ import annotations

import torch

from benchmarks.engines.ours import version
from benchmarks.engines.pytorch import runner
from benchmarks.request import Request, Runner
from tests.zoo import catalog

__all__ = ["load", "version"]


def load(request: Request) -> Runner:
    module = catalog.module(request.model, request.small)
    run = runner(torch.compile(module, backend="mm", options={"threads": request.threads}, fullgraph=True))
    run(request.inputs())  # compiles
    return run
