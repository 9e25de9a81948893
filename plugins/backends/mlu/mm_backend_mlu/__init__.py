"""The MLU backend of mm. This module, `device` and `drivers` are the run half; `compiler` and what it uses build."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mm_core.device import Backend, Buffer, Device, DeviceInfo, TargetOption
from mm_core.errors import DeviceError, MMError
from mm_core.types import as_dtype

if TYPE_CHECKING:
    from mm_backend_mlu.drivers.driver import Driver
    from mm_core.compiler import Compiler

__version__ = "0.1.0"
EMULATED_CARDS = "MM_MLU_EMULATED"
"""Environment variable: names of cards to emulate, in the order of their devices."""
_DEFAULT_CARDS = "MLU370-S4,MLU370-X4"
DEFAULT_ARCHITECTURE = "mtp_372"


class MluBackend(Backend):
    """Cambricon's cards: hardware where the vendor's runtime is found, emulated ones elsewhere."""

    name = "mlu"
    memory_space = "mlu"
    options = (
        TargetOption(
            "mlu_arch",
            "architecture to generate code for, with the cluster counts that it may run on: mtp_372, mtp_372:6, "
            "mtp_372:2,6,8",
            DEFAULT_ARCHITECTURE,
            aliases=("archs",),
        ),
    )

    def probe(self) -> Sequence[DeviceInfo]:
        return [info for info, _ in self._devices()]

    def open(self, name: str) -> Device:
        from mm_backend_mlu.device import MluDevice

        info = self.find(name)
        driver = next(driver for found, driver in self._devices() if found == info)
        assert driver is not None  # A device without a problem has one.
        return MluDevice(driver)

    def self_test(self) -> str:
        """Bytes go to the first card and come back. Tells the cards that there are; DeviceError if it is unusable."""
        import numpy as np

        device = self.open(self.name)
        sent = np.arange(256, dtype=np.uint8)
        fetched = np.zeros_like(sent)
        byte = as_dtype(sent.dtype)
        memory, queue = device.allocate(byte, sent.shape), device.create_queue()
        queue.copy(Buffer(byte, sent.shape, sent), memory).wait()
        queue.copy(memory, Buffer(byte, sent.shape, fetched)).wait()
        queue.close()
        if not np.array_equal(sent, fetched):
            raise DeviceError("its memory does not keep what is written", where=device.name)
        return "; ".join(f"{info.name}: {info.problem or info.description}" for info in self.probe())

    def compiler(self, target: Mapping[str, str]) -> Compiler:
        from mm_backend_mlu.compiler import MluCompiler

        return MluCompiler(target.get("mlu_arch", DEFAULT_ARCHITECTURE))

    def _devices(self) -> list[tuple[DeviceInfo, Driver | None]]:
        from mm_backend_mlu.drivers import cnrt

        wanted = os.environ.get(EMULATED_CARDS)
        try:
            library = None if wanted is not None else cnrt.find_library()
            if library is None:
                names = (_DEFAULT_CARDS if wanted is None else wanted).split(",")
                return [_emulated(number, card.strip()) for number, card in enumerate(names)]
            found = cnrt.runtime(library)
            count = found.device_count()
        except (MMError, OSError) as error:
            return [(DeviceInfo("mlu:0", "Cambricon MLU", str(error)), None)]
        if not count:
            problem = f"CNRT {found.version} finds no card; {EMULATED_CARDS}=MLU370-S4 emulates one"
            return [(DeviceInfo("mlu:0", "Cambricon MLU", problem), None)]
        return [_real(found, number) for number in range(count)]


def _emulated(number: int, card: str) -> tuple[DeviceInfo, Driver | None]:
    from mm_backend_mlu.drivers.emulated import EmulatedDriver
    from mm_backend_mlu.target import find_card

    name = f"mlu:{number}"
    try:
        driver = EmulatedDriver(name, find_card(card))
    except MMError as error:
        return DeviceInfo(name, f"emulated {card}", f"{error}; see {EMULATED_CARDS}"), None
    return DeviceInfo(name, driver.description), driver


def _real(library: object, number: int) -> tuple[DeviceInfo, Driver | None]:
    from mm_backend_mlu.drivers import cnrt

    assert isinstance(library, cnrt.Runtime)
    try:
        driver = cnrt.CnrtDriver(library, number, cnrt.target_of(library, number))
    except MMError as error:
        return DeviceInfo(f"mlu:{number}", "Cambricon MLU", str(error)), None
    return DeviceInfo(driver.name, driver.description), driver
