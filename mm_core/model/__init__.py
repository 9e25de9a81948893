"""The model: what a build leaves and the runtime loads."""

from mm_core.model.executable import Executable, KernelRecord

__all__ = ["Executable", "KernelRecord"]
