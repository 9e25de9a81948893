"""Passes: their contract, pipelines as text, and the manager that runs them. The passes themselves are plugins."""

from mm_core.passes.base import Pass, PassContext, PassResult, Phase, RewritePass
from mm_core.passes.manager import Instrumentation, PassManager, PassRecord
from mm_core.passes.options import print_pipeline
from mm_core.passes.pipeline import default_pipeline, order_passes, parse_pipeline
from mm_core.passes.reproducer import load_reproducer, save_reproducer

__all__ = [
    "Instrumentation", "Pass", "PassContext", "PassManager", "PassRecord", "PassResult", "Phase", "RewritePass",
    "default_pipeline", "load_reproducer", "order_passes", "parse_pipeline", "print_pipeline", "save_reproducer",
]  # fmt: skip
