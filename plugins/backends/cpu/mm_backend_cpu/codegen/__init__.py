"""Generators of C kernels: frozen specifications in, `KernelSource` out."""
