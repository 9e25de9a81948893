"""The model: what a build leaves and the runtime loads."""

from mm_core.model.executable import Executable, KernelRecord, Variant
from mm_core.model.model import Model, Requirements
from mm_core.model.plan import Block, Copy, Host, If, Instruction, Launch, Loop, PartInfo, Plan, Sizes
from mm_core.model.report import BuildReport, Placement

__all__ = [
    "Block", "BuildReport", "Copy", "Executable", "Host", "If", "Instruction", "KernelRecord", "Launch", "Loop",
    "Model", "PartInfo", "Placement", "Plan", "Requirements", "Sizes", "Variant",
]  # fmt: skip
