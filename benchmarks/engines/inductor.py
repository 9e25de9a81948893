"""torch.compile with Inductor, weights frozen into the graph: its fastest documented setting on CPUs."""

from __future__ import annotations

import torch
import torch._inductor.config

from benchmarks.engines.pytorch import runner, version
from benchmarks.request import Request, Runner
from tests.zoo import catalog

__all__ = ["load", "version"]


def load(request: Request) -> Runner:
    torch.set_num_threads(request.threads)
    torch._inductor.config.freezing = True
    run = runner(torch.compile(catalog.module(request.model, request.small)))
    run(request.inputs())  # compiles
    return run
