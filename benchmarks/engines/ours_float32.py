"""mm on the model as it was before it was quantized."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.engines import ours
from benchmarks.engines.ours import version
from benchmarks.request import Request, Runner
from tests import zoo

__all__ = ["load", "version"]


def load(request: Request) -> Runner:
    return ours.load(replace(request, path=zoo.build(request.model, request.batch, request.small).path))
