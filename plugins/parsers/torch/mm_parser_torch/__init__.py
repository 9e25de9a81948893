"""The PyTorch front end. Importing this module does not import torch: `parse` does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from mm_core.errors import ParseError, PluginMissingError
from mm_core.ir import Network
from mm_core.parsing import InputShapes, Parser

_SUFFIXES = frozenset({".pt2", ".pt", ".pth", ".torchscript"})
_BASES = frozenset({("torch.nn.modules.module", "Module"), ("torch.export.exported_program", "ExportedProgram")})


class TorchParser(Parser):
    """Reads PyTorch: ExportedProgram, files *.pt2, torch.nn.Module with example_inputs, TorchScript files *.pt."""

    name: ClassVar[str] = "torch"

    def accepts(self, source: object) -> bool:
        if isinstance(source, (str, os.PathLike)):
            return Path(source).suffix.lower() in _SUFFIXES
        return any((base.__module__, base.__name__) in _BASES for base in type(source).__mro__)

    def parse(
        self, source: Any, *, input_shapes: InputShapes | None = None, example_inputs: Any = None, **options: Any
    ) -> Network:
        """The network of a program, module or file. Nested inputs and outputs are flat, named by their path.

        `example_inputs` (for modules and TorchScript): a tensor, a tuple of positional arguments, a dict of keyword
        arguments, or a pair of both. `input_shapes` names dynamic dimensions. Option `dynamic_shapes`: as
        torch.export.export takes it. Option `random_numbers`: what the program draws from PyTorch's random numbers is
        drawn from mm's, of the same distribution; else such a program is refused.
        """
        dynamic_shapes = options.pop("dynamic_shapes", None)
        random_numbers = str(options.pop("random_numbers", False)).lower() in ("true", "yes", "1")
        if options:
            raise ParseError(
                f"the PyTorch parser has no option {', '.join(map(repr, options))}",
                available="dynamic_shapes, random_numbers",
            )
        require_torch()
        from mm_parser_torch.source import read_source

        return read_source(source, dict(input_shapes or {}), example_inputs, dynamic_shapes, random_numbers)

    def self_test(self) -> str:
        """For `mm_plugins check`: a module of one layer is read."""
        require_torch()
        import torch

        network = self.parse(torch.nn.Linear(2, 1), example_inputs=(torch.zeros(1, 2),))
        return f"torch {torch.__version__}, read {[operation.name for operation in network.operations]}"


def require_torch() -> None:
    """PluginMissingError where torch is not installed."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise PluginMissingError(
            f"the PyTorch parser needs torch: {error}", remedy='pip install "mm-parser-torch[torch]"'
        ) from error
