"""Operators: the definition that an author writes once, and the registry that finds it by name."""

from mm_core.ops.builtin import MAX_KNOWN_ELEMENTS
from mm_core.ops.definition import (
    ALL,
    BOOL,
    COMPLEX,
    FLOATS,
    INDEX,
    INTEGERS,
    NUMERIC,
    REQUIRED,
    SMALL_FLOATS,
    SMALL_INTEGERS,
    STRINGS,
    Arity,
    Attribute,
    KnownValues,
    OpDef,
    Operand,
    Partial,
    RegionView,
    Result,
    Tier,
    Trait,
)
from mm_core.ops.registry import dialect, lookup, register, unregister

__all__ = [
    "ALL", "BOOL", "COMPLEX", "FLOATS", "INDEX", "INTEGERS", "MAX_KNOWN_ELEMENTS", "NUMERIC", "REQUIRED",
    "SMALL_FLOATS", "SMALL_INTEGERS", "STRINGS", "Arity", "Attribute", "KnownValues", "OpDef", "Operand", "Partial",
    "RegionView", "Result", "Tier", "Trait", "dialect", "lookup", "register", "unregister",
]  # fmt: skip
