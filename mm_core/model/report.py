"""The report of a build: what runs where and why, with which kernels, and what the build took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mm_core.model.executable import KernelRecord
from mm_core.serial import check_fields, check_list

NATIVE, HOST_KIND, FALLBACK = "native", "host", "fallback"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one of the user's nodes went.

    `kind` is `native` (the backend's own code), `host` (an instruction of the runtime) or `fallback` (an operator's
    numpy reference). `reason` holds what the backends preferred to this one said, empty for the first choice.
    """

    node: str
    op: str
    device: str
    kind: str
    reason: str = ""


@dataclass(frozen=True)
class BuildReport:
    """What a build decided. Saved with the model, except `seconds`, which belongs to this build only."""

    placement: tuple[Placement, ...] = ()
    kernels: tuple[KernelRecord, ...] = ()
    precision: str = "force_float32"
    passes: tuple[str, ...] = ()
    memory: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    def refusals(self) -> tuple[Placement, ...]:
        """Placements that were not the first choice."""
        return tuple(record for record in self.placement if record.reason)

    def summary(self) -> str:
        """One line: how many nodes run where, and how many fall back."""
        counts: dict[tuple[str, str], int] = {}
        for record in self.placement:
            counts[record.device, record.kind] = counts.get((record.device, record.kind), 0) + 1
        pieces = [f"{count} {kind} on {device}" for (device, kind), count in sorted(counts.items())]
        return ", ".join(pieces) or "no operations"

    def to_json(self) -> dict[str, Any]:
        return {
            "placement": [asdict(record) for record in self.placement],
            "kernels": [{**asdict(record), "nodes": list(record.nodes)} for record in self.kernels],
            "precision": self.precision,
            "passes": list(self.passes),
            "memory": dict(self.memory),
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, data: Any) -> BuildReport:
        """What `to_json` gave; ModelFileError for anything else."""
        fields = check_fields(
            data,
            "report",
            {"placement": list, "kernels": list, "precision": str, "passes": list, "memory": dict, "notes": list},
        )
        check_list(list(fields["memory"].values()), "report", int)
        text = dict.fromkeys(("node", "op", "device", "kind", "reason"), str)
        return cls(
            tuple(Placement(**check_fields(record, "placement", text)) for record in fields["placement"]),
            tuple(map(KernelRecord.from_json, fields["kernels"])),
            fields["precision"],
            tuple(check_list(fields["passes"], "report", str)),
            fields["memory"],
            tuple(check_list(fields["notes"], "report", str)),
        )
