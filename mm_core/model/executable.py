"""What a backend's compiler leaves: bytes, a manifest and constants. Device-free, serialisable, reproducible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mm_core.serial import check_fields, check_list
from mm_core.types import TensorData


@dataclass(frozen=True, slots=True)
class KernelRecord:
    """One kernel of an executable, for reports: what runs, for which of the user's nodes, and why it was chosen."""

    label: str
    kernel: str
    nodes: tuple[str, ...]
    note: str = ""

    @classmethod
    def from_json(cls, data: Any) -> KernelRecord:
        """The record that `dataclasses.asdict` gave; ModelFileError for anything else."""
        record = check_fields(data, "kernel", {"label": str, "kernel": str, "nodes": list, "note": str})
        return cls(**{**record, "nodes": tuple(check_list(record["nodes"], "kernel", str))})


@dataclass(frozen=True, slots=True)
class Executable:
    """A compiled part.

    `manifest` is JSON data that only the backend reads. `constants` are handed to `Device.load` in this order.
    `requires` names what the machine must have (`isa: avx512`) and `operators` the operator packages whose numpy
    references or callbacks it needs while running. `workspace_bytes` is the memory of intermediate results for one
    request, None where sizes are symbolic.
    """

    backend: str
    code: bytes
    manifest: Mapping[str, Any] = field(default_factory=dict)
    constants: tuple[TensorData, ...] = ()
    requires: Mapping[str, str] = field(default_factory=dict)
    operators: tuple[str, ...] = ()
    kernels: tuple[KernelRecord, ...] = ()
    workspace_bytes: int | None = None
