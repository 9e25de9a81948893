"""Noticing that the tensors an engine was built from are others, or hold other numbers."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import torch

_PROBED = 8
"""Elements of each tensor that are compared at each call."""
_address = torch.Tensor.data_ptr
_version = attrgetter("_version")


class Weights:
    """The state of tensors at one moment.

    A change counts where PyTorch counts it (its version of a tensor), where the memory is another, and where the
    first elements are others: writing through `.data` or a numpy view is not counted by PyTorch.
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        # While these aliases live, nobody else can get the same memory.
        self._held = [tensor.detach() for tensor in tensors]
        self._addresses = list(map(_address, tensors))
        self._versions = _versions(tensors)
        self._probes = [_first_bytes(tensor) for tensor in self._held]
        self._values = torch.cat(self._probes) if self._probes else None

    def hold(self, tensors: Sequence[torch.Tensor]) -> bool:
        """Whether `tensors` are in that state still."""
        return (
            list(map(_address, tensors)) == self._addresses
            and _versions(tensors) == self._versions
            and (self._values is None or torch.equal(torch.cat(self._probes), self._values))
        )

    def changed(self, tensors: Sequence[torch.Tensor]) -> list[int]:
        """Which tensors are not."""
        now = Weights(tensors)
        lengths = [probe.numel() for probe in self._probes]
        values = [] if self._values is None else self._values.split(lengths)  # type: ignore[no-untyped-call]
        return [
            index
            for index, probe in enumerate(now._probes)
            if now._addresses[index] != self._addresses[index]
            or now._versions[index] != self._versions[index]
            or not torch.equal(probe, values[index])
        ]


def _versions(tensors: Sequence[torch.Tensor]) -> list[int]:
    try:
        return list(map(_version, tensors))
    except RuntimeError:  # Tensors made in inference mode have none.
        return [-1 if tensor.is_inference() else tensor._version for tensor in tensors]


def _first_bytes(tensor: torch.Tensor) -> torch.Tensor:
    """The first elements in memory as bytes, whatever the strides and the element type: NaN is equal to itself here."""
    return tensor.as_strided((min(tensor.numel(), _PROBED),), (1,)).view(torch.uint8)
