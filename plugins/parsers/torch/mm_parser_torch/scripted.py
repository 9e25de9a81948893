"""TorchScript modules as programs."""

from __future__ import annotations

from typing import Any

import torch

from mm_parser_torch.arguments import Arguments


def export_scripted(
    module: torch.jit.ScriptModule, arguments: Arguments, dynamic_shapes: Any
) -> torch.export.ExportedProgram:
    """The program by PyTorch's converter, which keeps control flow; what that cannot convert is traced instead.

    A trace unrolls loops whose length does not follow from data. Where that fails too, the converter's error counts.
    """
    from torch._export.converter import TS2EPConverter

    try:
        return TS2EPConverter(module, arguments.positional, arguments.keywords).convert()
    except Exception:
        program = _traced(module, arguments, dynamic_shapes)
        if program is None:
            raise
        return program


def _traced(
    module: torch.jit.ScriptModule, arguments: Arguments, dynamic_shapes: Any
) -> torch.export.ExportedProgram | None:
    try:
        return torch.export.export(
            _Interpreted(module), arguments.positional, arguments.keywords, dynamic_shapes=dynamic_shapes
        )
    except Exception:
        return None


class _Interpreted(torch.nn.Module):
    """A TorchScript module run by PyTorch's interpreter, which torch.export sees through."""

    def __init__(self, module: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.method = module._c._get_method("forward")

    def forward(self, *arguments: Any, **keywords: Any) -> Any:
        return self.method(*arguments, **keywords)
