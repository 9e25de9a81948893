"""Contract of a backend's compile half."""

from mm_core.compiler.contract import CompileContext, Compiler, No, Stage, Support, Yes
from mm_core.compiler.object_cache import ObjectCache
from mm_core.model.executable import Executable, KernelRecord, Variant

__all__ = [
    "CompileContext", "Compiler", "Executable", "KernelRecord", "No", "ObjectCache", "Stage", "Support", "Variant",
    "Yes",
]  # fmt: skip
