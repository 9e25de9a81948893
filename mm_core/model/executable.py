"""What a backend's compiler leaves: bytes, a manifest and constants. Device-free, serialisable, reproducible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mm_core.serial import check_fields, check_list
from mm_core.types import TensorData


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to compute a kernel: why it was considered, and its seconds, measured or estimated by a cost model."""

    name: str
    reason: str
    seconds: float
    measured: bool

    @classmethod
    def from_json(cls, data: Any) -> Variant:
        """The variant that `dataclasses.asdict` gave; ModelFileError for anything else."""
        fields = {"name": str, "reason": str, "seconds": float, "measured": bool}
        return cls(**check_fields(data, "variant", fields))


@dataclass(frozen=True, slots=True)
class KernelRecord:
    """One kernel of an executable, for reports: what runs, for which of the user's nodes, and why it was chosen.

    `variants` are the one that was chosen and then those that it beat, the best first; empty where there was no choice.
    `peak_share` is the share of the machine's peak that it reached when measured, 0 if it was not. `flop` counts the
    operations of one run as the definition has them, whatever the algorithm, and `operand_bytes` what is read and
    written if each operand moves once; 0 where that was not counted or sizes are known only when running.
    """

    label: str
    kernel: str
    nodes: tuple[str, ...]
    note: str = ""
    variants: tuple[Variant, ...] = ()
    peak_share: float = 0.0
    flop: int = 0
    operand_bytes: int = 0

    @classmethod
    def from_json(cls, data: Any) -> KernelRecord:
        """The record that `dataclasses.asdict` gave; ModelFileError for anything else."""
        record = check_fields(
            data,
            "kernel",
            {
                "label": str, "kernel": str, "nodes": list, "note": str, "variants": list, "peak_share": float,
                "flop": int, "operand_bytes": int,
            },
        )  # fmt: skip
        variants = tuple(map(Variant.from_json, record["variants"]))
        return cls(**{**record, "nodes": tuple(check_list(record["nodes"], "kernel", str)), "variants": variants})

    @property
    def lead(self) -> float:
        """How many times faster the chosen variant is than the best that it beat; 1 where there was no other."""
        if len(self.variants) < 2 or not self.variants[0].seconds:
            return 1.0
        return self.variants[1].seconds / self.variants[0].seconds


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
