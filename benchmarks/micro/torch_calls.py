"""mm inside PyTorch: what a call costs beside the network itself, and beside other backends of torch.compile."""

from __future__ import annotations

import importlib.util
from typing import Any

from benchmarks.micro.figures import Figure, in_turn

BACKENDS = ("eager", "inductor", "mm")


def measure() -> list[Figure]:
    """Nothing where PyTorch is not installed. One thread: what is measured is Python."""
    if importlib.util.find_spec("torch") is None:
        return []
    import torch
    from torch import nn

    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        layers = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
        many = nn.Sequential(*(nn.Linear(8, 8) for _ in range(100))).eval()
        with torch.no_grad():
            return [*_calls("two small layers", layers), *_calls("100 small layers", many)]
    finally:
        torch.set_num_threads(threads)


def _calls(label: str, module: Any) -> list[Figure]:
    import torch

    x = torch.randn(2, 8)
    calls = {"PyTorch": module}
    calls |= {f"torch.compile, {backend}": torch.compile(module, backend=backend) for backend in BACKENDS}
    took = in_turn({name: lambda call=call: call(x) for name, call in calls.items()}, repeats=100)
    return [Figure(f"{label}, {name}", 1e6 * seconds, unit="us") for name, seconds in took.items()]
