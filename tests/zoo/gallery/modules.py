"""What exporters need around a module: tensors in by position, a plain tuple of tensors out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def only(module: torch.nn.Module, *names: str, takes: tuple[str, ...] = (), **options: Any) -> torch.nn.Module:
    """The module with the named results of its own alone (none named: its result or results as they are).

    `takes` are the names of the arguments that are given by position (none: as they come); `options` are passed on.
    """
    import torch

    class Only(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wrapped = module

        def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
            result = self.wrapped(**dict(zip(takes, values)), **options) if takes else self.wrapped(*values, **options)
            if names:
                return tuple(result[name] for name in names)
            return result if isinstance(result, tuple) else (result,)

    return Only().eval()
