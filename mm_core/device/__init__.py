"""Contract of a backend's run half."""

from mm_core.device.contract import (
    FINISHED,
    HOST,
    PAGE_BYTES,
    Backend,
    Bound,
    Buffer,
    Device,
    DeviceInfo,
    Event,
    FinishedEvent,
    HostDevice,
    HostQueue,
    Observer,
    Prediction,
    Program,
    Queue,
    Shortcut,
    TargetOption,
    aligned_empty,
)

__all__ = [
    "FINISHED", "HOST", "PAGE_BYTES", "Backend", "Bound", "Buffer", "Device", "DeviceInfo", "Event", "FinishedEvent",
    "HostDevice", "HostQueue", "Observer", "Prediction", "Program", "Queue", "Shortcut", "TargetOption",
    "aligned_empty",
]  # fmt: skip
