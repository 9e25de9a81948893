"""What authors of kernels for this backend import: the names that stay. The rest of the package may change.

A package with the entry point `mm.kernels`, name `cpu.<package>`, is a module with `RULES`: operators to sequences of
`Rule`. A rule's `check(operation)` says why it does not apply, empty if it does; its `lower(lowering, operation)`
takes buffers for the operands (`Lowering.dense`, `Lowering.channels_last`, `Lowering.ordered`, `Lowering.packed` for
weights in a layout of your own), one for each result (`Lowering.result`), and appends a kernel: `Lowering.generated`
for C code, `Lowering.library` for a kernel of the native library. `mm_backend_cpu.testing.run` runs one kernel alone.

The C code is one function of the kernel signature in `mm_cpu.h`, called KERNEL_NAME, beside the helpers of `vector.h`
and `functions.h`; it may put helpers of its own before it.
"""

from __future__ import annotations

from mm_backend_cpu.codegen.isa import Isa
from mm_backend_cpu.codegen.kernel_source import KernelSource, Parameters, kernel_source
from mm_backend_cpu.lowering.lowering import Lowering, constant_data, shape_of, tensor_type
from mm_backend_cpu.lowering.movement import double_bits
from mm_backend_cpu.lowering.rule import Rule
from mm_backend_cpu.lowering.view import View

__all__ = [
    "Isa", "KernelSource", "Lowering", "Parameters", "Rule", "View", "constant_data", "double_bits", "kernel_source",
    "shape_of", "tensor_type",
]  # fmt: skip
