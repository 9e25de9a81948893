"""The intermediate representation: values, operations, graphs and networks, their text form and their rules."""

from mm_core.ir.graph import Builder, Graph, copy_operation
from mm_core.ir.network import Network
from mm_core.ir.operation import Location, OperandValues, Operation, Use, Value, assume_known, known_value, sizes_of
from mm_core.ir.verifier import compatible, verify

__all__ = [
    "Builder", "Graph", "Location", "Network", "OperandValues", "Operation", "Use", "Value", "assume_known",
    "compatible", "copy_operation", "known_value", "sizes_of", "verify",
]  # fmt: skip
