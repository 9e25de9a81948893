"""What code is generated for and what time is predicted for: architectures and cards, as data.

Figures come from public code and pages; the comments name them, and say what is assumed. The sources:

- build: `independent_build.sh` of Cambricon/mlu-ops r0.9 to v1.4.0 (memory sizes)
- guide: `docs/BANG-C-OPS-Develop-Guide.md` of mlu-ops (usable memory, access rules, vector unit, clocks)
- executor: `test/mlu_op_gtest/pb_gtest/include/executor.h` of mlu-ops (operations a cycle, bandwidths)
- demo: the measured matrix products of the repository kolp323 (scalar accesses)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from mm_core.errors import BuildError, DeviceError

_KIB = 1024


@dataclass(frozen=True)
class Target:
    """One kind of chip: what a kernel may use of it, and how fast its units are.

    Sizes are in bytes, `nram_bytes` and `sram_bytes` without what the compiler keeps for stacks. The tensor unit's
    operations count a multiplication and an addition as two, by the element types of its operands.
    """

    arch: str
    bang_arch: int
    name: str
    clusters: int
    cores_per_cluster: int
    nram_bytes: int
    wram_bytes: int
    sram_bytes: int
    dram_bytes: int
    clock_hz: float
    vector_bytes_per_cycle: int
    tensor_operations_per_cycle: Mapping[tuple[str, str], int]
    dram_bytes_per_second: float
    cluster_dram_bytes_per_second: float
    timing_known: bool = True

    # Alignments. Vectors: NFU_ALIGN_SIZE, WRAM: WRAM_ALIGN_SIZE, lanes: LT_NUM of mlu-ops' kernel.h; DRAM: guide 5.3.3.
    nram_alignment: int = 128
    wram_alignment: int = 64
    gdram_alignment: int = 64
    lanes: int = 64

    # Figures of the time model that nobody has published, assumed for all chips and networks: docs/mlu-emulator.md.
    move_bytes_per_cycle: int = 128  # one vector a cycle, like the vector unit that shares the memory
    scalar_cycles: int = 12  # demo: 194 ms for 16.8 M scalar reads of NRAM, with the loop around them
    scalar_dram_cycles: int = 320  # demo: 5280 ms for 16.8 M scalar reads of GDRAM
    dram_latency_cycles: int = 320  # the same round trip, for the first byte of a copy
    on_chip_latency_cycles: int = 32
    descriptor_cycles: int = 16  # a copy occupies its engine at least so long
    segment_cycles: int = 1  # and each segment of a strided copy so long
    issue_cycles: int = 4
    transcendental_cycles: int = 4  # of the vector unit for each vector of exp, sigmoid, tanh, ...
    vector_latency_cycles: int = 16
    tensor_latency_cycles: int = 64
    barrier_cycles: int = 100
    launch_seconds: float = 2e-6  # between two kernels of one queue

    @property
    def cores(self) -> int:
        """Cores that run tasks, memory cores not counted."""
        return self.clusters * self.cores_per_cluster


def _operations(**by_type: int) -> Mapping[tuple[str, str], int]:
    return MappingProxyType({(pair.split("_")[0], pair.split("_")[1]): count for pair, count in by_type.items()})


_MLU370_S4 = Target(
    arch="mtp_372", bang_arch=372, name="MLU370-S4", clusters=6, cores_per_cluster=4,
    nram_bytes=768 * _KIB - 128 * _KIB, wram_bytes=1024 * _KIB, sram_bytes=4096 * _KIB - 128 * _KIB,  # build, guide
    dram_bytes=24576 * _KIB * _KIB,  # logs of mm_run
    clock_hz=1.0e9, vector_bytes_per_cycle=128,  # guide 5.3.4
    tensor_operations_per_cycle=_operations(
        half_half=3072, float_half=1536, float_float=768, int8_int8=8192, int16_int16=4096,
    ),  # executor
    dram_bytes_per_second=307.2e9, cluster_dram_bytes_per_second=128e9,  # executor
)  # fmt: skip

# No speed, count of clusters or size of DRAM of it has been published (executor holds zeros): those below are of a
# stand-in, and its times are not shown as predictions. Its NRAM is what mlu-ops' kernel.h computes, 512 KiB less 128;
# the guide's 320 KiB are inconsistent with that.
_MLU590 = replace(
    _MLU370_S4, arch="mtp_592", bang_arch=592, name="MLU590", clusters=12,
    nram_bytes=384 * _KIB, wram_bytes=512 * _KIB, sram_bytes=2048 * _KIB - 128 * _KIB,
    dram_bytes=80 * 1024 * _KIB * _KIB, timing_known=False,
)  # fmt: skip

_CARDS = (
    _MLU370_S4,
    replace(_MLU370_S4, name="MLU370-X4", clusters=8),  # logs of mm_run
    # One of the card's two chips, as each is a device of its own: guide 5.3.4 and the card's published peaks.
    replace(_MLU370_S4, name="MLU370-X8", clusters=4, clock_hz=1.3e9),
    _MLU590,
)
_COUNT = re.compile(r"[1-9][0-9]{0,2}")
_BASES = {_MLU370_S4.arch: _MLU370_S4, _MLU590.arch: _MLU590}


def known_architectures() -> tuple[str, ...]:
    """Names that `mlu_arch` takes."""
    return tuple(_BASES)


def known_cards() -> tuple[str, ...]:
    """Names of cards that can be emulated."""
    return tuple(card.name for card in _CARDS)


def find_card(name: str) -> Target:
    """The card of this name; DeviceError lists the known ones."""
    for card in _CARDS:
        if card.name == name:
            return card
    raise DeviceError(f"there is no MLU card named {name!r}", available=", ".join(known_cards()))


def card_like(isa: int, *, clusters: int, cores_per_cluster: int, clock_hz: float, dram_bytes: int) -> Target:
    """What a real card says of itself, the rest as known of its architecture. DeviceError for an unknown one."""
    base = next((target for target in _BASES.values() if target.bang_arch == isa), None)
    if base is None:
        raise DeviceError(f"the card's instruction set {isa} is not known", available=", ".join(known_architectures()))
    named = (card.name for card in _CARDS if (card.arch, card.clusters) == (base.arch, clusters))
    return replace(
        base, name=next(named, f"MLU of {base.arch}"), clusters=clusters, cores_per_cluster=cores_per_cluster,
        clock_hz=clock_hz, dram_bytes=dram_bytes,
    )  # fmt: skip


@dataclass(frozen=True)
class Architecture:
    """What a build is for: the target that sizes come from, and the counts of clusters that it may use (empty: any)."""

    target: Target
    clusters: tuple[int, ...] = ()

    def clusters_on(self, available: int) -> int:
        """How many clusters a device with so many is used with: the largest count of the build that it has."""
        if not self.clusters:
            return available
        usable = [count for count in self.clusters if count <= available]
        if not usable:
            raise DeviceError(
                f"the model was built for {_listed(self.clusters)} clusters and the device has {available}",
                remedy=f"build it with mlu_arch={self.target.arch}, or for a bitmap with {available} or fewer",
            )
        return max(usable)


def parse_architecture(text: str) -> Architecture:
    """`mtp_372`, `mtp_372:6` or `mtp_372:2,6,8`; BuildError for anything else."""
    arch, colon, bitmap = text.strip().partition(":")
    base = _BASES.get(arch)
    if base is None:
        raise BuildError(f"{arch!r} is not an MLU architecture", available=", ".join(known_architectures()))
    if not colon:
        return Architecture(base)
    counts = [count.strip() for count in bitmap.split(",")]
    if not all(_COUNT.fullmatch(count) for count in counts):
        raise BuildError(
            f"{bitmap!r} is not a list of cluster counts", where="mlu_arch", remedy=f"write it like {arch}:2,6,8"
        )
    return Architecture(base, tuple(sorted({int(count) for count in counts})))


def _listed(counts: tuple[int, ...]) -> str:
    return " or ".join(map(str, counts))
