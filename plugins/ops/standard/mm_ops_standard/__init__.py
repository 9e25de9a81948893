"""The standard operators, dialect `mm`. One module for each family; its definitions are in the module's `OPS`."""

from __future__ import annotations

from importlib import import_module

from mm_core.ops import OpDef

__version__ = "0.1.0"

FAMILIES = (
    "unary", "binary", "comparison", "selection", "variadic", "reduction", "movement", "slicing", "assembly", "shaping",
    "bits", "columns", "signal", "control", "sequence", "optional", "inversion",
    "convolution", "pooling", "contraction", "einsum", "normalization", "activation", "attention", "resize",
    "quantization", "quantized", "indexing", "searching", "sampling", "detection", "recurrent", "random", "training",
)  # fmt: skip


def operators() -> tuple[type[OpDef], ...]:
    """All definitions of the dialect: the entry point `mm.ops`."""
    return tuple(op for family in FAMILIES for op in import_module(f"{__name__}.{family}").OPS)
