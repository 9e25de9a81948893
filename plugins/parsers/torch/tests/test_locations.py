"""Every operation is called by the path of the user's own module: in errors, reports, profiles. Weights stay single."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import nn

import mm_core as mm
from mm_core.cli.run import command as mm_run
from mm_core.errors import UnsupportedOpError

MODULES = ("encoder.blocks.0.mix", "encoder.blocks.1.mix", "encoder.norm", "head.0")


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv1d(8, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.tanh(self.mix(x))


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])
        self.norm = nn.LayerNorm(5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.head = nn.Sequential(nn.Linear(5, 3), nn.Softmax(-1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(x))


@pytest.mark.parametrize("source", ["module", "file"])
def test_the_report_and_the_profile_name_modules(source: str, tmp_path: Path) -> None:
    x, path, trace = torch.randn(2, 8, 5), tmp_path / "net.mm", tmp_path / "trace.json"
    torch.export.save(torch.export.export(Net().eval(), (x,)), tmp_path / "net.pt2")
    network = mm.parse(tmp_path / "net.pt2") if source == "file" else mm.parse(Net(), example_inputs=(x,))
    model = mm.Builder().build(network)
    model.save(path)
    done = CliRunner().invoke(mm_run, [str(path), "--iterations", "2", "--trace_path", str(trace)])
    assert done.exit_code == 0, done.output
    placed = " ".join(record.node for record in model.report.placement)
    profiled = json.dumps(json.loads(trace.read_text()))
    for module in MODULES:
        assert module in placed
        assert module in profiled


def test_errors_name_modules() -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return torch.linalg.eigvalsh(x @ x.mT)

    module = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), Odd()))
    with pytest.raises(UnsupportedOpError, match=r"_linalg_eigh.* 1x in 1\.1"):
        mm.parse(module, example_inputs=(torch.ones(4, 4),))


PEAK = """
import sys, torch, mm_core as mm
from torch import nn
module = nn.Sequential(*[nn.Linear(2048, 2048) for _ in range(int(sys.argv[1]))])
program = torch.export.export(module, (torch.ones(1, 2048),))
def resident(name):
    status = dict(line.split(":") for line in open("/proc/self/status"))
    return int(status[name].split()[0]) * 1024
mm.parse(torch.export.export(nn.Linear(1, 1), (torch.ones(1, 1),)))
open("/proc/self/clear_refs", "w").write("5")
before = resident("VmRSS")
network = mm.parse(program)
print((resident("VmHWM") - before) / sum(parameter.nbytes for parameter in module.parameters()))
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the kernel's peak cannot be reset")
def test_parsing_copies_no_weights() -> None:
    """Of 336 MB of weights, less than a tenth is needed on top."""
    done = subprocess.run([sys.executable, "-c", PEAK, "20"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) < 0.1
